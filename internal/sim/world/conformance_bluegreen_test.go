// SPDX-License-Identifier: Apache-2.0

package world_test

import (
	"fmt"
	"testing"
	"time"

	"sigs.k8s.io/yaml"

	"kruise.io/rollouts/api/v1beta1"
	"kruise.io/rollouts/internal/workload"
)

// blueGreen are the kinds that can run both versions in full. One without a driver yet is skipped, and says so.
var blueGreen = map[string]conformer{
	"Deployment":        {version: "apps/v1", of: "Deployment"},
	"Deployment/paused": {version: "apps/v1", of: "Deployment", paused: true},
	"CloneSet/v1alpha1": {version: alpha, of: "CloneSet", whole: true},
	"CloneSet/v1beta1":  {version: beta, of: "CloneSet", whole: true},
}

// both makes a workload of 5 pods and a blue-green Rollout, and brings all new pods beside the old ones.
func (c conformer) both(t *testing.T) *release {
	t.Helper()
	if workload.DriverFor(v1beta1.ObjectRef{APIVersion: c.version, Kind: c.of}, v1beta1.BlueGreenRollingStyle) == nil {
		t.Skip("there is no driver of this kind in blue-green style")
	}
	r := &release{stage: newStage(t, c.version, c.of, "{replicas: 5}"), conformer: c}
	ro := &v1beta1.Rollout{}
	r.must(yaml.Unmarshal(fmt.Appendf(nil, `{metadata: {name: web, namespace: default}, spec: {workloadRef: {apiVersion: %s, kind: %s, name: web},
		strategy: {blueGreen: {steps: [{replicas: 40%%}, {replicas: 100%%}, {replicas: 100%%}]}}}}`, c.version, c.of), ro))
	r.must(r.User.Create(t.Context(), ro))
	r.run("made", "1:5")
	r.pause()
	r.Frozen = true
	r.image("2")
	r.run("held", "1:5")
	r.Frozen = false
	r.run("step 1", map[bool]string{false: "1:5 2:2", true: "1:5 2:5"}[c.whole])
	r.approve()
	r.run("step 2", "1:5 2:5")
	return r
}

func TestConformanceBlueGreen(t *testing.T) {
	t.Parallel()
	for name, c := range blueGreen {
		for test, do := range map[string]func(*testing.T, *release){
			"through": func(t *testing.T, r *release) {
				t.Helper()
				r.approve()
				r.run("step 3", "1:5 2:5")
				r.approve()
				r.run("all", "2:5")
				r.phase("all", v1beta1.PhaseHealthy)
			},
			"back": func(t *testing.T, r *release) {
				t.Helper()
				r.image("1")
				if least := r.fewest(func() { r.run("back", "1:5") }); least < 4 {
					t.Errorf("only %d pods were ready", least)
				}
				r.phase("back", v1beta1.PhaseHealthy)
			},
			"disabled": func(t *testing.T, r *release) {
				t.Helper()
				r.edit("{spec: {disabled: true}}")
				r.run("disabled", "2:5")
				r.phase("disabled", v1beta1.PhaseDisabled)
			},
			"deleted": func(t *testing.T, r *release) {
				t.Helper()
				r.must(r.User.Delete(t.Context(), r.rollout()))
				r.run("deleted", "2:5")
				if r.rollout().Name != "" {
					t.Error("the Rollout is still there")
				}
			},
			"left where it is": func(t *testing.T, r *release) {
				t.Helper()
				r.KeepPaused = true
				r.Restart()
				r.leave("1:5 2:5")
				r.image("3")
				for range 3 {
					r.pass(2 * time.Minute)
					r.approve()
				}
				r.run("all", "3:5")
				r.phase("all", v1beta1.PhaseHealthy)
			},
			"restarted": func(t *testing.T, r *release) {
				t.Helper()
				r.Restart()
				r.run("restarted", "1:5 2:5")
				r.image("1")
				r.run("back", "1:5")
			},
		} {
			t.Run(name+"/"+test, func(t *testing.T) {
				t.Parallel()
				r := c.both(t)
				do(t, r)
				r.restored()
			})
		}
	}
}
