// SPDX-License-Identifier: Apache-2.0

package traffic

import (
	"maps"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	rolloutsv1beta1 "kruise.io/rollouts/api/v1beta1"
)

// Services are the stable and the canary Service; nil: it does not exist.
type Services struct{ Stable, Canary *corev1.Service }

// Pods says which label distinguishes revisions, and how a canary's pods differ otherwise.
type Pods struct {
	// RevisionKey is the label whose value is a pod's revision.
	RevisionKey string
	// Labels are patchPodTemplateMetadata.labels: the canary's pods have them.
	Labels map[string]string
	// All are the labels that all pods of the workload have: a Service that selects by nothing but our pin selects them without it.
	All map[string]string
	// AddLabels puts those into the canary Service's selector, too, that the stable one does not name (the feature gate
	// AppendPodSelector).
	AddLabels bool
}

// Render returns the Services as a Setting asks. With a Service for both kinds of pods
// nothing is touched. A canary Service that someone else made is an error, and is never deleted.
func (c Config) Render(have Services, s Setting, p Pods) (Services, error) {
	if c.Backends.Stable == c.Backends.Canary {
		return have, nil
	}
	want := have
	ours := have.Canary != nil && owned(have.Canary.OwnerReferences, c.Owner)
	anothers := !ours && have.Canary != nil
	lost := s.Back && !Selects(have.Stable) // whoever took the selector away took the pin with it
	if anothers && s.Pin+s.Canary != "" && !s.Back {
		return have, c.taken(have.Canary) // before anything is written that would have to be taken back
	}
	if lost {
		s.Pin = ""
	}
	var err error
	if want.Stable, err = pin(have.Stable, p, s.Pin); err != nil {
		return have, err
	}
	switch {
	case s.Canary == "" && ours:
		want.Canary = nil
	case s.Canary == "", s.Back && anothers, lost:
	default:
		if err := c.divisible(have.Stable); err != nil {
			return have, err
		}
		want.Canary = c.canary(have, s.Canary, p)
	}
	return want, nil
}

// divisible says why the pods of a stable Service cannot be told apart by another one next to it.
func (c Config) divisible(stable *corev1.Service) error {
	switch {
	case stable == nil:
		return serviceFault(rolloutsv1beta1.BlockerServiceMissing, c.Backends.Stable, "does not exist")
	case stable.Spec.Type == corev1.ServiceTypeExternalName:
		return outside(stable)
	case len(stable.Spec.Selector) == 0:
		return serviceFault(rolloutsv1beta1.BlockerServiceUnusable, c.Backends.Stable, "has no selector; it cannot be split between versions")
	default:
		return nil
	}
}

// Selects reports whether a Service leads to pods by their labels. One of type ExternalName answers with a name, and of one without a
// selector nobody but its owner writes the endpoints.
func Selects(s *corev1.Service) bool {
	return s != nil && s.Spec.Type != corev1.ServiceTypeExternalName && len(s.Spec.Selector) > 0
}

// taken says whose the canary Service is.
func (c Config) taken(canary *corev1.Service) error {
	if owner := metav1.GetControllerOf(canary); owner != nil && owner.Kind == "Rollout" {
		return serviceFault(rolloutsv1beta1.BlockerCanaryNameTaken, canary.Name, "belongs to Rollout %s; this release continues when that one has ended", owner.Name)
	}
	return serviceFault(rolloutsv1beta1.BlockerCanaryNameTaken, canary.Name, "exists and was not made by this release; rename it, or set disableGenerateCanaryService")
}

// outside says that a Service answers with a name, whatever its selector says.
func outside(s *corev1.Service) error {
	return serviceFault(rolloutsv1beta1.BlockerServiceUnusable, s.Name, "is of type ExternalName: requests go to %s and not to pods; make it a ClusterIP Service, or use another Service", s.Spec.ExternalName)
}

// pin makes a Service select one revision; "" all again. The revision key in a selector is never the user's own: a
// Service written so would lose its pods with every change of the template. Where somebody has left nothing beside it, the labels of
// all pods of the workload take its place: nobody keeps the endpoints of a Service without a selector.
func pin(stable *corev1.Service, p Pods, revision string) (*corev1.Service, error) {
	key := p.RevisionKey
	if stable == nil || stable.Spec.Selector[key] == revision {
		return stable, nil
	}
	if stable.Spec.Type == corev1.ServiceTypeExternalName && revision != "" {
		return nil, outside(stable)
	}
	if len(stable.Spec.Selector) == 0 {
		return nil, serviceFault(rolloutsv1beta1.BlockerServiceUnusable, stable.Name, "has no selector; it cannot be pinned to a revision")
	}
	pinned := stable.DeepCopy()
	pinned.Spec.Selector[key] = revision
	if revision == "" {
		Unpin(pinned, p)
	}
	return pinned, nil
}

// Unpin makes a Service select all revisions.
func Unpin(s *corev1.Service, p Pods) {
	delete(s.Spec.Selector, p.RevisionKey)
	if len(s.Spec.Selector) == 0 {
		s.Spec.Selector = maps.Clone(p.All)
	}
}

// canary renders the canary Service: the stable one without what only one Service can have. What the cluster and
// others put on it since it was made stays.
func (c Config) canary(have Services, revision string, p Pods) *corev1.Service {
	canary := &corev1.Service{ObjectMeta: metav1.ObjectMeta{
		Namespace: have.Stable.Namespace, Name: c.Backends.Canary, OwnerReferences: []metav1.OwnerReference{c.Owner},
	}}
	if have.Canary != nil {
		canary = have.Canary.DeepCopy()
	}
	canary.Labels = follow(canary.Labels, have.Stable.Labels)
	canary.Annotations = follow(canary.Annotations, have.Stable.Annotations)

	assigned := canary.Spec
	canary.Spec = *have.Stable.Spec.DeepCopy()
	spec := &canary.Spec
	if spec.ClusterIP != corev1.ClusterIPNone || assigned.ClusterIP != "" { // headless stays headless, and what has an address keeps it
		spec.ClusterIP, spec.ClusterIPs = assigned.ClusterIP, assigned.ClusterIPs
	}
	families(spec, assigned)
	inside(spec)
	spec.Selector[p.RevisionKey] = revision
	for key, value := range p.Labels {
		if _, named := spec.Selector[key]; named || p.AddLabels {
			spec.Selector[key] = value
		}
	}
	return canary
}

// families keeps what the cluster has assigned where it differs in what can never change, the first family; a Service that is new
// has the families of the stable one, or gateways would find no address of theirs.
func families(spec *corev1.ServiceSpec, assigned corev1.ServiceSpec) {
	if len(assigned.IPFamilies) > 0 && (len(spec.IPFamilies) == 0 || spec.IPFamilies[0] != assigned.IPFamilies[0]) {
		spec.IPFamilies, spec.IPFamilyPolicy = assigned.IPFamilies, assigned.IPFamilyPolicy
	}
	if most := len(spec.IPFamilies); most > 0 && len(spec.ClusterIPs) > most { // an address of a family that is gone
		spec.ClusterIPs = spec.ClusterIPs[:most]
	}
}

// inside makes a Service one of the cluster's own: gateways reach it there, and one for the world outside would be a second load
// balancer, or a second port of every node.
func inside(spec *corev1.ServiceSpec) {
	if spec.Type != "" { // absent, it is one already
		spec.Type = corev1.ServiceTypeClusterIP
	}
	spec.ExternalIPs, spec.LoadBalancerIP, spec.LoadBalancerClass, spec.LoadBalancerSourceRanges = nil, "", nil, nil
	spec.AllocateLoadBalancerNodePorts, spec.ExternalTrafficPolicy, spec.HealthCheckNodePort = nil, "", 0
	for i := range spec.Ports {
		spec.Ports[i].NodePort = 0
	}
}

// owned reports whether an object was made by owner.
func owned(refs []metav1.OwnerReference, owner metav1.OwnerReference) bool {
	for _, ref := range refs {
		if ref.UID == owner.UID && ref.Controller != nil && *ref.Controller {
			return true
		}
	}
	return false
}
