// SPDX-License-Identifier: Apache-2.0

// Package plan decides. Everything in it is a pure function of what was seen: no client, no clock, no logger, no
// randomness. A Rollout orders, a BatchRelease obeys and answers; contract.go is all that passes between them.
package plan

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/rollouts/api/v1beta1"
	"kruise.io/rollouts/internal/analysis"
)

// A Change is one object as it was seen and as it should be. Without From it is created, without To it is deleted.
type Change struct {
	From, To client.Object
	// Like is what To is a copy of; nil: of nothing. What our types do not know of it belongs into the copy.
	Like client.Object
}

// An Event reports a transition to the user. It is sent once the transition is recorded.
type Event struct {
	Type    string
	Reason  EventReason
	Message string
}

// EventReason is by what clients distinguish events (docs/wire.md, events).
type EventReason string

// Reasons of events. WriteRefused and WriteReverted are of the condition Stalled, too.
const (
	EventProgressing         EventReason = "Progressing"
	EventAborted             EventReason = "Aborted"
	EventAnalysis            EventReason = "Analysis"
	EventDeadlineExceeded    EventReason = v1beta1.ReasonDeadlineExceeded
	EventAbortIgnored        EventReason = "AbortIgnored"
	EventAdmissionMissed     EventReason = "AdmissionMissed"
	EventApprovalIgnored     EventReason = "ApprovalIgnored"
	EventApprovedTooEarly    EventReason = "ApprovedTooEarly"
	EventCanaryServiceKept   EventReason = "CanaryServiceKept"
	EventCanaryUnavailable   EventReason = "CanaryUnavailable"
	EventReadFailed          EventReason = "ReadFailed"
	EventRecordIncomplete    EventReason = "RecordIncomplete"
	EventRecordRefused       EventReason = "RecordRefused"
	EventRouteNotRestored    EventReason = "RouteNotRestored"
	EventTrafficDrift        EventReason = "TrafficDrift"
	EventUnsupportedWorkload EventReason = "UnsupportedWorkload"
	EventWebhook             EventReason = "Webhook"
	EventWriteRefused        EventReason = v1beta1.ReasonWriteRefused
	EventWriteReverted       EventReason = v1beta1.ReasonWriteReverted
)

// A Decision is what comes of one pass over the world.
type Decision[T client.Object] struct {
	Object  T              // the reconciled object with its next metadata and status
	Records []Change       // of what ends, before the changes; they may fail
	Changes []Change       // what else should be different, in order; none means settled
	Marks   []Change       // labels of pods, in any order, after the changes
	Wake    time.Time      // when to check again if nothing happens before; zero: wait for an event
	Events  []Event        // sent once the status is recorded
	Asks    []analysis.Ask // measurements that are to be made, all of them; others of the object are not wanted any more

	blockers []blocker // what the pass found to wait for, which the status names at its end
}

// normal adds an event that reports progress.
func (d *Decision[T]) normal(message string) {
	d.Events = append(d.Events, Event{Type: corev1.EventTypeNormal, Reason: EventProgressing, Message: message})
}

// WakeAt asks for another pass at t, or earlier where that was asked for before.
func (d *Decision[T]) WakeAt(t time.Time) { d.wake(t) }

// wake asks for another pass at t, or earlier where that was asked for before.
func (d *Decision[T]) wake(t time.Time) {
	if d.Wake.IsZero() || t.Before(d.Wake) {
		d.Wake = t
	}
}

// diff lists what turns have into want: nothing where they are alike.
func diff(have, want client.Object) []Change {
	if equality.Semantic.DeepEqual(have, want) {
		return nil
	}
	return []Change{{From: have, To: want}}
}

// diffLike lists what turns a copy of an object into another one of it.
func diffLike(have, want, like client.Object) []Change {
	changes := diff(have, want)
	for i := range changes {
		changes[i].Like = like
	}
	return changes
}

// stamp rounds up to the second, the precision of the wire: a wait measured from it is never short.
func stamp(t time.Time) metav1.Time {
	return metav1.NewTime(t.Add(time.Second - time.Nanosecond).Truncate(time.Second))
}
