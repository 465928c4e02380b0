// SPDX-License-Identifier: Apache-2.0

// Package e2e runs the product on a real control plane: installed as shipped, the manager under its own ServiceAccount,
// the native Deployment controller moving the pods.
package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/rollouts/internal/controller"
	"kruise.io/rollouts/sandbox"
	"kruise.io/rollouts/sandbox/product"
)

// The cluster that all tests share, and its user. Each test has a namespace of its own.
var (
	cluster *sandbox.Cluster
	user    client.Client
	manager = &daemon{}
)

// daemon is the manager, which tests end and start again.
type daemon struct {
	mu         sync.Mutex
	binaries   string
	kubeconfig string
	running    *product.Manager
	logs       []string // of those that ran before
}

// start starts the manager in a directory of its own.
func (d *daemon) start(ctx context.Context) error {
	dir := filepath.Join(cluster.Dir(), fmt.Sprintf("manager-%d", len(d.logs)))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("making a directory for the manager: %w", err)
	}
	m, err := product.Start(ctx, d.binaries, d.kubeconfig, dir)
	if err != nil {
		return err
	}
	d.running = m
	d.logs = append(d.logs, m.Log)
	return nil
}

// restart ends the manager as a crash would, and starts another.
func (d *daemon) restart(ctx context.Context) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.running.Kill()
	return d.start(ctx)
}

func TestMain(m *testing.M) {
	os.Exit(run(context.Background(), m)) //nolint:forbidigo // nobody gives us one here
}

func run(ctx context.Context, m *testing.M) int {
	klog.LogToStderr(false)
	ctrl.SetLogger(klog.Background())
	if err := setUp(ctx); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer cluster.Stop()
	code := m.Run()
	manager.running.Stop()
	return max(code, complaints())
}

func setUp(ctx context.Context) error {
	var err error
	if cluster, err = sandbox.Start(ctx, sandbox.Options{Log: os.Stderr}); err != nil {
		return err
	}
	if err := cluster.InstallGatewayAPI(ctx); err != nil {
		return err
	}
	manager.binaries = filepath.Join(cluster.Dir(), "product")
	if err := product.Build(ctx, manager.binaries, os.Stderr, "manager"); err != nil {
		return err
	}
	if manager.kubeconfig, err = product.Install(ctx, cluster); err != nil {
		return err
	}
	if err := manager.start(ctx); err != nil {
		return err
	}
	user, err = newUser(nil)
	return err
}

// newUser returns a client of a user who may do everything, and hears warnings.
func newUser(warnings rest.WarningHandlerWithContext) (client.Client, error) {
	config := rest.CopyConfig(cluster.Config())
	config.WarningHandlerWithContext = warnings
	if warnings == nil {
		config.WarningHandlerWithContext = rest.NoWarnings{}
	}
	return client.New(config, client.Options{Scheme: controller.Scheme()})
}

// patience is how long tests wait for what takes well below a second on an idle machine.
const patience = time.Minute

// eventually waits until done.
func eventually(ctx context.Context, limit time.Duration, done func() bool) error {
	err := wait.PollUntilContextTimeout(ctx, 50*time.Millisecond, limit, true, func(context.Context) (bool, error) { return done(), nil })
	if err != nil {
		return fmt.Errorf("still not after %s: %w", limit, err)
	}
	return nil
}
