// SPDX-License-Identifier: Apache-2.0

package analysis

import (
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/util/intstr"
	"pgregory.net/rapid"

	"kruise.io/rollouts/api/v1beta1"
)

var start = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

// metric renders one metric of a template.
func metric(t interface {
	Helper()
	Fatal(args ...any)
}, m v1beta1.Metric,
) Metric {
	t.Helper()
	m.Name = "m"
	m.Provider = v1beta1.MetricProvider{Prometheus: &v1beta1.PrometheusMetric{Query: "q"}}
	spec := &v1beta1.AnalysisTemplateSpec{Metrics: []v1beta1.Metric{m}}
	ref := v1beta1.AnalysisTemplateRef{TemplateName: "t"}
	metrics, _, err := Render(v1beta1.Analysis{Templates: []v1beta1.AnalysisTemplateRef{ref}}, []Template{{Ref: ref, Spec: spec}}, Values{})
	if err != nil {
		t.Fatal(err)
	}
	return metrics[0]
}

// answers are what a provider says: g good, b bad, i neither, n nothing, e an error.
var answers = map[byte]Measured{
	'g': {Result: []any{1.0}}, 'b': {Result: []any{0.0}}, 'i': {Result: []any{0.5}}, 'n': {Result: []any{}}, 'e': {Err: "refused"},
}

func judged(m Metric, said string) v1beta1.MetricStatus {
	st := v1beta1.MetricStatus{Phase: v1beta1.AnalysisRunning}
	now := start
	for i := range len(said) {
		due, more := Due(m, st, now)
		if !more {
			break
		}
		now = due
		r := answers[said[i]]
		r.Time = now
		st = Judge(m, st, r)
	}
	return st
}

// TestLimits: what a metric is after some measurements.
func TestLimits(t *testing.T) {
	t.Parallel()
	number := func(n int32) *intstr.IntOrString { v := intstr.FromInt32(n); return &v }
	both := v1beta1.Metric{SuccessCondition: "result[0] > 0.9", FailureCondition: "result[0] < 0.1", Interval: "10s", Count: number(3)}
	with := func(edit func(*v1beta1.Metric)) v1beta1.Metric {
		m := *both.DeepCopy()
		edit(&m)
		return m
	}
	inRow := with(func(m *v1beta1.Metric) { m.ConsecutiveSuccessLimit, m.Count = number(2), number(4) })
	anyFailed := with(func(m *v1beta1.Metric) {
		m.ConsecutiveSuccessLimit, m.FailureLimit, m.Count = number(2), number(-1), number(3)
	})
	for _, tc := range []struct {
		name string
		m    v1beta1.Metric
		said string
		want v1beta1.AnalysisPhase
	}{
		{"not often enough", both, "gg", v1beta1.AnalysisRunning},
		{"as often as asked", both, "ggg", v1beta1.AnalysisSuccessful},
		{"one failed, none may", both, "gb", v1beta1.AnalysisFailed},
		{"failed is final", both, "bggg", v1beta1.AnalysisFailed},
		{"one may fail", with(func(m *v1beta1.Metric) { m.FailureLimit = number(1) }), "bgg", v1beta1.AnalysisSuccessful},
		{"two failed, one may", with(func(m *v1beta1.Metric) { m.FailureLimit = number(1) }), "bgb", v1beta1.AnalysisFailed},
		{"inconclusive waits", both, "gi", v1beta1.AnalysisInconclusive},
		{"and goes on when the answer is clear", both, "gigg", v1beta1.AnalysisSuccessful},
		{"one may be inconclusive", with(func(m *v1beta1.Metric) { m.InconclusiveLimit = number(1) }), "igg", v1beta1.AnalysisSuccessful},
		{"errors do not count", both, "geegg", v1beta1.AnalysisSuccessful},
		{"four errors in a row may be", both, "eeee", v1beta1.AnalysisRunning},
		{"five wait", both, "eeeee", v1beta1.AnalysisError},
		{"and go on when the provider is back", both, "eeeeeggg", v1beta1.AnalysisSuccessful},
		{"nothing is no success", both, "nnnn", v1beta1.AnalysisRunning},
		{"five times nothing waits", both, "nnnnn", v1beta1.AnalysisNoData},
		{"and goes on with data", both, "nnnnnggg", v1beta1.AnalysisSuccessful},
		{"two in a row", inRow, "gg", v1beta1.AnalysisSuccessful},
		{"not in a row", with(func(m *v1beta1.Metric) {
			m.ConsecutiveSuccessLimit, m.FailureLimit, m.Count = number(2), number(5), number(4)
		}), "gbgb", v1beta1.AnalysisInconclusive},
		{"any number may fail, never two in a row", anyFailed, "gbg", v1beta1.AnalysisFailed},
		{"any number may fail, then two in a row", anyFailed, "bgg", v1beta1.AnalysisSuccessful},
		{"once, without an interval", with(func(m *v1beta1.Metric) { m.Interval, m.Count = "", nil }), "g", v1beta1.AnalysisSuccessful},
		{"without an end", with(func(m *v1beta1.Metric) { m.Count = nil }), "gggggggg", v1beta1.AnalysisRunning},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			if st := judged(metric(t, tc.m), tc.said); st.Phase != tc.want {
				t.Errorf("after %s it is %s (%s), want %s: %+v", tc.said, st.Phase, st.Message, tc.want, st)
			}
		})
	}
}

// TestNothingIsPromotedWithoutAnAnswer: whatever the limits, a metric of which nothing but errors, nothing and neither is known is no success.
func TestNothingIsPromotedWithoutAnAnswer(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		number := func(name string, least int32) *intstr.IntOrString {
			v := intstr.FromInt32(rapid.Int32Range(least, 4).Draw(t, name))
			return &v
		}
		m := metric(t, v1beta1.Metric{
			Interval: "10s", SuccessCondition: "result[0] > 0.9", FailureCondition: "result[0] < 0.1", Count: number("count", 0),
			FailureLimit: number("failureLimit", 0), InconclusiveLimit: number("inconclusiveLimit", 0), ConsecutiveErrorLimit: number("consecutiveErrorLimit", 0),
			ConsecutiveSuccessLimit: number("consecutiveSuccessLimit", 0),
		})
		said := rapid.StringOfN(rapid.SampledFrom([]rune("nei")), 1, 40, -1).Draw(t, "said")
		st := judged(m, said)
		if st.Successful > 0 || st.ConsecutiveSuccess > 0 || st.Phase == v1beta1.AnalysisSuccessful && int(st.Inconclusive) < int(m.Count) {
			t.Errorf("after %s it is %+v", said, st)
		}
	})
}

// TestDue: when a metric is measured next.
func TestDue(t *testing.T) {
	t.Parallel()
	m := metric(t, v1beta1.Metric{Interval: "1m", InitialDelay: "30s", SuccessCondition: "result[0] > 0.9"})
	st := v1beta1.MetricStatus{}
	if due, _ := Due(m, st, start); !due.Equal(start.Add(30 * time.Second)) {
		t.Errorf("the first is due at %s", due)
	}
	wait := func(said string) (all []string) {
		st, now := v1beta1.MetricStatus{}, start
		for i := range len(said) {
			r := answers[said[i]]
			r.Time = now
			st = Judge(m, st, r)
			due, more := Due(m, st, start)
			if !more {
				return append(all, "never")
			}
			all = append(all, due.Sub(now).String())
			now = due
		}
		return all
	}
	for said, want := range map[string]string{
		"g":       "1m0s",
		"eeeeee":  "10s 20s 30s 30s 30s 30s",
		"eeg":     "10s 20s 1m0s",
		"gb":      "1m0s never",
		"gnnnnng": "1m0s 10s 20s 30s 30s 30s 1m0s",
	} {
		if got := strings.Join(wait(said), " "); got != want {
			t.Errorf("%s waits %s, want %s", said, got, want)
		}
	}
}

// TestRetention: the status stays small.
func TestRetention(t *testing.T) {
	t.Parallel()
	m := metric(t, v1beta1.Metric{Interval: "10s"})
	m.Retention = 3
	if st := judged(m, strings.Repeat("g", 50)); len(st.Measurements) != 3 {
		t.Errorf("%d measurements are kept", len(st.Measurements))
	}
}
