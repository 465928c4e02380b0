// SPDX-License-Identifier: Apache-2.0

package properties

import (
	"errors"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"

	"kruise.io/rollouts/api/v1beta1"
	"kruise.io/rollouts/internal/analysis"
	"kruise.io/rollouts/internal/sim/world"
)

// measured is what metrics say, and to whom.
type measured struct {
	gated  bool   // steps have analyses
	says   string // good, bad, nothing or error
	hooked bool   // steps have webhooks
	allows string // what these answer: allowed, refused, not yet or failed
}

// measure has some Rollouts decide by metrics, and provides what they measure.
func (m *model) measure(t *rapid.T, ro *v1beta1.Rollout) {
	m.says = "good"
	m.Measure = func(analysis.Ask) (any, error) {
		switch m.says {
		case "good":
			return []any{1.0}, nil
		case "bad":
			return []any{0.0}, nil
		case "nothing":
			return []any{}, nil
		default:
			return nil, errors.New("refused")
		}
	}
	m.makeTemplate(t)
	m.hook(t, ro)
	if rapid.IntRange(0, 2).Draw(t, "analysed") > 0 {
		return
	}
	m.gated = true
	refs := []v1beta1.AnalysisTemplateRef{{TemplateName: "good"}}
	action := func(name string) v1beta1.AnalysisAction {
		return rapid.SampledFrom([]v1beta1.AnalysisAction{"", v1beta1.ActionPause, v1beta1.ActionAbort}).Draw(t, name)
	}
	for i := range *stepsIn(ro) {
		(*stepsIn(ro))[i].Analysis = m.gate(i)
	}
	if !rapid.Bool().Draw(t, "in the background") {
		return
	}
	bg := &v1beta1.BackgroundAnalysis{Analysis: v1beta1.Analysis{Templates: refs, OnFailure: action("onFailure"), OnError: action("onError"), OnNoData: action("onNoData")}}
	if b := ro.Spec.Strategy.BlueGreen; b != nil {
		b.Analysis = bg
	} else {
		ro.Spec.Strategy.Canary.Analysis = bg
	}
}

// gate is the analysis of a step, the same one whenever the plan is edited.
func (m *model) gate(step int) *v1beta1.StepAnalysis {
	if !m.gated {
		return nil
	}
	a := &v1beta1.StepAnalysis{Analysis: v1beta1.Analysis{Templates: []v1beta1.AnalysisTemplateRef{{TemplateName: "good"}}}}
	if step == 1 {
		a.OnFailure, a.OnNoData = v1beta1.ActionAbort, v1beta1.ActionAbort
	}
	return a
}

// template has one metric.
func (m *model) template() *v1beta1.AnalysisTemplate {
	template := &v1beta1.AnalysisTemplate{ObjectMeta: metav1.ObjectMeta{Namespace: world.Namespace, Name: "good"}}
	template.Spec.Metrics = []v1beta1.Metric{{
		Name: "good", FailureCondition: "result[0] < 0.5",
		Provider: v1beta1.MetricProvider{Prometheus: &v1beta1.PrometheusMetric{Query: "good"}},
	}}
	return template
}

func (m *model) makeTemplate(t *rapid.T) {
	if !m.Get(m.ctx, "good", &v1beta1.AnalysisTemplate{}) {
		m.must(t, m.User.Create(m.ctx, m.template()))
	}
}

func (m *model) metricsChange(t *rapid.T) {
	m.says = rapid.SampledFrom([]string{"good", "bad", "nothing", "error"}).Draw(t, "say")
}

// editTemplate edits the template, deletes it, or makes it again.
func (m *model) editTemplate(t *rapid.T) {
	have := &v1beta1.AnalysisTemplate{}
	switch there := m.Get(m.ctx, "good", have); {
	case !there:
		m.makeTemplate(t)
	case rapid.Bool().Draw(t, "deleted"):
		m.must(t, m.User.Delete(m.ctx, have))
	default:
		have.Spec = m.template().Spec
		have.Spec.Metrics[0].InitialDelay = rapid.SampledFrom([]string{"", "5s"}).Draw(t, "delay")
		m.must(t, m.User.Update(m.ctx, have))
	}
}

// skipAnalysis ends the analysis of the present step.
func (m *model) skipAnalysis(t *rapid.T) {
	if ro := m.rollout(); ro.Status.Phase == v1beta1.PhaseProgressing {
		value := v1beta1.SkipValue(ro.Status.Revision(), progress(ro).CurrentStepIndex)
		m.patch(t, ro, fmt.Sprintf(`{"metadata":{"annotations":{%q:%q}}}`, v1beta1.AnnotationSkipAnalysis, value))
	}
}

// unmeasured: no step with an analysis is done for the manager, or left for the next one, unless its metrics were good or somebody
// decided. Who jumps or edits the plan leaves it as well.
func (m *model) unmeasured(before, after *v1beta1.Rollout) string {
	b, a := progress(before), progress(after)
	if !m.gated || after.Status.Phase != v1beta1.PhaseProgressing || after.Status.Revision() != before.Status.Revision() || b.RolloutHash != a.RolloutHash {
		return ""
	}
	step := a.CurrentStepIndex
	switch {
	case a.CurrentStepIndex == b.CurrentStepIndex+1 && b.NextStepIndex == a.CurrentStepIndex && b.CurrentStepState != v1beta1.StepReady:
		step = b.CurrentStepIndex
	case a.CurrentStepState == v1beta1.StepPaused && b.CurrentStepState != v1beta1.StepPaused:
	default:
		return ""
	}
	if after.Status.Analysis == nil || after.Status.Analysis.Step == nil || after.Status.Analysis.Step.Step != step {
		return fmt.Sprintf("step %d is passed without an analysis", step)
	}
	run := after.Status.Analysis.Step
	if run.Phase != v1beta1.AnalysisSuccessful && run.Phase != v1beta1.AnalysisSkipped {
		return fmt.Sprintf("step %d is passed although its analysis is %s: %s", step, run.Phase, run.Message)
	}
	for _, metric := range run.Metrics {
		if metric.Successful == 0 && run.Phase == v1beta1.AnalysisSuccessful {
			return fmt.Sprintf("step %d is passed without one good measurement", step)
		}
	}
	return ""
}
