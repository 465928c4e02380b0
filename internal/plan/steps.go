// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"

	"kruise.io/rollouts/api/v1beta1"
)

// rolling takes a release through its steps: first whatever interrupts it, then states for as long as none of them has
// to change something or to wait.
func (p *rolloutPlanner) rolling() {
	if p.steps() == 0 {
		p.status.Message = "the strategy has no steps"
		p.raise(blocker{code: v1beta1.BlockerNoSteps, message: p.status.Message})
		return
	}
	if p.sub.StableRevision == "" { // an older client wrote the status without it
		p.sub.StableRevision = p.Workload.Stable
	}
	if p.status.Revision() == p.sub.StableRevision {
		p.refuseAbort("the abort is ignored, because this release already rolls back to the stable version in steps: pause it, or change the pod template")
	}
	p.watchPods()
	if wait := run(p.gates()...); wait != nil {
		p.await(wait)
		return
	}
	p.resumes()
	p.moveOn()
	p.forgetSkip()
	p.reason(v1beta1.ReasonInRolling, "Rollout is in Progressing")
	p.follow()
	if p.sub.CurrentStepState == v1beta1.StepCompleted { // by a client: at most, that is an approval of the last step
		p.sub.CurrentStepState = v1beta1.StepBeforeUpgrade
		if p.sub.CurrentStepIndex >= p.steps() {
			p.sub.CurrentStepState = v1beta1.StepReady
		}
	}
	p.hookAgain()
	p.premature()
	p.gateAgain()
	p.approveAsked()
	p.approved()
	p.jump()
	if wait := run(p.deadline, p.background); wait != nil {
		p.await(wait)
		return
	}
	for range 8 * len(p.Rollout.Spec.Strategy.Steps()) { // every state of every step once, and never without end
		if wait := p.step(); wait != nil {
			p.await(wait)
			return
		}
	}
}

// await says what the release waits for in its step.
func (p *rolloutPlanner) await(wait *pending) {
	switch {
	case wait.message == "":
	case wait.whole:
		p.status.Message = wait.message
	default:
		p.status.Message = fmt.Sprintf("Rollout is in step(%d/%d): %s", p.sub.CurrentStepIndex, p.steps(), wait.message)
	}
	if wait.reason != "" {
		p.reason(wait.reason, p.status.Message)
	}
	p.raiseWait(wait)
	p.lookAt(wait.until)
}

// awaitToo adds what is waited for to what the status says of a release that goes back or ends. The reason says which way it goes.
func (p *rolloutPlanner) awaitToo(wait *pending) {
	if wait.message != "" {
		p.status.Message += "; " + wait.message
	}
	p.raiseWait(wait)
	p.lookAt(wait.until)
}

// lookAt asks for another pass at t; zero: an event asks for it.
func (p *rolloutPlanner) lookAt(t time.Time) {
	if !t.IsZero() {
		p.wake(t)
	}
}

// step acts in the current state, and moves on to another, or waits.
func (p *rolloutPlanner) step() *pending {
	switch p.sub.CurrentStepState {
	case v1beta1.StepBeforeUpgrade:
		return p.preparing()
	case v1beta1.StepUpgrade:
		return p.upgrading()
	case v1beta1.StepTrafficRouting:
		return p.routing()
	case v1beta1.StepMetricsAnalysis:
		return p.analysing()
	case v1beta1.StepPaused:
		return p.pausing()
	case v1beta1.StepReady:
		return p.advancing()
	case v1beta1.StepCompleted:
		p.endBackground()
		p.status.Message = "Rollout has been completed and some closing work is being done"
		p.reason(v1beta1.ReasonFinalising, p.status.Message)
		p.sub.FinalisingStep = v1beta1.FinalisingNone
		p.finalising(success)
		return explained()
	default: // written by a client, and no state of ours
		p.enter(v1beta1.StepBeforeUpgrade)
		return nil
	}
}

// enter moves to a state and starts its clock.
func (p *rolloutPlanner) enter(state v1beta1.CanaryStepState) {
	now := stamp(p.Now)
	p.sub.CurrentStepState, p.sub.LastUpdateTime = state, &now
	switch state {
	case v1beta1.StepPaused:
		p.happened(v1beta1.StepReached, p.sub.CurrentStepIndex, "")
	case v1beta1.StepBeforeUpgrade:
		p.sub.StepStartTime = nil
		if p.Rollout.Spec.ProgressDeadlineSeconds != nil {
			p.sub.StepStartTime = &now
		}
	case v1beta1.StepMetricsAnalysis:
		if p.status.Analysis != nil {
			p.status.Analysis.Step = nil // of another step, or of an earlier time at this one
		}
	default:
	}
}

// follow takes over what the BatchRelease says of the pods.
func (p *rolloutPlanner) follow() {
	if p.sub.RolloutHash == "" {
		p.sub.RolloutHash = p.hash
	}
	br := p.Release
	if br == nil || br.DeletionTimestamp != nil || br.Status.CanaryStatus.CurrentBatchState == "" {
		return
	}
	if p.status.Revision() == "" {
		p.status.SetRevision(br.Status.UpdateRevision)
		p.revisionKnown()
	}
	if p.sub.PodTemplateHash == "" {
		p.sub.PodTemplateHash = br.Status.UpdateRevision
	}
	p.sub.ObservedRolloutID = observedID(p.Workload)
	p.status.SetPods(br.Status.CanaryStatus.UpdatedReplicas, br.Status.CanaryStatus.UpdatedReadyReplicas)
	p.sub.Message = fmt.Sprintf("BatchRelease is at state %s, rollout-id %s, step %d",
		br.Status.CanaryStatus.CurrentBatchState, br.Status.ObservedRolloutID, br.Status.CanaryStatus.CurrentBatch+1)
	if br.Status.Message != "" {
		p.sub.Message += ", " + br.Status.Message
	}
}

// jump goes to the step that a client has asked for. What an older client did not know, or got wrong, is repaired.
func (p *rolloutPlanner) jump() {
	n := p.steps()
	p.sub.CurrentStepIndex = min(max(p.sub.CurrentStepIndex, 1), n)
	next := natural(p.sub.CurrentStepIndex, n)
	to := p.sub.NextStepIndex
	p.sub.NextStepIndex = next
	approved := to == p.sub.CurrentStepIndex && p.sub.CurrentStepState == v1beta1.StepReady // later than the jump, and further
	if to != next && to >= 1 && to <= n && !approved {
		p.happened(v1beta1.StepJumped, to, "")
		p.goTo(to)
	}
}

// goTo makes a step the current one. Pods are never taken back; with as many as it asks for, all of them ready, only its
// route is left to do, unless webhooks are asked before it.
func (p *rolloutPlanner) goTo(step int32) {
	p.sub.CurrentStepIndex, p.sub.NextStepIndex = step, natural(step, p.steps())
	p.sub.StepStartTime = nil // the deadline counts anew
	p.forgetHooks()
	updated, ready := p.status.Pods()
	if p.size(step) == updated && ready == updated && p.dueHook(v1beta1.WebhookBefore) == nil {
		p.enter(v1beta1.StepTrafficRouting)
		return
	}
	p.enter(v1beta1.StepBeforeUpgrade)
}

func (p *rolloutPlanner) steps() int32 { return int32(len(p.Rollout.Spec.Strategy.Steps())) } //nolint:gosec // at most 50

// replicas is what a step, from 1, asks for.
func (p *rolloutPlanner) replicas(step int32) intstr.IntOrString {
	return ptr.Deref(p.Rollout.Spec.Strategy.Steps()[step-1].Replicas, wholly)
}

// size is how many pods that comes to.
func (p *rolloutPlanner) size(step int32) int32 {
	return v1beta1.PodsOf(p.replicas(step), p.Workload.Replicas, p.Workload.KeepsOne)
}

// upgrading orders the step's pods and waits for them.
func (p *rolloutPlanner) upgrading() *pending {
	i, n := p.sub.CurrentStepIndex, p.steps()
	p.status.Message = fmt.Sprintf("Rollout is in step(%d/%d), and upgrade workload to new version", i, n)
	want := p.ordering(i)
	br := p.Release
	switch {
	case br == nil:
		return p.orderNew(want)
	case br.DeletionTimestamp != nil:
		return explained().of(v1beta1.BlockerBatchReleaseEnding, p.batchReleaseObject()) // a new one follows once it is gone
	case br.Spec.ReleasePlan.BatchPartition == nil:
		p.dropRelease() // it has begun to restore the workload, and is never armed again
		return writing()
	}
	if changes := diff(br, p.asRollback(ordered(br, want, p.Now))); len(changes) > 0 {
		p.Changes = append(p.Changes, changes...)
		return writing()
	}
	if reached(br) < i {
		return explained()
	}
	p.normal(fmt.Sprintf("upgrade step(%d) canary pods with new versions done", i))
	if p.Workload.Update != "" {
		p.sub.PodTemplateHash = p.Workload.Update
	}
	p.sub.ObservedWorkloadGeneration = p.Workload.Generation
	p.enter(v1beta1.StepTrafficRouting)
	return nil
}

// ordering is the order for a step.
func (p *rolloutPlanner) ordering(step int32) v1beta1.BatchReleaseSpec {
	return order(p.Rollout, p.Workload.RolloutID, step, "")
}

// keepOrder keeps the BatchRelease at the step's order: someone may have deleted it, changed the release's id, or jumped
// to a step with as many pods.
func (p *rolloutPlanner) keepOrder() *pending {
	want := p.ordering(p.sub.CurrentStepIndex)
	switch br := p.Release; {
	case br == nil:
		return p.orderNew(want)
	case br.DeletionTimestamp == nil && br.Spec.ReleasePlan.BatchPartition != nil:
		p.Changes = append(p.Changes, diff(br, p.asRollback(ordered(br, want, p.Now)))...)
	}
	if len(p.Changes) > 0 {
		return writing()
	}
	return nil
}

// beyond is what a person who approves has to know in addition to the step: that the pods are not those that it ordered, and cannot be.
func (p *rolloutPlanner) beyond() string {
	br := p.Release
	held := p.heldInBackground()
	switch {
	case held != nil:
		p.raise(blocker{code: held.code, message: held.message})
		return "; " + held.message
	case p.Workload.Replicas == 0:
		const why = "the workload is scaled to 0: scale it up, because a step needs pods"
		p.raise(blocker{code: v1beta1.BlockerScaledToZero, object: p.workloadObject(), message: why})
		return "; " + why
	case br != nil && br.Status.CanaryStatus.CurrentBatchState == v1beta1.BatchReady && br.Status.Message != "":
		return "; " + br.Status.Message
	default:
		return ""
	}
}

// pausing waits for as long as the step says, or for someone to approve.
func (p *rolloutPlanner) pausing() *pending {
	if wait := p.keepOrder(); wait != nil {
		return wait
	}
	i, n := p.sub.CurrentStepIndex, p.steps()
	if i == n && p.replicas(i) == wholly && Style(p.Rollout) != v1beta1.BlueGreenRollingStyle {
		if wait := p.heldInBackground(); wait != nil {
			return wait
		}
		p.enter(v1beta1.StepReady) // nothing is left to check before the end
		return nil
	}
	duration := p.Rollout.Spec.Strategy.Steps()[i-1].Pause.Duration
	if duration == nil {
		return &pending{message: fmt.Sprintf("Rollout is in step(%d/%d), and you need manually confirm to enter the next step", i, n) + p.beyond(), whole: true, code: v1beta1.BlockerApproval}
	}
	since := stamp(p.Now)
	if t := p.sub.LastUpdateTime; t != nil {
		since = *t
	}
	p.sub.LastUpdateTime = &since
	until := since.Add(time.Duration(*duration) * time.Second)
	if *duration > 0 && p.Now.Before(until) {
		message := fmt.Sprintf("Rollout is in step(%d/%d), and wait duration(%d seconds) to enter the next step", i, n, *duration)
		return &pending{message: message, whole: true, until: until, code: v1beta1.BlockerTimer}
	}
	if wait := p.heldInBackground(); wait != nil {
		return wait
	}
	p.enter(v1beta1.StepReady)
	return nil
}

// advancing goes to the next step.
func (p *rolloutPlanner) advancing() *pending {
	i, n := p.sub.CurrentStepIndex, p.steps()
	if i >= n {
		p.sub.NextStepIndex = -1
		p.enter(v1beta1.StepCompleted)
		return nil
	}
	p.sub.CurrentStepIndex, p.sub.NextStepIndex = i+1, natural(i+1, n)
	p.forgetHooks()
	p.enter(v1beta1.StepBeforeUpgrade)
	return nil
}
