// SPDX-License-Identifier: Apache-2.0

// Package traffic speaks for what routes requests to pods: Services, and one router for each kind of gateway object
// renders which requests reach the new version. It is pure: objects in, objects out. It neither reads nor writes the
// cluster, it waits for nothing, and it decides nothing about steps; package plan does.
//
// Three laws hold for every router, and the tests hold them to it: rendering twice is rendering once; rendering the nil
// Route restores what the user wrote; what a router does not know survives. It follows that the way from one Route to
// another is the same as the way to it from nothing.
package traffic

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/intstr"
	gatewayv1beta1 "sigs.k8s.io/gateway-api/apis/v1beta1"

	rolloutsv1beta1 "kruise.io/rollouts/api/v1beta1"
)

// Setting is how requests are to be shared. The zero Setting is "as if there were no rollout".
type Setting struct {
	Pin    string // the stable Service selects only this revision; "" all
	Canary string // the canary Service exists and selects this revision; "" it does not exist
	Back   bool   // on the way back: a Service that can no more be divided has nothing of ours in it, and is left as it is
}

// Route is which requests reach the canary Service: those that match, or else a percentage of all.
type Route struct {
	// Weight is the percentage of the stable Service's requests; nil: none by weight.
	Weight *int32 `json:"weight,omitempty"`
	// Matches are alternatives; a request has to have all of one. They come before Weight.
	Matches []rolloutsv1beta1.HttpRouteMatch `json:"matches,omitempty"`
	// HeaderModifier changes the headers of the requests that reach the canary Service.
	HeaderModifier *gatewayv1beta1.HTTPHeaderFilter `json:"headerModifier,omitempty"`
}

// RouteOf reads what a step asks for. A step that says nothing of traffic gets the nil Route.
func RouteOf(s rolloutsv1beta1.TrafficRoutingStrategy) (*Route, error) {
	if s.Traffic == nil && len(s.Matches) == 0 {
		return nil, nil
	}
	r := &Route{Matches: s.Matches, HeaderModifier: s.RequestHeaderModifier}
	if s.Traffic != nil {
		share := intstr.Parse(*s.Traffic)
		weight, err := intstr.GetScaledValueFromIntOrPercent(&share, 100, true)
		if err != nil || weight < 0 || weight > 100 {
			return nil, fmt.Errorf("traffic %q is no percentage; write one from 0%% to 100%%", *s.Traffic)
		}
		w := int32(weight) //nolint:gosec // at most 100
		r.Weight = &w
	}
	return r, nil
}

// Backends are the names of the two Services between which requests are shared. They are equal where the canary pods
// have no Service of their own.
type Backends struct{ Stable, Canary string }

// BackendsOf names the Services of a routing; shared: the canary has none of its own.
func BackendsOf(service string, shared bool) Backends {
	if shared {
		return Backends{Stable: service, Canary: service}
	}
	return Backends{Stable: service, Canary: service + "-canary"}
}

// Ref names an object in the Rollout's namespace. Without a version it is whichever the cluster serves.
type Ref struct {
	schema.GroupVersionKind
	Name string
}

// String is how messages name the object.
func (r Ref) String() string { return r.Kind + " " + r.Name }

// Objects are objects as they were seen, or as they should be. One that does not exist is not in it.
type Objects map[Ref]*unstructured.Unstructured

// with returns the Objects with one of them replaced; nil removes it.
func (o Objects) with(r Ref, u *unstructured.Unstructured) Objects {
	n := make(Objects, len(o)+1)
	maps.Copy(n, o)
	if u == nil {
		delete(n, r)
	} else {
		n[r] = u
	}
	return n
}

// Settled reports whether nothing is left to change. Numbers are compared as JSON has them.
func Settled(have, want Objects) bool {
	if len(have) != len(want) {
		return false
	}
	for ref, w := range want {
		h, ok := have[ref]
		if !ok || !Alike(h, w) {
			return false
		}
	}
	return true
}

// Alike compares two objects, numbers as JSON has them.
func Alike(a, b *unstructured.Unstructured) bool { return encode(a.Object) == encode(b.Object) }

// A Router renders a Route onto one kind of gateway object.
type Router interface {
	// Refs names the objects Render has to see: those it changes, and those it only reads.
	Refs() []Ref
	// Render returns the objects as they should be for a Route; nil: as the user wrote them. What it returns is new
	// where it differs, and have stays as it is. An error is the user's to mend: an object is missing, a script is
	// broken, or the Route cannot be said in this kind of object.
	Render(have Objects, r *Route) (want Objects, err error)
}

// Config is what Routers are made with.
type Config struct {
	Backends Backends
	// Owner is the controller reference of objects made for the release.
	Owner metav1.OwnerReference
	// Siblings are the Backends of all routings of the same release that name the same Ingress: they share what is made
	// next to it. None: there is one routing.
	Siblings []Backends
	// Foreign says that a Service with the canary's name exists and was not made by this release: routes that route to it
	// are the user's own.
	Foreign bool
	// Scripts are the user's own, by key of the ConfigMap kruise-rollout-configuration.
	Scripts map[string]string
}

// pairs are the Backends of this routing and its siblings.
func (c Config) pairs() []Backends {
	if len(c.Siblings) == 0 {
		return []Backends{c.Backends}
	}
	return c.Siblings
}

// Routers returns the routers of a routing, in the order in which they are applied: custom, Ingress, HTTPRoute, GRPCRoute.
// An object without a script is an error, and so is a routing that names nothing to route with. There is a router of such an
// object nevertheless: it renders no Route, and restores what was rendered before, which takes no script.
func Routers(t rolloutsv1beta1.TrafficRoutingRef, c Config) ([]Router, error) {
	var routers []Router
	var errs []error
	for _, ref := range t.CustomNetworkRefs {
		r, err := newCustom(ref, c)
		routers, errs = append(routers, r), append(errs, err)
	}
	if t.Ingress != nil {
		r, err := newIngress(*t.Ingress, c)
		routers, errs = append(routers, r), append(errs, err)
	}
	for _, route := range gatewayRoutes(t) {
		routers = append(routers, gateway{kind: route.Kind, name: route.Name, scope: t.Gateway.RuleNames, backends: c.Backends, owner: c.Owner.Kind + "/" + c.Owner.Name, foreign: c.Foreign})
	}
	if len(routers) == 0 {
		return nil, fmt.Errorf("TrafficRouting current only supports Ingress, Gateway API and CustomNetworkRefs")
	}
	return routers, errors.Join(errs...)
}

// RefsOf names the objects that the routers of a routing see, scripts aside: whoever watches them knows when to render again.
func RefsOf(t rolloutsv1beta1.TrafficRoutingRef) []Ref {
	var refs []Ref
	for _, c := range t.CustomNetworkRefs {
		gv, _ := schema.ParseGroupVersion(c.APIVersion)
		refs = append(refs, Ref{gv.WithKind(c.Kind), c.Name})
	}
	if i := t.Ingress; i != nil {
		refs = append(refs, ingressRefs(i.Name)...)
	}
	return append(refs, gatewayRoutes(t)...)
}

// Names reports whether the spec of an object routes to a Service of its namespace, by its name alone or by one of its host names.
func Names(u *unstructured.Unstructured, service string) bool {
	return names(u.Object["spec"], service, u.GetNamespace())
}

func names(v any, service, namespace string) bool {
	switch v := v.(type) {
	case string:
		return isHost(v, service, namespace)
	case []any:
		return slices.ContainsFunc(v, func(item any) bool { return names(item, service, namespace) })
	case map[string]any:
		for _, value := range v {
			if names(value, service, namespace) {
				return true
			}
		}
	}
	return false
}

// isHost reports whether a name is that of a Service, which may go on with its namespace, svc and the cluster's domain. Others that begin
// with it are hosts outside. Objects that are tried out may have no namespace.
func isHost(host, service, namespace string) bool {
	parts := strings.Split(host, ".")
	return parts[0] == service && (len(parts) < 2 || namespace == "" || parts[1] == namespace) && (len(parts) < 3 || parts[2] == "svc")
}

// missing is the error for an object a Route needs.
func missing(r Ref) error {
	return r.fault(rolloutsv1beta1.BlockerRouteMissing, fmt.Errorf("%s does not exist", r))
}

// encode writes v as JSON, keys sorted. Everything in an object can be.
func encode(v any) string {
	b, _ := json.Marshal(v)
	return string(b)
}

// plain turns an API type into the maps and lists of an unstructured object.
func plain(v any) any {
	out, _ := decode(encode(v))
	return out
}
