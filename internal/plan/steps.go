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
func (l *look) rolling() {
	if l.steps() == 0 {
		l.status.Message = "the strategy has no steps"
		return
	}
	if l.sub.StableRevision == "" { // an older client wrote the status without it
		l.sub.StableRevision = l.Workload.Stable
	}
	if wait := run(l.gates()...); wait != nil {
		l.await(wait)
		return
	}
	l.resumes()
	l.reason(v1beta1.ReasonInRolling, "Rollout is in Progressing")
	l.follow()
	if l.sub.CurrentStepState == v1beta1.StepCompleted { // by a client: at most, that is an approval of the last step
		l.sub.CurrentStepState = v1beta1.StepBeforeUpgrade
		if l.sub.CurrentStepIndex >= l.steps() {
			l.sub.CurrentStepState = v1beta1.StepReady
		}
	}
	l.premature()
	l.approved()
	l.jump()
	for range 8 * len(Steps(l.Rollout)) { // every state of every step once, and never without end
		if wait := l.step(); wait != nil {
			l.await(wait)
			return
		}
	}
}

// await says what the release waits for in its step.
func (l *look) await(wait *pending) {
	switch {
	case wait.message == "":
	case wait.whole:
		l.status.Message = wait.message
	default:
		l.status.Message = fmt.Sprintf("Rollout is in step(%d/%d): %s", l.sub.CurrentStepIndex, l.steps(), wait.message)
	}
	if wait.reason != "" {
		l.reason(wait.reason, l.status.Message)
	}
	l.lookAt(wait.until)
}

// awaitToo adds what is waited for to what the status says of a release that goes back or ends. The reason says which way it goes.
func (l *look) awaitToo(wait *pending) {
	if wait.message != "" {
		l.status.Message += "; " + wait.message
	}
	l.lookAt(wait.until)
}

// lookAt asks for another pass at t; zero: an event asks for it.
func (l *look) lookAt(t time.Time) {
	if !t.IsZero() {
		l.wake(t)
	}
}

// step acts in the current state, and moves on to another, or waits.
func (l *look) step() *pending {
	switch l.sub.CurrentStepState {
	case v1beta1.StepBeforeUpgrade:
		return l.preparing()
	case v1beta1.StepUpgrade:
		return l.upgrading()
	case v1beta1.StepTrafficRouting:
		return l.routing()
	case v1beta1.StepMetricsAnalysis:
		l.enter(v1beta1.StepPaused)
		return nil
	case v1beta1.StepPaused:
		return l.pausing()
	case v1beta1.StepReady:
		return l.advancing()
	case v1beta1.StepCompleted:
		l.status.Message = "Rollout has been completed and some closing work is being done"
		l.reason(v1beta1.ReasonFinalising, l.status.Message)
		l.sub.FinalisingStep = v1beta1.FinalisingNone
		l.finalising(success)
		return explained()
	default: // written by a client, and no state of ours
		l.enter(v1beta1.StepBeforeUpgrade)
		return nil
	}
}

// enter moves to a state and starts its clock.
func (l *look) enter(state v1beta1.CanaryStepState) {
	now := stamp(l.Now)
	l.sub.CurrentStepState, l.sub.LastUpdateTime = state, &now
	if state == v1beta1.StepPaused {
		l.happened(v1beta1.StepReached, l.sub.CurrentStepIndex, "")
	}
}

// follow takes over what the BatchRelease says of the pods.
func (l *look) follow() {
	if l.sub.RolloutHash == "" {
		l.sub.RolloutHash = l.hash
	}
	br := l.Release
	if br == nil || br.DeletionTimestamp != nil || br.Status.CanaryStatus.CurrentBatchState == "" {
		return
	}
	if l.revision() == "" {
		l.setRevision(br.Status.UpdateRevision)
	}
	if l.sub.PodTemplateHash == "" {
		l.sub.PodTemplateHash = br.Status.UpdateRevision
	}
	l.sub.ObservedRolloutID = observedID(l.Workload)
	l.setPods(br.Status.CanaryStatus.UpdatedReplicas, br.Status.CanaryStatus.UpdatedReadyReplicas)
	l.sub.Message = fmt.Sprintf("BatchRelease is at state %s, rollout-id %s, step %d",
		br.Status.CanaryStatus.CurrentBatchState, br.Status.ObservedRolloutID, br.Status.CanaryStatus.CurrentBatch+1)
	if br.Status.Message != "" {
		l.sub.Message += ", " + br.Status.Message
	}
}

// jump goes to the step that a client has asked for. What an older client did not know, or got wrong, is repaired.
func (l *look) jump() {
	n := l.steps()
	l.sub.CurrentStepIndex = min(max(l.sub.CurrentStepIndex, 1), n)
	next := natural(l.sub.CurrentStepIndex, n)
	to := l.sub.NextStepIndex
	l.sub.NextStepIndex = next
	approved := to == l.sub.CurrentStepIndex && l.sub.CurrentStepState == v1beta1.StepReady // later than the jump, and further
	if to != next && to >= 1 && to <= n && !approved {
		l.happened(v1beta1.StepJumped, to, "")
		l.goTo(to)
	}
}

// goTo makes a step the current one. Pods are never taken back; with as many as it asks for, all of them ready, only its
// route is left to do.
func (l *look) goTo(step int32) {
	l.sub.CurrentStepIndex, l.sub.NextStepIndex = step, natural(step, l.steps())
	updated, ready := l.pods()
	if l.size(step) == updated && ready == updated {
		l.enter(v1beta1.StepTrafficRouting)
		return
	}
	l.enter(v1beta1.StepBeforeUpgrade)
}

func (l *look) steps() int32 { return int32(len(Steps(l.Rollout))) } //nolint:gosec // at most 50

// replicas is what a step, from 1, asks for.
func (l *look) replicas(step int32) intstr.IntOrString {
	return ptr.Deref(Steps(l.Rollout)[step-1].Replicas, wholly)
}

// size is how many pods that comes to.
func (l *look) size(step int32) int32 {
	return v1beta1.PodsOf(l.replicas(step), l.Workload.Replicas, l.Workload.KeepsOne)
}

// upgrading orders the step's pods and waits for them.
func (l *look) upgrading() *pending {
	i, n := l.sub.CurrentStepIndex, l.steps()
	l.status.Message = fmt.Sprintf("Rollout is in step(%d/%d), and upgrade workload to new version", i, n)
	want := l.ordering(i)
	br := l.Release
	switch {
	case br == nil:
		return l.orderNew(want)
	case br.DeletionTimestamp != nil:
		return explained() // a new one follows once it is gone
	case br.Spec.ReleasePlan.BatchPartition == nil:
		l.dropRelease() // it has begun to give the workload back, and is never armed again
		return writing()
	}
	if changes := diff(br, l.asRollback(ordered(br, want, l.Now))); len(changes) > 0 {
		l.Changes = append(l.Changes, changes...)
		return writing()
	}
	if reached(br) < i {
		return explained()
	}
	l.normal(fmt.Sprintf("upgrade step(%d) canary pods with new versions done", i))
	if l.Workload.Update != "" {
		l.sub.PodTemplateHash = l.Workload.Update
	}
	l.sub.ObservedWorkloadGeneration = l.Workload.Generation
	l.enter(v1beta1.StepTrafficRouting)
	return nil
}

// ordering is the order for a step.
func (l *look) ordering(step int32) v1beta1.BatchReleaseSpec {
	return order(l.Rollout, l.Workload.RolloutID, step, "")
}

// keepOrder keeps the BatchRelease at the step's order: someone may have deleted it, changed the release's id, or jumped
// to a step with as many pods.
func (l *look) keepOrder() *pending {
	want := l.ordering(l.sub.CurrentStepIndex)
	switch br := l.Release; {
	case br == nil:
		return l.orderNew(want)
	case br.DeletionTimestamp == nil && br.Spec.ReleasePlan.BatchPartition != nil:
		l.Changes = append(l.Changes, diff(br, l.asRollback(ordered(br, want, l.Now)))...)
	}
	if len(l.Changes) > 0 {
		return writing()
	}
	return nil
}

// beyond is what whoever approves has to know beside the step: that the pods are not those that it ordered, and cannot be.
func (l *look) beyond() string {
	br := l.Release
	switch {
	case l.Workload.Replicas == 0:
		return "; the workload is scaled to 0, and no step is done without pods"
	case br != nil && br.Status.CanaryStatus.CurrentBatchState == v1beta1.BatchReady && br.Status.Message != "":
		return "; " + br.Status.Message
	default:
		return ""
	}
}

// pausing waits for as long as the step says, or for someone to approve.
func (l *look) pausing() *pending {
	if wait := l.keepOrder(); wait != nil {
		return wait
	}
	i, n := l.sub.CurrentStepIndex, l.steps()
	if i == n && l.replicas(i) == wholly && Style(l.Rollout) != v1beta1.BlueGreenRollingStyle {
		l.enter(v1beta1.StepReady) // nothing is left to look at before the end
		return nil
	}
	duration := Steps(l.Rollout)[i-1].Pause.Duration
	if duration == nil {
		return &pending{message: fmt.Sprintf("Rollout is in step(%d/%d), and you need manually confirm to enter the next step", i, n) + l.beyond(), whole: true}
	}
	since := stamp(l.Now)
	if t := l.sub.LastUpdateTime; t != nil {
		since = *t
	}
	l.sub.LastUpdateTime = &since
	until := since.Add(time.Duration(*duration) * time.Second)
	if *duration > 0 && l.Now.Before(until) {
		message := fmt.Sprintf("Rollout is in step(%d/%d), and wait duration(%d seconds) to enter the next step", i, n, *duration)
		return &pending{message: message, whole: true, until: until}
	}
	l.enter(v1beta1.StepReady)
	return nil
}

// advancing goes to the next step.
func (l *look) advancing() *pending {
	i, n := l.sub.CurrentStepIndex, l.steps()
	if i >= n {
		l.sub.NextStepIndex = -1
		l.enter(v1beta1.StepCompleted)
		return nil
	}
	l.sub.CurrentStepIndex, l.sub.NextStepIndex = i+1, natural(i+1, n)
	l.enter(v1beta1.StepBeforeUpgrade)
	return nil
}
