// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"

	ctrl "sigs.k8s.io/controller-runtime"
)

// start runs a manager until ctx ends, and closes synced once its caches are. It sees no end of ctx before its caches are synced: its own start waits for them for
// ever, and busily once its context has ended (TestStopBeforeReady). There is nothing to tidy up by then, no lease and no
// controller, so that the process can simply go.
func start(ctx context.Context, mgr ctrl.Manager, synced chan struct{}) error {
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	begun := &beginning{stop: stop, synced: synced}
	if err := mgr.Add(begun); err != nil {
		return fmt.Errorf("adding the beginning: %w", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- mgr.Start(running) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	select {
	case <-begun.synced:
		begun.stop()
		return <-ended
	default:
		mgr.GetLogger().Info("stopped before the caches were synced")
		return nil
	}
}

// beginning is the first of what a manager starts after its caches: from then on it can be stopped.
type beginning struct {
	stop   context.CancelFunc
	synced chan struct{}
}

func (*beginning) NeedLeaderElection() bool { return false }

func (b *beginning) Start(context.Context) error {
	close(b.synced)
	return nil
}
