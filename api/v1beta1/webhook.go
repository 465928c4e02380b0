// SPDX-License-Identifier: Apache-2.0

package v1beta1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// StepWebhook is an address that is asked whether a release may begin a step, or leave it. It is sent a POST of JSON, at least once,
// and repeats have the same id.
type StepWebhook struct {
	// Name of the webhook, by which the status and messages tell it from others of its step: lower-case letters, digits and "-", at
	// most 63.
	//
	// +kubebuilder:validation:MaxLength=63
	Name string `json:"name"`
	// When it is asked: Before, before anything of the step is changed; or After, once the step's traffic is routed and its analysis
	// has passed, before its pause.
	When WebhookTime `json:"when"`
	// URL that is asked, with http or https. Addresses that providers of metrics may not have are refused here, too.
	//
	// +kubebuilder:validation:MaxLength=2048
	URL string `json:"url"`
	// Headers that are sent along. Absent: none but those of every call.
	//
	// +optional
	// +kubebuilder:validation:MaxItems=20
	Headers []MetricHeader `json:"headers,omitempty"`
	// SecretRef is the key that calls are signed with, by HMAC-SHA256. Absent: they are not signed.
	//
	// +optional
	SecretRef *WebhookSecret `json:"secretRef,omitempty"`
	// Timeout of one call, a duration from "1s" to "30s". Default: 10s.
	//
	// +optional
	Timeout string `json:"timeout,omitempty"`
	// Retries is how often a call is repeated after a network error, a 5xx or a 429, from 0 to 10. The first repeat comes after 5
	// seconds, each further one after twice the time, a minute at most. Default: 3.
	//
	// +optional
	Retries *int32 `json:"retries,omitempty"`
	// WaitAtMost is for how long "not yet" is accepted as an answer, from the first call on, a duration such as "2h". Default: 30m.
	//
	// +optional
	WaitAtMost string `json:"waitAtMost,omitempty"`
	// OnFailure is what follows when it refuses the step, or cannot be asked: pause, abort or continue. Default: pause, it is asked
	// again every minute, and the release goes on when it allows the step or somebody approves.
	//
	// +optional
	OnFailure AnalysisAction `json:"onFailure,omitempty"`
}

// WebhookSecret is a key of a Secret in the Rollout's own namespace.
type WebhookSecret struct {
	// Name of the Secret.
	//
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`
	// Key in its data.
	//
	// +kubebuilder:validation:MaxLength=253
	Key string `json:"key"`
}

// WebhookTime is when a webhook is asked.
type WebhookTime string

// When webhooks are asked.
const (
	// WebhookBefore: before anything of the step is changed.
	WebhookBefore WebhookTime = "Before"
	// WebhookAfter: after its traffic is routed and its analysis has passed.
	WebhookAfter WebhookTime = "After"
)

// WebhookStatus is what a webhook of the present step has answered.
type WebhookStatus struct {
	// Name of the webhook.
	Name string `json:"name"`
	// When it is asked: Before or After.
	When WebhookTime `json:"when"`
	// Step of the release, from 1, that it was asked about.
	Step int32 `json:"step"`
	// Revision that it was asked about. While no pod was made of the pod template yet, and it has no revision for that, a hash of the
	// template: template-<hash>.
	//
	// +optional
	Revision string `json:"revision,omitempty"`
	// Phase of it: Running, Waiting, Successful, Refused, Failed or Skipped.
	Phase WebhookPhase `json:"phase"`
	// Message is what it answered, at most 160 characters; or why it could not be asked, or who approved.
	//
	// +optional
	Message string `json:"message,omitempty"`
	// Attempts is how often it has been asked.
	//
	// +optional
	Attempts int32 `json:"attempts,omitempty"`
	// Failures is how many of the last calls had no answer in a row.
	//
	// +optional
	Failures int32 `json:"failures,omitempty"`
	// StartTime is from when it is asked.
	//
	// +optional
	StartTime *metav1.Time `json:"startTime,omitempty"`
	// LastTime is when it answered last.
	//
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Format=date-time
	// +kubebuilder:validation:Pattern=`^\d{4}-\d{2}-\d{2}T([01]\d|2[0-3]):[0-5]\d:[0-5]\d\.\d{6}(Z|[+-]([01]\d|2[0-3]):[0-5]\d)$`
	LastTime *metav1.MicroTime `json:"lastTime,omitempty"`
	// NextTime is when it is asked next. Absent: it is not asked any more.
	//
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Format=date-time
	// +kubebuilder:validation:Pattern=`^\d{4}-\d{2}-\d{2}T([01]\d|2[0-3]):[0-5]\d:[0-5]\d\.\d{6}(Z|[+-]([01]\d|2[0-3]):[0-5]\d)$`
	NextTime *metav1.MicroTime `json:"nextTime,omitempty"`
	// CompletionTime is when it came to its phase: since when it refuses the step, for example. Absent: nothing is decided.
	//
	// +optional
	CompletionTime *metav1.Time `json:"completionTime,omitempty"`
}

// WebhookPhase is how far a webhook is.
type WebhookPhase string

// Phases of webhooks.
const (
	// WebhookRunning: it is asked, and has not answered.
	WebhookRunning WebhookPhase = "Running"
	// WebhookWaiting: it has answered "not yet", and is asked again.
	WebhookWaiting WebhookPhase = "Waiting"
	// WebhookSuccessful: it allows the step.
	WebhookSuccessful WebhookPhase = "Successful"
	// WebhookRefused: it does not.
	WebhookRefused WebhookPhase = "Refused"
	// WebhookFailed: it could not be asked, or said "not yet" for too long.
	WebhookFailed WebhookPhase = "Failed"
	// WebhookSkipped: somebody approved in its place, or the release ended.
	WebhookSkipped WebhookPhase = "Skipped"
)

// Holds reports whether a webhook in this phase keeps a release where it is, unless its onFailure says otherwise.
func (p WebhookPhase) Holds() bool { return p == WebhookRefused || p == WebhookFailed }

// HeldBy is the webhook that keeps a release at its step, and asks for an approval; nil: none does.
func (r *Rollout) HeldBy() *WebhookStatus {
	sub, steps := r.Status.Common(), r.Spec.Strategy.Steps()
	if sub == nil || r.Status.Phase != PhaseProgressing || sub.CurrentStepIndex < 1 || int(sub.CurrentStepIndex) > len(steps) {
		return nil
	}
	for _, asked := range steps[sub.CurrentStepIndex-1].Webhooks {
		for i := range r.Status.Webhooks {
			h := &r.Status.Webhooks[i]
			same := h.Name == asked.Name && h.When == asked.When && h.Step == sub.CurrentStepIndex
			if same && h.Phase.Holds() && asked.OnFailure != ActionContinue && h.state() == sub.CurrentStepState {
				return h
			}
		}
	}
	return nil
}

// state is the state of the step in which a webhook is asked.
func (h *WebhookStatus) state() CanaryStepState {
	if h.When == WebhookAfter {
		return StepMetricsAnalysis
	}
	return StepBeforeUpgrade
}

// ApprovalStatus is an approval by the annotation rollouts.kruise.io/approve that was taken up.
type ApprovalStatus struct {
	// Value of the annotation: <revision>/<step>.
	Value string `json:"value"`
	// User who wrote it, as admission saw it. Absent: admission did not see it.
	//
	// +optional
	User string `json:"user,omitempty"`
	// Time it was taken up.
	Time metav1.Time `json:"time"`
}
