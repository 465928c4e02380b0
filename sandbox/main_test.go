// SPDX-License-Identifier: Apache-2.0

package sandbox_test

import (
	"context"
	"fmt"
	"io"
	"os"
	"testing"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"

	"kruise.io/rollouts/sandbox"
	"kruise.io/rollouts/sandbox/internal/netns"
)

// crashDir makes this binary be the process that a test kills: it starts a sandbox there and waits for its end. With crashAll the
// sandbox has all parts that one can have.
const (
	crashDir = "SANDBOX_TEST_CRASH_DIR"
	crashAll = "SANDBOX_TEST_CRASH_ALL"
)

// The cluster that tests share. Each works in a namespace of its own.
var (
	cluster   *sandbox.Cluster
	client    *kubernetes.Clientset
	startTook time.Duration
	deaf      error // why pods cannot listen here
)

func TestMain(m *testing.M) {
	ctx := context.Background() //nolint:forbidigo // nobody gives us one here
	if dir := os.Getenv(crashDir); dir != "" {
		if err := startToCrash(ctx, dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		fmt.Println("ready")
		select {}
	}
	os.Exit(run(ctx, m))
}

func startToCrash(ctx context.Context, dir string) error {
	options := sandbox.Options{Dir: dir, Log: os.Stderr}
	all := os.Getenv(crashAll) != ""
	if all {
		options.Gateway = &sandbox.GatewayOptions{}
	}
	c, err := sandbox.Start(ctx, options)
	if err == nil && all {
		_, err = c.StartPrometheus(ctx)
	}
	return err
}

func run(ctx context.Context, m *testing.M) int {
	klog.LogToStderr(false) // its clients' complaints about clusters that were stopped
	ctrl.SetLogger(klog.Background())
	// Should the binaries have to be built, that is no part of the start.
	bin := os.Getenv("SANDBOX_BIN")
	if bin == "" {
		var err error
		if bin, err = sandbox.Build(ctx, os.Stderr); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		_ = os.Setenv("SANDBOX_BIN", bin)
	}
	var namespace *netns.Namespace
	if namespace, deaf = netns.New(); deaf == nil {
		_ = namespace.Close()
	}
	options := sandbox.Options{Log: os.Stderr}
	var err error
	if deaf == nil {
		options.Gateway = &sandbox.GatewayOptions{Throttle: 100 * time.Millisecond}
		for _, build := range []func(context.Context, io.Writer) (string, error){sandbox.BuildGateway, sandbox.BuildPrometheus} {
			if _, err = build(ctx, os.Stderr); err != nil {
				fmt.Fprintln(os.Stderr, err)
				return 1
			}
		}
	}
	began := time.Now()
	if cluster, err = sandbox.Start(ctx, options); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	startTook = time.Since(began)
	defer func() {
		if err := cluster.Stop(); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
	}()
	if client, err = kubernetes.NewForConfig(cluster.Config()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// patience is how long a test waits for what takes well below a second on an idle machine.
const patience = time.Minute

// eventually tries until there is no error.
func eventually(t *testing.T, try func() error) {
	t.Helper()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	for {
		err := try()
		if err == nil {
			return
		}
		select {
		case <-ticker.C:
		case <-deadline.C:
			t.Fatalf("still, after %s: %v", patience, err)
		}
	}
}
