// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

var noon = time.Date(2026, 1, 2, 12, 0, 0, 123456789, time.UTC)

// newPod is a pod of one container as the scheduler leaves it.
func newPod(change ...func(*corev1.Pod)) *corev1.Pod {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "web-1", Namespace: "default", UID: "u1", Generation: 1, Annotations: map[string]string{}},
		Spec: corev1.PodSpec{
			NodeName: "sandbox-1", RestartPolicy: corev1.RestartPolicyAlways,
			Containers: []corev1.Container{{Name: "main", Image: "registry.example:5000/web:v1"}},
		},
		Status: corev1.PodStatus{
			Phase:      corev1.PodPending,
			Conditions: []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionTrue}},
		},
	}
	for _, f := range change {
		f(pod)
	}
	return pod
}

func annotated(name, value string) func(*corev1.Pod) {
	return func(pod *corev1.Pod) { pod.Annotations[name] = value }
}

func image(name string) func(*corev1.Pod) {
	return func(pod *corev1.Pod) { pod.Spec.Containers[0].Image = name }
}

func policy(p corev1.RestartPolicy) func(*corev1.Pod) {
	return func(pod *corev1.Pod) { pod.Spec.RestartPolicy = p }
}

func probed(seconds int32) func(*corev1.Pod) {
	return func(pod *corev1.Pod) {
		pod.Spec.Containers[0].ReadinessProbe = &corev1.Probe{InitialDelaySeconds: seconds}
	}
}

// played plays a pod from now for the given time, whenever the kubelet asks to check again, and shows what happened. The
// object goes through its wire form each time, as it would with an API server.
func played(t *testing.T, pod *corev1.Pod, record PodRecord, from time.Time, until time.Duration) []string {
	t.Helper()
	var lines []string
	now := from
	for range 1000 {
		step := Kubelet(pod, record, now)
		if step.Remove {
			return append(lines, fmt.Sprintf("%s removed", now.Sub(from)))
		}
		if step.Status != nil {
			pod.Status = wire(t, *step.Status)
			lines = append(lines, fmt.Sprintf("%s %s", now.Sub(from), told(pod, step)))
			if again := Kubelet(pod, record, now); again.Status != nil {
				t.Fatalf("after %s: the status is not what was written:\n%+v\n%+v", now.Sub(from), pod.Status, again.Status)
			}
		}
		if step.After < 0 {
			t.Fatalf("after %s: asked to look again %s ago", now.Sub(from), step.After)
		}
		if step.After == 0 || now.Add(step.After).Sub(from) > until {
			return lines
		}
		now = now.Add(step.After)
	}
	t.Fatalf("no end:\n%s", strings.Join(lines, "\n"))
	return nil
}

func wire(t *testing.T, status corev1.PodStatus) corev1.PodStatus {
	t.Helper()
	content, err := json.Marshal(status)
	if err != nil {
		t.Fatal(err)
	}
	var back corev1.PodStatus
	if err := json.Unmarshal(content, &back); err != nil {
		t.Fatal(err)
	}
	return back
}

func told(pod *corev1.Pod, step KubeletStep) string {
	words := []string{string(pod.Status.Phase)}
	for _, s := range pod.Status.ContainerStatuses {
		switch {
		case s.State.Waiting != nil:
			words = append(words, s.State.Waiting.Reason)
		case s.State.Terminated != nil:
			words = append(words, s.State.Terminated.Reason)
		}
		if s.RestartCount > 0 {
			words = append(words, fmt.Sprintf("restarts=%d", s.RestartCount))
		}
	}
	if isTrue(pod.Status.Conditions, corev1.PodReady) {
		words = append(words, "ready")
	}
	if step.Serving {
		words = append(words, "serving")
	}
	return strings.Join(words, " ")
}

func TestKubeletLives(t *testing.T) {
	tests := map[string]struct {
		pod  *corev1.Pod
		want []string
	}{
		"ready at once": {newPod(), []string{"0s Running ready serving"}},
		"slow start": {
			newPod(annotated(StartAfterAnnotation, "1500ms")),
			[]string{"0s Pending ContainerCreating", "1.5s Running ready serving"},
		},
		"slow to be ready": {
			newPod(annotated(ReadyAfterAnnotation, "2s")),
			[]string{"0s Running serving", "2s Running ready serving"},
		},
		"slow start, slow to be ready": {
			newPod(annotated(StartAfterAnnotation, "1s"), annotated(ReadyAfterAnnotation, "2s")),
			[]string{"0s Pending ContainerCreating", "1s Running serving", "3s Running ready serving"},
		},
		"readiness probe": {newPod(probed(5)), []string{"0s Running serving", "5s Running ready serving"}},
		"annotation before probe": {
			newPod(probed(5), annotated(ReadyAfterAnnotation, "0s")),
			[]string{"0s Running ready serving"},
		},
		"never ready":   {newPod(annotated(NeverReadyAnnotation, "true")), []string{"0s Running serving"}},
		"bad tag":       {newPod(image("nginx:broken")), []string{"0s Pending ErrImagePull", "1s Pending ImagePullBackOff"}},
		"bad image":     {newPod(image("x.io/a/bad-image:1")), []string{"0s Pending ErrImagePull", "1s Pending ImagePullBackOff"}},
		"missing image": {newPod(image("does-not-exist")), []string{"0s Pending ErrImagePull", "1s Pending ImagePullBackOff"}},
		"one image of two is bad": {
			newPod(func(pod *corev1.Pod) {
				pod.Spec.Containers = append(pod.Spec.Containers, corev1.Container{Name: "side", Image: "side:not-exist"})
			}),
			[]string{"0s Pending ErrImagePull", "1s Pending ImagePullBackOff"},
		},
		"crash": {
			newPod(annotated(CrashAnnotation, "true")),
			[]string{
				"0s Running CrashLoopBackOff restarts=1", "10s Running CrashLoopBackOff restarts=2",
				"30s Running CrashLoopBackOff restarts=3", "1m10s Running CrashLoopBackOff restarts=4",
			},
		},
		"crash after a while": {
			newPod(annotated(CrashAnnotation, "3s")),
			[]string{
				"0s Running ready serving", "3s Running restarts=1 ready serving", "6s Running CrashLoopBackOff restarts=1",
				"16s Running restarts=2 ready serving", "19s Running CrashLoopBackOff restarts=2",
				"39s Running restarts=3 ready serving", "42s Running CrashLoopBackOff restarts=3",
				"1m22s Running restarts=4 ready serving", "1m25s Running CrashLoopBackOff restarts=4",
			},
		},
		"crash before it is ready": {
			newPod(annotated(CrashAnnotation, "3s"), annotated(ReadyAfterAnnotation, "5s"), policy(corev1.RestartPolicyNever)),
			[]string{"0s Running serving", "3s Failed Error"},
		},
		"job": {
			newPod(policy(corev1.RestartPolicyOnFailure), annotated(CompleteAfterAnnotation, "2s")),
			[]string{"0s Running ready serving", "2s Succeeded Completed"},
		},
		"job, at once": {newPod(policy(corev1.RestartPolicyNever)), []string{"0s Succeeded Completed"}},
		"job that fails": {
			newPod(policy(corev1.RestartPolicyNever), annotated(CrashAnnotation, "true")),
			[]string{"0s Failed Error"},
		},
		"annotation that cannot be read": {
			newPod(annotated(ReadyAfterAnnotation, "2 seconds")),
			[]string{"0s Pending CreateContainerConfigError"},
		},
		"readiness gate": {
			newPod(func(pod *corev1.Pod) { pod.Spec.ReadinessGates = []corev1.PodReadinessGate{{ConditionType: "Mine"}} }),
			[]string{"0s Running serving"},
		},
		"not bound to a node": {newPod(func(pod *corev1.Pod) { pod.Spec.NodeName = "" }), nil},
		"over":                {newPod(func(pod *corev1.Pod) { pod.Status.Phase = corev1.PodFailed }), nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			record := PodRecord{PodIP: "10.244.0.1", HostIP: "10.243.0.1", Started: noon}
			if got := played(t, test.pod.DeepCopy(), record, noon, 2*time.Minute); !slices.Equal(got, test.want) {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(test.want, "\n"))
			}
			// Anyone who remembers nothing must come to the same end, if not to the same moments.
			got := played(t, test.pod.DeepCopy(), PodRecord{}, noon, 2*time.Minute)
			if len(got) != len(test.want) {
				t.Errorf("without a record: got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(test.want, "\n"))
			}
		})
	}
}

func TestKubeletCrashesOfItself(t *testing.T) {
	pod := newPod(annotated(StartAfterAnnotation, "1s"), annotated(ReadyAfterAnnotation, "2s"))
	record := PodRecord{Started: noon}
	played(t, pod, record, noon, time.Minute)
	for _, test := range []struct {
		after time.Duration // of the last crash
		want  []string
	}{
		{time.Minute, []string{"0s Running restarts=1 serving", "2s Running restarts=1 ready serving"}},
		{5 * time.Second, []string{"0s Running CrashLoopBackOff restarts=1", "10s Running restarts=2 serving", "12s Running restarts=2 ready serving"}},
		{15 * time.Second, []string{"0s Running CrashLoopBackOff restarts=2", "20s Running restarts=3 serving", "22s Running restarts=3 ready serving"}},
	} {
		at := noon
		if n := len(record.Crashed); n > 0 {
			at = record.Crashed[n-1]
		}
		record.Crashed = append(record.Crashed, at.Add(test.after))
		if got := played(t, pod, record, at.Add(test.after), 2*time.Minute); !slices.Equal(got, test.want) {
			t.Errorf("after crash %d: got\n%s\nwant\n%s", len(record.Crashed), strings.Join(got, "\n"), strings.Join(test.want, "\n"))
		}
	}
	job := newPod(policy(corev1.RestartPolicyNever), annotated(CompleteAfterAnnotation, "1m"))
	want := []string{"0s Running ready serving", "3s Failed Error"}
	if got := played(t, job, PodRecord{Started: noon, Crashed: []time.Time{noon.Add(3 * time.Second)}}, noon, time.Minute); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestKubeletStops(t *testing.T) {
	preStop := func(handler corev1.LifecycleHandler) func(*corev1.Pod) {
		return func(pod *corev1.Pod) { pod.Spec.Containers[0].Lifecycle = &corev1.Lifecycle{PreStop: &handler} }
	}
	shell := func(command ...string) func(*corev1.Pod) {
		return preStop(corev1.LifecycleHandler{Exec: &corev1.ExecAction{Command: command}})
	}
	tests := map[string]struct {
		pod   *corev1.Pod
		grace int64
		want  time.Duration
	}{
		"at once":                 {newPod(), 30, 0},
		"drain":                   {newPod(annotated(DrainAnnotation, "5s")), 30, 5 * time.Second},
		"drain, at most grace":    {newPod(annotated(DrainAnnotation, "1m")), 30, 30 * time.Second},
		"no grace":                {newPod(annotated(DrainAnnotation, "5s")), 0, 0},
		"preStop sleep":           {newPod(preStop(corev1.LifecycleHandler{Sleep: &corev1.SleepAction{Seconds: 4}})), 30, 4 * time.Second},
		"preStop command":         {newPod(shell("sleep", "3")), 30, 3 * time.Second},
		"preStop shell":           {newPod(shell("/bin/sh", "-c", "nginx -s quit; /bin/sleep 2.5; echo")), 30, 2500 * time.Millisecond},
		"preStop something else":  {newPod(shell("nginx", "-s", "quit")), 30, 0},
		"annotation over preStop": {newPod(shell("sleep", "3"), annotated(DrainAnnotation, "0s")), 30, 0},
		"drain, image missing":    {newPod(image("not-exist"), annotated(DrainAnnotation, "5s")), 30, 0},
		"unreadable drain":        {newPod(annotated(DrainAnnotation, "long")), 30, 0},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			record := PodRecord{Started: noon}
			played(t, test.pod, record, noon, time.Minute)
			later := noon.Add(time.Hour)
			record.Deleted = later
			test.pod.DeletionTimestamp = &metav1.Time{Time: later.Add(time.Duration(test.grace) * time.Second)}
			test.pod.DeletionGracePeriodSeconds = &test.grace
			step := Kubelet(test.pod, record, later)
			if test.want > 0 && (!step.Serving || step.Status != nil || step.Remove || step.After != test.want) {
				t.Errorf("while draining: %+v, want to go on serving for %s", step, test.want)
			}
			want := []string{test.want.String() + " removed"}
			if got := played(t, test.pod.DeepCopy(), record, later, time.Hour); !slices.Equal(got, want) {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
}

func TestKubeletStopsPodThatIsHeld(t *testing.T) {
	pod := newPod(func(pod *corev1.Pod) { pod.Finalizers = []string{"example.com/hold"} })
	played(t, pod, PodRecord{}, noon, 0)
	pod.DeletionTimestamp, pod.DeletionGracePeriodSeconds = &metav1.Time{Time: noon.Add(30 * time.Second)}, new(int64(30))
	got := played(t, pod, PodRecord{}, noon, time.Minute)
	if want := []string{"0s Failed Error"}; !slices.Equal(got, want) {
		t.Fatalf("got %q, want %q", got, want)
	}
	if step := Kubelet(pod, PodRecord{}, noon); !step.Remove {
		t.Errorf("stopped: %+v, want it removed", step)
	}
	pod.DeletionGracePeriodSeconds = new(int64(0)) // what removing leaves of a pod that is held
	if step := Kubelet(pod, PodRecord{}, noon); step != (KubeletStep{}) {
		t.Errorf("held: %+v, want nothing to be done", step)
	}
}

func TestKubeletReplacesImageInPlace(t *testing.T) {
	pod := newPod(annotated(ReadyAfterAnnotation, "2s"))
	record := PodRecord{Started: noon}
	played(t, pod, record, noon, time.Minute)
	before := pod.Status.ContainerStatuses[0]

	later := noon.Add(time.Hour)
	pod.Spec.Containers[0].Image, record.Started = "web:v2", later
	got := played(t, pod, record, later, time.Minute)
	want := []string{"0s Running restarts=1 serving", "2s Running restarts=1 ready serving"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if after := pod.Status.ContainerStatuses[0]; after.Image != "web:v2" || after.ImageID == before.ImageID || after.ContainerID == before.ContainerID {
		t.Errorf("the container is %+v, want one of web:v2", after)
	}
}

func TestKubeletFollowsAnnotationsAndGates(t *testing.T) {
	pod := newPod(func(pod *corev1.Pod) { pod.Spec.ReadinessGates = []corev1.PodReadinessGate{{ConditionType: "Mine"}} })
	record := PodRecord{Started: noon}
	played(t, pod, record, noon, time.Minute)
	pod.Status.Conditions = append(pod.Status.Conditions, corev1.PodCondition{Type: "Mine", Status: corev1.ConditionTrue})
	for i, change := range []struct {
		neverReady, want string
	}{{"", "Running ready serving"}, {"true", "Running serving"}, {"false", "Running ready serving"}} {
		pod.Annotations[NeverReadyAnnotation] = change.neverReady
		at := noon.Add(time.Duration(i+1) * time.Minute)
		if got := played(t, pod, record, at, time.Minute); !slices.Equal(got, []string{"0s " + change.want}) {
			t.Errorf("never-ready=%q: got %q, want %q", change.neverReady, got, change.want)
		}
		for _, c := range pod.Status.Conditions {
			if c.Type == corev1.PodReady && !c.LastTransitionTime.Time.Equal(at.Truncate(time.Second)) {
				t.Errorf("never-ready=%q: changed at %s, want %s", change.neverReady, c.LastTransitionTime, at)
			}
		}
	}
}

func TestKubeletKeepsAddress(t *testing.T) {
	pod := newPod()
	played(t, pod, PodRecord{PodIP: "10.244.0.1", HostIP: "10.243.0.1"}, noon, 0)
	if pod.Status.PodIP != "10.244.0.1" || pod.Status.PodIPs[0].IP != "10.244.0.1" || pod.Status.HostIP != "10.243.0.1" {
		t.Fatalf("addresses are %+v", pod.Status)
	}
	pod.Annotations[NeverReadyAnnotation] = "true"
	step := Kubelet(pod, PodRecord{PodIP: "10.244.9.9", HostIP: "10.243.0.1"}, noon)
	if step.Status == nil || step.Status.PodIP != "10.244.0.1" {
		t.Errorf("the address changed: %+v", step.Status)
	}

	host := newPod(func(pod *corev1.Pod) { pod.Spec.HostNetwork = true })
	if step := Kubelet(host, PodRecord{PodIP: "10.244.0.1", HostIP: "10.243.0.1"}, noon); step.Status.PodIP != "10.243.0.1" {
		t.Errorf("a pod in the host's network has address %s", step.Status.PodIP)
	}
}
