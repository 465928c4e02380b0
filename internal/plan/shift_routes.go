// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"kruise.io/rollouts/api/v1beta1"
	"kruise.io/rollouts/internal/traffic"
)

// applyRoutes makes routes say what a step asks for; nil: what their owners wrote.
func (s *shift) applyRoutes(route *v1beta1.TrafficRoutingStrategy) stage {
	return func() *pending {
		if !s.routed() {
			return nil
		}
		t := s.ask()
		if why := s.unanswered(route); why != "" && !nothing(t.Route) {
			return s.toAnswering(why)
		}
		changes, err := s.routeChanges(route)
		if err != nil {
			return s.blocked(err)
		}
		p := writing()
		switch {
		case !equality.Semantic.DeepEqual(t.Route, route):
			t.Route, t.DriftCorrections = route.DeepCopy(), 0
			if len(changes) > 0 {
				s.startClock(t)
				p.message = s.applying()
				p.of(v1beta1.BlockerGatewaySettling, s.routeObject()).until = s.Now.Add(s.grace(ofRoutes))
			}
		case route == nil && onlyDefinitions(changes):
			if p := s.gracePeriodElapsed(); p != nil {
				return p
			}
		case len(changes) > 0:
			if p = s.correct(changes); !p.written {
				return p
			}
			s.startClock(t) // the process that was to write it before has not, and may have crashed
		}
		if len(changes) == 0 {
			return nil
		}
		s.out.Changes = append(s.out.Changes, changes...)
		return p
	}
}

// restoreRoutes makes routes say what their owners wrote.
func (s *shift) restoreRoutes() *pending { return s.applyRoutes(nil)() }

// toAnswering routes everything to the stable pods for as long as no pod answers behind the canary Service; what was asked for
// stays recorded, and is routed again once one does. It is never done with.
func (s *shift) toAnswering(why string) *pending {
	changes, err := s.routeChanges(nil)
	if err != nil {
		return s.blocked(err)
	}
	if onlyDefinitions(changes) {
		changes = nil // they are referred to again soon
	}
	p := &pending{message: "all traffic is routed to the stable version: " + why, written: len(changes) > 0, code: v1beta1.BlockerNoReadyEndpoint, object: s.canaryObject()}
	if p.written {
		s.warn(EventCanaryUnavailable, p.message)
		s.startClock(s.ask())
	}
	s.out.Changes = append(s.out.Changes, changes...)
	return p
}

// routeChanges lists what turns the gateway objects of all routings into what is asked for; nil: into what their owners wrote.
// What cannot be restored keeps nothing else from being.
func (s *shift) routeChanges(route *v1beta1.TrafficRoutingStrategy) ([]Change, error) {
	changes, err := changesOf(s.Routings, route)
	if err != nil && route == nil {
		s.out.Events = append(s.out.Events, notRestored(err))
		return changes, nil
	}
	return changes, err
}

// applying says where requests are routed at the moment: the same from the change until it is in effect, which is one status
// write less.
func (s *shift) applying() string {
	grace := s.grace(ofRoutes)
	switch r := s.asked().Route; {
	case r == nil:
		return fmt.Sprintf("restoring the routes; waiting %s for gateways to apply them", grace)
	case len(r.Matches) > 0:
		return fmt.Sprintf("routing matching requests to the new version; waiting %s for gateways to apply it", grace)
	default:
		return fmt.Sprintf("routing %s of the traffic to the new version; waiting %s for gateways to apply it", ptr.Deref(r.Traffic, "0%"), grace)
	}
}

// able refuses what the gateways cannot do of a step, which is not done in part.
func (s *shift) able(route *v1beta1.TrafficRoutingStrategy) stage {
	return func() *pending {
		if err := able(s.Routings, route); err != nil {
			return s.blocked(err)
		}
		return nil
	}
}

// canaryKnown waits, before the first route to the canary Service, for gateways that would not fall back to the stable pods.
func (s *shift) canaryKnown() *pending {
	if s.asked().Route != nil || s.fallsBack() {
		return nil
	}
	return s.endpointsApplied()
}

// routesAccepted waits for the parents of Gateway API routes: without end for one that refuses, and says so; as long as can be
// expected for one that does not answer.
func (s *shift) routesAccepted() *pending {
	for _, r := range s.Routings {
		for _, u := range r.Routes {
			a := traffic.AcceptanceOf(u)
			switch t := s.ask(); {
			case a.Refused != "":
				return s.blocked(errors.New(a.Refused)).of(v1beta1.BlockerRouteRefused, ObjectOf(u))
			case a.Pending && !s.overdue(t):
				return &pending{message: fmt.Sprintf("waiting at most %s for the parents of %s to accept it", externalTimeout, Named(u)), until: t.LastChangeTime.Add(externalTimeout), code: v1beta1.BlockerRoutePending, object: ObjectOf(u)}
			}
		}
	}
	return nil
}

// gracePeriodElapsed waits until gateways have had the time to apply the routes.
func (s *shift) gracePeriodElapsed() *pending {
	until := s.elapsed(ofRoutes)
	if until.IsZero() {
		return nil
	}
	return &pending{message: s.applying(), until: until, code: v1beta1.BlockerGatewaySettling, object: s.routeObject()}
}

// endpointsApplied waits until gateways have had the time to pick up what Services select.
func (s *shift) endpointsApplied() *pending {
	return s.endpointsBy(s.elapsed(ofEndpoints))
}

// endpointsAppliedSince waits until gateways have had the time to pick up what happened to the endpoints then.
func (s *shift) endpointsAppliedSince(since time.Time) *pending {
	return s.endpointsBy(s.past(since, ofEndpoints))
}

func (s *shift) endpointsBy(until time.Time) *pending {
	if until.IsZero() {
		return nil
	}
	return &pending{message: fmt.Sprintf("waiting %s for gateways to pick up the new endpoints", s.grace(ofEndpoints)), until: until, code: v1beta1.BlockerGatewaySettling, object: s.routeObject()}
}

func ofRoutes(s traffic.Settling) time.Duration    { return s.Routes }
func ofEndpoints(s traffic.Settling) time.Duration { return s.Endpoints }

// startClock starts the clock of what is changed in this pass.
func (s *shift) startClock(t *v1beta1.TrafficStatus) {
	now := metav1.NewMicroTime(s.Now)
	t.LastChangeTime = &now
}

// overdue reports whether what was changed last should long have been answered. Its clock starts here where it never did.
func (s *shift) overdue(t *v1beta1.TrafficStatus) bool {
	if t.LastChangeTime == nil {
		s.startClock(t)
	}
	return !s.Now.Before(t.LastChangeTime.Add(externalTimeout))
}

// elapsed is when the slowest gateway will have had its time since the last change; zero: it has.
func (s *shift) elapsed(kind func(traffic.Settling) time.Duration) time.Time {
	if !s.routed() || s.asked().LastChangeTime == nil {
		return time.Time{}
	}
	since := s.asked().LastChangeTime.Time
	if t := s.writtenAt(); t.After(since) {
		since = t // the API server took its time
	}
	return s.past(since, kind)
}

// past is when the slowest gateway will have had its time since then; zero: it has.
func (s *shift) past(since time.Time, kind func(traffic.Settling) time.Duration) time.Time {
	if until := since.Add(s.grace(kind)); s.Now.Before(until) {
		return until
	}
	return time.Time{}
}

// grace is the grace period of the slowest gateway.
func (s *shift) grace(kind func(traffic.Settling) time.Duration) time.Duration {
	slowest := traffic.Settling{}
	for _, r := range s.Routings {
		slowest = slowest.Slowest(traffic.SettlingOf(r.Ref))
	}
	return kind(slowest)
}

// writtenAt is when we last wrote or deleted one of the routes. Of those that another process wrote we know the second, rounded down.
func (s *shift) writtenAt() time.Time {
	last := time.Time{}
	at := func(t time.Time) {
		if t.After(last) {
			last = t
		}
	}
	for _, r := range s.Routings {
		for _, router := range r.Routers {
			for _, ref := range router.Refs() {
				at(s.Written[ref.String()])
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

// blocked is the wait for the user to mend something.
func (s *shift) blocked(err error) *pending {
	p := &pending{message: "cannot route traffic: " + err.Error()}
	if p.code, p.object = traffic.FaultOf(err); p.object == (v1beta1.BlockerObject{}) {
		p.object = s.routeObject()
	}
	for _, r := range s.Routings {
		if len(r.Unserved) > 0 {
			p.code = v1beta1.BlockerRouteKindNotServed
			p.message += fmt.Sprintf(" (the cluster has no kind %s)", strings.Join(r.Unserved, ", "))
			p.until = s.Now.Add(retryKind) // no event reports when it comes
		}
	}
	return p
}

// correct reverts what others changed, a few times at once, then now and then; what it returns is written where it does.
func (s *shift) correct(changes []Change) *pending {
	t := s.asked()
	since := s.Rollout.CreationTimestamp.Time
	if t.LastChangeTime != nil {
		since = t.LastChangeTime.Time
	}
	who, what, object, edited := editor(changes, since, s.Refused)
	if edited && t.DriftCorrections >= maxDriftCorrections && t.LastChangeTime != nil && s.Now.Before(t.LastChangeTime.Add(driftBackoff)) {
		return &pending{
			message: fmt.Sprintf("%s by %s repeatedly: exclude this object from the tool that changes it; the release is on hold and retries every minute", what, who),
			until:   t.LastChangeTime.Add(driftBackoff),
			reason:  v1beta1.ReasonPaused,
			code:    v1beta1.BlockerRouteConflict,
			object:  object,
		}
	}
	if edited {
		t.DriftCorrections++
		s.out.Events = append(s.out.Events, drift(who, what))
		s.startClock(t)
	}
	if s.unavailableBefore() {
		return writing().of(v1beta1.BlockerGatewaySettling, s.routeObject()).saying(s.applying()) // a pod answers again
	}
	return &pending{message: "reverting changes that others made to Services or routes", written: true, code: v1beta1.BlockerGatewaySettling, object: ObjectOf(cmp.Or(changes[0].To, changes[0].From))}
}

// unavailableBefore reports whether requests were all routed to the stable version until now, for want of a pod that answers.
func (s *shift) unavailableBefore() bool {
	return slices.ContainsFunc(s.Rollout.Status.Blockers, func(b v1beta1.Blocker) bool { return b.Code == v1beta1.BlockerNoReadyEndpoint })
}
