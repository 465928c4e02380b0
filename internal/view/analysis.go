// SPDX-License-Identifier: Apache-2.0

package view

import (
	"fmt"
	"strings"

	rolloutsv1beta1 "kruise.io/rollouts/api/v1beta1"
)

// Metric is one metric that decides about a release.
type Metric struct {
	Name     string                        `json:"name"`
	Run      string                        `json:"run"` // step or background
	Phase    rolloutsv1beta1.AnalysisPhase `json:"phase"`
	DryRun   bool                          `json:"dryRun,omitempty"`
	Value    string                        `json:"value,omitempty"`
	Message  string                        `json:"message,omitempty"`
	Query    string                        `json:"query,omitempty"`
	Measured int32                         `json:"measured"`
	History  []rolloutsv1beta1.Measurement `json:"history,omitempty"` // what was measured last, the newest at the end
}

// Requests are those of both versions that an analysis has counted.
type Requests struct {
	Run string `json:"run"` // step or background
	rolloutsv1beta1.RequestCounts
}

// String is one line.
func (q Requests) String() string {
	text := fmt.Sprintf("%s: %d requests to the new version", q.Run, q.Canary)
	if q.CanaryShare != "" {
		text += ", " + q.CanaryShare
	}
	if q.WantedShare != "" {
		text += " (wanted: " + q.WantedShare + ")"
	}
	return text + fmt.Sprintf("; %d to the stable one", q.Stable)
}

// run is an analysis of a release, as people call it.
type run struct {
	name string
	*rolloutsv1beta1.AnalysisRun
}

// runs are the analyses of the release, the present step's first.
func runs(ro *rolloutsv1beta1.Rollout) (all []run) {
	a := ro.Status.Analysis
	if a == nil {
		return nil
	}
	if a.Step != nil {
		all = append(all, run{fmt.Sprintf("step %d", a.Step.Step), a.Step})
	}
	if a.Background != nil {
		all = append(all, run{"background", a.Background})
	}
	return all
}

func requests(ro *rolloutsv1beta1.Rollout) (all []Requests) {
	for _, r := range runs(ro) {
		if r.Requests != nil {
			all = append(all, Requests{r.name, *r.Requests})
		}
	}
	return all
}

func metrics(ro *rolloutsv1beta1.Rollout) (all []Metric) {
	for _, r := range runs(ro) {
		if len(r.Metrics) == 0 {
			all = append(all, Metric{Name: "-", Run: r.name, Phase: r.Phase, Message: r.Message})
		}
		for _, m := range r.Metrics {
			all = append(all, Metric{
				Name: m.Name, Run: r.name, Phase: m.Phase, DryRun: m.DryRun, Value: m.Value, Message: m.Message, Query: m.Query,
				Measured: m.Count + m.Error + m.NoData, History: m.Measurements,
			})
		}
	}
	return all
}

// analysisLines draws the analyses: the requests that each has counted, and the metrics.
func (r Rollout) analysisLines(s Style) (lines []string) {
	for _, q := range r.Requests {
		lines = append(lines, q.String())
	}
	return append(lines, r.metricLines(s)...)
}

// metricLines draws the metrics: one line each, and why one is not as it has to be below it.
func (r Rollout) metricLines(s Style) []string {
	rows := [][]string{}
	for _, m := range r.Metrics {
		phase := string(m.Phase)
		if m.DryRun {
			phase += " (dry run)"
		}
		rows = append(rows, []string{s.verdict(m.Phase) + " " + m.Name, m.Run, phase, s.spark(m.History), first(m.Value, "-"), fmt.Sprintf("%d measured", m.Measured)})
	}
	lines := []string{}
	for i, line := range columns(2, rows) {
		lines = append(lines, line)
		if m := r.Metrics[i]; m.Message != "" && m.Phase != rolloutsv1beta1.AnalysisSuccessful {
			lines = append(lines, "    "+m.Message)
		}
	}
	return lines
}

// verdict is the sign before a metric.
func (s Style) verdict(phase rolloutsv1beta1.AnalysisPhase) string {
	switch phase {
	case rolloutsv1beta1.AnalysisSuccessful, rolloutsv1beta1.AnalysisSkipped:
		return s.paint(green, "✔")
	case rolloutsv1beta1.AnalysisFailed:
		return s.paint(red, "✘")
	default:
		return s.paint(yellow, "●")
	}
}

// spark draws what was measured, one sign for each: good, bad, neither, or nothing.
func (s Style) spark(history []rolloutsv1beta1.Measurement) string {
	b := strings.Builder{}
	for _, m := range history[max(0, len(history)-10):] {
		switch m.Phase {
		case rolloutsv1beta1.AnalysisSuccessful:
			b.WriteString(s.paint(green, "▁"))
		case rolloutsv1beta1.AnalysisFailed:
			b.WriteString(s.paint(red, "█"))
		case rolloutsv1beta1.AnalysisRunning, rolloutsv1beta1.AnalysisInconclusive:
			b.WriteString(s.paint(yellow, "▄"))
		default:
			b.WriteString(s.paint(dim, "?"))
		}
	}
	return b.String()
}
