// SPDX-License-Identifier: Apache-2.0

package workload_test

import (
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"kruise.io/rollouts/api/v1beta1"
	"kruise.io/rollouts/internal/workload"
)

func statefulSet(t *testing.T, spec string, pods ...*corev1.Pod) workload.Objects {
	t.Helper()
	return workload.Objects{Pods: pods, Workload: object(t, `{apiVersion: apps.kruise.io/v1beta1, kind: StatefulSet,
		metadata: {name: s, uid: w, generation: 2, labels: {rollouts.kruise.io/stable-revision: s-1}, annotations: {rollouts.kruise.io/original-deployment-strategy: "{}"}},
		spec: {replicas: 10, updateStrategy: {type: RollingUpdate, rollingUpdate: {partition: 32767, paused: false, `+spec+`}}},
		status: {observedGeneration: 2, replicas: 10, currentRevision: s-1, updateRevision: s-2}}`)}
}

func TestStatefulSetPartition(t *testing.T) {
	t.Parallel()
	d := driver(t, "apps.kruise.io/v1beta1", "StatefulSet")
	for name, test := range map[string]struct {
		spec string
		to   workload.Target
		want int64
	}{
		"ordered":                {"", workload.Target{Updated: 3}, 7},
		"ordered, partly back":   {"", workload.Target{Updated: 6, Had: 4}, 8},
		"unordered, partly back": {"unorderedUpdate: {}", workload.Target{Updated: 6, Had: 4}, 4},
		"all":                    {"", workload.Target{Updated: 10}, 0},
		"none":                   {"", workload.Target{Updated: 0}, 32767},
		"never raised":           {"partition: 2", workload.Target{Updated: 3}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := statefulSet(t, test.spec)
			u, _ := d.Move(o, d.State(o, time.Now()), test.to).Workload.(*unstructured.Unstructured)
			if got, _, _ := unstructured.NestedInt64(u.Object, "spec", "updateStrategy", "rollingUpdate", "partition"); got != test.want {
				t.Errorf("the partition is %d, want %d", got, test.want)
			}
		})
	}
}

// Scaling in the middle of a step makes more pods new than were ordered. Only those go again that come back old.
func TestStatefulSetTakesBack(t *testing.T) {
	t.Parallel()
	d := driver(t, "apps.kruise.io/v1beta1", "StatefulSet")
	limit := int32(2)
	for name, test := range map[string]struct {
		spec string
		pods []*corev1.Pod
		want []string
	}{
		"those that the partition keeps": {"partition: 8", []*corev1.Pod{ownPod("s-7", "s-2", ""), ownPod("s-8", "s-2", "ready"), ownPod("s-9", "s-2", "ready")}, []string{"s-7"}},
		"none that comes back new":       {"partition: 8", []*corev1.Pod{ownPod("s-8", "s-2", ""), ownPod("s-9", "s-2", "ready"), ownPod("s-10", "s-2", "ready")}, nil},
		"unordered, as many as too many": {"partition: 8, unorderedUpdate: {}", []*corev1.Pod{ownPod("s-0", "s-2", ""), ownPod("s-4", "s-2", ""), ownPod("s-8", "s-2", "")}, []string{"s-0"}},
		"unordered, none that goes":      {"partition: 8, unorderedUpdate: {}", []*corev1.Pod{ownPod("s-0", "s-2", ""), ownPod("s-4", "s-2", ""), ownPod("s-12", "s-2", "")}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := statefulSet(t, test.spec, test.pods...)
			s := d.State(o, time.Now())
			if got := gone(o, d.Move(o, s, workload.Target{Stable: "s-1", Updated: 2, Limit: &limit})); !slices.Equal(got, test.want) {
				t.Errorf("%v are deleted, want %v", got, test.want)
			}
		})
	}
}

// Kubernetes documents that a broken pod has to be deleted by hand before a StatefulSet goes on.
func TestStatefulSetUnblocks(t *testing.T) {
	t.Parallel()
	d := driver(t, "apps/v1", "StatefulSet")
	pods := []*corev1.Pod{
		ownPod("s-0", "s-1", "ready"), ownPod("s-1", "s-1", "broken"), ownPod("s-2", "s-0", ""),
		ownPod("s-8", "s-1", "broken"), ownPod("s-9", "s-2", "broken"),
	}
	o := statefulSet(t, "", pods...)
	s := d.State(o, time.Now())
	next := d.Move(o, s, workload.Target{Updated: 3})
	if got := gone(o, next); !slices.Equal(got, []string{"s-2", "s-8"}) {
		t.Errorf("in a batch %v are deleted", got)
	}
	if got := gone(o, d.(workload.Unsticker).Unstick(o, s, v1beta1.ImmediateFinalizingPolicy)); !slices.Equal(got, []string{"s-1", "s-2", "s-8"}) {
		t.Errorf("given back, %v are deleted", got)
	}
	u, _ := o.Workload.(*unstructured.Unstructured)
	_ = unstructured.SetNestedField(u.Object, "Parallel", "spec", "podManagementPolicy")
	if got := gone(o, d.(workload.Unsticker).Unstick(o, s, v1beta1.ImmediateFinalizingPolicy)); len(got) > 0 {
		t.Errorf("nothing is in the way, and %v are deleted", got)
	}
}

// Another webhook may have the API server ask again: what was answered the first time is not the user's.
func TestHoldAgain(t *testing.T) {
	t.Parallel()
	for _, kind := range []struct{ version, kind, spec string }{
		{"apps/v1", "StatefulSet", `replicas: 3, updateStrategy: {type: RollingUpdate, rollingUpdate: {partition: 0}}`},
		{"apps/v1", "StatefulSet", `replicas: 3, updateStrategy: {type: OnDelete}`},
		{"apps.kruise.io/v1alpha1", "CloneSet", `replicas: 3, updateStrategy: {partition: 1}`},
		{"apps.kruise.io/v1beta1", "DaemonSet", `updateStrategy: {type: RollingUpdate, rollingUpdate: {partition: 1}}`},
		{"apps/v1", "DaemonSet", `updateStrategy: {type: RollingUpdate}`},
	} {
		t.Run(kind.version+" "+kind.kind, func(t *testing.T) {
			t.Parallel()
			d := driver(t, kind.version, kind.kind)
			of := func(image string) *unstructured.Unstructured {
				return object(t, `{apiVersion: `+kind.version+`, kind: `+kind.kind+`, metadata: {name: w}, spec: {`+kind.spec+`, template: {image: `+image+`}},
					status: {replicas: 3, updatedReplicas: 3, desiredNumberScheduled: 3, currentRevision: w-1, updateRevision: w-1}}`)
			}
			old, edited := of("1"), of("2")
			once := d.Hold(workload.Objects{Workload: edited}, old, "web", "w-1")
			twice := d.Hold(workload.Objects{Workload: once}, old, "web", "w-1")
			free, _ := d.Free(workload.Objects{Workload: twice}).(*unstructured.Unstructured)
			got, _, _ := unstructured.NestedMap(free.Object, "spec", "updateStrategy")
			want, _, _ := unstructured.NestedMap(old.Object, "spec", "updateStrategy")
			if !equality.Semantic.DeepEqual(got, want) {
				t.Errorf("given back is %v, want %v", got, want)
			}
		})
	}
}
