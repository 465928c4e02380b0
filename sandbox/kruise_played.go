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

//go:embed kruise_played.yaml
var playedCRDs []byte

// PlayKruise installs the kinds CloneSet, StatefulSet and DaemonSet of the group apps.kruise.io, and runs controllers for them
// until the sandbox is stopped. It returns when all of this works. Both are the sandbox's own, written from OpenKruise's
// documentation: for API versions and orders of events that the real one does not give. A sandbox has either these or the
// real one. To call it again does no harm.
func (c *Cluster) PlayKruise(ctx context.Context) error {
	return c.installKruise(playedKruise, func() error {
		if err := c.kubectl(ctx, playedCRDs, "apply", "--server-side", "--filename=-"); err != nil {
			return fmt.Errorf("installing OpenKruise's kinds: %w", err)
		}
		if err := c.waitAdmission(ctx); err != nil {
			return err
		}
		return c.startPlaying(ctx)
	})
}

// startPlaying runs the controllers and returns when they know what is there.
func (c *Cluster) startPlaying(ctx context.Context) error {
	config, err := c.authority.config(c.server(), playedUser, []string{ownerGroup})
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
	c.stopPlaying, c.playingDone = cancel, done
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
