// SPDX-License-Identifier: Apache-2.0

package admission

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation/field"
	gatewayv1beta1 "sigs.k8s.io/gateway-api/apis/v1beta1"

	"kruise.io/rollouts/api/v1beta1"
	"kruise.io/rollouts/internal/plan"
)

// validateBetaStrategy checks everything below spec.strategy.
func validateBetaStrategy(ro, old *v1beta1.Rollout, l Limits) field.ErrorList {
	canary, blueGreen := ro.Spec.Strategy.Canary, ro.Spec.Strategy.BlueGreen
	switch {
	case canary == nil && blueGreen == nil:
		return field.ErrorList{field.Invalid(strategyPath, ro.Spec.Strategy,
			"Canary and BlueGreen cannot both be empty; write the steps below strategy.canary.steps or strategy.blueGreen.steps")}
	case canary != nil && blueGreen != nil:
		return field.ErrorList{field.Invalid(strategyPath, ro.Spec.Strategy, "Canary and BlueGreen cannot both be set; remove one of them")}
	}
	path := canaryPath
	if blueGreen != nil {
		path = strategyPath.Child("BlueGreen")
	}
	now := partsOf(ro)
	if old == nil {
		errs := validateBetaSteps(path, now.steps, nil, plan.Style(ro), now.routes.any(), l)
		errs = slices.Concat(errs, validateThreshold(path, now.threshold), validateAnalyses(path, ro, nil), validateWebhooks(path, ro, nil), now.routes.validate(path, l))
		return now.routes.able(errs, path, asked(now.steps), l)
	}
	was := partsOf(old)
	before := was.steps
	if plan.Style(old) != plan.Style(ro) || was.routes.any() != now.routes.any() {
		before = nil // the rules for a step are others now
	}
	errs := validateBetaSteps(path, now.steps, before, plan.Style(ro), now.routes.any(), l)
	if !equality.Semantic.DeepEqual(was.threshold, now.threshold) {
		errs = append(errs, validateThreshold(path, now.threshold)...)
	}
	errs = slices.Concat(errs, validateAnalyses(path, ro, old), validateWebhooks(path, ro, old))
	if !was.routes.equal(now.routes) {
		errs = append(errs, now.routes.validate(path, l)...)
	}
	if !was.routes.equal(now.routes) || !equality.Semantic.DeepEqual(was.steps, now.steps) {
		errs = now.routes.able(errs, path, asked(now.steps), l)
	}
	return errs
}

// asked is what steps ask of gateways.
func asked(steps []v1beta1.CanaryStep) []v1beta1.TrafficRoutingStrategy {
	all := make([]v1beta1.TrafficRoutingStrategy, len(steps))
	for i := range steps {
		all[i] = steps[i].TrafficRoutingStrategy
	}
	return all
}

// parts is what both strategies of v1beta1 have.
type parts struct {
	steps     []v1beta1.CanaryStep
	threshold *intstr.IntOrString
	routes    routes
}

// partsOf returns them, empty where there is no strategy.
func partsOf(ro *v1beta1.Rollout) parts {
	annotation := ro.Annotations[v1beta1.AnnotationTrafficRouting]
	switch s := ro.Spec.Strategy; {
	case s.BlueGreen != nil:
		return parts{s.BlueGreen.Steps, s.BlueGreen.FailureThreshold, routes{s.BlueGreen.TrafficRoutings, s.BlueGreen.TrafficRoutingRef, annotation, s.BlueGreen.DisableGenerateCanaryService}}
	case s.Canary != nil:
		return parts{s.Canary.Steps, s.Canary.FailureThreshold, routes{s.Canary.TrafficRoutings, s.Canary.TrafficRoutingRef, annotation, s.Canary.DisableGenerateCanaryService}}
	default:
		return parts{routes: routes{annotation: annotation}}
	}
}

// unchanged reports whether step i is as it was.
func unchanged[Step any](steps, before []Step, i int) bool {
	return i < len(before) && equality.Semantic.DeepEqual(steps[i], before[i])
}

// validateBetaSteps checks each step by itself, at most one error for each, and then their sequence.
func validateBetaSteps(path *field.Path, steps, before []v1beta1.CanaryStep, style v1beta1.RollingStyleType, routed bool, l Limits) field.ErrorList {
	errs := validateCount(path, len(steps))
	var sizes []*intstr.IntOrString
	for i := range steps {
		sizes = append(sizes, steps[i].Replicas)
		if unchanged(steps, before, i) {
			continue
		}
		if err := validateBetaStep(path.Child("Steps").Index(i), &steps[i], style, routed, l); err != nil {
			errs = append(errs, err)
		}
	}
	if len(errs) > 0 || equality.Semantic.DeepEqual(steps, before) {
		return errs
	}
	return validateSequence(path, sizes)
}

// validateCount checks the number of steps.
func validateCount(path *field.Path, count int) field.ErrorList {
	steps := path.Child("Steps")
	switch {
	case count == 0:
		return field.ErrorList{field.Invalid(steps, nil, "The number of Canary.Steps cannot be empty; write at least one, such as replicas: 100%")}
	case count > maxSteps:
		return field.ErrorList{field.TooMany(steps, count, maxSteps)}
	default:
		return nil
	}
}

func validateBetaStep(path *field.Path, step *v1beta1.CanaryStep, style v1beta1.RollingStyleType, routed bool, l Limits) *field.Error {
	inStep := path.Child("steps")
	if step.Replicas == nil {
		return field.Invalid(inStep, nil, "replicas cannot be empty; write a number of pods such as 1, or a percentage such as 20%")
	}
	percent, err := validateReplicas(path, *step.Replicas)
	if err != nil {
		return err
	}
	if (step.Traffic != nil || len(step.Matches) > 0) && style == v1beta1.PartitionRollingStyle && percent > l.partitionPercent() {
		return field.Invalid(inStep, step.Replicas.String(), fmt.Sprintf(
			"For partition style rollout: step[x].replicas must not greater than partition-percent-limit if traffic specified; the limit is %d%%", l.partitionPercent()))
	}
	if err := validateTraffic(inStep, step.Traffic, style); err != nil {
		return err
	}
	if err := validateMatches(path, step.Matches, routed); err != nil {
		return err
	}
	return validatePause(path, step.Pause)
}

func (l Limits) partitionPercent() int {
	if l.PartitionPercent == 0 {
		return 100
	}
	return l.PartitionPercent
}

// validateReplicas returns how many percent of the pods are asked for, -1 if that cannot be distinguished from a number of pods.
func validateReplicas(path *field.Path, replicas intstr.IntOrString) (percent int, err *field.Error) {
	scaled, parseErr := intstr.GetScaledValueFromIntOrPercent(&replicas, 100, true)
	isPercent := replicas.Type == intstr.String
	if parseErr == nil && scaled > 0 && (!isPercent || scaled <= 100) {
		if isPercent {
			return scaled, nil
		}
		return -1, nil
	}
	text := `replicas must be positive number, or a percentage with "0%" < canaryReplicas <= "100%"`
	if number := replicas.StrVal; isPercent && isNumber(number) {
		text += fmt.Sprintf("; write %s without quotes for a number of pods, or %s%% for a percentage", number, number)
	}
	return 0, field.Invalid(path.Child("Replicas"), replicas.String(), text)
}

// isNumber reports whether text is a number, so that just a percent sign is missing, or quotes are too many.
func isNumber(text string) bool {
	return text != "" && len(text) < 4 && strings.Trim(text, "0123456789") == ""
}

// validateTraffic checks the weight of requests. Only a blue-green step may have none at all.
func validateTraffic(path *field.Path, traffic *string, style v1beta1.RollingStyleType) *field.Error {
	if traffic == nil {
		return nil
	}
	least, text := 1, `traffic must be percentage with "0%" < traffic <= "100%" in canary strategy`
	if style == v1beta1.BlueGreenRollingStyle {
		least, text = 0, `traffic must be percentage with "0%" <= traffic <= "100%" in blueGreen strategy`
	}
	percent, err := intstr.GetScaledValueFromIntOrPercent(&intstr.IntOrString{Type: intstr.String, StrVal: *traffic}, 100, true)
	if err == nil && percent >= least && percent <= 100 {
		return nil
	}
	switch {
	case isNumber(*traffic):
		text += fmt.Sprintf("; write %s%%", *traffic)
	case err == nil && percent == 0:
		text += "; leave traffic out where no requests are to be routed"
	}
	return field.Invalid(path, *traffic, text)
}

// validateMatches checks that matches have routes to act on, and that they can be stored: v1beta1's schema asks for more
// than v1alpha1's.
func validateMatches(path *field.Path, matches []v1beta1.HttpRouteMatch, routed bool) *field.Error {
	path = path.Child("Matches")
	if len(matches) > 0 && !routed {
		return field.Invalid(path, len(matches),
			"matches require trafficRoutings, which name the Service and the routes; write them below strategy.canary or strategy.blueGreen, next to steps")
	}
	if len(matches) > maxMatches {
		return field.TooMany(path, len(matches), maxMatches)
	}
	for i, match := range matches {
		names := map[gatewayv1beta1.HTTPHeaderName]bool{}
		for j, header := range match.Headers {
			name := path.Index(i).Child("Headers").Index(j).Child("Name")
			switch {
			case header.Name == "":
				return field.Required(name, "a header has name, value and type; there is no key")
			case names[header.Name]:
				return field.Duplicate(name, header.Name)
			}
			names[header.Name] = true
		}
		for j, param := range match.QueryParams {
			if param.Name == "" {
				return field.Required(path.Index(i).Child("QueryParams").Index(j).Child("Name"), "a query parameter has name, value and type; there is no key")
			}
		}
	}
	return nil
}

func validatePause(path *field.Path, pause v1beta1.RolloutPause) *field.Error {
	if pause.Duration == nil || *pause.Duration >= 0 {
		return nil
	}
	return field.Invalid(path.Child("Pause", "Duration"), *pause.Duration,
		"pause.duration is in seconds and cannot be negative; 0 does not wait, and pause: {} waits for an approval")
}

// validateSequence checks that no step asks for less than the one before, where that can be reported without knowing how
// many pods there are.
func validateSequence(path *field.Path, sizes []*intstr.IntOrString) field.ErrorList {
	for i := 1; i < len(sizes); i++ {
		was, now := sizes[i-1], sizes[i]
		if was == nil || now == nil || was.Type != now.Type {
			continue
		}
		before, err1 := intstr.GetScaledValueFromIntOrPercent(was, 100, true)
		after, err2 := intstr.GetScaledValueFromIntOrPercent(now, 100, true)
		if err1 == nil && err2 == nil && after < before {
			return field.ErrorList{field.Invalid(path.Child("Steps", "CanaryReplicas"), now.String(), fmt.Sprintf(
				"Steps.CanaryReplicas must be a non decreasing sequence; step %d has %s after %s in step %d", i+1, now, was, i))}
		}
	}
	return nil
}

// validateThreshold checks how many pods of a batch may be unready.
func validateThreshold(path *field.Path, threshold *intstr.IntOrString) field.ErrorList {
	if threshold == nil {
		return nil
	}
	scaled, err := intstr.GetScaledValueFromIntOrPercent(threshold, 100, true)
	most := math.MaxInt32
	if threshold.Type == intstr.String {
		most = 100
	}
	if err == nil && scaled >= 0 && scaled <= most {
		return nil
	}
	text := `failureThreshold must be a number of pods, or a percentage with "0%" <= failureThreshold <= "100%"`
	if isNumber(threshold.StrVal) {
		text += fmt.Sprintf("; write %s without quotes for a number of pods, or %s%% for a percentage", threshold.StrVal, threshold.StrVal)
	}
	return field.ErrorList{field.Invalid(path.Child("FailureThreshold"), threshold.String(), text)}
}
