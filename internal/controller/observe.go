// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/rollouts/api/v1beta1"
	"kruise.io/rollouts/internal/workload"
)

// observeWorkload reads a workload and its ReplicaSets; without the workload where there is none.
func observeWorkload(ctx context.Context, c client.Reader, namespace string, ref v1beta1.ObjectRef, driver workload.Driver) (workload.Objects, error) {
	o := workload.Objects{}
	if driver == nil {
		return o, nil
	}
	w := driver.New()
	err := c.Get(ctx, client.ObjectKey{Namespace: namespace, Name: ref.Name}, w)
	switch {
	case apierrors.IsNotFound(err):
		return o, nil
	case err != nil:
		return o, fmt.Errorf("reading %s %s/%s: %w", ref.Kind, namespace, ref.Name, err)
	}
	o.Workload = w
	o.Sets, err = ReplicaSetsOf(ctx, c, w)
	return o, err
}

// ReplicaSetsOf returns the ReplicaSets that a Deployment controls.
func ReplicaSetsOf(ctx context.Context, c client.Reader, w client.Object) ([]*appsv1.ReplicaSet, error) {
	list := &appsv1.ReplicaSetList{}
	if err := c.List(ctx, list, client.InNamespace(w.GetNamespace()), client.MatchingFields{byController: string(w.GetUID())}); err != nil {
		return nil, fmt.Errorf("listing ReplicaSets: %w", err)
	}
	sets := make([]*appsv1.ReplicaSet, len(list.Items))
	for i := range list.Items {
		sets[i] = &list.Items[i]
	}
	return sets, nil
}

// observePods adds the pods of all ReplicaSets that have any.
func observePods(ctx context.Context, c client.Reader, o *workload.Objects) error {
	o.Pods = []*corev1.Pod{}
	for _, set := range o.Sets {
		if set.Status.Replicas == 0 && (set.Spec.Replicas == nil || *set.Spec.Replicas == 0) {
			continue
		}
		list := &corev1.PodList{}
		if err := c.List(ctx, list, client.InNamespace(set.Namespace), client.MatchingFields{byController: string(set.UID)}); err != nil {
			return fmt.Errorf("listing pods: %w", err)
		}
		for i := range list.Items {
			o.Pods = append(o.Pods, &list.Items[i])
		}
	}
	return nil
}
