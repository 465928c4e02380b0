// SPDX-License-Identifier: Apache-2.0

package analysis

import (
	"encoding/json"
	"fmt"
	"math"
	"time"

	"kruise.io/rollouts/api/v1beta1"
)

// checkState is what a check has to know of what it has read so far. It is kept in MetricStatus.State.
type checkState struct {
	Kept       Kept       `json:"k,omitempty"`
	Comparison Comparison `json:"c,omitzero"`
	Threshold  threshold  `json:"t,omitzero"`
	Boundary   float64    `json:"b,omitempty"`  // in the unit of the histogram: slower requests are slow
	NoWorse    bool       `json:"n,omitempty"`  // that was answered once, which is promise enough
	Canary     float64    `json:"rc,omitempty"` // requests of either side since the first reading, for people
	Stable     float64    `json:"rs,omitempty"`
}

func stateOf(st v1beta1.MetricStatus) (s checkState) {
	if json.Unmarshal([]byte(st.State), &s) != nil || len(s.Kept) > maxInstances {
		return checkState{} // not written here: it starts over
	}
	return s
}

// A verdict is what one reading of a check comes to.
type verdict struct {
	phase          v1beta1.AnalysisPhase
	value, message string
	state          checkState
}

// judge takes one reading of counters into account.
func (c check) judge(st v1beta1.MetricStatus, r Measured) verdict {
	s := stateOf(st)
	samples := make([]Sample, 0, len(r.Series))
	for _, series := range r.Series {
		samples = append(samples, c.queries.Sample(series.Labels, series.Value))
	}
	reading, f := c.read(samples, &s)
	if f != nil {
		f.state = s
		return *f
	}
	fresh, kept := s.Kept.Next(reading, c.queries.Births)
	s.Kept = kept
	s.Canary, s.Stable = s.Canary+fresh.Canary.Total, s.Stable+fresh.Stable.Total
	switch {
	case fresh.Empty:
		return verdict{phase: v1beta1.AnalysisNoData, message: "Prometheus has no series of this Service; check that it scrapes the gateway", state: s}
	case fresh.First:
		return verdict{phase: v1beta1.AnalysisRunning, message: "first reading; requests count from now on", state: s}
	case c.kind == successRate || c.kind == latency:
		return c.limited(s, fresh)
	default:
		return c.compared(s, fresh)
	}
}

// read makes a reading of samples; a verdict where there is none.
func (c check) read(samples []Sample, s *checkState) (Reading, *verdict) {
	if !c.buckets() {
		return ReadRequests(samples), nil
	}
	if s.Boundary == 0 {
		if f := c.choose(samples, s); f != nil {
			return nil, f
		}
	}
	reading, err := ReadSlow(samples, s.Boundary)
	if err != nil {
		return nil, &verdict{phase: v1beta1.AnalysisError, message: err.Error()}
	}
	return reading, nil
}

// choose chooses the boundary between fast and slow requests: once, so that all readings mean the same.
func (c check) choose(samples []Sample, s *checkState) *verdict {
	if c.kind == compareLatency {
		stable, err := HistogramOf(samples, Stable)
		if err != nil {
			return &verdict{phase: v1beta1.AnalysisError, message: err.Error()}
		}
		boundary, outcome, message := ChooseBoundary(stable, c.quantile)
		switch outcome {
		case Successful:
			s.Boundary, s.Comparison = boundary.At, s.Comparison.Seed(boundary.Seed)
			return nil
		case TooFewRequests:
			return &verdict{phase: v1beta1.AnalysisRunning, message: message}
		default:
			return &verdict{phase: phases[outcome], message: message}
		}
	}
	var all Histogram
	for _, side := range []Side{Canary, Stable} {
		h, err := HistogramOf(samples, side)
		if err != nil {
			return &verdict{phase: v1beta1.AnalysisError, message: err.Error()}
		}
		if len(h) > 0 {
			all = h
			break
		}
	}
	if len(all) == 0 {
		return &verdict{phase: v1beta1.AnalysisNoData, message: "Prometheus has no histogram of this Service; check that it scrapes the gateway"}
	}
	wanted := c.inUnit()
	for _, b := range all {
		if b.UpTo >= wanted && !math.IsInf(b.UpTo, 1) {
			s.Boundary = b.UpTo
			return nil
		}
	}
	return &verdict{phase: v1beta1.AnalysisNoData, message: fmt.Sprintf("no boundary of the gateway's histogram is at or above %s: %s", c.max, all)}
}

// inUnit is the greatest latency as the histogram counts it.
func (c check) inUnit() float64 {
	if c.queries.Unit == milliseconds {
		return float64(c.max) / float64(time.Millisecond)
	}
	return c.max.Seconds()
}

// limited judges the new version's requests alone.
func (c check) limited(s checkState, fresh Fresh) verdict {
	s.Threshold = s.Threshold.add(c.limit, fresh.Canary)
	t := c.test.orDefaults()
	seen := Counts{s.Threshold.Total, s.Threshold.Bad}
	f := verdict{phase: v1beta1.AnalysisRunning, state: s, value: c.percent(1 - seen.Share())}
	what := fmt.Sprintf("%s of %.0f requests %s, at least %s have to", c.percent(1-seen.Share()), seen.Total, c.good(s), c.percent(1-c.limit))
	switch {
	case seen.Total < t.MinRequests:
		f.message = fmt.Sprintf("%.0f of %.0f requests to the new version", seen.Total, t.MinRequests)
	case s.Threshold.exceeded(t.Alpha):
		f.phase, f.message = v1beta1.AnalysisFailed, what
	case s.Threshold.within(c.limit):
		f.phase = v1beta1.AnalysisSuccessful
	default:
		f.message = what + "; that may still be chance"
	}
	return f
}

// good is what requests did that are not bad.
func (c check) good(s checkState) string {
	if c.kind == latency {
		return fmt.Sprintf("were answered within %g%s", s.Boundary, c.queries.Unit)
	}
	return "succeeded"
}

// compared judges the new version's requests beside the stable one's.
func (c check) compared(s checkState, fresh Fresh) verdict {
	s.Comparison = s.Comparison.Add(c.test, fresh.Canary, fresh.Stable)
	canary, stable := s.Comparison.Seen()
	bad := "failed"
	if c.kind == compareLatency {
		bad = fmt.Sprintf("took more than %g%s", s.Boundary, c.queries.Unit)
	}
	what := fmt.Sprintf("of the new version %s of %.0f requests %s, of the stable one %s of %.0f", c.percent(canary.Share()), canary.Total, bad, c.percent(stable.Share()), stable.Total)
	f := verdict{phase: v1beta1.AnalysisRunning, value: c.percent(canary.Share()) + " / " + c.percent(stable.Share())}
	answer := s.Comparison.Answer(c.test)
	s.NoWorse = s.NoWorse || answer == NoWorse
	switch few := s.Comparison.TooFew(c.test); {
	case few.Any():
		f.message = fmt.Sprintf("%.0f requests to the new version and %.0f to the stable one; each needs %.0f", canary.Total, stable.Total, c.test.orDefaults().MinRequests)
	case answer == Worse:
		f.phase, f.message = v1beta1.AnalysisFailed, what
	case s.NoWorse:
		f.phase = v1beta1.AnalysisSuccessful
	default:
		f.message = what + "; that may still be chance"
	}
	f.state = s
	return f
}

// percent is a share as people read it.
func (c check) percent(share float64) string { return number(math.Round(share*1e4)/100) + "%" }

// RequestsOf are the requests of both versions that checks have counted, of the check that has counted most; nil: none has.
func RequestsOf(metrics []v1beta1.MetricStatus) *v1beta1.RequestCounts {
	var most *v1beta1.RequestCounts
	for _, st := range metrics {
		s := stateOf(st)
		if s.Canary+s.Stable <= 0 || !(s.Canary+s.Stable < maxLog) {
			continue
		}
		if c := (v1beta1.RequestCounts{Canary: int64(s.Canary), Stable: int64(s.Stable)}); most == nil || c.Canary+c.Stable > most.Canary+most.Stable {
			most = &c
			most.CanaryShare = check{}.percent(s.Canary / (s.Canary + s.Stable))
		}
	}
	return most
}

// TooFew reports whether a check has seen fewer requests than it needs, of either version that it looks at.
func (m Metric) TooFew(st v1beta1.MetricStatus) bool {
	if m.check == nil {
		return false
	}
	s := stateOf(st)
	if m.check.kind == successRate || m.check.kind == latency {
		return s.Threshold.Total < m.check.test.orDefaults().MinRequests
	}
	return s.Comparison.TooFew(m.check.test).Any()
}
