// SPDX-License-Identifier: Apache-2.0

package analysis

import (
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// Pod is what one pod says of its version.
type Pod struct {
	UID, Name string
	// New: it runs the version that is released.
	New bool
	// Created is when it was created.
	Created time.Time
	// Ready: it is, since ReadySince; else it is not, since then.
	Ready      bool
	ReadySince time.Time
	// Away: what is seen of it says nothing of its version, as it is being deleted, evicted or preempted, or its node is gone.
	Away bool
	// Trouble is what keeps one of its containers from running.
	Trouble Trouble
	// Restarts are those of its containers and sidecars. Init containers are tried again until they are done.
	Restarts int32
	// Restarted is the container that ended last with a failure, and why. Ends with exit code 0 have no name.
	Restarted Ended
	// OutOfMemory is the container that was killed last for the memory it took.
	OutOfMemory Ended
}

// Kind is a kind of trouble of containers.
type Kind string

// The kinds of trouble.
const (
	ImageTrouble  Kind = "image"
	ConfigTrouble Kind = "config"
	CrashTrouble  Kind = "crash"
)

// Trouble is why a container waits.
type Trouble struct {
	Kind              Kind
	Container, Reason string
	// Final: waiting does not help, so that nobody has to.
	Final bool
}

// Ended is a container that ended, why, and when.
type Ended struct {
	Container, Reason string
	ExitCode          int32
	At                time.Time
}

// troubles are reasons of waiting containers that speak against a version, as the kubelet writes them.
var troubles = map[string]Trouble{
	"ErrImagePull":               {Kind: ImageTrouble},
	"ImagePullBackOff":           {Kind: ImageTrouble},
	"InvalidImageName":           {Kind: ImageTrouble, Final: true},
	"ErrImageNeverPull":          {Kind: ImageTrouble},
	"CreateContainerConfigError": {Kind: ConfigTrouble},
	"CreateContainerError":       {Kind: ConfigTrouble},
	"RunContainerError":          {Kind: ConfigTrouble},
	"CrashLoopBackOff":           {Kind: CrashTrouble},
}

// away are reasons of pods that did not leave by themselves: evicted for a node's sake, preempted, or of a node that went.
var away = []string{"Evicted", "Preempting", "Preempted", "NodeLost", "NodeAffinity", "NodeShutdown", "Shutdown", "Terminated", "UnexpectedAdmissionError"}

const outOfMemory = "OOMKilled"

// PodOf is what p says. New and whether its node is ready are known to the caller only.
func PodOf(p *corev1.Pod, isNew, nodeReady bool) Pod {
	pod := Pod{
		UID: string(p.UID), Name: p.Name, New: isNew, Created: p.CreationTimestamp.Time,
		Away: !nodeReady || p.DeletionTimestamp != nil || slices.Contains(away, p.Status.Reason),
	}
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodReady {
			pod.Ready, pod.ReadySince = c.Status == corev1.ConditionTrue, c.LastTransitionTime.Time
		}
		if c.Type == corev1.DisruptionTarget {
			pod.Away = pod.Away || c.Status == corev1.ConditionTrue
		}
	}
	sidecars := sidecarsOf(p)
	for _, s := range p.Status.InitContainerStatuses {
		pod.see(s, slices.Contains(sidecars, s.Name))
	}
	for _, s := range p.Status.ContainerStatuses {
		pod.see(s, true)
	}
	return pod
}

// sidecarsOf are the init containers of p that run as long as it does.
func sidecarsOf(p *corev1.Pod) []string {
	var names []string
	for _, c := range p.Spec.InitContainers {
		if c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways {
			names = append(names, c.Name)
		}
	}
	return names
}

// see takes in the status of one container; stays is one that is to run as long as the pod does.
func (p *Pod) see(s corev1.ContainerStatus, stays bool) {
	if w := s.State.Waiting; w != nil && p.Trouble.Kind == "" {
		if t, ok := troubles[w.Reason]; ok {
			t.Container, t.Reason = s.Name, w.Reason
			p.Trouble = t
		}
	}
	if stays {
		p.Restarts += s.RestartCount
	}
	for _, end := range []*corev1.ContainerStateTerminated{s.LastTerminationState.Terminated, s.State.Terminated} {
		if end == nil {
			continue
		}
		e := Ended{Container: s.Name, Reason: end.Reason, ExitCode: end.ExitCode, At: end.FinishedAt.Time}
		if end.Reason == outOfMemory && !e.At.Before(p.OutOfMemory.At) {
			p.OutOfMemory = e
		}
		if stays && end.ExitCode != 0 && !e.At.Before(p.Restarted.At) {
			p.Restarted = e
		}
	}
}
