// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"log/slog"

	"kruise.io/rollouts/sandbox/internal/kruise"
)

//go:embed kruise.yaml
var kruiseCRDs []byte

// InstallKruise installs the kinds CloneSet, StatefulSet and DaemonSet of the group apps.kruise.io, and runs controllers for them
// until the sandbox is stopped. It returns when all of this works. Both the kinds and the controllers are the sandbox's own,
// written from OpenKruise's documentation. To call it again does no harm.
func (c *Cluster) InstallKruise(ctx context.Context) error {
	c.installing.Lock()
	defer c.installing.Unlock()
	c.mu.Lock()
	stopping, running := c.stopping, c.kruiseDone != nil
	c.mu.Unlock()
	switch {
	case stopping:
		return errors.New("installing OpenKruise's kinds: the sandbox is being stopped")
	case running:
		return nil
	}
	if err := c.kubectl(ctx, kruiseCRDs, "apply", "--server-side", "--filename=-"); err != nil {
		return fmt.Errorf("installing OpenKruise's kinds: %w", err)
	}
	if err := c.kubectl(ctx, kruiseCRDs, "wait", "--for=condition=Established", "--timeout=1m", "--filename=-"); err != nil {
		return fmt.Errorf("installing OpenKruise's kinds: %w", err)
	}
	if err := c.wait(ctx, "OpenKruise's kinds to be served", func() error { // a moment after they are established
		return c.kubectl(ctx, nil, "get", "clonesets.apps.kruise.io,statefulsets.apps.kruise.io,daemonsets.apps.kruise.io", "--all-namespaces")
	}); err != nil {
		return err
	}
	return c.startKruise(ctx)
}

// startKruise runs the controllers and returns when they know what is there.
func (c *Cluster) startKruise(ctx context.Context) error {
	config, err := c.authority.config(c.server(), kruiseUser, []string{ownerGroup})
	if err != nil {
		return err
	}
	runner := &kruise.Runner{Config: config, Log: slog.New(slog.NewTextHandler(c.log, nil))}
	running, cancel := context.WithCancel(context.WithoutCancel(ctx))
	ready, done := make(chan struct{}), make(chan struct{})
	c.mu.Lock()
	if c.stopping {
		c.mu.Unlock()
		cancel()
		return errors.New("starting OpenKruise's controllers: the sandbox is being stopped")
	}
	c.stopKruise, c.kruiseDone = cancel, done
	c.mu.Unlock()
	go func() {
		defer close(done)
		if err := runner.Run(running, func() { close(ready) }); err != nil {
			c.fail(fmt.Errorf("running OpenKruise's controllers: %w", err))
		}
	}()
	select {
	case <-ready:
		return nil
	case <-done:
		return errors.New("starting OpenKruise's controllers: they ended")
	case <-c.failed:
		return c.failure
	case <-ctx.Done():
		return fmt.Errorf("waiting for OpenKruise's controllers: %w", context.Cause(ctx))
	}
}
