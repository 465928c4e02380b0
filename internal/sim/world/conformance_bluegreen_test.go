// SPDX-License-Identifier: Apache-2.0

package world_test

import (
	"fmt"
	"strings"
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

// blueGreenStrategies are the same with a strategy of their user's, which have to come to every end.
var blueGreenStrategies = map[string]conformer{
	"Deployment/Recreate":                {version: "apps/v1", of: "Deployment", spec: "{strategy: {type: Recreate}}"},
	"Deployment/maxSurge 0":              {version: "apps/v1", of: "Deployment", spec: "{strategy: {type: RollingUpdate, rollingUpdate: {maxSurge: 0, maxUnavailable: 1}}}"},
	"Deployment/maxUnavailable 0":        {version: "apps/v1", of: "Deployment", spec: "{strategy: {type: RollingUpdate, rollingUpdate: {maxSurge: 1, maxUnavailable: 0}}}"},
	"Deployment/minReadySeconds":         {version: "apps/v1", of: "Deployment", spec: "{minReadySeconds: 5}"},
	"Deployment/paused, minReady":        {version: "apps/v1", of: "Deployment", paused: true, spec: "{minReadySeconds: 5}"},
	"CloneSet/v1alpha1/paused":           {version: alpha, of: "CloneSet", whole: true, strategy: "{paused: true}"},
	"CloneSet/v1alpha1/partition":        {version: alpha, of: "CloneSet", whole: true, strategy: "{partition: 4}", staysOnDelete: true},
	"CloneSet/v1alpha1/partition 80%":    {version: alpha, of: "CloneSet", whole: true, strategy: "{partition: 80%}", staysOnDelete: true},
	"CloneSet/v1alpha1/partition, surge": {version: alpha, of: "CloneSet", whole: true, strategy: "{partition: 4, maxSurge: 1, maxUnavailable: 0}", staysOnDelete: true},
	"CloneSet/v1alpha1/maxSurge 0":       {version: alpha, of: "CloneSet", whole: true, strategy: "{maxSurge: 0, maxUnavailable: 1}"},
	"CloneSet/v1alpha1/maxUnavailable 0": {version: alpha, of: "CloneSet", whole: true, strategy: "{maxSurge: 1, maxUnavailable: 0}"},
	"CloneSet/v1alpha1/minReadySeconds":  {version: alpha, of: "CloneSet", whole: true, spec: "{minReadySeconds: 5}"},
	"CloneSet/v1alpha1/all of it":        {version: alpha, of: "CloneSet", whole: true, strategy: "{paused: true, partition: 4, maxSurge: 1, maxUnavailable: 0}", spec: "{minReadySeconds: 5}", staysOnDelete: true},
	"CloneSet/v1beta1/paused":            {version: beta, of: "CloneSet", whole: true, strategy: "{rollingUpdate: {paused: true}}"},
	"CloneSet/v1beta1/partition":         {version: beta, of: "CloneSet", whole: true, strategy: "{rollingUpdate: {partition: 4}}", staysOnDelete: true},
	"CloneSet/v1beta1/maxSurge 0":        {version: beta, of: "CloneSet", whole: true, strategy: "{rollingUpdate: {maxSurge: 0, maxUnavailable: 1}}"},
	"CloneSet/v1beta1/minReadySeconds":   {version: beta, of: "CloneSet", whole: true, spec: "{minReadySeconds: 5}"},
}

// beside makes a workload of 5 pods and a blue-green Rollout with steps.
func (c conformer) beside(t *testing.T, steps string) *release {
	t.Helper()
	if workload.DriverFor(v1beta1.ObjectRef{APIVersion: c.version, Kind: c.of}, v1beta1.BlueGreenRollingStyle) == nil {
		t.Skip("there is no driver of this kind in blue-green style")
	}
	r := &release{stage: newStage(t, c.version, c.of, c.own(t, 5)), conformer: c}
	ro := &v1beta1.Rollout{}
	r.must(yaml.Unmarshal(fmt.Appendf(nil, `{metadata: {name: web, namespace: default}, spec: {workloadRef: {apiVersion: %s, kind: %s, name: web},
		strategy: {blueGreen: %s}}}`, c.version, c.of, steps), ro))
	r.must(r.User.Create(t.Context(), ro))
	r.run("made", "1:5")
	r.pause()
	return r
}

// both brings all new pods next to the old ones.
func (c conformer) both(t *testing.T) *release {
	t.Helper()
	r := c.beside(t, steps("40%", "100%", "100%"))
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
	for _, table := range []map[string]conformer{blueGreen, blueGreenStrategies} {
		for name, c := range table {
			for test, do := range blueGreenEnds {
				t.Run(name+"/"+test, func(t *testing.T) {
					t.Parallel()
					r := c.both(t)
					do(t, r)
					r.restored()
				})
			}
		}
	}
}

// letGoBeside is how 5 old pods and 5 new ones end when no one releases them any more: as their user's own strategy has it.
func (c conformer) letGoBeside() string {
	if c.staysOnDelete {
		return "1:4 2:1"
	}
	return "2:5"
}

// blueGreenEnds are the ways in which a release ends whose versions both stand in full.
var blueGreenEnds = map[string]func(*testing.T, *release){
	"through": func(t *testing.T, r *release) {
		t.Helper()
		r.approve()
		r.run("step 3", "1:5 2:5")
		r.approve()
		if least := r.fewest(func() { r.run("all", "2:5") }); least < 5 {
			t.Errorf("only %d pods were ready", least)
		}
		r.phase("all", v1beta1.PhaseHealthy)
		r.scale(6)
		r.run("scaled afterwards", "2:6")
		r.scale(5)
		r.run("scaled back", "2:5")
	},
	"back": func(t *testing.T, r *release) {
		t.Helper()
		r.image("1")
		if least := r.fewest(func() { r.run("back", "1:5") }); least < 4 {
			t.Errorf("only %d pods were ready", least)
		}
		r.phase("back", v1beta1.PhaseHealthy)
		r.allReady()
	},
	"broken, and back": func(t *testing.T, r *release) {
		t.Helper()
		r.spoil("2")
		r.run("one broken", "1:5 2:5")
		r.image("1")
		r.run("back", "1:5")
		r.phase("back", v1beta1.PhaseHealthy)
		r.allReady()
	},
	"aborted, and back": func(t *testing.T, r *release) {
		t.Helper()
		r.edit(fmt.Sprintf("{metadata: {annotations: {%s: %q}}}", v1beta1.AnnotationAbort, r.rollout().Status.BlueGreenStatus.UpdatedRevision))
		r.run("aborted", "1:5")
		r.phase("aborted", v1beta1.PhaseProgressing)
		r.image("1")
		r.run("back", "1:5")
		r.phase("back", v1beta1.PhaseHealthy)
	},
	"one more version": func(t *testing.T, r *release) {
		t.Helper()
		r.image("3")
		for _, when := range []string{"step 1", "step 2", "step 3"} {
			r.pass(3 * time.Minute)
			if !strings.HasPrefix(r.images(), "1:5 3:") {
				t.Errorf("%s: the pods are %s", when, r.images())
			}
			r.approve()
		}
		r.run("all", "3:5")
		r.phase("all", v1beta1.PhaseHealthy)
	},
	"disabled": func(t *testing.T, r *release) {
		t.Helper()
		r.edit("{spec: {disabled: true}}")
		r.run("disabled", r.letGoBeside())
		r.phase("disabled", v1beta1.PhaseDisabled)
	},
	"deleted": func(t *testing.T, r *release) {
		t.Helper()
		r.must(r.User.Delete(t.Context(), r.rollout()))
		r.run("deleted", r.letGoBeside())
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
}

// TestBlueGreenPartBeside: what a user's own strategy leaves of the old version is left where the steps did not ask for all, and
// said; no pod that was released goes for it.
func TestBlueGreenPartBeside(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		strategy, end string
	}{
		"none":         {"", "2:5"},
		"partition 4":  {"{partition: 4}", "1:3 2:2"},
		"partition 1":  {"{partition: 1}", "1:1 2:4"},
		"paused":       {"{paused: true}", "1:3 2:2"},
		"paused, kept": {"{paused: true, partition: 1}", "1:3 2:2"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := conformer{version: alpha, of: "CloneSet", strategy: c.strategy}.beside(t, steps("40%"))
			r.image("2")
			r.run("step 1", "1:5 2:2")
			r.approve()
			r.run("all", c.end)
			r.phase("all", v1beta1.PhaseHealthy)
			r.restored()
			if m := r.rollout().Status.Message; strings.Contains(m, "own update strategy does not replace them") != (c.end != "2:5") {
				t.Errorf("it says %q", m)
			}
		})
	}
}

// TestBlueGreenScaledBesideOwnPartition: pods that are missing of a set that was scaled out come new at the end, whatever the
// user's partition.
func TestBlueGreenScaledBesideOwnPartition(t *testing.T) {
	t.Parallel()
	r := conformer{version: alpha, of: "CloneSet", whole: true, strategy: "{partition: 4}"}.both(t)
	r.scale(6)
	r.run("scaled", "1:5 2:5")
	r.approve()
	r.run("step 3", "1:5 2:5")
	r.approve()
	r.run("all", "2:6")
	r.phase("all", v1beta1.PhaseHealthy)
}

// TestBlueGreenNeverReadyEnds: a release whose new pods do not become ready is deleted at once where no one waits for them.
func TestBlueGreenNeverReadyEnds(t *testing.T) {
	t.Parallel()
	for _, strategy := range []string{"{paused: true}", "{partition: 4}"} {
		for end, phase := range map[string]v1beta1.RolloutPhase{"{spec: {disabled: true}}": v1beta1.PhaseDisabled, "": v1beta1.PhaseHealthy} {
			t.Run(strategy+end, func(t *testing.T) {
				t.Parallel()
				r := conformer{version: alpha, of: "CloneSet", strategy: strategy}.beside(t, steps("100%"))
				r.breaks("2", "never-ready")
				r.pass(2 * time.Minute)
				if end != "" {
					r.edit(end)
				} else {
					r.mends("1")
				}
				r.pass(5 * time.Minute)
				r.phase("let go", phase)
				r.restored()
			})
		}
	}
}
