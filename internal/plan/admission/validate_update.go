// SPDX-License-Identifier: Apache-2.0

package admission

import (
	"fmt"
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

// validateNothingLost checks that an edit through v1alpha1 keeps what only v1beta1 can say. A client cannot see it there: a gate
// that goes with a step, or with the annotation that it travels in, would be missed by nobody.
func validateNothingLost(ro, old *v1beta1.Rollout) field.ErrorList {
	var errs field.ErrorList
	lost := func(path *field.Path, what string) {
		errs = append(errs, field.Forbidden(path, fmt.Sprintf(
			"this edit through v1alpha1 would lose %s, which only v1beta1 can say; edit the Rollout as rollouts.kruise.io/v1beta1, or remove it there first", what)))
	}
	was, now := old.Spec.Strategy.Steps(), ro.Spec.Strategy.Steps()
	for i := range was {
		if was[i].Analysis != nil && (i >= len(now) || now[i].Analysis == nil) {
			lost(canaryPath.Child("Steps").Index(i).Child("Analysis"), fmt.Sprintf("the analysis of step %d", i+1))
		}
		if len(was[i].Webhooks) > 0 && (i >= len(now) || len(now[i].Webhooks) == 0) {
			lost(canaryPath.Child("Steps").Index(i).Child("Webhooks"), fmt.Sprintf("the webhooks of step %d", i+1))
		}
		if gated := was[i].Analysis != nil || len(was[i].Webhooks) > 0; gated && len(was) != len(now) && i < len(now) && !sameStep(was[i], now[i]) {
			errs = append(errs, field.Forbidden(canaryPath.Child("Steps").Index(i), fmt.Sprintf(
				"this edit through v1alpha1 would move the analysis or webhooks of step %d, which only v1beta1 can say, to another step; edit the Rollout as rollouts.kruise.io/v1beta1", i+1)))
		}
	}
	if old.Spec.Strategy.Background() != nil && ro.Spec.Strategy.Background() == nil {
		lost(canaryPath.Child("Analysis"), "the analysis beside the steps")
	}
	if old.Spec.ProgressDeadlineSeconds != nil && ro.Spec.ProgressDeadlineSeconds == nil {
		lost(specPath.Child("ProgressDeadlineSeconds"), "the deadline of steps")
	}
	return errs
}

// sameStep reports whether a step asks for the same pods and requests. Gates stay with the number of their step.
func sameStep(a, b v1beta1.CanaryStep) bool {
	return equality.Semantic.DeepEqual(a.Replicas, b.Replicas) && equality.Semantic.DeepEqual(a.TrafficRoutingStrategy, b.TrafficRoutingStrategy)
}

// annotatedStyle is the style a v1alpha1 Rollout asks for, in lower case; none is canary.
func annotatedStyle(ro *v1alpha1.Rollout) string {
	if style := strings.ToLower(ro.Annotations[v1beta1.AnnotationRollingStyle]); style != "" {
		return style
	}
	return "canary"
}
