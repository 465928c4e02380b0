// SPDX-License-Identifier: Apache-2.0

package properties

import (
	"fmt"
	"strings"
	"time"

	"pgregory.net/rapid"

	"kruise.io/rollouts/api/v1beta1"
	"kruise.io/rollouts/internal/analysis"
)

// hook has some Rollouts ask webhooks before and after their steps, and provides what they answer.
func (m *model) hook(t *rapid.T, ro *v1beta1.Rollout) {
	m.allows = "allowed"
	m.Answer = func(analysis.Ask) analysis.HookAnswer {
		return analysis.HookAnswer{Outcome: analysis.HookOutcome(m.allows), RetryAfter: time.Second}
	}
	if m.hooked = rapid.IntRange(0, 2).Draw(t, "hooked") == 0; !m.hooked {
		return
	}
	for i := range *stepsIn(ro) {
		(*stepsIn(ro))[i].Webhooks = m.webhooks(i)
	}
}

// webhooks are those of a step, the same ones whenever the plan is edited.
func (m *model) webhooks(step int) []v1beta1.StepWebhook {
	if !m.hooked {
		return nil
	}
	hooks := []v1beta1.StepWebhook{
		{Name: "check", When: v1beta1.WebhookBefore, URL: "https://gate.example.com", Retries: new(int32(1)), WaitAtMost: "20s"},
		{Name: "smoke", When: v1beta1.WebhookAfter, URL: "https://gate.example.com", WaitAtMost: "20s"},
	}
	if step == 1 {
		hooks[0].OnFailure, hooks[1].OnFailure = v1beta1.ActionAbort, v1beta1.ActionAbort
	}
	return hooks
}

func (m *model) webhooksChange(t *rapid.T) {
	m.allows = rapid.SampledFrom([]string{"allowed", "allowed", "refused", "not yet", "failed"}).Draw(t, "answer")
}

// approveByAnnotation approves the present step, or another one, by the annotation.
func (m *model) approveByAnnotation(t *rapid.T) {
	ro := m.rollout()
	if ro.Status.Phase != v1beta1.PhaseProgressing {
		return
	}
	revision := ro.Status.Revision()
	if held := ro.HeldBy(); held != nil {
		revision = held.Revision
	}
	value := v1beta1.SkipValue(revision, progress(ro).CurrentStepIndex+rapid.Int32Range(0, 1).Draw(t, "of the step"))
	m.patch(t, ro, fmt.Sprintf(`{"metadata":{"annotations":{%q:%q}}}`, v1beta1.AnnotationApprove, value))
}

// passed reports whether a webhook of a step has allowed it, or somebody has in its place.
func passed(ro *v1beta1.Rollout, step int32, name string) bool {
	for _, h := range ro.Status.Webhooks {
		if h.Step == step && h.Name == name {
			return h.Phase == v1beta1.WebhookSuccessful || h.Phase == v1beta1.WebhookSkipped
		}
	}
	return false
}

// unallowed: for the manager no step with webhooks begins, ends, or is left for the next one, before they have allowed it or somebody
// has approved. Who jumps or edits the plan leaves it as well, and a roll-back asks nobody.
func (m *model) unallowed(before, after *v1beta1.Rollout) string {
	b, a := progress(before), progress(after)
	revision := after.Status.Revision()
	if !m.hooked || after.Status.Phase != v1beta1.PhaseProgressing || revision == a.StableRevision || a.FinalisingStep != "" {
		return ""
	}
	switch step := a.CurrentStepIndex; {
	case a.CurrentStepState == v1beta1.StepBeforeUpgrade || a.CurrentStepState == v1beta1.StepCompleted || step < 1 || int(step) > len(*stepsIn(after)) || len((*stepsIn(after))[step-1].Webhooks) == 0:
	case !passed(after, step, "check"):
		return fmt.Sprintf("step %d is in state %s, and webhook check has not allowed it: %v", step, a.CurrentStepState, after.Status.Webhooks)
	case (a.CurrentStepState == v1beta1.StepPaused || a.CurrentStepState == v1beta1.StepReady) && !passed(after, step, "smoke"):
		return fmt.Sprintf("step %d is in state %s, and webhook smoke has not allowed it: %v", step, a.CurrentStepState, after.Status.Webhooks)
	}
	if revision != before.Status.Revision() || b.RolloutHash != a.RolloutHash || b.FinalisingStep != "" {
		return ""
	}
	if problem := m.unbegun(before, after); problem != "" {
		return problem
	}
	next := a.CurrentStepIndex == b.CurrentStepIndex+1 && b.NextStepIndex == a.CurrentStepIndex || a.CurrentStepState == v1beta1.StepCompleted
	step := b.CurrentStepIndex
	if !next || step < 1 || int(step) > len(*stepsIn(after)) || len((*stepsIn(after))[step-1].Webhooks) == 0 {
		return ""
	}
	switch b.CurrentStepState {
	case v1beta1.StepPaused, v1beta1.StepReady, v1beta1.StepCompleted: // which was checked
		return ""
	case v1beta1.StepMetricsAnalysis:
		if said := lastAnswer(after, step); strings.Contains(said, "webhook smoke allowed") || strings.Contains(said, "approved by user, although webhook smoke") {
			return ""
		}
	default:
	}
	return fmt.Sprintf("step %d is left in state %s without its webhooks", step, b.CurrentStepState)
}

// lastAnswer is what a webhook of a step has come to last, as it is on record.
func lastAnswer(ro *v1beta1.Rollout, step int32) (said string) {
	if ro.Status.Release != nil {
		for _, e := range ro.Status.Release.Timeline {
			if e.Type == v1beta1.StepAnswered && e.Step == step {
				said = e.Message
			}
		}
	}
	return said
}

// unbegun: while a webhook before the step has not allowed it, the stable Service stays with the stable pods that there are.
func (m *model) unbegun(before, after *v1beta1.Rollout) string {
	b, a := progress(before), progress(after)
	step := a.CurrentStepIndex
	waits := a.CurrentStepState == v1beta1.StepBeforeUpgrade && b.CurrentStepState == a.CurrentStepState && b.CurrentStepIndex == step && !passed(after, step, "check")
	if !waits || b.Traffic == nil || reasonOf(before) != v1beta1.ReasonInRolling || reasonOf(after) != v1beta1.ReasonInRolling || b.Traffic.StableRevision != a.StableRevision {
		return ""
	}
	if updated, _ := after.Status.Pods(); updated < *m.user.Spec.Replicas && (a.Traffic == nil || a.Traffic.StableRevision == "") {
		return fmt.Sprintf("the stable Service is opened before webhook check has allowed step %d", step)
	}
	return ""
}

// reasonOf is the reason of the condition Progressing.
func reasonOf(ro *v1beta1.Rollout) string {
	for _, c := range ro.Status.Conditions {
		if c.Type == v1beta1.ConditionProgressing {
			return c.Reason
		}
	}
	return ""
}
