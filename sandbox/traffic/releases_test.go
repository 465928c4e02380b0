// SPDX-License-Identifier: Apache-2.0

package traffic

import (
	"math/bits"
	"net/http"
	"testing"
	"time"
)

// kinds is all that is released. Their gateway has two seconds: it takes up a change within one, but for when this machine is busy.
func kinds() []kind {
	var all []kind
	for _, style := range []string{"partition", "canary"} {
		for _, route := range []string{"HTTPRoute", "Ingress"} {
			for _, drain := range []time.Duration{0, 5 * time.Second} {
				all = append(all, kind{style: style, route: route, drain: drain, grace: 2})
			}
		}
	}
	return all
}

// steps of a release. With five pods instead of 100 %, the last has a pause as well; batches have none left to share with.
func (k kind) steps(pause string) []string {
	last := "{replicas: 5, pause: " + pause + "}"
	if k.style == "canary" {
		last = "{replicas: 5, traffic: 100%, pause: " + pause + "}"
	}
	return []string{"{replicas: 20%, traffic: 20%, pause: " + pause + "}", "{replicas: 60%, traffic: 60%, pause: " + pause + "}", last}
}

var beta = http.Header{"User": {"beta"}}

// stories are what becomes of releases.
var stories = []struct {
	name string
	play func(*testing.T, kind)
}{
	{"to the end", func(t *testing.T, k kind) {
		r := newRun(t, common, k, k.steps("{duration: 6}"), nil, nil)
		defer r.check()
		r.to("v2")
		r.pause(1, "v2", 20)
		r.pause(2, "v2", 60)
		r.pause(3, "v2", 100)
		r.over("True", "v2")
	}},
	{"by header", func(t *testing.T, k kind) {
		steps := k.steps("{}")
		steps[0] = "{replicas: 1, matches: [{headers: [{name: user, value: beta}]}], pause: {}}"
		r := newRun(t, common, k, steps[:2], beta, nil)
		defer r.check()
		r.to("v2")
		e := r.journal.until(t, "in the pause of step 1", func(e entry) bool { return e.paused(1) })
		r.measure(e.at, "v2", map[bool]int{true: 100, false: 0})
		r.approve()
		r.pause(2, "v2", 60)
		r.approve()
		r.over("True", "v2")
	}},
	{"back", func(t *testing.T, k kind) {
		r := newRun(t, common, k, k.steps("{}"), nil, nil)
		defer r.check()
		r.to("v2")
		r.pause(1, "v2", 20)
		r.approve()
		r.pause(2, "v2", 60)
		r.back()
	}},
	{"another", func(t *testing.T, k kind) {
		r := newRun(t, common, k, k.steps("{}"), nil, nil)
		defer r.check()
		r.to("v2")
		r.pause(1, "v2", 20)
		r.approve()
		r.pause(2, "v2", 60)
		r.to("v3")
		r.pause(1, "v3", 20)
		r.approve()
		r.pause(2, "v3", 60)
		r.approve()
		r.pause(3, "v3", 100)
		r.approve()
		r.over("True", "v3")
	}},
	{"left", func(t *testing.T, k kind) {
		r := newRun(t, common, k, k.steps("{}"), nil, nil)
		defer r.check()
		r.to("v2")
		r.pause(1, "v2", 20)
		r.note("> delete the Rollout")
		r.leave()
		r.journal.until(t, "gone", func(e entry) bool { return e.phase == gone })
		r.end("v2")
	}},
}

// TestReleases plays a release to the end with everything that is released, and every other story so that each two of style,
// route and drain meet in it.
func TestReleases(t *testing.T) {
	for i, story := range stories {
		for j, k := range kinds() {
			if i > 0 && bits.OnesCount(uint(j))&1 != i&1 { //nolint:gosec // an index
				continue
			}
			t.Run(story.name+"/"+k.String(), func(t *testing.T) {
				t.Parallel()
				story.play(t, k)
			})
		}
	}
}
