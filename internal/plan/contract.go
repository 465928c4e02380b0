// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"kruise.io/rollouts/api/v1beta1"
)

// order is what a Rollout asks of its BatchRelease: release up to step, or with step 0 restore the workload by policy.
func order(ro *v1beta1.Rollout, rolloutID string, step int32, policy v1beta1.FinalizingPolicyType) v1beta1.BatchReleaseSpec {
	plan := v1beta1.ReleasePlan{RolloutID: rolloutID, RollingStyle: Style(ro), FinalizingPolicy: policy}
	if c := ro.Spec.Strategy.Canary; c != nil {
		plan.FailureThreshold = c.FailureThreshold
		plan.PatchPodTemplateMetadata = c.PatchPodTemplateMetadata
		plan.EnableExtraWorkloadForCanary = c.EnableExtraWorkloadForCanary
	} else if b := ro.Spec.Strategy.BlueGreen; b != nil {
		plan.FailureThreshold = b.FailureThreshold
	}
	for _, s := range ro.Spec.Strategy.Steps() {
		plan.Batches = append(plan.Batches, v1beta1.ReleaseBatch{CanaryReplicas: ptr.Deref(s.Replicas, wholly)})
	}
	if step > 0 {
		plan.BatchPartition = new(step - 1)
	}
	return v1beta1.BatchReleaseSpec{WorkloadRef: ro.Spec.WorkloadRef, ReleasePlan: plan}
}

// ordered returns a BatchRelease with a new order, and when it was given.
func ordered(br *v1beta1.BatchRelease, spec v1beta1.BatchReleaseSpec, now time.Time) *v1beta1.BatchRelease {
	next := br.DeepCopy()
	next.Spec = spec
	if !equality.Semantic.DeepEqual(br.Spec, spec) {
		if next.Annotations == nil {
			next.Annotations = map[string]string{}
		}
		next.Annotations[v1beta1.AnnotationOrdered] = now.UTC().Format(time.RFC3339)
	}
	return next
}

// orderedAt is when a BatchRelease got its latest order; zero: no one said.
func orderedAt(br *v1beta1.BatchRelease) time.Time {
	t, err := time.Parse(time.RFC3339, br.Annotations[v1beta1.AnnotationOrdered])
	if err != nil {
		return time.Time{}
	}
	return t
}

// newRelease is the BatchRelease of a Rollout, with its finalizer from the start.
func newRelease(ro *v1beta1.Rollout, spec v1beta1.BatchReleaseSpec) *v1beta1.BatchRelease {
	return &v1beta1.BatchRelease{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: ro.Namespace, Name: ro.Name,
			Finalizers:      []string{v1beta1.FinalizerBatchRelease},
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(ro, v1beta1.GroupVersion.WithKind("Rollout"))},
		},
		Spec: spec,
	}
}

// answered reports whether a BatchRelease speaks of its latest order.
func answered(br *v1beta1.BatchRelease) bool {
	return br.Status.ObservedGeneration == br.Generation && br.Status.ObservedReleasePlanHash == planHash(br.Spec.ReleasePlan)
}

// reached is how many steps a BatchRelease has done.
func reached(br *v1beta1.BatchRelease) int32 {
	if !answered(br) || br.Status.CanaryStatus.CurrentBatchState != v1beta1.BatchReady || !borneOut(br) {
		return 0
	}
	return br.Status.CanaryStatus.CurrentBatch + 1
}

// borneOut reports whether all that a status says agrees with a batch that is ready. It is not where somebody has written that alone,
// and then the next pass of the BatchRelease, at its pods, puts it right.
func borneOut(br *v1beta1.BatchRelease) bool {
	batch, plan := br.Status.CanaryStatus, br.Spec.ReleasePlan
	if batch.BatchReadyTime == nil || condition(br.Status.Conditions, v1beta1.ConditionProgressing) != nil {
		return false
	}
	none := batch.CurrentBatch < 0 || int(batch.CurrentBatch) >= len(plan.Batches) || scaled(plan.Batches[batch.CurrentBatch].CanaryReplicas, 100) == 0
	return none || plan.Aborted || batch.UpdatedReadyReplicas > 0
}

// gaveBack reports whether a BatchRelease has let its workload go as it was ordered to.
func gaveBack(br *v1beta1.BatchRelease) bool {
	return answered(br) && br.Status.Phase == v1beta1.PhaseCompleted
}

// knows reports whether a BatchRelease may act on a workload whose template is at revision update: it is the one being
// released, or the one the release started from. Anything else is for the Rollout to decide.
func knows(br *v1beta1.BatchRelease, update string) bool {
	return br.Status.UpdateRevision == "" || update == br.Status.UpdateRevision || update != "" && update == br.Status.StableRevision
}
