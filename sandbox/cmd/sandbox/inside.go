// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
)

var errNoListeners = errors.New("the pods of this sandbox do not listen: start it with \"sandbox up --listeners\"")

func newCurl(t *target) *cobra.Command {
	var headers []string
	var method string
	cmd := &cobra.Command{
		Use: "curl URL", Args: cobra.ExactArgs(1),
		Short: "Ask a pod something over HTTP",
		Long: `Send an HTTP request into the pods' network and print the answer. For more than that, give any HTTP client the proxy that
"sandbox status" shows.`,
		Example: `  sandbox curl http://10.244.0.1:8080/
  sandbox curl -H 'Accept: application/json' http://10.244.0.1:8080/`,
		RunE: func(cmd *cobra.Command, args []string) error {
			state, err := t.find()
			if err != nil {
				return err
			}
			if state.Proxy == "" {
				return errNoListeners
			}
			address := args[0]
			if !strings.Contains(address, "://") {
				address = "http://" + address
			}
			proxy, err := url.Parse(state.Proxy)
			if err != nil {
				return fmt.Errorf("reading the proxy's address: %w", err)
			}
			request, err := http.NewRequestWithContext(cmd.Context(), method, address, http.NoBody)
			if err != nil {
				return fmt.Errorf("making the request: %w", err)
			}
			for _, header := range headers {
				name, value, ok := strings.Cut(header, ":")
				if !ok {
					return fmt.Errorf("header %q has no colon: write for example -H 'User-Agent: me'", header)
				}
				request.Header.Add(name, strings.TrimSpace(value))
				if strings.EqualFold(name, "Host") {
					request.Host = strings.TrimSpace(value)
				}
			}
			client := http.Client{Transport: &http.Transport{Proxy: http.ProxyURL(proxy)}, Timeout: time.Minute}
			response, err := client.Do(request)
			if err != nil {
				return fmt.Errorf("asking: %w", err)
			}
			defer func() { _ = response.Body.Close() }()
			if _, err := io.Copy(cmd.OutOrStdout(), response.Body); err != nil {
				return fmt.Errorf("reading the answer: %w", err)
			}
			if response.StatusCode >= http.StatusBadRequest {
				return fmt.Errorf("the answer was %s", response.Status)
			}
			return nil
		},
	}
	cmd.Flags().StringArrayVarP(&headers, "header", "H", nil, "header to send, such as 'User-Agent: me'")
	cmd.Flags().StringVarP(&method, "request", "X", http.MethodGet, "method")
	return cmd
}

func newExec(t *target) *cobra.Command {
	cmd := &cobra.Command{
		Use: "exec [flags] [--] COMMAND...", Args: cobra.MinimumNArgs(1),
		Short: "Run a command in the pods' network (needs root)",
		Long: `Run a command in the pods' network namespace, with KUBECONFIG set. The API server has the same address there as on the
host, so gateways and load generators run there as they are.`,
		Example: `  sandbox exec -- curl -s http://10.244.0.1:8080/`,
		RunE: func(_ *cobra.Command, args []string) error {
			state, err := t.find()
			if err != nil {
				return err
			}
			if state.Namespace == "" {
				return errNoListeners
			}
			path, err := exec.LookPath(args[0])
			if err != nil {
				return fmt.Errorf("finding the command: %w", err)
			}
			namespace, err := os.Open(state.Namespace)
			if err != nil {
				return fmt.Errorf("opening the pods' network (are you root?): %w", err)
			}
			runtime.LockOSThread() // the command takes over this thread, with its namespace
			if err := unix.Setns(int(namespace.Fd()), unix.CLONE_NEWNET); err != nil {
				return fmt.Errorf("entering the pods' network (are you root?): %w", err)
			}
			err = syscall.Exec(path, args, append(os.Environ(), "KUBECONFIG="+state.Kubeconfig))
			return fmt.Errorf("running %s: %w", args[0], err)
		},
	}
	cmd.Flags().SetInterspersed(false)
	return cmd
}
