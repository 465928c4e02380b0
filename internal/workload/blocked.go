// SPDX-License-Identifier: Apache-2.0

package workload

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"kruise.io/rollouts/api/v1beta1"
)

// unreadyAfter is how long a pod may take to be ready before that is said of it.
const unreadyAfter = time.Minute

// crashesAfter is how many restarts of a container that is not ready are a crash loop, whatever it does at the moment.
const crashesAfter = 2

// Blocked is what keeps a pod of the update revision from being ready, or from being created.
type Blocked struct {
	Code    v1beta1.BlockerCode
	Object  v1beta1.BlockerObject
	Message string    // without the object's name
	Due     time.Time // when it counts: until then it may be over by itself
}

// waitingCodes are the codes of what containers wait for, as the kubelet has it.
var waitingCodes = map[string]v1beta1.BlockerCode{
	"ErrImagePull": v1beta1.BlockerImagePull, "ImagePullBackOff": v1beta1.BlockerImagePull, "InvalidImageName": v1beta1.BlockerImagePull,
	"ErrImageNeverPull": v1beta1.BlockerImagePull, "ImageInspectError": v1beta1.BlockerImagePull, "RegistryUnavailable": v1beta1.BlockerImagePull,
	"CrashLoopBackOff":           v1beta1.BlockerCrashLoop,
	"CreateContainerConfigError": v1beta1.BlockerConfigError, "CreateContainerError": v1beta1.BlockerConfigError, "RunContainerError": v1beta1.BlockerConfigError,
}

// blocked says what keeps a pod from being ready.
func blocked(pod *corev1.Pod) Blocked {
	b := Blocked{Object: v1beta1.BlockerObject{Kind: "Pod", Name: pod.Name}}
	since := pod.CreationTimestamp.Time
	for _, c := range pod.Status.Conditions {
		switch {
		case c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse && c.Reason == corev1.PodReasonUnschedulable:
			b.Code, b.Message = v1beta1.BlockerUnschedulable, "cannot be scheduled: "+oneLine(c.Message)
			if strings.Contains(c.Message, "PersistentVolumeClaim") {
				b.Code = v1beta1.BlockerVolumePending
			}
			return b
		case c.Type == corev1.PodReady && c.LastTransitionTime.After(since):
			since = c.LastTransitionTime.Time
		}
	}
	for _, s := range slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses) {
		if code := codeOf(s); code != "" {
			b.Code, b.Message = code, saidOf(code, s)
			return b
		}
	}
	b.Code, b.Message, b.Due = v1beta1.BlockerNotReady, "is not ready for more than a minute", since.Add(unreadyAfter)
	if pod.Status.Phase == corev1.PodPending {
		b.Code, b.Message = v1beta1.BlockerContainerCreating, "has not been started for more than a minute"
	}
	return b
}

// codeOf is what keeps a container from running; "": nothing that is known.
func codeOf(s corev1.ContainerStatus) v1beta1.BlockerCode {
	if w := s.State.Waiting; w != nil && waitingCodes[w.Reason] != "" {
		return waitingCodes[w.Reason]
	}
	if s.RestartCount >= crashesAfter {
		return v1beta1.BlockerCrashLoop
	}
	return ""
}

// saidOf is what is said of a container. It does not go by what the container does at the moment, which changes all the time.
func saidOf(code v1beta1.BlockerCode, s corev1.ContainerStatus) string {
	switch code {
	case v1beta1.BlockerImagePull:
		return strings.TrimSuffix(fmt.Sprintf("container %s: the image cannot be pulled: %s", s.Name, s.Image), ": ")
	case v1beta1.BlockerCrashLoop:
		ended := cmp.Or(s.LastTerminationState.Terminated, s.State.Terminated)
		if ended == nil {
			return fmt.Sprintf("container %s crashes again and again", s.Name)
		}
		return fmt.Sprintf("container %s crashes again and again: %s, exit code %d", s.Name, cmp.Or(ended.Reason, "Error"), ended.ExitCode)
	default:
		return fmt.Sprintf("container %s: %s: %s", s.Name, s.State.Waiting.Reason, oneLine(s.State.Waiting.Message))
	}
}

// refused says why a ReplicaSet's pods are not created; nil: nothing is known.
func refused(set *appsv1.ReplicaSet) []Blocked {
	if set == nil {
		return nil
	}
	for _, c := range set.Status.Conditions {
		if c.Type == appsv1.ReplicaSetReplicaFailure && c.Status == corev1.ConditionTrue {
			return []Blocked{notCreated(v1beta1.BlockerObject{Kind: "ReplicaSet", Name: set.Name}, c.Message)}
		}
	}
	return nil
}

// refusalTypes are the conditions by which controllers say that they cannot create pods. Those of StatefulSets and DaemonSets say so in
// events only.
var refusalTypes = []string{string(appsv1.ReplicaSetReplicaFailure), "FailedScale", "FailedUpdate"}

// refusedOf is the same of a workload that is read as unstructured.
func refusedOf(u *unstructured.Unstructured) []Blocked {
	conditions, _, _ := unstructured.NestedSlice(u.Object, "status", "conditions")
	for _, c := range conditions {
		c, _ := c.(map[string]any)
		kind, _ := c["type"].(string)
		if message, _ := c["message"].(string); slices.Contains(refusalTypes, kind) && c["status"] == string(corev1.ConditionTrue) {
			return []Blocked{notCreated(v1beta1.BlockerObject{Kind: u.GetKind(), Name: u.GetName()}, message)}
		}
	}
	return nil
}

// notCreated is the wait for pods that the API server does not take.
func notCreated(of v1beta1.BlockerObject, message string) Blocked {
	code := v1beta1.BlockerPodsRefused
	if strings.Contains(message, "exceeded quota") {
		code = v1beta1.BlockerQuotaExceeded
	}
	return Blocked{Code: code, Object: of, Message: "pods cannot be created: " + oneLine(message)}
}

// oneLine is a text without line breaks.
func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }
