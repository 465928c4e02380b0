// SPDX-License-Identifier: Apache-2.0

package view

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	rolloutsv1beta1 "kruise.io/rollouts/api/v1beta1"
)

// Pod is one pod of the workload.
type Pod struct {
	Name       string    `json:"name"`
	Revision   string    `json:"revision"`
	Batch      string    `json:"batch,omitempty"` // the step in which it was updated
	Ready      bool      `json:"ready"`
	Containers string    `json:"containers"` // ready ones of all, as kubectl writes it
	Status     string    `json:"status"`
	Restarts   int32     `json:"restarts"`
	Created    time.Time `json:"created"`
}

// pods are those of s that are wanted, in the order they were updated in.
func pods(s Seen, wanted func(*corev1.Pod) bool) []Pod {
	result := []Pod{}
	for _, p := range s.Pods {
		if wanted(p) {
			result = append(result, pod(p))
		}
	}
	slices.SortFunc(result, func(a, b Pod) int {
		return cmp.Or(len(a.Batch)-len(b.Batch), strings.Compare(a.Batch, b.Batch), strings.Compare(a.Name, b.Name))
	})
	return result
}

func pod(p *corev1.Pod) Pod {
	v := Pod{
		Name: p.Name, Revision: podRevision(p), Batch: p.Labels[rolloutsv1beta1.LabelBatchID],
		Ready: ready(p) && p.DeletionTimestamp == nil, Status: podStatus(p), Created: p.CreationTimestamp.Time,
	}
	containers := 0
	for _, c := range p.Status.ContainerStatuses {
		v.Restarts += c.RestartCount
		if c.Ready {
			containers++
		}
	}
	v.Containers = fmt.Sprintf("%d/%d", containers, len(p.Spec.Containers))
	return v
}

// podRevision is the revision a pod runs, by the label of its kind of workload.
func podRevision(p *corev1.Pod) string {
	return first(p.Labels[appsv1.DefaultDeploymentUniqueLabelKey], p.Labels[appsv1.ControllerRevisionHashLabelKey])
}

func ready(p *corev1.Pod) bool {
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

// gone: a pod that does not count any more.
func gone(p *corev1.Pod) bool {
	return p.DeletionTimestamp != nil || p.Status.Phase == corev1.PodFailed || p.Status.Phase == corev1.PodSucceeded
}

// podStatus is the word kubectl shows for a pod: what keeps its first troubled container, or its phase.
func podStatus(p *corev1.Pod) string {
	if p.DeletionTimestamp != nil {
		return "Terminating"
	}
	if p.Status.Reason != "" {
		return p.Status.Reason
	}
	if reason, _ := troubled(p); reason != "" {
		return reason
	}
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse && c.Reason != "" {
			return c.Reason
		}
	}
	return cmp.Or(string(p.Status.Phase), "Unknown")
}

// troubled is what keeps the first troubled container of a pod, and what it waits for, if it does; "": none is in trouble.
func troubled(p *corev1.Pod) (reason string, waiting *corev1.ContainerStateWaiting) {
	for i, list := range [][]corev1.ContainerStatus{p.Status.InitContainerStatuses, p.Status.ContainerStatuses} {
		for _, c := range list {
			if reason := containerTrouble(c, i == 0); reason != "" {
				return reason, c.State.Waiting
			}
		}
	}
	return "", nil
}

func containerTrouble(c corev1.ContainerStatus, init bool) string {
	prefix := ""
	if init {
		prefix = "Init:"
	}
	switch s := c.State; {
	case s.Waiting != nil && s.Waiting.Reason != "":
		return prefix + s.Waiting.Reason
	case s.Terminated != nil && init && s.Terminated.ExitCode == 0:
		return ""
	case s.Terminated != nil:
		return prefix + cmp.Or(s.Terminated.Reason, "Terminated")
	default:
		return ""
	}
}
