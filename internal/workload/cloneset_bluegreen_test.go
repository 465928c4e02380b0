// SPDX-License-Identifier: Apache-2.0

package workload

import (
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/yaml"

	"kruise.io/rollouts/api/v1beta1"
)

// TestBlueGreenPodsCountOnce: pods are read by two rules while both sets stand, and each is there once: counted twice, those
// that carry the label of their batch would pass for those that do not yet.
func TestBlueGreenPodsCountOnce(t *testing.T) {
	t.Parallel()
	u := stored(t, `{apiVersion: apps.kruise.io/v1alpha1, kind: CloneSet,
		metadata: {name: web, uid: u, generation: 1, annotations: {rollouts.kruise.io/original-deployment-strategy: "{}"}},
		spec: {replicas: 2, minReadySeconds: 2147483646}, status: {observedGeneration: 1, currentRevision: web-1, updateRevision: web-2, replicas: 4, updatedReplicas: 2}}`)
	pods := []*corev1.Pod{}
	for _, name := range []string{"a", "b"} {
		pods = append(pods, &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{byTemplate: "2"}, OwnerReferences: []metav1.OwnerReference{{UID: "u", Controller: new(true)}}},
			Status:     corev1.PodStatus{Phase: corev1.PodRunning},
		})
	}
	d := DriverFor(v1beta1.ObjectRef{APIVersion: "apps.kruise.io/v1alpha1", Kind: "CloneSet"}, v1beta1.BlueGreenRollingStyle)
	if s := d.State(Objects{Workload: u, Pods: pods}, metav1.Now().Time); s.Updated != 2 || len(s.UpdatedPods) != 2 {
		t.Errorf("%d pods are updated, and %d are listed", s.Updated, len(s.UpdatedPods))
	}
}

// TestCeiling: how many new pods a CloneSet has at most next to old ones, as its own controller was measured.
func TestCeiling(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		what                         string
		replicas, updated, old, most int32
	}{
		{"none yet: all may come", 5, 0, 5, 5},
		{"a part may grow to what is missing", 5, 2, 5, 3},
		{"complete", 5, 5, 5, 5},
		{"one of a complete set is lost", 5, 4, 5, 4},
		{"one is lost, scaled out until it comes again", 7, 4, 5, 5},
		{"scaled out a little", 5, 3, 3, 4},
		{"scaled out by less than there are", 12, 10, 10, 10},
		{"scaled out by far", 10, 3, 3, 10},
		{"scaled in", 1, 3, 3, 3},
		{"no pods", 0, 0, 0, 0},
	} {
		if most := ceiling(c.replicas, c.updated, c.old); most != c.most {
			t.Errorf("%s (%d of %d, %d old): at most %d, want %d", c.what, c.updated, c.replicas, c.old, most, c.most)
		}
	}
}

// TestBlueGreenScaledIn: the CloneSet's own controller takes no pod away that never counts as available, so the pods that are too
// many of either version go by our hand, those that are not ready first; pods of others stay.
func TestBlueGreenScaledIn(t *testing.T) {
	t.Parallel()
	u := stored(t, `{apiVersion: apps.kruise.io/v1alpha1, kind: CloneSet,
		metadata: {name: web, uid: u, generation: 2, annotations: {rollouts.kruise.io/original-deployment-strategy: "{}"}},
		spec: {replicas: 1, minReadySeconds: 2147483646, updateStrategy: {maxSurge: 100%, maxUnavailable: 0, partition: 0}},
		status: {observedGeneration: 2, currentRevision: web-1, updateRevision: web-2, replicas: 5, updatedReplicas: 2}}`)
	pod := func(name, hash, owner string, ready corev1.ConditionStatus) *corev1.Pod {
		return &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{byTemplate: hash}, OwnerReferences: []metav1.OwnerReference{{UID: types.UID(owner), Controller: new(true)}}},
			Status:     corev1.PodStatus{Phase: corev1.PodRunning, Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: ready}}},
		}
	}
	o := Objects{Workload: u, Pods: []*corev1.Pod{
		pod("old-ready", "1", "u", corev1.ConditionTrue), pod("old-broken", "1", "u", corev1.ConditionFalse),
		pod("new-broken", "2", "u", corev1.ConditionFalse), pod("new-ready", "2", "u", corev1.ConditionTrue),
		pod("other", "1", "v", corev1.ConditionTrue),
	}}
	d := DriverFor(v1beta1.ObjectRef{APIVersion: "apps.kruise.io/v1alpha1", Kind: "CloneSet"}, v1beta1.BlueGreenRollingStyle)
	next := d.Move(o, d.State(o, metav1.Now().Time), Target{Stable: "1", Updated: 1, Batch: intstr.FromString("100%"), Most: 1})
	var left []string
	for _, pod := range next.Pods {
		left = append(left, pod.Name)
	}
	if want := []string{"old-ready", "new-ready", "other"}; !slices.Equal(left, want) {
		t.Errorf("left are %v, want %v", left, want)
	}
}

// stored is an object with numbers as the API server gives them.
func stored(t *testing.T, manifest string) *unstructured.Unstructured {
	t.Helper()
	raw, err := yaml.YAMLToJSON([]byte(strings.ReplaceAll(manifest, "\t", "")))
	if err != nil {
		t.Fatal(err)
	}
	u := &unstructured.Unstructured{}
	if err := u.UnmarshalJSON(raw); err != nil {
		t.Fatal(err)
	}
	return u
}
