// SPDX-License-Identifier: Apache-2.0

package workload

import (
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kruise.io/rollouts/api/v1beta1"
)

// claim is the control-info of the release of these tests.
const claim = `{"uid":"br"}`

// newHeld is a Deployment at v2 that admission has held.
func newHeld(strategy appsv1.DeploymentStrategy) *appsv1.Deployment {
	d := newDeployment("v2", strategy)
	o, _ := originalOf(d)
	o.hold(d)
	return d
}

// move lets the driver check a Deployment, its sets and as many ready pods of v2 as said, and move it.
func move(d *appsv1.Deployment, sets []*appsv1.ReplicaSet, ready int32, target Target) Objects {
	o := Objects{Workload: d, Sets: sets}
	s := deployment{}.State(o, time.Unix(0, 0))
	s.UpdatedReady = ready
	target.Claim = claim
	return deployment{}.Move(o, s, target)
}

// native plays what the native controller does about minReadySeconds: it passes them on to the new set, although paused.
func native(d *appsv1.Deployment, set *appsv1.ReplicaSet) {
	set.Spec.MinReadySeconds = d.Spec.MinReadySeconds
	set.Generation++
	set.Status.ObservedGeneration = set.Generation
	set.Status.AvailableReplicas = 0
}

// stateOf names the state of a Deployment as the design does.
func stateOf(d *appsv1.Deployment) string {
	switch never := d.Spec.MinReadySeconds == neverReady; {
	case d.Spec.Paused && never:
		return "armed"
	case d.Spec.Paused:
		return "held"
	case never:
		return "moving"
	default:
		return "free"
	}
}

// TestMoveThroughTheStates follows a Deployment of ten pods through two batches.
func TestMoveThroughTheStates(t *testing.T) {
	t.Parallel()
	v1 := newSet("v1", 10, "1")
	d := newHeld(rolling(pods(2), pods(1)))
	look := func(sets []*appsv1.ReplicaSet, ready int32, target Target, want string, surge, unavailable int) *appsv1.Deployment {
		t.Helper()
		next, _ := move(d, sets, ready, target).Workload.(*appsv1.Deployment)
		r := next.Spec.Strategy.RollingUpdate
		if stateOf(next) != want || r.MaxSurge.IntValue() != surge || r.MaxUnavailable.IntValue() != unavailable {
			t.Fatalf("%s, surge %s, unavailable %s, want %s, %d, %d", stateOf(next), r.MaxSurge, r.MaxUnavailable, want, surge, unavailable)
		}
		if next.Annotations[v1beta1.AnnotationControlInfo] != claim {
			t.Fatalf("claimed by %q", next.Annotations[v1beta1.AnnotationControlInfo])
		}
		return next
	}
	// The first batch of one needs no arming: there is no new pod yet.
	d = look([]*appsv1.ReplicaSet{v1}, 0, Target{Updated: 1}, "moving", 0, 1)
	v2 := newSet("v2", 1, "2")
	native(d, v2)
	v1.Spec.Replicas = new(int32(9))
	sets := []*appsv1.ReplicaSet{v1, v2}
	d = look(sets, 0, Target{Updated: 1}, "moving", 0, 1)
	d = look(sets, 1, Target{Updated: 1, Rest: true}, "held", 0, 1)
	d = look(sets, 1, Target{Updated: 1, Rest: true}, "held", 0, 1)
	d = look(sets, 1, Target{Updated: 1}, "held", 0, 1) // nothing is left to do

	// The second batch of five is armed first, because the pod of the first would count as available.
	v2.Spec.MinReadySeconds, v2.Status.AvailableReplicas = 0, 1
	d = look(sets, 1, Target{Updated: 5}, "armed", 0, 1)
	d = look(sets, 1, Target{Updated: 5}, "armed", 0, 1)
	v2.Spec.MinReadySeconds = neverReady
	v2.Generation++
	d = look(sets, 1, Target{Updated: 5}, "armed", 0, 1) // told, and not done yet
	native(d, v2)
	d = look(sets, 1, Target{Updated: 5}, "moving", 2, 2)
	v1.Spec.Replicas, v2.Spec.Replicas = new(int32(8)), new(int32(4))
	d = look(sets, 1, Target{Updated: 5}, "moving", 2, 2)

	// Stopped now, it keeps the two pods above ten: the native controller would take stable ones, which are ready.
	moving := d
	d = look(sets, 1, Target{Back: true}, "held", 2, 1)
	d = look([]*appsv1.ReplicaSet{newSet("v1", 12, "1"), newSet("v2", 0, "2")}, 0, Target{Back: true}, "held", 0, 1)
	d = moving

	d = look(sets, 3, Target{Updated: 5}, "moving", 1, 4)
	d = look(sets, 2, Target{Updated: 5}, "moving", 1, 4) // one failed: nothing is taken back
	d = look(sets, 4, Target{Updated: 5}, "moving", 0, 5)
	d = look(sets, 5, Target{Updated: 5, Rest: true}, "held", 0, 1)

	// A batch that asks for fewer than there are changes nothing.
	v1.Spec.Replicas, v2.Spec.Replicas = new(int32(5)), new(int32(5))
	look(sets, 5, Target{Updated: 2}, "held", 0, 1)
}

// TestMoveYields checks that pods of a version in between are made the first to go before anything moves.
func TestMoveYields(t *testing.T) {
	t.Parallel()
	v1, between := newSet("v1", 3, "1"), newSet("v15", 2, "2")
	d := newHeld(rolling(pods(1), pods(0)))
	d.Spec.Replicas = new(int32(5))
	sets := []*appsv1.ReplicaSet{v1, between}
	next := move(d, sets, 0, Target{Updated: 1, Stable: "v1"})
	if got := stateOf(next.Workload.(*appsv1.Deployment)); got != "held" {
		t.Errorf("%s before the pods in between have yielded", got)
	}
	if next.Sets[0] != v1 || next.Sets[1].Spec.MinReadySeconds != neverReady || between.Spec.MinReadySeconds != 0 {
		t.Errorf("yielded: %+v", next.Sets)
	}
	between = next.Sets[1]
	between.Generation++
	sets = next.Sets
	if got := stateOf(move(d, sets, 0, Target{Updated: 1, Stable: "v1"}).Workload.(*appsv1.Deployment)); got != "held" {
		t.Errorf("%s although the ReplicaSet has not seen it yet", got)
	}
	between.Status.ObservedGeneration, between.Status.AvailableReplicas = between.Generation, 0
	if got := stateOf(move(d, sets, 0, Target{Updated: 1, Stable: "v1"}).Workload.(*appsv1.Deployment)); got != "moving" {
		t.Errorf("%s although all have yielded", got)
	}
	if got := stateOf(move(d, []*appsv1.ReplicaSet{v1, newSet("v15", 2, "2")}, 0, Target{Updated: 1}).Workload.(*appsv1.Deployment)); got != "moving" {
		t.Errorf("%s without knowing which version is stable: nobody can yield", got)
	}
}

// TestMoveUnfilled restores pods to a stable set that scaling to 0 and back has left with none: the new one is full, and
// the native controller would take them away again, were it also complete.
func TestMoveUnfilled(t *testing.T) {
	t.Parallel()
	const desired = "deployment.kubernetes.io/desired-replicas"
	v1, v2 := newSet("v1", 0, "1"), newSet("v2", 5, "2")
	v2.Annotations[desired] = "5"
	d := newHeld(rolling(pods(1), pods(0)))
	d.Spec.Replicas, d.Spec.Paused = new(int32(5)), true
	target := Target{Updated: 1, Limit: new(int32(1)), Stable: "v1"}
	next := move(d, []*appsv1.ReplicaSet{v1, v2}, 5, target)
	if next.Sets[0] != v1 || *next.Sets[1].Spec.Replicas != 5 || next.Sets[1].Annotations[desired] == "5" || v2.Annotations[desired] != "5" {
		t.Fatalf("a full set is to be made incomplete first, and that alone: %+v", next.Sets)
	}
	next = move(d, next.Sets, 5, target)
	if a, b := *next.Sets[0].Spec.Replicas, *next.Sets[1].Spec.Replicas; a == 0 || a+b != 5 {
		t.Errorf("then pods are given back: %d and %d", a, b)
	}
}

// TestMoveOfNothing checks Deployments without pods.
func TestMoveOfNothing(t *testing.T) {
	t.Parallel()
	d := newHeld(rolling(pods(1), pods(1)))
	d.Spec.Replicas = new(int32(0))
	next, _ := move(d, nil, 0, Target{Updated: 0}).Workload.(*appsv1.Deployment)
	if r := next.Spec.Strategy.RollingUpdate; r.MaxSurge.IntValue() == 0 && r.MaxUnavailable.IntValue() == 0 {
		t.Error("both limits are 0, which the API server refuses")
	}
}

func TestState(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	pod := func(name string, owner *appsv1.ReplicaSet, readySince time.Time, more ...func(*corev1.Pod)) *corev1.Pod {
		p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, OwnerReferences: []metav1.OwnerReference{{UID: owner.UID, Controller: new(true)}}}}
		if !readySince.IsZero() {
			p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue, LastTransitionTime: metav1.NewTime(readySince)}}
		}
		for _, f := range more {
			f(p)
		}
		return p
	}
	waiting := func(reason string) func(*corev1.Pod) {
		return func(p *corev1.Pod) {
			p.Status.ContainerStatuses = []corev1.ContainerStatus{{State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason}}}}
		}
	}
	v1, v2 := newSet("v1", 8, "1"), newSet("v2", 2, "2")
	d := newHeld(rolling(nil, nil))
	d.Labels = map[string]string{v1beta1.LabelStableRevision: "v1", v1beta1.LabelRolloutID: "7", v1beta1.LabelWorkloadType: "deployment"}
	d.Annotations[v1beta1.AnnotationInProgressing] = "true"
	d.Annotations[v1beta1.AnnotationControlInfo] = claim

	type view struct {
		Stable, Update               string
		Updated, UpdatedReady, Other int32
		Stale, Complete, Changing    bool
		Held, Engaged                bool
		Claim                        string
		ReadyAt                      time.Time
		Trouble, Pods                int
	}
	for name, c := range map[string]struct {
		d    *appsv1.Deployment
		sets []*appsv1.ReplicaSet
		pods []*corev1.Pod
		want view
	}{
		"held, counts of the set": {d, []*appsv1.ReplicaSet{v1, v2}, nil, view{Stable: "v1", Update: "v2", Updated: 2, UpdatedReady: 2, Other: 8, Changing: true, Held: true, Engaged: true, Claim: "br"}},
		"held, no pod was made":   {d, []*appsv1.ReplicaSet{v1}, nil, view{Stable: "v1", Other: 8, Changing: true, Held: true, Engaged: true, Claim: "br"}},
		"pods count, not the set": {
			d,
			[]*appsv1.ReplicaSet{v1, v2},
			[]*corev1.Pod{
				pod("old", v1, now), pod("ready", v2, now), pod("starting", v2, time.Time{}),
				pod("failed", v2, time.Time{}, func(p *corev1.Pod) { p.Status.Phase = corev1.PodFailed }),
				pod("going", v2, now, func(p *corev1.Pod) { p.DeletionTimestamp = &metav1.Time{Time: now} }),
				pod("bad", v2, time.Time{}, waiting("ImagePullBackOff")), pod("creating", v2, time.Time{}, waiting("ContainerCreating")),
			},
			view{Stable: "v1", Update: "v2", Updated: 4, UpdatedReady: 1, Other: 8, Changing: true, Held: true, Engaged: true, Claim: "br", Trouble: 1, Pods: 4},
		},
		"minReadySeconds of the user count": {
			func() *appsv1.Deployment {
				d := newDeployment("v2", rolling(nil, nil))
				d.Spec.MinReadySeconds = 30
				o, _ := originalOf(d)
				o.hold(d)
				return d
			}(),
			[]*appsv1.ReplicaSet{v2},
			[]*corev1.Pod{pod("a", v2, now.Add(-30*time.Second)), pod("b", v2, now.Add(-29*time.Second)), pod("c", v2, now)},
			view{Update: "v2", Updated: 3, UpdatedReady: 1, Held: true, Engaged: true, ReadyAt: now.Add(time.Second), Pods: 3},
		},
		"not seen by its controller": {func() *appsv1.Deployment { d := newDeployment("v1", rolling(nil, nil)); d.Generation = 2; return d }(), []*appsv1.ReplicaSet{v1}, nil, view{Update: "v1", Updated: 8, UpdatedReady: 8, Stale: true}},
		"at rest, complete": {
			func() *appsv1.Deployment {
				d := newDeployment("v1", rolling(nil, nil))
				d.Status = appsv1.DeploymentStatus{ObservedGeneration: 1, Replicas: 10, UpdatedReplicas: 10, AvailableReplicas: 10}
				return d
			}(),
			[]*appsv1.ReplicaSet{newSet("v1", 10, "2"), newSet("v0", 0, "1")},
			nil,
			view{Update: "v1", Updated: 10, UpdatedReady: 10, Complete: true},
		},
		"several active sets: the lowest revision is stable": {newDeployment("v3", rolling(nil, nil)), []*appsv1.ReplicaSet{newSet("v2", 5, "11"), newSet("v1", 5, "9"), newSet("v3", 0, "12")}, nil, view{Stable: "v1", Update: "v3", Other: 10}},
		"annotations lost while moving": {func() *appsv1.Deployment {
			d := newDeployment("v1", rolling(nil, nil))
			d.Spec.MinReadySeconds = neverReady
			return d
		}(), nil, nil, view{Engaged: true}},
		"annotations that do not parse": {
			func() *appsv1.Deployment {
				d := newDeployment("v1", rolling(nil, nil))
				d.Annotations = map[string]string{v1beta1.AnnotationOriginalStrategy: "{", v1beta1.AnnotationControlInfo: "[", v1beta1.AnnotationDeploymentStrategy: "1"}
				return d
			}(), nil, nil, view{},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := deployment{}.State(Objects{Workload: c.d, Sets: c.sets, Pods: c.pods}, now)
			got := view{s.Stable, s.Update, s.Updated, s.UpdatedReady, s.Others, s.Stale, s.Complete, s.Changing, s.Held, s.Engaged, string(s.Claim), s.ReadyAt, len(s.Trouble), len(s.UpdatedPods)}
			if got != c.want {
				t.Errorf("\n got %+v\nwant %+v", got, c.want)
			}
		})
	}
}

// TestUnstuck: a Deployment that is scaled to the size of its only active ReplicaSet keeps the native controller waiting
// for a scaling that never comes.
func TestUnstuck(t *testing.T) {
	t.Parallel()
	set := func(size int32, desired string) *appsv1.ReplicaSet {
		return &appsv1.ReplicaSet{
			ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{desiredReplicas: desired}},
			Spec:       appsv1.ReplicaSetSpec{Replicas: &size},
		}
	}
	for name, c := range map[string]struct {
		sets []*appsv1.ReplicaSet
		want bool
	}{
		"scaled to the size of the only one":       {[]*appsv1.ReplicaSet{set(1, "2"), set(0, "2")}, true},
		"another size: the native one scales it":   {[]*appsv1.ReplicaSet{set(2, "2"), set(0, "2")}, false},
		"known already":                            {[]*appsv1.ReplicaSet{set(1, "1"), set(0, "2")}, false},
		"two are active: they share in proportion": {[]*appsv1.ReplicaSet{set(1, "2"), set(1, "2")}, false},
		"none is active":                           {[]*appsv1.ReplicaSet{set(0, "2")}, false},
		"never sized":                              {[]*appsv1.ReplicaSet{set(1, "")}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			before := c.sets[0]
			if got := unstuck(c.sets, 1); got != c.want {
				t.Fatalf("%v, want %v", got, c.want)
			}
			if changed := c.sets[0] != before; changed != c.want || c.want && c.sets[0].Annotations[desiredReplicas] != "1" {
				t.Errorf("changed %v: %v", changed, c.sets[0].Annotations)
			}
		})
	}
}
