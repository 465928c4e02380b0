// SPDX-License-Identifier: Apache-2.0

package admission

import (
	"fmt"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/yaml"

	"kruise.io/rollouts/api/v1beta1"
	"kruise.io/rollouts/internal/workload"
)

// TestWarningsOfLaggingStatus: what a workload's status says at admission is from before the edit. The user gets a warning,
// and one who rolls back, too, for every kind whose revisions are in its status.
func TestWarningsOfLaggingStatus(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"apps/v1 StatefulSet", "apps.kruise.io/v1beta1 StatefulSet", "apps.kruise.io/v1alpha1 CloneSet", "apps.kruise.io/v1alpha1 DaemonSet"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			version, name, _ := strings.Cut(kind, " ")
			ro := &v1beta1.Rollout{}
			ro.Name = "web"
			ro.Spec.WorkloadRef = v1beta1.ObjectRef{APIVersion: version, Kind: name, Name: "web"}
			ro.Spec.Strategy.Canary = &v1beta1.CanaryStrategy{Steps: []v1beta1.CanaryStep{{Replicas: new(intstr.FromInt32(1))}}}
			stored := &unstructured.Unstructured{}
			raw, err := yaml.YAMLToJSON(fmt.Appendf(nil, `{apiVersion: %s, kind: %s, metadata: {name: web, generation: 1}, spec: {replicas: 3,
				template: {metadata: {labels: {app: web}}, spec: {containers: [{name: main, image: v1}]}}},
				status: {observedGeneration: 1, replicas: 3, desiredNumberScheduled: 3, currentRevision: web-1, updateRevision: web-1, daemonSetHash: "1"}}`, version, name))
			if err == nil {
				err = stored.UnmarshalJSON(raw)
			}
			if err != nil {
				t.Fatal(err)
			}
			for i, edit := range []struct{ image, seen, says string }{
				{"v2", "web-2", "is held and released"},
				{"v3", "web-3", "is held and released"},
				{"v1", "web-1", "the release is canceled"},
				{"v2", "web-2", "is held and released"},
			} {
				edited := stored.DeepCopy()
				containers := []any{map[string]any{"name": "main", "image": edit.image}}
				if err := unstructured.SetNestedSlice(edited.Object, containers, "spec", "template", "spec", "containers"); err != nil {
					t.Fatal(err)
				}
				after, warnings := Admit(Edit{
					Rollout: ro, Kind: name, User: "jane", Old: stored, New: workload.Objects{Workload: edited},
					Driver: workload.DriverFor(ro.Spec.WorkloadRef, v1beta1.PartitionRollingStyle),
				})
				if len(warnings) != 1 || !strings.Contains(warnings[0], edit.says) {
					t.Fatalf("edit %d to %s warns %q, want %q", i, edit.image, warnings, edit.says)
				}
				stored, _ = after.(*unstructured.Unstructured)
				_ = unstructured.SetNestedField(stored.Object, edit.seen, "status", "updateRevision") // its controller comes later
				_ = unstructured.SetNestedField(stored.Object, strings.TrimPrefix(edit.seen, "web-"), "status", "daemonSetHash")
			}
		})
	}
}
