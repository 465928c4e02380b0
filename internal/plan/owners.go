// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kruise.io/rollouts/api/v1beta1"
)

// Managing returns the Rollout that manages a workload among those that refer to it, the oldest; nil: none does. One that is
// being deleted or is disabled does not (docs/wire.md, matching Rollout).
func Managing(rollouts []v1beta1.Rollout) *v1beta1.Rollout {
	slices.SortFunc(rollouts, func(a, b v1beta1.Rollout) int {
		return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), strings.Compare(a.Name, b.Name))
	})
	for i := range rollouts {
		ro := &rollouts[i]
		enabled := ro.Status.Phase != v1beta1.PhaseDisabled || !ro.Spec.Disabled
		if ro.DeletionTimestamp == nil && enabled && (ro.Spec.Strategy.Canary != nil || ro.Spec.Strategy.BlueGreen != nil) {
			return ro
		}
	}
	return nil
}

// rivalled: another Rollout manages the workload. Admission refuses that, but admission may have been away.
func (l *look) rivalled() bool {
	begun := l.status.Phase == v1beta1.PhaseProgressing || l.status.Phase == v1beta1.PhaseDisabling
	return l.Rival != "" && !begun
}

// yieldTo waits for the other Rollout, in words.
func (l *look) yieldTo(rival string) {
	l.status.Phase = v1beta1.PhaseInitial
	l.status.Message = fmt.Sprintf("%s %s is managed by Rollout %s already: delete one of the two, or point one at another workload",
		l.Rollout.Spec.WorkloadRef.Kind, l.Rollout.Spec.WorkloadRef.Name, rival)
	l.wake(l.Now.Add(retryTaken))
}

// claimedElsewhere is who else releases the workload of a BatchRelease; "": nobody does.
func (m *moving) claimedElsewhere() string {
	switch owner := metav1.GetControllerOf(m.Release); {
	case m.Claimer != "":
		return "BatchRelease " + m.Claimer
	case m.Manager != "" && (owner == nil || owner.Name != m.Manager):
		return "Rollout " + m.Manager
	default:
		return ""
	}
}

// yieldTo waits until the other has given the workload back: pods that it released would pass for ours, and ours for its.
func (m *moving) yieldTo(other string) {
	m.status.Phase = v1beta1.PhasePreparing
	m.status.Message = fmt.Sprintf("%s %s is being released by %s: waiting until that is done or deleted",
		m.Release.Spec.WorkloadRef.Kind, m.Release.Spec.WorkloadRef.Name, other)
	m.wake(m.Now.Add(retryTaken))                             // it may go without a word
	if m.Claimer == "" && m.Workload.Claim == m.Release.UID { // the Rollout's own BatchRelease waits for that
		m.Changes = diff(m.Objects.Workload, m.Driver.Disown(m.Objects.Workload))
	}
}
