// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"kruise.io/rollouts/api/v1alpha1"
	"kruise.io/rollouts/api/v1beta1"
)

// SharedRouting is the name of the TrafficRouting that a Rollout holds while it releases; "": none.
func SharedRouting(ro *v1beta1.Rollout) string {
	ref := ""
	switch s := ro.Spec.Strategy; {
	case s.BlueGreen != nil:
		ref = s.BlueGreen.TrafficRoutingRef
	case s.Canary != nil:
		ref = s.Canary.TrafficRoutingRef
	}
	return cmp.Or(ref, ro.Annotations[v1beta1.AnnotationTrafficRouting])
}

// trafficRoutingThere waits for the Rollout's TrafficRouting, if it names one, before anything is done that goes with it.
func (p *rolloutPlanner) trafficRoutingThere() *pending {
	name, t := SharedRouting(p.Rollout), p.Shared
	switch {
	case name == "":
		return nil
	case t == nil:
		return p.traffic.blocked(fmt.Errorf("TrafficRouting %s does not exist: create it", name)).of(v1beta1.BlockerTrafficRoutingMissing, trafficRoutingObject(name))
	case t.DeletionTimestamp != nil && !slices.Contains(Holders(t), p.Rollout.Name):
		return p.traffic.blocked(fmt.Errorf("TrafficRouting %s is being deleted: create it again once it is gone", name)).of(v1beta1.BlockerTrafficRoutingMissing, trafficRoutingObject(name))
	}
	return nil
}

// holdTrafficRouting makes it route requests: by a finalizer, so that it stays for as long.
func (p *rolloutPlanner) holdTrafficRouting() *pending {
	name, t := SharedRouting(p.Rollout), p.Shared
	if wait := p.trafficRoutingThere(); wait != nil || name == "" {
		return wait
	}
	if held := withHolder(t, p.Rollout.Name, true); held != nil {
		p.Changes = append(p.Changes, Change{From: t, To: held})
		return writing()
	}
	if t.Status.Phase != v1alpha1.TrafficRoutingProgressing || t.Status.ObservedGeneration != t.Generation {
		wait := &pending{message: fmt.Sprintf("waiting for TrafficRouting %s to update its routes", name), code: v1beta1.BlockerTrafficRoutingPending, object: trafficRoutingObject(name)}
		if _, why, found := strings.Cut(t.Status.Message, ": "); found {
			wait.message += ": " + why
		}
		return wait
	}
	return nil
}

// releaseTrafficRouting takes the finalizer off it.
func (p *rolloutPlanner) releaseTrafficRouting() *pending {
	t := p.Shared
	if t == nil {
		return nil
	}
	if free := withHolder(t, p.Rollout.Name, false); free != nil {
		p.Changes = append(p.Changes, Change{From: t, To: free})
		return writing()
	}
	if len(Holders(t)) == 0 && t.Status.RoutedWith != nil && t.DeletionTimestamp == nil {
		return &pending{message: fmt.Sprintf("waiting for TrafficRouting %s to restore its routes", t.Name), code: v1beta1.BlockerTrafficRoutingPending, object: trafficRoutingObject(t.Name)}
	}
	return nil
}

func trafficRoutingObject(name string) v1beta1.BlockerObject {
	return v1beta1.BlockerObject{Kind: "TrafficRouting", Name: name}
}

// withHolder returns a TrafficRouting with, or without, the finalizer of a Rollout; nil: it is so already.
func withHolder(t *v1alpha1.TrafficRouting, rollout string, held bool) *v1alpha1.TrafficRouting {
	finalizer := v1beta1.FinalizerProgressingPrefix + rollout
	if slices.Contains(t.Finalizers, finalizer) == held {
		return nil
	}
	t = t.DeepCopy()
	if held {
		t.Finalizers = append(t.Finalizers, finalizer)
	} else {
		t.Finalizers = slices.DeleteFunc(t.Finalizers, func(f string) bool { return f == finalizer })
	}
	return t
}
