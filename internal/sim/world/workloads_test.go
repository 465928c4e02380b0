// SPDX-License-Identifier: Apache-2.0

package world_test

import (
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	alpha = "apps.kruise.io/v1alpha1"
	beta  = "apps.kruise.io/v1beta1"
)

func TestStatefulSets(t *testing.T) {
	t.Parallel()
	for _, version := range []string{"apps/v1", alpha, beta} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, version, "StatefulSet", "{replicas: 5}")
			s.want("made", "1:5")
			first := s.status("updateRevision")
			s.counts("made", map[string]int64{"replicas": 5, "readyReplicas": 5, "availableReplicas": 5, "currentReplicas": 5, "updatedReplicas": 5, "observedGeneration": 1})
			s.patch("{spec: {updateStrategy: {rollingUpdate: {partition: 3}}}}")
			least := s.fewest(func() { s.image("2"); s.settle() })
			if least != 4 {
				t.Errorf("only %d pods were ready", least)
			}
			s.want("partition 3", "1:3 2:2")
			s.counts("partition 3", map[string]int64{"currentReplicas": 3, "updatedReplicas": 2, "readyReplicas": 5})
			for _, pod := range s.pods() {
				if old := pod.Name < "web-3"; old != (pod.Labels[appsv1.ControllerRevisionHashLabelKey] == first) {
					t.Errorf("pod %s is of %s", pod.Name, pod.Labels[appsv1.ControllerRevisionHashLabelKey])
				}
			}
			s.drop("web-1")
			s.want("old pod deleted", "1:3 2:2")
			s.drop("web-4")
			s.want("new pod deleted", "1:3 2:2")
			if s.status("currentRevision") != first || s.status("updateRevision") == first {
				t.Errorf("revisions %s, %s", s.status("currentRevision"), s.status("updateRevision"))
			}
			s.patch("{spec: {replicas: 7}}")
			s.want("scaled out", "1:3 2:4")
			s.patch("{spec: {replicas: 4}}")
			s.want("scaled in", "1:3 2:1")
			s.image("1", "{spec: {updateStrategy: {rollingUpdate: {partition: 0}}}}")
			s.want("reverted", "1:4")
			if s.status("updateRevision") != first || s.status("currentRevision") != first {
				t.Errorf("revisions %s, %s; want the first ones", s.status("currentRevision"), s.status("updateRevision"))
			}
			s.image("3")
			s.want("all", "3:4")
			if s.status("updateRevision") != s.status("currentRevision") {
				t.Errorf("the current revision is still %s", s.status("currentRevision"))
			}
			s.patch("{spec: {updateStrategy: {type: OnDelete, rollingUpdate: null}}}")
			s.image("4")
			s.want("on delete", "3:4")
			s.drop("web-0")
			s.want("on delete", "3:3 4:1")
			s.must(s.User.Delete(t.Context(), s.named()))
			s.want("deleted", "")
		})
	}
}

func TestStatefulSetWaitsForReadyPods(t *testing.T) {
	t.Parallel()
	s := newStage(t, "apps/v1", "StatefulSet", "{replicas: 3, minReadySeconds: 10}")
	s.want("one at a time", "1:1")
	s.pass(time.Minute)
	s.want("all", "1:3")
	s.patch(`{spec: {template: {metadata: {annotations: {sandbox.kruise.io/never-ready: "true"}}}}}`)
	s.pass(time.Minute)
	s.counts("broken", map[string]int64{"updatedReplicas": 1, "readyReplicas": 2})
	s.patch(`{spec: {template: {metadata: {annotations: null}}}}`)
	s.pass(time.Minute)
	s.counts("a broken pod stays in the way of ordered ones", map[string]int64{"readyReplicas": 2})
	s.drop("web-2")
	s.pass(time.Minute)
	s.counts("mended", map[string]int64{"updatedReplicas": 3, "availableReplicas": 3})
}

func TestAdvancedStatefulSet(t *testing.T) {
	t.Parallel()
	s := newStage(t, beta, "StatefulSet", "{replicas: 10, podManagementPolicy: Parallel, updateStrategy: {rollingUpdate: {maxUnavailable: 30%, paused: true}}}")
	s.image("2")
	s.want("paused", "1:10")
	least := s.fewest(func() {
		s.patch("{spec: {updateStrategy: {rollingUpdate: {paused: false, partition: 4}}}}")
		s.settle()
	})
	if least != 7 {
		t.Errorf("at least %d pods were ready, want 7", least)
	}
	s.want("partition 4", "1:4 2:6")
	s.counts("partition 4", map[string]int64{"updatedReadyReplicas": 6, "updatedAvailableReplicas": 6})
	s.drop("web-0")
	s.want("old pod deleted", "1:4 2:6")

	s.patch("{spec: {updateStrategy: {rollingUpdate: {unorderedUpdate: {}, partition: 9}}}}")
	s.image("3")
	s.want("one, in any order", "1:4 2:5 3:1")
	s.patch("{spec: {updateStrategy: {rollingUpdate: {partition: 0}}}, metadata: {labels: {a: b}}}")
	s.want("all", "3:10")
	s.patch("{spec: {reserveOrdinals: [2]}}")
	s.want("reserved", "3:10")
	if s.Get(t.Context(), "web-2", &corev1.Pod{}) || !s.Get(t.Context(), "web-10", &corev1.Pod{}) {
		t.Error("the reserved ordinal is in use")
	}
}

func TestDaemonSets(t *testing.T) {
	t.Parallel()
	for _, version := range []string{"apps/v1", alpha, beta} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, version, "DaemonSet", "{}")
			s.want("made", "1:5")
			least := s.fewest(func() { s.image("2"); s.settle() })
			if least != 4 {
				t.Errorf("only %d pods were ready", least)
			}
			s.want("updated", "2:5")
			s.counts("updated", map[string]int64{"desiredNumberScheduled": 5, "currentNumberScheduled": 5, "updatedNumberScheduled": 5, "numberReady": 5, "numberAvailable": 5, "observedGeneration": 2})
			s.must(s.AddNodes(t.Context(), 1))
			s.want("a node more", "2:6")
			s.must(s.User.Delete(t.Context(), &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "node-0"}}))
			s.want("a node less", "2:5")

			s.patch("{spec: {updateStrategy: {type: OnDelete, rollingUpdate: null}}}")
			s.image("3")
			s.want("on delete", "2:5")
			s.drop("2")
			s.want("on delete", "2:4 3:1")
			s.counts("on delete", map[string]int64{"updatedNumberScheduled": 1})
			s.image("2")
			s.settle()
			s.counts("reverted", map[string]int64{"updatedNumberScheduled": 4})
			newest, hash := int64(0), ""
			revisions := &appsv1.ControllerRevisionList{}
			s.must(s.List(t.Context(), revisions))
			for _, r := range revisions.Items {
				if r.Revision > newest {
					newest, hash = r.Revision, r.Labels[appsv1.ControllerRevisionHashLabelKey]
				}
			}
			of := map[string]int{}
			for _, pod := range s.pods() {
				of[pod.Labels[appsv1.ControllerRevisionHashLabelKey]]++
			}
			if len(revisions.Items) != 3 || newest != 4 || of[hash] != 4 {
				t.Errorf("%d revisions, the newest %d with %d pods; want the old one to be number 4", len(revisions.Items), newest, of[hash])
			}
			if status := s.status("daemonSetHash"); version == alpha && status != hash {
				t.Errorf("status.daemonSetHash is %v, want %s", status, hash)
			}
		})
	}
}

func TestAdvancedDaemonSetKeepsOldPods(t *testing.T) {
	t.Parallel()
	s := newStage(t, alpha, "DaemonSet", "{updateStrategy: {rollingUpdate: {partition: 32767}}}")
	s.image("2")
	s.want("none", "1:5")
	s.patch("{spec: {updateStrategy: {rollingUpdate: {partition: 50%}}}}")
	s.want("half, and the odd one is old", "1:3 2:2")
	s.patch("{spec: {updateStrategy: {rollingUpdate: {partition: 0, paused: true}}}}")
	s.want("paused", "1:3 2:2")
	s.patch("{spec: {updateStrategy: {rollingUpdate: {paused: false}}}}")
	s.want("all", "2:5")
	s.patch("{spec: {minReadySeconds: 3600, updateStrategy: {rollingUpdate: {partition: 2, maxSurge: 2, maxUnavailable: 0}}}}")
	s.pass(2 * time.Hour)
	s.image("3")
	s.want("surge", "2:5 3:2")
	s.pass(2 * time.Hour)
	s.pass(2 * time.Hour)
	s.want("surged", "2:2 3:3")
}

func TestCloneSet(t *testing.T) {
	t.Parallel()
	for _, version := range []string{alpha, beta} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			strategy := func(fields string) string { return "{spec: {updateStrategy: " + fields + "}}" }
			if version == beta {
				strategy = func(fields string) string { return "{spec: {updateStrategy: {rollingUpdate: " + fields + "}}}" }
			}
			s := newStage(t, version, "CloneSet", "{replicas: 10}")
			s.want("made", "1:10")
			first := s.status("updateRevision")
			s.patch(strategy("{partition: 55%}"))
			least := s.fewest(func() { s.image("2"); s.settle() })
			if least != 8 {
				t.Errorf("at least %d pods were ready, want 8", least)
			}
			s.want("partition 55%", "1:6 2:4")
			s.counts("partition 55%", map[string]int64{
				"replicas": 10, "readyReplicas": 10, "availableReplicas": 10, "updatedReplicas": 4, "updatedReadyReplicas": 4,
				"updatedAvailableReplicas": 4, "expectedUpdatedReplicas": 4, "observedGeneration": 3,
			})
			for _, pod := range s.pods() {
				revision := pod.Labels[appsv1.ControllerRevisionHashLabelKey]
				if "web-"+pod.Labels[appsv1.DefaultDeploymentUniqueLabelKey] != revision || (pod.Spec.Containers[0].Image == "web:1") != (revision == first) {
					t.Errorf("pod %s has labels %v", pod.Name, pod.Labels)
				}
			}
			s.drop("1")
			s.want("old pod deleted", "1:6 2:4")
			s.drop("2")
			s.want("new pod deleted", "1:6 2:4")
			s.patch(strategy("{partition: 80%}"))
			s.want("a raised partition takes nothing back", "1:6 2:4")
			s.patch(strategy("{partition: 60%}"))
			s.patch("{spec: {replicas: 15}}")
			s.want("scaled out", "1:9 2:6")
			s.patch("{spec: {replicas: 5}}")
			s.want("scaled in", "1:3 2:2")
			s.patch(strategy("{partition: 0, paused: true}"))
			s.want("paused", "1:3 2:2")
			s.image("1", strategy("{paused: false}"))
			s.want("reverted", "1:5")
			if s.status("updateRevision") != first || s.status("currentRevision") != first {
				t.Errorf("revisions %s, %s; want the first ones", s.status("currentRevision"), s.status("updateRevision"))
			}
			s.image("3")
			s.want("all", "3:5")
			if s.status("updateRevision") != s.status("currentRevision") {
				t.Errorf("the current revision is still %s", s.status("currentRevision"))
			}
		})
	}
}

// TestCloneSetBlueGreen: with new pods that are never available and nothing unavailable allowed, new ones stand next to the old.
func TestCloneSetBlueGreen(t *testing.T) {
	t.Parallel()
	s := newStage(t, alpha, "CloneSet", "{replicas: 5}")
	s.patch("{spec: {minReadySeconds: 2147483647, updateStrategy: {maxUnavailable: 0, maxSurge: 40%, partition: 100%}}}")
	s.image("2")
	s.want("held", "1:5")
	s.patch("{spec: {updateStrategy: {partition: 0}}}")
	s.want("two beside five", "1:5 2:2")
	s.drop("2")
	s.want("a new pod deleted", "1:5 2:2")
	s.patch("{spec: {updateStrategy: {maxSurge: 100%}}}")
	s.want("as many as were missing of the new version", "1:5 2:3")
	s.patch("{spec: {updateStrategy: {paused: true}}}")
	for range 3 {
		s.drop("2")
	}
	s.want("all new pods deleted", "1:5")
	s.patch("{spec: {updateStrategy: {paused: false}}}")
	s.want("five beside five", "1:5 2:5")
	s.pass(time.Hour)
	s.want("an hour later", "1:5 2:5")
	s.counts("blue and green", map[string]int64{"replicas": 10, "updatedReadyReplicas": 5, "updatedAvailableReplicas": 0})
	s.patch("{spec: {updateStrategy: {paused: true}}}")
	s.want("paused", "1:5 2:5")

	s.image("1", "{spec: {minReadySeconds: 0, updateStrategy: {paused: false}}}")
	s.want("back", "1:5")
	s.patch("{spec: {minReadySeconds: 2147483647}}")
	s.image("3")
	s.want("once more", "1:5 3:5")
	least := s.fewest(func() {
		s.patch("{spec: {minReadySeconds: 0, updateStrategy: {maxSurge: 0, maxUnavailable: 20%}}}")
		s.settle()
	})
	s.want("finished", "3:5")
	if least < 4 {
		t.Errorf("only %d pods were ready", least)
	}
}
