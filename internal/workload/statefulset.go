// SPDX-License-Identifier: Apache-2.0

package workload

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"kruise.io/rollouts/api/v1beta1"
)

// holdsAll is a partition above the number of any pod. Other tools of this API group hold with it, too.
const holdsAll int64 = 32767

// Types of an update strategy, of all kinds that have one.
const (
	rollingUpdate = "RollingUpdate"
	onDelete      = "OnDelete"
)

// statefulSet drives StatefulSets of both groups, and whatever looks like one: a partition below
// spec.updateStrategy.rollingUpdate, and full names of revisions in the status.
type statefulSet struct{ partitioned }

func newStatefulSet(gvk schema.GroupVersionKind) Driver {
	p := partitioned{
		gvk:      gvk,
		fields:   strategyFields("partition"),
		held:     values{"partition": holdsAll, "type": rollingUpdate},
		replicas: specReplicas,
		revisions: func(u *unstructured.Unstructured) (stable, update string) {
			return text(u, "status", "currentRevision"), text(u, "status", "updateRevision")
		},
		partition: func(u *unstructured.Unstructured, s State, t Target) any {
			updated := t.Updated
			if !unordered(u) { // those that are at the revision already have the lowest numbers
				updated -= t.Had
			}
			return int64(max(0, s.Replicas-updated))
		},
		excess:      excessOrdinals,
		unavailable: maxUnavailable,
		minReady:    []string{"spec", "minReadySeconds"},
		minReadyToo: []string{"spec", "updateStrategy", "rollingUpdate", "minReadySeconds"},
	}
	if gvk.Group == kruiseGroup {
		p.fields, p.held["paused"] = strategyFields("partition", "paused"), false
	}
	return statefulSet{p}
}

// strategyFields are the type of the update strategy, which has to roll in a release, and fields below it.
func strategyFields(names ...string) fields {
	f := fields{"type": {"spec", "updateStrategy", "type"}}
	for _, name := range names {
		f[name] = []string{"spec", "updateStrategy", "rollingUpdate", name}
	}
	return f
}

func maxUnavailable(u *unstructured.Unstructured, replicas int32) int32 {
	v, _, _ := unstructured.NestedFieldNoCopy(u.Object, "spec", "updateStrategy", "rollingUpdate", "maxUnavailable")
	return allowed(v, "1", replicas)
}

// unordered: an Advanced StatefulSet updates its pods in whatever order costs least.
func unordered(u *unstructured.Unstructured) bool {
	return has(u, "spec", "updateStrategy", "rollingUpdate", "unorderedUpdate")
}

// excessOrdinals are the new pods in whose places the partition keeps old ones. Any other would come back as it was, or goes
// anyway since the set was made smaller, one after the other, and each only while all that stay are ready: to delete one of
// those again and again is to wait for ever.
func excessOrdinals(u *unstructured.Unstructured, s State, limit int32) []*corev1.Pod {
	places := kept(strategyFields("partition").of(u)["partition"], s.Replicas)
	if unordered(u) {
		places = s.Replicas
	}
	end := number64(u, "spec", "ordinals", "start") + int64(places)
	pods := slices.DeleteFunc(slices.Clone(s.UpdatedPods), func(pod *corev1.Pod) bool {
		n, ok := ordinal(pod)
		return !ok || n >= end
	})
	if unordered(u) { // the partition is a number of pods, whichever they are
		slices.SortFunc(pods, expendable)
		return pods[:max(0, len(pods)-int(limit))]
	}
	slices.SortFunc(pods, func(a, b *corev1.Pod) int {
		x, _ := ordinal(a)
		y, _ := ordinal(b)
		return cmp.Compare(x, y)
	})
	return pods
}

func (d statefulSet) Move(o Objects, s State, t Target) Objects {
	next := d.partitioned.Move(o, s, t)
	if t.Back {
		return next
	}
	u, _ := next.Workload.(*unstructured.Unstructured)
	first := number64(u, "spec", "ordinals", "start") + int64(kept(d.fields.of(u)["partition"], s.Replicas))
	return d.unblocked(next, s, func(pod *corev1.Pod) bool {
		n, ok := ordinal(pod)
		return unordered(u) || ok && n >= first
	})
}

// Unstick deletes broken pods of other revisions. A StatefulSet that starts its pods in order waits for a broken pod to
// become ready before it does anything, even before it replaces that very pod by one that works.
func (d statefulSet) Unstick(o Objects, s State, _ v1beta1.FinalizingPolicyType) Objects {
	return d.unblocked(o, s, func(*corev1.Pod) bool { return true })
}

// unblocked drops the pods that are in the way of all others: not ready, and of a revision that no one wants any more, or
// in trouble and to be replaced.
func (d statefulSet) unblocked(o Objects, s State, replaced func(*corev1.Pod) bool) Objects {
	u, _ := o.Workload.(*unstructured.Unstructured)
	if s.Stale || s.Update == "" || text(u, "spec", "podManagementPolicy") == "Parallel" {
		return o
	}
	o.Pods = slices.DeleteFunc(slices.Clone(o.Pods), func(pod *corev1.Pod) bool {
		if !active(pod) || Ready(pod) || controllerOf(pod) != u.GetUID() || AtRevision(pod, s.Update) {
			return false
		}
		return !AtRevision(pod, s.Stable) || replaced(pod) && trouble(pod) != ""
	})
	return o
}

// ordinal is the number at the end of a pod's name.
func ordinal(pod *corev1.Pod) (int64, bool) {
	n, err := strconv.ParseInt(pod.Name[strings.LastIndex(pod.Name, "-")+1:], 10, 64)
	return n, err == nil
}
