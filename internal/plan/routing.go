// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"kruise.io/rollouts/api/v1beta1"
	"kruise.io/rollouts/internal/traffic"
	"kruise.io/rollouts/internal/workload"
)

// Routing is one routing of a Rollout as it was seen: the Services, and the objects of its gateways.
type Routing struct {
	Ref            v1beta1.TrafficRoutingRef
	Config         traffic.Config
	Services       traffic.Services
	Stable, Canary Endpoints // of the Services
	Routers        []traffic.Router
	Broken         error // why there are no Routers: a script is missing, or does not compile
	Routes         traffic.Objects
	Unserved       []string // kinds of them that the cluster does not have
}

// Endpoints are what the EndpointSlices of a Service show.
type Endpoints struct {
	Ready int32 // addresses that take requests
	Shown bool  // those are the ready pods that the Service selects, all of them and no others
}

// Routings returns the routings of a Rollout in whichever style.
func Routings(ro *v1beta1.Rollout) []v1beta1.TrafficRoutingRef {
	switch s := ro.Spec.Strategy; {
	case s.BlueGreen != nil:
		return s.BlueGreen.TrafficRoutings
	case s.Canary != nil:
		return s.Canary.TrafficRoutings
	default:
		return nil
	}
}

// SharedService tells whether a Rollout's canary pods get no Service of their own.
func SharedService(ro *v1beta1.Rollout) bool {
	s := ro.Spec.Strategy
	return s.BlueGreen != nil && s.BlueGreen.DisableGenerateCanaryService || s.Canary != nil && s.Canary.DisableGenerateCanaryService
}

// routeOf is what a step asks of routes; nil: nothing.
func routeOf(s v1beta1.CanaryStep) *v1beta1.TrafficRoutingStrategy {
	if s.Traffic == nil && len(s.Matches) == 0 {
		return nil
	}
	return &s.TrafficRoutingStrategy
}

// pods says how the pods of a canary differ.
func podsOf(ro *v1beta1.Rollout) traffic.Pods {
	p := traffic.Pods{RevisionKey: workload.KindOf(ro.Spec.WorkloadRef).RevisionKey}
	if c := ro.Spec.Strategy.Canary; c != nil && c.PatchPodTemplateMetadata != nil {
		p.Labels = c.PatchPodTemplateMetadata.Labels
	}
	return p
}

// services lists what turns the Services of all routings into what is asked for.
func (l *look) services(stable, canary string) ([]Change, error) {
	var changes []Change
	for _, r := range l.Routings {
		if l.leaving && canary != "" && r.Services.Stable == nil {
			continue // nobody waits on the way out for what is gone
		}
		want, err := r.Config.Render(r.Services, traffic.Setting{Pin: stable, Canary: canary}, podsOf(l.Rollout))
		if err != nil {
			return nil, err
		}
		if r.Services.Stable != nil {
			changes = append(changes, diff(r.Services.Stable, want.Stable)...)
		}
		switch had, wanted := r.Services.Canary, want.Canary; {
		case had == nil && wanted != nil:
			changes = append(changes, Change{To: wanted})
		case had != nil && wanted == nil:
			changes = append(changes, Change{From: had})
		case had != nil:
			changes = append(changes, diff(had, wanted)...)
		}
	}
	return changes, nil
}

// routes lists what turns the gateway objects of all routings into what is asked for; nil: into what their owners wrote.
// What cannot be given back keeps nobody from leaving.
func (l *look) routes(route *v1beta1.TrafficRoutingStrategy) ([]Change, error) {
	changes, err := changesOf(l.Routings, route)
	if err != nil && route == nil {
		l.Events = append(l.Events, notRestored(err))
		return changes, nil
	}
	return changes, err
}

func notRestored(err error) Event {
	return Event{Type: corev1.EventTypeWarning, Reason: "RouteNotRestored", Message: err.Error()}
}

func drift(who, what string) Event {
	return Event{Type: corev1.EventTypeWarning, Reason: "TrafficDrift", Message: fmt.Sprintf("%s by %s during the release; it is put right", what, who)}
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
	var changes []Change
	var errs []error
	for _, routing := range routings {
		more, err := routing.changes(r)
		changes, errs = append(changes, more...), append(errs, err)
	}
	return changes, errors.Join(errs...)
}

// changes lists what one routing has to change for a Route.
func (r Routing) changes(route *traffic.Route) ([]Change, error) {
	want, err := r.Routes, r.Broken
	for _, router := range r.Routers {
		rendered, broken := router.Render(want, route)
		if broken != nil {
			err = broken
			continue
		}
		want = rendered
	}
	return between(r.Routes, want), err
}

// between lists what turns objects into others, in a fixed order.
func between(have, want traffic.Objects) []Change {
	all := maps.Clone(have)
	if all == nil {
		all = traffic.Objects{}
	}
	maps.Copy(all, want)
	refs := slices.SortedFunc(maps.Keys(all), func(a, b traffic.Ref) int { return strings.Compare(a.String(), b.String()) })
	var changes []Change
	for _, ref := range refs {
		from, had := have[ref]
		to, wanted := want[ref]
		switch {
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

// editor is who changed one of the objects after a time, as far as the objects tell, beside the product itself; false:
// nobody did. An object that is gone does not tell who deleted it.
func editor(changes []Change, since time.Time) (who, what string, edited bool) {
	for _, c := range changes {
		if c.From == nil {
			return "someone", named(c.To) + " was deleted", true
		}
		for _, f := range c.From.GetManagedFields() {
			if f.Manager == v1beta1.FieldManager || f.Subresource != "" || f.Time == nil {
				continue
			}
			if f.Time.After(since) {
				return f.Manager, named(c.From) + " was changed", true
			}
		}
	}
	return "", "", false
}

// named is how messages name an object.
func named(o interface{ GetName() string }) string {
	switch o := o.(type) {
	case *unstructured.Unstructured:
		return o.GetKind() + " " + o.GetName()
	case *corev1.Service:
		return "Service " + o.Name
	default:
		return o.GetName()
	}
}
