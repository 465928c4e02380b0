// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
)

// ordered is one pass over a StatefulSet of either group.
type ordered struct {
	*workload
	ordinals       []int // that there are to be, lowest first
	parallel       bool
	rolling        bool // else a pod is updated when somebody deletes it
	paused         bool
	unordered      bool // pods are updated in the order in which they can be spared
	partition      int  // pods that stay as they are, lowest first
	maxUnavailable int
	advanced       bool // pods not updated yet count as unavailable, too
}

// SyncStatefulSet does what the native StatefulSet controller does, and returns when the next pod becomes available.
func (c *Cluster) SyncStatefulSet(ctx context.Context, set *appsv1.StatefulSet) (next time.Time, err error) {
	o := &ordered{
		workload: &workload{
			Cluster: c, object: set, kind: appsv1.SchemeGroupVersion.WithKind("StatefulSet"), template: set.Spec.Template,
			minReady: time.Duration(set.Spec.MinReadySeconds) * time.Second, keep: int(ptr.Deref(set.Spec.RevisionHistoryLimit, 10)),
		},
		parallel:       set.Spec.PodManagementPolicy == appsv1.ParallelPodManagement,
		rolling:        set.Spec.UpdateStrategy.Type != appsv1.OnDeleteStatefulSetStrategyType,
		maxUnavailable: 1,
	}
	start := 0
	if set.Spec.Ordinals != nil {
		start = int(set.Spec.Ordinals.Start)
	}
	for i := range int(ptr.Deref(set.Spec.Replicas, 1)) {
		o.ordinals = append(o.ordinals, start+i)
	}
	if r := set.Spec.UpdateStrategy.RollingUpdate; r != nil {
		o.partition = max(0, int(ptr.Deref(r.Partition, 0))-start)
		o.maxUnavailable = max(1, scaled(*intstr.ValueOrDefault(r.MaxUnavailable, intstr.FromInt32(1)), len(o.ordinals)))
	}
	if err := o.load(ctx, set.Status.CurrentRevision); err != nil {
		return next, err
	}
	n := o.count()
	status := appsv1.StatefulSetStatus{
		ObservedGeneration: set.Generation, Replicas: int32(n.all), ReadyReplicas: int32(n.ready), AvailableReplicas: int32(n.available), //nolint:gosec // counts of pods
		CurrentReplicas: int32(n.current), UpdatedReplicas: int32(n.updated), //nolint:gosec // counts of pods
		CurrentRevision: o.currentName(n), UpdateRevision: o.update.Name, CollisionCount: set.Status.CollisionCount, Conditions: set.Status.Conditions,
	}
	if status.CurrentRevision == status.UpdateRevision {
		status.CurrentReplicas = status.UpdatedReplicas
	}
	if set.DeletionTimestamp == nil {
		if err := o.sync(ctx); err != nil {
			return o.next, err
		}
	}
	if equality.Semantic.DeepEqual(set.Status, status) {
		return o.next, nil
	}
	set.Status = status
	return o.next, ignoreRace(c.Client.Status().Update(ctx, set))
}

// counts are pods, counted for a status.
type counts struct {
	all, ready, available, current, updated, updatedReady, updatedAvailable int
}

// count counts the pods. Those that go are there until they are gone, and of no revision any more.
func (w *workload) count() counts {
	n := counts{}
	for _, pod := range w.pods {
		n.all++
		_, ready := readySince(pod)
		available := w.available(pod)
		updated := pod.DeletionTimestamp == nil && w.updated(pod)
		for _, c := range []struct {
			is bool
			n  *int
		}{
			{ready, &n.ready},
			{available, &n.available},
			{pod.DeletionTimestamp == nil && w.of(pod, w.current.Name), &n.current},
			{updated, &n.updated},
			{updated && ready, &n.updatedReady},
			{updated && available, &n.updatedAvailable},
		} {
			if c.is {
				*c.n++
			}
		}
	}
	return n
}

// currentName is the revision to call the current one: the newest once all pods are of it and ready.
func (o *ordered) currentName(n counts) string {
	if o.rolling && n.updated == n.all && n.ready == n.all && n.all == len(o.ordinals) {
		return o.update.Name
	}
	return o.current.Name
}

func (o *ordered) sync(ctx context.Context) error {
	byOrdinal := map[int]*corev1.Pod{}
	var condemned []*corev1.Pod
	for _, pod := range o.pods {
		n, ok := ordinalOf(pod, o.object.GetName())
		switch {
		case !ok:
		case slices.Contains(o.ordinals, n):
			byOrdinal[n] = pod
		default:
			condemned = append(condemned, pod)
		}
	}
	slices.SortFunc(condemned, func(a, b *corev1.Pod) int {
		x, _ := ordinalOf(a, o.object.GetName())
		y, _ := ordinalOf(b, o.object.GetName())
		return y - x
	})
	if settled, err := o.fill(ctx, byOrdinal); err != nil || !settled {
		return err
	}
	if settled, err := o.shrink(ctx, condemned); err != nil || !settled {
		return err
	}
	if !o.rolling || o.paused || len(byOrdinal) < len(o.ordinals) {
		return nil
	}
	return o.remove(ctx, o.outdated(byOrdinal)...)
}

// fill makes the pods that are not there, each after the one before it is well, or all at once. false: it waits for one.
func (o *ordered) fill(ctx context.Context, there map[int]*corev1.Pod) (bool, error) {
	old := 0
	for _, pod := range there {
		if !o.updated(pod) {
			old++
		}
	}
	var missing, failed []*corev1.Pod
	for i, ordinal := range o.ordinals {
		pod := there[ordinal]
		switch {
		case pod == nil:
			r := o.update
			if o.rolling && (i < o.partition && !o.unordered || o.unordered && old < o.partition) {
				r = o.current
				old++
			}
			pod := o.make(r, fmt.Sprintf("%s-%d", o.object.GetName(), ordinal))
			pod.Labels[appsv1.StatefulSetPodNameLabel] = pod.Name
			pod.Labels[appsv1.PodIndexLabel] = strconv.Itoa(ordinal)
			pod.Spec.Hostname = pod.Name
			missing = append(missing, pod)
		case ended(pod) && pod.DeletionTimestamp == nil:
			failed = append(failed, pod)
		case o.parallel || o.available(pod):
			continue
		}
		if !o.parallel {
			break
		}
	}
	waits := len(missing)+len(failed) > 0
	for _, pod := range there {
		waits = waits || !o.parallel && !o.available(pod)
	}
	if err := firstError(o.remove(ctx, failed...), o.create(ctx, missing...)); err != nil {
		return false, err
	}
	return o.parallel || !waits, nil
}

// shrink deletes pods that are too many, the highest first. false: it waits for one.
func (o *ordered) shrink(ctx context.Context, condemned []*corev1.Pod) (bool, error) {
	if len(condemned) == 0 {
		return true, nil
	}
	if !o.parallel {
		return false, o.remove(ctx, firstActive(condemned[:1])...)
	}
	return true, o.remove(ctx, firstActive(condemned)...)
}

// firstActive leaves out what goes already.
func firstActive(pods []*corev1.Pod) []*corev1.Pod {
	return slices.DeleteFunc(slices.Clone(pods), func(pod *corev1.Pod) bool { return pod.DeletionTimestamp != nil })
}

// outdated are the pods to delete now, so that they come back updated: from the highest down, as many as may be unavailable.
func (o *ordered) outdated(there map[int]*corev1.Pod) []*corev1.Pod {
	var pods []*corev1.Pod
	unavailable := 0
	for i, ordinal := range slices.Backward(o.ordinals) {
		pod := there[ordinal]
		if o.advanced && !o.available(pod) {
			unavailable++
		}
		if i >= o.partition || o.unordered {
			pods = append(pods, pod)
		}
	}
	most := math.MaxInt
	if o.unordered {
		slices.SortStableFunc(pods, o.expendable)
		most = len(o.ordinals) - o.partition
		for _, pod := range pods {
			if o.updated(pod) || pod.DeletionTimestamp != nil {
				most--
			}
		}
	}
	var gone []*corev1.Pod
	for _, pod := range pods {
		available := o.available(pod)
		switch {
		case o.updated(pod) || pod.DeletionTimestamp != nil:
			if !available && !o.advanced {
				unavailable++
			}
			continue
		case len(gone) >= most:
			continue
		case available && unavailable >= o.maxUnavailable, !available && !o.advanced && unavailable >= o.maxUnavailable:
			if o.unordered {
				continue
			}
			return gone
		case available || !o.advanced:
			unavailable++
		}
		gone = append(gone, pod)
	}
	return gone
}

func ordinalOf(pod *corev1.Pod, set string) (int, bool) {
	text, ok := strings.CutPrefix(pod.Name, set+"-")
	n, err := strconv.Atoi(text)
	return n, ok && err == nil && n >= 0
}
