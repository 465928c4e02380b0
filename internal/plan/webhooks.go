// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"kruise.io/rollouts/api/v1beta1"
	"kruise.io/rollouts/internal/analysis"
	"kruise.io/rollouts/internal/workload"
)

// How webhooks are asked where their Rollout does not say, and within what bounds they say themselves.
const (
	hookTimeout     = 10 * time.Second
	hookTimeoutMost = 30 * time.Second
	hookRetries     = 3
	hookWaitAtMost  = 30 * time.Minute
	hookBackoff     = 5 * time.Second // after the first failure; twice the time after each further one
	hookBackoffMost = time.Minute
	hookNotYet      = 10 * time.Second // after an answer that says "not yet", and not for how long
	hookHeld        = time.Minute      // while a webhook holds the release
	retryAfterLeast = 5 * time.Second
	retryAfterMost  = 5 * time.Minute
)

// hookCall is what a webhook is sent (docs/wire.md, webhooks).
type hookCall struct {
	Version        string            `json:"version"`
	ID             string            `json:"id"`
	Event          string            `json:"event"` // before or after
	Webhook        string            `json:"webhook"`
	Namespace      string            `json:"namespace"`
	Name           string            `json:"name"`
	UID            string            `json:"uid"`
	Workload       v1beta1.ObjectRef `json:"workload"`
	Revision       string            `json:"revision,omitempty"`
	Template       string            `json:"template"`
	StableRevision string            `json:"stableRevision"`
	Step           int32             `json:"step"`
	Steps          int32             `json:"steps"`
	Replicas       string            `json:"replicas"`
	Traffic        string            `json:"traffic,omitempty"`
	Attempt        int32             `json:"attempt"`
	Time           string            `json:"time"`
}

// hooks are the webhooks of the present step that are asked at a time. A roll-back in batches waits for none.
func (p *rolloutPlanner) hooks(when v1beta1.WebhookTime) (hooks []v1beta1.StepWebhook) {
	i := p.sub.CurrentStepIndex
	if i < 1 || i > p.steps() || p.status.Revision() != "" && p.status.Revision() == p.sub.StableRevision {
		return nil
	}
	for _, h := range p.Rollout.Spec.Strategy.Steps()[i-1].Webhooks {
		if h.When == when {
			hooks = append(hooks, h)
		}
	}
	return hooks
}

// templateName stands for the revision of a template that no pod was made of yet.
func (p *rolloutPlanner) templateName() string {
	if p.template == "" {
		p.template = "template-" + digest(workload.Template(p.Objects.Workload))[:10]
	}
	return p.template
}

// revisionKnown puts the revision in the place of the template's hash, once the workload's own controller has made it.
func (p *rolloutPlanner) revisionKnown() {
	for i := range p.status.Webhooks {
		if st := &p.status.Webhooks[i]; st.Revision == p.templateName() {
			st.Revision = p.status.Revision()
		}
	}
}

// identity is the version that webhooks are asked about, and people approve.
func (p *rolloutPlanner) identity() string {
	if revision := p.status.Revision(); revision != "" {
		return revision
	}
	return p.templateName()
}

// ofStep reports whether what a webhook answered is about the present step of the present version.
func (p *rolloutPlanner) ofStep(st v1beta1.WebhookStatus) bool {
	return st.Step == p.sub.CurrentStepIndex && st.Revision == p.identity()
}

// answerOf is what is on record of a webhook; nil: nothing.
func (p *rolloutPlanner) answerOf(h v1beta1.StepWebhook) *v1beta1.WebhookStatus {
	for i := range p.status.Webhooks {
		if st := &p.status.Webhooks[i]; st.Name == h.Name && st.When == h.When && p.ofStep(*st) {
			return st
		}
	}
	return nil
}

// letsPass reports whether a webhook has let the step pass, by what is on record of it.
func letsPass(h v1beta1.StepWebhook, st *v1beta1.WebhookStatus) bool {
	switch {
	case st == nil:
		return false
	case st.Phase.Holds():
		return h.OnFailure == v1beta1.ActionContinue
	default:
		return st.Phase == v1beta1.WebhookSuccessful || st.Phase == v1beta1.WebhookSkipped
	}
}

// dueHook is the webhook that the step waits for at a time; nil: none.
func (p *rolloutPlanner) dueHook(when v1beta1.WebhookTime) *v1beta1.StepWebhook {
	for _, h := range p.hooks(when) {
		if !letsPass(h, p.answerOf(h)) {
			return &h
		}
	}
	return nil
}

// begunAfter reports whether webhooks after the step are asked already, so that its analysis is over.
func (p *rolloutPlanner) begunAfter() bool {
	return slices.ContainsFunc(p.status.Webhooks, func(st v1beta1.WebhookStatus) bool {
		return st.When == v1beta1.WebhookAfter && p.ofStep(st)
	})
}

// called waits for the webhooks of a time, one after the other. The shell calls them; what they answer is judged here in a later pass.
func (p *rolloutPlanner) called(when v1beta1.WebhookTime) *pending {
	for h := p.dueHook(when); h != nil; h = p.dueHook(when) {
		st := p.begun(*h)
		if r, ok := p.Measured[hookKey(*st)]; ok && st.NextTime != nil {
			answer, _ := r.Result.(analysis.HookAnswer)
			if r.Err != "" {
				answer = analysis.HookAnswer{Outcome: analysis.HookFailed, Message: r.Err}
			}
			p.answered(*h, st, answer, r.Time)
			if letsPass(*h, st) {
				continue
			}
		}
		if st.Phase.Holds() && h.OnFailure == v1beta1.ActionAbort && p.abortable() {
			return p.abortByHook(*st)
		}
		if st.NextTime != nil {
			p.Asks = append(p.Asks, p.askHook(*h, *st))
		}
		return &pending{message: p.hookMessage(*h, *st), code: hookBlocker(*st), until: p.hookUntil(*h, *st)}
	}
	return nil
}

// hookUntil is when a webhook is asked next; while a call is under way, until when it may say "not yet"; zero: it is not asked any more.
func (p *rolloutPlanner) hookUntil(h v1beta1.StepWebhook, st v1beta1.WebhookStatus) time.Time {
	if st.NextTime == nil || st.NextTime.After(p.Now) {
		return ptr.Deref(st.NextTime, metav1.MicroTime{}).Time
	}
	if ends := waitEnds(h, st); ends.After(p.Now) && !st.Phase.Holds() {
		return ends
	}
	return time.Time{}
}

// waitEnds is until when a webhook may say "not yet".
func waitEnds(h v1beta1.StepWebhook, st v1beta1.WebhookStatus) time.Time {
	return st.StartTime.Add(lasting(h.WaitAtMost, hookWaitAtMost))
}

// begun is the record of a webhook, made where there is none. What is on record of other steps goes.
func (p *rolloutPlanner) begun(h v1beta1.StepWebhook) *v1beta1.WebhookStatus {
	if st := p.answerOf(h); st != nil {
		p.completed(h, st)
		return st
	}
	p.status.Webhooks = slices.DeleteFunc(p.status.Webhooks, func(st v1beta1.WebhookStatus) bool { return !p.ofStep(st) })
	start, next := stamp(p.Now), metav1.NewMicroTime(p.Now.Truncate(time.Microsecond))
	p.status.Webhooks = append(p.status.Webhooks, v1beta1.WebhookStatus{
		Name: h.Name, When: h.When, Step: p.sub.CurrentStepIndex, Revision: p.identity(), Phase: v1beta1.WebhookRunning, StartTime: &start, NextTime: &next,
	})
	return &p.status.Webhooks[len(p.status.Webhooks)-1]
}

// completed puts right what no pass has written on record: clients may write the status while admission is away.
func (p *rolloutPlanner) completed(h v1beta1.StepWebhook, st *v1beta1.WebhookStatus) {
	if st.Phase != v1beta1.WebhookWaiting && !st.Phase.Holds() { // all others have let the step pass
		st.Phase = v1beta1.WebhookRunning
	}
	if now := stamp(p.Now); st.StartTime == nil || st.StartTime.After(now.Time) {
		st.StartTime = &now
	}
	const most = 1 << 30
	if st.Attempts < 0 || st.Attempts > most {
		st.Attempts = 0
	}
	if st.Failures < 0 || st.Failures > most {
		st.Failures = 0
	}
	asked := !st.Phase.Holds() || h.OnFailure != v1beta1.ActionAbort
	if asked && st.NextTime == nil || st.NextTime != nil && st.NextTime.After(p.Now.Add(retryAfterMost)) {
		next := metav1.NewMicroTime(p.Now.Truncate(time.Microsecond))
		st.NextTime = &next
	}
}

// hookKey names one call: another one is due at another time.
func hookKey(st v1beta1.WebhookStatus) string {
	due := int64(0)
	if st.NextTime != nil {
		due = st.NextTime.UnixMicro()
	}
	return fmt.Sprintf("webhook/%s/%d/%s/%s/%d@%d", st.Revision, st.Step, st.When, st.Name, st.Attempts+1, due)
}

// askHook is the call that is due next.
func (p *rolloutPlanner) askHook(h v1beta1.StepWebhook, st v1beta1.WebhookStatus) analysis.Ask {
	ro, step := p.Rollout, p.Rollout.Spec.Strategy.Steps()[st.Step-1]
	call := hookCall{
		Version: "1", ID: fmt.Sprintf("%s-%s-%d-%s-%s", ro.UID, st.Revision, st.Step, st.Name, st.When), Event: strings.ToLower(string(st.When)),
		Webhook: st.Name, Namespace: ro.Namespace, Name: ro.Name, UID: string(ro.UID), Workload: ro.Spec.WorkloadRef,
		Revision: p.status.Revision(), Template: p.templateName(), StableRevision: p.sub.StableRevision, Step: st.Step, Steps: p.steps(),
		Replicas: new(p.replicas(st.Step)).String(), Traffic: ptr.Deref(step.Traffic, ""),
		Attempt: st.Attempts + 1, Time: st.NextTime.UTC().Format(time.RFC3339),
	}
	body, _ := json.Marshal(call) // it can always be written as JSON
	hook := &analysis.Hook{URL: h.URL, Headers: h.Headers, Timeout: min(lasting(h.Timeout, hookTimeout), hookTimeoutMost), ID: call.ID, Body: body}
	if s := h.SecretRef; s != nil {
		hook.Secret = &analysis.Secret{Namespace: ro.Namespace, Name: s.Name, Key: s.Key}
	}
	return analysis.Ask{Key: hookKey(st), Due: st.NextTime.Time, Namespace: ro.Namespace, Hook: hook}
}

// lasting reads a duration. What cannot be read counts as absent: admission has refused it, unless it was missed.
func lasting(text string, otherwise time.Duration) time.Duration {
	if d, err := time.ParseDuration(text); err == nil && d > 0 {
		return d
	}
	return otherwise
}

// answered judges one answer, and says when the next is wanted.
func (p *rolloutPlanner) answered(h v1beta1.StepWebhook, st *v1beta1.WebhookStatus, answer analysis.HookAnswer, at time.Time) {
	last := metav1.NewMicroTime(at)
	st.Attempts, st.LastTime = st.Attempts+1, &last
	ends := waitEnds(h, *st)
	wait := hookHeld
	switch answer.Outcome {
	case analysis.HookAllowed:
		st.Failures = 0
		p.decided(h, st, v1beta1.WebhookSuccessful, answer.Message)
	case analysis.HookRefused:
		st.Failures = 0
		p.decided(h, st, v1beta1.WebhookRefused, answer.Message)
	case analysis.HookNotYet:
		st.Failures = 0
		switch {
		case st.Phase.Holds(): // it does for as long as it does not allow the step
		case at.Before(ends): // asked for the last time when that is over
			st.Phase, st.Message = v1beta1.WebhookWaiting, answer.Message
			wait = min(within(answer.RetryAfter, hookNotYet), max(ends.Sub(at), time.Second))
		default:
			p.decided(h, st, v1beta1.WebhookFailed, because(fmt.Sprintf("it said not yet for %s", ends.Sub(st.StartTime.Time)), answer.Message))
		}
	default:
		st.Failures++
		switch {
		case st.Phase == v1beta1.WebhookRefused: // what it said counts until it says something else
		case st.Phase == v1beta1.WebhookFailed:
			st.Message = answer.Message
		case st.Failures <= ptr.Deref(h.Retries, hookRetries):
			st.Message = answer.Message
			wait = within(answer.RetryAfter, min(hookBackoff<<min(st.Failures-1, 10), hookBackoffMost))
		default:
			p.decided(h, st, v1beta1.WebhookFailed, answer.Message)
		}
	}
	next := metav1.NewMicroTime(at.Add(wait))
	st.NextTime = &next
	if letsPass(h, st) || st.Phase.Holds() && h.OnFailure == v1beta1.ActionAbort {
		st.NextTime = nil
	}
}

// within is for how long a webhook wants to be left alone, within bounds.
func within(asked, otherwise time.Duration) time.Duration {
	if asked <= 0 {
		return otherwise
	}
	return min(max(asked, retryAfterLeast), retryAfterMost)
}

// because adds to what happened why, if that is known.
func because(what, why string) string {
	if why == "" {
		return what
	}
	return what + ": " + why
}

// decided makes a webhook what it came to, and says so where that is news.
func (p *rolloutPlanner) decided(h v1beta1.StepWebhook, st *v1beta1.WebhookStatus, phase v1beta1.WebhookPhase, message string) {
	news := st.Phase != phase
	if news && (!st.Phase.Holds() || !phase.Holds()) {
		now := stamp(p.Now)
		st.CompletionTime = &now
	}
	if st.Phase, st.Message = phase, message; !news {
		return
	}
	said := verdictOf(*st)
	kind := corev1.EventTypeNormal
	if phase.Holds() {
		kind = corev1.EventTypeWarning
		if h.OnFailure == v1beta1.ActionContinue {
			said = "the release goes on although " + said
		}
	}
	p.Events = append(p.Events, Event{Type: kind, Reason: EventWebhook, Message: said})
	p.onRecord(*st, said, "")
}

// onRecord puts what a webhook came to on the record of the release.
func (p *rolloutPlanner) onRecord(st v1beta1.WebhookStatus, message, by string) {
	if r := p.status.Release; r != nil && r.Outcome == "" {
		Happened(r, v1beta1.ReleaseEvent{Time: stamp(p.Now), Type: v1beta1.StepAnswered, Step: st.Step, User: by, Message: message})
	}
}

// verdictOf says what a webhook came to.
func verdictOf(st v1beta1.WebhookStatus) string {
	did := "did not decide about"
	switch st.Phase {
	case v1beta1.WebhookSuccessful:
		did = "allowed"
	case v1beta1.WebhookRefused:
		did = "refused"
	default:
	}
	return because(fmt.Sprintf("webhook %s %s step %d", st.Name, did, st.Step), st.Message)
}

// hookMessage says what the step waits for, and what to do.
func (p *rolloutPlanner) hookMessage(h v1beta1.StepWebhook, st v1beta1.WebhookStatus) string {
	switch {
	case st.Phase.Holds() && st.NextTime == nil:
		return fmt.Sprintf("%s; change the pod template, or approve the step to go on all the same (%s: %s)", verdictOf(st), v1beta1.AnnotationApprove, v1beta1.SkipValue(st.Revision, st.Step))
	case st.Phase.Holds():
		return fmt.Sprintf("%s; the release goes on when the webhook allows the step, or when you approve the step (%s: %s)", verdictOf(st), v1beta1.AnnotationApprove, v1beta1.SkipValue(st.Revision, st.Step))
	case st.Phase == v1beta1.WebhookWaiting:
		ends := waitEnds(h, st).UTC().Format(time.RFC3339)
		return because(fmt.Sprintf("webhook %s has not decided about step %d, and is asked again until %s at most", st.Name, st.Step, ends), st.Message)
	case st.Failures > 0:
		return because(fmt.Sprintf("webhook %s has not answered about step %d in %d of %d calls", st.Name, st.Step, st.Failures, 1+ptr.Deref(h.Retries, hookRetries)), st.Message)
	default:
		return fmt.Sprintf("webhook %s is asked about step %d", st.Name, st.Step)
	}
}

// hookBlocker is what status.blockers calls the wait for a webhook.
func hookBlocker(st v1beta1.WebhookStatus) v1beta1.BlockerCode {
	switch st.Phase {
	case v1beta1.WebhookRefused:
		return v1beta1.BlockerWebhookRefused
	case v1beta1.WebhookFailed:
		return v1beta1.BlockerWebhookFailed
	default:
		return v1beta1.BlockerWebhookPending
	}
}

// abortByHook aborts the release for what a webhook says: once that is on record, because metadata are written before the status.
func (p *rolloutPlanner) abortByHook(st v1beta1.WebhookStatus) *pending {
	for _, was := range p.Rollout.Status.Webhooks {
		if was.Name == st.Name && was.When == st.When && was.Phase == st.Phase && was.StartTime.Equal(st.StartTime) {
			return p.abortFor(webhookUser, verdictOf(st))
		}
	}
	return &pending{message: "aborting the release: " + verdictOf(st), code: hookBlocker(st)}
}

// forgetHooks drops what webhooks answered about a step that is left, or entered again.
func (p *rolloutPlanner) forgetHooks() { p.status.Webhooks = nil }

// endHooks ends those that are still asked when their release goes back.
func (p *rolloutPlanner) endHooks() {
	now := stamp(p.Now)
	for i := range p.status.Webhooks {
		st := &p.status.Webhooks[i]
		if st.NextTime = nil; st.Phase == v1beta1.WebhookRunning || st.Phase == v1beta1.WebhookWaiting {
			st.Phase, st.Message, st.CompletionTime = v1beta1.WebhookSkipped, "the release ended before it", &now
		}
	}
}

// hookAgain takes a release back to the webhooks of its step where a client has written that it is past them.
func (p *rolloutPlanner) hookAgain() {
	state, back := p.sub.CurrentStepState, v1beta1.StepBeforeUpgrade
	due := p.dueHook(v1beta1.WebhookBefore)
	if due == nil && (state == v1beta1.StepPaused || state == v1beta1.StepReady) {
		due, back = p.dueHook(v1beta1.WebhookAfter), v1beta1.StepMetricsAnalysis
	}
	if due == nil || state == back || state == v1beta1.StepReady && p.Rollout.Status.AsksAboutAnalysis() && back == v1beta1.StepMetricsAnalysis {
		return
	}
	if state == v1beta1.StepReady {
		p.warn(EventApprovedTooEarly, fmt.Sprintf("the approval is ignored, because webhook %s has not allowed step %d: approve it by the annotation %s once the webhook has refused it or failed",
			due.Name, p.sub.CurrentStepIndex, v1beta1.AnnotationApprove))
	}
	p.sub.CurrentStepState = back
}
