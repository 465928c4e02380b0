// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kruise.io/rollouts/api/v1beta1"
	"kruise.io/rollouts/internal/workload"
)

// ending is why a release ends.
type ending string

const (
	success  ending = "success"
	rollback ending = "rollback"
	disable  ending = "disable"
	deletion ending = "deletion"
)

// finalisingOrder is what giving a workload back consists of, in its order. On success the stable Service is opened
// first (both versions serve), then the canary's route goes, then the stable pods; on roll-back traffic leaves the bad
// version before anything else (docs/wire.md, finalising sequence).
var finalisingOrder = map[ending][]v1beta1.FinalisingStepType{
	success: {
		v1beta1.FinalisingRestoreStableService, v1beta1.FinalisingRouteTrafficToStable, v1beta1.FinalisingRemoveCanaryService,
		v1beta1.FinalisingResumeWorkload, v1beta1.FinalisingReleaseWorkload,
	},
	rollback: {
		v1beta1.FinalisingRouteTrafficToStable, v1beta1.FinalisingResumeWorkload, v1beta1.FinalisingReleaseWorkload,
		v1beta1.FinalisingRestoreStableService, v1beta1.FinalisingRemoveCanaryService,
	},
}

// blueGreenOrder is the same where both versions stand in full: the new one takes all requests before the first pod of
// the other goes. The BatchRelease goes last, because it says how many pods there are.
var blueGreenOrder = map[ending][]v1beta1.FinalisingStepType{
	success: {
		v1beta1.FinalisingRouteTrafficToNew, v1beta1.FinalisingRestoreStableService, v1beta1.FinalisingResumeWorkload,
		v1beta1.FinalisingRouteTrafficToStable, v1beta1.FinalisingRemoveCanaryService, v1beta1.FinalisingReleaseWorkload,
	},
	rollback: {
		v1beta1.FinalisingRouteTrafficToStable, v1beta1.FinalisingResumeWorkload, v1beta1.FinalisingRestoreStableService,
		v1beta1.FinalisingRemoveCanaryService, v1beta1.FinalisingReleaseWorkload,
	},
	disable: finalisingOrder[success],
}

// order is the order of a Rollout's style.
func (l *look) order(why ending) []v1beta1.FinalisingStepType {
	back := why == rollback && l.Workload.Update == l.sub.StableRevision
	switch blueGreen := Style(l.Rollout) == v1beta1.BlueGreenRollingStyle; {
	case back && blueGreen:
		return blueGreenOrder[rollback]
	case back:
		return finalisingOrder[rollback]
	case blueGreen && why == success:
		return blueGreenOrder[success]
	case blueGreen:
		return blueGreenOrder[disable]
	default:
		return finalisingOrder[success]
	}
}

// finalising gives the workload back, step by step, as far as it goes in one look.
func (l *look) finalising(why ending) {
	if (why == success || why == rollback) && l.Workload.Changing && run(l.overtaking()...) != nil {
		return
	}
	l.status.Message = l.parting(why)
	if why == success {
		l.sub.CurrentStepState = v1beta1.StepCompleted // a late approval says something else
	}
	if wait := l.releaseTrafficRouting(); wait != nil {
		l.awaitToo(wait)
		return
	}
	steps := l.order(why)
	at := max(slices.Index(steps, l.sub.FinalisingStep), 0) // what is unknown starts over
	if resume := slices.Index(steps, v1beta1.FinalisingResumeWorkload); l.Workload.Engaged {
		at = min(at, resume) // admission has held it again since it was given back
	}
	for _, step := range steps[at:] {
		l.sub.FinalisingStep = step
		if wait := l.finalise(step, why); wait != nil {
			l.awaitToo(wait)
			return
		}
	}
	l.sub.FinalisingStep = v1beta1.FinalisingEnd
	l.end(why)
}

// parting is what is said while the workload is given back.
func (l *look) parting(why ending) string {
	switch why {
	case disable:
		return "Disabling rollout, release resources"
	case deletion:
		return "Rollout is in terminating"
	default:
		return condition(l.status.Conditions, v1beta1.ConditionProgressing).Message
	}
}

// overtaking is what comes between when the template has changed again on the way out. A Rollout that leaves for good leaves that to
// the workload.
func (l *look) overtaking() []stage {
	return []stage{when(l.rolledBack, l.cancel), when(l.superseded, l.restart)}
}

// finalise does one step of giving the workload back.
func (l *look) finalise(step v1beta1.FinalisingStepType, why ending) *pending {
	switch step {
	case v1beta1.FinalisingRouteTrafficToNew:
		return l.traffic.toNew()
	case v1beta1.FinalisingRestoreStableService:
		return run(l.traffic.openStable, l.traffic.endpointsReady)
	case v1beta1.FinalisingRouteTrafficToStable:
		return l.traffic.toStable()
	case v1beta1.FinalisingRemoveCanaryService:
		return l.traffic.removeCanaryService()
	case v1beta1.FinalisingResumeWorkload:
		return l.resume(why)
	case v1beta1.FinalisingReleaseWorkload:
		return l.release(why)
	default:
		return nil
	}
}

// release takes the marks of a release off the workload, and the BatchRelease away.
func (l *look) release(why ending) *pending {
	l.record(l.outcome(why))
	// The stamp goes first: as the pods beside the stable ones go, the revision may turn out to be another.
	if w := l.Objects.Workload; w != nil && (l.Workload.Changing || why == deletion && l.Workload.Type != "") {
		l.Changes = append(l.Changes, diff(w, workload.Unstamped(w, why == deletion))...)
	}
	l.dropRelease()
	if l.Release != nil || len(l.Changes) > 0 {
		return writing()
	}
	return nil
}

// resume orders the workload to be restored, and waits for that.
func (l *look) resume(why ending) *pending {
	if l.Objects.Workload == nil || l.Driver == nil {
		return nil
	}
	policy := v1beta1.ImmediateFinalizingPolicy
	if why == success || why == rollback && l.traffic.pinned() {
		policy = v1beta1.WaitResumeFinalizingPolicy
	}
	br := l.Release
	switch {
	case br == nil:
		return l.resumeAnew(policy)
	case br.DeletionTimestamp != nil:
		return explained()
	case !knows(br, l.Workload.Update):
		l.dropRelease() // it would wait for a Rollout to decide; a new one gives back whatever it finds
		return writing()
	}
	spec := br.Spec.DeepCopy()
	spec.ReleasePlan.BatchPartition, spec.ReleasePlan.FinalizingPolicy = nil, policy
	if changes := diff(br, ordered(br, *spec, l.Now)); len(changes) > 0 {
		l.Changes = append(l.Changes, changes...)
		return writing()
	}
	if !gaveBack(br) || l.Workload.Engaged {
		return explained()
	}
	return nil
}

// resumeAnew has a new BatchRelease restore a workload that is still held; where none can be made, the Rollout does it.
func (l *look) resumeAnew(policy v1beta1.FinalizingPolicyType) *pending {
	switch {
	case !l.Workload.Engaged:
		return nil
	case l.Refused["BatchRelease "+l.Rollout.Name]:
		l.Changes = append(l.Changes, diff(l.Objects.Workload, l.Driver.Free(l.Objects, false))...)
		return writing()
	default:
		return l.orderNew(order(l.Rollout, l.Workload.RolloutID, 0, policy))
	}
}

// end says how it ended.
func (l *look) end(why ending) {
	l.consumeAbort()
	succeeded := metav1.ConditionFalse
	switch why {
	case deletion:
		l.Object.Finalizers = slices.DeleteFunc(l.Object.Finalizers, func(f string) bool { return f == v1beta1.FinalizerRollout })
		return
	case disable:
		l.status.Phase, l.status.Message = v1beta1.PhaseDisabled, l.disabledAs()
		l.atRest()
		l.reason(v1beta1.ReasonCompleted, "Rollout progressing has been canceled")
	case rollback:
		// Clients take Healthy for done only together with Completed, and what is canceled is done.
		l.sub.CurrentStepState = v1beta1.StepCompleted
		l.status.Phase, l.status.Message = v1beta1.PhaseHealthy, "Rollout progressing has been canceled"
		l.reason(v1beta1.ReasonCompleted, l.status.Message)
	case success:
		if l.Workload.Update != "" { // pods beside the workload may have had metadata, and so a revision, of their own
			l.setRevision(l.Workload.Update)
			l.sub.PodTemplateHash = l.Workload.Update
		}
		succeeded = metav1.ConditionTrue
		l.status.Phase, l.status.Message = v1beta1.PhaseHealthy, "Rollout progressing has been completed"
		if n := l.Workload.Others; n > 0 {
			l.status.Message += fmt.Sprintf("; %d pods of other versions are left to whoever owns the workload: by its own update strategy they stay", n)
		}
		l.reason(v1beta1.ReasonCompleted, l.status.Message)
	}
	l.sub.ObservedWorkloadGeneration = l.Workload.Generation
	l.status.Conditions = setCondition(l.status.Conditions, l.Now, v1beta1.RolloutCondition{Type: v1beta1.ConditionSucceeded, Status: succeeded})
}
