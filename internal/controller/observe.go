// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/rollouts/api/v1beta1"
	"kruise.io/rollouts/internal/workload"
)

// observeWorkload reads a workload, what was made beside it, and the ReplicaSets of both; without the workload where there
// is none.
func observeWorkload(ctx context.Context, c client.Reader, namespace string, ref v1beta1.ObjectRef, driver workload.Driver) (workload.Objects, error) {
	o := workload.Objects{}
	if driver == nil {
		return o, nil
	}
	w := driver.New()
	err := c.Get(ctx, client.ObjectKey{Namespace: namespace, Name: ref.Name}, w)
	if client.IgnoreNotFound(err) != nil {
		return o, fmt.Errorf("reading %s %s/%s: %w", ref.Kind, namespace, ref.Name, err)
	}
	if err == nil {
		o.Workload = w
		if o.Sets, err = ReplicaSetsOf(ctx, c, w); err != nil {
			return o, err
		}
	}
	if workload.MakesCanaries(driver) {
		return o, observeCanaries(ctx, c, client.ObjectKey{Namespace: namespace, Name: ref.Name}, &o)
	}
	return o, nil
}

// observeCanaries adds the Deployments that BatchReleases have made beside a Deployment, and their ReplicaSets.
func observeCanaries(ctx context.Context, c client.Reader, stable client.ObjectKey, o *workload.Objects) error {
	list := &appsv1.DeploymentList{}
	if err := c.List(ctx, list, client.InNamespace(stable.Namespace), client.MatchingFields{byStable: stable.Name}); err != nil {
		return fmt.Errorf("listing canary Deployments: %w", err)
	}
	for i := range list.Items {
		canary := &list.Items[i]
		sets, err := ReplicaSetsOf(ctx, c, canary)
		if err != nil {
			return err
		}
		o.Canaries = append(o.Canaries, canary)
		o.Sets = append(o.Sets, sets...)
	}
	return nil
}

// stableOf names the Deployment that another one stands beside; "": it was not made by a BatchRelease.
func stableOf(o client.Object) string {
	if owner := metav1.GetControllerOf(o); owner == nil || owner.Kind != "BatchRelease" {
		return ""
	}
	return o.GetLabels()[v1beta1.LabelCanaryDeployment]
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
