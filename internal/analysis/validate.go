// SPDX-License-Identifier: Apache-2.0

package analysis

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"kruise.io/rollouts/api/v1beta1"
)

// ValidateTemplate returns all that is wrong with a template by itself, each with its place. What depends on the templates that it
// names, and on who names it, is found out when it is rendered.
func ValidateTemplate(self v1beta1.AnalysisTemplateRef, spec *v1beta1.AnalysisTemplateSpec) field.ErrorList {
	v := &validator{self: self, spec: spec, args: map[string]v1beta1.Argument{}}
	at := field.NewPath("spec")
	for _, a := range spec.Args {
		v.args[a.Name] = a
	}
	if len(spec.Metrics) == 0 && len(spec.Templates) == 0 {
		v.required(at.Child("metrics"), "a template has metrics, or templates that have some")
	}
	if n := len(spec.Metrics); n > maxMetrics {
		v.add(field.TooMany(at.Child("metrics"), n, maxMetrics))
	}
	v.templates(at.Child("templates"))
	for i := range spec.Args {
		v.argument(at.Child("args").Index(i), &spec.Args[i])
	}
	for i := range spec.Metrics {
		v.metric(at.Child("metrics").Index(i), &spec.Metrics[i])
	}
	v.duplicates(at)
	v.named(at)
	return v.errs
}

// validator collects what is wrong with one template.
type validator struct {
	self v1beta1.AnalysisTemplateRef
	spec *v1beta1.AnalysisTemplateSpec
	args map[string]v1beta1.Argument
	errs field.ErrorList
}

func (v *validator) add(err *field.Error) { v.errs = append(v.errs, err) }

func (v *validator) invalid(at *field.Path, value any, format string, args ...any) {
	if text, ok := value.(string); ok {
		value = trimmed(text, 64)
	}
	v.add(field.Invalid(at, value, fmt.Sprintf(format, args...)))
}

func (v *validator) required(at *field.Path, format string, args ...any) {
	v.add(field.Required(at, fmt.Sprintf(format, args...)))
}

func (v *validator) forbidden(at *field.Path, format string, args ...any) {
	v.add(field.Forbidden(at, fmt.Sprintf(format, args...)))
}

// templates checks the names of other templates.
func (v *validator) templates(at *field.Path) {
	for i, ref := range v.spec.Templates {
		switch {
		case ref.TemplateName == "":
			v.required(at.Index(i).Child("templateName"), "the template's name")
		case ref == v.self:
			v.invalid(at.Index(i).Child("templateName"), ref.TemplateName, "a template cannot name itself")
		case v.self.ClusterScope && !ref.ClusterScope:
			v.invalid(at.Index(i).Child("clusterScope"), ref.ClusterScope,
				"a ClusterAnalysisTemplate has no namespace, so that it can name other ClusterAnalysisTemplates only; write clusterScope: true")
		case slices.Contains(v.spec.Templates[:i], ref):
			v.add(field.Duplicate(at.Index(i), ref.TemplateName))
		}
	}
}

// duplicates checks that names are unique: the schema does, too, where the API server has it.
func (v *validator) duplicates(at *field.Path) {
	seen := map[string]bool{}
	for i, m := range v.spec.Metrics {
		if seen["metric "+m.Name] {
			v.add(field.Duplicate(at.Child("metrics").Index(i).Child("name"), m.Name))
		}
		seen["metric "+m.Name] = true
	}
	for i, a := range v.spec.Args {
		if seen["arg "+a.Name] {
			v.add(field.Duplicate(at.Child("args").Index(i).Child("name"), a.Name))
		}
		seen["arg "+a.Name] = true
	}
}

// named checks the names of metrics. Where there are other templates, one may be of those.
func (v *validator) named(at *field.Path) {
	known := func(at *field.Path, name string) {
		switch {
		case name == "":
			v.required(at, "a metric's name, or \"*\" for all")
		case name != "*" && len(v.spec.Templates) == 0 && !slices.ContainsFunc(v.spec.Metrics, func(m v1beta1.Metric) bool { return m.Name == name }):
			v.invalid(at, name, "the template has no metric of that name")
		}
	}
	for i, d := range v.spec.DryRun {
		known(at.Child("dryRun").Index(i).Child("metricName"), d.MetricName)
	}
	for i, r := range v.spec.MeasurementRetention {
		at := at.Child("measurementRetention").Index(i)
		known(at.Child("metricName"), r.MetricName)
		if r.Limit < 1 {
			v.invalid(at.Child("limit"), r.Limit, "one measurement is kept at least; write a number from 1 to %d", maxRetention)
		}
	}
}

func (v *validator) metric(at *field.Path, m *v1beta1.Metric) {
	if m.Name == "" {
		v.required(at.Child("name"), "the metric's name")
	}
	v.schedule(at, m)
	v.condition(at.Child("successCondition"), m.SuccessCondition)
	v.condition(at.Child("failureCondition"), m.FailureCondition)
	v.provider(at.Child("provider"), m.Provider)
}

// schedule checks how often a metric is measured, and how often it may fail. What an arg says is not known before it is put in.
func (v *validator) schedule(at *field.Path, m *v1beta1.Metric) {
	interval, intervalKnown := v.duration(at.Child("interval"), m.Interval)
	v.duration(at.Child("initialDelay"), m.InitialDelay)
	if intervalKnown && interval > 0 && interval < minInterval {
		v.invalid(at.Child("interval"), m.Interval, "the least interval is %s", minInterval)
	}
	count, countKnown := v.number(at.Child("count"), m.Count, 0)
	limit, limitKnown := v.number(at.Child("failureLimit"), m.FailureLimit, -1)
	v.number(at.Child("inconclusiveLimit"), m.InconclusiveLimit, 0)
	v.number(at.Child("consecutiveErrorLimit"), m.ConsecutiveErrorLimit, 0)
	inARow, inARowKnown := v.number(at.Child("consecutiveSuccessLimit"), m.ConsecutiveSuccessLimit, 0)
	once := intervalKnown && interval == 0
	switch {
	case once && countKnown && count > 1:
		v.required(at.Child("interval"), "count is %d; write the time between two measurements, such as 30s", count)
	case once && inARowKnown && inARow > 1:
		v.required(at.Child("interval"), "consecutiveSuccessLimit is %d; write the time between two measurements, such as 30s", inARow)
	}
	if limitKnown && limit == -1 && inARowKnown && inARow == 0 {
		v.invalid(at.Child("failureLimit"), -1, "-1 needs a consecutiveSuccessLimit, because nothing would ever fail the metric; write a number from 0 on, or consecutiveSuccessLimit")
	}
}

// duration reads a duration; known is false where an arg says it, and where there is none.
func (v *validator) duration(at *field.Path, text string) (d time.Duration, known bool) {
	if v.filledLater(at, text) {
		return 0, false
	}
	d, err := duration(lastOf(at), text)
	if err != nil {
		v.invalid(at, text, "it has to be a duration; write one such as 30s or 5m")
		return 0, false
	}
	return d, true
}

// lastOf is the name of a field.
func lastOf(at *field.Path) string {
	text := at.String()
	return text[strings.LastIndex(text, ".")+1:]
}

// number reads a number of at least so much; known is false where an arg says it, and where there is none.
func (v *validator) number(at *field.Path, value *intstr.IntOrString, least int32) (n int32, known bool) {
	switch {
	case value == nil:
		return 0, true
	case value.Type == intstr.String:
		if v.filledLater(at, value.StrVal) {
			return 0, false
		}
		parsed, err := strconv.ParseInt(value.StrVal, 10, 32)
		if err != nil {
			v.invalid(at, value.StrVal, "it has to be a number, or an arg such as {{args.n}}")
			return 0, false
		}
		n = int32(parsed)
	default:
		n = value.IntVal
	}
	if n < least {
		v.invalid(at, n, "the least is %d", least)
		return 0, false
	}
	return n, true
}

// filledLater reports whether there are args in a text of a metric that is judged by. Those of Secrets are not put in there.
func (v *validator) filledLater(at *field.Path, text string) bool {
	v.placeholders(at, text)
	found := placeholder.FindAllStringSubmatch(text, -1)
	for _, f := range found {
		if a, ok := v.args[strings.TrimPrefix(f[1], "args.")]; ok && isSecret(a) {
			v.forbidden(at, "arg %s is the value of a Secret, which is put into the provider's fields only", a.Name)
		}
	}
	return len(found) > 0
}

// condition compiles a condition.
func (v *validator) condition(at *field.Path, text string) {
	if text == "" {
		return
	}
	later := v.filledLater(at, text)
	if !later {
		if _, err := CompileCondition(text); err != nil {
			v.invalid(at, text, "%v", err)
		}
		return
	}
	if err := compilesSomehow(text); err != nil {
		v.invalid(at, text, "it is no condition, whatever the args are; with 1 for them: %v", err)
	}
}

// stands are what may be put in for an arg: a number, a text, true or false, a name, an operator, or half a comparison.
var stands = []string{"1", `"x"`, "true", "x", ">=", ">= 1"}

// mostVaried is of how many args all combinations are tried. Those of more would take long, and one value is taken for all of them.
const mostVaried = 3

// compilesSomehow tries a condition with args of every kind: which one is meant is not known before a Rollout gives it. It returns
// what is wrong with numbers where it is wrong with all.
func compilesSomehow(text string) (first error) {
	var names []string
	for _, f := range placeholder.FindAllStringSubmatch(text, -1) {
		if !slices.Contains(names, f[1]) {
			names = append(names, f[1])
		}
	}
	varied := min(len(names), mostVaried)
	combinations := 1
	for range varied {
		combinations *= len(stands)
	}
	if len(names) > mostVaried {
		combinations, varied = len(stands), 1
	}
	for n := range combinations {
		values, rest := map[string]string{}, n
		for i, name := range names {
			values[name] = stands[rest%len(stands)]
			if i < varied-1 {
				rest /= len(stands)
			}
		}
		filled, err := filled(text, values, nil)
		if err == nil {
			_, err = CompileCondition(filled)
		}
		if err == nil {
			return nil
		}
		if first == nil {
			first = err
		}
	}
	return first
}
