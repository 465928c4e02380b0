// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"kruise.io/rollouts/api/v1beta1"
	"kruise.io/rollouts/internal/analysis"
)

// background judges the analysis that runs beside the steps, from its first step on. It never ends before the release does.
func (p *rolloutPlanner) background() *pending {
	bg := p.Rollout.Spec.Strategy.Background()
	if wait := p.podsJudged(); wait != nil {
		return wait
	}
	_, ready := p.status.Pods()
	state := p.sub.CurrentStepState
	first := p.sub.CurrentStepIndex == ptr.Deref(bgStart(bg), 1) && state == v1beta1.StepBeforeUpgrade
	if bg == nil || p.sub.CurrentStepIndex < ptr.Deref(bgStart(bg), 1) || first || ready == 0 || state == v1beta1.StepCompleted {
		if a := p.status.Analysis; a != nil && a.Background != nil && !analysis.Decided(a.Background.Phase) && (bg == nil || p.sub.CurrentStepIndex < ptr.Deref(bgStart(bg), 1)) {
			a.Background = nil // nothing measures it any more
		}
		return nil
	}
	a := p.analyses()
	a.Background = p.conducted(a.Background, bg.Analysis, "background")
	return p.abortInBackground(a.Background, bg.Analysis)
}

// abortInBackground aborts the release for what the analysis beside the steps is, where that is what follows.
func (p *rolloutPlanner) abortInBackground(run *v1beta1.AnalysisRun, a v1beta1.Analysis) *pending {
	if p.consequence(run, a) != v1beta1.ActionAbort {
		return nil
	}
	return p.abortBy(run, fmt.Sprintf("the background analysis %s: %s", phrase(run.Phase), run.Message))
}

// watchPods has the pods of the release looked at, unless the strategy says otherwise: what Kubernetes says of them needs no provider.
// It is asked for in every pass of a release, whatever interrupts it, or what was seen of the pods would be forgotten each time that
// one of them crashes. The status says nothing of it until something speaks against them.
func (p *rolloutPlanner) watchPods() {
	if key := p.podsKey(); key != "" {
		p.Asks = append(p.Asks, analysis.Ask{Key: key, Due: p.Now, Pods: true})
	}
}

// podsKey is what the look at the pods of this release is called; "": they are not looked at any more.
func (p *rolloutPlanner) podsKey() string {
	bg := p.Rollout.Spec.Strategy.Background()
	if bg != nil && bg.Pods != nil && bg.Pods.Disabled || p.sub.CurrentStepState == v1beta1.StepCompleted {
		return ""
	}
	if a := p.status.Analysis; a != nil && a.Background != nil && a.Background.Revision == p.status.Revision() && analysis.Decided(a.Background.Phase) {
		return ""
	}
	if p.status.Revision() == "" {
		return "" // nothing is released yet
	}
	return "pods/" + p.status.Revision()
}

// podsJudged takes into account what speaks against the pods of the release.
func (p *rolloutPlanner) podsJudged() *pending {
	found, ok := p.Measured[p.podsKey()]
	if !ok {
		return nil
	}
	bg := p.Rollout.Spec.Strategy.Background()
	a := p.analyses()
	if a.Background == nil || a.Background.Revision != p.status.Revision() {
		start := stamp(p.Now)
		a.Background = &v1beta1.AnalysisRun{Step: p.sub.CurrentStepIndex, Revision: p.status.Revision(), StartTime: &start}
	}
	message, _ := found.Result.(string)
	at := metav1.NewMicroTime(found.Time)
	a.Background.Metrics = append(a.Background.Metrics, v1beta1.MetricStatus{
		Name: "pods", Phase: v1beta1.AnalysisFailed, Message: message, Count: 1, Failed: 1, LastTime: &at,
	})
	p.ended(a.Background, v1beta1.AnalysisFailed, "pods failed: "+message)
	if p.consequence(a.Background, background(bg)) == v1beta1.ActionAbort {
		return p.abortBy(a.Background, "pods failed: "+message)
	}
	return nil
}

// condemned aborts a release for what its pods do, where that is asked for, whatever else is in its way: a pod that crashes for good is behind
// no Service, so that the release would wait for it instead.
func (p *rolloutPlanner) condemned() *pending {
	bg := p.Rollout.Spec.Strategy.Background()
	if bg == nil || p.paused() || p.sub.CurrentStepState == v1beta1.StepCompleted {
		return nil
	}
	if wait := p.podsJudged(); wait != nil {
		return wait
	}
	a := p.status.Analysis
	if a == nil || a.Background == nil || a.Background.Revision != p.status.Revision() || a.Background.Phase != v1beta1.AnalysisFailed {
		return nil
	}
	return p.abortInBackground(a.Background, bg.Analysis)
}

// background is what a strategy says of the analysis beside its steps.
func background(bg *v1beta1.BackgroundAnalysis) v1beta1.Analysis {
	if bg == nil {
		return v1beta1.Analysis{}
	}
	return bg.Analysis
}

func bgStart(bg *v1beta1.BackgroundAnalysis) *int32 {
	if bg == nil {
		return nil
	}
	return bg.StartingStep
}

// heldInBackground is the wait for an analysis beside the steps that keeps the release from going on by itself; nil: nothing does.
func (p *rolloutPlanner) heldInBackground() *pending {
	bg := p.Rollout.Spec.Strategy.Background()
	if p.status.Analysis == nil || p.status.Analysis.Background == nil {
		return nil
	}
	run := p.status.Analysis.Background
	if why := p.silent(run); why != "" && p.sub.CurrentStepIndex >= p.steps() {
		return &pending{message: "the background analysis waits for an answer of its provider: " + why, code: v1beta1.BlockerProviderError}
	}
	if !run.Phase.Holds() || p.consequence(run, background(bg)) == v1beta1.ActionContinue {
		return nil
	}
	return &pending{message: "the background analysis" + strings.TrimPrefix(p.analysisMessage(run), "analysis"), code: analysisCode(run.Phase)}
}

// silent says which metric of a run was not measured, or not of late: that is no reason for the last pods and the end of a release.
func (p *rolloutPlanner) silent(run *v1beta1.AnalysisRun) string {
	for _, m := range run.Metrics {
		if run.Phase == v1beta1.AnalysisRunning && !m.DryRun && !analysis.Decided(m.Phase) && (m.Count == 0 || m.ConsecutiveError > 0) {
			return "metric " + m.Name + " " + phrase(v1beta1.AnalysisError) + ": " + m.Message
		}
	}
	return ""
}

// endBackground completes the analysis beside the steps with the last of them.
func (p *rolloutPlanner) endBackground() {
	if p.status.Analysis == nil || p.status.Analysis.Background == nil || analysis.Decided(p.status.Analysis.Background.Phase) {
		return
	}
	run := p.status.Analysis.Background
	for i, m := range p.metricsOf("background", background(p.Rollout.Spec.Strategy.Background())) {
		if run.Phase == v1beta1.AnalysisRunning && i < len(run.Metrics) && !m.DryRun && m.TooFew(run.Metrics[i]) {
			run.Phase, run.Message = v1beta1.AnalysisTooFewRequests, "metric "+m.Name+": "+run.Metrics[i].Message
		}
	}
	if run.Phase == v1beta1.AnalysisRunning {
		p.ended(run, v1beta1.AnalysisSuccessful, "the background analysis found nothing bad")
		return
	}
	now := stamp(p.Now)
	run.CompletionTime = &now
}
