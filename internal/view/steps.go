// SPDX-License-Identifier: Apache-2.0

package view

import (
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/util/intstr"

	rolloutsv1beta1 "kruise.io/rollouts/api/v1beta1"
)

// Step is one step of the strategy.
type Step struct {
	Index    int    `json:"index"` // from 1
	Mark     Mark   `json:"mark"`
	Replicas string `json:"replicas"` // as written
	Pods     int32  `json:"pods"`     // what that comes to
	Traffic  string `json:"traffic,omitempty"`
	Pause    string `json:"pause"` // how long, or until what
}

// Mark says where a release is relative to a step.
type Mark string

// Marks.
const (
	Done    Mark = "Done"
	Current Mark = "Current"
	Pending Mark = "Pending"
)

func steps(ro *rolloutsv1beta1.Rollout, r Rollout) []Step {
	result := []Step{}
	keepsOne := rolloutsv1beta1.KeepsOne(ro.Spec.WorkloadRef, rolloutsv1beta1.RollingStyleType(r.Style))
	for i, s := range ro.Spec.Strategy.Steps() {
		step := Step{Index: i + 1, Replicas: "100%", Traffic: traffic(s), Pause: pause(s.Pause), Mark: mark(i+1, r)}
		if s.Replicas != nil {
			step.Replicas = s.Replicas.String()
		}
		step.Pods = rolloutsv1beta1.PodsOf(intstr.Parse(step.Replicas), r.Replicas.Desired, keepsOne)
		result = append(result, step)
	}
	if n := len(result); n > 0 && r.Style != "BlueGreen" && result[n-1].Replicas == "100%" {
		result[n-1].Pause = "none" // there is nothing left to confirm
	}
	return result
}

func mark(i int, r Rollout) Mark {
	switch {
	case r.Outcome == Cancelled: // they were taken back
		return Pending
	case r.State == rolloutsv1beta1.StepCompleted:
		return Done
	case !r.Running() || i > r.Step:
		return Pending
	case i < r.Step:
		return Done
	default:
		return Current
	}
}

// traffic says which requests a step sends to the new version; empty: the step leaves requests alone.
func traffic(s rolloutsv1beta1.CanaryStep) string {
	parts := []string{}
	if s.Traffic != nil {
		parts = append(parts, *s.Traffic)
	}
	for _, m := range s.Matches {
		parts = append(parts, match(m))
	}
	return strings.Join(parts, ", ")
}

func match(m rolloutsv1beta1.HttpRouteMatch) string {
	parts := []string{}
	if p := m.Path; p != nil && p.Value != nil {
		parts = append(parts, "path "+*p.Value)
	}
	for _, h := range m.Headers {
		parts = append(parts, fmt.Sprintf("header %s=%s", h.Name, h.Value))
	}
	for _, q := range m.QueryParams {
		parts = append(parts, fmt.Sprintf("query %s=%s", q.Name, q.Value))
	}
	if len(parts) == 0 {
		return "all requests"
	}
	return strings.Join(parts, " and ")
}

func pause(p rolloutsv1beta1.RolloutPause) string {
	switch {
	case p.Duration == nil:
		return "until approved"
	case *p.Duration == 0:
		return "none"
	default:
		return fmt.Sprintf("%ds", *p.Duration)
	}
}
