// SPDX-License-Identifier: Apache-2.0

package admission

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kruise.io/rollouts/api/v1beta1"
	"kruise.io/rollouts/internal/plan"
)

// Sign returns the record of a release as it has to be stored when someone writes a Rollout's status: what it was, and
// what they do by this write, under their name; an approval that comes before its step is none. A record is nobody's to write, and tools that know nothing of it lose it.
func Sign(old, edited *v1beta1.RolloutStatus, user string, now time.Time) *v1beta1.ReleaseStatus {
	r := old.Release.DeepCopy()
	if r == nil || r.Outcome != "" {
		return r
	}
	was, is := plan.Progress(old), plan.Progress(edited)
	if was == nil || is == nil {
		return r
	}
	at := metav1.NewTime(now.Truncate(time.Second))
	if is.NextStepIndex != was.NextStepIndex && is.NextStepIndex > 0 {
		plan.Happened(r, v1beta1.ReleaseEvent{At: at, What: v1beta1.StepJumped, Step: is.NextStepIndex, By: user})
	}
	if is.CurrentStepIndex != was.CurrentStepIndex { // what some clients take for a jump
		plan.Happened(r, v1beta1.ReleaseEvent{At: at, What: v1beta1.StepJumped, Step: is.CurrentStepIndex, By: user})
	}
	if is.CurrentStepState != was.CurrentStepState && is.CurrentStepState == v1beta1.StepReady && plan.Reached(r, is.CurrentStepIndex, was.LastUpdateTime) {
		plan.Happened(r, v1beta1.ReleaseEvent{At: at, What: v1beta1.StepApproved, Step: is.CurrentStepIndex, By: user})
	}
	return r
}
