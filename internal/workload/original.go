// SPDX-License-Identifier: Apache-2.0

package workload

import (
	"encoding/json"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"

	"kruise.io/rollouts/api/v1beta1"
)

// The values a Deployment has while it moves: no new pod ever counts as available, and the native controller never
// gives up. They are what other tools of this API group write, too.
const (
	neverReady      int32 = 2147483646
	neverOverdue    int32 = 2147483647
	defaultDeadline int32 = 600 // of the API server
)

// original is what a release changes in a Deployment's spec, as the user had it. It lives in an annotation, so that
// restoring needs nothing but the object.
type original struct {
	Type                    appsv1.DeploymentStrategyType `json:"type,omitempty"` // only where it is not RollingUpdate
	MaxUnavailable          *intstr.IntOrString           `json:"maxUnavailable,omitempty"`
	MaxSurge                *intstr.IntOrString           `json:"maxSurge,omitempty"`
	MinReadySeconds         int32                         `json:"minReadySeconds,omitempty"`
	ProgressDeadlineSeconds *int32                        `json:"progressDeadlineSeconds,omitempty"`
	Paused                  bool                          `json:"paused,omitempty"` // only where a Rollout holds: who drives a BatchRelease pauses it for that
	// Left is what the Deployment was left with in the middle of its release; nil: it was not.
	Left *left `json:"left,omitempty"`
}

// left are the fields of a Deployment's spec that a release changes.
type left struct {
	Paused                  bool                      `json:"paused"`
	MinReadySeconds         int32                     `json:"minReadySeconds,omitempty"`
	ProgressDeadlineSeconds *int32                    `json:"progressDeadlineSeconds,omitempty"`
	Strategy                appsv1.DeploymentStrategy `json:"strategy"`
}

// leave takes a release off d and leaves it where it is, paused (feature gate KeepWorkloadPausedOnRolloutDeletion): the native controller
// makes no more pods of it, and takes none. What its user had stays on it, for the next release to restore.
func (o original) leave(d *appsv1.Deployment, sets []*appsv1.ReplicaSet) {
	if surplus := surplusOf(d, sets); surplus <= 0 {
		o.hold(d)
	} else { // two sets that stand next to one another: were a full one available, the other would go at once
		d.Spec.Paused = true
		d.Spec.Strategy = appsv1.DeploymentStrategy{
			Type:          appsv1.RollingUpdateDeploymentStrategyType,
			RollingUpdate: &appsv1.RollingUpdateDeployment{MaxSurge: new(intstr.FromInt32(surplus)), MaxUnavailable: o.unavailableAtRest()},
		}
	}
	letBehind(d)
	o.Left = &left{
		Paused: d.Spec.Paused, MinReadySeconds: d.Spec.MinReadySeconds, ProgressDeadlineSeconds: d.Spec.ProgressDeadlineSeconds,
		Strategy: *d.Spec.Strategy.DeepCopy(),
	}
	set(d.GetAnnotations, d.SetAnnotations, v1beta1.AnnotationOriginalStrategy, encode(o))
}

// since is the original of a Deployment that was left behind, with what its user has edited since.
func (o original) since(d *appsv1.Deployment) original {
	was := appsv1.DeploymentSpec{
		Paused: o.Left.Paused, MinReadySeconds: o.Left.MinReadySeconds, ProgressDeadlineSeconds: o.Left.ProgressDeadlineSeconds, Strategy: o.Left.Strategy,
	}
	return o.amended(&was, &d.Spec, current(d))
}

// surplusOf is how many pods the sets of a Deployment ask for beyond what it asks for itself.
func surplusOf(d *appsv1.Deployment, sets []*appsv1.ReplicaSet) int32 {
	surplus := -ptr.Deref(d.Spec.Replicas, 1)
	for _, set := range sets {
		surplus += ptr.Deref(set.Spec.Replicas, 1)
	}
	return surplus
}

// strategyNote is the annotation by which clients distinguish partition style from canary style. They look for nothing but its
// presence; its partition stays 0, because the native controller copies every change of an annotation to the ReplicaSet.
type strategyNote struct {
	RollingStyle  v1beta1.RollingStyleType        `json:"rollingStyle"`
	RollingUpdate *appsv1.RollingUpdateDeployment `json:"rollingUpdate,omitempty"`
	Partition     intstr.IntOrString              `json:"partition"`
}

// originalOf reads the original from d's annotation; false: none, and what d says is the user's own.
func originalOf(d *appsv1.Deployment) (original, bool) {
	o := original{}
	if err := json.Unmarshal([]byte(d.Annotations[v1beta1.AnnotationOriginalStrategy]), &o); err == nil && o.Left == nil {
		return o, true
	} else if err == nil {
		return o.since(d), false
	}
	note := strategyNote{}
	if err := json.Unmarshal([]byte(d.Annotations[v1beta1.AnnotationDeploymentStrategy]), &note); err != nil || claimed(d) == "" {
		return current(d), false
	}
	// The reference implementation has it: Recreate and paused, with the user's own limits in this annotation alone
	// (docs/wire.md, writes per workload).
	o = current(d)
	o.Type, o.MaxSurge, o.MaxUnavailable = "", nil, nil
	if r := note.RollingUpdate; r != nil {
		o.MaxSurge, o.MaxUnavailable = r.MaxSurge, r.MaxUnavailable
	}
	return o, true
}

// current takes what d says now. An infinite value is never the user's: it was left by a release whose annotation was
// lost, and the API server's default stands in for it.
func current(d *appsv1.Deployment) original {
	o := original{MinReadySeconds: d.Spec.MinReadySeconds, ProgressDeadlineSeconds: d.Spec.ProgressDeadlineSeconds}
	if o.MinReadySeconds == neverReady {
		o.MinReadySeconds = 0
	}
	if p := o.ProgressDeadlineSeconds; p != nil && *p == neverOverdue {
		deadline := defaultDeadline
		o.ProgressDeadlineSeconds = &deadline
	}
	if d.Spec.Strategy.Type == appsv1.RecreateDeploymentStrategyType {
		o.Type = appsv1.RecreateDeploymentStrategyType
	}
	if r := d.Spec.Strategy.RollingUpdate; r != nil {
		o.MaxUnavailable, o.MaxSurge = r.MaxUnavailable, r.MaxSurge
	}
	return o
}

// limits returns maxSurge and maxUnavailable in pods, as the native controller resolves them: surge is rounded up,
// unavailable down, and never are both 0.
func (o original) limits(replicas int32) (surge, unavailable int32) {
	if o.Type == appsv1.RecreateDeploymentStrategyType {
		return 0, replicas // the user allows all pods to go at once
	}
	s, _ := intstr.GetScaledValueFromIntOrPercent(orDefault(o.MaxSurge), int(replicas), true)
	u, _ := intstr.GetScaledValueFromIntOrPercent(orDefault(o.MaxUnavailable), int(replicas), false)
	if s <= 0 && u <= 0 {
		u = 1
	}
	return int32(s), int32(min(u, int(replicas))) //nolint:gosec // both are counts of pods
}

// orDefault is the API server's default of maxSurge and maxUnavailable.
func orDefault(v *intstr.IntOrString) *intstr.IntOrString {
	if v != nil {
		return v
	}
	quarter := intstr.FromString("25%")
	return &quarter
}

// unavailableAtRest is maxUnavailable of a held Deployment: the user's, but never 0, because maxSurge is 0 then.
func (o original) unavailableAtRest() *intstr.IntOrString {
	all, one := intstr.FromString("100%"), intstr.FromInt32(1)
	switch {
	case o.Type == appsv1.RecreateDeploymentStrategyType:
		return &all
	case o.MaxUnavailable == nil, o.MaxUnavailable.Type == intstr.Int && o.MaxUnavailable.IntVal == 0, o.MaxUnavailable.StrVal == "0%":
		return &one
	default:
		return o.MaxUnavailable
	}
}

// write puts the annotations of a release on d.
func (o original) write(d *appsv1.Deployment) {
	o.Left = nil
	note := strategyNote{RollingStyle: v1beta1.PartitionRollingStyle}
	if o.MaxSurge != nil || o.MaxUnavailable != nil {
		note.RollingUpdate = &appsv1.RollingUpdateDeployment{MaxSurge: o.MaxSurge, MaxUnavailable: o.MaxUnavailable}
	}
	set(d.GetAnnotations, d.SetAnnotations, v1beta1.AnnotationOriginalStrategy, encode(o))
	set(d.GetAnnotations, d.SetAnnotations, v1beta1.AnnotationDeploymentStrategy, encode(note))
}

// restore restores d's spec.
func (o original) restore(d *appsv1.Deployment) {
	d.Spec.Paused = o.Paused
	d.Spec.MinReadySeconds = o.MinReadySeconds
	d.Spec.ProgressDeadlineSeconds = o.ProgressDeadlineSeconds
	if o.Type == appsv1.RecreateDeploymentStrategyType {
		d.Spec.Strategy = appsv1.DeploymentStrategy{Type: appsv1.RecreateDeploymentStrategyType}
		return
	}
	d.Spec.Strategy = appsv1.DeploymentStrategy{
		Type:          appsv1.RollingUpdateDeploymentStrategyType,
		RollingUpdate: &appsv1.RollingUpdateDeployment{MaxSurge: o.MaxSurge, MaxUnavailable: o.MaxUnavailable},
	}
}

// encode writes v as JSON. The types of this file always can be.
func encode(v any) string {
	b, _ := json.Marshal(v)
	return string(b)
}
