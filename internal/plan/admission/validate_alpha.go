// SPDX-License-Identifier: Apache-2.0

package admission

import (
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"kruise.io/rollouts/api/v1alpha1"
	"kruise.io/rollouts/api/v1beta1"
)

// validateAlphaStrategy checks the style annotation and everything below spec.strategy.
func validateAlphaStrategy(ro, old *v1alpha1.Rollout, l Limits) field.ErrorList {
	var errs field.ErrorList
	if style := annotatedStyle(ro); style != "canary" && style != "partition" {
		errs = append(errs, field.Invalid(field.NewPath("RollingStyle"), ro.Annotations[v1beta1.AnnotationRollingStyle],
			"Rolling style must be 'Canary', 'Partition' or empty; partition replaces pods in batches, canary runs new ones in a second Deployment"))
	}
	canary := ro.Spec.Strategy.Canary
	if canary == nil {
		return append(errs, field.Invalid(canaryPath, nil, "Canary cannot be empty; write the steps below strategy.canary.steps"))
	}
	now := alphaRoutes(ro)
	if old == nil || old.Spec.Strategy.Canary == nil {
		errs = append(errs, validateAlphaSteps(ro, nil, now.any(), l)...)
		errs = slices.Concat(errs, validateThreshold(canaryPath, canary.FailureThreshold), now.validate(canaryPath, l))
		return now.able(errs, canaryPath, alphaAsked(canary.Steps), l)
	}
	was := alphaRoutes(old)
	before := old.Spec.Strategy.Canary.Steps
	if alphaStyle(old) != alphaStyle(ro) || was.any() != now.any() {
		before = nil // the rules for a step are others now
	}
	errs = append(errs, validateAlphaSteps(ro, before, now.any(), l)...)
	if !equality.Semantic.DeepEqual(old.Spec.Strategy.Canary.FailureThreshold, canary.FailureThreshold) {
		errs = append(errs, validateThreshold(canaryPath, canary.FailureThreshold)...)
	}
	if !was.equal(now) {
		errs = append(errs, now.validate(canaryPath, l)...)
	}
	if !was.equal(now) || !equality.Semantic.DeepEqual(old.Spec.Strategy.Canary.Steps, canary.Steps) {
		errs = now.able(errs, canaryPath, alphaAsked(canary.Steps), l)
	}
	return errs
}

// alphaAsked is what steps ask of gateways.
func alphaAsked(steps []v1alpha1.CanaryStep) []v1beta1.TrafficRoutingStrategy {
	all := make([]v1beta1.TrafficRoutingStrategy, len(steps))
	for i, step := range steps {
		if step.Weight != nil {
			all[i].Traffic = new(fmt.Sprintf("%d%%", *step.Weight))
		}
		all[i].RequestHeaderModifier = step.RequestHeaderModifier
		for _, match := range step.Matches {
			all[i].Matches = append(all[i].Matches, v1beta1.HttpRouteMatch{Headers: match.Headers})
		}
	}
	return all
}

// alphaRoutes returns the routes of a Rollout with a strategy.
func alphaRoutes(ro *v1alpha1.Rollout) routes {
	return routes{routings: ro.Spec.Strategy.Canary.TrafficRoutings, annotation: ro.Annotations[v1beta1.AnnotationTrafficRouting], shared: ro.Spec.Strategy.Canary.DisableGenerateCanaryService}
}

// validateAlphaSteps checks each step by itself, at most one error for each, and then their sequence.
func validateAlphaSteps(ro *v1alpha1.Rollout, before []v1alpha1.CanaryStep, routed bool, l Limits) field.ErrorList {
	steps := ro.Spec.Strategy.Canary.Steps
	errs := validateCount(canaryPath, len(steps))
	var sizes []*intstr.IntOrString
	for i := range steps {
		sizes = append(sizes, alphaSize(&steps[i]))
		if unchanged(steps, before, i) {
			continue
		}
		if err := validateAlphaStep(canaryPath.Child("Steps").Index(i), &steps[i], alphaStyle(ro), routed, l); err != nil {
			errs = append(errs, err)
		}
	}
	if len(errs) > 0 || equality.Semantic.DeepEqual(steps, before) {
		return errs
	}
	if len(ro.Spec.Strategy.Canary.TrafficRoutings) > 0 {
		errs = validateWeights(steps)
	}
	return append(errs, validateSequence(canaryPath, sizes)...)
}

// alphaSize is how many pods a step asks for: as many percent as its weight, where it has no replicas.
func alphaSize(step *v1alpha1.CanaryStep) *intstr.IntOrString {
	if step.Replicas != nil || step.Weight == nil {
		return step.Replicas
	}
	return new(intstr.FromString(fmt.Sprintf("%d%%", *step.Weight)))
}

func validateAlphaStep(path *field.Path, step *v1alpha1.CanaryStep, style v1beta1.RollingStyleType, routed bool, l Limits) *field.Error {
	inStep := path.Child("steps")
	if step.Weight == nil && step.Replicas == nil {
		return field.Invalid(inStep, nil, "weight and replicas cannot be empty at the same time; write replicas: 1, replicas: 20% or weight: 20")
	}
	if step.Replicas != nil {
		if err := validateAlphaReplicas(path, step, style, l); err != nil {
			return err
		}
	} else if err := validateAlphaWeight(inStep, *step.Weight, style, l); err != nil {
		return err
	}
	matches := make([]v1beta1.HttpRouteMatch, 0, len(step.Matches))
	for _, match := range step.Matches {
		matches = append(matches, v1beta1.HttpRouteMatch{Headers: match.Headers})
	}
	if err := validateMatches(path, matches, routed); err != nil {
		return err
	}
	return validatePause(path, step.Pause)
}

// validateAlphaReplicas checks a step that says how many pods it wants; its weight is about requests only.
func validateAlphaReplicas(path *field.Path, step *v1alpha1.CanaryStep, style v1beta1.RollingStyleType, l Limits) *field.Error {
	percent, err := validateReplicas(path, *step.Replicas)
	if err != nil {
		return err
	}
	inStep := path.Child("steps")
	if (step.Weight != nil || len(step.Matches) > 0) && style == v1beta1.PartitionRollingStyle && percent > l.partitionPercent() {
		return field.Invalid(inStep, step.Replicas.String(), fmt.Sprintf(
			"For patition style rollout: step[x].replicas must not greater than replicasLimitWithTraffic if traffic or matches specified; the limit is %d%%", l.partitionPercent()))
	}
	if weight := step.Weight; weight != nil && (*weight < 0 || *weight > 100) {
		return field.Invalid(inStep, *weight, "weight is a percentage of the traffic; write a number from 1 to 100")
	}
	return nil
}

// validateAlphaWeight checks the weight of a step without replicas, where it also says how many percent of the pods.
func validateAlphaWeight(path *field.Path, weight int32, style v1beta1.RollingStyleType, l Limits) *field.Error {
	if style == v1beta1.PartitionRollingStyle && int(weight) > l.partitionPercent() {
		return field.Invalid(path, weight, fmt.Sprintf(
			"For patition style rollout: step[x].weight must not greater than replicasLimitWithTraffic if replicas is not specified; the limit is %d%%", l.partitionPercent()))
	}
	if weight < 1 || weight > 100 {
		return field.Invalid(path, weight,
			"weight must be positive number, and less than or equal to replicasLimitWithTraffic (defaults to 30); write a number from 1 to 100")
	}
	return nil
}

// validateWeights checks that no step asks for fewer requests than the one before.
func validateWeights(steps []v1alpha1.CanaryStep) field.ErrorList {
	for i := 1; i < len(steps); i++ {
		was, now := steps[i-1].Weight, steps[i].Weight
		if was != nil && now != nil && *now < *was {
			return field.ErrorList{field.Invalid(canaryPath.Child("Steps", "Weight"), *now, fmt.Sprintf(
				"Steps.Weight must be a non decreasing sequence; step %d has %d after %d in step %d", i+1, *now, *was, i))}
		}
	}
	return nil
}
