// SPDX-License-Identifier: Apache-2.0

// Package sim plays the parts of Kubernetes that are not run where a suite or the sandbox runs: the kubelet here, workload
// controllers and a data plane next to it. Its functions decide and never act, so the fake world of the property tests and
// the node agent of the sandbox behave alike.
package sim

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Pod annotations that say to the simulated kubelet how the pod's containers behave. Without any of them a pod is ready at
// once and gone at once when deleted. Durations are written as Go writes them: 2s, 1m30s.
const (
	// StartAfterAnnotation is how long the containers are being created before they run.
	StartAfterAnnotation = "sandbox.kruise.io/start-after"
	// ReadyAfterAnnotation is how long the containers run before they are ready. It overrides the initialDelaySeconds of
	// readiness probes.
	ReadyAfterAnnotation = "sandbox.kruise.io/ready-after"
	// NeverReadyAnnotation set to "true" makes the pod run without ever being ready. It works on a running pod, too.
	NeverReadyAnnotation = "sandbox.kruise.io/never-ready"
	// CrashAnnotation makes the containers exit with an error: "true" at once, a duration after running that long.
	CrashAnnotation = "sandbox.kruise.io/crash"
	// CompleteAfterAnnotation is how long the containers of a pod that is not restarted (a Job's) run before they succeed.
	CompleteAfterAnnotation = "sandbox.kruise.io/complete-after"
	// DrainAnnotation is how long the containers go on running, ready and serving after the pod was deleted, at most its
	// grace period. It overrides a sleep in the containers' preStop hooks.
	DrainAnnotation = "sandbox.kruise.io/drain"
)

const (
	pullBackOffAfter = time.Second // the first failure is reported as such, then the waiting for the next try
	firstBackOff     = 10 * time.Second
	longestBackOff   = 5 * time.Minute
)

// PodRecord is what a node knows of a pod next to the object: its addresses, and times more exact than the whole seconds
// that objects carry. Times left zero are read from the object, so that no record has to outlive a restart.
type PodRecord struct {
	// PodIP and HostIP are the addresses to report. An address the pod already has is never changed.
	PodIP, HostIP string
	// Started is when the node first saw the pod with its present images.
	Started time.Time
	// Deleted is when the node first saw that the pod is to be deleted.
	Deleted time.Time
	// Crashed is when the containers have exited with an error, other than at times that annotations say.
	Crashed []time.Time
}

// KubeletStep is what the kubelet does next for one pod.
type KubeletStep struct {
	// Status is the status to write, or nil when the pod's status is as it should be.
	Status *corev1.PodStatus
	// Serving says that the containers run and answer requests.
	Serving bool
	// Remove says that the containers have stopped and the object is to be deleted with a grace period of 0.
	Remove bool
	// After is when to check again even if the pod does not change; 0 means never.
	After time.Duration
}

// Kubelet decides the next step for a pod that is bound to a node. It depends on its arguments only: a caller that lost
// everything but the object goes on where it was, to the second.
func Kubelet(pod *corev1.Pod, record PodRecord, now time.Time) KubeletStep {
	if pod.Spec.NodeName == "" {
		return KubeletStep{}
	}
	if pod.DeletionTimestamp != nil {
		return stop(pod, record, now)
	}
	if pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed {
		return KubeletStep{}
	}
	knobs, err := readKnobs(pod)
	if err != nil {
		status := newStatus(pod, record, now)
		status.Phase = corev1.PodPending
		for i, c := range pod.Spec.Containers {
			status.ContainerStatuses[i].State = waiting("CreateContainerConfigError", fmt.Sprintf("container %s: %v", c.Name, err))
		}
		return finish(pod, status, now, KubeletStep{})
	}
	started := startOf(pod, record, now)
	for _, at := range record.Crashed {
		knobs.crashed = append(knobs.crashed, at.Sub(started)-knobs.startAfter)
	}
	elapsed := now.Sub(started)
	return run(pod, record, now, elapsed, knobs)
}

// run plays the containers' life as a function of the time since the node took the pod on.
func run(pod *corev1.Pod, record PodRecord, now time.Time, elapsed time.Duration, knobs knobs) KubeletStep {
	status := newStatus(pod, record, now)
	if elapsed < knobs.startAfter {
		status.Phase = corev1.PodPending
		for i := range status.ContainerStatuses {
			status.ContainerStatuses[i].State = waiting("ContainerCreating", "")
		}
		return finish(pod, status, now, KubeletStep{After: knobs.startAfter - elapsed})
	}
	elapsed -= knobs.startAfter

	life := lifeAt(elapsed, knobs)
	next := life.next
	switch {
	case !life.done:
		status.Phase = corev1.PodRunning
	case life.exitCode == 0:
		status.Phase = corev1.PodSucceeded
	default:
		status.Phase = corev1.PodFailed
	}
	for i, c := range pod.Spec.Containers {
		s := &status.ContainerStatuses[i]
		if unpullable(c.Image) {
			status.Phase = corev1.PodPending
			next = sooner(next, pull(s, elapsed))
			continue
		}
		s.RestartCount = max(s.RestartCount, life.restarts)
		if life.restarts > 0 {
			s.LastTerminationState = terminated("Error", 1, now)
		}
		if !life.running {
			s.State = rest(pod, c, life, now)
			continue
		}
		s.State.Running = &corev1.ContainerStateRunning{StartedAt: metav1.NewTime(now.Add(life.began - elapsed).Truncate(time.Second))}
		s.Started = new(true)
		readyAt := life.began + knobs.readyAfter(c)
		s.Ready = !knobs.neverReady && elapsed >= readyAt
		if !knobs.neverReady && !s.Ready {
			next = sooner(next, readyAt)
		}
	}
	step := KubeletStep{Serving: status.Phase == corev1.PodRunning && life.running}
	if next > 0 {
		step.After = next - elapsed
	}
	return finish(pod, status, now, step)
}

// pull reports that the container's image cannot be pulled, and returns when there is more to say; 0 for never.
func pull(s *corev1.ContainerStatus, elapsed time.Duration) time.Duration {
	s.ImageID, s.ContainerID, s.RestartCount = "", "", 0
	if elapsed < pullBackOffAfter {
		s.State = waiting("ErrImagePull", fmt.Sprintf("failed to pull image %q: not found", s.Image))
		return pullBackOffAfter
	}
	s.State = waiting("ImagePullBackOff", fmt.Sprintf("Back-off pulling image %q", s.Image))
	return 0
}

// rest is the state of a container that has exited, for good or until it is restarted.
func rest(pod *corev1.Pod, c corev1.Container, life life, now time.Time) corev1.ContainerState {
	switch {
	case !life.done:
		return waiting("CrashLoopBackOff", fmt.Sprintf("back-off restarting failed container=%s pod=%s_%s", c.Name, pod.Name, pod.Namespace))
	case life.exitCode == 0:
		return terminated("Completed", 0, now)
	default:
		return terminated("Error", life.exitCode, now)
	}
}

// stop decides for a pod that was deleted: it goes on as it was until it is drained, then it goes.
func stop(pod *corev1.Pod, record PodRecord, now time.Time) KubeletStep {
	var grace time.Duration
	if pod.DeletionGracePeriodSeconds != nil {
		grace = time.Duration(*pod.DeletionGracePeriodSeconds) * time.Second
	}
	running := slices.ContainsFunc(pod.Status.ContainerStatuses, func(s corev1.ContainerStatus) bool { return s.State.Running != nil })
	if running && grace > 0 {
		deleted := record.Deleted
		if deleted.IsZero() {
			deleted = pod.DeletionTimestamp.Add(-grace)
		}
		if left := min(drainOf(pod), grace) - now.Sub(deleted); left > 0 {
			return KubeletStep{Serving: true, After: left}
		}
	}
	if len(pod.Finalizers) == 0 {
		return KubeletStep{Remove: true}
	}
	// Anyone who holds the object must see that its containers are gone: a Job counts a pod only then.
	if running || pod.Status.Phase == corev1.PodPending || pod.Status.Phase == corev1.PodRunning {
		status := newStatus(pod, record, now)
		status.Phase = corev1.PodFailed
		for i := range status.ContainerStatuses {
			status.ContainerStatuses[i].State = terminated("Error", 137, now)
		}
		return finish(pod, status, now, KubeletStep{})
	}
	return KubeletStep{Remove: grace > 0}
}

// life is where the containers are in the sequence of their runs.
type life struct {
	running  bool
	done     bool
	exitCode int32
	restarts int32
	began    time.Duration // when the present run began
	next     time.Duration // when this ends; 0 for never
}

// lifeAt walks the runs and the pauses between them, as the kubelet does: restarted at once after the first crash, then
// after 10 s, 20 s ... up to five minutes.
func lifeAt(elapsed time.Duration, knobs knobs) life {
	switch end, crashes := knobs.ends(0, 0); {
	case crashes && !knobs.restarted:
		if elapsed < end {
			return life{running: true, next: end}
		}
		return life{done: true, exitCode: 1}
	case !crashes && !knobs.completes:
		return life{running: true}
	case !crashes:
		if elapsed < knobs.completeAfter {
			return life{running: true, next: knobs.completeAfter}
		}
		return life{done: true}
	}
	var at time.Duration
	var pause time.Duration
	for n := int32(0); ; n++ {
		end, crashes := knobs.ends(n, at)
		if !crashes || elapsed < end {
			return life{running: true, restarts: n, began: at, next: end}
		}
		at = end + pause
		if elapsed < at {
			return life{restarts: n, next: at}
		}
		pause = min(max(2*pause, firstBackOff), longestBackOff)
	}
}

// ends reports when a run ends in a crash, if it does: at a time that annotations say, or when it has crashed.
func (k knobs) ends(run int32, began time.Duration) (at time.Duration, crashes bool) {
	switch {
	case k.crashes:
		return began + k.crashAfter, true
	case int(run) < len(k.crashed):
		return max(began, k.crashed[run]), true
	default:
		return 0, false
	}
}

// knobs are a pod's annotations, read.
type knobs struct {
	startAfter    time.Duration
	ready         *time.Duration
	neverReady    bool
	crashes       bool
	crashAfter    time.Duration
	crashed       []time.Duration // since the containers ran first
	completes     bool
	completeAfter time.Duration
	restarted     bool
}

func readKnobs(pod *corev1.Pod) (knobs, error) {
	k := knobs{restarted: pod.Spec.RestartPolicy != corev1.RestartPolicyNever}
	k.neverReady = pod.Annotations[NeverReadyAnnotation] == "true"
	k.completes = pod.Spec.RestartPolicy == corev1.RestartPolicyNever || pod.Spec.RestartPolicy == corev1.RestartPolicyOnFailure
	for name, to := range map[string]*time.Duration{StartAfterAnnotation: &k.startAfter, CompleteAfterAnnotation: &k.completeAfter} {
		d, _, err := duration(pod, name)
		if err != nil {
			return k, err
		}
		*to = d
	}
	if d, ok, err := duration(pod, ReadyAfterAnnotation); err != nil {
		return k, err
	} else if ok {
		k.ready = &d
	}
	switch pod.Annotations[CrashAnnotation] {
	case "", "false":
	case "true":
		k.crashes = true
	default:
		d, _, err := duration(pod, CrashAnnotation)
		if err != nil {
			return k, err
		}
		k.crashes, k.crashAfter = true, d
	}
	return k, nil
}

func (k knobs) readyAfter(c corev1.Container) time.Duration {
	if k.ready != nil {
		return *k.ready
	}
	if c.ReadinessProbe == nil {
		return 0
	}
	return time.Duration(c.ReadinessProbe.InitialDelaySeconds) * time.Second
}

func duration(pod *corev1.Pod, annotation string) (time.Duration, bool, error) {
	text, ok := pod.Annotations[annotation]
	if !ok {
		return 0, false, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 {
		return 0, false, fmt.Errorf("annotation %s: %q is not a duration: write for example 2s", annotation, text)
	}
	return d, true, nil
}

// drainOf is how long the containers go on serving once asked to stop. Nothing that the pod says means that it exits at
// once, which is the hardest case for a gateway.
func drainOf(pod *corev1.Pod) time.Duration {
	if d, ok, err := duration(pod, DrainAnnotation); ok && err == nil {
		return d
	}
	var longest time.Duration
	for _, c := range pod.Spec.Containers {
		if c.Lifecycle == nil || c.Lifecycle.PreStop == nil {
			continue
		}
		switch hook := c.Lifecycle.PreStop; {
		case hook.Sleep != nil:
			longest = max(longest, time.Duration(hook.Sleep.Seconds)*time.Second)
		case hook.Exec != nil:
			longest = max(longest, slept(hook.Exec.Command))
		}
	}
	return longest
}

// slept reads "sleep 5" out of a command line, the one hook that is common enough to be played.
func slept(command []string) time.Duration {
	words := strings.Fields(strings.Join(command, " "))
	at := slices.IndexFunc(words, func(word string) bool { return word == "sleep" || strings.HasSuffix(word, "/sleep") })
	if at < 0 || at+1 >= len(words) {
		return 0
	}
	text := strings.TrimRight(words[at+1], ";&")
	if seconds, err := strconv.ParseFloat(text, 64); err == nil {
		return time.Duration(seconds * float64(time.Second))
	}
	d, _ := time.ParseDuration(text) // sleep(1) understands 5s and 1m, too
	return d
}

// unpullable reports whether the image's name says that no registry has it.
func unpullable(image string) bool {
	name, tag := image, ""
	if colon := strings.LastIndex(image, ":"); colon > strings.LastIndex(image, "/") {
		name, tag = image[:colon], image[colon+1:]
	}
	if tag == "broken" {
		return true
	}
	for _, sign := range []string{"not-exist", "bad-image"} { // the first is part of does-not-exist
		if strings.Contains(name, sign) || strings.Contains(tag, sign) {
			return true
		}
	}
	return false
}

// startOf is when the pod's present life began.
func startOf(pod *corev1.Pod, record PodRecord, now time.Time) time.Time {
	switch {
	case !record.Started.IsZero():
		return record.Started
	case pod.Status.StartTime != nil:
		return pod.Status.StartTime.Time
	default:
		return now
	}
}

// newStatus is a copy of the pod's status with everything filled in that does not depend on how the containers fare. The
// containers' states are empty, except for what is remembered of earlier runs.
func newStatus(pod *corev1.Pod, record PodRecord, now time.Time) *corev1.PodStatus {
	status := pod.Status.DeepCopy()
	status.ObservedGeneration = pod.Generation
	if status.StartTime == nil {
		status.StartTime = new(metav1.NewTime(startOf(pod, record, now).Truncate(time.Second)))
	}
	if status.HostIP == "" && record.HostIP != "" {
		status.HostIP = record.HostIP
		status.HostIPs = []corev1.HostIP{{IP: record.HostIP}}
	}
	ip := record.PodIP
	if pod.Spec.HostNetwork {
		ip = record.HostIP
	}
	if status.PodIP == "" && ip != "" {
		status.PodIP = ip
		status.PodIPs = []corev1.PodIP{{IP: ip}}
	}
	status.ContainerStatuses = make([]corev1.ContainerStatus, len(pod.Spec.Containers))
	for i, c := range pod.Spec.Containers {
		status.ContainerStatuses[i] = newContainerStatus(pod, c, pod.Status.ContainerStatuses)
	}
	status.InitContainerStatuses = nil
	for _, c := range pod.Spec.InitContainers {
		s := newContainerStatus(pod, c, pod.Status.InitContainerStatuses)
		s.Ready = true
		if c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways { // a sidecar
			s.Started = new(true)
			s.State.Running = &corev1.ContainerStateRunning{StartedAt: *status.StartTime}
		} else {
			s.Started = new(false)
			s.State = terminated("Completed", 0, status.StartTime.Time)
		}
		status.InitContainerStatuses = append(status.InitContainerStatuses, s)
	}
	return status
}

func newContainerStatus(pod *corev1.Pod, c corev1.Container, olds []corev1.ContainerStatus) corev1.ContainerStatus {
	s := corev1.ContainerStatus{Name: c.Name, Image: c.Image, ImageID: imageID(c.Image), Started: new(false)}
	for _, old := range olds {
		if old.Name != c.Name || old.ImageID == "" {
			continue
		}
		s.RestartCount = old.RestartCount
		if old.ImageID != s.ImageID { // another image in place: the container is made anew
			s.RestartCount++
		}
	}
	s.ContainerID = fmt.Sprintf("sandbox://%x", sha256.Sum256(fmt.Appendf(nil, "%s/%s/%s", pod.UID, c.Name, c.Image)))
	return s
}

// imageID is the digest that a registry would give, made from the name: equal names are equal images.
func imageID(image string) string {
	name := image
	if colon := strings.LastIndex(image, ":"); colon > strings.LastIndex(image, "/") {
		name = image[:colon]
	}
	return fmt.Sprintf("%s@sha256:%x", name, sha256.Sum256([]byte(image)))
}

// finish sets the conditions, keeps the times of whatever did not change, and leaves the status out when nothing did.
func finish(pod *corev1.Pod, status *corev1.PodStatus, now time.Time, step KubeletStep) KubeletStep {
	for i := range status.ContainerStatuses {
		keepTimes(&status.ContainerStatuses[i], pod.Status.ContainerStatuses)
	}
	over := status.Phase == corev1.PodSucceeded || status.Phase == corev1.PodFailed
	var unready []string
	for _, s := range status.ContainerStatuses {
		if !s.Ready {
			unready = append(unready, s.Name)
		}
	}
	containers := condition{corev1.ContainersReady, corev1.ConditionTrue, "", ""}
	switch {
	case status.Phase == corev1.PodSucceeded:
		containers = condition{corev1.ContainersReady, corev1.ConditionFalse, "PodCompleted", ""}
	case over:
		containers = condition{corev1.ContainersReady, corev1.ConditionFalse, "PodFailed", ""}
	case len(unready) > 0:
		containers = condition{
			corev1.ContainersReady, corev1.ConditionFalse, "ContainersNotReady",
			fmt.Sprintf("containers with unready status: [%s]", strings.Join(unready, " ")),
		}
	}
	ready := containers
	ready.kind = corev1.PodReady
	for _, gate := range pod.Spec.ReadinessGates {
		if ready.status == corev1.ConditionTrue && !isTrue(status.Conditions, gate.ConditionType) {
			ready = condition{
				corev1.PodReady, corev1.ConditionFalse, "ReadinessGatesNotReady",
				fmt.Sprintf("corresponding condition of pod readiness gate %q does not exist or is not True.", gate.ConditionType),
			}
		}
	}
	sandboxed := condition{corev1.PodReadyToStartContainers, corev1.ConditionTrue, "", ""}
	if over {
		sandboxed.status = corev1.ConditionFalse
	}
	initialized := condition{corev1.PodInitialized, corev1.ConditionTrue, "", ""}
	for _, c := range []condition{sandboxed, initialized, ready, containers} {
		set(status, c, pod.Generation, now)
	}
	if !equality.Semantic.DeepEqual(&pod.Status, status) {
		step.Status = status
	}
	return step
}

// keepTimes leaves a container's state as it was reported when it is the same but for its times.
func keepTimes(s *corev1.ContainerStatus, olds []corev1.ContainerStatus) {
	for _, old := range olds {
		if old.Name != s.Name || old.ImageID != s.ImageID || old.RestartCount > s.RestartCount {
			continue
		}
		if old.RestartCount == s.RestartCount {
			if old.State.Running != nil && s.State.Running != nil {
				s.State.Running = old.State.Running
			}
			if old.LastTerminationState.Terminated != nil && s.LastTerminationState.Terminated != nil {
				s.LastTerminationState = old.LastTerminationState
			}
		}
		if s.LastTerminationState.Terminated == nil {
			s.LastTerminationState = old.LastTerminationState
		}
	}
}

type condition struct {
	kind            corev1.PodConditionType
	status          corev1.ConditionStatus
	reason, message string
}

func set(status *corev1.PodStatus, c condition, generation int64, now time.Time) {
	want := corev1.PodCondition{
		Type: c.kind, Status: c.status, Reason: c.reason, Message: c.message,
		ObservedGeneration: generation, LastTransitionTime: metav1.NewTime(now.Truncate(time.Second)),
	}
	for i, have := range status.Conditions {
		if have.Type != c.kind {
			continue
		}
		if have.Status == c.status {
			want.LastTransitionTime = have.LastTransitionTime
		}
		want.LastProbeTime = have.LastProbeTime
		status.Conditions[i] = want
		return
	}
	status.Conditions = append(status.Conditions, want)
}

func isTrue(conditions []corev1.PodCondition, kind corev1.PodConditionType) bool {
	return slices.ContainsFunc(conditions, func(c corev1.PodCondition) bool {
		return c.Type == kind && c.Status == corev1.ConditionTrue
	})
}

func waiting(reason, message string) corev1.ContainerState {
	return corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}}
}

func terminated(reason string, exitCode int32, at time.Time) corev1.ContainerState {
	t := metav1.NewTime(at.Truncate(time.Second))
	return corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
		Reason: reason, ExitCode: exitCode, StartedAt: t, FinishedAt: t,
	}}
}

// sooner is the earlier of two times of which 0 means never.
func sooner(a, b time.Duration) time.Duration {
	if a == 0 {
		return b
	}
	return min(a, b)
}
