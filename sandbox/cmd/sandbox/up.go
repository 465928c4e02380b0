// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"kruise.io/rollouts/sandbox"
)

type upFlags struct {
	nodes     int
	listeners bool
	gateway   bool
	detach    bool
	bin       string
}

func newUp(t *target) *cobra.Command {
	var flags upFlags
	cmd := &cobra.Command{
		Use: "up", Args: cobra.NoArgs,
		Short: "Start a sandbox",
		Long: `Start a sandbox. It runs until Ctrl-C and then removes everything it made; with --detach it runs in the background until
"sandbox down". A sandbox of the same name that crashed is cleaned up first.

The first start builds the control plane, which takes some minutes; after that a start takes some seconds.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if flags.detach {
				return upDetached(cmd.Context(), t, flags, cmd.OutOrStdout(), cmd.ErrOrStderr())
			}
			return up(cmd.Context(), t, flags, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	cmd.Flags().IntVar(&flags.nodes, "nodes", 3, "number of simulated nodes")
	cmd.Flags().BoolVar(&flags.listeners, "listeners", false, "pods listen on their addresses, in a network namespace of the sandbox (needs root)")
	cmd.Flags().BoolVar(&flags.gateway, "gateway", false, "run a gateway among the pods, for the Gateway API and Ingresses of class "+sandbox.IngressClass+"; pods listen (needs root)")
	cmd.Flags().BoolVarP(&flags.detach, "detach", "d", false, "run in the background")
	cmd.Flags().StringVar(&flags.bin, "bin", "", "directory with etcd, kube-apiserver, kube-controller-manager, kube-scheduler and kubectl (default $SANDBOX_BIN, else what \"sandbox build\" builds)")
	return cmd
}

func up(ctx context.Context, t *target, flags upFlags, out, progress io.Writer) error {
	dir, err := t.stateDir()
	if err != nil {
		return err
	}
	options := sandbox.Options{
		Name: t.name, Dir: dir, Bin: flags.bin, Nodes: flags.nodes, Listeners: flags.listeners, Log: progress,
	}
	if flags.gateway {
		options.Gateway = &sandbox.GatewayOptions{}
	}
	cluster, err := sandbox.Start(ctx, options)
	if err != nil {
		if ctx.Err() != nil {
			return errors.New("stopped before the sandbox was ready")
		}
		return err
	}
	tellHowToUse(out, cluster.State())
	_, _ = fmt.Fprintln(out, "\nCtrl-C stops the sandbox and removes all it made.")
	select {
	case <-ctx.Done():
		_, _ = fmt.Fprintln(progress, "stopping the sandbox")
		return cluster.Stop()
	case <-cluster.Failed():
		return errors.Join(cluster.Err(), cluster.Stop())
	}
}

func tellHowToUse(out io.Writer, state sandbox.State) {
	_, _ = fmt.Fprintf(out, "The kubeconfig of sandbox %s is %s\nUse it in this shell with\n\n  export KUBECONFIG=%s\n",
		state.Name, state.Kubeconfig, state.Kubeconfig)
	if state.Proxy != "" {
		_, _ = fmt.Fprintf(out, "\nPods are reached through a proxy:\n\n  curl -x %s http://POD-IP:PORT/\n", state.Proxy)
	}
	if state.Gateway != "" {
		_, _ = fmt.Fprintf(out, "\nHost names lead to the gateway:\n\n  curl -x %s http://HOST/\n", state.Proxy)
	}
}

// upDetached runs "up" again in a session of its own and waits until it is ready.
func upDetached(ctx context.Context, t *target, flags upFlags, out, progress io.Writer) error {
	dir, err := t.stateDir()
	if err != nil {
		return err
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return fmt.Errorf("finding the state directory: %w", err)
	}
	if flags.bin == "" && os.Getenv("SANDBOX_BIN") == "" { // in sight, and stoppable with Ctrl-C
		if flags.bin, err = sandbox.Build(ctx, progress); err != nil {
			return err
		}
		if flags.gateway {
			if _, err := sandbox.BuildGateway(ctx, progress); err != nil {
				return err
			}
		}
	}
	if _, err := sandbox.Find(dir); err == nil {
		return fmt.Errorf("a sandbox is already running in %s: stop it first (sandbox down), or choose another --name", dir)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("making the state directory: %w", err)
	}
	log, err := os.Create(filepath.Join(dir, "up.log"))
	if err != nil {
		return fmt.Errorf("making a log: %w", err)
	}
	defer func() { _ = log.Close() }() // the child has its own
	child, err := startDetached(dir, t, flags, log)
	if err != nil {
		return err
	}
	state, err := waitDetached(ctx, dir, child)
	if err != nil {
		_, _ = io.Copy(progress, io.NewSectionReader(log, 0, 1<<20)) // it may be unlinked by now
		_ = os.Remove(log.Name())
		_ = os.Remove(dir) // unless there is more in it
		return err
	}
	tellHowToUse(out, state)
	_, _ = fmt.Fprintln(out, "\n\"sandbox down\" stops it and removes all it made.")
	return nil
}

func startDetached(dir string, t *target, flags upFlags, log *os.File) (*exec.Cmd, error) {
	executable, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("finding this program: %w", err)
	}
	child := exec.Command(executable, "up", "--name="+t.name, "--dir="+dir, "--bin="+flags.bin,
		"--nodes="+strconv.Itoa(flags.nodes), "--listeners="+strconv.FormatBool(flags.listeners), "--gateway="+strconv.FormatBool(flags.gateway))
	child.Stdout, child.Stderr = log, log
	child.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := child.Start(); err != nil {
		return nil, fmt.Errorf("starting the sandbox: %w", err)
	}
	return child, nil
}

// waitDetached waits until the child's sandbox is ready.
func waitDetached(ctx context.Context, dir string, child *exec.Cmd) (sandbox.State, error) {
	ended := make(chan struct{})
	go func() {
		_ = child.Wait() // what it said shows more than how it ended
		close(ended)
	}()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			_ = child.Process.Signal(syscall.SIGTERM) // unless it has ended
			<-ended
			return sandbox.State{}, errors.New("stopped before the sandbox was ready")
		case <-ended:
			return sandbox.State{}, errors.New("the sandbox did not start")
		case <-ticker.C:
		}
		if state, err := sandbox.Find(dir); err == nil && state.Ready && state.Supervisor.PID == child.Process.Pid {
			return state, nil
		}
	}
}
