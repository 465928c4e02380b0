// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/rollouts/api/v1beta1"
	"kruise.io/rollouts/internal/traffic"
)

// Routing is one routing of a Rollout as it was seen: the Services, and the objects of its gateways.
type Routing struct {
	Ref            v1beta1.TrafficRoutingRef
	Config         traffic.Config
	Services       traffic.Services
	Stable, Canary Endpoints // of the Services
	Routers        []traffic.Router
	Broken         error // what is wrong with Routers: a script is missing, or does not compile
	Routes         traffic.Objects
	Unserved       []string // kinds of them that the cluster does not have
}

// Endpoints are what the EndpointSlices of a Service show.
type Endpoints struct {
	Ready     int32            // addresses that take requests
	Ports     map[string]int32 // of those, by the name of a port; nil: no one says
	Revisions map[string]int32 // ready pods of the workload that the Service selects, or would without its pin, by revision
	Others    map[string]int32 // those of other workloads, by what controls them
	Shown     bool             // the addresses are the ready pods that the Service selects, all of them and no others
}

// InEffect are the routings that a Rollout routes with at the moment, and whether canary pods share the Service: those on
// record, or else those of its strategy.
func InEffect(ro *v1beta1.Rollout) (refs []v1beta1.TrafficRoutingRef, shared bool) {
	if sub := ro.Status.Common(); sub != nil && sub.Traffic != nil && sub.Traffic.RoutedWith != nil {
		return sub.Traffic.RoutedWith.Routings, sub.Traffic.RoutedWith.SharedService
	}
	return ro.Spec.Strategy.Routings(), ro.Spec.Strategy.SharedService()
}

// routeOf is what a step asks of routes; nil: nothing.
func routeOf(s v1beta1.CanaryStep) *v1beta1.TrafficRoutingStrategy {
	if s.Traffic == nil && len(s.Matches) == 0 {
		return nil
	}
	return &s.TrafficRoutingStrategy
}

// able says what the gateways cannot do of what a step asks for, which admission may have missed, or a script that was the user's
// own could do; nil: nothing.
func able(routings []Routing, route *v1beta1.TrafficRoutingStrategy) error {
	if route == nil {
		return nil
	}
	for _, r := range routings {
		if err := traffic.Able(r.Ref, r.Config, *route); err != nil {
			return err
		}
	}
	return nil
}

func notRestored(err error) Event {
	return Event{Type: corev1.EventTypeWarning, Reason: EventRouteNotRestored, Message: err.Error()}
}

func drift(who, what string) Event {
	return Event{Type: corev1.EventTypeWarning, Reason: EventTrafficDrift, Message: fmt.Sprintf("%s by %s during the release; reverting", what, who)}
}

// changesOf lists what turns the gateway objects of routings into what is asked for; nil: into what their owners wrote. With
// an error, it is what the others have to change.
func changesOf(routings []Routing, route *v1beta1.TrafficRoutingStrategy) ([]Change, error) {
	var r *traffic.Route
	if route != nil {
		var err error
		if r, err = traffic.RouteOf(*route); err != nil {
			return nil, err
		}
	}
	have := traffic.Objects{}
	for _, routing := range routings { // several may route with one object
		maps.Copy(have, routing.Routes)
	}
	want := have
	var errs []error
	for _, routing := range routings {
		if len(routing.Routers) == 0 {
			errs = append(errs, routing.Broken)
		}
		for _, router := range routing.Routers {
			rendered, err := router.Render(want, r)
			if err != nil {
				errs = append(errs, err)
				continue
			}
			want = rendered
		}
	}
	changes := between(have, want, refsOf(routings))
	if route == nil {
		changes = definitionsLast(changes)
	}
	return changes, errors.Join(errs...)
}

// definitionsLast leaves out what other routes refer to for as long as those are not restored.
func definitionsLast(changes []Change) []Change {
	if slices.ContainsFunc(changes, func(c Change) bool { return !isDefinition(c) }) {
		return slices.DeleteFunc(changes, isDefinition)
	}
	return changes
}

func isDefinition(c Change) bool {
	o := c.From
	if o == nil {
		o = c.To
	}
	return traffic.IsDefinition(o.GetObjectKind().GroupVersionKind().GroupKind())
}

// onlyDefinitions reports whether all other routes are restored.
func onlyDefinitions(changes []Change) bool { return len(changes) > 0 && isDefinition(changes[0]) }

// refsOf are the objects of routings in the order of those, each once.
func refsOf(routings []Routing) []traffic.Ref {
	var all []traffic.Ref
	for _, routing := range routings {
		var own []traffic.Ref
		for _, router := range routing.Routers {
			own = append(own, router.Refs()...)
		}
		slices.SortFunc(own, func(a, b traffic.Ref) int { return strings.Compare(a.String(), b.String()) })
		for _, ref := range own {
			if !slices.Contains(all, ref) {
				all = append(all, ref)
			}
		}
	}
	return all
}

// between lists what turns objects into others, in an order.
func between(have, want traffic.Objects, refs []traffic.Ref) []Change {
	var changes []Change
	for _, ref := range refs {
		from, had := have[ref]
		to, wanted := want[ref]
		switch {
		case !had && !wanted:
		case !had:
			changes = append(changes, Change{To: to})
		case !wanted:
			changes = append(changes, Change{From: from})
		case !traffic.Alike(from, to):
			changes = append(changes, Change{From: from, To: to})
		}
	}
	return changes
}

// editor is who changed one of the objects after a time, as far as the objects show, next to the product itself; false:
// no one did. An object that is gone does not show who deleted it.
func editor(changes []Change, since time.Time, refused map[string]bool) (who, what string, object v1beta1.BlockerObject, edited bool) {
	for _, c := range changes {
		if c.From == nil && refused[Named(c.To)] {
			continue // it never was
		}
		if c.From == nil {
			return "someone", Named(c.To) + " was deleted", ObjectOf(c.To), true
		}
		for _, f := range c.From.GetManagedFields() {
			if f.Manager == v1beta1.FieldManager || f.Subresource != "" || f.Time == nil {
				continue
			}
			if f.Time.After(since) {
				return f.Manager, Named(c.From) + " was changed", ObjectOf(c.From), true
			}
		}
	}
	return "", "", object, false
}

// ObjectOf is how blockers name an object.
func ObjectOf(o client.Object) v1beta1.BlockerObject {
	kind, _, _ := strings.Cut(Named(o), " ")
	return v1beta1.BlockerObject{Kind: kind, Name: o.GetName()}
}

// Named is how messages name an object.
func Named(o client.Object) string {
	if kind := o.GetObjectKind().GroupVersionKind().Kind; kind != "" {
		return kind + " " + o.GetName()
	}
	return reflect.TypeOf(o).Elem().Name() + " " + o.GetName()
}
