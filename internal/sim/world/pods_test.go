// SPDX-License-Identifier: Apache-2.0

package world_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"kruise.io/rollouts/internal/sim/world"
)

// stage is a world with one workload, named web.
type stage struct {
	*testing.T
	*world.World
	kind schema.GroupVersionKind
}

// newStage makes a workload of a kind; spec is YAML, to which the selector and a template of version 1 are added.
func newStage(t *testing.T, apiVersion, kind, spec string) *stage {
	t.Helper()
	w, err := world.New(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s := &stage{t, w, schema.FromAPIVersionAndKind(apiVersion, kind)}
	if kind == "DaemonSet" {
		s.must(w.AddNodes(t.Context(), 5))
	}
	u := s.named()
	fields := map[string]any{}
	s.must(yaml.Unmarshal([]byte(`{selector: {matchLabels: {app: web}}, template: {metadata: {labels: {app: web}}, spec: {containers: [{name: main, image: "web:1"}]}}}`), &fields))
	s.must(yaml.Unmarshal([]byte(spec), &fields))
	u.Object["spec"] = fields
	s.must(w.User.Create(t.Context(), u))
	s.settle()
	return s
}

func (s *stage) blank() *unstructured.Unstructured {
	u := &unstructured.Unstructured{Object: map[string]any{}}
	u.SetGroupVersionKind(s.kind)
	return u
}

// named is the workload by its name.
func (s *stage) named() *unstructured.Unstructured {
	u := s.blank()
	u.SetNamespace(world.Namespace)
	u.SetName("web")
	return u
}

func (s *stage) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

// patch changes the workload as a user does.
func (s *stage) patch(patch string) {
	s.Helper()
	raw, err := yaml.YAMLToJSON([]byte(patch))
	s.must(err)
	u := s.named()
	s.must(s.User.Patch(s.Context(), u, client.RawPatch("application/merge-patch+json", raw)))
}

// image sets the version.
func (s *stage) image(tag string, more ...string) {
	s.Helper()
	s.patch(fmt.Sprintf(`{spec: {template: {spec: {containers: [{name: main, image: "web:%s"}]}}}}`, tag))
	for _, m := range more {
		s.patch(m)
	}
}

func (s *stage) settle() {
	s.Helper()
	_, err := s.Settle(s.Context())
	s.must(err)
}

func (s *stage) pods() []corev1.Pod {
	s.Helper()
	list := &corev1.PodList{}
	s.must(s.List(s.Context(), list))
	return list.Items
}

// images counts the pods by their versions: "1:3 2:2".
func (s *stage) images() string {
	s.Helper()
	n := map[string]int{}
	for _, pod := range s.pods() {
		n[strings.TrimPrefix(pod.Spec.Containers[0].Image, "web:")]++
	}
	var texts []string
	for _, tag := range slices.Sorted(maps.Keys(n)) {
		texts = append(texts, fmt.Sprintf("%s:%d", tag, n[tag]))
	}
	return strings.Join(texts, " ")
}

// want settles and checks the pods' versions.
func (s *stage) want(when, images string) {
	s.Helper()
	s.settle()
	if got := s.images(); got != images {
		s.Errorf("%s: the pods are %q, want %q", when, got, images)
	}
}

// pass lets time pass.
func (s *stage) pass(d time.Duration) {
	s.Helper()
	s.must(s.Pass(s.Context(), d))
}

// status is a field of the workload's status.
func (s *stage) status(name string) any {
	s.Helper()
	u := s.blank()
	if !s.Get(s.Context(), "web", u) {
		s.Fatal("there is no workload")
	}
	v, _, _ := unstructured.NestedFieldNoCopy(u.Object, "status", name)
	return v
}

// counts checks fields of the status.
func (s *stage) counts(when string, want map[string]int64) {
	s.Helper()
	for name, n := range want {
		if got, _ := s.status(name).(int64); got != n {
			s.Errorf("%s: status.%s is %v, want %d", when, name, s.status(name), n)
		}
	}
}

// drop deletes the first pod of a version, or of a name.
func (s *stage) drop(of string) {
	s.Helper()
	for _, pod := range s.pods() {
		if pod.Name == of || pod.Spec.Containers[0].Image == "web:"+of {
			s.must(s.User.Delete(s.Context(), &pod))
			return
		}
	}
	s.Fatalf("there is no pod %s", of)
}

// fewest gets the least number of ready pods seen while something goes on.
func (s *stage) fewest(do func()) int {
	s.Helper()
	least := len(s.pods())
	s.Watch = func(world.Write) {
		ready := 0
		for _, pod := range s.pods() {
			if pod.DeletionTimestamp == nil && slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
				return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
			}) {
				ready++
			}
		}
		least = min(least, ready)
	}
	defer func() { s.Watch = nil }()
	do()
	return least
}
