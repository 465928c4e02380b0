// SPDX-License-Identifier: Apache-2.0

package traffic

import (
	"context"
	"testing"

	"kruise.io/rollouts/api/v1beta1"
)

// TestCrashes kills the manager whenever one of several releases comes to another state, so that each goes on with what the
// last manager has left behind.
func TestCrashes(t *testing.T) {
	moved := make(chan struct{}, 1) // more while a manager starts count as one
	tell := func(e entry) {
		if e.phase != v1beta1.PhaseProgressing {
			return
		}
		select {
		case moved <- struct{}{}:
		default:
		}
	}
	done, crashes := make(chan struct{}), 0
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	go func() {
		defer close(done)
		for {
			select {
			case <-moved:
			case <-ctx.Done():
				return
			}
			if err := common.crash(ctx); err != nil && ctx.Err() == nil {
				t.Errorf("restarting the manager: %v", err)
				return
			}
			crashes++
		}
	}()
	t.Run("releases", func(t *testing.T) {
		for _, k := range kinds() {
			if (k.style == "canary") == (k.drain == 0) {
				continue // every style and every route; all starting anew is work, too
			}
			t.Run(k.String(), func(t *testing.T) {
				t.Parallel()
				r := newRun(t, common, k, k.steps("{}")[:2], nil, tell)
				defer r.check()
				r.to("v2")
				r.pause(1, "v2", 20)
				r.approve()
				r.pause(2, "v2", 60)
				if k.drain > 0 {
					r.approve()
					r.over("True", "v2")
					return
				}
				r.back()
			})
		}
	})
	stop()
	<-done
	t.Logf("%d managers were killed", crashes)
}
