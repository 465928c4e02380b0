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

// finalisingOrder is what restoring a workload consists of, in its order. On success the stable Service is opened
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
func (p *rolloutPlanner) order(why ending) []v1beta1.FinalisingStepType {
	back := why == rollback && p.Workload.Update == p.sub.StableRevision
	switch blueGreen := Style(p.Rollout) == v1beta1.BlueGreenRollingStyle; {
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

// finalising restores the workload, step by step, as far as it goes in one pass.
func (p *rolloutPlanner) finalising(why ending) {
	if (why == success || why == rollback) && p.Workload.Changing && run(p.overtaking()...) != nil {
		return
	}
	p.status.Message = p.parting(why)
	p.endAnalyses()
	p.endHooks()
	if why == success {
		p.sub.CurrentStepState = v1beta1.StepCompleted // a late approval says something else
	}
	if wait := p.releaseTrafficRouting(); wait != nil {
		p.awaitToo(wait)
		return
	}
	steps := p.order(why)
	at := max(slices.Index(steps, p.sub.FinalisingStep), 0) // what is unknown starts over
	if resume := slices.Index(steps, v1beta1.FinalisingResumeWorkload); p.Workload.Engaged {
		at = min(at, resume) // admission has held it again since it was restored
	}
	for _, step := range steps[at:] {
		p.sub.FinalisingStep = step
		if wait := p.finalise(step, why); wait != nil {
			p.awaitToo(wait)
			return
		}
	}
	p.sub.FinalisingStep = v1beta1.FinalisingEnd
	p.end(why)
}

// parting is what is said while the workload is restored.
func (p *rolloutPlanner) parting(why ending) string {
	switch why {
	case disable:
		return "Disabling rollout, release resources"
	case deletion:
		return "Rollout is in terminating"
	default:
		return condition(p.status.Conditions, v1beta1.ConditionProgressing).Message
	}
}

// overtaking is what comes between when the template has changed again on the way out. A Rollout that leaves for good leaves that to
// the workload.
func (p *rolloutPlanner) overtaking() []stage {
	return []stage{when(p.rolledBack, p.cancel), when(p.superseded, p.restart)}
}

// finalise does one step of restoring the workload.
func (p *rolloutPlanner) finalise(step v1beta1.FinalisingStepType, why ending) *pending {
	switch step {
	case v1beta1.FinalisingRouteTrafficToNew:
		return p.traffic.toNew()
	case v1beta1.FinalisingRestoreStableService:
		return run(p.traffic.openStable, p.traffic.endpointsReady)
	case v1beta1.FinalisingRouteTrafficToStable:
		return p.traffic.toStable()
	case v1beta1.FinalisingRemoveCanaryService:
		return p.traffic.removeCanaryService()
	case v1beta1.FinalisingResumeWorkload:
		return p.resumeServed(why)
	case v1beta1.FinalisingReleaseWorkload:
		return p.release(why)
	default:
		return nil
	}
}

// release takes the marks of a release off the workload, and the BatchRelease away.
func (p *rolloutPlanner) release(why ending) *pending {
	p.record(p.outcome(why))
	// The stamp goes first: as the pods next to the stable ones go, the revision may turn out to be another.
	if w := p.Objects.Workload; w != nil && (p.Workload.Changing || why == deletion && p.Workload.Type != "") {
		p.Changes = append(p.Changes, diff(w, workload.Unstamped(w, why == deletion))...)
	}
	p.dropRelease()
	if p.Release != nil || len(p.Changes) > 0 {
		return writing()
	}
	return nil
}

// resumeServed resumes the workload. A release that took over from another one may have stable Services pinned to that one's pods: as those
// go, too, they are opened once the version that comes back answers.
func (p *rolloutPlanner) resumeServed(why ending) *pending {
	if why != rollback {
		if wait := p.traffic.endpointsApplied(); wait != nil {
			return wait // stable pods go next, and whoever routes to the Service by other ways has to know the new ones
		}
	}
	wait := p.resume(why)
	if wait == nil || why != rollback || !p.traffic.pinned() {
		return wait
	}
	if stable := p.sub.StableRevision; p.traffic.asked().StableRevision != stable && p.traffic.answers(stable) {
		if opening := p.traffic.openStable(); opening != nil {
			return opening
		}
	}
	return wait
}

// resume orders the workload to be restored, and waits for that.
func (p *rolloutPlanner) resume(why ending) *pending {
	if p.Objects.Workload == nil || p.Driver == nil {
		return nil
	}
	policy := v1beta1.ImmediateFinalizingPolicy
	if why == success || why == rollback && p.traffic.pinned() {
		policy = v1beta1.WaitResumeFinalizingPolicy
	}
	br := p.Release
	switch {
	case br == nil:
		return p.resumeAnew(policy)
	case br.DeletionTimestamp != nil:
		return explained().of(v1beta1.BlockerBatchReleaseEnding, p.batchReleaseObject())
	case !knows(br, p.Workload.Update):
		p.dropRelease() // it would wait for a Rollout to decide; a new one restores whatever it finds
		return writing()
	}
	spec := br.Spec.DeepCopy()
	spec.ReleasePlan.BatchPartition, spec.ReleasePlan.FinalizingPolicy = nil, policy
	if changes := diff(br, ordered(br, *spec, p.Now)); len(changes) > 0 {
		p.Changes = append(p.Changes, changes...)
		return writing()
	}
	if !gaveBack(br) || p.Workload.Engaged {
		return explained()
	}
	return nil
}

// resumeAnew has a new BatchRelease restore a workload that is still held; where none can be made, the Rollout does it.
func (p *rolloutPlanner) resumeAnew(policy v1beta1.FinalizingPolicyType) *pending {
	switch {
	case !p.Workload.Engaged:
		return nil
	case p.Refused["BatchRelease "+p.Rollout.Name]:
		p.Changes = append(p.Changes, diff(p.Objects.Workload, p.Driver.Free(p.Objects))...)
		return writing()
	default:
		return p.orderNew(order(p.Rollout, p.Workload.RolloutID, 0, policy))
	}
}

// end says how it ended.
func (p *rolloutPlanner) end(why ending) {
	if why == success {
		p.refuseAbort("the abort is ignored, because the last step is done and the release completes: to roll back, change the pod template back")
	}
	p.consumeAbort()
	succeeded := metav1.ConditionFalse
	switch why {
	case deletion:
		p.Object.Finalizers = slices.DeleteFunc(p.Object.Finalizers, func(f string) bool { return f == v1beta1.FinalizerRollout })
		return
	case disable:
		p.status.Phase, p.status.Message = v1beta1.PhaseDisabled, p.disabledAs()
		p.atRest()
		p.reason(v1beta1.ReasonCompleted, "Rollout progressing has been canceled")
	case rollback:
		// Clients take Healthy for done only together with Completed, and what is canceled is done.
		p.sub.CurrentStepState = v1beta1.StepCompleted
		p.status.Phase, p.status.Message = v1beta1.PhaseHealthy, "Rollout progressing has been canceled"
		p.reason(v1beta1.ReasonCompleted, p.status.Message)
	case success:
		if p.Workload.Update != "" { // pods next to the workload may have had metadata, and so a revision, of their own
			p.status.SetRevision(p.Workload.Update)
			p.sub.PodTemplateHash = p.Workload.Update
		}
		succeeded = metav1.ConditionTrue
		p.status.Phase, p.status.Message = v1beta1.PhaseHealthy, "Rollout progressing has been completed"
		if n := p.Workload.Others; n > 0 {
			p.status.Message += fmt.Sprintf("; %d pods of other versions remain, because the workload's own update strategy does not replace them", n)
		}
		p.reason(v1beta1.ReasonCompleted, p.status.Message)
	}
	p.sub.ObservedWorkloadGeneration = p.Workload.Generation
	p.status.Conditions = setCondition(p.status.Conditions, p.Now, v1beta1.RolloutCondition{Type: v1beta1.ConditionSucceeded, Status: succeeded})
}
