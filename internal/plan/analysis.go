// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kruise.io/rollouts/api/v1beta1"
	"kruise.io/rollouts/internal/analysis"
)

// defaultLength is for how long requests are watched at least.
const defaultLength = time.Minute

// defaultTimeout is when the analysis of a step is inconclusive at the latest.
const defaultTimeout = 30 * time.Minute

// analysing waits for the analysis of the step. What it measures is asked for by the shell, and judged here when the answer is
// there: a pass never waits for a provider.
func (p *rolloutPlanner) analysing() *pending {
	i := p.sub.CurrentStepIndex
	gate := p.gate()
	if gate == nil && p.dueHook(v1beta1.WebhookAfter) == nil {
		p.enter(v1beta1.StepPaused)
		return nil
	}
	if wait := p.keepOrder(); wait != nil {
		return wait
	}
	if gate == nil || p.begunAfter() {
		return p.analysedWell()
	}
	if p.skipped() {
		return nil
	}
	a := p.analyses()
	a.Step = p.conducted(a.Step, gate.Analysis, "step")
	run := a.Step
	timeout := p.timed(gate, run)
	if run.Phase == v1beta1.AnalysisSuccessful || run.Phase == v1beta1.AnalysisSkipped {
		return p.analysedWell()
	}
	switch p.consequence(run, gate.Analysis) {
	case v1beta1.ActionAbort:
		return p.abortBy(run, fmt.Sprintf("the analysis of step %d %s: %s", i, phrase(run.Phase), run.Message))
	case v1beta1.ActionContinue:
		message := fmt.Sprintf("the release goes on although the analysis of step %d %s: %s", i, phrase(run.Phase), run.Message)
		p.warn(EventAnalysis, message)
		p.analysed(run, message)
		return p.analysedWell()
	default:
		if run.Phase == v1beta1.AnalysisRunning {
			return &pending{message: fmt.Sprintf("analysis is running, until %s at most%s", timeout.UTC().Format(time.RFC3339), p.measuredSoFar(run)), until: timeout, code: v1beta1.BlockerAnalysisRunning}
		}
		return &pending{message: p.analysisMessage(run), code: analysisCode(run.Phase)}
	}
}

// timed ends the analysis of a step where it was long enough, and says when nothing more is waited for.
func (p *rolloutPlanner) timed(gate *v1beta1.StepAnalysis, run *v1beta1.AnalysisRun) (timeout time.Time) {
	length, limit := gateTimes(gate)
	ends, timeout := run.StartTime.Add(length), run.StartTime.Add(limit)
	if analysis.Decided(run.Phase) {
		return timeout
	}
	switch over := !p.Now.Before(ends); {
	case p.passed(run, over):
		p.ended(run, v1beta1.AnalysisSuccessful, fmt.Sprintf("the analysis of step %d succeeded", p.sub.CurrentStepIndex))
	case run.Phase == v1beta1.AnalysisRunning && !p.Now.Before(timeout):
		run.Phase, run.Message = p.undecided(gate, run)
	case run.Phase == v1beta1.AnalysisRunning:
		p.wake(timeout)
		if !over {
			p.wake(ends)
		}
	}
	return timeout
}

// analysedWell goes on to the webhooks that are asked after the step, and then to its pause.
func (p *rolloutPlanner) analysedWell() *pending {
	if wait := p.called(v1beta1.WebhookAfter); wait != nil {
		return wait
	}
	p.enter(v1beta1.StepPaused)
	return nil
}

// gateTimes are for how long metrics without an end are watched, and when nothing more is waited for.
func gateTimes(gate *v1beta1.StepAnalysis) (length, limit time.Duration) {
	length, err := time.ParseDuration(gate.For) // admission has refused what cannot be read; where it was missed, it counts as absent
	if err != nil && analysis.HasChecks(gate.Analysis) {
		length = defaultLength
	}
	limit = defaultTimeout
	if t, err := time.ParseDuration(gate.Timeout); err == nil && t > 0 {
		limit = t
	}
	return length, max(length, limit)
}

// gate is the analysis of the present step; nil: it has none, or a client has written the number of no step.
func (p *rolloutPlanner) gate() *v1beta1.StepAnalysis {
	if i := p.sub.CurrentStepIndex; i >= 1 && i <= p.steps() {
		return p.Rollout.Spec.Strategy.Steps()[i-1].Analysis
	}
	return nil
}

// ungated reports whether the present step has an analysis or webhooks that have not let the release on, and nobody else has.
func (p *rolloutPlanner) ungated() bool {
	if p.gate() == nil && len(p.hooks(v1beta1.WebhookBefore)) == 0 && len(p.hooks(v1beta1.WebhookAfter)) == 0 {
		return false
	}
	switch p.sub.CurrentStepState {
	case v1beta1.StepBeforeUpgrade, v1beta1.StepUpgrade, v1beta1.StepTrafficRouting, v1beta1.StepMetricsAnalysis:
		return true
	default:
		return false
	}
}

// gateAgain takes a release back to the analysis of its step where a client has written that it is past that. Where an analysis lets a
// release on although it is not good, its strategy says so.
func (p *rolloutPlanner) gateAgain() {
	gate := p.gate()
	if gate == nil || p.sub.CurrentStepState != v1beta1.StepPaused {
		return
	}
	if a := p.status.Analysis; a != nil && a.Step != nil && a.Step.Step == p.sub.CurrentStepIndex && a.Step.Revision == p.status.Revision() {
		switch {
		case a.Step.Phase == v1beta1.AnalysisSuccessful, a.Step.Phase == v1beta1.AnalysisSkipped, p.consequence(a.Step, gate.Analysis) == v1beta1.ActionContinue:
			return
		}
	}
	p.sub.CurrentStepState = v1beta1.StepMetricsAnalysis
}

// analyses is where the status keeps them.
func (p *rolloutPlanner) analyses() *v1beta1.AnalysisStatus {
	if p.status.Analysis == nil {
		p.status.Analysis = &v1beta1.AnalysisStatus{}
	}
	return p.status.Analysis
}

// conducted judges what was measured for a run, and asks for what is due next. A run that belongs to something else, or whose
// templates were edited, starts over.
func (p *rolloutPlanner) conducted(run *v1beta1.AnalysisRun, a v1beta1.Analysis, name string) *v1beta1.AnalysisRun {
	if run != nil && run.Revision != p.status.Revision() {
		run = nil
	}
	if run != nil && analysis.Decided(run.Phase) {
		return run
	}
	start := stamp(p.Now)
	fresh := &v1beta1.AnalysisRun{Phase: v1beta1.AnalysisRunning, Step: p.sub.CurrentStepIndex, Revision: p.status.Revision(), StartTime: &start}
	values := p.values(a)
	if run != nil {
		values.Step = run.Step
	}
	metrics, hash, err := analysis.Render(a, p.Templates, values)
	if err != nil {
		if run == nil {
			run = fresh
		}
		if run.Phase, run.Message = v1beta1.AnalysisError, err.Error(); p.announce(run) {
			p.warn(EventAnalysis, fmt.Sprintf("the %s analysis %s: %s", name, phrase(run.Phase), run.Message))
		}
		return run
	}
	if run != nil && run.Hash != "" && run.Hash != hash {
		p.warn(EventAnalysis, fmt.Sprintf("the metrics of the %s analysis were edited: it starts over", name))
		run = nil
	}
	if run == nil {
		run = fresh
	}
	p.rendered[name] = metrics
	run.Hash = hash
	run.Metrics = aligned(metrics, run.Metrics)
	for i, m := range metrics {
		p.measured(run, name, m, &run.Metrics[i])
	}
	run.Requests = p.requestsOf(run, name)
	p.assess(run)
	return run
}

// requestsOf are the requests that a run has counted, of a step's with the share that the step routes to the new version; nil: none.
func (p *rolloutPlanner) requestsOf(run *v1beta1.AnalysisRun, name string) *v1beta1.RequestCounts {
	counts := analysis.RequestsOf(run.Metrics)
	if counts == nil || name != "step" {
		return counts
	}
	if route := p.route(p.sub.CurrentStepIndex); route != nil && route.Traffic != nil && len(route.Matches) == 0 {
		counts.WantedShare = *route.Traffic
	}
	return counts
}

// measured judges what a metric was measured, and asks for what is due next.
func (p *rolloutPlanner) measured(run *v1beta1.AnalysisRun, name string, m analysis.Metric, st *v1beta1.MetricStatus) {
	for {
		due, more := analysis.Due(m, *st, run.StartTime.Time)
		if !more {
			return
		}
		key := askKey(name, m, due)
		p.Asks = append(p.Asks, m.Ask(key, due))
		r, ok := p.Measured[key]
		if !ok {
			return
		}
		*st = analysis.Judge(m, *st, r) // the answer is asked for until it is stored, so that it is not forgotten
	}
}

// askKey names one measurement: another one of the metric is due at another time.
func askKey(run string, m analysis.Metric, due time.Time) string {
	return fmt.Sprintf("%s/%s@%d", run, m.Name, due.UnixMicro())
}

// aligned are the statuses of metrics, in their order, as far as there are any.
func aligned(metrics []analysis.Metric, have []v1beta1.MetricStatus) []v1beta1.MetricStatus {
	out := make([]v1beta1.MetricStatus, len(metrics))
	for i, m := range metrics {
		out[i] = v1beta1.MetricStatus{Name: m.Name, Phase: v1beta1.AnalysisRunning, DryRun: m.DryRun, Query: m.Query()}
		for _, st := range have {
			if st.Name == m.Name {
				out[i] = st
			}
		}
	}
	return out
}

// assess makes a run what its worst metric is. That all are successful does not end it: a run in the background ends with the
// release, and a step's when it was long enough.
func (p *rolloutPlanner) assess(run *v1beta1.AnalysisRun) {
	worst := analysis.Worst(run.Metrics)
	run.Phase, run.Message = v1beta1.AnalysisRunning, ""
	if worst == nil || worst.Phase == v1beta1.AnalysisRunning || worst.Phase == v1beta1.AnalysisSuccessful {
		return
	}
	message := fmt.Sprintf("metric %s %s", worst.Name, phrase(worst.Phase))
	switch {
	case worst.Message != "":
		message += ": " + worst.Message
	case worst.Value != "":
		message += fmt.Sprintf(": the value is %s", worst.Value)
	}
	if worst.Phase == v1beta1.AnalysisFailed {
		p.ended(run, v1beta1.AnalysisFailed, message)
		return
	}
	if run.Phase, run.Message = worst.Phase, message; worst.Phase == v1beta1.AnalysisError && p.announce(run) {
		p.warn(EventAnalysis, message)
	}
}

// announce reports whether what a run is was not said before: a status that stays as it is sends no events.
func (p *rolloutPlanner) announce(run *v1beta1.AnalysisRun) bool {
	for _, was := range p.Rollout.Status.AnalysisRuns() {
		if was.Phase == run.Phase && was.StartTime.Equal(run.StartTime) {
			return false
		}
	}
	return true
}

// passed reports whether every metric that counts is successful, those without an end for as long as they are watched.
func (p *rolloutPlanner) passed(run *v1beta1.AnalysisRun, over bool) bool {
	if run.Phase != v1beta1.AnalysisRunning {
		return false
	}
	counts := false
	for _, m := range run.Metrics {
		done := m.Phase == v1beta1.AnalysisSuccessful || over && m.Phase == v1beta1.AnalysisRunning && m.ConsecutiveSuccess > 0 && p.watched(run, m)
		if !m.DryRun && !done {
			return false
		}
		counts = counts || !m.DryRun
	}
	return counts || over // metrics that only are shown are watched for as long as they are to be
}

// watched reports whether a metric of the step's analysis is one that is measured for as long as that runs, and no measurement of
// it is overdue: what was good before the manager stood still, or the provider hung, says nothing of now.
func (p *rolloutPlanner) watched(run *v1beta1.AnalysisRun, st v1beta1.MetricStatus) bool {
	for _, m := range p.metricsOf("step", p.gate().Analysis) {
		if m.Name == st.Name {
			due, more := analysis.Due(m, st, run.StartTime.Time)
			return m.Endless() && more && due.After(p.Now)
		}
	}
	return false
}

// metricsOf are the metrics of an analysis. They are rendered once in a pass: conditions are compiled for that.
func (p *rolloutPlanner) metricsOf(name string, a v1beta1.Analysis) []analysis.Metric {
	metrics, done := p.rendered[name]
	if !done {
		metrics, _, _ = analysis.Render(a, p.Templates, p.values(a)) // an error was said when the run was conducted
		p.rendered[name] = metrics
	}
	return metrics
}

// undecided is what the analysis of a step is when its time is over and nothing was decided.
func (p *rolloutPlanner) undecided(gate *v1beta1.StepAnalysis, run *v1beta1.AnalysisRun) (v1beta1.AnalysisPhase, string) {
	_, limit := gateTimes(gate)
	phase, message := v1beta1.AnalysisInconclusive, fmt.Sprintf("nothing was decided within %s", limit)
	for i, m := range p.metricsOf("step", gate.Analysis) {
		if i >= len(run.Metrics) || run.Metrics[i].DryRun || analysis.Decided(run.Metrics[i].Phase) {
			continue
		}
		st := run.Metrics[i]
		if m.TooFew(st) {
			phase = v1beta1.AnalysisTooFewRequests
		}
		message += "; metric " + m.Name
		if st.Message == "" {
			message += fmt.Sprintf(" was measured %d times", st.Count)
		} else {
			message += ": " + st.Message
		}
		break
	}
	return phase, message
}

// ended completes a run, and says so.
func (p *rolloutPlanner) ended(run *v1beta1.AnalysisRun, phase v1beta1.AnalysisPhase, message string) {
	now := stamp(p.Now)
	for i := range run.Metrics { // those without an end end here
		if m := &run.Metrics[i]; phase == v1beta1.AnalysisSuccessful && !m.DryRun && m.Phase == v1beta1.AnalysisRunning {
			m.Phase = v1beta1.AnalysisSuccessful
		}
	}
	run.Phase, run.Message, run.CompletionTime = phase, message, &now
	kind := corev1.EventTypeNormal
	if phase == v1beta1.AnalysisFailed {
		kind = corev1.EventTypeWarning
	}
	p.Events = append(p.Events, Event{Type: kind, Reason: EventAnalysis, Message: message})
	p.analysed(run, message)
}

// analysed puts what an analysis came to on the record of the release.
func (p *rolloutPlanner) analysed(run *v1beta1.AnalysisRun, message string) {
	if r := p.status.Release; r != nil && r.Outcome == "" {
		Happened(r, v1beta1.ReleaseEvent{Time: stamp(p.Now), Type: v1beta1.StepAnalysed, Step: run.Step, Message: message})
	}
}

// consequence is what follows from a run as it is.
func (p *rolloutPlanner) consequence(run *v1beta1.AnalysisRun, a v1beta1.Analysis) v1beta1.AnalysisAction {
	action := v1beta1.ActionPause
	switch run.Phase {
	case v1beta1.AnalysisFailed:
		action = a.OnFailure
	case v1beta1.AnalysisError:
		action = a.OnError
	case v1beta1.AnalysisInconclusive:
		action = a.OnInconclusive
	case v1beta1.AnalysisNoData:
		action = a.OnNoData
	case v1beta1.AnalysisTooFewRequests:
		action = a.OnTooFewRequests
	default:
	}
	switch {
	case action == v1beta1.ActionAbort && p.abortable():
		return action
	case action == v1beta1.ActionContinue && run.Phase != v1beta1.AnalysisFailed && run.Phase != v1beta1.AnalysisError:
		return action
	default:
		return v1beta1.ActionPause
	}
}

// abortable reports whether there is a stable version that an abort could go back to.
func (p *rolloutPlanner) abortable() bool {
	return p.status.Revision() != "" && p.status.Revision() != p.sub.StableRevision && p.Workload.Update == p.status.Revision()
}

// abortFor aborts the release as a person would, once: who resumes it starts over, with new measurements.
func (p *rolloutPlanner) abortFor(by, why string) *pending {
	metav1.SetMetaDataAnnotation(&p.Object.ObjectMeta, v1beta1.AnnotationAbort, p.status.Revision())
	metav1.SetMetaDataAnnotation(&p.Object.ObjectMeta, v1beta1.AnnotationEditedBy, by)
	return &pending{message: "aborting the release: " + why}
}

// abortBy aborts the release for what an analysis says: once that is on record, because metadata are written before the status.
func (p *rolloutPlanner) abortBy(run *v1beta1.AnalysisRun, why string) *pending {
	if p.announce(run) {
		return &pending{message: "aborting the release: " + why, code: v1beta1.BlockerAnalysisFailed}
	}
	if run.CompletionTime == nil {
		now := stamp(p.Now)
		run.CompletionTime = &now
		p.analysed(run, why)
	}
	return p.abortFor(analysisUser, why)
}

// endAnalyses ends those that still run when their release goes back.
func (p *rolloutPlanner) endAnalyses() {
	now := stamp(p.Now)
	for _, run := range p.status.AnalysisRuns() {
		if run.CompletionTime == nil && run.Phase == v1beta1.AnalysisRunning {
			run.Phase, run.Message, run.CompletionTime = v1beta1.AnalysisSkipped, "the release ended before it", &now
		}
	}
}

// analysisUser, webhookUser and deadlineUser are who aborts a release where nobody does.
const (
	analysisUser = "analysis"
	webhookUser  = "webhook"
	deadlineUser = "progressDeadlineSeconds"
)

// abortedBecause is why a release was aborted by its analysis, a webhook or a deadline; "": it was not.
func (p *rolloutPlanner) abortedBecause() string {
	switch p.Object.Annotations[v1beta1.AnnotationEditedBy] {
	case deadlineUser:
		return "; a step took longer than progressDeadlineSeconds"
	case webhookUser:
		for _, st := range slices.Backward(p.status.Webhooks) {
			if st.Phase.Holds() {
				return "; " + verdictOf(st)
			}
		}
	default:
	}
	for _, run := range p.status.AnalysisRuns() {
		if run.Message != "" && run.Phase.Holds() {
			return fmt.Sprintf("; its analysis %s: %s", phrase(run.Phase), run.Message)
		}
	}
	return ""
}

// skipped ends the analysis of the step where somebody asked for that (annotation rollouts.kruise.io/skip-analysis), and approves
// the step. The annotation names revision and step, so that it says nothing of any other.
func (p *rolloutPlanner) skipped() bool {
	asked := p.Object.Annotations[v1beta1.AnnotationSkipAnalysis]
	if asked == "" || asked != v1beta1.SkipValue(p.status.Revision(), p.sub.CurrentStepIndex) || p.skippedAnalysis() == asked {
		return false
	}
	p.approveAnalysed(p.Rollout.Annotations[v1beta1.AnnotationApprovedBy])
	return p.sub.CurrentStepState == v1beta1.StepReady
}

// skippedAnalysis is the value of the request to skip an analysis that was met last; "": there was none.
func (p *rolloutPlanner) skippedAnalysis() string {
	if a := p.status.Analysis; a != nil && a.Step != nil && a.Step.Phase == v1beta1.AnalysisSkipped {
		return v1beta1.SkipValue(a.Step.Revision, a.Step.Step)
	}
	return ""
}

// forgetSkip removes the request to skip an analysis once that is on record, or nothing is left that could be skipped: one request ends
// one analysis. Metadata are written before the status, so that a request that goes in the pass that meets it would be lost with the status.
func (p *rolloutPlanner) forgetSkip() {
	asked, step := p.Object.Annotations[v1beta1.AnnotationSkipAnalysis], p.sub.CurrentStepIndex
	if asked == "" {
		return
	}
	here, met := asked == v1beta1.SkipValue(p.status.Revision(), step), p.skippedAnalysis() == asked
	switch p.sub.CurrentStepState {
	case v1beta1.StepBeforeUpgrade, v1beta1.StepUpgrade, v1beta1.StepTrafficRouting, v1beta1.StepMetricsAnalysis:
		if here && !met && !p.begunAfter() {
			return
		}
	default:
	}
	delete(p.Object.Annotations, v1beta1.AnnotationSkipAnalysis)
	switch {
	case met:
	case here:
		p.warn(EventApprovalIgnored, fmt.Sprintf("the request to skip the analysis of %s is ignored, because that is over", asked))
	default:
		p.warn(EventApprovalIgnored, fmt.Sprintf("the request to skip the analysis of %s is ignored, because the release is in step %d of %s", asked, step, p.identity()))
	}
}

// overridden marks the analysis of the step as approved by somebody, whatever it says.
func (p *rolloutPlanner) overridden(by string) {
	a := p.analyses()
	now := stamp(p.Now)
	if a.Step == nil {
		a.Step = &v1beta1.AnalysisRun{Step: p.sub.CurrentStepIndex, Revision: p.status.Revision(), StartTime: &now}
	}
	message := approvedBy(by) + ", although the analysis " + phrase(a.Step.Phase)
	if a.Step.Message != "" {
		message += ": " + a.Step.Message
	}
	a.Step.Phase, a.Step.Message, a.Step.CompletionTime = v1beta1.AnalysisSkipped, message, &now
	p.warn(EventAnalysis, fmt.Sprintf("the analysis of step %d is skipped: %s", p.sub.CurrentStepIndex, message))
	p.analysed(a.Step, message)
}

// forgetAnalyses drops what was measured of another release, or of one that starts over.
func (p *rolloutPlanner) forgetAnalyses() { p.status.Analysis = nil }

// analysisMessage says what an analysis that holds a release waits for, and what to do.
func (p *rolloutPlanner) analysisMessage(run *v1beta1.AnalysisRun) string {
	switch {
	case run.Phase == v1beta1.AnalysisFailed && !p.abortable():
		return "analysis failed: " + run.Message + "; pause the release, or approve the step to go on all the same"
	case run.Phase == v1beta1.AnalysisFailed:
		return "analysis failed: " + run.Message + "; abort the release, or approve the step to go on all the same"
	}
	return "analysis " + phrase(run.Phase) + ": " + run.Message + "; the release goes on when the metrics are good, or when you approve the step"
}

// analysisCode is what status.blockers calls an analysis that holds a release.
func analysisCode(phase v1beta1.AnalysisPhase) v1beta1.BlockerCode {
	switch phase {
	case v1beta1.AnalysisFailed:
		return v1beta1.BlockerAnalysisFailed
	case v1beta1.AnalysisNoData:
		return v1beta1.BlockerNoData
	case v1beta1.AnalysisTooFewRequests:
		return v1beta1.BlockerTooFewRequests
	case v1beta1.AnalysisError:
		return v1beta1.BlockerProviderError
	case v1beta1.AnalysisInconclusive:
		return v1beta1.BlockerAnalysisInconclusive
	default:
		return v1beta1.BlockerAnalysisRunning
	}
}

// measuredSoFar is how far the metrics of a run are.
func (p *rolloutPlanner) measuredSoFar(run *v1beta1.AnalysisRun) string {
	var parts []string
	for _, m := range run.Metrics {
		if m.DryRun {
			continue
		}
		part := m.Name
		if m.ConsecutiveError > 0 {
			part += fmt.Sprintf(" not measured %d times in a row: %s", m.ConsecutiveError, m.Message)
		} else if m.Value != "" {
			part += " = " + m.Value
		}
		if m.Count > 0 && m.ConsecutiveError == 0 {
			part += fmt.Sprintf(" (%d measured)", m.Count)
		}
		parts = append(parts, part)
	}
	if len(parts) == 0 {
		return ""
	}
	if len(parts) > 3 {
		parts = append(parts[:3:3], fmt.Sprintf("and %d more", len(parts)-3))
	}
	return ": " + strings.Join(parts, ", ")
}

// phrase is a phase as the end of a sentence.
func phrase(phase v1beta1.AnalysisPhase) string {
	switch phase {
	case v1beta1.AnalysisNoData:
		return "has no data"
	case v1beta1.AnalysisTooFewRequests:
		return "has too few requests"
	case v1beta1.AnalysisError:
		return "cannot be measured"
	case v1beta1.AnalysisFailed:
		return "failed"
	case v1beta1.AnalysisSuccessful:
		return "succeeded"
	case v1beta1.AnalysisInconclusive:
		return "is inconclusive"
	default:
		return "is " + strings.ToLower(string(phase))
	}
}

// TemplateRefs are the templates that the analyses of a Rollout name.
func TemplateRefs(ro *v1beta1.Rollout) []v1beta1.AnalysisTemplateRef {
	var refs []v1beta1.AnalysisTemplateRef
	if bg := ro.Spec.Strategy.Background(); bg != nil {
		refs = append(refs, bg.Templates...)
	}
	for _, s := range ro.Spec.Strategy.Steps() {
		if s.Analysis != nil {
			refs = append(refs, s.Analysis.Templates...)
		}
	}
	return refs
}
