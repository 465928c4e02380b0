// SPDX-License-Identifier: Apache-2.0

package world_test

import (
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
)

// TestEditedBack: an edit in the middle of a release that its user takes back in there is taken back.
func TestEditedBack(t *testing.T) {
	t.Parallel()
	for style, steps := range map[string]string{"partition": steps("1", "100%"), "canary": "{enableExtraWorkloadForCanary: true, steps: [{replicas: 1, pause: {}}, {replicas: 100%}]}"} {
		t.Run(style, func(t *testing.T) {
			t.Parallel()
			r := kinds["Deployment"].conform(t, 5, steps)
			r.patch("{spec: {minReadySeconds: 5}}")
			r.pass(2 * time.Minute)
			r.image("2")
			r.pass(2 * time.Minute)
			for _, edit := range []string{"{spec: {minReadySeconds: 30, progressDeadlineSeconds: 100}}", "{spec: {minReadySeconds: 5, progressDeadlineSeconds: 600}}"} {
				r.patch(edit)
				r.pass(20 * time.Second)
			}
			r.approve()
			r.pass(5 * time.Minute)
			d := &appsv1.Deployment{}
			if r.Get(t.Context(), "web", d); d.Spec.MinReadySeconds != 5 || *d.Spec.ProgressDeadlineSeconds != 600 {
				t.Errorf("minReadySeconds is %d, and progressDeadlineSeconds %d, of %s", d.Spec.MinReadySeconds, *d.Spec.ProgressDeadlineSeconds, r.rollout().Status.Message)
			}
		})
	}
}
