// SPDX-License-Identifier: Apache-2.0

package world_test

import (
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/rollouts/api/v1beta1"
)

// TestStatusAtRest: whatever a client writes into the status of a Rollout that releases nothing is corrected, and the next release
// is as any other.
func TestStatusAtRest(t *testing.T) {
	t.Parallel()
	for name, patch := range map[string]string{
		"next step":         `{"status":{"canaryStatus":{"nextStepIndex":2}}}`,
		"step":              `{"status":{"canaryStatus":{"currentStepIndex":1}}}`,
		"stable revision":   `{"status":{"canaryStatus":{"stableRevision":"bogus"}}}`,
		"state":             `{"status":{"canaryStatus":{"currentStepState":"StepReady"}}}`,
		"state and next":    `{"status":{"canaryStatus":{"currentStepState":"StepPaused","nextStepIndex":1}}}`,
		"hash":              `{"status":{"canaryStatus":{"podTemplateHash":"bogus"}}}`,
		"phase Progressing": `{"status":{"phase":"Progressing"}}`,
		"phase Terminating": `{"status":{"phase":"Terminating"}}`,
		"phase Disabling":   `{"status":{"phase":"Disabling"}}`,
	} {
		// alike compares what clients wait for. How the last release ended is said by the phase that was written, if one was.
		alike := func(a, b v1beta1.RolloutStatus) bool {
			x, y := a.CanaryStatus, b.CanaryStatus
			return a.Phase == b.Phase && x.CurrentStepIndex == y.CurrentStepIndex && x.NextStepIndex == y.NextStepIndex && x.CurrentStepState == y.CurrentStepState &&
				x.StableRevision == y.StableRevision && x.PodTemplateHash == y.PodTemplateHash && x.CanaryRevision == y.CanaryRevision &&
				a.CurrentStepIndex == b.CurrentStepIndex && a.CurrentStepState == b.CurrentStepState
		}
		write := func(r *release) (before, after v1beta1.RolloutStatus) {
			before = r.rollout().Status
			r.must(r.User.Status().Patch(t.Context(), r.rollout(), client.RawPatch(types.MergePatchType, []byte(patch))))
			if stored := r.rollout().Status; !alike(before, stored) {
				t.Errorf("admission lets it be written: the status is %s, was %s", encoded(t, stored), encoded(t, before))
			}
			r.SigningDown = true // it is corrected where admission did not see it, too
			defer func() { r.SigningDown = false }()
			r.must(r.User.Status().Patch(t.Context(), r.rollout(), client.RawPatch(types.MergePatchType, []byte(patch))))
			r.pass(2 * time.Minute)
			return before, r.rollout().Status
		}
		t.Run("healthy, "+name, func(t *testing.T) {
			t.Parallel()
			r := dep.conform(t, 5, steps("1", "100%"))
			r.image("2")
			r.pass(time.Minute)
			r.approve()
			r.run("all", "2:5")
			if before, after := write(r); !alike(before, after) {
				t.Errorf("the status is %s, was %s", encoded(t, after), encoded(t, before))
			}
			r.image("3")
			r.run("the next release", "2:4 3:1")
			r.image("2")
			r.run("and back", "2:5")
			r.phase("and back", v1beta1.PhaseHealthy)
		})
		if name == "step" || name == "stable revision" { // disabled in the middle of a release, it is that release's
			continue
		}
		t.Run("disabled, "+name, func(t *testing.T) {
			t.Parallel()
			r := dep.conform(t, 5, steps("1", "100%"))
			r.edit("{spec: {disabled: true}}")
			r.pass(time.Minute)
			if before, after := write(r); !alike(before, after) {
				t.Errorf("the status is %s, was %s", encoded(t, after), encoded(t, before))
			}
		})
	}
}
