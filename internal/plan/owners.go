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
func (p *rolloutPlanner) rivalled() bool {
	begun := p.status.Phase == v1beta1.PhaseProgressing || p.status.Phase == v1beta1.PhaseDisabling
	return p.Rival != "" && !begun
}

// yieldTo waits for the other Rollout, in words.
func (p *rolloutPlanner) yieldTo(rival string) {
	p.status.Phase = v1beta1.PhaseInitial
	p.status.Message = fmt.Sprintf("%s %s is already managed by Rollout %s: delete one of the two Rollouts, or change its workloadRef",
		p.Rollout.Spec.WorkloadRef.Kind, p.Rollout.Spec.WorkloadRef.Name, rival)
	p.raise(blocker{code: v1beta1.BlockerRolloutConflict, object: v1beta1.BlockerObject{Kind: "Rollout", Name: rival}, message: p.status.Message})
	p.wake(p.Now.Add(retryTaken))
}

// claimedElsewhere is who else releases the workload of a BatchRelease; "": no one does.
func (p *batchReleasePlanner) claimedElsewhere() string {
	switch owner := metav1.GetControllerOf(p.Release); {
	case p.Claimer != "":
		return "BatchRelease " + p.Claimer
	case p.Manager != "" && (owner == nil || owner.Name != p.Manager):
		return "Rollout " + p.Manager
	default:
		return ""
	}
}

// yieldTo waits until the other has given the workload back: pods that it released would pass for ours, and ours for its.
func (p *batchReleasePlanner) yieldTo(other string) {
	p.status.Phase = v1beta1.PhasePreparing
	p.status.Message = fmt.Sprintf("%s %s is being released by %s: waiting for that release to end or to be deleted",
		p.Release.Spec.WorkloadRef.Kind, p.Release.Spec.WorkloadRef.Name, other)
	kind, name, _ := strings.Cut(other, " ")
	p.raise(blocker{code: v1beta1.BlockerClaimedElsewhere, object: v1beta1.BlockerObject{Kind: kind, Name: name}, message: p.status.Message})
	p.wake(p.Now.Add(retryTaken))                             // it may go without a word
	if p.Claimer == "" && p.Workload.Claim == p.Release.UID { // the Rollout's own BatchRelease waits for that
		p.Changes = diff(p.Objects.Workload, p.Driver.Disown(p.Objects.Workload))
	}
}
