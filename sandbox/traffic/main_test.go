// SPDX-License-Identifier: Apache-2.0

// Package traffic takes whole releases through a real gateway under load, and looks for the requests that they lose.
package traffic

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

// atOnce is how many releases run at a time. They wait more than they work, so that is more than there are cores. With the
// rate of each it has to stay well below what two slow cores can do: load that keeps its rate never lets a gateway
// catch up that has once fallen behind, and then every loss is ours and none is the product's. On virtual cores with dear
// system calls, 1,600 requests a second were too many, half of them with connections of their own.
const atOnce = "4"

// common is the site of all tests but one.
var common *site

// binaries are those of the product, for every site.
var binaries string

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(runAll(context.Background(), m)) //nolint:forbidigo // nobody gives us one here
}

func runAll(ctx context.Context, m *testing.M) int {
	klog.LogToStderr(false)
	ctrl.SetLogger(klog.Background())
	if err := flag.Set("test.parallel", atOnce); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if err := setUp(ctx); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(binaries)
	code := m.Run()
	return max(code, common.close())
}

func setUp(ctx context.Context) error {
	var err error
	if binaries, err = os.MkdirTemp("", "kruise-traffic-"); err != nil {
		return err
	}
	if err := product.Build(ctx, binaries, os.Stderr, "manager"); err != nil {
		return err
	}
	common, err = newSite(ctx, 100*time.Millisecond)
	return err
}

// site is a cluster with a gateway and the product in it. Each release has a namespace and a host of its own there.
type site struct {
	cluster *sandbox.Cluster
	gateway sandbox.Gateway
	user    client.WithWatch
	slack   time.Duration // how long the gateway may go on with what has changed, at most

	kubeconfig string     // the manager's
	mu         sync.Mutex // held while there is none
	manager    *product.Manager
	logs       []string // of all managers
}

// newSite makes a site whose gateway lets so much time pass between two changes; 0 is the gateway's own.
func newSite(ctx context.Context, throttle time.Duration) (*site, error) {
	s := &site{slack: 3 * time.Second} // the gateway's own throttle is 2 s
	if throttle > 0 {
		s.slack = throttle + time.Second
	}
	var err error
	if s.cluster, err = sandbox.Start(ctx, sandbox.Options{Log: os.Stderr, Gateway: &sandbox.GatewayOptions{Throttle: throttle}}); err != nil {
		return nil, err
	}
	if err := s.furnish(ctx); err != nil {
		_ = s.cluster.Stop()
		return nil, err
	}
	return s, nil
}

func (s *site) furnish(ctx context.Context) error {
	var err error
	if s.gateway, err = s.cluster.Gateway(); err != nil {
		return err
	}
	scheme := controller.Scheme()
	if err := gatewayv1.Install(scheme); err != nil {
		return err
	}
	config := rest.CopyConfig(s.cluster.Config())
	config.WarningHandlerWithContext = rest.NoWarnings{}
	if s.user, err = client.NewWithWatch(config, client.Options{Scheme: scheme}); err != nil {
		return err
	}
	if s.kubeconfig, err = product.Install(ctx, s.cluster); err != nil {
		return err
	}
	return s.start(ctx)
}

// start starts the manager in a directory of its own.
func (s *site) start(ctx context.Context) error {
	dir := filepath.Join(s.cluster.Dir(), fmt.Sprintf("manager-%d", len(s.logs)))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	m, err := product.Start(ctx, binaries, s.kubeconfig, dir)
	if err != nil {
		return err
	}
	s.manager, s.logs = m, append(s.logs, m.Log)
	return nil
}

// crash ends the manager as a crash would, and starts another.
func (s *site) crash(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.manager.Kill()
	return s.start(ctx)
}

// close removes everything. It returns an exit code: not 0 where a manager has logged what it should not have had to.
func (s *site) close() int {
	s.manager.Stop()
	code := 0
	for _, name := range s.logs {
		code = max(code, complaints(name))
	}
	if err := s.cluster.Stop(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

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
		line := strings.ToLower(lines.Text())
		forbidden := strings.Contains(line, "forbidden") && !strings.Contains(line, "exceeded quota") // a story has a quota
		if forbidden || strings.Contains(line, "panic") {
			fmt.Fprintln(os.Stderr, lines.Text())
			code = 1
		}
	}
	return code
}
