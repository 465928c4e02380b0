// SPDX-License-Identifier: Apache-2.0

package world_test

import (
	"fmt"
	"testing"
	"time"
)

// TestQuickControllers: the controllers of the cluster see each write on its own, and not a pass as a whole; or they see nothing for several
// passes. A release, its abort and scaling in the middle of it come to the same end all the same, through every division between two versions.
func TestQuickControllers(t *testing.T) {
	t.Parallel()
	played := func(t *testing.T, c conformer, n, size int, scaled, quick bool, passes int) string {
		r := c.conform(t, n, fmt.Sprintf("{steps: [{replicas: %d, pause: {}}, {replicas: 100%%}]}", size))
		r.Quick, r.Passes = quick, passes
		r.image("2")
		r.pass(2 * time.Minute)
		seen := r.images()
		if scaled {
			r.scale(0)
			r.pass(time.Minute)
			r.scale(n)
			r.pass(2 * time.Minute)
			seen += ", scaled " + r.images()
		}
		r.abort()
		r.pass(5 * time.Minute)
		return seen + ", aborted " + r.images()
	}
	for name, c := range kinds {
		for i := range 12 {
			n, size, scaled := []int{1, 2, 4, 5, 5, 5}[i/2], []int{1, 2, 3, 2, 3, 5}[i/2], i%2 > 0
			if c.of == "DaemonSet" && n < 5 {
				continue // there are five nodes
			}
			t.Run(fmt.Sprintf("%s, %d of %d, scaled %t", name, size, n, scaled), func(t *testing.T) {
				t.Parallel()
				want := played(t, c, n, size, scaled, false, 1)
				if got := played(t, c, n, size, scaled, true, 1); got != want {
					t.Errorf("with quick controllers %s, want %s", got, want)
				}
				if got := played(t, c, n, size, scaled, false, 2+i%3); got != want {
					t.Errorf("with controllers that look every %d passes %s, want %s", 2+i%3, got, want)
				}
			})
		}
	}
}
