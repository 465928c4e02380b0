// SPDX-License-Identifier: Apache-2.0

package properties

import (
	"maps"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/util/intstr"
	"pgregory.net/rapid"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/rollouts/api/v1beta1"
)

// TestSeveralOwners lets a BatchRelease, or a Rollout that admission has missed, lay hands on a workload that is released
// already, of every kind and at any moment. No one overwrites anybody: no pod is new that no approval was given for, the
// second owner says whom it waits for, and once it is gone the release ends.
func TestSeveralOwners(t *testing.T) {
	t.Parallel()
	all := map[string]kind{"deployment": {version: "apps/v1", name: "Deployment"}}
	maps.Copy(all, kinds)
	for name, k := range all {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rapid.Check(t, func(t *rapid.T) { severalOwners(t, k) })
		})
	}
}

func severalOwners(t *rapid.T, k kind) {
	l := k.begin(t)
	l.Quick = rapid.Bool().Draw(t, "controllers are quick")
	l.Passes = rapid.IntRange(1, 3).Draw(t, "passes before they look")
	second := rapid.SampledFrom([]string{"BatchRelease", "Rollout"}).Draw(t, "second owner")
	early := rapid.Bool().Draw(t, "before the first step")
	if early {
		l.claim(t, second)
	}
	l.set(t, "v2")
	for range rapid.IntRange(0, 12).Draw(t, "rounds") {
		_, err := l.Round(l.ctx)
		l.tolerate(t, err)
	}
	if !early {
		l.claim(t, second)
	}
	before := l.WritesOfManager()
	l.must(t, l.Pass(l.ctx, 2*time.Minute))
	if n := l.WritesOfManager() - before; n > 150 {
		t.Fatalf("%d writes in two minutes", n)
	}
	sub := progress(l.rollout())
	if updated, size := l.pods()["v2"], l.ordered(1); second == "BatchRelease" && !early && updated > size && sub.CurrentStepState == v1beta1.StepPaused && sub.CurrentStepIndex == 1 {
		t.Fatalf("%d pods are new, where the step asked for %d", updated, size)
	}
	other := &v1beta1.BatchRelease{}
	if l.Get(l.ctx, "rival", other); second == "BatchRelease" && !early && !strings.Contains(other.Status.Message, "is being released by BatchRelease web") {
		t.Fatalf("the second BatchRelease says %q", other.Status.Message)
	}
	rival := &v1beta1.Rollout{}
	if l.Get(l.ctx, "rival", rival); second == "Rollout" && !strings.Contains(rival.Status.Message, "is already managed by Rollout web") {
		t.Fatalf("the second Rollout says %q", rival.Status.Message)
	}
	if early && second == "BatchRelease" && l.pods()["v2"] == 0 {
		t.Fatalf("the release waits for a BatchRelease that waits for it: %s", l.rollout().Status.Message)
	}
	for _, o := range []client.Object{other, rival} {
		if o.GetName() != "" {
			l.must(t, client.IgnoreNotFound(l.User.Delete(l.ctx, o)))
		}
	}
	l.end(t)
}

// claim makes a second owner, past admission.
func (l *life) claim(t *rapid.T, what string) {
	ref := v1beta1.ObjectRef{APIVersion: l.version, Kind: l.name, Name: "web"}
	l.Clock.SetTime(l.Clock.Now().Add(time.Second))
	if what == "Rollout" {
		ro := named(&v1beta1.Rollout{})
		ro.Name = "rival"
		ro.Spec.WorkloadRef = ref
		ro.Spec.Strategy.Canary = &v1beta1.CanaryStrategy{Steps: stepsOf([]int32{1, 2})}
		l.must(t, l.User.Create(l.ctx, ro))
		return
	}
	br := named(&v1beta1.BatchRelease{})
	br.Name = "rival"
	br.Spec.WorkloadRef = ref
	br.Spec.ReleasePlan.Batches = []v1beta1.ReleaseBatch{{CanaryReplicas: intstr.FromString("100%")}}
	br.Spec.ReleasePlan.BatchPartition = new(int32(0))
	l.must(t, l.User.Create(l.ctx, br))
}
