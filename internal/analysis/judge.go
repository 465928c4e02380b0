// SPDX-License-Identifier: Apache-2.0

package analysis

import (
	"encoding/json"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kruise.io/rollouts/api/v1beta1"
)

const (
	longValue   = 64  // characters of a value that a status keeps
	longMessage = 160 // of a message
)

// Judge takes one reading of a metric into account. A metric that is Successful or Failed is decided; one in another phase but
// Running waits for a better answer, and goes on by itself when that comes.
func Judge(m Metric, st v1beta1.MetricStatus, r Measured) v1beta1.MetricStatus {
	if Decided(st.Phase) {
		return st
	}
	phase, message := v1beta1.AnalysisError, r.Err
	switch {
	case r.Err != "":
	case m.Provider.Job != nil:
		phase, message, st.Value = v1beta1.AnalysisFailed, "the Job failed; its pods' logs say why", "failed"
		if r.Result == true {
			phase, message, st.Value = v1beta1.AnalysisSuccessful, "", "complete"
		}
	case m.check != nil:
		f := m.check.judge(st, r)
		phase, message, st.Value = f.phase, f.message, f.value
		if text, err := json.Marshal(f.state); err == nil {
			st.State = string(text)
		}
	default:
		var outcome Outcome
		outcome, message = Assess(m.Success, m.Failure, r.Result)
		phase = phases[outcome]
		st.Value = trimmed(describe(r.Result), longValue)
	}
	st.Message = trimmed(message, longMessage)
	st = counted(m, st, phase)
	now := metav1.NewMicroTime(r.Time)
	st.LastTime = &now
	kept := v1beta1.Measurement{Time: metav1.NewTime(r.Time.Truncate(time.Second)), Phase: phase, Message: st.Message}
	if r.Err == "" {
		kept.Value = st.Value
	}
	st.Measurements = append(st.Measurements, kept)
	if more := len(st.Measurements) - max(1, m.Retention); more > 0 {
		st.Measurements = st.Measurements[more:]
	}
	return st
}

// phases are what outcomes of measurements are called in a status.
var phases = map[Outcome]v1beta1.AnalysisPhase{
	Successful: v1beta1.AnalysisSuccessful, Failed: v1beta1.AnalysisFailed, Inconclusive: v1beta1.AnalysisInconclusive,
	Error: v1beta1.AnalysisError, NoData: v1beta1.AnalysisNoData, TooFewRequests: v1beta1.AnalysisTooFewRequests,
}

// Decided reports whether a metric, or an analysis, can become nothing else any more.
func Decided(phase v1beta1.AnalysisPhase) bool {
	return phase == v1beta1.AnalysisSuccessful || phase == v1beta1.AnalysisFailed || phase == v1beta1.AnalysisSkipped
}

// counted adds a measurement to the counts, and draws the consequence. A measurement beyond a limit that waits (an error, an
// inconclusive one, one without data) is made again, and does not count towards count.
func counted(m Metric, st v1beta1.MetricStatus, phase v1beta1.AnalysisPhase) v1beta1.MetricStatus {
	st.Phase = v1beta1.AnalysisRunning
	if phase != v1beta1.AnalysisSuccessful {
		st.ConsecutiveSuccess = 0
	}
	if untold(phase) {
		return unansweredOnce(m, st, phase)
	}
	st.ConsecutiveError = 0
	switch phase {
	case v1beta1.AnalysisInconclusive:
		if st.Inconclusive >= m.InconclusiveLimit {
			st.Phase = v1beta1.AnalysisInconclusive
			return st
		}
		st.Inconclusive++
	case v1beta1.AnalysisFailed:
		st.Failed++
		if m.FailureLimit >= 0 && st.Failed > m.FailureLimit {
			st.Phase = v1beta1.AnalysisFailed
		}
	case v1beta1.AnalysisRunning: // a check that keeps watching
	default:
		st.Successful++
		st.ConsecutiveSuccess++
		if m.ConsecutiveSuccessLimit > 0 && st.ConsecutiveSuccess >= m.ConsecutiveSuccessLimit {
			st.Phase = v1beta1.AnalysisSuccessful
		}
	}
	st.Count++
	if st.Phase == v1beta1.AnalysisRunning && m.Count > 0 && st.Count >= m.Count {
		st.Phase = atCount(m)
	}
	return st
}

// untold reports whether a measurement has told nothing.
func untold(phase v1beta1.AnalysisPhase) bool {
	return phase == v1beta1.AnalysisError || phase == v1beta1.AnalysisNoData || phase == v1beta1.AnalysisTooFewRequests
}

// unansweredOnce counts a measurement that has told nothing.
func unansweredOnce(m Metric, st v1beta1.MetricStatus, phase v1beta1.AnalysisPhase) v1beta1.MetricStatus {
	if phase == v1beta1.AnalysisError {
		st.Error++
	} else {
		st.NoData++
	}
	st.ConsecutiveError++
	if st.ConsecutiveError > m.ConsecutiveErrorLimit {
		st.Phase = phase
	}
	return st
}

// atCount is what a metric is once it was measured as often as it is to be.
func atCount(m Metric) v1beta1.AnalysisPhase {
	switch {
	case m.ConsecutiveSuccessLimit == 0:
		return v1beta1.AnalysisSuccessful
	case m.FailureLimit >= 0:
		return v1beta1.AnalysisInconclusive
	default:
		return v1beta1.AnalysisFailed
	}
}

const (
	firstRetry = 10 * time.Second // after an error, and where there is no interval
	lastRetry  = 30 * time.Second
)

// Due is when a metric is to be measured next; false: never.
func Due(m Metric, st v1beta1.MetricStatus, start time.Time) (time.Time, bool) {
	switch {
	case Decided(st.Phase):
		return time.Time{}, false
	case st.LastTime == nil:
		return start.Add(m.InitialDelay), true
	case st.ConsecutiveError > 0:
		return st.LastTime.Add(min(firstRetry<<min(st.ConsecutiveError-1, 8), lastRetry)), true
	case m.Interval == 0:
		return st.LastTime.Add(firstRetry), true
	default:
		return st.LastTime.Add(m.Interval), true
	}
}

// badness orders phases; an analysis is as bad as its worst metric.
var badness = map[v1beta1.AnalysisPhase]int{
	v1beta1.AnalysisSuccessful: 0, v1beta1.AnalysisSkipped: 0, v1beta1.AnalysisRunning: 1, v1beta1.AnalysisTooFewRequests: 2, v1beta1.AnalysisNoData: 3,
	v1beta1.AnalysisInconclusive: 4, v1beta1.AnalysisError: 5, v1beta1.AnalysisFailed: 6,
}

// Worst is the metric that decides about an analysis; nil: it has none that counts.
func Worst(metrics []v1beta1.MetricStatus) *v1beta1.MetricStatus {
	var worst *v1beta1.MetricStatus
	for i := range metrics {
		m := &metrics[i]
		if !m.DryRun && (worst == nil || badness[m.Phase] > badness[worst.Phase]) {
			worst = m
		}
	}
	return worst
}
