// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation/field"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"kruise.io/rollouts/api/v1beta1"
	"kruise.io/rollouts/internal/analysis"
)

// shared is the metadata of the objects of these tests.
var shared = metav1.ObjectMeta{Namespace: "default", Name: "web", UID: "1", Generation: 3, ResourceVersion: "7"}

// TestFences checks what each kind of patch insists on, and that it says nothing else than what changed.
func TestFences(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		from client.Object
		edit func(o client.Object)
		want string
		kind types.PatchType
	}{
		"a Deployment, its generation": {
			&appsv1.Deployment{ObjectMeta: shared, Spec: appsv1.DeploymentSpec{Paused: true}},
			func(o client.Object) { o.(*appsv1.Deployment).Spec.Paused = false },
			`[{"op":"test","path":"/metadata/uid","value":"1"},{"op":"test","path":"/metadata/generation","value":3},{"op":"remove","path":"/spec/paused"}]`,
			types.JSONPatchType,
		},
		"a ReplicaSet, its generation": {
			&appsv1.ReplicaSet{ObjectMeta: shared},
			func(o client.Object) { o.(*appsv1.ReplicaSet).Spec.MinReadySeconds = 5 },
			`[{"op":"test","path":"/metadata/uid","value":"1"},{"op":"test","path":"/metadata/generation","value":3},{"op":"add","path":"/spec/minReadySeconds","value":5}]`,
			types.JSONPatchType,
		},
		"a pod, which one it is": {
			&corev1.Pod{ObjectMeta: shared},
			func(o client.Object) { o.SetLabels(map[string]string{"a": "b"}) },
			`{"metadata":{"labels":{"a":"b"},"uid":"1"}}`, types.MergePatchType,
		},
		"a BatchRelease, which one it is": {
			&v1beta1.BatchRelease{ObjectMeta: shared},
			func(o client.Object) { o.(*v1beta1.BatchRelease).Spec.ReleasePlan.BatchPartition = new(int32(1)) },
			`{"metadata":{"uid":"1"},"spec":{"releasePlan":{"batchPartition":1}}}`, types.MergePatchType,
		},
		"anything else, all of it": {
			&v1beta1.Rollout{ObjectMeta: shared},
			func(o client.Object) { o.SetFinalizers([]string{"a"}) },
			`{"metadata":{"finalizers":["a"],"resourceVersion":"7"}}`, types.MergePatchType,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			to, _ := c.from.DeepCopyObject().(client.Object)
			c.edit(to)
			patch := fence(c.from)
			data, err := patch.Data(to)
			if err != nil || string(data) != c.want || patch.Type() != c.kind {
				t.Errorf("%s %s, %v; want %s %s", patch.Type(), data, err, c.kind, c.want)
			}
		})
	}
}

// refused is how the API server answers a JSON patch whose test fails: it keeps to itself which one.
func refused(message string) error {
	return apierrors.NewGenericServerResponse(http.StatusUnprocessableEntity, "", schema.GroupResource{}, "", message, 0, false)
}

func TestRetry(t *testing.T) {
	t.Parallel()
	resource := schema.GroupResource{Group: "apps", Resource: "deployments"}
	for name, c := range map[string]struct {
		err  error
		race bool
	}{
		"somebody was faster":                 {apierrors.NewConflict(resource, "web", errors.New("changed")), true},
		"it exists":                           {apierrors.NewAlreadyExists(resource, "web"), true},
		"the cache is behind":                 {errLagging, true},
		"the spec has changed":                {refused("testing value /metadata/generation failed: test failed"), true},
		"the object is invalid":               {apierrors.NewInvalid(schema.GroupKind{Group: "apps", Kind: "Deployment"}, "web", field.ErrorList{field.Required(field.NewPath("spec"), "")}), false},
		"the webhook is not reachable":        {apierrors.NewInternalError(errors.New("failed calling webhook")), false},
		"forbidden":                           {apierrors.NewForbidden(resource, "web", errors.New("no")), false},
		"something else about the generation": {errors.New("/metadata/generation"), false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			result, err := retry(fmt.Errorf("converging: %w", c.err))
			if race := err == nil && result.RequeueAfter == lookAgain; race != c.race {
				t.Errorf("%+v, %v; a lost race: %v, want %v", result, err, race, c.race)
			}
			if !c.race && !errors.Is(err, c.err) {
				t.Errorf("the error is now %v", err)
			}
		})
	}
}

// TestFenceLoses checks that a patch made from an old copy is refused as a lost race where the spec has changed since,
// and passes where only the status has.
func TestFenceLoses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		meanwhile func(d *appsv1.Deployment)
		lost      bool
	}{
		"another spec": {func(d *appsv1.Deployment) { d.Generation++ }, true},
		"another UID":  {func(d *appsv1.Deployment) { d.UID = "2" }, true},
		"its status":   {func(d *appsv1.Deployment) { d.Status.Replicas = 4 }, false},
		"an annotation": {
			func(d *appsv1.Deployment) { d.Annotations = map[string]string{"theirs": "1"} }, false,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			seen := &appsv1.Deployment{ObjectMeta: shared}
			seen.ResourceVersion = ""
			stored := seen.DeepCopy()
			c.meanwhile(stored)
			cl := fake.NewClientBuilder().WithScheme(Scheme()).WithObjects(stored).WithInterceptorFuncs(interceptor.Funcs{
				Patch: func(ctx context.Context, c client.WithWatch, obj client.Object, patch client.Patch, opts ...client.PatchOption) error {
					if err := c.Patch(ctx, obj, patch, opts...); err != nil {
						return refused(err.Error()) // the fake client says the same without a status
					}
					return nil
				},
			}).Build()
			next := seen.DeepCopy()
			next.Spec.MinReadySeconds = 9
			err := cl.Patch(t.Context(), next, fence(seen))
			if lost := err != nil && lostFence(err); lost != c.lost || !lost && err != nil {
				t.Errorf("lost: %v (%v), want %v", lost, err, c.lost)
			}
		})
	}
}

// lagged is a reader that may lag: it knows what it was given.
type lagged struct {
	client.Reader
	pod *corev1.Pod
}

func (c *lagged) Get(_ context.Context, _ client.ObjectKey, obj client.Object, _ ...client.GetOption) error {
	if c.pod == nil {
		return apierrors.NewNotFound(schema.GroupResource{Resource: "pods"}, "web")
	}
	c.pod.DeepCopyInto(obj.(*corev1.Pod))
	return nil
}

func (c *lagged) List(_ context.Context, list client.ObjectList, _ ...client.ListOption) error {
	if c.pod != nil {
		list.(*corev1.PodList).Items = []corev1.Pod{*c.pod}
	}
	return nil
}

func podAt(version string) *corev1.Pod {
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web", UID: "1", ResourceVersion: version}}
}

// TestReadback checks that the cache is believed once it shows our own write, and never waited for beyond the limit.
func TestReadback(t *testing.T) {
	t.Parallel()
	going := podAt("7")
	going.DeletionTimestamp = &metav1.Time{Time: time.Unix(0, 0)}
	replaced := podAt("9")
	replaced.UID = "2"
	for name, c := range map[string]struct {
		act     func(r *readback)
		shown   *corev1.Pod
		lagging bool
	}{
		"nothing was written":                    {func(*readback) {}, podAt("5"), false},
		"nothing was written, nothing is there":  {func(*readback) {}, nil, false},
		"older than our write":                   {func(r *readback) { r.wrote(podAt("7")) }, podAt("5"), true},
		"our write":                              {func(r *readback) { r.wrote(podAt("7")) }, podAt("7"), false},
		"newer than our write":                   {func(r *readback) { r.wrote(podAt("7")) }, podAt("10"), false},
		"created, and not shown":                 {func(r *readback) { r.wrote(podAt("7")) }, nil, true},
		"deleted, and still shown":               {func(r *readback) { r.deleted(podAt("7")) }, podAt("7"), true},
		"deleted, and shown with a newer status": {func(r *readback) { r.deleted(podAt("7")) }, podAt("8"), true},
		"deleted, and shown as going":            {func(r *readback) { r.deleted(podAt("7")) }, going, false},
		"deleted, and gone":                      {func(r *readback) { r.wrote(podAt("6")); r.deleted(podAt("7")) }, nil, false},
		"its last finalizer is gone":             {func(r *readback) { r.gone(podAt("7")) }, podAt("8"), true},
		"its last finalizer is gone, and it too": {func(r *readback) { r.wrote(podAt("6")); r.gone(podAt("7")) }, nil, false},
		"deleted, and made anew by someone":      {func(r *readback) { r.deleted(podAt("7")) }, replaced, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			clock := clocktesting.NewFakePassiveClock(time.Unix(100, 0))
			r := newReadback(clock)
			c.act(r)
			reader := r.reader(&lagged{pod: c.shown})
			get := func() error {
				return reader.Get(t.Context(), client.ObjectKey{Namespace: "default", Name: "web"}, &corev1.Pod{})
			}
			if err := get(); errors.Is(err, errLagging) != c.lagging {
				t.Errorf("lagging: %v, want %v", err, c.lagging)
			}
			if err := reader.List(t.Context(), &corev1.PodList{}); c.shown != nil && errors.Is(err, errLagging) != c.lagging {
				t.Errorf("a list: lagging: %v, want %v", err, c.lagging)
			}
			clock.SetTime(clock.Now().Add(forgetAfter))
			if err := get(); errors.Is(err, errLagging) {
				t.Error("still waited for after the limit")
			}
		})
	}
}

// TestReadbackForgets checks that what is remembered does not grow without end.
func TestReadbackForgets(t *testing.T) {
	t.Parallel()
	clock := clocktesting.NewFakePassiveClock(time.Unix(100, 0))
	r := newReadback(clock)
	for i := range 5000 {
		pod := podAt("7")
		pod.UID, pod.Name = types.UID(fmt.Sprint(i)), fmt.Sprint(i)
		r.wrote(pod)
		clock.SetTime(clock.Now().Add(time.Second))
	}
	if len(r.written) > 1100 || len(r.created) > 1100 {
		t.Errorf("%d and %d writes are remembered", len(r.written), len(r.created))
	}
}

// TestStripPod checks that what the cache keeps of a pod is what drivers check.
func TestStripPod(t *testing.T) {
	t.Parallel()
	pod := podAt("7")
	pod.Spec.NodeName, pod.Spec.ServiceAccountName = "node", "account"
	pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}, {Type: corev1.PodInitialized}}
	pod.Status.ContainerStatuses = []corev1.ContainerStatus{
		{Name: "runs", State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}},
		{Name: "waits", State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff"}}},
	}
	out, err := stripPod(pod)
	kept, _ := out.(*corev1.Pod)
	if err != nil || kept.Spec.NodeName != "node" || kept.Spec.ServiceAccountName != "" || len(kept.Status.Conditions) != 1 || len(kept.Status.ContainerStatuses) != 1 || kept.Status.ContainerStatuses[0].Name != "waits" {
		raw, _ := json.Marshal(kept)
		t.Errorf("%s, %v", raw, err)
	}
}

// TestStripPodSignals checks that pods say the same of their version in the cache as they do in the cluster.
func TestStripPodSignals(t *testing.T) {
	t.Parallel()
	always := corev1.ContainerRestartPolicyAlways
	end := func(reason string, code int32) *corev1.ContainerStateTerminated {
		return &corev1.ContainerStateTerminated{Reason: reason, ExitCode: code, FinishedAt: metav1.Unix(50, 0), ContainerID: "containerd://1"}
	}
	running := corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}
	for name, change := range map[string]func(*corev1.Pod){
		"restarted": func(p *corev1.Pod) {
			p.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "main", RestartCount: 3, State: running, LastTerminationState: corev1.ContainerState{Terminated: end("Error", 1)}}}
		},
		"out of memory": func(p *corev1.Pod) {
			p.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "main", State: corev1.ContainerState{Terminated: end("OOMKilled", 137)}}}
		},
		"sidecar": func(p *corev1.Pod) {
			p.Spec.InitContainers = []corev1.Container{{Name: "proxy", RestartPolicy: &always, Image: "proxy"}, {Name: "init"}}
			p.Status.InitContainerStatuses = []corev1.ContainerStatus{
				{Name: "proxy", RestartCount: 2, State: running, LastTerminationState: corev1.ContainerState{Terminated: end("Error", 2)}}, {Name: "init", RestartCount: 5},
			}
		},
		"evicted": func(p *corev1.Pod) { p.Status.Reason = "Evicted" },
		"preempted": func(p *corev1.Pod) {
			p.Status.Conditions = append(p.Status.Conditions, corev1.PodCondition{Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue})
		},
	} {
		pod := podAt("7")
		change(pod)
		want := analysis.PodOf(pod.DeepCopy(), true, true)
		if unseen := analysis.PodOf(podAt("7"), true, true); want == unseen {
			t.Errorf("%s: the pod says nothing", name)
		}
		out, err := stripPod(pod)
		kept, _ := out.(*corev1.Pod)
		if got := analysis.PodOf(kept, true, true); err != nil || got != want {
			t.Errorf("%s: got %+v, want %+v (%v)", name, got, want, err)
		}
	}
}
