// SPDX-License-Identifier: Apache-2.0

package view

import (
	"fmt"
	"time"

	rolloutsv1beta1 "kruise.io/rollouts/api/v1beta1"
)

// Awaiting is what a release waits for.
type Awaiting struct {
	For     string     `json:"for"`
	Command string     `json:"command,omitempty"` // what a person can type to go on
	Since   *time.Time `json:"since,omitempty"`
	Until   *time.Time `json:"until,omitempty"`
}

// awaiting says what keeps the release where it is; nil: nothing, or nothing that can be distinguished from outside.
func awaiting(ro *rolloutsv1beta1.Rollout, sub shared, r Rollout) *Awaiting {
	if r.Phase != rolloutsv1beta1.PhaseProgressing {
		return nil
	}
	a := &Awaiting{}
	if t := sub.LastUpdateTime; t != nil {
		a.Since = &t.Time
	}
	reason := ""
	for _, c := range ro.Status.Conditions {
		if c.Type == rolloutsv1beta1.ConditionProgressing {
			reason = c.Reason
		}
	}
	switch {
	case reason == rolloutsv1beta1.ReasonCancelling:
		a.For = "all pods to be at the stable version"
	case reason == rolloutsv1beta1.ReasonFinalising:
		a.For = "the workload to be restored"
	case ro.Spec.Strategy.Paused:
		a.For, a.Command = "someone to resume it", Command("resume", r)
	case sub.CurrentStepState == rolloutsv1beta1.StepPaused:
		pausing(a, ro, r)
	case a.webhook(ro, r):
	case sub.CurrentStepState == rolloutsv1beta1.StepMetricsAnalysis:
		if a.For = "the analysis of the step"; ro.Status.AsksAboutAnalysis() {
			a.For, a.Command = "good metrics, or someone to approve all the same", Command("approve", r)
		}
	case sub.CurrentStepState == rolloutsv1beta1.StepUpgrade:
		wanted := sub.updated
		if r.Step >= 1 && r.Step <= len(r.Steps) {
			wanted = max(wanted, r.Steps[r.Step-1].Pods)
		}
		a.For = fmt.Sprintf("pods of the new version: %d of %d ready", sub.ready, wanted)
	default:
		return nil
	}
	return a
}

// webhook says which webhook is waited for; false: none is.
func (a *Awaiting) webhook(ro *rolloutsv1beta1.Rollout, r Rollout) bool {
	if held := ro.HeldBy(); held != nil {
		a.For, a.Command = "webhook "+held.Name+" to allow the step, or someone to approve all the same", Command("approve", r)
		return true
	}
	for _, h := range ro.Status.Webhooks {
		if h.Phase == rolloutsv1beta1.WebhookRunning || h.Phase == rolloutsv1beta1.WebhookWaiting {
			a.For = "webhook " + h.Name + " to decide"
			return true
		}
	}
	return false
}

func pausing(a *Awaiting, ro *rolloutsv1beta1.Rollout, r Rollout) {
	steps := ro.Spec.Strategy.Steps()
	if r.Step < 1 || r.Step > len(steps) || steps[r.Step-1].Pause.Duration == nil {
		a.For, a.Command = "approval", Command("approve", r)
		return
	}
	d := time.Duration(*steps[r.Step-1].Pause.Duration) * time.Second
	a.For = fmt.Sprintf("the pause of %s to pass", d)
	if a.Since != nil {
		until := a.Since.Add(d)
		a.Until = &until
	}
}

// Command is what a person types to have verb done to r.
func Command(verb string, r Rollout) string {
	return fmt.Sprintf("kubectl kruise rollout %s rollout/%s -n %s", verb, r.Name, r.Namespace)
}
