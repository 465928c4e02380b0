// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/rollouts/api/v1alpha1"
	"kruise.io/rollouts/api/v1beta1"
)

// An Obstacle is a write that the cluster does not take.
type Obstacle struct {
	Reason  string                // of the condition Stalled, and of the event
	Message string                // which object, and the API server's words or the field that comes back
	Until   time.Time             // when the write is tried again
	Object  v1beta1.BlockerObject // that is written
}

// Obstruct says on the decision's object what o keeps from being done. Where that was said of it before, nothing changes.
func (d *Decision[T]) Obstruct(seen T, o Obstacle, now time.Time) {
	before := stalled(seen)
	setMessage(d.Object, strings.TrimSuffix(strings.TrimSuffix(messageOf(d.Object), before), "; ")) // a status that is withheld says it
	if said(d.Object, o, now); before != o.Message {
		d.Events = append(d.Events, Event{Type: corev1.EventTypeWarning, Reason: EventReason(o.Reason), Message: o.Message})
	}
	if all := blockersOf(d.Object); all != nil && len(*all) < v1beta1.MaxBlockers {
		*all = added(*all, blocker{code: v1beta1.BlockerCode(o.Reason), object: o.Object, message: o.Message}, *blockersOf(seen), now, time.Time{})
		oldestFirst(*all)
	}
}

// Freeze leaves everything as it was seen but for what people read: while the first thing to do is not tried, no clock
// starts and no state is entered.
func (d *Decision[T]) Freeze(seen T) {
	message := messageOf(d.Object)
	frozen, _ := seen.DeepCopyObject().(T)
	setMessage(frozen, message)
	if all := blockersOf(frozen); all != nil {
		*all = nil
	}
	d.Object, d.Changes, d.Marks, d.Records, d.Events, d.Asks, d.Wake = frozen, nil, nil, nil, nil, nil, time.Time{}
}

func said(obj client.Object, o Obstacle, now time.Time) {
	message := messageOf(obj)
	if message != "" {
		message += "; "
	}
	setMessage(obj, message+o.Message)
	if conditions := conditionsOf(obj); conditions != nil {
		*conditions = setCondition(*conditions, now, v1beta1.RolloutCondition{
			Type: v1beta1.ConditionStalled, Status: metav1.ConditionTrue, Reason: o.Reason, Message: o.Message,
		})
	}
}

// stalled is what an object says of an obstacle; "": nothing. A TrafficRouting has no conditions, and says it in its message.
func stalled(obj client.Object) string {
	if conditions := conditionsOf(obj); conditions != nil {
		if c := condition(*conditions, v1beta1.ConditionStalled); c != nil {
			return c.Message
		}
	}
	return ""
}

func conditionsOf(obj client.Object) *[]v1beta1.RolloutCondition {
	switch o := obj.(type) {
	case *v1beta1.Rollout:
		return &o.Status.Conditions
	case *v1beta1.BatchRelease:
		return &o.Status.Conditions
	default:
		return nil
	}
}

func messageOf(obj client.Object) string {
	switch o := obj.(type) {
	case *v1beta1.Rollout:
		return o.Status.Message
	case *v1beta1.BatchRelease:
		return o.Status.Message
	case *v1alpha1.TrafficRouting:
		return o.Status.Message
	default:
		return ""
	}
}

func setMessage(obj client.Object, message string) {
	switch o := obj.(type) {
	case *v1beta1.Rollout:
		o.Status.Message = message
	case *v1beta1.BatchRelease:
		o.Status.Message = message
	case *v1alpha1.TrafficRouting:
		o.Status.Message = message
	}
}
