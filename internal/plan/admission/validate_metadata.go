// SPDX-License-Identifier: Apache-2.0

package admission

import (
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"kruise.io/rollouts/api/v1alpha1"
	"kruise.io/rollouts/api/v1beta1"
	"kruise.io/rollouts/internal/plan"
)

// validateMetadata checks that the pods next to a workload can have the metadata that they get on top: the API server would refuse
// their Deployment in the middle of the first release. What an update leaves as it was is not checked.
func validateMetadata(now, was *v1beta1.PatchPodTemplateMetadata) field.ErrorList {
	if now == nil || equality.Semantic.DeepEqual(now, was) {
		return nil
	}
	var errs field.ErrorList
	path := canaryPath.Child("PatchPodTemplateMetadata")
	check := func(at *field.Path, value string, problems []string) {
		if len(problems) > 0 {
			errs = append(errs, field.Invalid(at, value, "patchPodTemplateMetadata must be valid labels and annotations of pods; "+strings.Join(problems, "; ")))
		}
	}
	for _, key := range slices.Sorted(maps.Keys(now.Labels)) {
		check(path.Child("Labels"), key, validation.IsQualifiedName(key))
		check(path.Child("Labels").Key(key), now.Labels[key], validation.IsValidLabelValue(now.Labels[key]))
	}
	for _, key := range slices.Sorted(maps.Keys(now.Annotations)) {
		check(path.Child("Annotations"), key, validation.IsQualifiedName(strings.ToLower(key))) // as the API server does
	}
	return errs
}

// betaMetadata is what pods next to the workload of a Rollout get on top; nil: nothing, or there are none.
func betaMetadata(ro *v1beta1.Rollout) *v1beta1.PatchPodTemplateMetadata {
	if ro == nil || plan.Style(ro) != v1beta1.CanaryRollingStyle || ro.Spec.Strategy.Canary == nil {
		return nil
	}
	return ro.Spec.Strategy.Canary.PatchPodTemplateMetadata
}

func alphaMetadata(ro *v1alpha1.Rollout) *v1beta1.PatchPodTemplateMetadata {
	if ro == nil || alphaStyle(ro) != v1beta1.CanaryRollingStyle || ro.Spec.Strategy.Canary == nil {
		return nil
	}
	return ro.Spec.Strategy.Canary.PatchPodTemplateMetadata
}
