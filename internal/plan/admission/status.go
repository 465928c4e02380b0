// SPDX-License-Identifier: Apache-2.0

package admission

import (
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"kruise.io/rollouts/api/v1beta1"
	"kruise.io/rollouts/internal/plan"
)

// asks are the fields of a Rollout's status by which clients ask for something: an approval, and a jump (docs/wire.md, approvals).
var asks = []string{"currentStepState", "currentStepIndex", "nextStepIndex"}

// Stored returns the status of a Rollout, in either version, as it has to be stored when somebody other than the manager writes it: what
// clients ask for by it, and all else as it was. A release is decided by its status: which version is the stable one, what was routed and
// has to be taken back, and how far it is. Where nothing is released, there is nothing to ask for. Ignored: the write said more.
func Stored(old, edited *unstructured.Unstructured) (status map[string]any, ignored []string) {
	was, _, _ := unstructured.NestedMap(old.Object, "status")
	is, _, _ := unstructured.NestedMap(edited.Object, "status")
	status, _, _ = unstructured.NestedMap(old.Object, "status")
	if phase, _, _ := unstructured.NestedString(was, "phase"); phase != string(v1beta1.PhaseProgressing) {
		return status, unlike(status, is)
	}
	steps, styles := stepsOf(old), []string{"canaryStatus", "blueGreenStatus"}
	for _, style := range styles {
		into, _ := status[style].(map[string]any)
		from, _ := is[style].(map[string]any)
		for _, field := range asks {
			if value, has := from[field]; has && into != nil && askable(value, steps) {
				into[field] = value
			}
		}
	}
	ignored = unlike(status, is)
	for _, style := range styles {
		before, _ := was[style].(map[string]any)
		into, _ := status[style].(map[string]any)
		ignored = append(ignored, settle(before, into, steps)...)
	}
	return status, ignored
}

// unlike says that a write asks for more than can be stored of it.
func unlike(stored, written map[string]any) []string {
	if equality.Semantic.DeepEqual(stored, written) {
		return nil
	}
	return []string{"of a Rollout's status only currentStepState, currentStepIndex and nextStepIndex of canaryStatus or blueGreenStatus " +
		"can be written, during a release and for existing steps; all other changes are ignored"}
}

// settle makes what was written of the step that a release is in say where it is to go on.
func settle(before, into map[string]any, steps int) (ignored []string) {
	was, is := placeIn(before), placeIn(into)
	if was.Index == is.Index {
		return nil
	}
	at, late := plan.AskedPlace(was, is, int32(steps)) //nolint:gosec // at most 50
	if late {
		ignored = []string{plan.ApprovedElsewhere(is.Index, was.Index)}
	}
	into["currentStepIndex"], into["nextStepIndex"], into["currentStepState"] = int64(at.Index), int64(at.Next), string(at.State)
	return ignored
}

// placeIn reads where a status says that a release is.
func placeIn(sub map[string]any) plan.Place {
	index, _ := sub["currentStepIndex"].(int64)
	next, _ := sub["nextStepIndex"].(int64)
	state, _ := sub["currentStepState"].(string)
	return plan.Place{Index: int32(index), Next: int32(next), State: v1beta1.CanaryStepState(state)} //nolint:gosec // numbers of steps
}

// askable reports whether a client may write a value: the state of a step, or the number of one that there is.
func askable(value any, steps int) bool {
	switch v := value.(type) {
	case string:
		return true
	case int64:
		return v >= 1 && v <= int64(steps)
	default:
		return false
	}
}

// stepsOf is how many steps a Rollout of either version has.
func stepsOf(ro *unstructured.Unstructured) int {
	for _, style := range []string{"canary", "blueGreen"} {
		if steps, _, _ := unstructured.NestedSlice(ro.Object, "spec", "strategy", style, "steps"); len(steps) > 0 {
			return len(steps)
		}
	}
	return 0
}

// Sign returns the record of a release as it has to be stored when someone writes a Rollout's status, edited being what is Stored of it: what it was, and
// what they do by this write, under their name; an approval that comes before its step is none.
func Sign(old, edited *v1beta1.RolloutStatus, user string, now time.Time) *v1beta1.ReleaseStatus {
	r := old.Release.DeepCopy()
	if r == nil || r.Outcome != "" {
		return r
	}
	was, is := old.Common(), edited.Common()
	if was == nil || is == nil {
		return r
	}
	at := metav1.NewTime(now.Truncate(time.Second))
	switch {
	case is.CurrentStepIndex != was.CurrentStepIndex:
		plan.Happened(r, v1beta1.ReleaseEvent{Time: at, Type: v1beta1.StepJumped, Step: is.CurrentStepIndex, User: user})
	case is.NextStepIndex != was.NextStepIndex && is.NextStepIndex > 0:
		plan.Happened(r, v1beta1.ReleaseEvent{Time: at, Type: v1beta1.StepJumped, Step: is.NextStepIndex, User: user})
	}
	if is.CurrentStepState != was.CurrentStepState && is.CurrentStepState == v1beta1.StepReady &&
		(plan.Reached(r, is.CurrentStepIndex, was.LastUpdateTime) || old.AsksAboutAnalysis()) {
		plan.Happened(r, v1beta1.ReleaseEvent{Time: at, Type: v1beta1.StepApproved, Step: is.CurrentStepIndex, User: user})
	}
	return r
}
