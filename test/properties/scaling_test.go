// SPDX-License-Identifier: Apache-2.0

package properties

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/util/intstr"
	"pgregory.net/rapid"

	"kruise.io/rollouts/api/v1beta1"
)

// TestScalingIsNoApproval scales workloads of every kind and style in the middle of a release, through 0 and 1 and back,
// as autoscalers and night jobs do. Once everything has come to rest, no more pods are new than the largest step that was
// ordered asks for, measured by how many there are now; or the status says why the others stay.
func TestScalingIsNoApproval(t *testing.T) {
	t.Parallel()
	all := map[string]kind{"deployment": {version: "apps/v1", name: "Deployment"}, "deployment canary": {version: "apps/v1", name: "Deployment", canary: true}, "deployment blue-green": {version: "apps/v1", name: "Deployment", blueGreen: true}}
	for name, k := range kinds {
		if k.name != "DaemonSet" {
			all[name] = k
		}
	}
	for name, k := range all {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rapid.Check(t, func(t *rapid.T) { scaling(t, k) })
		})
	}
}

func scaling(t *rapid.T, k kind) {
	sizes := rapid.SampledFrom([][]string{{"1", "100%"}, {"1%", "50%", "100%"}, {"10%", "100%"}, {"34%", "67%", "100%"}, {"2", "3", "100%"}}).Draw(t, "sizes")
	k.sizes = sizes
	l := k.begin(t)
	l.Quick = rapid.Bool().Draw(t, "controllers are quick")
	l.Passes = rapid.IntRange(1, 3).Draw(t, "passes before they look")
	l.set(t, "v2")
	largest := 0
	for range rapid.IntRange(2, 8).Draw(t, "actions") {
		l.must(t, l.Pass(l.ctx, time.Duration(rapid.IntRange(5, 90).Draw(t, "s"))*time.Second))
		largest = max(largest, int(progress(l.rollout()).CurrentStepIndex)-1)
		switch rapid.IntRange(0, 3).Draw(t, "action") {
		case 0:
			if largest < len(sizes)-2 {
				l.approve(t)
			}
		default:
			l.replicas = rapid.SampledFrom([]int32{0, 1, 2, 3, 5, 10, 28}).Draw(t, "replicas")
			l.patch(t, l.object(), fmt.Sprintf(`{"spec":{"replicas":%d}}`, l.replicas))
		}
	}
	l.must(t, l.Pass(l.ctx, 3*time.Minute))
	ro := l.rollout()
	if ro.Status.Phase != v1beta1.PhaseProgressing {
		return // it had no pods to release, and has come to an end
	}
	largest = max(largest, int(progress(ro).CurrentStepIndex)-1)
	allowed := int32(0)
	keepsOne := v1beta1.KeepsOne(ro.Spec.WorkloadRef, v1beta1.PartitionRollingStyle) && !k.canary
	for _, size := range sizes[:largest+1] {
		allowed = max(allowed, v1beta1.PodsOf(intstr.Parse(size), l.replicas, keepsOne))
	}
	if updated := l.pods()["v2"]; updated > allowed && !strings.Contains(progress(ro).Message, "creates updated pods only") {
		t.Fatalf("%d of %d pods are new, where steps %v have ordered %d: %s; %s", updated, l.replicas, sizes[:largest+1], allowed, ro.Status.Message, progress(ro).Message)
	}
	if l.replicas == 0 {
		l.replicas = 3
		l.patch(t, l.object(), `{"spec":{"replicas":3}}`)
	}
	l.end(t)
}
