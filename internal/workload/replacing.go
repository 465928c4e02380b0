// SPDX-License-Identifier: Apache-2.0

package workload

import (
	"cmp"
	"slices"
	"strconv"

	corev1 "k8s.io/api/core/v1"
)

// replaced returns pods without the old ones to delete now, of a workload whose own controller replaces no pod but makes
// those that are missing from its template: until want pods are new, and never more than unavailable of all are not
// available. Old pods that are not ready cost nothing (docs/wire.md, native DaemonSet controller).
func replaced(pods []*corev1.Pod, s State, want, unavailable int32, old func(*corev1.Pod) bool) []*corev1.Pod {
	ready, there := s.UpdatedReady, s.Updated
	var candidates []*corev1.Pod
	for _, pod := range pods {
		if !active(pod) || !old(pod) {
			continue
		}
		there++
		if Ready(pod) {
			ready++
		}
		candidates = append(candidates, pod)
	}
	// What is missing comes back new. Pods that are too many are on nodes, or of counts, that are about to change.
	need := want - s.Updated - max(0, s.Replicas-there)
	room := unavailable - (s.Replicas - ready)
	slices.SortStableFunc(candidates, expendable)
	var gone []*corev1.Pod
	for _, pod := range candidates {
		if int32(len(gone)) >= need { //nolint:gosec // a count of pods
			break
		}
		if Ready(pod) {
			if room <= 0 {
				continue
			}
			room--
		}
		gone = append(gone, pod)
	}
	return without(pods, gone)
}

// without returns pods but for those that go.
func without(pods, gone []*corev1.Pod) []*corev1.Pod {
	return slices.DeleteFunc(slices.Clone(pods), func(pod *corev1.Pod) bool { return slices.Contains(gone, pod) })
}

// expendable orders pods by how little is lost with them: pending, not ready, cheap, new.
func expendable(a, b *corev1.Pod) int {
	return cmp.Or(
		first(a.Status.Phase == corev1.PodPending, b.Status.Phase == corev1.PodPending),
		first(!Ready(a), !Ready(b)),
		cmp.Compare(cost(a), cost(b)),
		b.CreationTimestamp.Compare(a.CreationTimestamp.Time),
		cmp.Compare(a.Name, b.Name),
	)
}

func first(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return -1
	default:
		return 1
	}
}

// cost is what a user says that the loss of a pod costs.
func cost(pod *corev1.Pod) int {
	n, _ := strconv.Atoi(pod.Annotations[corev1.PodDeletionCost])
	return n
}
