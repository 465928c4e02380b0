// SPDX-License-Identifier: Apache-2.0

package workload

import (
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// blueGreenDeployment runs a second set of pods next to the first, made by the native Deployment controller: it may surge
// as far as the batch says and take nothing away, and because nothing new ever counts as available it stops there. Such a
// Deployment is not paused between batches: paused with more pods than it asks for, both sets would be scaled down in
// proportion (docs/adr/0002).
type blueGreenDeployment struct{ deployment }

func (b blueGreenDeployment) State(o Objects, now time.Time) State {
	s := b.deployment.State(o, now)
	s.Beside = true
	s.Held = s.Engaged
	return s
}

// Hold pauses, and leaves what the second set needs to stay as it is.
func (b blueGreenDeployment) Hold(o Objects, old client.Object, rollout, stable string) client.Object {
	before, _ := old.(*appsv1.Deployment)
	held, _ := b.deployment.Hold(o, old, rollout, stable).(*appsv1.Deployment)
	if _, engaged := originalOf(before); engaged && before.Spec.MinReadySeconds == neverReady {
		stays(&held.Spec, &before.Spec)
		held.Spec.Paused = true
	}
	return withoutNote(held)
}

// stays takes over what lets the sets of a Deployment be.
func stays(spec, from *appsv1.DeploymentSpec) {
	spec.Paused, spec.MinReadySeconds = from.Paused, from.MinReadySeconds
	spec.ProgressDeadlineSeconds, spec.Strategy = from.ProgressDeadlineSeconds, *from.Strategy.DeepCopy()
}

func (b blueGreenDeployment) Keep(edited, old client.Object) client.Object {
	return withoutNote(b.deployment.Keep(edited, old))
}

func (blueGreenDeployment) Move(o Objects, s State, t Target) Objects {
	have, _ := o.Workload.(*appsv1.Deployment)
	d := have.DeepCopy()
	next := o
	next.Workload, next.Sets = d, slices.Clone(o.Sets)
	own(d, t)
	original, _ := originalOf(d)
	current, others := split(d, o.Sets)
	switch {
	case alone(d, current, others):
		// There is nothing left that it could stand next to.
	case t.Back:
		next.emptied(d, current, others, s, t.Stable)
	case moves(d) && !s.Stale && next.toppedUp(others, s.Replicas, t.Stable):
		// Scaled, the native controller spreads pods over both sets, and rounds.
	case exceeds(current, s, t):
		original.limited(d, &next, current, s, t)
	case moves(d) && inPods(d.Spec.Strategy.RollingUpdate.MaxSurge, s.Replicas) >= t.Updated:
		// What is next to the others stays there.
	case !moves(d) && next.dropped(others, t.Stable):
		// Pods of a version in between go before new ones come. Paused, nothing takes their places.
	case !moves(d) && !next.unsaturated(others, t.Stable):
		// Were the stable set full and available, the native controller would remove the other at once when the template
		// goes back, while requests are routed to it (scale in its sync.go, v1.37).
	case !moves(d) && counted(d, current):
		original.move(d, 0, original.unavailableAtRest())
		d.Spec.Paused = true
	default:
		original.surge(d, surgeFor(t, s.Replicas), t.Updated == 0)
	}
	withoutNote(d)
	return next
}

// alone reports whether a Deployment was released before this release has begun, and has no other pods any more.
func alone(d *appsv1.Deployment, current *appsv1.ReplicaSet, others []*appsv1.ReplicaSet) bool {
	_, engaged := originalOf(d)
	return !engaged && current != nil && stableAmong(others) == ""
}

// limited takes pods back that scaling has made: first the native controller may surge no further, then they go.
func (o original) limited(d *appsv1.Deployment, next *Objects, current *appsv1.ReplicaSet, s State, t Target) {
	if moves(d) && inPods(d.Spec.Strategy.RollingUpdate.MaxSurge, s.Replicas) > max(1, *t.Limit) {
		o.surge(d, surgeFor(t, s.Replicas), t.Updated == 0)
		return
	}
	next.resize(current, *t.Limit)
}

// surge lets a second set come.
func (o original) surge(d *appsv1.Deployment, size intstr.IntOrString, none bool) {
	zero, one := intstr.FromInt32(0), intstr.FromInt32(1)
	o.move(d, 1, &zero)
	d.Spec.Strategy.RollingUpdate.MaxSurge = &size
	if none {
		d.Spec.Strategy.RollingUpdate.MaxSurge = &one // the API server refuses two zeros
		d.Spec.Paused = true
	}
}

// emptied removes the second set, and has the stable one stand in full: scaled through 0, the native controller makes all pods of
// the newest set. Until it has seen that the Deployment is paused, it would make the pods anew.
func (o *Objects) emptied(d *appsv1.Deployment, current *appsv1.ReplicaSet, others []*appsv1.ReplicaSet, s State, stable string) {
	switch {
	case moves(d):
		d.Spec.Paused = true
	case s.Stale:
	default:
		o.toppedUp(others, s.Replicas, stable)
		if current != nil && ptr.Deref(current.Spec.Replicas, 1) > 0 {
			o.resize(current, 0)
		}
	}
}

// counted reports whether a set has pods that count as available: another style has made them.
func counted(d *appsv1.Deployment, current *appsv1.ReplicaSet) bool {
	return current != nil && ptr.Deref(current.Spec.Replicas, 1) > 0 && !armed(d, current)
}

// surgeFor is a batch as maxSurge: as it was asked for where that is as many pods, so that it holds while the Deployment
// is scaled, too.
func surgeFor(t Target, replicas int32) intstr.IntOrString {
	if t.Batch.Type == intstr.String && inPods(&t.Batch, replicas) == t.Updated {
		return t.Batch
	}
	return intstr.FromInt32(t.Updated)
}

func inPods(v *intstr.IntOrString, replicas int32) int32 {
	if v == nil {
		return 0
	}
	n, err := intstr.GetScaledValueFromIntOrPercent(v, int(replicas), true)
	if err != nil {
		return 0
	}
	return int32(n) //nolint:gosec // a count of pods
}

// toppedUp gives the stable set its full size; false: it has it.
func (o *Objects) toppedUp(others []*appsv1.ReplicaSet, replicas int32, stable string) bool {
	for _, set := range others {
		if revision(set) == stable && ptr.Deref(set.Spec.Replicas, 1) < replicas {
			o.resize(set, replicas)
			return true
		}
	}
	return false
}

// dropped removes the pods of versions between the stable and the new one; false: there are none.
func (o *Objects) dropped(others []*appsv1.ReplicaSet, stable string) bool {
	found := false
	for _, set := range others {
		if revision(set) != stable && stable != "" && ptr.Deref(set.Spec.Replicas, 1) > 0 {
			o.resize(set, 0)
			found = true
		}
	}
	return found
}

// unsaturated makes the stable pods not count as available, as the new ones do not; true: they do not.
func (o *Objects) unsaturated(others []*appsv1.ReplicaSet, stable string) bool {
	for _, set := range others {
		if revision(set) != stable || ptr.Deref(set.Spec.Replicas, 1) == 0 || uncounted(set) {
			continue
		}
		if i := slices.Index(o.Sets, set); i >= 0 {
			o.Sets[i] = set.DeepCopy()
			o.Sets[i].Spec.MinReadySeconds = neverReady
		}
		return false
	}
	return true
}

// resize makes a set have a size.
func (o *Objects) resize(set *appsv1.ReplicaSet, size int32) {
	if i := slices.Index(o.Sets, set); i >= 0 {
		o.Sets[i] = set.DeepCopy()
		o.Sets[i].Spec.Replicas = &size
	}
}

func (b blueGreenDeployment) Free(o Objects) client.Object {
	freed, _ := b.deployment.Free(o).(*appsv1.Deployment)
	return withoutNote(freed)
}

func (b blueGreenDeployment) Leave(o Objects) client.Object {
	left, _ := b.deployment.Leave(o).(*appsv1.Deployment)
	return withoutNote(left)
}
