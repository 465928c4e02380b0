// SPDX-License-Identifier: Apache-2.0

// Command bench measures releases in a sandbox: N at once of a Deployment of 5 pods in 5 steps without pauses, in place,
// and next to it with requests routed by an Ingress and by an HTTPRoute; of every other kind and style; and of a CloneSet of
// 1,000 pods. It prints how long they take, how many API calls of
// the manager each costs, and the manager's processor time and peak memory.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"kruise.io/rollouts/sandbox"
	"kruise.io/rollouts/sandbox/product"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	calls := flag.Bool("calls", true, "list the manager's API calls by verb and resource")
	keep := flag.String("log", "", "copy the manager's log here")
	flag.Parse()
	sets := map[string][]variant{"routed": routed, "kinds": others, "large": {large}}
	runs := []measured{{1, inPlace}, {50, inPlace}, {200, inPlace}}
	for _, set := range []string{"routed", "kinds", "large"} {
		runs = append(runs, each(sets[set])...)
	}
	if flag.NArg() > 0 {
		runs = nil
		for _, arg := range flag.Args() {
			if set := sets[arg]; set != nil {
				runs = append(runs, each(set)...)
				continue
			}
			n := 0
			if _, err := fmt.Sscan(arg, &n); err != nil || n < 1 {
				fmt.Fprintf(os.Stderr, "bench: %q is no number of releases, and none of routed, kinds, large\n", arg)
				os.Exit(2)
			}
			runs = append(runs, measured{n, inPlace})
		}
	}
	if err := run(ctx, runs, *calls, *keep); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// measured is how many releases are measured at once, and of which kind.
type measured struct {
	n int
	variant
}

// each measures variants one by one.
func each(variants []variant) []measured {
	var runs []measured
	for _, v := range variants {
		runs = append(runs, measured{1, v})
	}
	return runs
}

func run(ctx context.Context, runs []measured, calls bool, keep string) (err error) {
	dir, err := os.MkdirTemp("", "kruise-bench-")
	if err != nil {
		return fmt.Errorf("making a directory: %w", err)
	}
	defer os.RemoveAll(dir)
	if err := product.Build(ctx, dir, os.Stderr, "manager"); err != nil {
		return err
	}
	fmt.Println("one release: a workload of 5 pods (a Deployment unless told), 5 steps, every pause 0 s; pods are ready at once")
	fmt.Printf("%-26s %8s %10s %8s %8s %8s %8s %8s %10s %10s\n", "style", "releases", "wall", "p50", "p99", "writes", "reads", "idle", "cpu", "memory")
	for _, r := range runs {
		if err := measure(ctx, dir, r, calls, keep); err != nil {
			return fmt.Errorf("%d releases %s: %w", r.n, r.name, err)
		}
	}
	return nil
}

// measure runs releases at once in a sandbox of their own.
func measure(ctx context.Context, binaries string, r measured, calls bool, keep string) (err error) {
	nodes := 10
	if r.of().perNode {
		nodes = pods
	}
	c, err := sandbox.Start(ctx, sandbox.Options{Nodes: nodes, Log: os.Stderr})
	if err != nil {
		return err
	}
	defer func() {
		if stopped := c.Stop(); err == nil {
			err = stopped
		}
	}()
	if err := c.InstallGatewayAPI(ctx); err != nil {
		return err
	}
	if err := c.InstallKruise(ctx); err != nil {
		return err
	}
	kubeconfig, err := product.Install(ctx, c)
	if err != nil {
		return err
	}
	m, err := product.Start(ctx, binaries, kubeconfig, c.Dir(), verbosity(keep)...)
	if err != nil {
		return err
	}
	stopped := false
	defer func() {
		if !stopped {
			m.Stop()
		}
	}()
	b := &bench{measured: r, config: c.Config()}
	if err := b.prepare(ctx); err != nil {
		return err
	}
	if err := b.warmUp(ctx); err != nil {
		return err
	}
	cpu := m.CPU()
	if err := b.release(ctx, "app:v2"); err != nil {
		return err
	}
	cpu = m.CPU() - cpu
	user, _ := product.User()
	ended := time.Now()
	counted, err := sandbox.CountCalls(c.AuditLog(), user, b.began)
	if err != nil {
		return err
	}
	idle, err := idling(ctx, c.AuditLog(), user, ended)
	if err != nil {
		return err
	}
	usage := m.Stop()
	stopped = true
	if keep != "" {
		log, _ := os.ReadFile(m.Log)
		_ = os.WriteFile(filepath.Clean(keep), log, 0o600)
	}
	b.print(counted, cpu, usage, idle, calls)
	return nil
}

// settling and watching are how long to let things settle after a release, and then to count the calls of a manager
// that has nothing to do.
const (
	settling = 5 * time.Second
	watching = 10 * time.Second
)

// idling counts the calls that a manager makes while nothing happens, but for watches.
func idling(ctx context.Context, auditLog, user string, ended time.Time) (int, error) {
	select {
	case <-ctx.Done():
		return 0, ctx.Err()
	case <-time.After(settling + watching):
	}
	calls, err := sandbox.CountCalls(auditLog, user, ended.Add(settling))
	n := 0
	for call, count := range calls {
		if call.Verb != "watch" {
			n += count
		}
	}
	return n, err
}

// verbosity makes a log that is kept show every write.
func verbosity(keep string) []string {
	if keep == "" {
		return nil
	}
	return []string{"--v=1"}
}
