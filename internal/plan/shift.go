// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"kruise.io/rollouts/api/v1beta1"
	"kruise.io/rollouts/internal/traffic"
	"kruise.io/rollouts/internal/workload"
)

const (
	// externalTimeout is how long to wait for what others show or answer: long enough for every cluster that works.
	externalTimeout = 30 * time.Second
	// maxDriftCorrections is how many changes by others are reverted before the release waits for them to end.
	maxDriftCorrections = 5
	// driftBackoff is how long to wait before the next attempt then.
	driftBackoff = time.Minute
	// retryKind is how long to wait before checking again whether the cluster has a kind.
	retryKind = 10 * time.Second
)

// shift is the traffic part of a pass. What it does is a list of stages, each of which is done once a pass finds nothing left to do
// in it, so that Services and routes never change in one pass, and nothing that depends on them changes with them:
//
//	selectServices      Services select what they are to select
//	endpointsReady      EndpointSlices show it
//	applyRoutes         routes say what they are to say
//	gracePeriodElapsed  gateways have had the time to apply it
//	routesAccepted      the parents of the routes have not refused them
type shift struct {
	*RolloutInput
	sub *v1beta1.CommonStatus       // its Traffic is the record of what was asked for
	out *Decision[*v1beta1.Rollout] // takes changes and events
}

// routed reports whether the Rollout routes requests at all.
func (s *shift) routed() bool { return len(s.Routings) > 0 }

// asked is what was asked for last. Where nothing is recorded, it is what the Services show: a client that does not know the
// field may have written the status.
func (s *shift) asked() *v1beta1.TrafficStatus {
	if s.sub.Traffic != nil {
		return s.sub.Traffic
	}
	t := &v1beta1.TrafficStatus{RoutedWith: &v1beta1.RoutedWith{RevisionKey: s.revisionKey()}}
	for _, r := range s.Routings {
		t.RoutedWith.Routings = append(t.RoutedWith.Routings, *r.Ref.DeepCopy())
		t.RoutedWith.SharedService = t.RoutedWith.SharedService || r.shared()
	}
	for _, r := range s.Routings {
		key := t.RoutedWith.RevisionKey
		if svc := r.Services.Stable; svc != nil && t.StableRevision == "" && !s.anothers(r) {
			t.StableRevision = svc.Spec.Selector[key]
		}
		if svc := r.Services.Canary; svc != nil && metav1.IsControlledBy(svc, s.Rollout) && t.CanaryRevision == "" {
			t.CanaryRevision = svc.Spec.Selector[key]
		}
	}
	return t
}

// ask records what is asked for, so that it can be taken back whatever becomes of the spec.
func (s *shift) ask() *v1beta1.TrafficStatus {
	s.sub.Traffic = s.asked()
	return s.sub.Traffic
}

// revisionKey is the label by which Services distinguish revisions: the one recorded, or else that of the workload's kind.
func (s *shift) revisionKey() string {
	if t := s.sub.Traffic; t != nil && t.RoutedWith != nil && t.RoutedWith.RevisionKey != "" {
		return t.RoutedWith.RevisionKey
	}
	return workload.KindOf(s.Rollout.Spec.WorkloadRef).RevisionKey
}

// canaryRevision is the revision that the canary Service selects at the moment.
func (s *shift) canaryRevision() string {
	if !s.routed() {
		return ""
	}
	return s.asked().CanaryRevision
}

// rerouted reports whether the strategy routes otherwise than the release does.
func (s *shift) rerouted() bool {
	t := s.sub.Traffic
	if t == nil || t.RoutedWith == nil {
		return false
	}
	return t.RoutedWith.SharedService != s.Rollout.Spec.Strategy.SharedService() || !equality.Semantic.DeepEqual(ungraced(t.RoutedWith.Routings), ungraced(s.Rollout.Spec.Strategy.Routings()))
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

// withdraw makes everything as if the Rollout routed no requests: first both kinds of pods behind the stable Service, then the
// routes, and once no gateway knows the canary Service any more, that.
func (s *shift) withdraw() *pending {
	if s.untouched() {
		return nil
	}
	return run(s.openStable, s.endpointsReady, s.restoreRoutes, s.gracePeriodElapsed, s.removeCanaryService)
}

// abandon takes everything back at once: there are no pods that requests could miss.
func (s *shift) abandon() *pending {
	if s.untouched() {
		return nil
	}
	return run(s.openStable, s.restoreRoutes, s.removeCanaryService)
}

// toStable routes all requests to the stable version: what follows takes the new pods away.
func (s *shift) toStable() *pending {
	return run(s.restoreRoutes, s.gracePeriodElapsed)
}

// toNew routes all requests to the new version.
func (s *shift) toNew() *pending {
	if s.canaryRevision() == "" {
		return nil
	}
	return run(s.applyRoutes(wholeRoute), s.gracePeriodElapsed)
}

// withdrawFrom is withdraw once all requests are routed to the version that serves, but for as long as pods are left that are to get no request
// from the stable Service: those of the aborted version, and of one that had few requests before it.
func (s *shift) withdrawFrom(serving, stable, aborted string) *pending {
	if !s.routed() || !s.answers(serving) || s.ready(aborted) == 0 && (serving != stable || s.answering(serving) == "") {
		return s.withdraw()
	}
	return s.selectServices(selection{stable: serving, keep: true})()
}

// untouched reports whether nothing was asked for, and Services and routes are as their owners wrote them.
func (s *shift) untouched() bool {
	if s.sub.Traffic != nil {
		return false
	}
	services, _ := s.serviceChanges(selection{keep: true})
	routes, _ := changesOf(s.Routings, nil)
	return len(services)+len(routes) == 0
}

// pinned reports whether stable Services leave out pods that are taking, or leaving, the places of stable ones. They have to
// until the last of those is gone: opened earlier, they would route requests to the version that was just taken back, and to
// pods on their way out.
func (s *shift) pinned() bool {
	return s.routed() && s.asked().StableRevision != "" && Style(s.Rollout) != v1beta1.CanaryRollingStyle
}

// fallsBack reports whether all gateways fall back to the stable pods as long as they know no others.
func (s *shift) fallsBack() bool {
	for _, r := range s.Routings {
		if !traffic.FallsBack(r.Ref) {
			return false
		}
	}
	return true
}

func (s *shift) warn(reason EventReason, message string) {
	s.out.Events = append(s.out.Events, Event{Type: corev1.EventTypeWarning, Reason: reason, Message: message})
}

// routeObject is the first object that requests are routed with.
func (s *shift) routeObject() v1beta1.BlockerObject {
	for _, r := range s.Routings {
		if refs := traffic.RefsOf(r.Ref); len(refs) > 0 {
			return refs[0].Object()
		}
	}
	return v1beta1.BlockerObject{}
}

// wholeRoute routes all requests to the new version.
var wholeRoute = &v1beta1.TrafficRoutingStrategy{Traffic: &wholly.StrVal}

// nothing reports whether a route sends no request to the canary.
func nothing(route *v1beta1.TrafficRoutingStrategy) bool {
	if route == nil || len(route.Matches) > 0 {
		return route == nil
	}
	weight := ptr.Deref(route.Traffic, "0%") // none is recorded only where somebody wrote so
	return weight == "0%" || weight == "0"
}

// most reports whether a route sends more than half of all requests to the canary.
func most(route *v1beta1.TrafficRoutingStrategy) bool {
	if route == nil {
		return false
	}
	r, err := traffic.RouteOf(*route)
	return err == nil && r != nil && len(r.Matches) == 0 && ptr.Deref(r.Weight, 0) > 50
}

func (r Routing) shared() bool { return r.Config.Backends.Stable == r.Config.Backends.Canary }
