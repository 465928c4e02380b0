// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kruise.io/rollouts/api/v1beta1"
)

// deadline looks, before anybody is asked or waited for, whether the step takes longer than it may
// (spec.progressDeadlineSeconds). It is over once the step's pods are ready and its traffic is routed.
func (p *rolloutPlanner) deadline() *pending {
	limit := p.Rollout.Spec.ProgressDeadlineSeconds
	if limit == nil {
		p.sub.StepStartTime = nil
		return nil
	}
	switch p.sub.CurrentStepState {
	case v1beta1.StepBeforeUpgrade, v1beta1.StepUpgrade, v1beta1.StepTrafficRouting:
	default:
		return nil
	}
	if p.sub.StepStartTime == nil {
		now := stamp(p.Now)
		p.sub.StepStartTime = &now
	}
	start := p.sub.StepStartTime.Time
	for _, st := range p.status.Webhooks { // what a step waited for before it began is over: its pods have their own time
		if st.When == v1beta1.WebhookBefore && st.CompletionTime != nil && !st.Phase.Holds() && p.ofStep(st) {
			start = later(start, st.CompletionTime.Time)
		}
	}
	until := start.Add(time.Duration(*limit) * time.Second)
	if p.Now.Before(until) {
		p.wake(until)
		return nil
	}
	message := fmt.Sprintf("step %d has not been done within %d seconds (progressDeadlineSeconds), since %s",
		p.sub.CurrentStepIndex, *limit, start.UTC().Format(time.RFC3339))
	if c := condition(p.Rollout.Status.Conditions, v1beta1.ConditionStalled); c == nil || c.Reason != v1beta1.ReasonDeadlineExceeded {
		p.warn(EventDeadlineExceeded, message)
	}
	if p.Rollout.Spec.OnDeadline == v1beta1.ActionAbort && p.abortable() {
		return p.abortFor(deadlineUser, message)
	}
	p.overdue = &Obstacle{Reason: v1beta1.ReasonDeadlineExceeded, Message: message}
	return nil
}

// standStill stops the clocks of the deadline, the analyses and the webhooks while the Rollout is paused.
func (p *rolloutPlanner) standStill() {
	if p.sub.PausedTime == nil && (p.sub.StepStartTime != nil || p.status.Analysis != nil || p.status.Webhooks != nil) {
		now := metav1.NewTime(p.Now.Truncate(time.Second))
		p.sub.PausedTime = &now
	}
}

// moveOn lets those clocks go on: what began before the pause counts as begun later.
func (p *rolloutPlanner) moveOn() {
	if p.sub.PausedTime == nil {
		return
	}
	pause := max(0, p.Now.Sub(p.sub.PausedTime.Time))
	p.sub.PausedTime = nil
	shift := func(t *metav1.Time) {
		if t != nil {
			*t = stamp(t.Add(pause))
		}
	}
	shift(p.sub.StepStartTime)
	for _, run := range p.status.AnalysisRuns() {
		if run.CompletionTime == nil {
			shift(run.StartTime)
		}
	}
	for _, st := range p.status.Webhooks {
		if st.CompletionTime == nil {
			shift(st.StartTime)
		}
	}
}
