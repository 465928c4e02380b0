// SPDX-License-Identifier: Apache-2.0

// Package analysis takes whole releases under load through a real gateway, and has what a real Prometheus says of it decide
// about them.
package analysis

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"kruise.io/rollouts/internal/controller"
	"kruise.io/rollouts/sandbox"
	"kruise.io/rollouts/sandbox/product"
)

// atOnce is how many releases run at a time: all of a test. They wait for measurements nearly all of the time.
const atOnce = "9"

// What all tests share. Each release has a namespace and a host of its own.
var (
	cluster    *sandbox.Cluster
	gateway    sandbox.Gateway
	prometheus *sandbox.Prometheus
	user       client.WithWatch
	manager    running
)

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(runAll(context.Background(), m)) //nolint:forbidigo // nobody gives us one here
}

func runAll(ctx context.Context, m *testing.M) (code int) {
	klog.LogToStderr(false)
	ctrl.SetLogger(klog.Background())
	binaries, err := os.MkdirTemp("", "kruise-analysis-")
	if err == nil {
		defer os.RemoveAll(binaries)
		manager.binaries = binaries
		err = flag.Set("test.parallel", atOnce)
	}
	if err == nil {
		err = setUp(ctx)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	} else {
		code = m.Run()
		manager.current.Stop()
		for _, name := range manager.logs {
			code = max(code, complaints(name))
		}
	}
	if cluster != nil {
		if err := cluster.Stop(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	return code
}

func setUp(ctx context.Context) error {
	err := product.Build(ctx, manager.binaries, os.Stderr, "manager")
	if err != nil {
		return err
	}
	// Should it have to be built, that is no part of the start.
	if _, err := sandbox.BuildPrometheus(ctx, os.Stderr); err != nil {
		return err
	}
	options := sandbox.Options{Log: os.Stderr, Gateway: &sandbox.GatewayOptions{Throttle: 100 * time.Millisecond}}
	if cluster, err = sandbox.Start(ctx, options); err != nil {
		return err
	}
	if gateway, err = cluster.Gateway(); err != nil {
		return err
	}
	began := time.Now()
	if prometheus, err = cluster.StartPrometheus(ctx); err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "Prometheus reads the gateway after %s\n", time.Since(began).Round(10*time.Millisecond))
	scheme := controller.Scheme()
	if err := gatewayv1.Install(scheme); err != nil {
		return err
	}
	config := rest.CopyConfig(cluster.Config())
	config.WarningHandlerWithContext = rest.NoWarnings{}
	if user, err = client.NewWithWatch(config, client.Options{Scheme: scheme}); err != nil {
		return err
	}
	if manager.kubeconfig, err = product.Install(ctx, cluster); err != nil {
		return err
	}
	return manager.start(ctx)
}

// running is the manager, which may be asked to crash.
type running struct {
	binaries, kubeconfig string

	mu      sync.Mutex // held while there is none
	current *product.Manager
	logs    []string // of all managers
}

// start starts a manager in a directory of its own. Prometheus is on this host, where no provider may be by default.
func (r *running) start(ctx context.Context) error {
	dir := filepath.Join(cluster.Dir(), fmt.Sprintf("manager-%d", len(r.logs)))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	m, err := product.Start(ctx, r.binaries, r.kubeconfig, dir,
		"--prometheus-address="+prometheus.Address, "--analysis-allow-cidrs=127.0.0.1/32")
	if err != nil {
		log, _ := os.ReadFile(filepath.Join(dir, "manager.log")) // it goes with the cluster
		return fmt.Errorf("%w\n%s", err, log[max(0, len(log)-4000):])
	}
	r.current, r.logs = m, append(r.logs, m.Log)
	return nil
}

// crash ends the manager as a crash would, and starts another.
func (r *running) crash(ctx context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.current.Kill()
	return r.start(ctx)
}

// complaints shows what a manager has logged that it should not have had to, and returns an exit code.
func complaints(log string) int {
	file, err := os.Open(filepath.Clean(log))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer file.Close()
	code := 0
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if line := strings.ToLower(lines.Text()); strings.Contains(line, "forbidden") || strings.Contains(line, "panic") {
			fmt.Fprintln(os.Stderr, lines.Text())
			code = 1
		}
	}
	return code
}
