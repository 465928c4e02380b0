// SPDX-License-Identifier: Apache-2.0

package view

import (
	"fmt"
	"strings"

	rolloutsv1beta1 "kruise.io/rollouts/api/v1beta1"
)

// Webhook is one webhook of the present step, and what it answered.
type Webhook struct {
	Name     string                       `json:"name"`
	Step     int32                        `json:"step"`
	When     rolloutsv1beta1.WebhookTime  `json:"when"`
	Phase    rolloutsv1beta1.WebhookPhase `json:"phase"`
	Attempts int32                        `json:"attempts"`
	Message  string                       `json:"message,omitempty"`
}

// webhooks are those of the step that a release is in, or was in last. One that was not asked yet has no phase.
func webhooks(ro *rolloutsv1beta1.Rollout) (all []Webhook) {
	sub, steps := ro.Status.Common(), ro.Spec.Strategy.Steps()
	for _, st := range ro.Status.Webhooks {
		all = append(all, Webhook{Name: st.Name, Step: st.Step, When: st.When, Phase: st.Phase, Attempts: st.Attempts, Message: st.Message})
	}
	if sub == nil || ro.Status.Phase != rolloutsv1beta1.PhaseProgressing || sub.CurrentStepIndex < 1 || int(sub.CurrentStepIndex) > len(steps) {
		return all
	}
	for _, h := range steps[sub.CurrentStepIndex-1].Webhooks {
		asked := false
		for _, st := range ro.Status.Webhooks {
			asked = asked || st.Name == h.Name && st.Step == sub.CurrentStepIndex
		}
		if !asked {
			all = append(all, Webhook{Name: h.Name, Step: sub.CurrentStepIndex, When: h.When})
		}
	}
	return all
}

// webhookLines draws the webhooks: one line each, and what it answered below it.
func (r Rollout) webhookLines(s Style) []string {
	rows := [][]string{}
	for _, h := range r.Webhooks {
		when := fmt.Sprintf("%s step %d", strings.ToLower(string(h.When)), h.Step)
		rows = append(rows, []string{s.allowance(h.Phase) + " " + h.Name, when, first(string(h.Phase), "not asked"), fmt.Sprintf("asked %s", count(int(h.Attempts), "time"))})
	}
	lines := []string{}
	for i, line := range columns(2, rows) {
		if lines = append(lines, line); r.Webhooks[i].Message != "" {
			lines = append(lines, "    "+r.Webhooks[i].Message)
		}
	}
	return lines
}

// allowance is the sign before a webhook.
func (s Style) allowance(phase rolloutsv1beta1.WebhookPhase) string {
	switch phase {
	case rolloutsv1beta1.WebhookSuccessful, rolloutsv1beta1.WebhookSkipped:
		return s.paint(green, "✔")
	case rolloutsv1beta1.WebhookRefused, rolloutsv1beta1.WebhookFailed:
		return s.paint(red, "✘")
	default:
		return s.paint(yellow, "●")
	}
}
