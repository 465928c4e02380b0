// SPDX-License-Identifier: Apache-2.0

package analysis

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/intstr"

	"kruise.io/rollouts/api/v1beta1"
)

// A Metric is one metric of an analysis, with all args put in but those of Secrets.
type Metric struct {
	Name                    string
	Interval, InitialDelay  time.Duration
	Count                   int32 // of measurements without an error; 0: no end
	FailureLimit            int32 // -1: any number may fail
	InconclusiveLimit       int32
	ConsecutiveErrorLimit   int32
	ConsecutiveSuccessLimit int32
	Success, Failure        *Condition
	Provider                v1beta1.MetricProvider
	Namespace               string
	Secrets                 map[string]Secret
	DryRun                  bool
	Retention               int
	check                   *check // nil: it is one of a template
	source                  v1beta1.PrometheusSource
}

// Query is what a metric without a template asks of Prometheus; "": it is one of a template.
func (m Metric) Query() string {
	switch {
	case m.check == nil:
		return ""
	case m.check.buckets():
		return m.check.queries.Buckets
	default:
		return m.check.queries.Requests
	}
}

// Ask is a measurement of the metric.
func (m Metric) Ask(key string, due time.Time) Ask {
	if m.check != nil {
		return Ask{Key: key, Due: due, Source: &m.source, Query: m.Query(), ByPods: m.check.queries.ByPods}
	}
	return Ask{Key: key, Due: due, Provider: m.Provider, Namespace: m.Namespace, Secrets: m.Secrets}
}

// Endless reports whether a metric is measured for as long as its analysis runs.
func (m Metric) Endless() bool { return m.Count == 0 && m.ConsecutiveSuccessLimit == 0 }

// Values are what stands for the names of a Rollout: rollouts.name and so on, without the braces.
type Values struct {
	Rollout    *v1beta1.Rollout
	CanaryHash string // revision label of new pods
	StableHash string // of old ones
	Step       int32
	Gateway    Gateway // that counts its requests
	Names      Names   // of its first routing; empty: it has none
	Uncounted  string  // why it is not known which gateway counts them
}

// minInterval keeps a template from flooding a provider.
const minInterval = 5 * time.Second

// clusterPattern is what others may put into a ClusterAnalysisTemplate where that declares no pattern: nothing by which they
// could widen the platform's query.
const clusterPattern = `[A-Za-z0-9_:./-]*`

// Render puts an analysis together: its metrics, and a hash of all that they depend on but the values of Secrets.
func Render(a v1beta1.Analysis, have []Template, v Values) (metrics []Metric, hash string, err error) {
	f, err := flatten(a.Templates, have)
	if err != nil {
		return nil, "", err
	}
	if err := isolated(a, have); err != nil {
		return nil, "", err
	}
	values, secrets, err := f.resolve(a.Args, v)
	if err != nil {
		return nil, "", err
	}
	sum := sha256.New()
	built, err := checks(a, v)
	if err != nil {
		return nil, "", err
	}
	for _, s := range f.metrics {
		m, err := render(s, values, secrets)
		if err != nil {
			return nil, "", fmt.Errorf("metric %s: %w", s.item.Name, err)
		}
		m.DryRun = isDryRun(m.Name, a.DryRun, f.dryRun)
		m.Retention = retained(m.Name, len(f.metrics), a.MeasurementRetention, f.retention)
		metrics = append(metrics, m)
		m.sumUp(sum)
	}
	for _, m := range built {
		if slices.ContainsFunc(metrics, func(other Metric) bool { return other.Name == m.Name }) {
			return nil, "", invalid("a template has a metric named %s, as the Rollout's own check is: rename it", m.Name)
		}
		metrics = append(metrics, m)
		_, _ = fmt.Fprintf(sum, "%s %t %s %v %v %v %v %v %q\n", m.Name, m.DryRun, m.check.kind, m.check.test, m.check.limit, m.check.quantile, m.check.max, m.source, m.Query())
	}
	return metrics, hex.EncodeToString(sum.Sum(nil))[:10], nil
}

// sumUp writes all that a metric is into a hash.
func (m Metric) sumUp(sum io.Writer) {
	provider, _ := json.Marshal(m.Provider)
	_, _ = fmt.Fprintf(sum, "%s %s %s %d %d %d %d %d %q %q %s %s %t\n", m.Name, m.Interval, m.InitialDelay, m.Count, m.FailureLimit, m.InconclusiveLimit,
		m.ConsecutiveErrorLimit, m.ConsecutiveSuccessLimit, written(m.Success), written(m.Failure), provider, m.Namespace, m.DryRun)
	for _, name := range slices.Sorted(maps.Keys(m.Secrets)) {
		_, _ = fmt.Fprintf(sum, "%s from %v\n", name, m.Secrets[name])
	}
}

// resolve returns the values of all args, and where those are that Secrets hold.
func (f *flat) resolve(given []v1beta1.AnalysisArgument, v Values) (values map[string]string, secrets map[string]Secret, err error) {
	values, secrets = v.builtIn(), map[string]Secret{}
	for _, g := range given {
		if _, ok := f.args[g.Name]; !ok {
			return nil, nil, invalid("the Rollout gives arg %s, which no template declares%s", g.Name, f.declares())
		}
		value, err := v.of(g.Value, g.ValueFrom)
		if err != nil {
			return nil, nil, fmt.Errorf("arg %s: %w", g.Name, err)
		}
		if err := f.fits(g.Name, value); err != nil {
			return nil, nil, fmt.Errorf("arg %s: %w", g.Name, err)
		}
		values["args."+g.Name] = value
	}
	for name, a := range f.args {
		key := "args." + name
		if _, ok := values[key]; ok {
			continue
		}
		switch {
		case f.clashes[name]:
			return nil, nil, invalid("two templates give arg %s different values: give it in the Rollout", name)
		case a.item.Value != nil:
			values[key] = *a.item.Value
			if !a.cluster {
				err = f.fits(name, values[key])
			}
		case a.item.ValueFrom == nil:
			return nil, nil, invalid("arg %s has no value: give it in the Rollout, or a default in the template", name)
		case a.item.ValueFrom.SecretKeyRef != nil:
			ref := a.item.ValueFrom.SecretKeyRef
			secrets[name] = Secret{Namespace: a.namespace, Name: ref.Name, Key: ref.Key}
		default:
			from := v1beta1.AnalysisValueFrom{FieldRef: a.item.ValueFrom.FieldRef, PodTemplateHashValue: a.item.ValueFrom.PodTemplateHashValue}
			if values[key], err = v.of(nil, &from); err == nil {
				err = f.fits(name, values[key])
			}
		}
		if err != nil {
			return nil, nil, fmt.Errorf("arg %s: %w", name, err)
		}
	}
	return values, secrets, nil
}

func (f *flat) declares() string {
	if len(f.args) == 0 {
		return ": they declare none"
	}
	return ": they declare " + strings.Join(slices.Sorted(maps.Keys(f.args)), ", ")
}

// fits reports what is wrong with a value that somebody else than the template gives: a Rollout, one of its fields, or another template.
func (f *flat) fits(name, value string) error {
	if strings.Contains(value, "{{") {
		return invalid("the value %q has {{ in it, which would stand for another arg", trimmed(value, 64))
	}
	for _, guard := range f.guards[name] {
		p, err := regexp.Compile(`^(?:` + guard.Pattern + `)$`)
		if err != nil {
			return invalid("its pattern is no regular expression: %v", err)
		}
		if !p.MatchString(value) {
			return invalid("the value %q does not match the pattern %s of the template", trimmed(value, 64), guard.Pattern)
		}
	}
	return nil
}

// builtIn are the names that every template can use.
func (v Values) builtIn() map[string]string {
	out := map[string]string{
		"rollouts.service": v.Names.Service, "rollouts.canaryService": v.Names.CanaryService,
		"rollouts.stableHash": v.StableHash, "rollouts.canaryHash": v.CanaryHash, "rollouts.step": strconv.Itoa(int(v.Step)),
	}
	if v.Rollout != nil {
		out["rollouts.namespace"], out["rollouts.name"] = v.Rollout.Namespace, v.Rollout.Name
	}
	return out
}

// of is a value that is written out, or read in the Rollout.
func (v Values) of(value *string, from *v1beta1.AnalysisValueFrom) (string, error) {
	switch {
	case value != nil && from != nil:
		return "", invalid("value and valueFrom are both set; one of them has to go")
	case value != nil:
		return *value, nil
	case from == nil:
		return "", invalid("neither value nor valueFrom is set")
	case from.FieldRef != nil:
		return fieldOf(v.Rollout, from.FieldRef.FieldPath)
	case from.PodTemplateHashValue == "Stable":
		return v.StableHash, nil
	case from.PodTemplateHashValue == "Latest":
		return v.CanaryHash, nil
	default:
		return "", invalid("valueFrom needs fieldRef, or podTemplateHashValue with Stable or Latest")
	}
}

// placeholder is what a value is put in for.
var placeholder = regexp.MustCompile(`\{\{\s*((?:args|rollouts)\.[A-Za-z0-9_.-]+)\s*\}\}`)

// filled puts values into a text. What a Secret holds stays, as {{args.NAME}}, for who asks the provider.
func filled(text string, values map[string]string, secrets map[string]Secret) (string, error) {
	var missing error
	out := placeholder.ReplaceAllStringFunc(text, func(found string) string {
		name := placeholder.FindStringSubmatch(found)[1]
		if value, ok := values[name]; ok {
			return value
		}
		if arg, ok := strings.CutPrefix(name, "args."); ok {
			if _, ok := secrets[arg]; ok {
				return "{{args." + arg + "}}"
			}
		}
		missing = invalid("{{%s}} stands for nothing: no template declares it", name)
		return found
	})
	return out, missing
}

func render(s scoped[v1beta1.Metric], values map[string]string, secrets map[string]Secret) (m Metric, err error) {
	in := s.item
	m = Metric{Name: in.Name, Namespace: s.namespace}
	fill := func(text string) string {
		if err != nil {
			return ""
		}
		var out string
		out, err = filled(text, values, secrets)
		return out
	}
	interval, delay := fill(in.Interval), fill(in.InitialDelay)
	success, failure := fill(in.SuccessCondition), fill(in.FailureCondition)
	number := func(field string, v *intstr.IntOrString, absent int32) int32 {
		if v == nil || err != nil {
			return absent
		}
		n := v.IntVal
		if v.Type == intstr.String {
			text := fill(v.StrVal)
			parsed, bad := strconv.ParseInt(text, 10, 32)
			if bad != nil && err == nil {
				err = invalid("%s is %q, which is no number", field, trimmed(text, 32))
			}
			n = int32(parsed)
		}
		return n
	}
	m.Count = number("count", in.Count, 0)
	m.FailureLimit = number("failureLimit", in.FailureLimit, 0)
	m.InconclusiveLimit = number("inconclusiveLimit", in.InconclusiveLimit, 0)
	m.ConsecutiveErrorLimit = number("consecutiveErrorLimit", in.ConsecutiveErrorLimit, 4)
	m.ConsecutiveSuccessLimit = number("consecutiveSuccessLimit", in.ConsecutiveSuccessLimit, 0)
	if err != nil {
		return m, err
	}
	if m.Interval, err = duration("interval", interval); err != nil {
		return m, err
	}
	if m.InitialDelay, err = duration("initialDelay", delay); err != nil {
		return m, err
	}
	if err = m.completed(); err != nil {
		return m, err
	}
	if m.Success, err = condition("successCondition", success); err != nil {
		return m, err
	}
	if m.Failure, err = condition("failureCondition", failure); err != nil {
		return m, err
	}
	return m, m.provide(in.Provider, values, secrets)
}

// completed puts in what absent numbers stand for, and refuses those that do not go together.
func (m *Metric) completed() error {
	switch {
	case m.Interval > 0 && m.Interval < minInterval:
		return invalid("interval is %s; the least is %s", m.Interval, minInterval)
	case m.Count < 0, m.InconclusiveLimit < 0, m.ConsecutiveErrorLimit < 0, m.ConsecutiveSuccessLimit < 0:
		return invalid("count and limits cannot be negative")
	case m.FailureLimit < -1:
		return invalid("failureLimit is %d; it has to be 0 or more, or -1 for any number", m.FailureLimit)
	case m.FailureLimit == -1 && m.ConsecutiveSuccessLimit == 0:
		return invalid("failureLimit -1 needs a consecutiveSuccessLimit; without one nothing would ever fail the metric")
	case m.Interval == 0 && m.Count > 1:
		return invalid("count is %d, and there is no interval: add one", m.Count)
	case m.Interval == 0 && m.ConsecutiveSuccessLimit > 1:
		return invalid("consecutiveSuccessLimit is %d, and there is no interval: add one", m.ConsecutiveSuccessLimit)
	case m.Interval == 0:
		m.Count = 1
	}
	return nil
}

func duration(field, text string) (time.Duration, error) {
	if text == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 {
		return 0, invalid("%s is %q; write a duration such as 30s or 5m", field, trimmed(text, 32))
	}
	return d, nil
}

func condition(field, text string) (*Condition, error) {
	if text == "" {
		return nil, nil
	}
	c, err := CompileCondition(text)
	if err != nil {
		return nil, invalid("%s: %v", field, err)
	}
	return c, nil
}

// written is a condition as it is written; "": there is none.
func written(c *Condition) string {
	if c == nil {
		return ""
	}
	return c.String()
}

// provide puts args into every text of the provider.
func (m *Metric) provide(p v1beta1.MetricProvider, values map[string]string, secrets map[string]Secret) error {
	text, err := json.Marshal(p)
	if err != nil {
		return invalid("provider: %v", err)
	}
	var fields any
	if err := json.Unmarshal(text, &fields); err != nil {
		return invalid("provider: %v", err)
	}
	fields, err = filledAll(fields, values, secrets)
	if err != nil {
		return err
	}
	text, _ = json.Marshal(fields)
	if err := json.Unmarshal(text, &m.Provider); err != nil {
		return invalid("provider: %v", err)
	}
	for _, found := range placeholder.FindAllStringSubmatch(string(text), -1) {
		name := strings.TrimPrefix(found[1], "args.")
		if s, ok := secrets[name]; ok {
			if m.Secrets == nil {
				m.Secrets = map[string]Secret{}
			}
			m.Secrets[name] = s
		}
	}
	return nil
}

// filledAll puts values into every text of a JSON value.
func filledAll(v any, values map[string]string, secrets map[string]Secret) (out any, err error) {
	switch v := v.(type) {
	case string:
		return filled(v, values, secrets)
	case []any:
		for i := range v {
			if v[i], err = filledAll(v[i], values, secrets); err != nil {
				return nil, err
			}
		}
		return v, nil
	case map[string]any:
		for key := range v {
			if v[key], err = filledAll(v[key], values, secrets); err != nil {
				return nil, err
			}
		}
		return v, nil
	default:
		return v, nil
	}
}
