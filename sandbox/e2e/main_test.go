// SPDX-License-Identifier: Apache-2.0

// Package e2e runs the product on a real control plane: installed as shipped, the manager under its own ServiceAccount,
// the native Deployment controller moving the pods.
package e2e

import (
	"context"
	"errors"
	"flag"
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

// place is a cluster with the product in it, and a user of it who may do everything.
type place struct {
	cluster *sandbox.Cluster
	user    client.Client
	manager *daemon
}

// home is the place that tests share. Each test has a namespace of its own.
var home *place

// daemon is the manager, which tests end and start again.
type daemon struct {
	mu         sync.Mutex
	dir        string // that holds those of all that run
	binaries   string
	kubeconfig string
	running    *product.Manager
	logs       []string // of all that ran
}

// start starts the manager in a directory of its own.
func (d *daemon) start(ctx context.Context) error {
	dir := filepath.Join(d.dir, fmt.Sprintf("manager-%d", len(d.logs)))
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

// atOnce is how many releases run at a time: each waits for clocks most of its half minute, so that is more than there are cores.
const atOnce = "8"

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(run(context.Background(), m)) //nolint:forbidigo // nobody gives us one here
}

func run(ctx context.Context, m *testing.M) int {
	klog.LogToStderr(false)
	ctrl.SetLogger(klog.Background())
	err := flag.Set("test.parallel", atOnce)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if home, err = settle(ctx, sandbox.Options{Log: os.Stderr}); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	code := m.Run()
	if err := home.leave(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// settle starts a cluster and puts the product into it. What fails leaves nothing running.
func settle(ctx context.Context, options sandbox.Options) (*place, error) {
	cluster, err := sandbox.Start(ctx, options)
	if err != nil {
		return nil, err
	}
	p := &place{cluster: cluster, manager: &daemon{dir: cluster.Dir()}}
	if err := p.install(ctx); err != nil {
		return nil, errors.Join(err, cluster.Stop())
	}
	return p, nil
}

func (p *place) install(ctx context.Context) (err error) {
	if err := p.cluster.InstallGatewayAPI(ctx); err != nil {
		return err
	}
	if home != nil {
		p.manager.binaries = home.manager.binaries
	} else {
		p.manager.binaries = filepath.Join(p.cluster.Dir(), "product")
		if err := product.Build(ctx, p.manager.binaries, os.Stderr, "manager"); err != nil {
			return err
		}
	}
	if p.manager.kubeconfig, err = product.Install(ctx, p.cluster); err != nil {
		return err
	}
	if err := p.manager.start(ctx); err != nil {
		return err
	}
	p.user, err = p.newUser(nil)
	return err
}

// leave stops everything, and shows what the managers have logged that they should not have had to.
func (p *place) leave() error {
	p.manager.running.Stop()
	return errors.Join(p.manager.complaints(), p.cluster.Stop())
}

// newUser returns a client of a user who may do everything, and hears warnings.
func (p *place) newUser(warnings rest.WarningHandlerWithContext) (client.Client, error) {
	config := rest.CopyConfig(p.cluster.Config())
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
