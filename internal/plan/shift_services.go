// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kruise.io/rollouts/api/v1beta1"
	"kruise.io/rollouts/internal/traffic"
	"kruise.io/rollouts/internal/workload"
)

// selection is what Services are to select.
type selection struct {
	stable string // revision of the stable Service; "": all pods
	canary string // revision of the canary Service; "": none
	keep   bool   // nothing is made, and what is gone of a stable Service, or all of it, is not waited for: what is made could be refused, and no one waits on the way out for what is gone
}

// selectServices makes Services select revisions.
func (s *shift) selectServices(want selection) stage {
	return func() *pending {
		if !s.routed() {
			return nil
		}
		changes, err := s.serviceChanges(want)
		if err == nil {
			err = s.divisible(want)
		}
		if err != nil {
			return s.blocked(err) // and nothing is recorded, which would be taken for what was written
		}
		t, p := s.ask(), writing()
		if t.StableRevision != want.stable || t.CanaryRevision != want.canary {
			selects := t.StableRevision != want.stable || want.canary != "" // or else the canary Service goes, which no route names any more
			t.StableRevision, t.CanaryRevision, t.DriftCorrections = want.stable, want.canary, 0
			if len(changes) > 0 && selects {
				t.EndpointsPending = true
				s.startClock(t)
			}
			p.message = selecting
			p.of(v1beta1.BlockerEndpointsPending, s.stableObject()).until = s.Now.Add(externalTimeout)
			if want.stable == "" && want.canary == "" {
				p.message = "removing the canary Service"
				p.of(v1beta1.BlockerWorking, v1beta1.BlockerObject{})
			}
		} else if len(changes) > 0 {
			if p = s.correct(changes); !p.written {
				return p
			}
		}
		if len(changes) == 0 {
			return nil
		}
		s.out.Changes = append(s.out.Changes, changes...)
		return p
	}
}

// openStable has the stable Service select all pods, and leaves the canary Service as it is.
func (s *shift) openStable() *pending {
	return s.selectServices(selection{canary: s.canaryRevision(), keep: true})()
}

// removeCanaryService removes the canary Service, and with it all that was asked for.
func (s *shift) removeCanaryService() *pending {
	if p := s.selectServices(selection{keep: true})(); p != nil {
		return p
	}
	s.sub.Traffic = nil
	return nil
}

// serviceChanges lists what turns the Services of all routings into what is asked for.
func (s *shift) serviceChanges(asked selection) ([]Change, error) {
	var changes []Change
	for _, r := range s.Routings {
		if s.left(r, asked) {
			continue
		}
		want, err := r.Config.Render(r.Services, traffic.Setting{Pin: s.pin(r, asked.stable), Canary: asked.canary, Back: asked.keep}, s.pods())
		if err != nil {
			return nil, err
		}
		if r.Services.Stable != nil {
			changes = append(changes, diff(r.Services.Stable, want.Stable)...)
		}
		switch had, wanted := r.Services.Canary, want.Canary; {
		case had == nil && wanted != nil && asked.keep:
		case had == nil && wanted != nil:
			changes = append(changes, Change{To: wanted, Like: r.Services.Stable})
		case had != nil && wanted == nil:
			changes = append(changes, s.withoutCanary(r)...)
		case had != nil:
			changes = append(changes, diffLike(had, wanted, r.Services.Stable)...)
		}
	}
	return changes, nil
}

// left reports whether the Services of a routing are left as they are.
func (s *shift) left(r Routing, asked selection) bool {
	return asked.stable == "" && s.anothers(r)
}

// anothers reports whether a stable Service is pinned by the release of another workload: to a revision that no pod of this one has.
func (s *shift) anothers(r Routing) bool {
	if r.Services.Stable == nil || len(r.Stable.Others) == 0 {
		return false
	}
	pin := r.Services.Stable.Spec.Selector[s.revisionKey()]
	recorded := s.sub.Traffic != nil && s.sub.Traffic.StableRevision == pin
	return pin != "" && !recorded && r.Stable.Revisions[pin] == 0
}

// divisible says what keeps stable Services from being divided by revision: pinned to one of this workload, a Service would leave out
// the pods of every other workload.
func (s *shift) divisible(want selection) error {
	if want.stable == "" || s.asked().StableRevision != "" {
		return nil // nothing is pinned, or it was before
	}
	return s.ofOthers()
}

// ofOthers says which stable Service selects ready pods of other workloads, too, or alone; nil: none.
func (s *shift) ofOthers() error {
	for _, r := range s.Routings {
		if r.shared() || r.Services.Stable == nil || len(r.Stable.Others) == 0 {
			continue
		}
		ref, name := s.Rollout.Spec.WorkloadRef, Named(r.Services.Stable)
		if elsewhere(r) {
			return shared(r, fmt.Errorf("%s selects no ready pod of %s %s, only pods of %s; name the Service of this workload in trafficRoutings", name, ref.Kind, ref.Name, list(r.Stable.Others)))
		}
		return shared(r, fmt.Errorf("%s also selects pods of %s, which would receive no traffic during the release; give %s %s a Service of its own, or set disableGenerateCanaryService", name, list(r.Stable.Others), ref.Kind, ref.Name))
	}
	return nil
}

// shared is an error about a stable Service that others have pods behind, too.
func shared(r Routing, err error) error {
	return &traffic.Fault{Code: v1beta1.BlockerServiceShared, Object: ObjectOf(r.Services.Stable), Err: err}
}

// stableObject is the stable Service of the first routing.
func (s *shift) stableObject() v1beta1.BlockerObject {
	return v1beta1.BlockerObject{Kind: "Service", Name: s.Routings[0].Config.Backends.Stable}
}

// canaryObject is its canary Service.
func (s *shift) canaryObject() v1beta1.BlockerObject {
	return v1beta1.BlockerObject{Kind: "Service", Name: s.Routings[0].Config.Backends.Canary}
}

// pin is the revision that the stable Service of a routing is to select. One that was led to other workloads in the middle of a release
// is not pinned: it would select none of theirs.
func (s *shift) pin(r Routing, stable string) string {
	if elsewhere(r) {
		return ""
	}
	return stable
}

// elsewhere reports whether a stable Service selects ready pods of other workloads alone.
func elsewhere(r Routing) bool {
	return !r.shared() && r.Services.Stable != nil && len(r.Stable.Others) > 0 && len(r.Stable.Revisions) == 0
}

// list names workloads by how many pods they have.
func list(workloads map[string]int32) string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(workloads)) {
		all = append(all, fmt.Sprintf("%s (%d)", name, workloads[name]))
	}
	return strings.Join(all, ", ")
}

// pods says how the pods of a canary differ.
func (s *shift) pods() traffic.Pods {
	p := traffic.Pods{RevisionKey: s.revisionKey(), All: workload.Selector(s.Objects.Workload)}
	if c := s.Rollout.Spec.Strategy.Canary; c != nil && c.PatchPodTemplateMetadata != nil {
		p.Labels = c.PatchPodTemplateMetadata.Labels
	}
	return p
}

// withoutCanary deletes a canary Service; but where a route names it still, which no order of ours could take out, it is left
// to its owner to remove, and selects all pods: a request that is routed to it is answered.
func (s *shift) withoutCanary(r Routing) []Change {
	had, canary := r.Services.Canary, r.Config.Backends.Canary
	for _, ref := range slices.SortedFunc(maps.Keys(r.Routes), func(a, b traffic.Ref) int { return strings.Compare(a.String(), b.String()) }) {
		if !traffic.Names(r.Routes[ref], canary) || r.Services.Stable == nil {
			continue
		}
		s.warn(EventCanaryServiceKept, fmt.Sprintf("Service %s is kept, because %s still routes to it: remove that reference, then delete the Service", canary, Named(r.Routes[ref])))
		kept := had.DeepCopy()
		kept.OwnerReferences = slices.DeleteFunc(kept.OwnerReferences, func(o metav1.OwnerReference) bool { return o.UID == r.Config.Owner.UID })
		if traffic.Selects(r.Services.Stable) {
			kept.Spec.Selector = maps.Clone(r.Services.Stable.Spec.Selector)
		}
		traffic.Unpin(kept, s.pods())
		return diff(had, kept)
	}
	return []Change{{From: had}}
}

// selecting is the message from a change of Services until EndpointSlices show it: one message for both saves a status write.
var selecting = fmt.Sprintf("waiting at most %s for EndpointSlices to match the updated Service selectors", externalTimeout)

// noReadyPod is the message of a Service without ready endpoints.
func noReadyPod(service string) string {
	return fmt.Sprintf("waiting for a ready pod behind %s: check that its selector matches the pods, and why they are not ready", service)
}

// endpointsReady waits until the EndpointSlices of the stable Services show the pods they select.
func (s *shift) endpointsReady() *pending {
	return s.visible(func(r Routing) *corev1.Service {
		if !r.Stable.Shown {
			return r.Services.Stable
		}
		return nil
	})
}

// canaryReady waits for those of the canary Services, too. However long that takes, no weight goes to a Service without a ready pod.
func (s *shift) canaryReady(route *v1beta1.TrafficRoutingStrategy) stage {
	return func() *pending {
		if why := s.unanswered(route); why != "" {
			return s.hidden(why, s.canaryObject())
		}
		return s.visible(func(r Routing) *corev1.Service {
			switch stable, canary := r.Services.Stable, r.Services.Canary; {
			case stable != nil && !r.Stable.Shown:
				return stable
			case canary != nil && !r.Canary.Shown:
				return canary
			default:
				return nil
			}
		})
	}
}

// unanswered says why a request that a route sends to the canary would find no pod there; "": it is answered. A Service answers
// if it has ready endpoints, with each port that the stable one answers at: a pod that lacks a named port is none.
func (s *shift) unanswered(route *v1beta1.TrafficRoutingStrategy) string {
	if s.Workload.Replicas == 0 || nothing(route) {
		return ""
	}
	for _, r := range s.Routings {
		c := r.Services.Canary
		if c == nil || r.shared() {
			continue
		}
		if r.Canary.Ready == 0 {
			return noReadyPod(Named(c))
		}
		for _, port := range slices.Sorted(maps.Keys(r.Stable.Ports)) {
			if r.Canary.Ports[port] == 0 {
				return fmt.Sprintf("waiting for an endpoint of %s with port %s: no ready pod of the new version has a container port with the name of its targetPort; add it to the pod template", Named(c), port)
			}
		}
	}
	return ""
}

// visible waits until no Service is hidden any more, and then starts the clock for gateways.
func (s *shift) visible(hidden func(Routing) *corev1.Service) *pending {
	if !s.routed() || !s.asked().EndpointsPending {
		return nil
	}
	t := s.ask()
	for _, r := range s.Routings {
		if service := hidden(r); !r.shared() && service != nil && !s.overdue(t) {
			return s.hidden(noReadyPod(Named(service)), ObjectOf(service))
		}
	}
	t.EndpointsPending = false
	s.startClock(t)
	return nil
}

// hidden is the wait for EndpointSlices. After a while only what happens to the Service or its pods can help, and that is said.
func (s *shift) hidden(why string, service v1beta1.BlockerObject) *pending {
	t := s.ask()
	if s.overdue(t) {
		return &pending{message: why, code: v1beta1.BlockerNoReadyEndpoint, object: service}
	}
	return &pending{message: selecting, until: t.LastChangeTime.Add(externalTimeout), code: v1beta1.BlockerEndpointsPending, object: s.stableObject()}
}

// answering is the revision that has most ready pods behind the stable Services, but for one; "": none has any behind each.
func (s *shift) answering(but string) string {
	best, most := "", int32(0)
	for _, r := range s.Routings {
		for _, revision := range slices.Sorted(maps.Keys(r.Stable.Revisions)) {
			if n := r.Stable.Revisions[revision]; revision != "" && revision != but && n > most && s.answers(revision) {
				best, most = revision, n
			}
		}
	}
	return best
}

// answers reports whether each stable Service has a ready pod of a revision.
func (s *shift) answers(revision string) bool {
	for _, r := range s.Routings {
		if !r.shared() && r.Stable.Revisions[revision] == 0 {
			return false
		}
	}
	return true
}

// ready is how many ready pods of a revision there are behind the stable Service that has fewest.
func (s *shift) ready(revision string) int32 {
	fewest := int32(-1)
	for _, r := range s.Routings {
		if n := r.Stable.Revisions[revision]; !r.shared() && (fewest < 0 || n < fewest) {
			fewest = n
		}
	}
	return max(fewest, 0)
}

// idle is how many ready pods a pinned stable Service leaves out, but for those of one version.
func (s *shift) idle(but string) int32 {
	if !s.routed() || s.asked().StableRevision == "" {
		return 0
	}
	largest := int32(0)
	for _, r := range s.Routings {
		n := int32(0)
		for revision, ready := range r.Stable.Revisions {
			if revision != s.asked().StableRevision && revision != but && !r.shared() {
				n += ready
			}
		}
		largest = max(largest, n)
	}
	return largest
}
