// SPDX-License-Identifier: Apache-2.0

package admission

import (
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"kruise.io/rollouts/api/v1alpha1"
	"kruise.io/rollouts/api/v1beta1"
	"kruise.io/rollouts/internal/plan"
)

// Limits is what this manager accepts, by its flags and by what it has drivers for.
type Limits struct {
	// PartitionPercent is how many percent of the pods a step of a partition release may have that also sets traffic or
	// matches. 0 counts as 100.
	PartitionPercent int
	// FilterWorkloadType refuses kinds that are not known by name.
	FilterWorkloadType bool
	// Supports reports whether there is a driver for a kind in a style; nil: for all of them.
	Supports func(group, kind string, style v1beta1.RollingStyleType) bool
	// Scripts are the users' own for gateways, by key of the ConfigMap kruise-rollout-configuration.
	Scripts map[string]string
}

// The paths below, and the beginning of every text in this package that has one in docs/wire.md 3.10, are contract:
// scripts and other products look for them. What follows the first semicolon of a text is advice.
var (
	specPath     = field.NewPath("Spec")
	strategyPath = specPath.Child("Strategy")
	canaryPath   = strategyPath.Child("Canary")
	workloadPath = specPath.Child("ObjectRef", "WorkloadRef")
)

// The schema's limits in v1beta1, where all Rollouts are stored.
const (
	maxSteps   = 50
	maxMatches = 16 // of a step
)

// ValidateRollout returns what is wrong with a Rollout that is to be created (old is nil) or updated. others are the
// Rollouts of its namespace; it may be among them. The status of old decides what may be changed.
//
// What an update leaves as it was is not checked again: an object accepted by an earlier version can still lose its
// finalizer, be disabled, or be mended piece by piece.
func ValidateRollout(ro, old *v1beta1.Rollout, others []v1beta1.Rollout, l Limits) field.ErrorList {
	if old != nil && (ro.DeletionTimestamp != nil || sameBeta(ro, old)) {
		return nil
	}
	var errs field.ErrorList
	if old == nil || old.Spec.WorkloadRef != ro.Spec.WorkloadRef || plan.Style(old) != plan.Style(ro) {
		errs = validateWorkload(ro.Spec.WorkloadRef, plan.Style(ro), l, betaAdvice)
		errs = append(errs, validateConflict(ro.Namespace, ro.Name, ro.Spec.WorkloadRef, others)...)
	}
	if now := partsOf(ro).routes; old == nil || old.Spec.WorkloadRef != ro.Spec.WorkloadRef || !now.equal(partsOf(old).routes) {
		errs = append(errs, validateLed(ro.Spec.WorkloadRef, now)...)
		errs = append(errs, validateHolder(ro.Name, now)...)
	}
	errs = append(errs, validateBetaStrategy(ro, old, l)...)
	errs = append(errs, validateDeadline(ro, old)...)
	errs = append(errs, validateMetadata(betaMetadata(ro), betaMetadata(old))...)
	if old != nil && releasing(old.Status.Phase) {
		errs = append(errs, validateBetaUpdate(ro, old)...)
	}
	return errs
}

// ValidateRolloutV1alpha1 is ValidateRollout for v1alpha1, where the number of steps may change during a release.
func ValidateRolloutV1alpha1(ro, old *v1alpha1.Rollout, others []v1beta1.Rollout, l Limits) field.ErrorList {
	if old != nil && (ro.DeletionTimestamp != nil || sameAlpha(ro, old)) {
		return nil
	}
	if hub, ok := blueGreenBehind(ro); ok {
		return validateBehind(hub, old, others, l)
	}
	var errs field.ErrorList
	ref := ro.Spec.ObjectRef.WorkloadRef
	if ref == nil {
		errs = append(errs, field.Invalid(workloadPath, ref,
			"WorkloadRef is required; write apiVersion, kind and name of the workload below workloadRef, indented further than it"))
	} else if old == nil || !equality.Semantic.DeepEqual(old.Spec.ObjectRef, ro.Spec.ObjectRef) || alphaStyle(old) != alphaStyle(ro) {
		errs = append(errs, validateWorkload(*ref, alphaStyle(ro), l, alphaAdvice)...)
		errs = append(errs, validateConflict(ro.Namespace, ro.Name, *ref, others)...)
	}
	errs = append(errs, validateAlphaLed(ro, old)...)
	errs = append(errs, validateAlphaStrategy(ro, old, l)...)
	errs = append(errs, validateAlphaAnalyses(ro, old)...)
	errs = append(errs, validateMetadata(alphaMetadata(ro), alphaMetadata(old))...)
	if old != nil && releasing(old.Status.Phase) {
		errs = append(errs, validateAlphaUpdate(ro, old)...)
	}
	return errs
}

// sameBeta reports whether an update changes nothing that is validated.
func sameBeta(a, b *v1beta1.Rollout) bool {
	return a.Annotations[v1beta1.AnnotationTrafficRouting] == b.Annotations[v1beta1.AnnotationTrafficRouting] &&
		equality.Semantic.DeepEqual(a.Spec, b.Spec)
}

// sameAlpha reports whether an update changes nothing that is validated.
func sameAlpha(a, b *v1alpha1.Rollout) bool {
	return a.Annotations[v1beta1.AnnotationTrafficRouting] == b.Annotations[v1beta1.AnnotationTrafficRouting] &&
		a.Annotations[v1beta1.AnnotationRollingStyle] == b.Annotations[v1beta1.AnnotationRollingStyle] &&
		a.Annotations[v1beta1.AnnotationConversionData] == b.Annotations[v1beta1.AnnotationConversionData] &&
		equality.Semantic.DeepEqual(a.Spec, b.Spec)
}

// blueGreenBehind returns the v1beta1 form of a Rollout that v1alpha1 can show only in part: it has a strategy there.
func blueGreenBehind(ro *v1alpha1.Rollout) (*v1beta1.Rollout, bool) {
	if ro.Spec.Strategy.Canary != nil {
		return nil, false
	}
	hub := &v1beta1.Rollout{}
	if err := ro.ConvertTo(hub); err != nil {
		return nil, false // it says nothing more than v1alpha1 shows, and that is validated
	}
	return hub, hub.Spec.Strategy.BlueGreen != nil
}

// validateBehind validates the v1beta1 form of a Rollout that came as v1alpha1.
func validateBehind(hub *v1beta1.Rollout, old *v1alpha1.Rollout, others []v1beta1.Rollout, l Limits) field.ErrorList {
	if old == nil {
		return ValidateRollout(hub, nil, others, l)
	}
	oldHub := &v1beta1.Rollout{}
	if err := old.ConvertTo(oldHub); err != nil {
		return field.ErrorList{field.InternalError(specPath, err)}
	}
	return ValidateRollout(hub, oldHub, others, l)
}
