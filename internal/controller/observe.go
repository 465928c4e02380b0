// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/rollouts/api/v1beta1"
	"kruise.io/rollouts/internal/workload"
)

// Workloads is how workloads are found: their kinds are whatever a cluster has, and may come later than the manager.
type Workloads struct {
	Mapper meta.RESTMapper
	// Watch makes changes of a kind wake what refers to its objects, from now on; nil: nothing does.
	Watch func(o client.Object) error
	// Live reads past the cache what a copy is made of; nil: copies lack what our types do not know.
	Live client.Reader
	// KeepPaused leaves a workload where its release is when the Rollout goes before its end.
	KeepPaused bool
}

// found is what was found of a workload.
type found struct {
	driver   workload.Driver // nil: none for the kind and style
	unserved bool            // the cluster has no such kind
	objects  workload.Objects
}

// observe reads a workload, what was made next to it, and the ReplicaSets of both; without the workload where there is none.
func (w Workloads) observe(ctx context.Context, c client.Reader, namespace string, ref v1beta1.ObjectRef, style v1beta1.RollingStyleType) (f found, err error) {
	if f.driver = workload.DriverFor(ref, style); f.driver == nil {
		return f, nil
	}
	if u, ok := f.driver.New().(*unstructured.Unstructured); ok {
		kind, err := served(w.Mapper, u.GroupVersionKind())
		switch {
		case meta.IsNoMatchError(err):
			f.unserved = true
			return f, nil
		case err != nil:
			return f, fmt.Errorf("finding the version of %s: %w", ref.Kind, err)
		}
		ref.APIVersion = kind.GroupVersion().String()
		f.driver = workload.DriverFor(ref, style)
		if err := w.watch(f.driver); err != nil {
			return f, err
		}
	}
	o := f.driver.New()
	key := client.ObjectKey{Namespace: namespace, Name: ref.Name}
	ctx, cancel := context.WithTimeout(ctx, readLimit)
	defer cancel()
	err = c.Get(ctx, key, o)
	switch {
	case client.IgnoreNotFound(err) != nil && ctx.Err() != nil:
		return f, fmt.Errorf("reading %s %s: timed out; check that the manager may list this kind: %w", ref.Kind, key, err)
	case client.IgnoreNotFound(err) != nil:
		return f, fmt.Errorf("reading %s %s: %w", ref.Kind, key, err)
	case err == nil:
		if f.objects, err = Below(ctx, c, f.driver, o); err != nil {
			return f, err
		}
	}
	if f.driver.Needs().Canaries {
		return f, observeCanaries(ctx, c, key, &f.objects)
	}
	return f, nil
}

// watch has the kind of a driver watched, and what it checks and no one else does.
func (w Workloads) watch(driver workload.Driver) error {
	objects := []client.Object{driver.New()}
	if driver.Needs().Revisions {
		objects = append(objects, &appsv1.ControllerRevision{})
	}
	for _, o := range objects {
		if w.Watch == nil {
			continue
		}
		if err := w.Watch(o); err != nil {
			return fmt.Errorf("watching %T: %w", o, err)
		}
	}
	return nil
}

// Below reads what a driver checks below a workload, but for pods and for what was made next to it.
func Below(ctx context.Context, c client.Reader, driver workload.Driver, w client.Object) (o workload.Objects, err error) {
	o.Workload = w
	needs := driver.Needs()
	if needs.Sets {
		if o.Sets, err = replicaSetsOf(ctx, c, w); err != nil {
			return o, err
		}
	}
	if needs.Revisions {
		list := &appsv1.ControllerRevisionList{}
		if err := c.List(ctx, list, client.InNamespace(w.GetNamespace()), client.MatchingFields{byController: string(w.GetUID())}); err != nil {
			return o, fmt.Errorf("listing ControllerRevisions: %w", err)
		}
		for i := range list.Items {
			o.Revisions = append(o.Revisions, &list.Items[i])
		}
	}
	return o, nil
}

// observeCanaries adds the Deployments that BatchReleases have made next to a Deployment, and their ReplicaSets.
func observeCanaries(ctx context.Context, c client.Reader, stable client.ObjectKey, o *workload.Objects) error {
	list := &appsv1.DeploymentList{}
	if err := c.List(ctx, list, client.InNamespace(stable.Namespace), client.MatchingFields{byStable: stable.Name}); err != nil {
		return fmt.Errorf("listing canary Deployments: %w", err)
	}
	for i := range list.Items {
		canary := &list.Items[i]
		sets, err := replicaSetsOf(ctx, c, canary)
		if err != nil {
			return err
		}
		o.Canaries = append(o.Canaries, canary)
		o.Sets = append(o.Sets, sets...)
	}
	return nil
}

// stableOf names the Deployment that another one stands next to; "": it was not made by a BatchRelease.
func stableOf(o client.Object) string {
	if owner := metav1.GetControllerOf(o); owner == nil || owner.Kind != "BatchRelease" {
		return ""
	}
	return o.GetLabels()[v1beta1.LabelCanaryDeployment]
}

// replicaSetsOf returns the ReplicaSets that a Deployment controls.
func replicaSetsOf(ctx context.Context, c client.Reader, w client.Object) ([]*appsv1.ReplicaSet, error) {
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

// observePods adds the pods of the workload, or of all ReplicaSets that have any.
func observePods(ctx context.Context, c client.Reader, driver workload.Driver, o *workload.Objects) error {
	o.Pods = []*corev1.Pod{}
	if driver == nil || o.Workload == nil && len(o.Sets) == 0 {
		return nil
	}
	if !driver.Needs().Sets {
		return podsOf(ctx, c, o.Workload, o)
	}
	for _, set := range o.Sets {
		if set.Status.Replicas == 0 && (set.Spec.Replicas == nil || *set.Spec.Replicas == 0) {
			continue
		}
		if err := podsOf(ctx, c, set, o); err != nil {
			return err
		}
	}
	return nil
}

// podsOf adds the pods that an object controls.
func podsOf(ctx context.Context, c client.Reader, owner client.Object, o *workload.Objects) error {
	list := &corev1.PodList{}
	if err := c.List(ctx, list, client.InNamespace(owner.GetNamespace()), client.MatchingFields{byController: string(owner.GetUID())}); err != nil {
		return fmt.Errorf("listing pods: %w", err)
	}
	for i := range list.Items {
		o.Pods = append(o.Pods, &list.Items[i])
	}
	return nil
}

// served is a kind in the version asked for, or else in the one that the cluster prefers.
func served(mapper meta.RESTMapper, kind schema.GroupVersionKind) (schema.GroupVersionKind, error) {
	if kind.Version != "" {
		if mapping, err := mapper.RESTMapping(kind.GroupKind(), kind.Version); err == nil {
			return mapping.GroupVersionKind, nil
		}
	}
	mapping, err := mapper.RESTMapping(kind.GroupKind())
	if err != nil {
		return kind, err
	}
	return mapping.GroupVersionKind, nil
}
