// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"fmt"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/rollouts/api/v1alpha1"
	"kruise.io/rollouts/api/v1beta1"
	"kruise.io/rollouts/internal/plan"
)

// Indexes of the cache.
const (
	byController = "controller" // ReplicaSets, ControllerRevisions and pods by the UID of what controls them
	byWorkload   = "workload"   // Rollouts and BatchReleases by the workload they refer to
	byStable     = "stable"     // canary Deployments by the Deployment they stand next to
	byRoute      = "route"      // Rollouts and TrafficRoutings by what they route with
)

// Index adds the indexes that observing needs.
func Index(ctx context.Context, indexer client.FieldIndexer) error {
	controlled := func(o client.Object) []string {
		if owner := metav1.GetControllerOf(o); owner != nil {
			return []string{string(owner.UID)}
		}
		return nil
	}
	referring := func(o client.Object) []string {
		switch o := o.(type) {
		case *v1beta1.Rollout:
			return []string{refKey(o.Spec.WorkloadRef)}
		case *v1beta1.BatchRelease:
			return []string{refKey(o.Spec.WorkloadRef)}
		default:
			return nil
		}
	}
	beside := func(o client.Object) []string {
		if stable := stableOf(o); stable != "" {
			return []string{stable}
		}
		return nil
	}
	for _, index := range []struct {
		obj  client.Object
		name string
		keys client.IndexerFunc
	}{
		{&appsv1.ReplicaSet{}, byController, controlled},
		{&corev1.Pod{}, byController, controlled},
		{&appsv1.ControllerRevision{}, byController, controlled},
		{&appsv1.Deployment{}, byStable, beside},
		{&v1beta1.Rollout{}, byWorkload, referring},
		{&v1beta1.BatchRelease{}, byWorkload, referring},
		{&v1beta1.Rollout{}, byRoute, func(o client.Object) []string {
			ro, _ := o.(*v1beta1.Rollout)
			recorded, _ := plan.InEffect(ro)
			keys := routeKeys(append(slices.Clone(ro.Spec.Strategy.Routings()), recorded...))
			if name := plan.SharedRouting(ro); name != "" {
				keys = append(keys, objectKey(v1alpha1.GroupVersion.Group, "TrafficRouting", name))
			}
			return keys
		}},
		{&v1alpha1.TrafficRouting{}, byRoute, func(o client.Object) []string {
			t, _ := o.(*v1alpha1.TrafficRouting)
			return routeKeys(append(slices.Clone(t.Spec.ObjectRef), plan.RoutedWith(t)...))
		}},
	} {
		if err := indexer.IndexField(ctx, index.obj, index.name, index.keys); err != nil {
			return fmt.Errorf("indexing %T by %s: %w", index.obj, index.name, err)
		}
	}
	return nil
}

// refKey names a workload within its namespace: group and kind count, the version does not.
func refKey(ref v1beta1.ObjectRef) string {
	gv, _ := schema.ParseGroupVersion(ref.APIVersion)
	return objectKey(gv.Group, ref.Kind, ref.Name)
}

// objectKey names an object within its namespace, for the indexes.
func objectKey(group, kind, name string) string { return group + "/" + kind + "/" + name }

// RolloutsOf returns the Rollouts that refer to a workload.
func RolloutsOf(ctx context.Context, c client.Reader, namespace, group, kind, name string) ([]v1beta1.Rollout, error) {
	list := &v1beta1.RolloutList{}
	if err := c.List(ctx, list, client.InNamespace(namespace), client.MatchingFields{byWorkload: objectKey(group, kind, name)}); err != nil {
		return nil, fmt.Errorf("listing the Rollouts of %s %s/%s: %w", kind, namespace, name, err)
	}
	return list.Items, nil
}

// rolloutsReferring returns the Rollouts that refer to the same workload as ref does.
func rolloutsReferring(ctx context.Context, c client.Reader, namespace string, ref v1beta1.ObjectRef) ([]v1beta1.Rollout, error) {
	gv, _ := schema.ParseGroupVersion(ref.APIVersion)
	return RolloutsOf(ctx, c, namespace, gv.Group, ref.Kind, ref.Name)
}
