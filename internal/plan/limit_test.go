// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"testing"

	"k8s.io/apimachinery/pkg/util/intstr"

	"kruise.io/rollouts/api/v1beta1"
	"kruise.io/rollouts/internal/workload"
)

// TestLimit: as many pods may be new as the largest batch that was ordered asks for, of as many as there are now.
func TestLimit(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		at   int32
		w    workload.State
		want int32
	}{
		"the batch":               {0, workload.State{Replicas: 10, Updated: 2, Others: 8, Engaged: true}, 2},
		"a later one":             {1, workload.State{Replicas: 10, Updated: 5, Others: 5, Engaged: true}, 5},
		"scaled in":               {1, workload.State{Replicas: 4, Updated: 4, Engaged: true}, 2},
		"scaled to nothing":       {0, workload.State{Engaged: true}, 0},
		"let go before it began":  {0, workload.State{Replicas: 10, Updated: 10}, 10},
		"let go, and on its way":  {0, workload.State{Replicas: 10, Updated: 9, Others: 1}, 2},
		"let go, and nothing new": {0, workload.State{Replicas: 10, Others: 10}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			br := &v1beta1.BatchRelease{}
			br.Spec.ReleasePlan.BatchPartition = &c.at
			for _, size := range []string{"20%", "50%", "100%"} {
				br.Spec.ReleasePlan.Batches = append(br.Spec.ReleasePlan.Batches, v1beta1.ReleaseBatch{CanaryReplicas: intstr.Parse(size)})
			}
			m := &batchReleasePlanner{BatchReleaseInput: BatchReleaseInput{Release: br, Workload: c.w}, status: &br.Status}
			if got := m.limit(0); got != c.want {
				t.Errorf("the limit is %d, want %d", got, c.want)
			}
		})
	}
}
