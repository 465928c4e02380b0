// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"context"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// clones is one pass over a CloneSet. Updates in place are played as updates by deletion.
type clones struct {
	*workload
	replicas       int
	partition      int // pods of old revisions that are to stay
	maxSurge       int
	maxUnavailable int
	paused         bool
	all            []*corev1.Pod // that count
	old            int           // of them
}

// SyncCloneSet does what OpenKruise's CloneSet controller is documented to do, and returns when the next pod becomes available.
func (c *Cluster) SyncCloneSet(ctx context.Context, u *unstructured.Unstructured) (next time.Time, err error) {
	w, err := c.readWorkload(u)
	if err != nil {
		return next, err
	}
	w.hashes = true
	s := &clones{workload: w, replicas: numberAt(u, 1, "spec", "replicas"), paused: strategyField(u, "paused") == true}
	s.partition = clonePartition(limitOf(strategyField(u, "partition"), "0"), s.replicas)
	s.maxSurge = scaled(limitOf(strategyField(u, "maxSurge"), "0"), s.replicas)
	s.maxUnavailable = scaled(limitOf(strategyField(u, "maxUnavailable"), "20%"), s.replicas)
	if err := s.load(ctx, textAt(u, "status", "currentRevision")); err != nil {
		return next, err
	}
	var dead []*corev1.Pod
	for _, pod := range s.pods {
		switch {
		case !active(pod):
			if pod.DeletionTimestamp == nil {
				dead = append(dead, pod)
			}
			continue
		case !s.updated(pod):
			s.old++
		}
		s.all = append(s.all, pod)
	}
	s.pods = s.all // those that go are not counted
	n := s.count()
	current := s.current.Name
	if n.updated == n.all && n.all == s.replicas {
		current = s.update.Name
	}
	status := map[string]any{
		"observedGeneration": u.GetGeneration(), "replicas": n.all, "readyReplicas": n.ready, "availableReplicas": n.available,
		"updatedReplicas": n.updated, "updatedReadyReplicas": n.updatedReady, "updatedAvailableReplicas": n.updatedAvailable,
		"expectedUpdatedReplicas": s.replicas - s.partition, "currentRevision": current, "updateRevision": s.update.Name,
		"labelSelector": selectorText(u),
	}
	if u.GetDeletionTimestamp() == nil {
		if err := s.sync(ctx, dead); err != nil {
			return s.next, err
		}
	}
	return s.next, c.writeStatus(ctx, u, status)
}

// clonePartition rounds up, but a percentage below 100 % lets one pod be updated where there are several.
func clonePartition(limit intstr.IntOrString, replicas int) int {
	n := min(scaled(limit, replicas), replicas)
	if limit.Type == intstr.String && limit.StrVal != "100%" && replicas > 1 {
		n = min(n, replicas-1)
	}
	return n
}

func (s *clones) sync(ctx context.Context, dead []*corev1.Pod) error {
	if err := s.remove(ctx, dead...); err != nil {
		return err
	}
	want := s.replicas + min(s.maxSurge, s.outdated(), s.missing())
	if s.paused { // what is there above the number stays, and nothing is added to it
		want = max(s.replicas, min(want, len(s.all)))
	}
	switch {
	case len(s.all) < want:
		return s.grow(ctx, want-len(s.all))
	case len(s.all) > want:
		return s.shrink(ctx, len(s.all)-want)
	case s.paused:
		return nil
	default:
		return s.replace(ctx)
	}
}

// outdated is how many old pods are to be replaced.
func (s *clones) outdated() int { return max(0, s.old-s.partition) }

// missing is how many new pods are to come. No more extra pods than that: a second set that stands in part is not
// completed, and pods of it that go are not made again, until old ones are gone (sandbox/kruise_test.go).
func (s *clones) missing() int { return max(0, s.replicas-s.partition-(len(s.all)-s.old)) }

// grow makes pods: old ones while there are fewer than the partition, then new ones.
func (s *clones) grow(ctx context.Context, n int) error {
	var pods []*corev1.Pod
	old := s.old
	for range n {
		r := s.update
		if old < s.partition && s.current.Name != s.update.Name {
			r = s.current
			old++
		}
		pods = append(pods, s.make(r, ""))
	}
	return s.create(ctx, pods...)
}

// shrink deletes at most n pods, of each version as many as there are too many: those that are not ready, and available ones that
// are not needed. What is ready and not yet available stays, so that two sets that stand next to one another are not scaled in.
func (s *clones) shrink(ctx context.Context, n int) error {
	slices.SortStableFunc(s.all, s.expendable)
	surplus := map[bool]int{true: len(s.all) - s.old - (s.replicas - s.partition), false: s.old - s.partition} // by whether they are updated
	needless := -(s.replicas - s.maxUnavailable)
	for _, pod := range s.all {
		if s.available(pod) {
			needless++
		}
	}
	var gone []*corev1.Pod
	for _, pod := range s.all {
		_, ready := readySince(pod)
		switch available := s.available(pod); {
		case len(gone) == n:
			return s.remove(ctx, gone...)
		case surplus[s.updated(pod)] <= 0 || ready && !available || available && needless <= 0:
			continue
		case available:
			needless--
		}
		surplus[s.updated(pod)]--
		gone = append(gone, pod)
	}
	return s.remove(ctx, gone...)
}

// replace deletes old pods for as long as enough pods are available, counting every new pod that is not as one to come.
func (s *clones) replace(ctx context.Context) error {
	least := s.replicas - s.maxUnavailable
	available, coming := 0, 0
	var old []*corev1.Pod
	for _, pod := range s.all {
		switch {
		case s.available(pod):
			available++
		case s.updated(pod):
			coming++
		}
		if !s.updated(pod) {
			old = append(old, pod)
		}
	}
	slices.SortStableFunc(old, s.expendable)
	room := min(s.outdated(), len(s.all)-least-coming)
	var gone []*corev1.Pod
	for _, pod := range old {
		if len(gone) >= room {
			break
		}
		_, ready := readySince(pod)
		switch {
		case s.available(pod) && available > least:
			available--
		case ready: // as in shrink
			continue
		}
		gone = append(gone, pod)
	}
	return s.remove(ctx, gone...)
}
