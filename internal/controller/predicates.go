// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/predicate"

	"kruise.io/rollouts/api/v1beta1"
	"kruise.io/rollouts/internal/workload"
)

// specChanged lets pass what a Rollout checks in its workload: the spec, annotations and labels, not the counts.
func specChanged() predicate.Predicate {
	return predicate.Or(predicate.GenerationChangedPredicate{}, predicate.AnnotationChangedPredicate{}, predicate.LabelChangedPredicate{})
}

// comesOrGoes lets pass that objects are created and deleted.
func comesOrGoes() predicate.Predicate {
	return predicate.Funcs{UpdateFunc: func(event.UpdateEvent) bool { return false }}
}

// onItsOwn lets pass news of ReplicaSets that are workloads themselves.
func onItsOwn() predicate.Predicate {
	return predicate.And(specChanged(), predicate.NewPredicateFuncs(func(o client.Object) bool { return metav1.GetControllerOf(o) == nil }))
}

// workloadNews lets pass what a Rollout checks in workloads that are read as unstructured: what specChanged does, and
// what their own controllers say of revisions. Counts of pods are the BatchRelease's.
func workloadNews() predicate.Predicate {
	said := func(o client.Object) []any {
		u, ok := o.(*unstructured.Unstructured)
		if !ok {
			return nil
		}
		ref := v1beta1.ObjectRef{APIVersion: u.GetAPIVersion(), Kind: u.GetKind()}
		var seen []any
		for _, name := range append([]string{"observedGeneration"}, workload.KindOf(ref).Status...) {
			value, _, _ := unstructured.NestedFieldNoCopy(u.Object, "status", name)
			seen = append(seen, value)
		}
		return seen
	}
	return predicate.Or(specChanged(), predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool { return !slices.Equal(said(e.ObjectOld), said(e.ObjectNew)) }})
}

// podNews lets pass what a BatchRelease checks in pods: that they come, go, become ready or cannot, and their labels.
func podNews() predicate.Predicate {
	return predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
		before, ok1 := e.ObjectOld.(*corev1.Pod)
		after, ok2 := e.ObjectNew.(*corev1.Pod)
		return !ok1 || !ok2 || (before.DeletionTimestamp == nil) != (after.DeletionTimestamp == nil) ||
			before.Status.Phase != after.Status.Phase || !maps.Equal(before.Labels, after.Labels) ||
			!equality.Semantic.DeepEqual(before.Status.Conditions, after.Status.Conditions) ||
			!equality.Semantic.DeepEqual(before.Status.ContainerStatuses, after.Status.ContainerStatuses)
	}}
}
