// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/intstr"

	"kruise.io/rollouts/api/v1beta1"
	"kruise.io/rollouts/internal/analysis"
)

// TestReadingsAreWithheld: readings that are as good as before are stored every half a minute, judged all the same, and never lost; one that
// is not is stored at once.
func TestReadingsAreWithheld(t *testing.T) {
	t.Parallel()
	s := inStep(1, v1beta1.StepMetricsAnalysis, "20%", "100%")
	s.Rollout.Spec.Strategy.Canary.Steps[0].Analysis = &v1beta1.StepAnalysis{Analysis: v1beta1.Analysis{Templates: []v1beta1.AnalysisTemplateRef{{TemplateName: "errors"}}}, For: "10m"}
	s.Rollout.Status.CanaryStatus.RolloutHash = strategyHash(s.Rollout.Spec.Strategy)
	s.Templates = []analysis.Template{{Namespace: "default", Ref: v1beta1.AnalysisTemplateRef{TemplateName: "errors"}, Spec: &v1beta1.AnalysisTemplateSpec{Metrics: []v1beta1.Metric{{
		Name: "errors", Interval: "10s", FailureLimit: new(intstr.FromInt32(2)), FailureCondition: "result[0] > 0.05",
		Provider: v1beta1.MetricProvider{Prometheus: &v1beta1.PrometheusMetric{Address: "http://p", Query: "q"}},
	}}}}}
	answers := map[string]analysis.Measured{}
	stored, value := 0, 0.01
	pass := func() {
		s.Measured = answers
		d := Rollout(s)
		if !equality.Semantic.DeepEqual(d.Object.Status, s.Rollout.Status) {
			stored++
			s.Rollout = d.Object
		}
		answers = map[string]analysis.Measured{} // what is not asked for any more is forgotten
		for _, ask := range d.Asks {
			if r, ok := s.Measured[ask.Key]; ok {
				answers[ask.Key] = r
			} else if !ask.Pods && !ask.Due.After(s.Now) {
				answers[ask.Key] = analysis.Measured{Time: s.Now, Result: []any{value}}
			}
		}
	}
	pass()
	pass()
	begun := stored
	for range 60 { // five minutes, and a look every five seconds
		s.Now = s.Now.Add(5 * time.Second)
		pass()
	}
	if n := stored - begun; n < 7 || n > 11 {
		t.Errorf("30 readings are stored by %d writes", n)
	}
	if got := s.Rollout.Status.Analysis.Step.Metrics[0].Count; got < 27 {
		t.Errorf("%d readings are on record", got)
	}
	value = 0.2
	for range 3 {
		s.Now = s.Now.Add(5 * time.Second)
		pass()
	}
	if got := s.Rollout.Status.Analysis.Step.Metrics[0].Failed; got != 1 {
		t.Errorf("a bad reading is not on record at once: %+v", s.Rollout.Status.Analysis.Step.Metrics[0])
	}
}
