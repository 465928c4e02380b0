// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	"fmt"

	"sigs.k8s.io/controller-runtime/pkg/conversion"

	rolloutsv1beta1 "kruise.io/rollouts/api/v1beta1"
)

// batchReleaseAlphaData is what only v1alpha1 can hold of a BatchRelease.
type batchReleaseAlphaData struct {
	TargetRef *ObjectRef      `json:"targetReference,omitempty"`
	Style     *alphaPlanStyle `json:"style,omitempty"`
}

// batchReleaseBetaData is what only v1beta1 can hold of a BatchRelease.
type batchReleaseBetaData struct {
	Style   *betaPlanStyle `json:"style,omitempty"`
	Message string         `json:"message,omitempty"`
}

// ConvertTo writes the BatchRelease as v1beta1.
func (b *BatchRelease) ConvertTo(hub conversion.Hub) error {
	dst, ok := hub.(*rolloutsv1beta1.BatchRelease)
	if !ok {
		return fmt.Errorf("converting a BatchRelease to %T: want *v1beta1.BatchRelease", hub)
	}
	src := b.DeepCopy()
	dst.ObjectMeta = src.ObjectMeta
	kept := takeData[batchReleaseBetaData](&dst.ObjectMeta, rolloutsv1beta1.GroupVersion.Version)

	was := alphaPlanStyle{src.Spec.ReleasePlan.RollingStyle, annotation(&src.ObjectMeta, rolloutsv1beta1.AnnotationRollingStyle)}
	style := restored(kept.Style, was, planStyleToAlpha, planStyleToBeta)
	setAnnotation(&dst.ObjectMeta, rolloutsv1beta1.AnnotationRollingStyle, style.Annotation)

	plan := src.Spec.ReleasePlan
	dst.Spec = rolloutsv1beta1.BatchReleaseSpec{
		WorkloadRef: refToBeta(src.Spec.TargetRef),
		ReleasePlan: rolloutsv1beta1.ReleasePlan{
			Batches:                      plan.Batches,
			BatchPartition:               plan.BatchPartition,
			RolloutID:                    plan.RolloutID,
			FailureThreshold:             plan.FailureThreshold,
			FinalizingPolicy:             plan.FinalizingPolicy,
			PatchPodTemplateMetadata:     plan.PatchPodTemplateMetadata,
			RollingStyle:                 style.Field,
			Aborted:                      src.Spec.ReleasePlan.Aborted,
			EnableExtraWorkloadForCanary: plan.EnableExtraWorkloadForCanary,
		},
	}
	dst.Status = rolloutsv1beta1.BatchReleaseStatus{
		Conditions:               src.Status.Conditions,
		CanaryStatus:             src.Status.CanaryStatus,
		StableRevision:           src.Status.StableRevision,
		UpdateRevision:           src.Status.UpdateRevision,
		ObservedGeneration:       src.Status.ObservedGeneration,
		ObservedRolloutID:        src.Status.ObservedRolloutID,
		ObservedWorkloadReplicas: src.Status.ObservedWorkloadReplicas,
		CollisionCount:           src.Status.CollisionCount,
		ObservedReleasePlanHash:  src.Status.ObservedReleasePlanHash,
		Phase:                    src.Status.Phase,
		Blockers:                 src.Status.Blockers,
		Message:                  kept.Message,
	}
	return leaveData(&dst.ObjectMeta, GroupVersion.Version, batchReleaseAlphaData{
		TargetRef: lost(src.Spec.TargetRef, dst.Spec.WorkloadRef, refToAlpha),
		Style:     lost(was, style, planStyleToAlpha),
	})
}

// ConvertFrom reads the BatchRelease from v1beta1.
func (b *BatchRelease) ConvertFrom(hub conversion.Hub) error {
	from, ok := hub.(*rolloutsv1beta1.BatchRelease)
	if !ok {
		return fmt.Errorf("converting a BatchRelease from %T: want *v1beta1.BatchRelease", hub)
	}
	src, dst := from.DeepCopy(), b
	dst.ObjectMeta = src.ObjectMeta
	kept := takeData[batchReleaseAlphaData](&dst.ObjectMeta, GroupVersion.Version)

	was := betaPlanStyle{src.Spec.ReleasePlan.RollingStyle, annotation(&dst.ObjectMeta, rolloutsv1beta1.AnnotationRollingStyle)}
	style := restored(kept.Style, was, planStyleToBeta, planStyleToAlpha)
	setAnnotation(&dst.ObjectMeta, rolloutsv1beta1.AnnotationRollingStyle, style.Annotation)

	plan := src.Spec.ReleasePlan
	dst.Spec = BatchReleaseSpec{
		TargetRef: restored(kept.TargetRef, src.Spec.WorkloadRef, refToBeta, refToAlpha),
		ReleasePlan: ReleasePlan{
			Batches:                      plan.Batches,
			BatchPartition:               plan.BatchPartition,
			RolloutID:                    plan.RolloutID,
			FailureThreshold:             plan.FailureThreshold,
			FinalizingPolicy:             plan.FinalizingPolicy,
			PatchPodTemplateMetadata:     plan.PatchPodTemplateMetadata,
			RollingStyle:                 style.Field,
			Aborted:                      src.Spec.ReleasePlan.Aborted,
			EnableExtraWorkloadForCanary: plan.EnableExtraWorkloadForCanary,
		},
	}
	dst.Status = BatchReleaseStatus{
		Conditions:               src.Status.Conditions,
		CanaryStatus:             src.Status.CanaryStatus,
		StableRevision:           src.Status.StableRevision,
		UpdateRevision:           src.Status.UpdateRevision,
		ObservedGeneration:       src.Status.ObservedGeneration,
		ObservedRolloutID:        src.Status.ObservedRolloutID,
		ObservedWorkloadReplicas: src.Status.ObservedWorkloadReplicas,
		CollisionCount:           src.Status.CollisionCount,
		ObservedReleasePlanHash:  src.Status.ObservedReleasePlanHash,
		Phase:                    src.Status.Phase,
		Blockers:                 src.Status.Blockers,
	}
	return leaveData(&dst.ObjectMeta, rolloutsv1beta1.GroupVersion.Version, batchReleaseBetaData{
		Style:   lost(was, style, planStyleToBeta),
		Message: src.Status.Message,
	})
}
