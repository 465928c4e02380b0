// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/event"

	"kruise.io/rollouts/internal/workload"
)

// A Rollout hears of every revision that the status of its workload says, by the fields in the row of its kind, and of no count.
func TestWorkloadNews(t *testing.T) {
	t.Parallel()
	read := func(version, kind, field, value string) *unstructured.Unstructured {
		return &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": version, "kind": kind, "metadata": map[string]any{"name": "web"}, "status": map[string]any{field: value},
		}}
	}
	news := func(version, kind, field string) bool {
		return workloadNews().Update(event.UpdateEvent{ObjectOld: read(version, kind, field, "1"), ObjectNew: read(version, kind, field, "2")})
	}
	kinds := append(workload.Kinds(), workload.Kind{Status: []string{"currentRevision", "updateRevision"}})
	kinds[len(kinds)-1].Group, kinds[len(kinds)-1].Kind = "game.example.com", "GameServerSet"
	for _, k := range kinds {
		for _, field := range append([]string{"observedGeneration"}, k.Status...) {
			if !news(k.Group+"/v1", k.Kind, field) {
				t.Errorf("status.%s of %s is no news", field, k.GroupKind)
			}
		}
		if news(k.Group+"/v1", k.Kind, "updatedReadyReplicas") {
			t.Errorf("counts of %s are news", k.GroupKind)
		}
	}
}
