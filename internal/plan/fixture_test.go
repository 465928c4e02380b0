// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"time"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"

	"kruise.io/rollouts/api/v1beta1"
	"kruise.io/rollouts/internal/workload"
)

// noon is when everything in these tests happens.
var noon = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

// steps makes steps of these sizes, each waiting for approval.
func steps(sizes ...string) []v1beta1.CanaryStep {
	all := make([]v1beta1.CanaryStep, len(sizes))
	for i, size := range sizes {
		all[i].Replicas = new(intstr.Parse(size))
	}
	return all
}

// newRollout is a Rollout of a Deployment, with steps of these sizes.
func newRollout(sizes ...string) *v1beta1.Rollout {
	return &v1beta1.Rollout{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "demo", UID: "ro", Generation: 1, Finalizers: []string{v1beta1.FinalizerRollout}},
		Spec: v1beta1.RolloutSpec{
			WorkloadRef: v1beta1.ObjectRef{APIVersion: "apps/v1", Kind: "Deployment", Name: "web"},
			Strategy:    v1beta1.RolloutStrategy{Canary: &v1beta1.CanaryStrategy{Steps: steps(sizes...)}},
		},
	}
}

// atRest is a view of a Rollout whose workload runs v1 in ten pods.
func atRest(sizes ...string) RolloutInput {
	ro := newRollout(sizes...)
	return RolloutInput{
		Now: noon, Rollout: ro, Driver: workload.DriverFor(ro.Spec.WorkloadRef, v1beta1.PartitionRollingStyle),
		Objects:  workload.Objects{Workload: &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web"}}},
		Workload: workload.State{Generation: 1, Replicas: 10, Type: "deployment", Update: "v1", Updated: 10, UpdatedReady: 10, Complete: true},
	}
}

// inStep is a view of a release of v2 in the middle of a step: its pods are there, and the BatchRelease says so.
func inStep(step int32, state v1beta1.CanaryStepState, sizes ...string) RolloutInput {
	s := atRest(sizes...)
	size := scaled(*s.Rollout.Spec.Strategy.Canary.Steps[step-1].Replicas, 10)
	s.Workload = workload.State{
		Generation: 5, Replicas: 10, Type: "deployment", Stable: "v1", Update: "v2", Updated: size, UpdatedReady: size, Others: 10 - size,
		Changing: true, Held: true, Engaged: true, Claim: "br",
	}
	d, _ := s.Objects.Workload.(*appsv1.Deployment)
	d.Annotations = map[string]string{v1beta1.AnnotationInProgressing: "{}"}
	before := metav1.NewTime(noon.Add(-time.Minute))
	s.Rollout.Status = v1beta1.RolloutStatus{
		Phase: v1beta1.PhaseProgressing,
		Conditions: []v1beta1.RolloutCondition{{
			Type: v1beta1.ConditionProgressing, Status: metav1.ConditionTrue, Reason: v1beta1.ReasonInRolling, Message: "Rollout is in Progressing",
			LastTransitionTime: before, LastUpdateTime: before,
		}},
		CanaryStatus: &v1beta1.CanaryStatus{
			CommonStatus: v1beta1.CommonStatus{
				StableRevision: "v1", PodTemplateHash: "v2", CurrentStepIndex: step, NextStepIndex: natural(step, int32(len(sizes))),
				CurrentStepState: state, LastUpdateTime: &before, RolloutHash: strategyHash(s.Rollout.Spec.Strategy),
			},
			CanaryRevision: "v2", CanaryReplicas: size, CanaryReadyReplicas: size,
		},
	}
	s.Release = newRelease(s.Rollout, order(s.Rollout, "", step, ""))
	s.Release.UID, s.Release.Generation = "br", 3
	obey(s.Release, "v1", "v2")
	return s
}

// obey lets a BatchRelease have done what it was asked for.
func obey(br *v1beta1.BatchRelease, stable, update string) {
	br.Status = v1beta1.BatchReleaseStatus{
		Phase: v1beta1.PhaseProgressing, StableRevision: stable, UpdateRevision: update,
		ObservedGeneration: br.Generation, ObservedReleasePlanHash: planHash(br.Spec.ReleasePlan),
	}
	batch := &br.Status.CanaryStatus
	batch.CurrentBatch = ptr.Deref(br.Spec.ReleasePlan.BatchPartition, 0)
	batch.CurrentBatchState = v1beta1.BatchReady
	batch.BatchReadyTime = &metav1.Time{Time: noon.Add(-time.Minute)}
	batch.UpdatedReplicas = scaled(br.Spec.ReleasePlan.Batches[batch.CurrentBatch].CanaryReplicas, 10)
	batch.UpdatedReadyReplicas = batch.UpdatedReplicas
	if br.Spec.ReleasePlan.BatchPartition == nil {
		br.Status.Phase = v1beta1.PhaseCompleted
	}
}

// reasonOf is the reason of the condition Progressing.
func reasonOf(ro *v1beta1.Rollout) string {
	if c := condition(ro.Status.Conditions, v1beta1.ConditionProgressing); c != nil {
		return c.Reason
	}
	return ""
}

// orders lists what a decision asks of BatchReleases: "create 1", "order 2", "give back", "delete", and what it does to
// other objects: "workload".
func orders(d Decision[*v1beta1.Rollout]) []string {
	said := []string{}
	for _, c := range d.Changes {
		to, isRelease := c.To.(*v1beta1.BatchRelease)
		_, wasRelease := c.From.(*v1beta1.BatchRelease)
		switch {
		case c.To == nil && wasRelease:
			said = append(said, "delete")
		case isRelease && to.Spec.ReleasePlan.BatchPartition == nil:
			said = append(said, "give back")
		case isRelease && c.From == nil:
			said = append(said, "create "+string(rune('1'+*to.Spec.ReleasePlan.BatchPartition)))
		case isRelease:
			said = append(said, "order "+string(rune('1'+*to.Spec.ReleasePlan.BatchPartition)))
		default:
			said = append(said, "workload")
		}
	}
	return said
}
