// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// DataPlane watches over what gateways may know: everything that was true at some moment of the last Lag. Gateway API
// implementations send a backend its weight whether it has pods or not; ingress-nginx gives the weight of a canary without
// pods to the stable Service, and answers 503 where that has none. The Services that routes name at first are reached all the time:
// clients in the cluster, and routes of others, know nothing of what a release does to its own.
type DataPlane struct {
	Lag     time.Duration
	serving bool     // there has been a moment at which somebody answered
	direct  []string // Services that clients reach without a route
	views   []view
	died    map[string]time.Time // pods, by their names
}

// view is what there was to be known at a moment.
type view struct {
	at       time.Time
	backends map[string]backend // Services that requests are sent to
}

// backend is a Service with its endpoints.
type backend struct {
	pods   map[string]bool
	pinned bool // to one revision: only what the controller orders makes its pods go
}

// Look takes in what there is now and says which requests are lost; "": none.
func (p *DataPlane) Look(ctx context.Context, c client.Reader, namespace string, now time.Time) (string, error) {
	v, err := see(ctx, c, namespace, p.direct)
	if err != nil || len(v.backends) == 0 && len(p.views) == 0 {
		return "", err
	}
	v.at = now
	alive, err := p.alive(ctx, c, namespace, now)
	if err != nil {
		return "", err
	}
	if !p.serving {
		for _, b := range v.backends {
			if b.lost(alive, nil, now) != "" {
				return "", nil // the first pods are on their way
			}
		}
		p.serving, p.direct = true, slices.Collect(maps.Keys(v.backends))
		p.direct = slices.DeleteFunc(p.direct, func(service string) bool { return strings.HasSuffix(service, "-canary") }) // of a release
	}
	p.views = append(p.views, v)
	for len(p.views) > 1 && !p.views[1].at.After(now.Add(-p.Lag)) {
		p.views = p.views[1:]
	}
	for _, v := range p.views {
		for service, b := range v.backends {
			if lost := b.lost(alive, p.died, now.Add(-p.Lag)); lost != "" {
				return fmt.Sprintf("a gateway that knows what was true %s ago sends requests to Service %s, %s", now.Sub(v.at), service, lost), nil
			}
		}
	}
	return "", nil
}

// lost says why no one answers; "": somebody does. Pods of a Service that is not pinned serve for Lag when they are
// deleted: how long they do is for their owner to choose, and no order of ours could make up for it.
func (b backend) lost(alive map[string]bool, died map[string]time.Time, since time.Time) string {
	for pod := range b.pods {
		at, dead := died[pod]
		if alive[pod] || !b.pinned && dead && !at.Before(since) {
			return ""
		}
	}
	if len(b.pods) == 0 {
		return "which has no pods"
	}
	return "whose pods are all gone since"
}

// alive are the pods that answer.
func (p *DataPlane) alive(ctx context.Context, c client.Reader, namespace string, now time.Time) (map[string]bool, error) {
	pods := &corev1.PodList{}
	if err := c.List(ctx, pods, client.InNamespace(namespace)); err != nil {
		return nil, fmt.Errorf("listing pods: %w", err)
	}
	if p.died == nil {
		p.died = map[string]time.Time{}
	}
	alive := map[string]bool{}
	for i := range pods.Items {
		pod := &pods.Items[i]
		if _, ready := readySince(pod); ready && pod.DeletionTimestamp == nil {
			alive[pod.Name] = true
		}
	}
	for _, v := range p.views {
		for _, b := range v.backends {
			for pod := range b.pods {
				if _, known := p.died[pod]; !known && !alive[pod] {
					p.died[pod] = now
				}
			}
		}
	}
	return alive, nil
}

var httpRoutes = schema.GroupVersionKind{Group: "gateway.networking.k8s.io", Version: "v1", Kind: "HTTPRouteList"}

// see reads what routes name, and clients reach without one, and what is behind it.
func see(ctx context.Context, c client.Reader, namespace string, direct []string) (view, error) {
	v := view{backends: map[string]backend{}}
	for _, service := range direct {
		v.backends[service] = backend{}
	}
	list := &unstructured.UnstructuredList{}
	list.SetGroupVersionKind(httpRoutes)
	if err := c.List(ctx, list, client.InNamespace(namespace)); err != nil && !meta.IsNoMatchError(err) && !runtime.IsNotRegisteredError(err) {
		return v, fmt.Errorf("listing HTTPRoutes: %w", err)
	}
	for i := range list.Items {
		rules, _, _ := unstructured.NestedSlice(list.Items[i].Object, "spec", "rules")
		for _, service := range named(rules) {
			v.backends[service] = backend{}
		}
	}
	ingresses := &networkingv1.IngressList{}
	if err := c.List(ctx, ingresses, client.InNamespace(namespace)); err != nil {
		return v, fmt.Errorf("listing Ingresses: %w", err)
	}
	for _, ingress := range ingresses.Items {
		if ingress.Annotations["nginx.ingress.kubernetes.io/canary"] == "true" {
			continue
		}
		for _, rule := range ingress.Spec.Rules {
			for _, path := range rule.HTTP.Paths {
				v.backends[path.Backend.Service.Name] = backend{}
			}
		}
	}
	for service := range v.backends {
		b, err := behind(ctx, c, namespace, service)
		if err != nil {
			return v, err
		}
		v.backends[service] = b
	}
	return v, nil
}

// named are the Services that rules send requests to.
func named(rules []any) []string {
	var services []string
	for _, r := range rules {
		rule, _ := r.(map[string]any)
		refs, _ := rule["backendRefs"].([]any)
		for _, r := range refs {
			ref, _ := r.(map[string]any)
			name, _ := ref["name"].(string)
			if weight, given := ref["weight"]; !given || fmt.Sprint(weight) != "0" {
				services = append(services, name)
			}
		}
	}
	return services
}

// behind reads the endpoints of a Service.
func behind(ctx context.Context, c client.Reader, namespace, name string) (backend, error) {
	b := backend{pods: map[string]bool{}}
	service := &corev1.Service{}
	switch err := c.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, service); {
	case apierrors.IsNotFound(err):
		return b, nil
	case err != nil:
		return b, fmt.Errorf("reading Service %s: %w", name, err)
	}
	b.pinned = service.Spec.Selector[appsv1.DefaultDeploymentUniqueLabelKey] != ""
	shown := &discoveryv1.EndpointSliceList{}
	if err := c.List(ctx, shown, client.InNamespace(namespace), client.MatchingLabels{discoveryv1.LabelServiceName: name}); err != nil {
		return b, fmt.Errorf("listing EndpointSlices: %w", err)
	}
	for _, slice := range shown.Items {
		if len(slice.Ports) == 0 && len(service.Spec.Ports) > 0 {
			continue // no pod listens where the requests are sent to
		}
		for _, e := range slice.Endpoints {
			if e.Conditions.Ready != nil && *e.Conditions.Ready {
				b.pods[e.TargetRef.Name] = true
			}
		}
	}
	return b, nil
}
