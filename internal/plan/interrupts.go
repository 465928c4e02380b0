// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"cmp"
	"fmt"

	"k8s.io/utils/ptr"

	"kruise.io/rollouts/api/v1beta1"
)

// gates are what keeps a release from going on with its step, in their order: the first that holds acts. Each is known by what is
// seen, never by what was done before, so that it may hold again in the next pass. The order matters: a roll-back waits for
// nothing, a pause keeps everything else from happening.
func (p *rolloutPlanner) gates() []stage {
	return []stage{
		when(p.canceled, p.cancel),
		when(p.released, p.yield),
		when(p.aborted, p.abort),
		p.condemned,
		p.correctDrift,
		when(p.paused, p.pause),
		when(p.superseded, p.restart),
		when(p.traffic.rerouted, p.reroute),
		when(p.replanned, p.replan),
	}
}

// when is a stage that acts where something holds, and explains in the status what it waits for.
func when(holds func() bool, act func()) stage {
	return func() *pending {
		if !holds() {
			return nil
		}
		act()
		return explained()
	}
}

// canceled reports whether the template was taken back, and is not to be released in batches.
func (p *rolloutPlanner) canceled() bool { return p.rolledBack() && !p.backInBatches() }

func (p *rolloutPlanner) paused() bool { return p.Rollout.Spec.Strategy.Paused }

// rolledBack: the template is the stable one again.
func (p *rolloutPlanner) rolledBack() bool {
	return p.Workload.Update != "" && p.Workload.Update == p.sub.StableRevision && p.Workload.Update != p.status.Revision()
}

// released: someone else has given the workload back, or put another in its place.
func (p *rolloutPlanner) released() bool { return !p.Workload.Changing && !p.Workload.Engaged }

// cancel restores the workload at once, without approval.
func (p *rolloutPlanner) cancel() {
	p.happened(v1beta1.TemplateRolledBack, 0, StampOf(p.Objects.Workload).User)
	p.normal("workload has been rollback, then rollout is canceled")
	p.giveUp("The workload has been rolled back and the rollout process will be canceled")
	if p.Workload.RolloutID == "" {
		p.sub.ObservedRolloutID = "rollback-" + p.Workload.Update
	}
}

// yield ends a release that someone else has ended already.
func (p *rolloutPlanner) yield() {
	p.giveUp("The workload's own update strategy has been restored by someone else and the rollout process will be canceled")
}

func (p *rolloutPlanner) giveUp(message string) {
	p.status.SetRevision(p.Workload.Update)
	p.sub.ObservedRolloutID = observedID(p.Workload)
	p.status.Message = message
	p.reason(v1beta1.ReasonCancelling, message)
	p.sub.FinalisingStep = v1beta1.FinalisingNone
	p.finalising(rollback)
}

// pause stays where the release is. What the BatchRelease was ordered before it still does.
func (p *rolloutPlanner) pause() {
	p.follow()
	p.standStill()
	p.toggled(v1beta1.ReleasePaused)
	p.status.Message = "Rollout has been paused, you can resume it by kube-cli"
	p.reason(v1beta1.ReasonPaused, p.status.Message)
	by := cmp.Or(p.Rollout.Annotations[v1beta1.AnnotationEditedBy], "somebody")
	p.raise(blocker{code: v1beta1.BlockerPaused, message: fmt.Sprintf("the Rollout is paused by %s: nothing moves until somebody resumes it", by)})
}

// superseded: there is a third template, which no pods of this release have.
func (p *rolloutPlanner) superseded() bool {
	return p.status.Revision() != "" && p.Workload.Update != p.status.Revision()
}

// restart takes the release back to its first step with the new template: requests leave the pods of the old one, then the
// BatchRelease, which knows that one, goes. The workload stays held meanwhile.
func (p *rolloutPlanner) restart() {
	p.status.Message = "Workload is continuous release"
	if wait := run(p.releaseTrafficRouting, p.keepServing, p.traffic.toStable); wait != nil { // else a route to pods that are gone would be waited for, before new ones are ordered
		p.awaitToo(wait)
		return
	}
	if p.Release == nil {
		p.begin(p.status.Message)
		return
	}
	if p.Release.DeletionTimestamp == nil {
		p.normal("workload continuous publishing canaryRevision, then restart publishing")
		now := stamp(p.Now)
		p.sub.LastUpdateTime = &now
	}
	p.happened(v1beta1.TemplateSuperseded, 0, StampOf(p.Objects.Workload).User)
	p.record(v1beta1.OutcomeSuperseded)
	p.reason(v1beta1.ReasonInRolling, p.status.Message)
	p.dropRelease()
}

// reroute restores what is routed by the record; then the strategy as it is now is followed.
func (p *rolloutPlanner) reroute() {
	p.status.Message = "The traffic routing has changed during the release: restoring the previous routes first"
	if wait := p.traffic.withdraw(); wait != nil {
		p.awaitToo(wait)
		return
	}
	p.forgetHooks()
	p.enter(v1beta1.StepBeforeUpgrade)
}

// replanned: the steps or routes were edited.
func (p *rolloutPlanner) replanned() bool {
	return p.sub.RolloutHash != "" && p.sub.RolloutHash != p.hash
}

// replan finds the release's place in the new steps: the current one if it asks for as many pods as there are already,
// else the first that does, else the last (docs/wire.md, plan change).
func (p *rolloutPlanner) replan() {
	p.sub.RolloutHash = p.hash
	n := p.steps()
	have := int32(0)
	if br := p.Release; br != nil {
		if at := ptr.Deref(br.Spec.ReleasePlan.BatchPartition, -1); at >= 0 && int(at) < len(br.Spec.ReleasePlan.Batches) {
			have = v1beta1.PodsOf(br.Spec.ReleasePlan.Batches[at].CanaryReplicas, p.Workload.Replicas, p.Workload.KeepsOne)
		}
	}
	candidates := []int32{}
	if i := p.sub.CurrentStepIndex; i >= 1 && i <= n {
		candidates = append(candidates, i)
	}
	for i := int32(1); i <= n; i++ {
		candidates = append(candidates, i)
	}
	target := candidates[len(candidates)-1]
	for _, i := range candidates {
		if p.Release == nil || p.size(i) >= have {
			target = i
			break
		}
	}
	if p.ungated() {
		target = p.sub.CurrentStepIndex // an edit is no approval: metrics and webhooks decide about this step first
	}
	p.sub.NextStepIndex = natural(min(p.sub.CurrentStepIndex, n), n)
	if target == p.sub.NextStepIndex && p.sub.CurrentStepIndex <= n {
		p.advancing()
	} else {
		p.goTo(target)
	}
	p.rolling()
}
