// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"encoding/json"
	"testing"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/rollouts/api/v1beta1"
)

// TestSharedFields: a field that several of a user's tools own, and that a release changes, is released without conflicts.
func TestSharedFields(t *testing.T) {
	t.Parallel()
	const manifest = `{apiVersion: apps/v1, kind: Deployment, metadata: {name: web}, spec: {replicas: 4, selector: {matchLabels: {app: web}},
	  strategy: {type: RollingUpdate, rollingUpdate: {maxSurge: 25%, maxUnavailable: 25%}},
	  template: {metadata: {labels: {app: web}}, spec: {containers: [{name: main, image: "example/web:v1"}]}}}}`
	const rollout = `{apiVersion: rollouts.kruise.io/v1beta1, kind: Rollout, metadata: {name: web}, spec: {
	  workloadRef: {apiVersion: apps/v1, kind: Deployment, name: web}, strategy: {canary: {steps: [{replicas: 1}, {replicas: 100%}]}}}}`
	for _, other := range []string{"kubectl create", "another apply"} {
		t.Run(other, func(t *testing.T) {
			t.Parallel()
			s := newStage(t)
			apply := func(manager string) error {
				o := object(t, s.namespace, manifest)
				text, err := json.Marshal(o)
				if err != nil {
					t.Fatal(err)
				}
				return s.user.Patch(t.Context(), o, client.RawPatch(types.ApplyYAMLPatchType, text), client.FieldOwner(manager))
			}
			reaches := func(what string, is func(v1beta1.RolloutStatus) bool) {
				t.Helper()
				ro := &v1beta1.Rollout{}
				if err := eventually(t.Context(), patience, func() bool {
					return s.user.Get(t.Context(), client.ObjectKey{Namespace: s.namespace, Name: "web"}, ro) == nil && is(ro.Status)
				}); err != nil {
					t.Fatalf("not %s: %v: %s %s", what, err, ro.Status.Phase, ro.Status.Message)
				}
			}
			first := func() error { return apply("ci") }
			if other == "kubectl create" {
				first = func() error {
					return s.user.Create(t.Context(), object(t, s.namespace, manifest), client.FieldOwner("kubectl-create"))
				}
			}
			if err := first(); err != nil {
				t.Fatal(err)
			}
			if err := apply("helm"); err != nil {
				t.Fatal(err)
			}
			if err := s.user.Create(t.Context(), object(t, s.namespace, rollout)); err != nil {
				t.Fatal(err)
			}
			reaches("healthy", func(is v1beta1.RolloutStatus) bool { return is.Phase == v1beta1.PhaseHealthy })
			change := client.RawPatch(types.MergePatchType, []byte(`{"spec":{"template":{"metadata":{"annotations":{"release":"2"}}}}}`))
			if err := s.user.Patch(t.Context(), object(t, s.namespace, manifest), change, client.FieldOwner("kubectl-patch")); err != nil {
				t.Fatal(err)
			}
			reaches("paused in step 1", func(is v1beta1.RolloutStatus) bool { return is.CurrentStepState == v1beta1.StepPaused })
			if err := apply("helm"); err != nil {
				t.Errorf("in the middle of the release: %v", err)
			}
		})
	}
}
