// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kruise.io/rollouts/api/v1beta1"
)

// backInBatches reports whether a roll-back is to go through the steps (docs/wire.md, roll-back in batches). It is a release
// like another then, to the version that is known to work. Requests cannot be routed meanwhile: both versions would be the
// stable one.
func (p *rolloutPlanner) backInBatches() bool {
	return p.Rollout.Annotations[v1beta1.AnnotationRollbackInBatch] == "true" && len(p.Rollout.Spec.Strategy.Routings()) == 0 &&
		Style(p.Rollout) == v1beta1.PartitionRollingStyle
}

// asRollback shows a BatchRelease whether what it releases is a roll-back.
func (p *rolloutPlanner) asRollback(br *v1beta1.BatchRelease) *v1beta1.BatchRelease {
	value := ""
	if p.backInBatches() && p.status.Revision() != "" && p.status.Revision() == p.sub.StableRevision {
		value = "true"
	}
	switch value {
	case br.Annotations[v1beta1.AnnotationRollbackInBatch]:
	case "":
		delete(br.Annotations, v1beta1.AnnotationRollbackInBatch)
	default:
		metav1.SetMetaDataAnnotation(&br.ObjectMeta, v1beta1.AnnotationRollbackInBatch, value)
	}
	return br
}

// aborted: somebody wants the version that is being released gone from pods and requests, while the template stays as it
// is. The annotation names the version, so that it says nothing of the next.
func (p *rolloutPlanner) aborted() bool {
	revision := p.Object.Annotations[v1beta1.AnnotationAbort]
	return revision != "" && revision == p.status.Revision() && p.Workload.Update == revision && revision != p.sub.StableRevision
}

// refuseAbort says of an abort that comes too late, or that would take pods away from the stable version, that it is none.
func (p *rolloutPlanner) refuseAbort(why string) {
	if revision := p.Object.Annotations[v1beta1.AnnotationAbort]; revision != "" && revision == p.status.Revision() {
		p.warn(EventAbortIgnored, why)
		p.consumeAbort()
	}
}

// consumeAbort takes away the annotation by which somebody aborted a release that is over: a request counts for the release
// that it was made for, and a later one may be of the same template.
func (p *rolloutPlanner) consumeAbort() { delete(p.Object.Annotations, v1beta1.AnnotationAbort) }

// abort takes requests and then pods back to the stable version, and holds there. Without the annotation the release
// starts over.
func (p *rolloutPlanner) abort() {
	p.toggled(v1beta1.ReleaseAborted)
	p.endAnalyses()
	p.endHooks()
	delete(p.Object.Annotations, v1beta1.AnnotationSkipAnalysis) // like an approval
	p.follow()
	n := p.steps()
	if c := condition(p.status.Conditions, v1beta1.ConditionProgressing); c == nil || c.Reason != v1beta1.ReasonAborted {
		p.warn(EventAborted, "the release is aborted: shifting traffic, then pods, back to the stable version; the pod template is not changed")
	}
	if p.sub.CurrentStepIndex != 1 || p.sub.CurrentStepState != v1beta1.StepBeforeUpgrade {
		p.enter(v1beta1.StepBeforeUpgrade)
	}
	p.sub.CurrentStepIndex, p.sub.NextStepIndex = 1, natural(1, n) // a jump asked for meanwhile counts as little as an approval
	p.status.Message = "Rollout has been aborted: shifting traffic, then pods, back to the stable version"
	if wait := run(p.releaseTrafficRouting, p.traffic.toStable, p.pinServing, p.takeBack, p.withdrawAborted); wait != nil {
		p.awaitToo(wait)
	} else {
		p.status.Message = "Rollout has been aborted: the workload stays at the stable version until you change the pod template or resume the release"
		if left, _ := p.status.Pods(); left > 0 {
			p.status.Message += fmt.Sprintf("; %d pods of the new version remain, because the workload's own controller cannot create pods of the stable version", left)
		}
		if idle := p.traffic.idle(p.newRevision()); idle > 0 {
			p.status.Message += fmt.Sprintf("; %d pods of another version receive no traffic", idle)
		}
		p.status.Message += p.abortedBecause()
		p.raise(blocker{code: v1beta1.BlockerAborted, message: p.status.Message})
		p.status.Conditions = setCondition(p.status.Conditions, p.Now, v1beta1.RolloutCondition{Type: v1beta1.ConditionSucceeded, Status: metav1.ConditionFalse})
	}
	p.reason(v1beta1.ReasonAborted, p.status.Message)
}

// pinServing keeps stable Services that are pinned at the version that has pods, while they change.
func (p *rolloutPlanner) pinServing() *pending {
	if t := p.traffic; t.routed() && t.asked().StableRevision != "" {
		return t.selectServices(selection{stable: p.serving(), canary: t.canaryRevision(), keep: true})()
	}
	return nil
}

// withdrawAborted takes back what is routed, as far as no pod of another version gets requests by it.
func (p *rolloutPlanner) withdrawAborted() *pending {
	return p.traffic.withdrawFrom(p.serving(), p.sub.StableRevision, p.newRevision())
}

// takeBack orders all pods back, and waits for that.
func (p *rolloutPlanner) takeBack() *pending {
	br := p.Release
	switch {
	case br == nil:
		return nil // nothing was released yet
	case br.DeletionTimestamp != nil, br.Spec.ReleasePlan.BatchPartition == nil:
		return explained()
	}
	want := p.ordering(1)
	want.ReleasePlan.Aborted = true
	if changes := diff(br, ordered(br, want, p.Now)); len(changes) > 0 {
		p.Changes = append(p.Changes, changes...)
		return writing()
	}
	if reached(br) == 0 {
		return explained()
	}
	return nil
}
