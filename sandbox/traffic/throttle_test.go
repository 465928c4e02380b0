// SPDX-License-Identifier: Apache-2.0

package traffic

import (
	"testing"
)

// TestDefaultThrottle has a gateway with its defaults, which lets 2 s pass between two changes: what a release waits for by
// default has to be enough for it. It goes back with pods that stop at once: those of the new version go too early where
// that is not so.
func TestDefaultThrottle(t *testing.T) {
	at, err := newSite(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if at.close() != 0 {
			t.Error("closing the site, or what managers logged: see above")
		}
	}()
	t.Run("releases", func(t *testing.T) {
		for _, style := range []string{"partition", "canary"} {
			for _, route := range []string{"HTTPRoute", "Ingress"} {
				k := kind{style: style, route: route, grace: 3}
				t.Run(k.String(), func(t *testing.T) {
					t.Parallel()
					r := newRun(t, at, k, k.steps("{}"), nil, nil)
					defer r.check()
					r.to("v2")
					r.pause(1, "v2", 20)
					r.approve()
					r.pause(2, "v2", 60)
					r.back()
				})
			}
		}
	})
}
