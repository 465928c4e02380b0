// SPDX-License-Identifier: Apache-2.0

package workload_test

import (
	"slices"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kruise.io/rollouts/api/v1beta1"
	"kruise.io/rollouts/internal/workload"
)

func replicaSet(image string) *appsv1.ReplicaSet {
	set := &appsv1.ReplicaSet{ObjectMeta: metav1.ObjectMeta{Name: "s", UID: "w"}}
	set.Spec.Replicas, set.Status.Replicas = new(int32(4)), 4
	set.Spec.Template.Spec.Containers = []corev1.Container{{Image: image}}
	return set
}

func TestReplicaSetRevisions(t *testing.T) {
	t.Parallel()
	d := driver(t, "apps/v1", "ReplicaSet")
	o := workload.Objects{Workload: replicaSet("2")}
	held, _ := d.Hold(o, replicaSet("1"), "web", "").(*appsv1.ReplicaSet)
	stable, update := held.Labels[v1beta1.LabelStableRevision], held.Spec.Template.Labels[appsv1.ControllerRevisionHashLabelKey]
	if stable == "" || update == "" || stable == update {
		t.Fatalf("stable is %q, update is %q", stable, update)
	}
	for name, edited := range map[string]*appsv1.ReplicaSet{"with the label": held, "without it": replicaSet("2")} {
		if d.Starts(workload.Objects{Workload: edited}, held) {
			t.Errorf("nothing changed %s, and it starts a release", name)
		}
		kept, _ := d.Keep(edited, held).(*appsv1.ReplicaSet)
		if got := kept.Spec.Template.Labels[appsv1.ControllerRevisionHashLabelKey]; got != update {
			t.Errorf("edited %s, the revision is %q", name, got)
		}
	}
	again, _ := d.Hold(workload.Objects{Workload: held}, replicaSet("1"), "web", "").(*appsv1.ReplicaSet)
	if got := again.Spec.Template.Labels[appsv1.ControllerRevisionHashLabelKey]; got != update {
		t.Errorf("asked again, admission calls it %q", got)
	}
	back, _ := d.Hold(workload.Objects{Workload: replicaSet("1")}, held, "web", "").(*appsv1.ReplicaSet)
	if s := d.State(workload.Objects{Workload: back}, time.Now()); s.Update != stable || s.Stable != stable {
		t.Errorf("back again, it is %q of %q", s.Update, s.Stable)
	}
	owned := replicaSet("2")
	owned.OwnerReferences = []metav1.OwnerReference{{UID: "d", Controller: new(true)}}
	if d.Starts(workload.Objects{Workload: owned}, replicaSet("1")) {
		t.Error("a Deployment's own starts a release")
	}
}

// Pods made before the first release have no revision: they are of the version it started from, and stay on the way back.
func TestReplicaSetPods(t *testing.T) {
	t.Parallel()
	d := driver(t, "apps/v1", "ReplicaSet")
	held, _ := d.Hold(workload.Objects{Workload: replicaSet("2")}, replicaSet("1"), "web", "").(*appsv1.ReplicaSet)
	update := held.Spec.Template.Labels[appsv1.ControllerRevisionHashLabelKey]
	first := func(name string) *corev1.Pod {
		pod := ownPod(name, "", "ready")
		pod.Labels = nil
		return pod
	}
	pods := []*corev1.Pod{first("a"), first("b"), first("c"), ownPod("d", update, "ready")}
	o := workload.Objects{Workload: held, Pods: pods}
	s := d.State(o, time.Now())
	if s.Updated != 1 || s.Others != 3 || s.Complete {
		t.Errorf("%d updated, %d others", s.Updated, s.Others)
	}
	if got := gone(o, d.Move(o, s, workload.Target{Updated: 4})); !slices.Equal(got, []string{"a"}) {
		t.Errorf("%v are deleted", got)
	}
	if got := gone(o, d.(workload.Unsticker).Unstick(o, workload.State{Update: update, Replicas: 4, Updated: 1, UpdatedReady: 1}, v1beta1.ImmediateFinalizingPolicy)); len(got) > 0 {
		t.Errorf("let go, %v are deleted", got)
	}
	back, _ := d.Hold(workload.Objects{Workload: replicaSet("1")}, held, "web", "").(*appsv1.ReplicaSet)
	o.Workload = back
	s = d.State(o, time.Now())
	if s.Updated != 3 || s.Others != 1 {
		t.Errorf("back again, %d are updated, %d others", s.Updated, s.Others)
	}
	if free := d.Free(o); free.GetLabels()[v1beta1.LabelStableRevision] == "" {
		t.Error("it is let go before its pods are back")
	}
	if got := gone(o, d.(workload.Unsticker).Unstick(o, s, v1beta1.ImmediateFinalizingPolicy)); !slices.Equal(got, []string{"d"}) {
		t.Errorf("back again, %v are deleted", got)
	}
}
