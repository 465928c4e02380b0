// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kruise.io/rollouts/api/v1beta1"
)

// condition finds a condition by its type; nil: none.
func condition(cs []v1beta1.RolloutCondition, t v1beta1.RolloutConditionType) *v1beta1.RolloutCondition {
	for i := range cs {
		if cs[i].Type == t {
			return &cs[i]
		}
	}
	return nil
}

// setCondition puts a condition. LastTransitionTime moves with the status only; nothing moves where nothing changes.
func setCondition(cs []v1beta1.RolloutCondition, now time.Time, c v1beta1.RolloutCondition) []v1beta1.RolloutCondition {
	c.LastUpdateTime, c.LastTransitionTime = metav1.NewTime(now.Truncate(time.Second)), metav1.NewTime(now.Truncate(time.Second))
	if old := condition(cs, c.Type); old != nil {
		if old.Status == c.Status && old.Reason == c.Reason && old.Message == c.Message {
			return cs
		}
		if old.Status == c.Status {
			c.LastTransitionTime = old.LastTransitionTime
		}
	}
	return append(dropCondition(cs, c.Type), c)
}

// dropCondition removes a condition.
func dropCondition(cs []v1beta1.RolloutCondition, t v1beta1.RolloutConditionType) []v1beta1.RolloutCondition {
	return slices.DeleteFunc(cs, func(c v1beta1.RolloutCondition) bool { return c.Type == t })
}
