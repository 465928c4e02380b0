// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"kruise.io/rollouts/sandbox"
	"kruise.io/rollouts/sandbox/product"
)

//go:embed tutorial
var tutorial embed.FS

// run brings everything up, plays, and takes everything down.
func run(ctx context.Context, out io.Writer, o sandbox.Options, keep bool) (err error) {
	if withGateway() {
		o.Gateway = &sandbox.GatewayOptions{Throttle: 100 * time.Millisecond}
		// Should it have to be built, that is no part of the start.
		if _, err := sandbox.BuildPrometheus(ctx, o.Log); err != nil {
			return err
		}
	}
	c, err := sandbox.Start(ctx, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Stop()) }()
	binaries := filepath.Join(c.Dir(), "product")
	m, err := install(ctx, c, binaries, o.Log)
	if err != nil {
		return err
	}
	defer m.Stop()

	p, err := newPlayer(c, binaries, out)
	if err != nil {
		return err
	}
	if err := play(ctx, out, c, p); err != nil {
		return fmt.Errorf("%w; the manager logged to %s", err, m.Log)
	}
	if !keep {
		return nil
	}
	_, _ = fmt.Fprintf(out, "\nEverything stays up until Ctrl-C. In another terminal:\n\n  export KUBECONFIG=%s\n  export PATH=%s:%s:$PATH\n  kubectl get rollout\n",
		c.Kubeconfig(), c.Bin(), binaries)
	select {
	case <-ctx.Done():
		return nil
	case <-c.Failed():
		return c.Err()
	}
}

// install builds the product and starts its manager, which is told of a Prometheus that reads the gateway, where there is one.
func install(ctx context.Context, c *sandbox.Cluster, binaries string, log io.Writer) (*product.Manager, error) {
	prometheus, starting := (*sandbox.Prometheus)(nil), make(chan error, 1) // it takes as long as the build
	go func() {
		var err error
		if withGateway() {
			prometheus, err = c.StartPrometheus(ctx)
		}
		starting <- err
	}()
	built := product.Build(ctx, binaries, log, "manager", "kubectl-kruise")
	if err := errors.Join(built, <-starting); err != nil {
		return nil, err
	}
	_, _ = fmt.Fprintln(log, "installing config/install.yaml and starting the manager")
	kubeconfig, err := product.Install(ctx, c)
	if err != nil {
		return nil, err
	}
	var args []string
	if prometheus != nil { // on this host, where no provider may be by default
		args = []string{"--prometheus-address=" + prometheus.Address, "--analysis-allow-cidrs=127.0.0.1/32"}
	}
	return product.Start(ctx, binaries, kubeconfig, c.Dir(), args...)
}

// play plays all releases.
func play(ctx context.Context, out io.Writer, c *sandbox.Cluster, p *player) error {
	if err := p.play(ctx, script); err != nil {
		return err
	}
	if !withGateway() {
		_, _ = fmt.Fprintln(out, "\nThe other releases, which have requests, need root: their pods listen in a network namespace of their own.")
		return nil
	}
	if err := canary(ctx, out, c, p); err != nil {
		return err
	}
	return metrics(ctx, out, c, p)
}

// newPlayer puts the tutorial's files where its commands find them.
func newPlayer(c *sandbox.Cluster, binaries string, out io.Writer) (*player, error) {
	p := &player{out: out, dir: filepath.Join(c.Dir(), "tutorial"), shell: "/bin/sh"}
	if err := os.MkdirAll(p.dir, 0o755); err != nil {
		return nil, fmt.Errorf("making a directory: %w", err)
	}
	files, err := tutorial.ReadDir("tutorial")
	if err != nil {
		return nil, fmt.Errorf("reading the tutorial: %w", err)
	}
	for _, file := range files {
		content, err := tutorial.ReadFile("tutorial/" + file.Name())
		if err != nil {
			return nil, fmt.Errorf("reading the tutorial: %w", err)
		}
		if err := os.WriteFile(filepath.Join(p.dir, file.Name()), content, 0o600); err != nil {
			return nil, fmt.Errorf("writing the tutorial: %w", err)
		}
	}
	p.env = append(os.Environ(), "KUBECONFIG="+c.Kubeconfig(),
		"PATH="+c.Bin()+string(filepath.ListSeparator)+binaries+string(filepath.ListSeparator)+os.Getenv("PATH"))
	return p, nil
}

// player runs commands as a user would type them.
type player struct {
	out        io.Writer
	dir, shell string
	env        []string
}

func (p *player) play(ctx context.Context, script []act) error {
	for _, a := range script {
		if a.say != "" {
			_, _ = fmt.Fprintf(p.out, "\n# %s\n", a.say)
		}
		if a.run != "" {
			answer, err := p.command(ctx, a.run).CombinedOutput()
			if err != nil {
				return fmt.Errorf("%s: %w\n%s", a.run, err, answer)
			}
			_, _ = fmt.Fprintf(p.out, "$ %s\n%s", a.run, answer)
		}
		for _, wait := range a.until {
			if out, err := p.command(ctx, "kubectl wait --timeout=60s "+wait).CombinedOutput(); err != nil {
				return fmt.Errorf("waiting for %s: %w\n%s", wait, err, out)
			}
		}
	}
	return nil
}

func (p *player) command(ctx context.Context, line string) *exec.Cmd {
	c := exec.CommandContext(ctx, p.shell, "-c", line) //nolint:gosec // lines of our own script
	c.Dir, c.Env = p.dir, p.env
	return c
}
