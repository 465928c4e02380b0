// SPDX-License-Identifier: Apache-2.0

// Package view is the read model of a release for people: the plugin, the user interface and the transcripts of the
// tests all speak from it. It is pure: objects in, structs and text out. It reads wire types, and workloads
// of every kind through their drivers; it tolerates whatever is missing in them, and decides nothing.
package view

import (
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	rolloutsv1beta1 "kruise.io/rollouts/api/v1beta1"
)

// Seen is what was seen of a release. Everything but the Rollout may be missing.
type Seen struct {
	Now         time.Time
	Rollout     *rolloutsv1beta1.Rollout
	Workload    *unstructured.Unstructured
	Deployment  *appsv1.Deployment   // the workload, if it is one
	ReplicaSets []*appsv1.ReplicaSet // of the workload
	Pods        []*corev1.Pod        // of the workload
}

// Rollout is a release as a person wants to see it.
type Rollout struct {
	Name      string `json:"name"`
	Namespace string `json:"namespace"`
	Workload  string `json:"workload"` // Kind/name
	Style     string `json:"style"`    // Partition, Canary or BlueGreen

	Phase   rolloutsv1beta1.RolloutPhase `json:"phase"`
	Message string                       `json:"message"`
	Detail  string                       `json:"detail,omitempty"` // what is said of the pods of the step
	Lagging bool                         `json:"lagging,omitempty"`
	Outcome Outcome                      `json:"outcome,omitempty"`
	Trouble []string                     `json:"trouble,omitempty"` // pods that are not ready, and why

	Step     int                             `json:"step"` // from 1; 0: none
	State    rolloutsv1beta1.CanaryStepState `json:"state"`
	Steps    []Step                          `json:"steps"`
	Awaiting *Awaiting                       `json:"awaiting,omitempty"`
	Requests []Requests                      `json:"requests,omitempty"` // that analyses have counted
	Metrics  []Metric                        `json:"metrics,omitempty"`  // that decide about the release
	Blockers []rolloutsv1beta1.Blocker       `json:"blockers,omitempty"` // what is waited for
	Webhooks []Webhook                       `json:"webhooks,omitempty"` // of the step

	Replicas  Replicas   `json:"replicas"`
	Revisions []Revision `json:"revisions"` // the newest first

	now time.Time
}

// Outcome is how a release ended; empty: it has not.
type Outcome string

// Outcomes. Succeeded is also a workload that has not been released since its Rollout exists.
const (
	Succeeded Outcome = "Succeeded"
	Cancelled Outcome = "Cancelled"
	Disabled  Outcome = "Disabled"
)

// Replicas counts the pods of the workload.
type Replicas struct {
	Desired   int32 `json:"desired"`
	Current   int32 `json:"current"`
	Updated   int32 `json:"updated"`
	Ready     int32 `json:"ready"`
	Available int32 `json:"available"`
}

// Of makes the view of what was seen.
func Of(s Seen) Rollout {
	ro := s.Rollout
	sub := progress(ro)
	r := Rollout{
		Name:      ro.Name,
		Namespace: ro.Namespace,
		Style:     style(ro),
		Phase:     ro.Status.Phase,
		Message:   ro.Status.Message,
		Detail:    sub.Message,
		Requests:  requests(ro),
		Metrics:   metrics(ro),
		Blockers:  ro.Status.Blockers,
		Webhooks:  webhooks(ro),
		Lagging:   ro.Status.ObservedGeneration < ro.Generation,
		Step:      int(sub.CurrentStepIndex),
		State:     sub.CurrentStepState,
		now:       s.Now,
	}
	if ref := ro.Spec.WorkloadRef; ref.Name != "" {
		r.Workload = ref.Kind + "/" + ref.Name
	}
	r.Outcome = outcome(ro)
	r.Replicas = replicas(s)
	r.Trouble = trouble(s)
	r.Revisions = revisions(s, sub, r.Running())
	r.Steps = steps(ro, r)
	r.Awaiting = awaiting(ro, sub, r)
	return r
}

// Running: a release is on its way, or a workload on its way out of one.
func (r Rollout) Running() bool {
	switch r.Phase {
	case rolloutsv1beta1.PhaseProgressing, rolloutsv1beta1.PhaseDisabling, rolloutsv1beta1.PhaseTerminating:
		return true
	default:
		return false
	}
}

// shared is what the statuses of all styles hold, and the two numbers that each spells its own way.
type shared struct {
	rolloutsv1beta1.CommonStatus
	revision       string
	updated, ready int32
}

// progress is the status of the style. There may be none.
func progress(ro *rolloutsv1beta1.Rollout) shared {
	common := ro.Status.Common()
	if common == nil {
		return shared{}
	}
	updated, ready := ro.Status.Pods()
	return shared{*common, ro.Status.Revision(), updated, ready}
}

func style(ro *rolloutsv1beta1.Rollout) string {
	switch s := ro.Spec.Strategy; {
	case s.BlueGreen != nil:
		return "BlueGreen"
	case s.Canary != nil && s.Canary.EnableExtraWorkloadForCanary:
		return "Canary"
	case s.Canary != nil:
		return "Partition"
	default:
		return ""
	}
}

// outcome says how the last release ended, from a status that knows of the current spec.
func outcome(ro *rolloutsv1beta1.Rollout) Outcome {
	if ro.Status.ObservedGeneration < ro.Generation {
		return ""
	}
	switch ro.Status.Phase {
	case rolloutsv1beta1.PhaseHealthy:
		for _, c := range ro.Status.Conditions {
			if c.Type == rolloutsv1beta1.ConditionSucceeded && c.Status == "False" {
				return Cancelled
			}
		}
		return Succeeded
	case rolloutsv1beta1.PhaseDisabled:
		return Disabled
	default:
		return ""
	}
}

// replicas counts by the pods where they are known. While a Deployment is moved in batches, its own count of available
// pods leaves the new ones out, and the ready ones are what there is.
func replicas(s Seen) Replicas {
	n := Replicas{}
	if d := s.Deployment; d != nil {
		n = Replicas{
			Desired: desired(d.Spec.Replicas), Current: d.Status.Replicas, Updated: d.Status.UpdatedReplicas,
			Ready: d.Status.ReadyReplicas, Available: d.Status.AvailableReplicas,
		}
	} else if state, ok := stateOf(s); ok {
		n = Replicas{Desired: state.Replicas, Current: state.Updated + state.Others, Updated: state.Updated}
	}
	if s.Pods == nil {
		return n
	}
	n.Current, n.Ready = 0, 0
	for _, p := range s.Pods {
		if gone(p) {
			continue
		}
		n.Current++
		if ready(p) {
			n.Ready++
		}
	}
	if s.Deployment == nil || s.Deployment.Annotations[rolloutsv1beta1.AnnotationOriginalStrategy] != "" {
		n.Available = n.Ready
	}
	return n
}

func desired(n *int32) int32 {
	if n == nil {
		return 1
	}
	return *n
}
