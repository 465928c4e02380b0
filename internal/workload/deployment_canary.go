// SPDX-License-Identifier: Apache-2.0

package workload

import (
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/rollouts/api/v1beta1"
)

// canaryDeployment releases a Deployment with pods next to it: while the Deployment stays held, a second one, which
// belongs to the BatchRelease, runs as many pods of the new template as the batch asks for (docs/adr/0012). Given
// back, the Deployment rolls to the template by itself.
type canaryDeployment struct{ deployment }

func (canaryDeployment) Needs() Needs { return Needs{Sets: true, Canaries: true} }

// sides are a Deployment and what was made next to it, distinguished.
type sides struct {
	d       *appsv1.Deployment
	own     Objects              // d with its own ReplicaSets, and nothing next to it
	current *appsv1.ReplicaSet   // d's own of its template
	others  []*appsv1.ReplicaSet // d's own of other templates
	live    *appsv1.Deployment   // the canary Deployment of d's template
	dying   *appsv1.Deployment   // one that was deleted by someone, with pods that still serve
}

// apart distinguishes the sides of a Deployment. Where several BatchReleases have made canaries, those of the one with the
// UID by come first; what another one leaves behind counts for nothing.
func apart(o Objects, by types.UID) sides {
	d, _ := o.Workload.(*appsv1.Deployment)
	a := sides{d: d, own: Objects{Workload: d, Pods: o.Pods}}
	for _, set := range o.Sets {
		if makerOf(set, o.Canaries) == nil {
			a.own.Sets = append(a.own.Sets, set)
		}
	}
	a.current, a.others = split(d, a.own.Sets)
	_, engaged := originalOf(d)
	finishing := !engaged && d.Annotations[v1beta1.AnnotationInProgressing] != ""
	for _, canary := range o.Canaries {
		mine := controllerOf(canary) == by
		switch {
		case !madeFrom(canary, &d.Spec.Template):
		case canary.DeletionTimestamp != nil && (mine || finishing):
			a.dying = canary
		case canary.DeletionTimestamp == nil && (mine || a.live == nil):
			a.live = canary
		}
	}
	return a
}

// makerOf returns the canary Deployment that controls a ReplicaSet; nil: it is the workload's own.
func makerOf(set *appsv1.ReplicaSet, canaries []*appsv1.Deployment) *appsv1.Deployment {
	uid := controllerOf(set)
	for _, canary := range canaries {
		if uid != "" && uid == canary.UID {
			return canary
		}
	}
	return nil
}

func controllerOf(o metav1.Object) types.UID {
	if owner := metav1.GetControllerOf(o); owner != nil {
		return owner.UID
	}
	return ""
}

// home reports whether the template is the Deployment's own again, or has never been another: nothing belongs next to it.
func (a sides) home() bool {
	if a.current == nil {
		return false
	}
	if _, engaged := originalOf(a.d); engaged && a.d.Labels[v1beta1.LabelStableRevision] != "" {
		return revision(a.current) == a.d.Labels[v1beta1.LabelStableRevision]
	}
	return stableAmong(a.others) == ""
}

// beside returns the ReplicaSet of a canary Deployment.
func beside(canary *appsv1.Deployment, sets []*appsv1.ReplicaSet) *appsv1.ReplicaSet {
	if canary == nil {
		return nil
	}
	set, _ := split(canary, slices.DeleteFunc(slices.Clone(sets), func(s *appsv1.ReplicaSet) bool { return controllerOf(s) != canary.UID }))
	return set
}

// State reads new pods from the canary Deployment. The revision is the one that its pods have, even once the Deployment
// is on its way there by itself: with metadata of their own the two differ, and what is being released has one name.
func (c canaryDeployment) State(o Objects, now time.Time) State {
	a := apart(o, claimed(o.Workload))
	s := c.deployment.State(a.own, now)
	s.KeepsOne = false // new pods take no one's place
	set := beside(a.live, o.Sets)
	known := set
	if known == nil {
		known = beside(a.dying, o.Sets)
	}
	if !a.d.Spec.Paused {
		if known != nil {
			s.Update = revision(known)
		}
		return s
	}
	if a.home() {
		return s
	}
	s.Update, s.Beside, s.Complete = "", true, false
	s.Updated, s.UpdatedReady, s.UpdatedPods, s.Trouble, s.Blocked, s.ReadyAt = 0, 0, nil, nil, nil, time.Time{}
	if known != nil {
		s.Update = revision(known)
	}
	if set == nil {
		return s
	}
	s.Updated, s.UpdatedReady = set.Status.Replicas, set.Status.ReadyReplicas
	if o.Pods != nil {
		original, _ := originalOf(a.d)
		s.readPods(o.Pods, original.MinReadySeconds, now, ownedBy(set.UID))
	}
	s.Blocked = append(s.Blocked, refused(set)...)
	return s
}

// Starts, Hold and Keep do what they do in place; only by the annotation that they leave out clients distinguish the styles.

func (c canaryDeployment) Starts(o Objects, old client.Object) bool {
	return c.deployment.Starts(apart(o, "").own, old)
}

func (c canaryDeployment) Hold(o Objects, old client.Object, rollout, stable string) client.Object {
	return withoutNote(c.deployment.Hold(apart(o, "").own, old, rollout, stable))
}

func (c canaryDeployment) Keep(edited, old client.Object) client.Object {
	return withoutNote(c.deployment.Keep(edited, old))
}

func withoutNote(d client.Object) client.Object {
	set(d.GetAnnotations, d.SetAnnotations, v1beta1.AnnotationDeploymentStrategy, "")
	return d
}

// Move holds the Deployment and grows the canary next to it. It never takes pods away from either.
func (c canaryDeployment) Move(o Objects, s State, t Target) Objects {
	a := apart(o, t.Owner.UID)
	d := a.d.DeepCopy()
	next := Objects{Workload: d, Sets: o.Sets, Pods: o.Pods, Canaries: slices.Clone(o.Canaries)}
	own(d, t)
	original, engaged := originalOf(d)
	switch {
	case a.home():
		return next
	case !engaged || !d.Spec.Paused:
		original.hold(d) // first: nothing is made next to what may still move
		withoutNote(d)
		return next
	}
	next.Canaries = slices.DeleteFunc(next.Canaries, func(canary *appsv1.Deployment) bool { // made just before the template changed, or edited
		return controllerOf(canary) == t.Owner.UID && !madeFrom(canary, &d.Spec.Template)
	})
	for i, canary := range next.Canaries {
		if canary.DeletionTimestamp != nil && controllerOf(canary) != t.Owner.UID {
			next.Canaries[i] = LetGo(canary) // its BatchRelease is gone without having done so
		}
	}
	own := a.live != nil && controllerOf(a.live) == t.Owner.UID
	if t.Back {
		if own {
			next.sized(a.live, 0) // it stays, and shows the revision to everyone who asks
		}
		return next
	}
	next.grow(o, a, s, t, own)
	return next
}

// grow makes the canary Deployment as large as it has to be.
func (next *Objects) grow(o Objects, a sides, s State, t Target, own bool) {
	switch {
	case !own:
		if size := a.size(t); size > 0 {
			next.Canaries = append(next.Canaries, a.canary(o, t, size))
		}
	case t.Limit != nil && a.dying == nil && ptr.Deref(a.live.Spec.Replicas, 1) > *t.Limit:
		next.sized(a.live, *t.Limit) // the workload was scaled down
	case ptr.Deref(a.live.Spec.Replicas, 1) < a.size(t):
		next.sized(a.live, a.size(t))
	case s.Updated >= a.size(t) && s.UpdatedReady >= a.size(t):
		next.replace(a.dying, LetGo(a.dying)) // its pods served until those of its replacement were ready
	}
}

// sized makes a canary Deployment have a size.
func (next *Objects) sized(canary *appsv1.Deployment, size int32) {
	sized := canary.DeepCopy()
	sized.Spec.Replicas = &size
	next.replace(canary, sized)
}

// size is how many pods the canary Deployment has to have. One that replaces another has as many as that.
func (a sides) size(t Target) int32 {
	if a.dying != nil {
		return max(t.Updated, ptr.Deref(a.dying.Spec.Replicas, 1))
	}
	return t.Updated
}

// replace puts another in a canary's place; without a canary it does nothing.
func (o *Objects) replace(canary, by *appsv1.Deployment) {
	if i := slices.Index(o.Canaries, canary); i >= 0 && canary != nil {
		o.Canaries[i] = by
	}
}

// Free restores the Deployment. It rolls to the template by itself, while the canary's pods still serve.
func (c canaryDeployment) Free(o Objects) client.Object {
	freed, _ := c.deployment.Free(apart(o, "").own).(*appsv1.Deployment)
	return onTheWay(freed)
}

func (c canaryDeployment) Leave(o Objects) client.Object {
	left, _ := c.deployment.Leave(apart(o, "").own).(*appsv1.Deployment)
	return onTheWay(left)
}

// onTheWay takes the note off a Deployment that does not have all of its strategy yet: it is read no more.
func onTheWay(d *appsv1.Deployment) *appsv1.Deployment {
	if _, engaged := originalOf(d); engaged {
		withoutNote(d)
	}
	return d
}

func (c canaryDeployment) Unstick(o Objects, s State, policy v1beta1.FinalizingPolicyType) Objects {
	unstuck := c.deployment.Unstick(apart(o, "").own, s, policy)
	o.Sets = slices.Clone(o.Sets)
	for i, set := range o.Sets {
		if at := slices.IndexFunc(unstuck.Sets, func(u *appsv1.ReplicaSet) bool { return u.UID == set.UID }); at >= 0 {
			o.Sets[i] = unstuck.Sets[at]
		}
	}
	return o
}

// LetGo returns a canary Deployment without the finalizer that keeps its pods when someone deletes it.
func LetGo(canary *appsv1.Deployment) *appsv1.Deployment {
	if canary == nil {
		return nil
	}
	free := canary.DeepCopy()
	free.Finalizers = slices.DeleteFunc(free.Finalizers, func(f string) bool { return f == v1beta1.FinalizerCanaryDeployment })
	return free
}

// Terminating reports whether all that is left of a deleted canary Deployment are pods that are on their way out, so that
// no request gets there any more. Until its ReplicaSets have been marked for deletion, they may make pods.
func Terminating(canary *appsv1.Deployment, o Objects) bool {
	if canary.DeletionTimestamp == nil {
		return false
	}
	marked := map[types.UID]bool{}
	for _, set := range o.Sets {
		if controllerOf(set) != canary.UID {
			continue
		}
		if set.DeletionTimestamp == nil {
			return false
		}
		marked[set.UID] = true
	}
	serves := func(pod *corev1.Pod) bool { return marked[controllerOf(pod)] && pod.DeletionTimestamp == nil }
	return len(marked) > 0 && !slices.ContainsFunc(o.Pods, serves)
}
