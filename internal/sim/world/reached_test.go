// SPDX-License-Identifier: Apache-2.0

package world_test

import (
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/rollouts/api/v1beta1"
)

// TestReachedIsJudgedByPods: a status of a BatchRelease that somebody wrote is no step done. What is seen is put there again.
func TestReachedIsJudgedByPods(t *testing.T) {
	t.Parallel()
	for name, c := range kinds {
		for what, status := range map[string]string{
			"ready":                `{"status":{"canaryStatus":{"batchState":"Ready"}}}`,
			"ready long ago":       `{"status":{"canaryStatus":{"batchState":"Ready","batchReadyTime":"2001-01-01T00:00:00Z"}}}`,
			"ready, and no news":   `{"status":{"conditions":[],"canaryStatus":{"batchState":"Ready","batchReadyTime":"2001-01-01T00:00:00Z"}}}`,
			"ready, a later batch": `{"status":{"canaryStatus":{"batchState":"Ready","currentBatch":2}}}`,
			"completed":            `{"status":{"phase":"Completed"}}`,
		} {
			t.Run(name+", "+what, func(t *testing.T) {
				t.Parallel()
				r := c.conform(t, 5, steps("2", "4", "100%"))
				r.breaks("2", "never-ready")
				r.pass(2 * time.Minute)
				before := r.images()
				br := &v1beta1.BatchRelease{}
				r.Get(t.Context(), "web", br)
				r.must(r.User.Status().Patch(t.Context(), br, client.RawPatch(types.MergePatchType, []byte(status))))
				r.pass(2 * time.Minute)
				ro := r.rollout()
				if ro.Status.CurrentStepIndex != 1 || ro.Status.CurrentStepState != v1beta1.StepUpgrade {
					t.Errorf("step %d is %s with no pod ready", ro.Status.CurrentStepIndex, ro.Status.CurrentStepState)
				}
				r.Get(t.Context(), "web", br)
				if s := br.Status; s.CanaryStatus.CurrentBatchState == v1beta1.BatchReady || s.CanaryStatus.CurrentBatch != 0 || s.Phase != v1beta1.PhaseProgressing {
					t.Errorf("the BatchRelease is %s, batch %d %s", s.Phase, s.CanaryStatus.CurrentBatch, s.CanaryStatus.CurrentBatchState)
				}
				if got := r.images(); got != before {
					t.Errorf("the pods are %s, were %s", got, before)
				}
			})
		}
	}
}
