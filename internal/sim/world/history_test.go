// SPDX-License-Identifier: Apache-2.0

package world_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"

	"kruise.io/rollouts/api/v1alpha1"
	"kruise.io/rollouts/api/v1beta1"
	"kruise.io/rollouts/internal/sim/world"
)

// TestLongNamedRolloutsAreOnRecord: names have room for 253 characters, values of labels for 63.
func TestLongNamedRolloutsAreOnRecord(t *testing.T) {
	t.Parallel()
	for _, length := range []int{3, 63, 64, 70, 246, 247, 253} {
		t.Run(fmt.Sprint(length), func(t *testing.T) {
			t.Parallel()
			name := strings.Repeat("a.b", length)[:length-1] + "z"
			r := &release{stage: newStage(t, "apps/v1", "StatefulSet", "{replicas: 2}")}
			var refused []string
			r.Say = func(s string) {
				if strings.Contains(s, "Refused") {
					refused = append(refused, s)
				}
			}
			ro := &v1beta1.Rollout{}
			r.must(yaml.Unmarshal(fmt.Appendf(nil, `{metadata: {name: %s, namespace: default}, spec: {workloadRef: {apiVersion: apps/v1, kind: StatefulSet, name: web},
				strategy: {canary: {steps: [{replicas: 100%%}]}}}}`, name), ro))
			r.must(r.User.Create(t.Context(), ro))
			r.run("made", "1:2")
			r.image("2")
			r.run("second version", "2:2")
			r.pass(time.Minute)
			r.image("3")
			r.run("third version", "3:2")
			histories := &v1alpha1.RolloutHistoryList{}
			r.must(r.List(t.Context(), histories))
			var numbers []string
			for _, h := range histories.Items {
				numbers = append(numbers, h.Annotations[v1beta1.AnnotationReleaseNumber])
				if h.Spec.Rollout.Name != name || h.Labels[v1beta1.LabelRolloutName] != v1beta1.RolloutNameLabel(name) {
					t.Errorf("it is of Rollout %s, labelled %v", h.Spec.Rollout.Name, h.Labels)
				}
			}
			if strings.Join(numbers, " ") != "1 2" && strings.Join(numbers, " ") != "2 1" {
				t.Errorf("on record are %v", numbers)
			}
			if len(refused) > 0 {
				t.Errorf("refused is %v", refused)
			}
		})
	}
}

// TestRefusedRecordsAreTold: a release ends without its record, and an event says so.
func TestRefusedRecordsAreTold(t *testing.T) {
	t.Parallel()
	r := kinds["StatefulSet"].conform(t, 2, steps("100%"))
	r.Refuse = func(w world.Write) error {
		if _, record := w.After.(*v1alpha1.RolloutHistory); !record {
			return nil
		}
		return apierrors.NewForbidden(schema.GroupResource{Resource: "rollouthistories"}, w.After.GetName(), errors.New("exceeded quota"))
	}
	var told []string
	r.Say = func(s string) { told = append(told, s) }
	r.image("2")
	r.run("all", "2:2")
	r.phase("all", v1beta1.PhaseHealthy)
	if !slices.ContainsFunc(told, func(s string) bool {
		return strings.HasPrefix(s, "event Warning RecordRefused: the history of this release is not kept") && strings.Contains(s, "exceeded quota")
	}) {
		t.Errorf("told is %q", told)
	}
}
