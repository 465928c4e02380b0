// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"kruise.io/rollouts/api/v1alpha1"
	"kruise.io/rollouts/api/v1beta1"
	"kruise.io/rollouts/internal/traffic"
)

// routedWith is what routes with an object.
func (r referring) routedWith(ctx context.Context, o client.Object) []reconcile.Request {
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
	list := r.list()
	if err := r.reader.List(ctx, list, options...); err != nil {
		return nil // of a cache without the index only
	}
	return requestsFor(list, func(o client.Object) bool {
		ro, ok := o.(*v1beta1.Rollout)
		return !ok || leading(ro) // at rest it checks no routes
	})
}

// leading reports whether a Rollout routes requests at the moment, or is about to.
func leading(ro *v1beta1.Rollout) bool {
	switch ro.Status.Phase {
	case v1beta1.PhaseProgressing, v1beta1.PhaseDisabling, v1beta1.PhaseTerminating:
		return true
	default:
		sub := ro.Status.Common()
		return sub != nil && sub.Traffic != nil
	}
}

// routeKeys name everything that routings route requests with, within their namespace.
func routeKeys(refs []v1beta1.TrafficRoutingRef) []string {
	var keys []string
	for _, r := range refs {
		keys = append(keys, objectKey("", "Service", r.Service), objectKey("", "Service", r.Service+"-canary"))
		for _, ref := range traffic.RefsOf(r) {
			keys = append(keys, objectKey(ref.Group, ref.Kind, ref.Name))
		}
	}
	return keys
}
