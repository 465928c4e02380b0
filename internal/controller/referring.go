// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"cmp"
	"context"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// referring maps objects of a workload to what refers to the workload: who has to check again when they change.
type referring struct {
	reader client.Reader
	list   func() client.ObjectList // of what refers, indexed by workload
}

// ofWorkload maps a workload, or a ControllerRevision of one, to what refers to the workload.
func (r referring) ofWorkload(ctx context.Context, o client.Object) []reconcile.Request {
	if _, ok := o.(*appsv1.ControllerRevision); ok {
		return r.ofControlled(ctx, o)
	}
	kind := o.GetObjectKind().GroupVersionKind()
	return r.named(ctx, o.GetNamespace(), kind.GroupKind(), o.GetName())
}

// ofDeployment maps a canary Deployment to what refers to the one it stands next to.
func (r referring) ofDeployment(ctx context.Context, o client.Object) []reconcile.Request {
	return r.named(ctx, o.GetNamespace(), deploymentKind, cmp.Or(stableOf(o), o.GetName()))
}

// ofReplicaSet maps a ReplicaSet to what refers to its Deployment, or to itself.
func (r referring) ofReplicaSet(ctx context.Context, o client.Object) []reconcile.Request {
	owner := metav1.GetControllerOf(o)
	switch {
	case owner == nil:
		return r.named(ctx, o.GetNamespace(), replicaSetKind, o.GetName())
	case owner.Kind != deploymentKind.Kind:
		return nil
	}
	if requests := r.named(ctx, o.GetNamespace(), deploymentKind, owner.Name); len(requests) > 0 {
		return requests
	}
	d := &appsv1.Deployment{}
	if err := r.reader.Get(ctx, client.ObjectKey{Namespace: o.GetNamespace(), Name: owner.Name}, d); err != nil || stableOf(d) == "" {
		return nil
	}
	return r.ofDeployment(ctx, d)
}

// ofControlled maps what a workload controls itself to what refers to the workload.
func (r referring) ofControlled(ctx context.Context, o client.Object) []reconcile.Request {
	owner := metav1.GetControllerOf(o)
	if owner == nil {
		return nil
	}
	gv, _ := schema.ParseGroupVersion(owner.APIVersion)
	return r.named(ctx, o.GetNamespace(), schema.GroupKind{Group: gv.Group, Kind: owner.Kind}, owner.Name)
}

func (r referring) ofPod(ctx context.Context, o client.Object) []reconcile.Request {
	owner := metav1.GetControllerOf(o)
	if owner == nil || owner.Kind != replicaSetKind.Kind {
		return r.ofControlled(ctx, o)
	}
	set := &appsv1.ReplicaSet{}
	if err := r.reader.Get(ctx, client.ObjectKey{Namespace: o.GetNamespace(), Name: owner.Name}, set); err != nil {
		return nil // a pod of a ReplicaSet that is gone concerns no one
	}
	return r.ofReplicaSet(ctx, set)
}

var (
	deploymentKind = schema.GroupKind{Group: appsv1.GroupName, Kind: "Deployment"}
	replicaSetKind = schema.GroupKind{Group: appsv1.GroupName, Kind: "ReplicaSet"}
)

func (r referring) named(ctx context.Context, namespace string, kind schema.GroupKind, name string) []reconcile.Request {
	list := r.list()
	key := objectKey(kind.Group, kind.Kind, name)
	if err := r.reader.List(ctx, list, client.InNamespace(namespace), client.MatchingFields{byWorkload: key}); err != nil {
		return nil // of a cache without the index only
	}
	return requestsFor(list, func(client.Object) bool { return true })
}

// requestsFor asks for a pass of those of a list that are concerned.
func requestsFor(list client.ObjectList, concerned func(client.Object) bool) []reconcile.Request {
	var requests []reconcile.Request
	_ = meta.EachListItem(list, func(o runtime.Object) error {
		if obj, ok := o.(client.Object); ok && concerned(obj) {
			requests = append(requests, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(obj)})
		}
		return nil
	})
	return requests
}
