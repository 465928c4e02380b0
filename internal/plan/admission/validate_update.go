// SPDX-License-Identifier: Apache-2.0

package admission

import (
	"strings"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"kruise.io/rollouts/api/v1alpha1"
	"kruise.io/rollouts/api/v1beta1"
)

// whileReleasing is the advice about everything that may not change during a release.
const whileReleasing = "; finish the release or roll it back first"

// releasing reports whether a release holds the workload, by the phase of the Rollout.
func releasing(phase v1beta1.RolloutPhase) bool {
	return phase == v1beta1.PhaseProgressing || phase == v1beta1.PhaseTerminating
}

// validateBetaUpdate checks what may not change during a release. What steps say may, their number may not.
func validateBetaUpdate(ro, old *v1beta1.Rollout) field.ErrorList {
	var errs field.ErrorList
	forbid := func(path *field.Path, text string) { errs = append(errs, field.Forbidden(path, text+whileReleasing)) }
	if ro.Spec.WorkloadRef != old.Spec.WorkloadRef {
		forbid(specPath.Child("ObjectRef"), "Rollout 'ObjectRef' field is immutable")
	}
	was, now := old.Spec.Strategy, ro.Spec.Strategy
	if !equality.Semantic.DeepEqual(partsOf(old).routes.routings, partsOf(ro).routes.routings) {
		forbid(strategyPath.Child("Canary|BlueGreen", "TrafficRoutings"), "Rollout 'Strategy.Canary|BlueGreen.TrafficRoutings' field is immutable")
	}
	path := strategyPath.Child("Canary|BlueGreen")
	if was.Style() != now.Style() {
		forbid(path, "Rollout style and enableExtraWorkloadForCanary are immutable")
	}
	if len(partsOf(old).steps) != len(partsOf(ro).steps) {
		forbid(path, "Amount of Rollout steps are immutable")
	}
	return errs
}

// validateAlphaUpdate checks what may not change during a release. Steps may come and go.
func validateAlphaUpdate(ro, old *v1alpha1.Rollout) field.ErrorList {
	var errs field.ErrorList
	forbid := func(path *field.Path, text string) { errs = append(errs, field.Forbidden(path, text+whileReleasing)) }
	if !equality.Semantic.DeepEqual(ro.Spec.ObjectRef, old.Spec.ObjectRef) {
		forbid(specPath.Child("ObjectRef"), "Rollout 'ObjectRef' field is immutable")
	}
	if was, now := old.Spec.Strategy.Canary, ro.Spec.Strategy.Canary; was != nil && now != nil &&
		!equality.Semantic.DeepEqual(was.TrafficRoutings, now.TrafficRoutings) {
		forbid(canaryPath.Child("TrafficRoutings"), "Rollout 'Strategy.Canary.TrafficRoutings' field is immutable")
	}
	if annotatedStyle(ro) != annotatedStyle(old) {
		forbid(field.NewPath("Metadata", "Annotation"), "Rollout 'Rolling-Style' annotation is immutable")
	}
	return errs
}

// annotatedStyle is the style a v1alpha1 Rollout asks for, in lower case; none is canary.
func annotatedStyle(ro *v1alpha1.Rollout) string {
	if style := strings.ToLower(ro.Annotations[v1beta1.AnnotationRollingStyle]); style != "" {
		return style
	}
	return "canary"
}
