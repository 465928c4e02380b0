// SPDX-License-Identifier: Apache-2.0

package world

import (
	"context"
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"

	"kruise.io/rollouts/internal/controller"
	"kruise.io/rollouts/internal/sim"
)

// ManagerUser is who the manager is to the API server, as the chart installs it.
const ManagerUser = "system:serviceaccount:kruise-rollout:kruise-rollout-controller-manager"

// request is what the API server asks its authorizer about what the manager does.
func (w *World) request(verb string, o client.Object) (sim.Request, error) {
	kind, err := apiutil.GVKForObject(o, w.store.Scheme())
	if err != nil {
		return sim.Request{}, err
	}
	q := sim.Request{User: ManagerUser, Verb: verb, Group: kind.Group, Resource: resourceOf(kind), Namespace: o.GetNamespace(), Name: o.GetName()}
	if verb, sub, ok := strings.Cut(verb, " "); ok {
		q.Verb, q.Resource = verb, q.Resource+"/"+sub
	}
	if q.Verb == "create" {
		q.Name = "" // the object has none yet, as far as the authorizer knows
	}
	return q, nil
}

func resourceOf(kind schema.GroupVersionKind) string {
	resource, _ := meta.UnsafeGuessKindToResource(kind)
	return resource.Resource
}

// authorize asks whether somebody may do something; nil: he may.
func (w *World) authorize(who, verb string, o client.Object) error {
	if who != controller.FieldManager || w.Authorize == nil {
		return nil
	}
	q, err := w.request(verb, o)
	if err != nil {
		return err
	}
	if w.Authorize(q) {
		return nil
	}
	return sim.Refusal(q)
}

// ownedBy does what the admission plugin OwnerReferencesPermissionEnforcement does to a write: who changes an object's owners has to
// be allowed to delete it, and who keeps an owner from being deleted, to update the owner's finalizers. Stored is nil for a new object.
func (w *World) ownedBy(who string, stored, o client.Object) error {
	if who != controller.FieldManager || w.Authorize == nil {
		return nil
	}
	var had []metav1.OwnerReference
	if stored != nil {
		had = stored.GetOwnerReferences()
	}
	if equality.Semantic.DeepEqual(had, o.GetOwnerReferences()) {
		return nil
	}
	q, err := w.request("delete", o)
	if err != nil {
		return err
	}
	refused := func(why string, q sim.Request) error {
		return apierrors.NewForbidden(schema.GroupResource{Group: q.Group, Resource: q.Resource}, o.GetName(), fmt.Errorf("%s: %s", why, sim.Cannot(q)))
	}
	if stored != nil && !w.Authorize(q) {
		return refused("cannot set an ownerRef on a resource you can't delete", q)
	}
	for _, ref := range o.GetOwnerReferences() {
		if ref.BlockOwnerDeletion == nil || !*ref.BlockOwnerDeletion || blocks(had, ref) {
			continue
		}
		kind := schema.FromAPIVersionAndKind(ref.APIVersion, ref.Kind)
		owner := sim.Request{User: ManagerUser, Verb: "update", Group: kind.Group, Resource: resourceOf(kind) + "/finalizers", Namespace: o.GetNamespace(), Name: ref.Name}
		if !w.Authorize(owner) {
			return refused("cannot set blockOwnerDeletion if an ownerReference refers to a resource you can't set finalizers on", owner)
		}
	}
	return nil
}

// blocks reports whether an owner was kept from being deleted before.
func blocks(had []metav1.OwnerReference, ref metav1.OwnerReference) bool {
	for _, h := range had {
		if h.UID == ref.UID && h.BlockOwnerDeletion != nil && *h.BlockOwnerDeletion {
			return true
		}
	}
	return false
}

// live reads past the cache, which the API server has to allow each time.
type live struct {
	client.Reader
	world *World
}

func (l live) Get(ctx context.Context, key client.ObjectKey, o client.Object, opts ...client.GetOption) error {
	asked, _ := blank(o)
	asked.SetNamespace(key.Namespace)
	asked.SetName(key.Name)
	if err := l.world.authorize(controller.FieldManager, "get", asked); err != nil {
		return err
	}
	return l.Reader.Get(ctx, key, o, opts...)
}
