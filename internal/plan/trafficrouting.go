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

// SharedSeen is everything one look at a TrafficRouting saw. Its Services are never changed: both kinds of pods of what it
// leads to are behind them.
type SharedSeen struct {
	Now            time.Time
	TrafficRouting *v1alpha1.TrafficRouting
	Routings       []Routing
	Holding        map[string]bool // Rollouts that hold it, and that there are, and that name it still
	Refused        map[string]bool // objects that the cluster refuses to write, as Named has them
}

// shared is one look at a TrafficRouting on its way to a decision.
type shared struct {
	SharedSeen
	Decision[*v1alpha1.TrafficRouting]
	status *v1alpha1.TrafficRoutingStatus // of Decision.Object
}

// TrafficRouting decides what to do with a TrafficRouting: it routes requests for as long as a Rollout holds it
// (docs/wire.md, TrafficRouting).
func TrafficRouting(s SharedSeen) Decision[*v1alpha1.TrafficRouting] {
	l := &shared{SharedSeen: s, Decision: Decision[*v1alpha1.TrafficRouting]{Object: s.TrafficRouting.DeepCopy()}}
	l.status = &l.Object.Status
	l.status.ObservedGeneration = s.TrafficRouting.Generation
	l.dropStale()
	switch held := len(Holders(l.Object)) > 0; {
	case held:
		l.leading()
	case s.TrafficRouting.DeletionTimestamp != nil:
		l.terminating()
	case l.status.RoutedWith != nil, l.status.Phase == v1alpha1.TrafficRoutingProgressing, l.status.Phase == v1alpha1.TrafficRoutingFinalizing:
		l.leaving()
	default:
		l.resting()
	}
	return l.Decision
}

// dropStale drops the finalizers of Rollouts that do not hold it any more, and could not say so: they were edited to name another
// one in the middle of a release, or are gone.
func (l *shared) dropStale() {
	for _, name := range Holders(l.TrafficRouting) {
		if !l.Holding[name] {
			l.Object.Finalizers = slices.DeleteFunc(l.Object.Finalizers, func(f string) bool { return f == v1beta1.FinalizerProgressingPrefix+name })
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

func (l *shared) enrol() {
	if l.Object.DeletionTimestamp == nil && !slices.Contains(l.Object.Finalizers, v1beta1.FinalizerTrafficRouting) {
		l.Object.Finalizers = append(l.Object.Finalizers, v1beta1.FinalizerTrafficRouting)
	}
}

// resting checks that it could route requests.
func (l *shared) resting() {
	l.enrol()
	if _, err := l.changes(Asked(l.TrafficRouting)); err != nil {
		l.status.Phase, l.status.Message = v1alpha1.TrafficRoutingInitial, "TrafficRouting is Initializing: "+err.Error()
		l.wake(l.Now.Add(retryKind))
		return
	}
	l.status.Phase, l.status.Message = v1alpha1.TrafficRoutingHealthy, "TrafficRouting is Healthy"
}

// RoutedWith are the routings of a TrafficRouting that are in effect: those on record, or else those of its spec.
func RoutedWith(t *v1alpha1.TrafficRouting) []v1beta1.TrafficRoutingRef {
	if on := t.Status.RoutedWith; on != nil {
		return on.Routings
	}
	return t.Spec.ObjectRef
}

// rerouted reports whether objectRef was edited since it is routed with.
func (l *shared) rerouted() bool {
	on := l.status.RoutedWith
	return on != nil && !equality.Semantic.DeepEqual(ungraced(on.Routings), ungraced(l.TrafficRouting.Spec.ObjectRef))
}

// leading routes requests, and puts right what others change. One that is deleted in the middle of a release does so until the
// release is over: the requests that it leads are part of the step that somebody has approved.
func (l *shared) leading() {
	l.enrol()
	if l.rerouted() {
		l.status.Message = "TrafficRouting routes otherwise by now: what was routed before is restored first"
		if l.Changes = l.restore(); len(l.Changes) == 0 {
			l.status.RoutedWith = nil // the next pass follows the spec
		}
		return
	}
	l.status.RoutedWith = &v1beta1.RoutedWith{Routings: l.TrafficRouting.DeepCopy().Spec.ObjectRef}
	first := l.status.Phase != v1alpha1.TrafficRoutingProgressing
	changes, err := l.changes(Asked(l.TrafficRouting))
	if first && (err != nil || len(changes) > 0) { // whoever holds it waits: a step is not reached by halves
		l.status.Phase, l.status.Message = v1alpha1.TrafficRoutingInitial, "TrafficRouting is Initializing"
	} else {
		l.status.Phase, l.status.Message = v1alpha1.TrafficRoutingProgressing, "TrafficRouting is Progressing"
	}
	switch {
	case err != nil:
		l.status.Message += ": " + err.Error()
		l.wake(l.Now.Add(retryKind))
		return
	case first && len(changes) > 0:
		l.status.Message += ": its routes are being written"
	case l.Object.DeletionTimestamp != nil:
		l.status.Message += fmt.Sprintf(": it is being deleted, and goes when the release of Rollout %s is over", strings.Join(Holders(l.Object), ", "))
	}
	if who, what, edited := editor(changes, l.TrafficRouting.CreationTimestamp.Time, l.Refused); edited && !first {
		l.Events = append(l.Events, drift(who, what))
	}
	l.Changes = changes
}

// leaving gives the routes back.
func (l *shared) leaving() {
	l.status.Phase, l.status.Message = v1alpha1.TrafficRoutingFinalizing, "TrafficRouting is Finalizing"
	if l.Changes = l.restore(); len(l.Changes) == 0 {
		l.status.Phase, l.status.Message = v1alpha1.TrafficRoutingHealthy, "TrafficRouting is Healthy"
		l.status.RoutedWith = nil
	}
}

// terminating gives the routes back first, and then lets the TrafficRouting go.
func (l *shared) terminating() {
	l.status.Phase, l.status.Message = v1alpha1.TrafficRoutingTerminating, "TrafficRouting is Terminating"
	if l.Changes = l.restore(); len(l.Changes) == 0 {
		l.Object.Finalizers = slices.DeleteFunc(l.Object.Finalizers, func(f string) bool { return f == v1beta1.FinalizerTrafficRouting })
	}
}

// restore gives back what can be; what cannot keeps nobody from leaving.
func (l *shared) restore() []Change {
	changes, err := l.changes(nil)
	if err != nil {
		l.Events = append(l.Events, notRestored(err))
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
// an error, and not done by halves: admission may have missed it.
func (l *shared) changes(route *v1beta1.TrafficRoutingStrategy) ([]Change, error) {
	if err := able(l.Routings, route); err != nil {
		return nil, err
	}
	return changesOf(l.Routings, route)
}
