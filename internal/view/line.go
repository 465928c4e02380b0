// SPDX-License-Identifier: Apache-2.0

package view

import (
	"fmt"
	"strings"

	appsv1 "k8s.io/api/apps/v1"

	rolloutsv1beta1 "kruise.io/rollouts/api/v1beta1"
)

// Line says in one line where a release is: phase, step, pods that are ready of those asked for, and the message.
// Only ro is required. Nothing in it depends on the clock or on generated pod names, so that transcripts may hold it.
func Line(ro *rolloutsv1beta1.Rollout, deployment *appsv1.Deployment, sets []*appsv1.ReplicaSet) string {
	return Of(Seen{Rollout: ro, Deployment: deployment, ReplicaSets: sets}).Line()
}

// Line says in one line where the release is.
func (r Rollout) Line() string {
	head := first(string(r.Phase), "Unknown")
	if r.Step > 0 {
		head += fmt.Sprintf(" %d/%d", r.Step, len(r.Steps))
	}
	if r.State != "" {
		head += " " + string(r.State)
	}
	parts := []string{head}
	if counts := r.counts(); counts != "" {
		parts = append(parts, counts)
	}
	if r.Message != "" {
		parts = append(parts, r.Message)
	}
	return strings.Join(parts, " | ")
}

// counts is the ready pods of those asked for, by role.
func (r Rollout) counts() string {
	names := map[Role]string{Stable: "stable", Updating: "updated", Old: "old"}
	parts := []string{}
	for _, role := range []Role{Stable, Updating, Old} {
		have, readyPods, wanted := false, int32(0), int32(0)
		for _, rev := range r.Revisions {
			if rev.Role == role {
				have = true
				readyPods += rev.Ready
				wanted += rev.Wanted
			}
		}
		if have && (role != Old || wanted > 0 || readyPods > 0) {
			parts = append(parts, fmt.Sprintf("%s %d/%d", names[role], readyPods, wanted))
		}
	}
	if len(parts) == 0 {
		return ""
	}
	return strings.Join(parts, " ") + " ready"
}
