// SPDX-License-Identifier: Apache-2.0

package world_test

import (
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"kruise.io/rollouts/api/v1beta1"
)

// TestExportedManifest: what was exported in the middle of a release and is applied again when that is over (kubectl get -o yaml,
// a backup) begins no release of its own, and the strategy is the one from before.
func TestExportedManifest(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]conformer{
		"Deployment":          dep,
		"CloneSet":            {version: alpha, of: "CloneSet"},
		"StatefulSet":         {version: "apps/v1", of: "StatefulSet", ordered: true},
		"AdvancedStatefulSet": {version: beta, of: "StatefulSet", ordered: true},
		"DaemonSet":           {version: "apps/v1", of: "DaemonSet", newcomersNew: true, strategy: rolls},
		"AdvancedDaemonSet":   {version: beta, of: "DaemonSet", newcomersNew: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := c.conform(t, 5, steps("1", "100%"))
			r.image("2")
			r.run("step 1", "1:4 2:1")
			u := r.blank()
			r.Get(t.Context(), "web", u)
			exported := u.DeepCopy()
			r.approve()
			r.run("all", "2:5")
			r.phase("all", v1beta1.PhaseHealthy)
			r.restored()

			spec, _, _ := unstructured.NestedMap(exported.Object, "spec")
			r.patch(encoded(t, map[string]any{"metadata": map[string]any{"annotations": exported.GetAnnotations(), "labels": exported.GetLabels()}, "spec": spec}))
			r.pass(5 * time.Minute)
			r.run("applied again", "2:5")
			r.phase("applied again", v1beta1.PhaseHealthy)
			r.restored()
		})
	}
}

// TestForgedMarks: marks of a release that somebody writes to a workload at rest begin none, and are not believed by the next one.
func TestForgedMarks(t *testing.T) {
	t.Parallel()
	for name, patch := range map[string]string{
		"strategy":        `{metadata: {annotations: {rollouts.kruise.io/original-deployment-strategy: '{"maxSurge":"100%","maxUnavailable":"100%"}'}}}`,
		"stable revision": `{metadata: {labels: {rollouts.kruise.io/stable-revision: bogus}}}`,
		"stamp":           `{metadata: {annotations: {rollouts.kruise.io/in-progressing: '{"rolloutName":"web","user":"boss"}'}}}`,
		"claim":           `{metadata: {annotations: {batchrelease.rollouts.kruise.io/control-info: '{"apiVersion":"rollouts.kruise.io/v1beta1","kind":"BatchRelease","name":"x","uid":"y","controller":true}'}}}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := dep.conform(t, 5, steps("1", "100%"))
			r.patch(patch)
			r.pass(time.Minute)
			r.run("at rest", "1:5")
			r.phase("at rest", v1beta1.PhaseHealthy)
			r.restored()
			r.image("2")
			r.run("step 1", "1:4 2:1")
			r.approve()
			r.run("all", "2:5")
			r.restored()
		})
	}
}
