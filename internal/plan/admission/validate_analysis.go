// SPDX-License-Identifier: Apache-2.0

package admission

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/ptr"

	"kruise.io/rollouts/api/v1alpha1"
	"kruise.io/rollouts/api/v1beta1"
	"kruise.io/rollouts/internal/analysis"
)

// faults collects what is wrong.
type faults struct{ errs field.ErrorList }

func (f *faults) Invalid(at *field.Path, value any, text string) {
	f.errs = append(f.errs, field.Invalid(at, value, text))
}

func (f *faults) Required(at *field.Path, text string) {
	f.errs = append(f.errs, field.Required(at, text))
}

// validateAnalyses checks the analyses of a strategy, at a path. What an update leaves as it was is not checked, but for whether
// its gateway tells versions apart where there are other routes now.
func validateAnalyses(path *field.Path, ro, old *v1beta1.Rollout) field.ErrorList {
	f, now, was := &faults{}, partsOf(ro), parts{}
	var before *v1beta1.BackgroundAnalysis
	rerouted := true
	if old != nil {
		was, before = partsOf(old), old.Spec.Strategy.Background()
		rerouted = !was.routes.equal(now.routes)
	}
	for i := range now.steps {
		if now.steps[i].Analysis == nil {
			continue
		}
		var before *v1beta1.StepAnalysis
		if i < len(was.steps) {
			before = was.steps[i].Analysis
		}
		f.gate(path.Child("Steps").Index(i).Child("Analysis"), now.steps[i].Analysis, before, now.routes, rerouted)
	}
	b, at := ro.Spec.Strategy.Background(), path.Child("Analysis")
	if b == nil {
		return f.errs
	}
	edited := !equality.Semantic.DeepEqual(b, before)
	if edited {
		f.analysis(at, &b.Analysis)
	}
	if edited || len(was.steps) != len(now.steps) {
		f.startingStep(at, b, len(now.steps))
	}
	if edited || rerouted {
		f.distinct(at, &b.Analysis, now.routes)
	}
	return f.errs
}

// gate checks the analysis of a step.
func (f *faults) gate(at *field.Path, now, before *v1beta1.StepAnalysis, r routes, rerouted bool) {
	edited := !equality.Semantic.DeepEqual(now, before)
	if edited {
		f.analysis(at, &now.Analysis)
		f.times(at, now)
	}
	if edited || rerouted {
		f.distinct(at, &now.Analysis, r)
	}
}

// startingStep checks that there is such a step.
func (f *faults) startingStep(at *field.Path, b *v1beta1.BackgroundAnalysis, steps int) {
	if first := b.StartingStep; first != nil && (*first < 1 || int(*first) > steps) {
		f.Invalid(at.Child("StartingStep"), *first, fmt.Sprintf("startingStep must be one of the steps; write a number from 1 to %d", steps))
	}
}

// validateDeadline checks how long a step may take.
func validateDeadline(ro, old *v1beta1.Rollout) field.ErrorList {
	f := &faults{}
	if s := ro.Spec.ProgressDeadlineSeconds; s != nil && *s < 1 && (old == nil || !ptr.Equal(s, old.Spec.ProgressDeadlineSeconds)) {
		f.Invalid(specPath.Child("ProgressDeadlineSeconds"), *s, "progressDeadlineSeconds must be 1 or more; leave it out for a step that may take any time")
	}
	if old == nil || ro.Spec.OnDeadline != old.Spec.OnDeadline {
		f.endsOr(specPath.Child("OnDeadline"), ro.Spec.OnDeadline)
	}
	return f.errs
}

// validateAlphaAnalyses is the same for what v1beta1 says, of a Rollout that came as v1alpha1. It travels in an annotation there.
func validateAlphaAnalyses(ro, old *v1alpha1.Rollout) field.ErrorList {
	now, was := &v1beta1.Rollout{}, (*v1beta1.Rollout)(nil)
	if ro.Spec.Strategy.Canary == nil || ro.ConvertTo(now) != nil {
		return nil // it is refused already, or cannot be stored
	}
	if old != nil {
		was = &v1beta1.Rollout{}
		if err := old.ConvertTo(was); err != nil {
			return field.ErrorList{field.InternalError(specPath, err)}
		}
	}
	errs := slices.Concat(validateAnalyses(canaryPath, now, was), validateWebhooks(canaryPath, now, was), validateDeadline(now, was))
	if was != nil && old.Spec.Strategy.Canary != nil {
		errs = append(errs, validateNothingLost(now, was)...)
	}
	return errs
}

// analysis checks what gates of steps and analyses beside them have in common.
func (f *faults) analysis(at *field.Path, a *v1beta1.Analysis) {
	if len(a.Templates) == 0 && !analysis.HasChecks(*a) && a.Pods == nil {
		f.Required(at, "an analysis that measures nothing; write templates, successRate, latency or compare, or pods: {} to look at the pods only")
	}
	f.names(at, a)
	for i := range a.Args {
		f.argument(at.Child("Args").Index(i), a.Args, i)
	}
	f.requests(at, a)
	if c := a.Compare; c != nil {
		f.comparison(at.Child("Compare"), c)
	}
	if p := a.Prometheus; p != nil {
		f.prometheus(at.Child("Prometheus"), p)
	}
	f.endsOr(at.Child("OnFailure"), a.OnFailure)
	f.goesOnOr(at.Child("OnInconclusive"), a.OnInconclusive)
	f.endsOr(at.Child("OnError"), a.OnError)
	f.goesOnOr(at.Child("OnNoData"), a.OnNoData)
	f.goesOnOr(at.Child("OnTooFewRequests"), a.OnTooFewRequests)
}

// endsOr checks what follows from what no release may go on after.
func (f *faults) endsOr(at *field.Path, action v1beta1.AnalysisAction) {
	switch action {
	case "", v1beta1.ActionPause, v1beta1.ActionAbort:
	default:
		f.Invalid(at, action, "what follows must be pause or abort")
	}
}

// goesOnOr checks what follows from what a release may go on after.
func (f *faults) goesOnOr(at *field.Path, action v1beta1.AnalysisAction) {
	switch action {
	case "", v1beta1.ActionPause, v1beta1.ActionAbort, v1beta1.ActionContinue:
	default:
		f.Invalid(at, action, "what follows must be pause, abort or continue")
	}
}

// names checks the names of templates and metrics.
func (f *faults) names(at *field.Path, a *v1beta1.Analysis) {
	for i, t := range a.Templates {
		if problems := validation.IsDNS1123Subdomain(t.TemplateName); len(problems) > 0 {
			f.Invalid(at.Child("Templates").Index(i).Child("TemplateName"), t.TemplateName, "templateName must be the name of an AnalysisTemplate, or of a ClusterAnalysisTemplate with clusterScope: true; "+strings.Join(problems, "; "))
		}
	}
	named := func(at *field.Path, name string) {
		if name == "" {
			f.Required(at.Child("MetricName"), "the name of a metric, or \"*\" for all")
		}
	}
	for i, d := range a.DryRun {
		named(at.Child("DryRun").Index(i), d.MetricName)
	}
	for i, r := range a.MeasurementRetention {
		named(at.Child("MeasurementRetention").Index(i), r.MetricName)
		if r.Limit < 1 {
			f.Invalid(at.Child("MeasurementRetention").Index(i).Child("Limit"), r.Limit, "one measurement is kept at least; write a number from 1 to 20")
		}
	}
}

// argument checks one arg among all.
func (f *faults) argument(at *field.Path, all []v1beta1.AnalysisArgument, i int) {
	a := all[i]
	switch {
	case !analysis.IsArgName(a.Name):
		f.Invalid(at.Child("Name"), a.Name, "the name of an arg must be one that {{args.NAME}} can have; write letters, digits, -, _ and .")
	case slices.ContainsFunc(all[:i], func(other v1beta1.AnalysisArgument) bool { return other.Name == a.Name }):
		f.errs = append(f.errs, field.Duplicate(at.Child("Name"), a.Name))
	}
	if (a.Value == nil) == (a.ValueFrom == nil) {
		f.Required(at, "an arg must have one of value and valueFrom")
		return
	}
	if a.ValueFrom == nil {
		return
	}
	ref, hash := a.ValueFrom.FieldRef, a.ValueFrom.PodTemplateHashValue
	switch {
	case (ref == nil) == (hash == ""):
		f.Required(at.Child("ValueFrom"), "valueFrom must have one of fieldRef and podTemplateHashValue")
	case ref != nil:
		if err := analysis.ValidateFieldPath(ref.FieldPath); err != nil {
			f.Invalid(at.Child("ValueFrom", "FieldRef", "FieldPath"), ref.FieldPath, err.Error())
		}
	case hash != "Stable" && hash != "Latest":
		f.Invalid(at.Child("ValueFrom", "PodTemplateHashValue"), hash, "podTemplateHashValue must be Stable or Latest")
	}
}

// requests checks what is asked of requests.
func (f *faults) requests(at *field.Path, a *v1beta1.Analysis) {
	if r := a.SuccessRate; r != nil && !analysis.IsPercentage(*r) {
		f.Invalid(at.Child("SuccessRate"), r.String(), `successRate must be a percentage with "0%" < successRate <= "100%"; write one such as 99 or "99.5%"`)
	}
	for _, quantile := range slices.Sorted(maps.Keys(a.Latency)) {
		at := at.Child("Latency").Key(quantile)
		if _, known := analysis.Quantiles[quantile]; !known {
			f.Invalid(at, quantile, "latency must be of a quantile that is known; they are "+strings.Join(slices.Sorted(maps.Keys(analysis.Quantiles)), ", "))
		}
		f.duration(at, a.Latency[quantile])
	}
	if m := a.MinRequests; m != nil && *m < 1 {
		f.Invalid(at.Child("MinRequests"), *m, "minRequests must be 1 or more")
	}
}

func (f *faults) comparison(at *field.Path, c *v1beta1.RequestComparison) {
	margin := func(at *field.Path, text string) {
		if text != "" && (!analysis.IsPercentage(intstr.FromString(text)) || strings.TrimSuffix(text, "%") == "100") {
			f.Invalid(at, text, `by how much a version may be worse must be a percentage between "0%" and "100%"; write one such as "0.5%"`)
		}
	}
	margin(at.Child("Errors"), c.Errors)
	if c.Slow != "off" {
		margin(at.Child("Slow"), c.Slow)
	}
	if q, err := strconv.ParseFloat(c.Quantile, 64); c.Quantile != "" && (err != nil || !(q >= 0.5 && q <= 0.995)) {
		f.Invalid(at.Child("Quantile"), c.Quantile, `quantile must be a number from 0.5 to 0.995; write one such as "0.9"`)
	}
}

// gateways are what a Rollout can say of whose series are read.
var gateways = []string{"traefik", string(analysis.IngressNginx), string(analysis.Istio)}

func (f *faults) prometheus(at *field.Path, p *v1beta1.PrometheusSource) {
	if p.Address != "" {
		if err := analysis.ValidateAddress(p.Address); err != nil {
			f.Invalid(at.Child("Address"), p.Address, err.Error())
		}
	}
	if p.Gateway != "" && !slices.Contains(gateways, p.Gateway) {
		f.Invalid(at.Child("Gateway"), p.Gateway, "gateway must be one whose series are known; they are "+strings.Join(gateways, ", "))
	}
}

// times checks how long a gate lasts.
func (f *faults) times(at *field.Path, gate *v1beta1.StepAnalysis) {
	length, ok := f.duration(at.Child("For"), gate.For)
	limit, ok2 := f.duration(at.Child("Timeout"), gate.Timeout)
	if ok && ok2 && limit < length {
		f.Invalid(at.Child("Timeout"), gate.Timeout, "timeout must not be shorter than for")
	}
}

// duration checks one, where there is one. Ok: there is, and it is right.
func (f *faults) duration(at *field.Path, text string) (d time.Duration, ok bool) {
	d, err := time.ParseDuration(text)
	switch {
	case text == "":
		return 0, false
	case err != nil || d <= 0:
		f.Invalid(at, text, "it must be a duration above 0; write one such as 300ms, 30s or 5m")
		return 0, false
	}
	return d, true
}
