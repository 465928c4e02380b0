// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"

	"kruise.io/rollouts/api/v1alpha1"
	"kruise.io/rollouts/api/v1beta1"
)

// TrafficRoutingInput is everything one pass over a TrafficRouting saw. Its Services are never changed: both kinds of pods of what it
// routes to are behind them.
type TrafficRoutingInput struct {
	Now            time.Time
	TrafficRouting *v1alpha1.TrafficRouting
	Routings       []Routing
	Holding        map[string]bool // Rollouts that hold it, and that there are, and that name it still
	Refused        map[string]bool // objects that the cluster refuses to write, as Named has them
}

// trafficRoutingPlanner is one pass over a TrafficRouting on its way to a decision.
type trafficRoutingPlanner struct {
	TrafficRoutingInput
	Decision[*v1alpha1.TrafficRouting]
	status *v1alpha1.TrafficRoutingStatus // of Decision.Object
}

// TrafficRouting decides what to do with a TrafficRouting: it routes requests for as long as a Rollout holds it
// (docs/wire.md, TrafficRouting).
func TrafficRouting(s TrafficRoutingInput) Decision[*v1alpha1.TrafficRouting] {
	p := &trafficRoutingPlanner{TrafficRoutingInput: s, Decision: Decision[*v1alpha1.TrafficRouting]{Object: s.TrafficRouting.DeepCopy()}}
	p.status = &p.Object.Status
	p.status.ObservedGeneration = s.TrafficRouting.Generation
	p.dropStale()
	switch held := len(Holders(p.Object)) > 0; {
	case held:
		p.leading()
	case s.TrafficRouting.DeletionTimestamp != nil:
		p.terminating()
	case p.status.RoutedWith != nil, p.status.Phase == v1alpha1.TrafficRoutingProgressing, p.status.Phase == v1alpha1.TrafficRoutingFinalizing:
		p.leaving()
	case p.leftBehind():
		p.leaving()
	default:
		p.resting()
	}
	return p.Decision
}

// dropStale drops the finalizers of Rollouts that do not hold it any more, and could not say so: they were edited to name another
// one in the middle of a release, or are gone.
func (p *trafficRoutingPlanner) dropStale() {
	for _, name := range Holders(p.TrafficRouting) {
		if !p.Holding[name] {
			p.Object.Finalizers = slices.DeleteFunc(p.Object.Finalizers, func(f string) bool { return f == v1beta1.FinalizerProgressingPrefix+name })
		}
	}
}

// Holders are the Rollouts that a TrafficRouting routes requests for, by its finalizers.
func Holders(t *v1alpha1.TrafficRouting) []string {
	var names []string
	for _, f := range t.Finalizers {
		if name, held := strings.CutPrefix(f, v1beta1.FinalizerProgressingPrefix); held {
			names = append(names, name)
		}
	}
	return names
}

func (p *trafficRoutingPlanner) enrol() {
	if p.Object.DeletionTimestamp == nil && !slices.Contains(p.Object.Finalizers, v1beta1.FinalizerTrafficRouting) {
		p.Object.Finalizers = append(p.Object.Finalizers, v1beta1.FinalizerTrafficRouting)
	}
}

// resting checks that it could route requests.
func (p *trafficRoutingPlanner) resting() {
	p.enrol()
	if _, err := p.changes(Asked(p.TrafficRouting)); err != nil {
		p.status.Phase, p.status.Message = v1alpha1.TrafficRoutingInitial, "TrafficRouting is Initializing: "+err.Error()
		p.wake(p.Now.Add(retryKind))
		return
	}
	p.status.Phase, p.status.Message = v1alpha1.TrafficRoutingHealthy, "TrafficRouting is Healthy"
}

// RoutedWith are the routings of a TrafficRouting that are in effect: those recorded, or else those of its spec.
func RoutedWith(t *v1alpha1.TrafficRouting) []v1beta1.TrafficRoutingRef {
	if on := t.Status.RoutedWith; on != nil {
		return on.Routings
	}
	return t.Spec.ObjectRef
}

// rerouted reports whether objectRef was edited since it is routed with.
func (p *trafficRoutingPlanner) rerouted() bool {
	on := p.status.RoutedWith
	return on != nil && !equality.Semantic.DeepEqual(ungraced(on.Routings), ungraced(p.TrafficRouting.Spec.ObjectRef))
}

// leading routes requests, and corrects what others change. One that is deleted in the middle of a release does so until the
// release is over: the requests that it routes are part of the step that somebody has approved.
func (p *trafficRoutingPlanner) leading() {
	p.enrol()
	if p.rerouted() {
		p.status.Message = "TrafficRouting has changed while it routes traffic: restoring the previous routes first"
		if p.Changes = p.restore(); len(p.Changes) == 0 {
			p.status.RoutedWith = nil // the next pass follows the spec
		}
		return
	}
	p.status.RoutedWith = &v1beta1.RoutedWith{Routings: p.TrafficRouting.DeepCopy().Spec.ObjectRef}
	first := p.status.Phase != v1alpha1.TrafficRoutingProgressing
	changes, err := p.changes(Asked(p.TrafficRouting))
	if first && (err != nil || len(changes) > 0) { // its holder waits: a step is not reached in part
		p.status.Phase, p.status.Message = v1alpha1.TrafficRoutingInitial, "TrafficRouting is Initializing"
	} else {
		p.status.Phase, p.status.Message = v1alpha1.TrafficRoutingProgressing, "TrafficRouting is Progressing"
	}
	switch {
	case err != nil:
		p.status.Message += ": " + err.Error()
		p.wake(p.Now.Add(retryKind))
		return
	case first && len(changes) > 0:
		p.status.Message += ": updating its routes"
	case p.Object.DeletionTimestamp != nil:
		p.status.Message += fmt.Sprintf(": deletion waits for the release of Rollout %s to end", strings.Join(Holders(p.Object), ", "))
	}
	if who, what, _, edited := editor(changes, p.TrafficRouting.CreationTimestamp.Time, p.Refused); edited && !first {
		p.Events = append(p.Events, drift(who, what))
	}
	p.Changes = changes
}

// leftBehind reports whether routes are as a TrafficRouting of this name had them that was removed by force, or restored without its status.
func (p *trafficRoutingPlanner) leftBehind() bool {
	changes, err := p.changes(nil)
	return err == nil && len(changes) > 0
}

// leaving restores the routes.
func (p *trafficRoutingPlanner) leaving() {
	p.status.Phase, p.status.Message = v1alpha1.TrafficRoutingFinalizing, "TrafficRouting is Finalizing"
	if p.Changes = p.restore(); len(p.Changes) == 0 {
		p.status.Phase, p.status.Message = v1alpha1.TrafficRoutingHealthy, "TrafficRouting is Healthy"
		p.status.RoutedWith = nil
	}
}

// terminating restores the routes first, and then lets the TrafficRouting go.
func (p *trafficRoutingPlanner) terminating() {
	p.status.Phase, p.status.Message = v1alpha1.TrafficRoutingTerminating, "TrafficRouting is Terminating"
	if p.Changes = p.restore(); len(p.Changes) == 0 {
		p.Object.Finalizers = slices.DeleteFunc(p.Object.Finalizers, func(f string) bool { return f == v1beta1.FinalizerTrafficRouting })
	}
}

// restore restores what can be; what cannot keeps no one from leaving.
func (p *trafficRoutingPlanner) restore() []Change {
	changes, err := p.changes(nil)
	if err != nil {
		p.Events = append(p.Events, notRestored(err))
	}
	return changes
}

// Asked is what a TrafficRouting asks for, in the words of a step.
func Asked(t *v1alpha1.TrafficRouting) *v1beta1.TrafficRoutingStrategy {
	s := t.Spec.Strategy
	r := v1beta1.TrafficRoutingStrategy{RequestHeaderModifier: s.RequestHeaderModifier}
	if s.Weight != nil {
		r.Traffic = new(fmt.Sprintf("%d%%", *s.Weight))
	}
	for _, m := range s.Matches {
		r.Matches = append(r.Matches, v1beta1.HttpRouteMatch{Headers: m.Headers})
	}
	return &r
}

// changes lists what turns all routes into what is asked for; nil: into what their owners wrote. What a gateway cannot do is
// an error, and not done in part: admission may have missed it.
func (p *trafficRoutingPlanner) changes(route *v1beta1.TrafficRoutingStrategy) ([]Change, error) {
	if err := able(p.Routings, route); err != nil {
		return nil, err
	}
	return changesOf(p.Routings, route)
}
