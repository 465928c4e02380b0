// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"strconv"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"kruise.io/rollouts/api/v1beta1"
	"kruise.io/rollouts/internal/workload"
)

// marks labels updated pods with the release and the batch they belong to. Each batch up to the current one takes as
// many pods as it added; pods that are labelled already count for theirs, the others fill the latest batch first.
func marks(br *v1beta1.BatchRelease, w workload.State, current int) []Change {
	id := br.Spec.ReleasePlan.RolloutID
	if id == "" {
		id = w.Update
	}
	room := make([]int32, current+1)
	below := int32(0)
	for i := range room {
		size := v1beta1.PodsOf(br.Spec.ReleasePlan.Batches[i].CanaryReplicas, w.Replicas, w.KeepsOne)
		room[i] = max(size-below, 0)
		below = max(below, size)
	}
	var unmarked []*corev1.Pod
	for _, pod := range w.UpdatedPods {
		batch, err := strconv.Atoi(pod.Labels[v1beta1.LabelBatchID])
		if err != nil || pod.Labels[v1beta1.LabelRolloutID] != id || batch < 1 {
			unmarked = append(unmarked, pod)
			continue
		}
		if batch <= len(room) {
			room[batch-1]--
		}
	}
	var changes []Change
	for i := len(room) - 1; i >= 0; i-- {
		for ; room[i] > 0 && len(unmarked) > 0; room[i]-- {
			pod := unmarked[0]
			unmarked = unmarked[1:]
			changes = append(changes, Change{From: pod, To: marked(pod, id, i+1, w.Update)})
		}
	}
	return changes
}

// marked returns a pod with its labels. Clients of older versions look for the revision under the label of the kinds
// that have ControllerRevisions, too.
func marked(pod *corev1.Pod, id string, batch int, revision string) *corev1.Pod {
	pod = pod.DeepCopy()
	if pod.Labels == nil {
		pod.Labels = map[string]string{}
	}
	pod.Labels[v1beta1.LabelRolloutID] = id
	pod.Labels[v1beta1.LabelBatchID] = strconv.Itoa(batch)
	if pod.Labels[appsv1.ControllerRevisionHashLabelKey] == "" {
		pod.Labels[appsv1.ControllerRevisionHashLabelKey] = revision
	}
	return pod
}
