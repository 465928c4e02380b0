// SPDX-License-Identifier: Apache-2.0

package v1beta1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// ReleaseStatus is what happened in a release, and who did it. It is kept until the next release begins; then a
// RolloutHistory has it.
type ReleaseStatus struct {
	// Number of the release, counted from 1.
	Number int64 `json:"number"`
	// StartTime is when it began.
	StartTime metav1.Time `json:"startTime"`
	// User is who changed the pod template, as admission saw it.
	//
	// +optional
	User string `json:"user,omitempty"`
	// From is the revision it started from.
	//
	// +optional
	From string `json:"from,omitempty"`
	// To is the revision it released.
	//
	// +optional
	To string `json:"to,omitempty"`
	// Change says how the pod templates of the two differ, a line for each field.
	//
	// +optional
	Change []string `json:"change,omitempty"`
	// Timeline is what happened, the oldest first.
	//
	// +optional
	Timeline []ReleaseEvent `json:"timeline,omitempty"`
	// Outcome is how it ended: completed, rolledBack, superseded, aborted, disabled or deleted. Absent: it has not.
	//
	// +optional
	Outcome ReleaseOutcome `json:"outcome,omitempty"`
	// CompletionTime is when it ended.
	//
	// +optional
	CompletionTime *metav1.Time `json:"completionTime,omitempty"`
}

// ReleaseEvent is one thing that happened in a release.
type ReleaseEvent struct {
	// Time is when.
	Time metav1.Time `json:"time"`
	// Type is what happened: reached, approved, jumped, paused, resumed, aborted, rolledBack or superseded.
	Type ReleaseEventType `json:"type"`
	// Step it is about, from 1; of a jump, where it goes.
	//
	// +optional
	Step int32 `json:"step,omitempty"`
	// User is who did it, as admission saw it.
	//
	// +optional
	User string `json:"user,omitempty"`
}

// ReleaseEventType is what happened.
type ReleaseEventType string

// What happens in a release.
const (
	StepReached        ReleaseEventType = "reached"
	StepApproved       ReleaseEventType = "approved"
	StepJumped         ReleaseEventType = "jumped"
	ReleasePaused      ReleaseEventType = "paused"
	ReleaseResumed     ReleaseEventType = "resumed"
	ReleaseAborted     ReleaseEventType = "aborted"
	TemplateRolledBack ReleaseEventType = "rolledBack"
	TemplateSuperseded ReleaseEventType = "superseded"
)

// ReleaseOutcome is how a release ended.
type ReleaseOutcome string

// Outcomes.
const (
	OutcomeCompleted  ReleaseOutcome = "completed"  // every step was done
	OutcomeRolledBack ReleaseOutcome = "rolledBack" // the template went back to the one it started from
	OutcomeSuperseded ReleaseOutcome = "superseded" // a third template came
	OutcomeAborted    ReleaseOutcome = "aborted"    // it was taken back by request, or its workload given back in the middle
	OutcomeDisabled   ReleaseOutcome = "disabled"   // the Rollout was disabled
	OutcomeDeleted    ReleaseOutcome = "deleted"    // the Rollout was deleted
)
