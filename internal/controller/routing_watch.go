// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"fmt"
	"reflect"
	"sync"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	ctrlcontroller "sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"kruise.io/rollouts/api/v1alpha1"
	"kruise.io/rollouts/api/v1beta1"
	"kruise.io/rollouts/internal/plan"
)

// watches adds the watch of a kind when something first routes with it: a cluster without routings pays for none.
type watches struct {
	list       func() client.ObjectList // of what routes, indexed by what it routes with
	mu         sync.Mutex
	watched    map[string]bool
	controller ctrlcontroller.Controller
	cache      cache.Cache
	reader     client.Reader
}

func newWatches(mgr ctrl.Manager, list func() client.ObjectList) *watches {
	return &watches{watched: map[string]bool{}, cache: mgr.GetCache(), reader: mgr.GetClient(), list: list}
}

// add watches the kind of o, once.
func (w *watches) add(o client.Object) error {
	kind := fmt.Sprintf("%s %s", reflect.TypeOf(o), o.GetObjectKind().GroupVersionKind())
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.watched[kind] || w.controller == nil {
		return nil
	}
	watched, ok := reflect.TypeAssert[client.Object](reflect.New(reflect.TypeOf(o).Elem()))
	if !ok {
		return nil
	}
	if u, ok := watched.(*unstructured.Unstructured); ok {
		u.SetGroupVersionKind(o.GetObjectKind().GroupVersionKind())
	}
	if err := w.controller.Watch(source.Kind(w.cache, watched, handler.EnqueueRequestsFromMapFunc(w.routedWith))); err != nil {
		return err
	}
	w.watched[kind] = true
	return nil
}

// routedWith is what routes with an object.
func (w *watches) routedWith(ctx context.Context, o client.Object) []reconcile.Request {
	options := []client.ListOption{client.InNamespace(o.GetNamespace())}
	switch o := o.(type) {
	case *corev1.Service:
		options = append(options, client.MatchingFields{byRoute: objectKey("", "Service", o.Name)})
	case *discoveryv1.EndpointSlice:
		options = append(options, client.MatchingFields{byRoute: objectKey("", "Service", o.Labels[discoveryv1.LabelServiceName])})
	case *v1alpha1.TrafficRouting:
		options = append(options, client.MatchingFields{byRoute: objectKey(v1alpha1.GroupVersion.Group, "TrafficRouting", o.Name)})
	case *corev1.ConfigMap:
		options = nil // scripts concern all
	default:
		kind := o.GetObjectKind().GroupVersionKind()
		options = append(options, client.MatchingFields{byRoute: objectKey(kind.Group, kind.Kind, o.GetName())})
	}
	list := w.list()
	if err := w.reader.List(ctx, list, options...); err != nil {
		return nil // of a cache without the index only
	}
	return requestsFor(list, func(o client.Object) bool {
		ro, ok := o.(*v1beta1.Rollout)
		return !ok || leading(ro) // at rest it looks at no routes
	})
}

// leading tells whether a Rollout leads requests at the moment, or is about to.
func leading(ro *v1beta1.Rollout) bool {
	switch ro.Status.Phase {
	case v1beta1.PhaseProgressing, v1beta1.PhaseDisabling, v1beta1.PhaseTerminating:
		return true
	default:
		sub := plan.Progress(&ro.Status)
		return sub != nil && sub.Traffic != nil
	}
}

// routeKeys name everything that routings lead requests with, within their namespace.
func routeKeys(refs []v1beta1.TrafficRoutingRef) []string {
	var keys []string
	for _, r := range refs {
		keys = append(keys, objectKey("", "Service", r.Service), objectKey("", "Service", r.Service+"-canary"))
		if i := r.Ingress; i != nil {
			keys = append(keys, objectKey(networkingv1.GroupName, "Ingress", i.Name), objectKey(networkingv1.GroupName, "Ingress", i.Name+"-canary"))
		}
		if g := r.Gateway; g != nil && g.HTTPRouteName != nil {
			keys = append(keys, objectKey(gatewayv1.GroupName, "HTTPRoute", *g.HTTPRouteName))
		}
		if g := r.Gateway; g != nil && g.GRPCRouteName != nil {
			keys = append(keys, objectKey(gatewayv1.GroupName, "GRPCRoute", *g.GRPCRouteName))
		}
		for _, c := range r.CustomNetworkRefs {
			gv, _ := schema.ParseGroupVersion(c.APIVersion)
			keys = append(keys, objectKey(gv.Group, c.Kind, c.Name))
		}
	}
	return keys
}
