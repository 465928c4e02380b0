// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kruise.io/rollouts/api/v1beta1"
	"kruise.io/rollouts/internal/traffic"
	"kruise.io/rollouts/internal/workload"
)

// The order in which requests are routed is made of five moves; each is true once a look finds nothing left to do in it, so
// that Services and routes never change in one look, and nothing that depends on them changes with them:
//
//	serve     Services select what they are to select
//	shown     EndpointSlices show it
//	lead      routes say what they are to say
//	settled   the gateways have had the time to take it up
//	accepted  the parents of the routes have not refused them
const (
	// patience is how long to wait for what others show or answer: long enough for every cluster that works.
	patience = 30 * time.Second
	// fights is how many changes by others are put right before the release waits for them to end.
	fights = 5
	// truce is how long to wait before the next attempt then.
	truce = time.Minute
	// retryKind is how long to wait before looking again whether the cluster has a kind.
	retryKind = 10 * time.Second
)

// routed reports whether the Rollout routes requests at all.
func (l *look) routed() bool { return len(l.Routings) > 0 }

// asked is what was asked for last. Where nothing was recorded, it is what the Services show: a client that does not
// know the field may have written the status.
func (l *look) asked() *v1beta1.TrafficStatus {
	if l.sub.Traffic != nil {
		return l.sub.Traffic
	}
	t := &v1beta1.TrafficStatus{RoutedWith: &v1beta1.RoutedWith{RevisionKey: l.revisionKey()}}
	for _, r := range l.Routings {
		t.RoutedWith.Routings = append(t.RoutedWith.Routings, *r.Ref.DeepCopy())
		t.RoutedWith.SharedService = t.RoutedWith.SharedService || r.shared()
	}
	for _, r := range l.Routings {
		key := t.RoutedWith.RevisionKey
		if s := r.Services.Stable; s != nil && t.StableRevision == "" {
			t.StableRevision = s.Spec.Selector[key]
		}
		if s := r.Services.Canary; s != nil && metav1.IsControlledBy(s, l.Rollout) && t.CanaryRevision == "" {
			t.CanaryRevision = s.Spec.Selector[key]
		}
	}
	l.sub.Traffic = t
	return t
}

// revisionKey is the label by which Services tell revisions apart: the one on record, or else that of the workload's kind.
func (l *look) revisionKey() string {
	if t := l.sub.Traffic; t != nil && t.RoutedWith != nil && t.RoutedWith.RevisionKey != "" {
		return t.RoutedWith.RevisionKey
	}
	return workload.KindOf(l.Rollout.Spec.WorkloadRef).RevisionKey
}

// rerouted: the strategy routes otherwise than the release does.
func (l *look) rerouted() bool {
	t := l.sub.Traffic
	if t == nil || t.RoutedWith == nil {
		return false
	}
	return t.RoutedWith.SharedService != SharedService(l.Rollout) || !equality.Semantic.DeepEqual(ungraced(t.RoutedWith.Routings), ungraced(Routings(l.Rollout)))
}

// ungraced are routings but for how long to wait after a change of theirs.
func ungraced(refs []v1beta1.TrafficRoutingRef) []v1beta1.TrafficRoutingRef {
	plain := make([]v1beta1.TrafficRoutingRef, len(refs))
	for i := range refs {
		refs[i].DeepCopyInto(&plain[i])
		plain[i].GracePeriodSeconds = nil
	}
	return plain
}

// reroute restores what is routed by the record; then the strategy as it is now is followed.
func (l *look) reroute() {
	l.leaving = true
	l.status.Message = "Rollout routes traffic otherwise by now: what was routed before is restored first"
	if l.withdrawn() {
		l.enter(v1beta1.StepBeforeUpgrade)
	}
	l.leaving = false
}

// serve makes the stable Service select a revision, "" all, and the canary Service another, "" there is none.
func (l *look) serve(stable, canary string) bool {
	if !l.routed() {
		return true
	}
	t := l.asked()
	changes, err := l.services(stable, canary)
	if err != nil {
		return l.blocked(err)
	}
	if t.StableRevision != stable || t.CanaryRevision != canary {
		selects := t.StableRevision != stable || canary != "" // or else the canary Service goes, which nobody names any more
		t.StableRevision, t.CanaryRevision, t.Corrections = stable, canary, 0
		if len(changes) > 0 && selects {
			t.Unseen = true
			l.settle(t)
		}
		switch {
		case len(changes) == 0:
		case stable == "" && canary == "":
			l.tell("removing the canary Service")
		default:
			l.tell(selecting)
		}
	} else if len(changes) > 0 && !l.correct(changes) {
		return false
	}
	l.Changes = append(l.Changes, changes...)
	return len(changes) == 0
}

// lead makes routes say what a step asks for; nil: what their owners wrote.
func (l *look) lead(route *v1beta1.TrafficRoutingStrategy) bool {
	if !l.routed() {
		return true
	}
	t := l.asked()
	if why := l.unanswered(route); why != "" && !nothing(t.Route) {
		return l.away(why)
	}
	changes, err := l.routes(route)
	if err != nil {
		return l.blocked(err)
	}
	switch {
	case !equality.Semantic.DeepEqual(t.Route, route):
		t.Route, t.Corrections = route.DeepCopy(), 0
		if len(changes) > 0 {
			l.settle(t)
			l.telling()
		}
	case route == nil && onlyDefinitions(changes):
		if !l.settled() {
			return false
		}
	case len(changes) > 0:
		if !l.correct(changes) {
			return false
		}
		l.settle(t) // whoever was to write it before has not, and may have died over it
	}
	l.Changes = append(l.Changes, changes...)
	return len(changes) == 0
}

// away routes everything to the stable pods for as long as nobody answers behind the canary Service; what was asked for stays on
// record, and is routed again once somebody does. It is never done with.
func (l *look) away(why string) bool {
	changes, err := l.routes(nil)
	if err != nil {
		return l.blocked(err)
	}
	if onlyDefinitions(changes) {
		changes = nil // they are referred to again soon
	}
	if l.tell("all traffic is routed to the stable version: " + why); len(changes) > 0 {
		l.warn("CanaryUnavailable", l.status.Message)
		l.settle(l.asked())
	}
	l.Changes = append(l.Changes, changes...)
	return false
}

// settle starts the clock of what was just changed.
func (l *look) settle(t *v1beta1.TrafficStatus) {
	now := metav1.NewMicroTime(l.Now)
	t.SettlingSince = &now
}

// shown waits until the EndpointSlices of the stable Services show the pods they select.
func (l *look) shown() bool {
	return l.visible(func(r Routing) string {
		if s := r.Services.Stable; s != nil && !r.Stable.Shown {
			return Named(s)
		}
		return ""
	})
}

// canaryShown waits for those of the canary Services, too. However long that takes, no share of the requests goes to a
// Service without a ready pod.
func (l *look) canaryShown(route *v1beta1.TrafficRoutingStrategy) bool {
	if why := l.unanswered(route); why != "" {
		return l.unseen(why)
	}
	return l.visible(func(r Routing) string {
		switch s, c := r.Services.Stable, r.Services.Canary; {
		case s != nil && !r.Stable.Shown:
			return Named(s)
		case c != nil && !r.Canary.Shown:
			return Named(c)
		default:
			return ""
		}
	})
}

// unanswered says why a request that a route sends to the canary would find nobody there; "": it is answered. A Service answers
// if it has ready endpoints, with each port that the stable one answers at: a pod that lacks a named port is none.
func (l *look) unanswered(route *v1beta1.TrafficRoutingStrategy) string {
	if l.Workload.Replicas == 0 || nothing(route) {
		return ""
	}
	for _, r := range l.Routings {
		c := r.Services.Canary
		if c == nil || r.shared() {
			continue
		}
		if r.Canary.Ready == 0 {
			return "waiting for a ready pod behind " + Named(c)
		}
		for _, port := range slices.Sorted(maps.Keys(r.Stable.Ports)) {
			if r.Canary.Ports[port] == 0 {
				return fmt.Sprintf("waiting for an endpoint of %s with port %s: no ready pod of the new version has the port that its targetPort names", Named(c), port)
			}
		}
	}
	return ""
}

// visible waits until no Service is hidden any more, and then starts the clock for gateways.
func (l *look) visible(hidden func(Routing) string) bool {
	if !l.routed() || !l.asked().Unseen {
		return true
	}
	t := l.asked()
	for _, r := range l.Routings {
		if service := hidden(r); !r.shared() && service != "" && !l.overdue(t) {
			return l.unseen("waiting for a ready pod behind " + service)
		}
	}
	t.Unseen = false
	l.settle(t)
	return true
}

// nothing reports whether a route sends no request to the canary.
func nothing(route *v1beta1.TrafficRoutingStrategy) bool {
	return route == nil || len(route.Matches) == 0 && (*route.Traffic == "0%" || *route.Traffic == "0")
}

// selecting is said from a change of Services until it is seen, which is one status write less.
const selecting = "waiting for EndpointSlices to match the updated Service selectors"

func (l *look) unseen(why string) bool {
	l.tell(selecting)
	if l.overdue(l.asked()) {
		l.tell(why)
	}
	if !l.overdue(l.asked()) { // after that only what happens to the Service or its pods can help
		l.wake(l.asked().SettlingSince.Add(patience))
	}
	return false
}

func (r Routing) shared() bool { return r.Config.Backends.Stable == r.Config.Backends.Canary }

// overdue reports whether what was changed last should long have been answered.
func (l *look) overdue(t *v1beta1.TrafficStatus) bool {
	if t.SettlingSince == nil {
		l.settle(t)
	}
	return !l.Now.Before(t.SettlingSince.Add(patience))
}

// settled waits until gateways have had the time to take up the routes.
func (l *look) settled() bool {
	if l.elapsed(ofRoutes) {
		return true
	}
	l.telling()
	return false
}

// known waits until gateways have had the time to take up what Services select.
func (l *look) known() bool {
	if l.elapsed(ofEndpoints) {
		return true
	}
	l.tell("waiting for gateways to pick up the new endpoints")
	return false
}

func ofRoutes(s traffic.Settling) time.Duration    { return s.Routes }
func ofEndpoints(s traffic.Settling) time.Duration { return s.Endpoints }

// elapsed reports whether the slowest gateway has had its time since the last change.
func (l *look) elapsed(kind func(traffic.Settling) time.Duration) bool {
	if !l.routed() || l.asked().SettlingSince == nil {
		return true
	}
	since := l.asked().SettlingSince.Time
	if t := l.writtenAt(); t.After(since) {
		since = t // the API server took its time
	}
	return l.past(since, kind)
}

// past reports whether the slowest gateway has had its time since then, and looks again when it has.
func (l *look) past(since time.Time, kind func(traffic.Settling) time.Duration) bool {
	slowest := traffic.Settling{}
	for _, r := range l.Routings {
		slowest = slowest.Slowest(traffic.SettlingOf(r.Ref))
	}
	until := since.Add(kind(slowest))
	if l.Now.Before(until) {
		l.wake(until)
		return false
	}
	return true
}

// writtenAt is when we last wrote or deleted one of the routes. Of those that another process wrote we know the second, rounded down.
func (l *look) writtenAt() time.Time {
	last := time.Time{}
	at := func(t time.Time) {
		if t.After(last) {
			last = t
		}
	}
	for _, r := range l.Routings {
		for _, router := range r.Routers {
			for _, ref := range router.Refs() {
				at(l.Written[ref.String()])
			}
		}
		for _, u := range r.Routes {
			for _, f := range u.GetManagedFields() {
				if f.Manager == v1beta1.FieldManager && f.Subresource == "" && f.Time != nil {
					at(f.Time.Time)
				}
			}
		}
	}
	return last
}

// telling says where requests are routed at the moment: the same from the change until it is in effect, which is one status
// write less.
func (l *look) telling() {
	switch r := l.asked().Route; {
	case r == nil:
		l.tell("restoring the routes; waiting for gateways to apply them")
	case len(r.Matches) > 0:
		l.tell("routing the requests that match to the new version; waiting for gateways to apply it")
	default:
		l.tell(fmt.Sprintf("routing %s of the traffic to the new version; waiting for gateways to apply it", *r.Traffic))
	}
}

// accepted waits for the parents of Gateway API routes: without end for one that refuses, and says so; as long as can be
// expected for one that does not answer.
func (l *look) accepted() bool {
	for _, r := range l.Routings {
		for _, u := range r.Routes {
			a := traffic.AcceptanceOf(u)
			switch t := l.asked(); {
			case a.Refused != "":
				return l.blocked(errors.New(a.Refused))
			case a.Pending && !l.overdue(t):
				l.tell(fmt.Sprintf("waiting for the parents of %s to accept it", Named(u)))
				l.wake(t.SettlingSince.Add(patience))
				return false
			}
		}
	}
	return true
}

// withdrawn makes everything as if the Rollout routed no requests: first both kinds of pods behind the stable Service, then
// the routes, and once no gateway knows the canary Service any more, that.
func (l *look) withdrawn() bool {
	return l.untouched() || l.serve("", l.canary()) && l.shown() && l.lead(nil) && l.settled() && l.serve("", "") && l.unled()
}

// untouched reports whether nothing was asked for, and Services and routes are as their owners wrote them.
func (l *look) untouched() bool {
	if l.sub.Traffic != nil {
		return false
	}
	services, _ := l.services("", "")
	routes, _ := l.routes(nil)
	return len(services)+len(routes) == 0
}

// unled forgets that requests were routed.
func (l *look) unled() bool {
	l.sub.Traffic = nil
	return true
}

// canary is the revision that the canary Service selects at the moment.
func (l *look) canary() string {
	if !l.routed() {
		return ""
	}
	return l.asked().CanaryRevision
}

// blocked says what the user has to mend; the release waits for that.
func (l *look) blocked(err error) bool {
	l.tell("cannot route traffic: " + err.Error())
	for _, r := range l.Routings {
		if len(r.Unserved) > 0 {
			l.status.Message += fmt.Sprintf(" (the cluster has no kind %s)", strings.Join(r.Unserved, ", "))
			l.wake(l.Now.Add(retryKind)) // nobody tells when it comes
		}
	}
	return false
}

// tell says what routing waits for.
func (l *look) tell(what string) {
	if l.leaving {
		l.status.Message += "; " + what
		return
	}
	l.status.Message = fmt.Sprintf("Rollout is in step(%d/%d): %s", l.sub.CurrentStepIndex, l.steps(), what)
}

// drifted puts right what others changed in Services and routes since they were asked for; true: there is something, and
// the release stays where it is until it is gone.
func (l *look) drifted() bool {
	t := l.sub.Traffic
	if !l.routed() || t == nil || l.superseded() {
		return false
	}
	stable := t.StableRevision
	switch emptied := l.emptied(l.sub.CurrentStepIndex); {
	case emptied:
		stable = "" // scaling has left no pods of it
	case stable == "" && l.reachedRouted() && !l.rerouted() && l.answers(l.sub.StableRevision):
		stable = l.sub.StableRevision // they are there again
	}
	return !l.serve(stable, t.CanaryRevision) || !l.lead(t.Route)
}

// reachedRouted reports whether the current step is reached, and routes some requests to the new version.
func (l *look) reachedRouted() bool {
	i, state := l.sub.CurrentStepIndex, l.sub.CurrentStepState
	return i >= 1 && i <= l.steps() && !nothing(routeOf(Steps(l.Rollout)[i-1])) && (state == v1beta1.StepPaused || state == v1beta1.StepReady)
}

// answers reports whether each stable Service has a ready pod of a revision.
func (l *look) answers(revision string) bool {
	for _, r := range l.Routings {
		if !r.shared() && r.Stable.Revisions[revision] == 0 {
			return false
		}
	}
	return true
}

// correct reports whether to put changes right: what others do is undone a few times, then now and then.
func (l *look) correct(changes []Change) bool {
	t := l.asked()
	since := l.Rollout.CreationTimestamp.Time
	if t.SettlingSince != nil {
		since = t.SettlingSince.Time
	}
	who, what, edited := editor(changes, since, l.Refused)
	if edited && t.Corrections >= fights && t.SettlingSince != nil && l.Now.Before(t.SettlingSince.Add(truce)) {
		l.tell(fmt.Sprintf("%s by %s again and again: exclude it from whatever keeps changing it; the release waits, and retries every minute", what, who))
		if !l.leaving { // on the way out the reason says which way
			l.reason(v1beta1.ReasonPaused, l.status.Message)
		}
		l.wake(t.SettlingSince.Add(truce))
		return false
	}
	if edited {
		t.Corrections++
		l.Events = append(l.Events, drift(who, what))
		l.settle(t)
	}
	l.tell("reverting what others changed")
	return true
}
