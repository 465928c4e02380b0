// SPDX-License-Identifier: Apache-2.0

package workload

import (
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"kruise.io/rollouts/api/v1beta1"
)

// TestBlocked: what is said of a pod does not change with what its containers do from one moment to the next.
func TestBlocked(t *testing.T) {
	t.Parallel()
	created := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	waits := func(reason string) corev1.ContainerState {
		return corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: "as\n the kubelet says"}}
	}
	failed := corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{Reason: "OOMKilled", ExitCode: 137}}
	running := corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}
	unscheduled := func(message string) []corev1.PodCondition {
		return []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: corev1.PodReasonUnschedulable, Message: message}}
	}
	for name, c := range map[string]struct {
		status corev1.PodStatus
		code   v1beta1.BlockerCode
		text   string
		due    time.Time
	}{
		"no node":           {corev1.PodStatus{Conditions: unscheduled("0/3 nodes are available: 3 Insufficient cpu.")}, v1beta1.BlockerUnschedulable, "cannot be scheduled: 0/3 nodes are available: 3 Insufficient cpu.", time.Time{}},
		"no claim":          {corev1.PodStatus{Conditions: unscheduled("pod has unbound immediate PersistentVolumeClaims.")}, v1beta1.BlockerVolumePending, "cannot be scheduled: pod has unbound immediate PersistentVolumeClaims.", time.Time{}},
		"pulls":             {corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{{Name: "main", Image: "web:x", State: waits("ErrImagePull")}}}, v1beta1.BlockerImagePull, "container main: the image cannot be pulled: web:x", time.Time{}},
		"backs off":         {corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{{Name: "main", Image: "web:x", State: waits("ImagePullBackOff")}}}, v1beta1.BlockerImagePull, "container main: the image cannot be pulled: web:x", time.Time{}},
		"crashes":           {corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{{Name: "main", RestartCount: 3, State: waits("CrashLoopBackOff"), LastTerminationState: failed}}}, v1beta1.BlockerCrashLoop, "container main crashes again and again: OOMKilled, exit code 137", time.Time{}},
		"runs for a moment": {corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{{Name: "main", RestartCount: 3, State: running, LastTerminationState: failed}}}, v1beta1.BlockerCrashLoop, "container main crashes again and again: OOMKilled, exit code 137", time.Time{}},
		"has just crashed":  {corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{{Name: "main", RestartCount: 3, State: failed}}}, v1beta1.BlockerCrashLoop, "container main crashes again and again: OOMKilled, exit code 137", time.Time{}},
		"an init container": {corev1.PodStatus{InitContainerStatuses: []corev1.ContainerStatus{{Name: "init", State: waits("CreateContainerConfigError")}}}, v1beta1.BlockerConfigError, "container init: CreateContainerConfigError: as the kubelet says", time.Time{}},
		"creating":          {corev1.PodStatus{Phase: corev1.PodPending, ContainerStatuses: []corev1.ContainerStatus{{Name: "main", State: waits("ContainerCreating")}}}, v1beta1.BlockerContainerCreating, "has not been started for more than a minute", created.Add(time.Minute)},
		"not ready":         {corev1.PodStatus{Phase: corev1.PodRunning, Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionFalse, LastTransitionTime: metav1.NewTime(created.Add(time.Hour))}}}, v1beta1.BlockerNotReady, "is not ready for more than a minute", created.Add(time.Hour + time.Minute)},
	} {
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "web-1", CreationTimestamp: metav1.NewTime(created)}, Status: c.status}
		if got, want := blocked(pod), (Blocked{c.code, v1beta1.BlockerObject{Kind: "Pod", Name: "web-1"}, c.text, c.due}); got != want {
			t.Errorf("%s: got %+v, want %+v", name, got, want)
		}
	}
	for message, code := range map[string]v1beta1.BlockerCode{
		`pods "web-1" is forbidden: exceeded quota: team`:               v1beta1.BlockerQuotaExceeded,
		`admission webhook "x" denied the request: no latest tag`:       v1beta1.BlockerPodsRefused,
		`pods "web-1" is forbidden: error looking up service account x`: v1beta1.BlockerPodsRefused,
	} {
		set := &appsv1.ReplicaSet{ObjectMeta: metav1.ObjectMeta{Name: "web-abc"}}
		set.Status.Conditions = []appsv1.ReplicaSetCondition{{Type: appsv1.ReplicaSetReplicaFailure, Status: corev1.ConditionTrue, Message: message}}
		cloneSet := &unstructured.Unstructured{Object: map[string]any{
			"kind": "CloneSet", "metadata": map[string]any{"name": "web"},
			"status": map[string]any{"conditions": []any{map[string]any{"type": "FailedScale", "status": "True", "message": message}, "of another kind"}},
		}}
		for _, got := range [][]Blocked{refused(set), refusedOf(cloneSet)} {
			if len(got) != 1 || got[0].Code != code || got[0].Message != "pods cannot be created: "+message {
				t.Errorf("%s: %+v", message, got)
			}
		}
		set.Status.Conditions[0].Status = corev1.ConditionFalse
		if got := refused(set); got != nil {
			t.Errorf("what is over is told: %+v", got)
		}
	}
}
