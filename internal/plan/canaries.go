// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kruise.io/rollouts/internal/workload"
)

// changedCanaries lists what turns the canary Deployments seen into those of next: what is not among them goes.
func (p *batchReleasePlanner) changedCanaries(next workload.Objects) []Change {
	var changes []Change
	for _, seen := range p.Objects.Canaries {
		at := slices.IndexFunc(next.Canaries, func(c *appsv1.Deployment) bool { return c.UID == seen.UID })
		if at < 0 {
			changes = append(changes, letGo(seen)...)
			continue
		}
		changes = append(changes, diff(seen, next.Canaries[at])...)
	}
	for _, canary := range next.Canaries {
		if canary.UID == "" {
			changes = append(changes, Change{To: canary, Like: p.Objects.Workload})
		}
	}
	return changes
}

// cleared lets the canary Deployments of a BatchRelease go; true: no request gets to a pod of theirs any more. Anyone who
// waits for the BatchRelease to be gone can rely on that.
func (p *batchReleasePlanner) cleared() bool {
	done := true
	for _, canary := range p.Objects.Canaries {
		if !metav1.IsControlledBy(canary, p.Release) {
			continue
		}
		changes := letGo(canary)
		p.Changes = append(p.Changes, changes...)
		done = done && len(changes) == 0 && workload.Terminating(canary, p.Objects)
	}
	return done
}

func letGo(canary *appsv1.Deployment) []Change {
	changes := diff(canary, workload.LetGo(canary))
	if canary.DeletionTimestamp == nil {
		changes = append(changes, Change{From: canary})
	}
	return changes
}
