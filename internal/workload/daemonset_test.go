// SPDX-License-Identifier: Apache-2.0

package workload_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"

	"kruise.io/rollouts/api/v1beta1"
	"kruise.io/rollouts/internal/workload"
)

func object(t *testing.T, text string) *unstructured.Unstructured {
	t.Helper()
	u := &unstructured.Unstructured{}
	raw, err := yaml.YAMLToJSON([]byte(text))
	if err == nil {
		err = u.UnmarshalJSON(raw)
	}
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func driver(t *testing.T, apiVersion, kind string) workload.Driver {
	t.Helper()
	d := workload.DriverFor(v1beta1.ObjectRef{APIVersion: apiVersion, Kind: kind}, v1beta1.PartitionRollingStyle)
	if d == nil {
		t.Fatalf("there is no driver for %s", kind)
	}
	return d
}

// ownPod is a pod of the workload w at a revision; how is "ready", "broken", "pending" or "going".
func ownPod(name, revision, how string) *corev1.Pod {
	yes := true
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
		Name: name, Labels: map[string]string{appsv1.ControllerRevisionHashLabelKey: revision},
		OwnerReferences: []metav1.OwnerReference{{UID: "w", Controller: &yes}},
	}}
	pod.Status.Phase = corev1.PodRunning
	switch how {
	case "ready":
		pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
	case "broken":
		pod.Status.ContainerStatuses = []corev1.ContainerStatus{{State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff"}}}}
	case "pending":
		pod.Status.Phase = corev1.PodPending
	case "going":
		now := metav1.Now()
		pod.DeletionTimestamp = &now
	}
	return pod
}

// gone names the pods that next leaves out.
func gone(before, next workload.Objects) []string {
	var names []string
	for _, pod := range before.Pods {
		if !slices.Contains(next.Pods, pod) {
			names = append(names, pod.Name)
		}
	}
	return names
}

func daemons(t *testing.T, more string, pods ...*corev1.Pod) workload.Objects {
	t.Helper()
	o := workload.Objects{Pods: pods, Workload: object(t, `{apiVersion: apps/v1, kind: DaemonSet, metadata: {name: d, uid: w, generation: 2`+more+`},
		spec: {updateStrategy: {type: OnDelete, rollingUpdate: {maxUnavailable: 2}}, template: {metadata: {creationTimestamp: null}, spec: {a: 2}}},
		status: {observedGeneration: 2, desiredNumberScheduled: 5}}`)}
	for i, a := range []int{1, 2} {
		raw, _ := json.Marshal(map[string]any{"spec": map[string]any{"template": map[string]any{"$patch": "replace", "spec": map[string]any{"a": a}}}})
		o.Revisions = append(o.Revisions, &appsv1.ControllerRevision{
			ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{appsv1.ControllerRevisionHashLabelKey: fmt.Sprintf("r%d", a)}},
			Revision:   int64(i), Data: runtime.RawExtension{Raw: raw},
		})
	}
	return o
}

func TestDaemonSetDeletes(t *testing.T) {
	t.Parallel()
	d := driver(t, "apps/v1", "DaemonSet")
	dear := ownPod("a", "r1", "ready")
	dear.Annotations = map[string]string{corev1.PodDeletionCost: "5"}
	ready := func(names ...string) (pods []*corev1.Pod) {
		for _, name := range names {
			pods = append(pods, ownPod(name, "r1", "ready"))
		}
		return pods
	}
	for name, test := range map[string]struct {
		pods []*corev1.Pod
		want int32
		gone []string
	}{
		"as many as may be unavailable": {ready("a", "b", "c", "d", "e"), 5, []string{"a", "b"}},
		"as many as asked for":          {ready("a", "b", "c", "d", "e"), 1, []string{"a"}},
		"the dear one last":             {append(ready("b", "c", "d", "e"), dear), 1, []string{"b"}},
		"a missing pod comes back new":  {ready("a", "b", "c", "d"), 1, nil},
		"and is unavailable":            {ready("a", "b", "c", "d"), 5, []string{"a"}},
		"one that goes is, too":         {append(ready("a", "b", "c", "d"), ownPod("e", "r1", "going")), 5, []string{"a"}},
		"pending ones cost nothing": {
			append(ready("a", "b"), ownPod("c", "r1", "broken"), ownPod("d", "r1", "pending"), ownPod("e", "r1", "broken")), 4, []string{"c", "d", "e"},
		},
		"pending ones go first":      {append(ready("a", "b", "c"), ownPod("d", "r1", "broken"), ownPod("e", "r1", "pending")), 1, []string{"e"}},
		"no more while new are bad":  {append(ready("a", "b", "c"), ownPod("d", "r2", "broken"), ownPod("e", "r2", "broken")), 5, nil},
		"a node more than pods":      {append(ready("a", "b", "c", "d", "e", "f"), ownPod("g", "r2", "ready")), 2, []string{"a"}},
		"enough":                     {append(ready("a", "b", "c"), ownPod("d", "r2", "ready"), ownPod("e", "r2", "ready")), 2, nil},
		"somebody else's stay alone": {[]*corev1.Pod{{ObjectMeta: metav1.ObjectMeta{Name: "x"}}}, 5, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := daemons(t, "", test.pods...)
			s := d.State(o, time.Now())
			if s.Update != "r2" || s.Blind {
				t.Fatalf("the update revision is %q", s.Update)
			}
			got := gone(o, d.Move(o, s, workload.Target{Updated: test.want}))
			slices.Sort(got)
			if !slices.Equal(got, test.gone) {
				t.Errorf("gone are %v, want %v", got, test.gone)
			}
			s.Stale = true
			if got := gone(o, d.Move(o, s, workload.Target{Updated: test.want})); len(got) > 0 {
				t.Errorf("before its controller has seen the template, %v are deleted", got)
			}
			s.Stale = false
			if got := gone(o, d.Move(o, s, workload.Target{Updated: test.want, Back: true})); len(got) > 0 {
				t.Errorf("on the way back %v are deleted, and come back new", got)
			}
		})
	}
}

// What the reference implementation leaves in the middle of a release is restored.
func TestDaemonSetLeftBehind(t *testing.T) {
	t.Parallel()
	d := driver(t, "apps/v1", "DaemonSet")
	o := daemons(t, `, annotations: {rollouts.kruise.io/daemonset-original-update-strategy: RollingUpdate,
		rollouts.kruise.io/daemonset-revision: "{}", rollouts.kruise.io/daemonset-advanced-control: "{}"}`)
	if !d.State(o, time.Now()).Engaged {
		t.Error("nobody would give it back")
	}
	held, _ := d.Hold(o, o.Workload, "web", "").(*unstructured.Unstructured)
	if got := held.GetLabels()[v1beta1.LabelStableRevision]; got != "r1" {
		t.Errorf("the stable revision is %q", got)
	}
	if got := held.GetAnnotations()[v1beta1.AnnotationDaemonOriginal]; got != "RollingUpdate" {
		t.Errorf("the user's type is %q", got)
	}
	free, _ := d.Free(o).(*unstructured.Unstructured)
	if kind, _, _ := unstructured.NestedString(free.Object, "spec", "updateStrategy", "type"); kind != "RollingUpdate" || len(free.GetAnnotations()) > 0 {
		t.Errorf("given back as %s with %v", kind, free.GetAnnotations())
	}
	frozen, _ := d.Leave(o).(*unstructured.Unstructured)
	if kind, _, _ := unstructured.NestedString(frozen.Object, "spec", "updateStrategy", "type"); kind != "OnDelete" || len(frozen.GetAnnotations()) != 1 {
		t.Errorf("left as %s with %v", kind, frozen.GetAnnotations())
	}
}
