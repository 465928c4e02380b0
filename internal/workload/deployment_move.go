// SPDX-License-Identifier: Apache-2.0

package workload

import (
	"slices"
	"strconv"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/rollouts/api/v1beta1"
)

// Move goes from held over armed to moving, and back to held once the batch rests (docs/adr/0002 has the measurements).
func (deployment) Move(o Objects, s State, t Target) Objects {
	have, _ := o.Workload.(*appsv1.Deployment)
	d := have.DeepCopy()
	next := Objects{Workload: d, Sets: slices.Clone(o.Sets), Pods: o.Pods}
	own(d, t)

	original, engaged := originalOf(d)
	current, others := split(d, o.Sets)
	g := gateFor(s, t, original, current)
	moving := moves(d)
	back, due := next.due(current, others, s, t, g)
	switch {
	case due && (d.Spec.Paused || back.stands(d)):
		original.shift(d, current, back)
	case exceeds(current, s, t), holds(t, engaged):
		// Scaled, the native controller spreads pods over both sets, or makes all of the only one's; held, they can be moved.
		original.still(d, o.Sets, t.Rest)
	case g.reached() && !moving:
		// What is as far as asked for, and at rest, stays so.
	case !moving && !yielded(next.Sets, others, t.Stable):
		// Pods of a version in between are to be the first to go; the ReplicaSets just changed say so.
	case !moving && counted(d, current):
		// Without this the native controller counts new pods of an earlier batch as available and overshoots:
		// measured once in 2 tries, and not in 8 with it.
		original.arm(d)
	case moving && unstuck(next.Sets, s.Replicas):
		// The native controller rolls on once it has seen it.
	default:
		if moving {
			g.Given = d.Spec.Strategy.RollingUpdate.MaxUnavailable.IntVal
		}
		original.open(d, g)
	}
	return next
}

// holds reports whether nothing is to move.
func holds(t Target, engaged bool) bool { return (t.Rest || t.Back) && engaged }

// open lets d go as far as the gate is open.
func (o original) open(d *appsv1.Deployment, g gate) {
	surge, unavailable := g.open()
	if surge == 0 && unavailable == 0 {
		unavailable = 1 // the API server refuses two zeros; with no pods there is nothing to lose
	}
	u := intstr.FromInt32(unavailable)
	o.move(d, surge, &u)
}

// exceeds reports whether a set is over its limit, and its own controller has seen how many pods are asked for.
func exceeds(current *appsv1.ReplicaSet, s State, t Target) bool {
	return !s.Stale && overLimit(current, t)
}

// overLimit reports whether a set asks for more pods than were ordered.
func overLimit(current *appsv1.ReplicaSet, t Target) bool {
	return current != nil && t.Limit != nil && !t.Back && ptr.Deref(current.Spec.Replicas, 1) > *t.Limit
}

// exchange gives places of one ReplicaSet to another.
type exchange struct {
	objects  *Objects
	from, to *appsv1.ReplicaSet
	places   int32
	early    bool // for it: the native controller has yet to see the Deployment as it is
}

// due is the next exchange that an abort or scaling asks for; false: all places are where they are to be.
func (o *Objects) due(current *appsv1.ReplicaSet, others []*appsv1.ReplicaSet, s State, t Target, g gate) (exchange, bool) {
	due := overLimit(current, t)
	if t.Back {
		due = g.New > 0 || otherActive(others, ofRevision(others, t.Stable)) != nil
	}
	if !due {
		return exchange{}, false
	}
	return o.back(current, others, s, t, g.Unavailable), true
}

// back is how many places of other pods go back to a version next, until none is left, or as many new ones as were ordered: as many at a time
// as may be unavailable. They go to the stable set: those of new pods first, and where all are to go (an abort), then those of every other
// version.
func (o *Objects) back(current *appsv1.ReplicaSet, others []*appsv1.ReplicaSet, s State, t Target, unavailable int32) exchange {
	to := ofRevision(others, t.Stable)
	from, left := current, int32(0)
	if !t.Back {
		left = *t.Limit
	} else if from == nil || ptr.Deref(from.Spec.Replicas, 1) == 0 {
		from = otherActive(others, to)
	}
	if from == nil || to == nil {
		return exchange{}
	}
	size := ptr.Deref(from.Spec.Replicas, 1)
	portion := min(size-left, spare(from, others, s.Replicas, unavailable))
	if portion <= 0 || !s.Stale && o.unfilled(from, s.Replicas) {
		return exchange{}
	}
	e := exchange{objects: o, from: from, to: to, places: portion, early: s.Stale}
	switch {
	case !e.undone():
	case portion > 1:
		e.places--
	case from != current && size > 1: // moving, the native controller would make new pods
		e.places++
	}
	return e
}

// spare is how many pods of a set may be missing: those that are not ready, which no one misses, or as many as may be unavailable.
func spare(of *appsv1.ReplicaSet, others []*appsv1.ReplicaSet, replicas, unavailable int32) int32 {
	ready := of.Status.ReadyReplicas
	for _, set := range others {
		if set != of {
			ready += set.Status.ReadyReplicas
		}
	}
	unready := ptr.Deref(of.Spec.Replicas, 1) - of.Status.ReadyReplicas
	return max(unready, max(unavailable, 1)-(replicas-min(ready, replicas)))
}

// ofRevision is the set of a revision, or the first one where none is of it; nil: there is no set.
func ofRevision(sets []*appsv1.ReplicaSet, of string) *appsv1.ReplicaSet {
	if len(sets) == 0 {
		return nil
	}
	return sets[max(0, slices.IndexFunc(sets, func(set *appsv1.ReplicaSet) bool { return revision(set) == of }))]
}

// otherActive is a set next to one that has places; nil: none.
func otherActive(sets []*appsv1.ReplicaSet, one *appsv1.ReplicaSet) *appsv1.ReplicaSet {
	for _, set := range sets {
		if set != one && ptr.Deref(set.Spec.Replicas, 1) > 0 {
			return set
		}
	}
	return nil
}

// undone reports whether the native controller undoes each of the two writes of an exchange between sets of a held Deployment, where it sees
// one without the other: with a place too many it takes one from the larger set, and from the older of two that are alike; with one too
// few it gives one to the larger, and to the newer of two that are alike (scale in its sync.go, v1.37; seen on a busy machine).
func (e exchange) undone() bool {
	return e.places > 0 && ptr.Deref(e.to.Spec.Replicas, 1)+e.places == ptr.Deref(e.from.Spec.Replicas, 1)
}

// only reports whether the exchange is of the only pod there is.
func (e exchange) only() bool { return ptr.Deref(e.to.Spec.Replicas, 1) == 0 }

// stands reports whether d has the form in which an exchange that is undone else stands, one write at a time. The only pod's: paused, with
// room for two. Others': moving, with one pod that may be unavailable, while none of the new ones counts as available; the native controller has
// no pod to give then, and none to take.
func (e exchange) stands(d *appsv1.Deployment) bool {
	r := d.Spec.Strategy.RollingUpdate
	if !e.undone() || r == nil || r.MaxSurge == nil || r.MaxUnavailable == nil {
		return false
	}
	if e.only() {
		return d.Spec.Paused && r.MaxSurge.IntVal == e.places
	}
	return moves(d) && r.MaxSurge.IntVal == 0 && r.MaxUnavailable.IntVal == 1
}

// shift makes an exchange between the sets of d. The native controller keeps the sum of a paused one, and scales what is the only active
// set to all (docs/adr/0002).
func (o original) shift(d *appsv1.Deployment, current *appsv1.ReplicaSet, e exchange) {
	one := intstr.FromInt32(1)
	switch {
	case e.places == 0, e.early:
	case !e.undone() || e.stands(d):
		e.objects.resize(e.from, ptr.Deref(e.from.Spec.Replicas, 1)-e.places)
		e.objects.resize(e.to, ptr.Deref(e.to.Spec.Replicas, 1)+e.places)
	case e.only():
		o.hold(d)
		d.Spec.Strategy.RollingUpdate.MaxSurge = &one
	case counted(d, current):
		o.arm(d)
	default:
		o.move(d, 0, &one)
	}
}

// unfilled makes a set that has all the pods of a paused Deployment not count as complete, or the native controller takes
// away whatever another set is given, at once (IsSaturated in its deployment_util.go, v1.37; seen when a release was scaled
// to 0 and back, which makes all pods new). It returns whether that had to be done; nothing else may be written with it.
func (o *Objects) unfilled(set *appsv1.ReplicaSet, replicas int32) bool {
	i := slices.Index(o.Sets, set)
	if i < 0 || ptr.Deref(set.Spec.Replicas, 1) != replicas || set.Annotations[desiredReplicas] != strconv.FormatInt(int64(replicas), 10) {
		return false
	}
	o.Sets[i] = set.DeepCopy()
	o.Sets[i].Annotations[desiredReplicas] = strconv.FormatInt(int64(replicas)+1, 10)
	return true
}

// moves reports whether the native controller may act as far as its limits allow.
func moves(d *appsv1.Deployment) bool {
	r := d.Spec.Strategy.RollingUpdate
	return !d.Spec.Paused && d.Spec.MinReadySeconds == neverReady && r != nil && r.MaxUnavailable != nil
}

// gateFor reads the gate's numbers. It never wants fewer new pods than there are: a release does not go back.
func gateFor(s State, t Target, o original, current *appsv1.ReplicaSet) gate {
	g := gate{Replicas: s.Replicas, NewReady: s.UpdatedReady, Old: s.Others}
	if current != nil {
		g.New = ptr.Deref(current.Spec.Replicas, 1)
	}
	g.Want = min(max(t.Updated, g.New), s.Replicas)
	g.Surge, g.Unavailable = o.limits(s.Replicas)
	return g
}

// armed reports whether the pods of earlier batches have stopped counting as available.
func armed(d *appsv1.Deployment, current *appsv1.ReplicaSet) bool {
	return d.Spec.Paused && d.Spec.MinReadySeconds == neverReady && uncounted(current)
}

// uncounted reports whether set was marked so that its pods never become available, and has said that none is.
func uncounted(set *appsv1.ReplicaSet) bool {
	return set.Spec.MinReadySeconds == neverReady && set.Status.ObservedGeneration >= set.Generation && set.Status.AvailableReplicas == 0
}

// yielded makes pods of versions between the stable and the new one count as unhealthy, so that the native controller
// replaces them first: v1 3, v2 2 becomes v1 3, v2 1, v3 1. It returns whether they all do already.
func yielded(sets, others []*appsv1.ReplicaSet, stable string) bool {
	if stable == "" {
		return true
	}
	done := true
	for i, set := range sets {
		if !slices.Contains(others, set) || revision(set) == stable || ptr.Deref(set.Spec.Replicas, 1) == 0 || uncounted(set) {
			continue
		}
		done = false
		yielding := set.DeepCopy()
		yielding.Spec.MinReadySeconds = neverReady
		sets[i] = yielding
	}
	return done
}

// desiredReplicas is how many pods a Deployment asked for when the native controller last sized a ReplicaSet.
const desiredReplicas = "deployment.kubernetes.io/desired-replicas"

// unstuck lets the native controller out of a corner: with a single active ReplicaSet that has the size a Deployment was
// just scaled to, it takes the difference to what was desired before for a scaling that is due, finds nothing to scale,
// and never rolls on (isScalingEvent and scale in its sync.go, v1.37; found by the properties). It returns whether it
// was in there.
func unstuck(sets []*appsv1.ReplicaSet, replicas int32) bool {
	only := -1
	for i, set := range sets {
		if ptr.Deref(set.Spec.Replicas, 1) == 0 {
			continue
		}
		if only >= 0 {
			return false
		}
		only = i
	}
	want := strconv.FormatInt(int64(replicas), 10)
	if only < 0 || ptr.Deref(sets[only].Spec.Replicas, 1) != replicas {
		return false
	}
	if desired := sets[only].Annotations[desiredReplicas]; desired == "" || desired == want {
		return false
	}
	sets[only] = sets[only].DeepCopy()
	sets[only].Annotations[desiredReplicas] = want
	return true
}

// hold stops d where it is. maxSurge is 0, because a paused Deployment with fewer pods than replicas + maxSurge is
// scaled up by the native controller.
func (o original) hold(d *appsv1.Deployment) {
	o.write(d)
	o.restore(d)
	none := intstr.FromInt32(0)
	d.Spec.Paused = true
	d.Spec.Strategy = appsv1.DeploymentStrategy{
		Type:          appsv1.RollingUpdateDeploymentStrategyType,
		RollingUpdate: &appsv1.RollingUpdateDeployment{MaxSurge: &none, MaxUnavailable: o.unavailableAtRest()},
	}
}

// still stops a Deployment that moves. Stopped before it rests, with more pods than it asks for, it keeps those: the native
// controller would take ready ones while the pods that were to take their places are not ready yet.
func (o original) still(d *appsv1.Deployment, sets []*appsv1.ReplicaSet, rests bool) {
	surplus, moving := surplusOf(d, sets), moves(d)
	o.hold(d)
	if moving && !rests && surplus > 0 {
		d.Spec.Strategy.RollingUpdate.MaxSurge = new(intstr.FromInt32(surplus))
	}
}

// holds reports whether d is held, with o as its original.
func (o original) holds(d *appsv1.Deployment) bool {
	held := d.DeepCopy()
	o.hold(held)
	return equality.Semantic.DeepEqual(held.Spec, d.Spec)
}

// move lets d go until there are surge + unavailable new pods.
func (o original) move(d *appsv1.Deployment, surge int32, unavailable *intstr.IntOrString) {
	o.write(d)
	s := intstr.FromInt32(surge)
	d.Spec.Paused = false
	d.Spec.MinReadySeconds = neverReady
	d.Spec.ProgressDeadlineSeconds = new(neverOverdue)
	d.Spec.Strategy = appsv1.DeploymentStrategy{
		Type:          appsv1.RollingUpdateDeploymentStrategyType,
		RollingUpdate: &appsv1.RollingUpdateDeployment{MaxSurge: &s, MaxUnavailable: unavailable},
	}
}

// arm makes new pods count as unavailable while d is still paused.
func (o original) arm(d *appsv1.Deployment) {
	o.move(d, 0, o.unavailableAtRest())
	d.Spec.Paused = true
}

// Free restores a user's own Recreate only once every pod is new: until then it would end all the others at once. Nor is one
// paused before, as its user had it: with pods of two versions, the native controller adds as many as maxSurge allows to it.
func (deployment) Free(o Objects) client.Object {
	d, _ := o.Workload.DeepCopyObject().(*appsv1.Deployment)
	original, engaged := originalOf(d)
	awaits := original.Type == appsv1.RecreateDeploymentStrategyType || original.Paused
	if _, others := split(d, o.Sets); awaits && engaged && stableAmong(others) != "" {
		original.hold(d)
		d.Spec.Paused = false
		return d
	}
	if engaged || d.Spec.MinReadySeconds == neverReady {
		original.restore(d)
	}
	let(d)
	return d
}

func (deployment) Leave(o Objects) client.Object {
	d, _ := o.Workload.DeepCopyObject().(*appsv1.Deployment)
	if original, engaged := originalOf(d); engaged {
		original.leave(d, o.Sets)
	}
	return d
}

func (deployment) Unstick(o Objects, s State, _ v1beta1.FinalizingPolicyType) Objects {
	o.Sets = slices.Clone(o.Sets)
	unstuck(o.Sets, s.Replicas)
	return o
}

func (deployment) Disown(w client.Object) client.Object { return disowned(w) }
