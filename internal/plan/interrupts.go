// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"k8s.io/utils/ptr"

	"kruise.io/rollouts/api/v1beta1"
)

// gates are what keeps a release from going on with its step, in their order: the first that holds acts. Each is told by what is
// seen, never by what was done before, so that it may hold again in the next pass. The order matters: a roll-back waits for
// nothing, a pause keeps everything else from happening.
func (l *look) gates() []stage {
	return []stage{
		when(l.canceled, l.cancel),
		when(l.released, l.yield),
		when(l.aborted, l.abort),
		l.correctDrift,
		when(l.paused, l.pause),
		when(l.superseded, l.restart),
		when(l.traffic.rerouted, l.reroute),
		when(l.replanned, l.replan),
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
func (l *look) canceled() bool { return l.rolledBack() && !l.backInBatches() }

func (l *look) paused() bool { return l.Rollout.Spec.Strategy.Paused }

// rolledBack: the template is the stable one again.
func (l *look) rolledBack() bool {
	return l.Workload.Update != "" && l.Workload.Update == l.sub.StableRevision && l.Workload.Update != l.revision()
}

// released: someone else has given the workload back, or put another in its place.
func (l *look) released() bool { return !l.Workload.Changing && !l.Workload.Engaged }

// cancel gives the workload back at once, without approval.
func (l *look) cancel() {
	l.happened(v1beta1.TemplateRolledBack, 0, StampOf(l.Objects.Workload).User)
	l.normal("workload has been rollback, then rollout is canceled")
	l.giveUp("The workload has been rolled back and the rollout process will be canceled")
	if l.Workload.RolloutID == "" {
		l.sub.ObservedRolloutID = "rollback-" + l.Workload.Update
	}
}

// yield ends a release that someone else has ended already.
func (l *look) yield() {
	l.giveUp("The workload was released by someone else and the rollout process will be canceled")
}

func (l *look) giveUp(message string) {
	l.setRevision(l.Workload.Update)
	l.sub.ObservedRolloutID = observedID(l.Workload)
	l.status.Message = message
	l.reason(v1beta1.ReasonCancelling, message)
	l.sub.FinalisingStep = v1beta1.FinalisingNone
	l.finalising(rollback)
}

// pause stays where the release is. What the BatchRelease was told before it still does.
func (l *look) pause() {
	l.follow()
	l.toggled(v1beta1.ReleasePaused)
	l.status.Message = "Rollout has been paused, you can resume it by kube-cli"
	l.reason(v1beta1.ReasonPaused, l.status.Message)
}

// superseded: there is a third template, which no pods of this release have.
func (l *look) superseded() bool {
	return l.revision() != "" && l.Workload.Update != l.revision()
}

// restart takes the release back to its first step with the new template: requests leave the pods of the old one, then the
// BatchRelease, which knows that one, goes. The workload stays held meanwhile.
func (l *look) restart() {
	l.status.Message = "Workload is continuous release"
	if wait := l.traffic.toStable(); wait != nil { // else a route to pods that are gone would be waited for, before new ones are ordered
		l.awaitToo(wait)
		return
	}
	if l.Release == nil {
		l.begin(l.status.Message)
		return
	}
	if l.Release.DeletionTimestamp == nil {
		l.normal("workload continuous publishing canaryRevision, then restart publishing")
		now := stamp(l.Now)
		l.sub.LastUpdateTime = &now
	}
	l.happened(v1beta1.TemplateSuperseded, 0, StampOf(l.Objects.Workload).User)
	l.record(v1beta1.OutcomeSuperseded)
	l.reason(v1beta1.ReasonInRolling, l.status.Message)
	l.dropRelease()
}

// reroute restores what is routed by the record; then the strategy as it is now is followed.
func (l *look) reroute() {
	l.status.Message = "Rollout routes traffic otherwise by now: what was routed before is restored first"
	if wait := l.traffic.withdraw(); wait != nil {
		l.awaitToo(wait)
		return
	}
	l.enter(v1beta1.StepBeforeUpgrade)
}

// replanned: the steps or routes were edited.
func (l *look) replanned() bool {
	return l.sub.RolloutHash != "" && l.sub.RolloutHash != l.hash
}

// replan finds the release's place in the new steps: the current one if it asks for as many pods as there are already,
// else the first that does, else the last (docs/wire.md, plan change).
func (l *look) replan() {
	l.sub.RolloutHash = l.hash
	n := l.steps()
	have := int32(0)
	if br := l.Release; br != nil {
		if at := ptr.Deref(br.Spec.ReleasePlan.BatchPartition, -1); at >= 0 && int(at) < len(br.Spec.ReleasePlan.Batches) {
			have = v1beta1.PodsOf(br.Spec.ReleasePlan.Batches[at].CanaryReplicas, l.Workload.Replicas, l.Workload.KeepsOne)
		}
	}
	candidates := []int32{}
	if i := l.sub.CurrentStepIndex; i >= 1 && i <= n {
		candidates = append(candidates, i)
	}
	for i := int32(1); i <= n; i++ {
		candidates = append(candidates, i)
	}
	target := candidates[len(candidates)-1]
	for _, i := range candidates {
		if l.Release == nil || l.size(i) >= have {
			target = i
			break
		}
	}
	l.sub.NextStepIndex = natural(min(l.sub.CurrentStepIndex, n), n)
	if target == l.sub.NextStepIndex && l.sub.CurrentStepIndex <= n {
		l.enter(v1beta1.StepReady)
	} else {
		l.goTo(target)
	}
	l.rolling()
}
