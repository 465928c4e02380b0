// SPDX-License-Identifier: Apache-2.0

package v1beta1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// ReleaseStatus is what happened in a release, and who did it. It is kept until the next release begins; then a
// RolloutHistory has it.
type ReleaseStatus struct {
	// Number of the release among those of the Rollout, from 1.
	Number int64 `json:"number"`
	// StartTime is when it began.
	StartTime metav1.Time `json:"startTime"`
	// User is who changed the pod template, as admission saw it. Absent: admission did not see it.
	//
	// +optional
	User string `json:"user,omitempty"`
	// From is the revision that it started from.
	//
	// +optional
	From string `json:"from,omitempty"`
	// To is the revision that it released. Absent: that is not known yet.
	//
	// +optional
	To string `json:"to,omitempty"`
	// Change says how the pod templates of the two differ, a line for each field, 24 at most; a last line says how many more
	// there are.
	//
	// +optional
	Change []string `json:"change,omitempty"`
	// Timeline is what happened, the oldest first, the last 100 things.
	//
	// +optional
	Timeline []ReleaseEvent `json:"timeline,omitempty"`
	// Outcome is how it ended: completed, rolledBack, superseded, aborted, disabled or deleted. Absent: it has not.
	//
	// +optional
	Outcome ReleaseOutcome `json:"outcome,omitempty"`
	// CompletionTime is when it ended. Absent: it has not.
	//
	// +optional
	CompletionTime *metav1.Time `json:"completionTime,omitempty"`
}

// ReleaseEvent is one thing that happened in a release.
type ReleaseEvent struct {
	// Time is when it happened.
	Time metav1.Time `json:"time"`
	// Type is what happened: reached, analysed, answered, approved, jumped, paused, resumed, aborted, rolledBack or
	// superseded.
	Type ReleaseEventType `json:"type"`
	// Step that it is about, from 1; of a jump, where it goes. Absent: none.
	//
	// +optional
	Step int32 `json:"step,omitempty"`
	// User is who did it, as admission saw it. Absent: no user did, or admission did not see it.
	//
	// +optional
	User string `json:"user,omitempty"`
	// Message is what metrics said, of analysed, or a webhook, of answered. Absent: the type says it all.
	//
	// +optional
	Message string `json:"message,omitempty"`
}

// ReleaseEventType is what happened.
type ReleaseEventType string

// What happens in a release.
const (
	// StepReached: pods and traffic were as a step says.
	StepReached ReleaseEventType = "reached"
	// StepAnalysed: an analysis ended, or somebody ended it.
	StepAnalysed ReleaseEventType = "analysed"
	// StepAnswered: a webhook allowed or refused a step, could not be asked, or somebody decided in its place.
	StepAnswered ReleaseEventType = "answered"
	// StepApproved: somebody approved a step.
	StepApproved ReleaseEventType = "approved"
	// StepJumped: somebody had the release go to another step.
	StepJumped ReleaseEventType = "jumped"
	// ReleasePaused: somebody set strategy.paused.
	ReleasePaused ReleaseEventType = "paused"
	// ReleaseResumed: somebody took that back, or an abort.
	ReleaseResumed ReleaseEventType = "resumed"
	// ReleaseAborted: somebody aborted the release.
	ReleaseAborted ReleaseEventType = "aborted"
	// TemplateRolledBack: the template became the stable one again.
	TemplateRolledBack ReleaseEventType = "rolledBack"
	// TemplateSuperseded: a third template came.
	TemplateSuperseded ReleaseEventType = "superseded"
)

// ReleaseOutcome is how a release ended.
type ReleaseOutcome string

// Outcomes.
const (
	// OutcomeCompleted: every step was done.
	OutcomeCompleted ReleaseOutcome = "completed"
	// OutcomeRolledBack: the template went back to the one it started from.
	OutcomeRolledBack ReleaseOutcome = "rolledBack"
	// OutcomeSuperseded: a third template came.
	OutcomeSuperseded ReleaseOutcome = "superseded"
	// OutcomeAborted: it was aborted by a user, or another client restored its workload.
	OutcomeAborted ReleaseOutcome = "aborted"
	// OutcomeDisabled: the Rollout was disabled.
	OutcomeDisabled ReleaseOutcome = "disabled"
	// OutcomeDeleted: the Rollout was deleted.
	OutcomeDeleted ReleaseOutcome = "deleted"
)
