// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"encoding/json"
	"maps"
	"slices"
	"testing"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/rollouts/api/v1beta1"
)

// TestSharedFields: a field that several of a user's tools own, and that a release changes, is in no one's way in the middle of it.
func TestSharedFields(t *testing.T) {
	t.Parallel()
	const manifest = `{apiVersion: apps/v1, kind: Deployment, metadata: {name: web}, spec: {replicas: 4, selector: {matchLabels: {app: web}},
	  strategy: {type: RollingUpdate, rollingUpdate: {maxSurge: 25%, maxUnavailable: 25%}},
	  template: {metadata: {labels: {app: web}}, spec: {containers: [{name: main, image: "example/web:v1"}]}}}}`
	styles := map[string]string{"partition": "canary: {", "canary": "canary: {enableExtraWorkloadForCanary: true, ", "blueGreen": "blueGreen: {"}
	for i := range 2 * len(styles) {
		style, other := slices.Sorted(maps.Keys(styles))[i/2], []string{"kubectl create", "another apply"}[i%2]
		t.Run(style+", "+other, func(t *testing.T) {
			t.Parallel()
			s := newStage(t)
			rollout := `{apiVersion: rollouts.kruise.io/v1beta1, kind: Rollout, metadata: {name: web}, spec: {
			  workloadRef: {apiVersion: apps/v1, kind: Deployment, name: web}, strategy: {` + styles[style] + `steps: [{replicas: 1}, {replicas: 100%}]}}}}`
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
			first, managers := func() error { return apply("flux") }, []string{"helm", "flux"}
			if other == "kubectl create" {
				managers = managers[:1]
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
			for range 3 {
				for _, manager := range managers {
					if err := apply(manager); err != nil {
						t.Errorf("in the middle of the release: %s: %v", manager, err)
					}
				}
			}
		})
	}
}
