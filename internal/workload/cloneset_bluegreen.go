// SPDX-License-Identifier: Apache-2.0

package workload

import (
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// blueGreenCloneSet runs a second set of pods next to the first, made by the CloneSet's own controller: it may surge as far
// as the batch says and take nothing away, and because nothing new ever counts as available it stops there.
type blueGreenCloneSet struct{ partitioned }

func newBlueGreenCloneSet(gvk schema.GroupVersionKind) Driver {
	p := cloneSet(gvk)
	p.fields = cloneSetFields(gvk)
	return blueGreenCloneSet{p}
}

func (b blueGreenCloneSet) State(o Objects, now time.Time) State {
	s := b.partitioned.State(o, now)
	s.Beside = true
	s.NewcomersNew = true // a partition that kept newcomers old would take the second set for too many
	u, _ := o.Workload.(*unstructured.Unstructured)
	if own, engaged := b.fields.originals(u); engaged && o.Pods != nil && !s.Blind {
		seconds, _ := own["minReadySeconds"].(int64)
		s.readRevision(o.Pods, u, seconds, now)
		if b.stand(u) {
			s.Ceiling = ceiling(s.Replicas, s.Updated, s.Others)
			for s.Lifted = s.Replicas; ceiling(s.Lifted, s.Updated, s.Others) < s.Replicas; {
				s.Lifted++
			}
		}
	}
	return s
}

// ceiling is how many new pods a CloneSet has at most next to old ones that no one takes away: it makes no more pods next to
// the others than are missing of the new version, so a set that was complete is not completed anew when it is scaled out a
// little or loses pods (sandbox/kruise_test.go).
func ceiling(replicas, updated, old int32) int32 {
	missing := max(0, replicas-updated)
	return updated + max(0, replicas+min(old, missing)-updated-old)
}

// Hold pauses where two sets stand already: with a partition its own controller would take one for too many.
func (b blueGreenCloneSet) Hold(o Objects, old client.Object, rollout, recorded string) client.Object {
	before, _ := old.(*unstructured.Unstructured)
	held, _ := b.partitioned.Hold(o, old, rollout, recorded).(*unstructured.Unstructured)
	if b.stand(before) {
		b.fields.want(held, "partition", b.fields.of(before)["partition"])
		b.fields.want(held, "paused", true)
	}
	return held
}

// stand reports whether a second set was let come.
func (b blueGreenCloneSet) stand(u *unstructured.Unstructured) bool {
	_, engaged := b.fields.originals(u)
	return engaged && number64(u, b.fields["minReadySeconds"]...) == int64(neverReady)
}

func (b blueGreenCloneSet) Move(o Objects, s State, t Target) Objects {
	have, _ := o.Workload.(*unstructured.Unstructured)
	u := have.DeepCopy()
	next := o
	next.Workload = u
	own(u, t)
	b.engage(u, have)
	superseded := surplus(o.Pods, u, s, between(u, s, t))
	paused, _ := b.fields.of(have)["paused"].(bool)
	switch {
	case t.Back:
		b.fields.want(u, "paused", true)
		next.Pods = surplus(o.Pods, u, s, s.updated)
	case len(superseded) < len(o.Pods):
		b.fields.want(u, "paused", true) // pods of a version in between go before new ones come
		next.Pods = superseded
	default:
		surge := surgeFor(reachable(t, s.Replicas), s.Replicas)
		if was := b.fields.of(have)["maxSurge"]; !b.stand(have) || paused || kept(was, s.Replicas) < t.Updated {
			b.fields.want(u, "maxSurge", jsonOf(surge))
		}
		if t.Updated > 0 {
			b.fields.want(u, "partition", int64(0))
			b.fields.want(u, "paused", false)
		}
		b.fields.want(u, "maxUnavailable", int64(0))
		b.fields.want(u, "minReadySeconds", int64(neverReady))
		if b.stand(have) {
			next.Pods = scaledIn(o.Pods, u, s)
		}
	}
	return next
}

// scaledIn returns pods without those that are too many of either version. The CloneSet's own controller, to which none of
// them counts as available, takes none away when it is scaled in, and makes no new ones while they stand.
func scaledIn(pods []*corev1.Pod, w client.Object, s State) []*corev1.Pod {
	tooMany := map[bool]int32{true: s.Updated - s.Replicas, false: s.Others - s.Replicas}
	var gone []*corev1.Pod
	for _, pod := range slices.SortedStableFunc(slices.Values(pods), expendable) {
		version := s.updated(pod)
		if active(pod) && controllerOf(pod) == w.GetUID() && tooMany[version] > 0 {
			tooMany[version]--
			gone = append(gone, pod)
		}
	}
	return without(pods, gone)
}

// reachable is a target from which later batches can be reached, too. A CloneSet makes no more pods next to the others than are
// missing of the new version, so a second set of n pods grows to the rest of all at most, and one that is to be larger
// later has to come whole (sandbox/kruise_test.go). Nor may it be asked to surge by nothing while nothing may be missing.
func reachable(t Target, replicas int32) Target {
	t.Most = min(t.Most, replicas)
	if want := max(1, t.Updated); want != t.Updated {
		t.Batch, t.Updated = intstr.FromInt32(want), want
	} else if t.Most > want && t.Most > replicas-want {
		t.Batch, t.Updated = intstr.FromInt32(t.Most), t.Most
		if t.Most == replicas {
			t.Batch = intstr.FromString("100%")
		}
	}
	return t
}

// surplus returns pods without those that go, as far as there are more than asked for: nothing takes their places.
func surplus(pods []*corev1.Pod, w client.Object, s State, goes func(*corev1.Pod) bool) []*corev1.Pod {
	room := -s.Replicas
	for _, pod := range pods {
		if active(pod) && controllerOf(pod) == w.GetUID() {
			room++
		}
	}
	return slices.DeleteFunc(slices.Clone(pods), func(pod *corev1.Pod) bool {
		if room <= 0 || !goes(pod) {
			return false
		}
		room--
		return true
	})
}

// jsonOf is a number or a percentage as unstructured objects have it.
func jsonOf(v intstr.IntOrString) any {
	if v.Type == intstr.String {
		return v.StrVal
	}
	return int64(v.IntVal)
}
