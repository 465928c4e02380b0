// SPDX-License-Identifier: Apache-2.0

package world

import (
	"errors"

	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/rollouts/internal/sim"
)

// kruiseGroup is the group of OpenKruise's workloads.
var kruiseGroup = sim.KruiseKinds[0].Group

// withStatus are the kinds next to the typed ones whose status is written apart.
func withStatus() []client.Object {
	objects := []client.Object{&appsv1.StatefulSet{}, &appsv1.DaemonSet{}}
	for _, kind := range sim.KruiseKinds {
		u := &unstructured.Unstructured{}
		u.SetGroupVersionKind(kind)
		objects = append(objects, u)
	}
	return objects
}

// defaultWorkload fills in what the API server, or OpenKruise's admission, does for workloads that make pods themselves.
func defaultWorkload(o client.Object) {
	switch o := o.(type) {
	case *appsv1.StatefulSet:
		set(&o.Spec.Replicas, 1)
		set(&o.Spec.RevisionHistoryLimit, 10)
		if o.Spec.PodManagementPolicy == "" {
			o.Spec.PodManagementPolicy = appsv1.OrderedReadyPodManagement
		}
		s := &o.Spec.UpdateStrategy
		if s.Type == "" {
			s.Type = appsv1.RollingUpdateStatefulSetStrategyType
		}
		if s.Type == appsv1.RollingUpdateStatefulSetStrategyType {
			set(&s.RollingUpdate, appsv1.RollingUpdateStatefulSetStrategy{})
			set(&s.RollingUpdate.Partition, 0)
		}
	case *appsv1.DaemonSet:
		set(&o.Spec.RevisionHistoryLimit, 10)
		s := &o.Spec.UpdateStrategy
		if s.Type == "" {
			s.Type = appsv1.RollingUpdateDaemonSetStrategyType
		}
		if s.Type == appsv1.RollingUpdateDaemonSetStrategyType {
			set(&s.RollingUpdate, appsv1.RollingUpdateDaemonSet{})
			set(&s.RollingUpdate.MaxUnavailable, intstr.FromInt32(1))
			set(&s.RollingUpdate.MaxSurge, intstr.FromInt32(0))
		}
	case *unstructured.Unstructured:
		defaultKruise(o)
	}
}

func set[T any](field **T, value T) {
	if *field == nil {
		*field = &value
	}
}

// defaultKruise does what OpenKruise's webhooks do to every write of its kinds: it fills in defaults, and drops what says that
// nothing is paused (sandbox/kruise_test.go holds all of it to the real ones).
func defaultKruise(u *unstructured.Unstructured) {
	if u.GroupVersionKind().Group != kruiseGroup {
		return
	}
	fill := func(value any, path ...string) {
		path = append([]string{"spec"}, path...)
		if _, there, err := unstructured.NestedFieldNoCopy(u.Object, path...); !there && err == nil {
			_ = unstructured.SetNestedField(u.Object, value, path...) // fails where the spec is no object, and is left to fail elsewhere
		}
	}
	strategy := []string{"updateStrategy", "rollingUpdate"}
	for _, path := range [][]string{{"spec", "updateStrategy", "paused"}, {"spec", "updateStrategy", "rollingUpdate", "paused"}} {
		if paused, there, err := unstructured.NestedBool(u.Object, path...); there && err == nil && !paused {
			unstructured.RemoveNestedField(u.Object, path...)
		}
	}
	fill(int64(10), "revisionHistoryLimit")
	switch version := u.GroupVersionKind().Version; u.GetKind() {
	case "CloneSet":
		kind := "RollingUpdate"
		if version == "v1alpha1" {
			kind, strategy = "ReCreate", strategy[:1]
		}
		fill(int64(1), "replicas")
		fill(kind, "updateStrategy", "type")
		fill(int64(0), append(strategy, "partition")...)
		fill("20%", append(strategy, "maxUnavailable")...)
		fill(int64(0), append(strategy, "maxSurge")...)
	case "StatefulSet":
		fill(int64(1), "replicas")
		fill("OrderedReady", "podManagementPolicy")
		fill("RollingUpdate", "updateStrategy", "type")
		if kind, _, _ := unstructured.NestedString(u.Object, "spec", "updateStrategy", "type"); kind == "RollingUpdate" {
			fill(int64(0), append(strategy, "partition")...)
			fill(int64(1), append(strategy, "maxUnavailable")...)
			fill("ReCreate", append(strategy, "podUpdatePolicy")...)
			fill(int64(0), append(strategy, "minReadySeconds")...)
		}
	case "DaemonSet":
		fill("RollingUpdate", "updateStrategy", "type")
		if kind, _, _ := unstructured.NestedString(u.Object, "spec", "updateStrategy", "type"); kind == "RollingUpdate" {
			fill("Standard", append(strategy, "rollingUpdateType")...)
			fill(int64(1), append(strategy, "maxUnavailable")...)
			fill(int64(0), append(strategy, "maxSurge")...)
		}
	}
}

// validateDaemonSet refuses what the API server does: one limit has to be 0, and not both.
func validateDaemonSet(d *appsv1.DaemonSet) error {
	r := d.Spec.UpdateStrategy.RollingUpdate
	if r == nil || zeroLimit(r.MaxSurge) != zeroLimit(r.MaxUnavailable) {
		return nil
	}
	return apierrors.NewGenericServerResponse(422, "", schema.GroupResource{Resource: "daemonsets"}, d.Name,
		"spec.updateStrategy.rollingUpdate.maxSurge: one of maxSurge and maxUnavailable has to be 0, and not both", 0, false)
}

// validateCloneSet refuses what OpenKruise's webhook does.
func validateCloneSet(u *unstructured.Unstructured) error {
	if u.GetKind() != "CloneSet" {
		return nil
	}
	strategy, _, _ := unstructured.NestedMap(u.Object, "spec", "updateStrategy")
	if below, ok := strategy["rollingUpdate"].(map[string]any); ok {
		strategy = below
	}
	none := func(v any) bool { return v == int64(0) || v == "0%" }
	if !none(strategy["maxUnavailable"]) || !none(strategy["maxSurge"]) {
		return nil
	}
	return apierrors.NewForbidden(schema.GroupResource{Group: kruiseGroup, Resource: "clonesets"}, u.GetName(),
		errors.New("spec.updateStrategy.maxUnavailable: maxUnavailable and maxSurge should not both be less than 1"))
}
