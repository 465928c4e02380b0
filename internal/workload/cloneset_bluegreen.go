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

	"kruise.io/rollouts/api/v1beta1"
)

// blueGreenCloneSet runs a second set of pods beside the first, made by the CloneSet's own controller: it may surge as far
// as the batch says and take nothing away, and because nothing new ever counts as available it stops there.
type blueGreenCloneSet struct{ partitioned }

func newBlueGreenCloneSet(gvk schema.GroupVersionKind) Driver {
	p := cloneSet(gvk)
	p.fields = cloneSetFields(gvk)
	return blueGreenCloneSet{p}
}

func (b blueGreenCloneSet) State(o Objects, now time.Time) State {
	s := b.partitioned.State(o, now)
	s.Beside, s.KeepsOne = true, false
	u, _ := o.Workload.(*unstructured.Unstructured)
	if own, engaged := b.fields.originals(u); engaged && o.Pods != nil && !s.Blind {
		seconds, _ := own["minReadySeconds"].(int64)
		s.readRevision(o.Pods, u, seconds, now)
	}
	return s
}

// Hold pauses where two sets stand already: with a partition its own controller would take one for too many.
func (b blueGreenCloneSet) Hold(o Objects, old client.Object, rollout, recorded string) client.Object {
	edited, _ := o.Workload.(*unstructured.Unstructured)
	before, _ := old.(*unstructured.Unstructured)
	held, _ := b.partitioned.Hold(o, old, rollout, recorded).(*unstructured.Unstructured)
	if b.stand(before) {
		kept := b.fields.keep(edited, before)
		for name, value := range b.fields.of(held) {
			if name == "partition" {
				value = b.fields.of(kept)[name]
			}
			b.fields.put(held, name, value)
		}
		b.fields.put(held, "paused", true)
	}
	return held
}

// stand tells whether a second set was let come.
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
	if _, engaged := b.fields.originals(have); !engaged {
		b.fields.hold(u, b.fields.of(have), b.held)
	} else if u.GetAnnotations()[v1beta1.AnnotationOriginalStrategy] == "" {
		originals, _ := b.fields.originals(have)
		originals.remember(u)
	}
	between := between(u, s, t)
	paused, _ := b.fields.of(have)["paused"].(bool)
	switch {
	case t.Back:
		b.fields.put(u, "paused", true)
		next.Pods = surplus(o.Pods, u, s, func(pod *corev1.Pod) bool { return slices.Contains(s.UpdatedPods, pod) })
	case len(surplus(o.Pods, u, s, between)) < len(o.Pods):
		b.fields.put(u, "paused", true) // pods of a version in between go before new ones come
		next.Pods = surplus(o.Pods, u, s, between)
	default:
		surge := surgeFor(t, s.Replicas)
		if was := b.fields.of(have)["maxSurge"]; !b.stand(have) || paused || kept(was, s.Replicas) < t.Updated {
			b.fields.put(u, "maxSurge", jsonOf(surge))
		}
		if t.Updated > 0 {
			b.fields.put(u, "partition", int64(0))
			b.fields.put(u, "paused", false)
		}
		b.fields.put(u, "maxUnavailable", int64(0))
		b.fields.put(u, "minReadySeconds", int64(neverReady))
	}
	return next
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
