// SPDX-License-Identifier: Apache-2.0

// Command bench measures releases in a sandbox: N at once of a Deployment of 5 pods in 5 steps without pauses, in place,
// and next to it with requests routed by an Ingress and by an HTTPRoute; of every other kind and style; and of a CloneSet of
// 1,000 pods. It prints how long they take, how many API calls of
// the manager each costs, and the manager's processor time and peak memory. With the argument analysis it holds 500 releases at a step
// that is measured every ten seconds instead, and prints what that costs while nothing else happens.
package main

import (
	"context"
	"errors"
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
	rollouts := flag.Int("held", 500, "how many releases are held for analysis")
	window := flag.Duration("window", 2*time.Minute, "for how long they are measured")
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
			if arg == "analysis" { // only where it is asked for: it takes a quarter of an hour
				for _, v := range held {
					runs = append(runs, measured{*rollouts, v})
				}
				continue
			}
			n := 0
			if _, err := fmt.Sscan(arg, &n); err != nil || n < 1 {
				fmt.Fprintf(os.Stderr, "bench: %q is no number of releases, and none of routed, kinds, large, analysis\n", arg)
				os.Exit(2)
			}
			runs = append(runs, measured{n, inPlace})
		}
	}
	if err := run(ctx, runs, *calls, *keep, *window); err != nil {
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

func run(ctx context.Context, runs []measured, calls bool, keep string, window time.Duration) (err error) {
	dir, err := os.MkdirTemp("", "kruise-bench-")
	if err != nil {
		return fmt.Errorf("making a directory: %w", err)
	}
	defer os.RemoveAll(dir)
	if err := product.Build(ctx, dir, os.Stderr, "manager"); err != nil {
		return err
	}
	titled := map[bool]bool{}
	for _, r := range runs {
		if !titled[r.held] {
			titled[r.held] = true
			title(r.held)
		}
		do := func() error { return measure(ctx, dir, r, calls, keep) }
		if r.held {
			do = func() error { return measureHeld(ctx, dir, r, calls, keep, window) }
		}
		if err := do(); err != nil {
			return fmt.Errorf("%d releases %s: %w", r.n, r.name, err)
		}
	}
	return nil
}

// title writes the head of a table.
func title(held bool) {
	if held {
		fmt.Println("releases of 2 pods, held at their first step by an analysis; all figures but cpu and memory per minute")
		fmt.Printf("%-42s %8s %8s %10s %10s %10s %10s %16s\n", "measured every 10 s", "releases", "cores", "resident", "Go heap", "queries", "writes", "writes/release")
		return
	}
	fmt.Println("one release: a workload of 5 pods (a Deployment unless told), 5 steps, every pause 0 s; pods are ready at once")
	fmt.Printf("%-26s %8s %10s %8s %8s %8s %8s %8s %10s %10s\n", "style", "releases", "wall", "p50", "p99", "writes", "reads", "idle", "cpu", "memory")
}

// inSandbox does something with a manager in a sandbox of their own, and returns what the manager has used.
func inSandbox(ctx context.Context, binaries string, r measured, keep string, args []string, do func(*sandbox.Cluster, *product.Manager) error) (_ product.Usage, err error) {
	nodes := 10
	if r.of().perNode {
		nodes = pods
	}
	c, err := sandbox.Start(ctx, sandbox.Options{Nodes: nodes, Log: os.Stderr})
	if err != nil {
		return product.Usage{}, err
	}
	defer func() { err = errors.Join(err, c.Stop()) }()
	if err := c.InstallGatewayAPI(ctx); err != nil {
		return product.Usage{}, err
	}
	if !r.held { // its manager would have a share of the processors
		if err := c.InstallKruise(ctx); err != nil {
			return product.Usage{}, err
		}
	}
	kubeconfig, err := product.Install(ctx, c)
	if err != nil {
		return product.Usage{}, err
	}
	m, err := product.Start(ctx, binaries, kubeconfig, c.Dir(), append(args, verbosity(keep)...)...)
	if err != nil {
		return product.Usage{}, err
	}
	err = do(c, m)
	usage := m.Stop()
	if keep != "" {
		log, _ := os.ReadFile(m.Log)
		_ = os.WriteFile(filepath.Clean(keep), log, 0o600)
	}
	return usage, err
}

// measure runs releases at once in a sandbox of their own.
func measure(ctx context.Context, binaries string, r measured, calls bool, keep string) error {
	b := &bench{measured: r}
	var cpu time.Duration
	var counted map[sandbox.Call]int
	idle := 0
	usage, err := inSandbox(ctx, binaries, r, keep, nil, func(c *sandbox.Cluster, m *product.Manager) error {
		b.config = c.Config()
		if err := b.prepare(ctx); err != nil {
			return err
		}
		if err := b.warmUp(ctx); err != nil {
			return err
		}
		before := m.CPU()
		if err := b.release(ctx, "app:v2"); err != nil {
			return err
		}
		cpu = m.CPU() - before
		user, _ := product.User()
		ended := time.Now()
		var err error
		if counted, err = sandbox.CountCalls(c.AuditLog(), user, b.began); err != nil {
			return err
		}
		idle, err = idling(ctx, c.AuditLog(), user, ended)
		return err
	})
	if err != nil {
		return err
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
