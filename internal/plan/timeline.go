// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"encoding/json"
	"fmt"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/rollouts/api/v1beta1"
	"kruise.io/rollouts/internal/workload"
)

// longTimeline is how many events of a release are kept: two for each of 50 steps. Someone who jumps to and fro for ever
// fills no status; the oldest go.
const longTimeline = 100

// Stamp is what admission's mark of a release says, the annotation rollouts.kruise.io/in-progressing.
type Stamp struct {
	RolloutName string `json:"rolloutName,omitempty"`
	User        string `json:"user,omitempty"` // who changed the template
	From        string `json:"from,omitempty"` // digest of the template that the release started from, of kinds whose status lags
}

// StampOf reads the mark; empty where someone else wrote it.
func StampOf(w client.Object) (s Stamp) {
	if w != nil {
		_ = json.Unmarshal([]byte(w.GetAnnotations()[v1beta1.AnnotationInProgressing]), &s)
	}
	return s
}

// opened starts the record of a release from a revision. One that is still open was superseded.
func (p *rolloutPlanner) opened(from string) {
	if p.Past == nil {
		p.status.Release = nil
		return
	}
	if r := p.status.Release; r != nil && r.Outcome == "" {
		p.record(v1beta1.OutcomeSuperseded)
	}
	p.status.Release = &v1beta1.ReleaseStatus{
		Number: p.nextNumber(), StartTime: stamp(p.Now), User: StampOf(p.Objects.Workload).User, From: from,
		Change: changeOf(workload.VersionOf(p.Objects, p.Past.Revisions, from).Template, workload.Template(p.Objects.Workload)),
	}
}

// happened notes an event of the release. Anyone who did it at the API server is noted by admission already, with a name.
func (p *rolloutPlanner) happened(what v1beta1.ReleaseEventType, step int32, by string) {
	r := p.status.Release
	if r == nil || r.Outcome != "" {
		return
	}
	if r.To == "" && p.status.Revision() != r.From {
		r.To = p.status.Revision()
	}
	for i := max(0, len(r.Timeline)-2); i < len(r.Timeline); i++ { // one write may jump and approve
		if e := &r.Timeline[i]; e.Type == what && e.Step == step {
			if what == v1beta1.StepReached { // anew
				e.Time = stamp(p.Now)
			}
			return
		}
	}
	Happened(r, v1beta1.ReleaseEvent{Time: stamp(p.Now), Type: what, Step: step, User: by})
}

// Happened adds an event to a release's timeline.
func Happened(r *v1beta1.ReleaseStatus, e v1beta1.ReleaseEvent) {
	r.Timeline = append(r.Timeline, e)
	if more := len(r.Timeline) - longTimeline; more > 0 {
		r.Timeline = r.Timeline[more:]
	}
}

// resumes notes that a paused release goes on.
func (p *rolloutPlanner) resumes() {
	if c := condition(p.status.Conditions, v1beta1.ConditionProgressing); c != nil && (c.Reason == v1beta1.ReasonPaused || c.Reason == v1beta1.ReasonAborted) {
		if c.Reason == v1beta1.ReasonAborted {
			p.forgetAnalyses()
			p.forgetHooks()
			p.sub.StepStartTime, p.sub.PausedTime = nil, nil
		}
		p.toggled(v1beta1.ReleaseResumed)
	}
}

// toggled notes a pause, an abort or their end, as often as there is one.
func (p *rolloutPlanner) toggled(what v1beta1.ReleaseEventType) {
	if r := p.status.Release; r != nil {
		for _, e := range slices.Backward(r.Timeline) {
			if e.Type == what {
				return
			}
			if e.Type == v1beta1.ReleasePaused || e.Type == v1beta1.ReleaseResumed || e.Type == v1beta1.ReleaseAborted {
				break
			}
		}
		if r.Outcome == "" {
			Happened(r, v1beta1.ReleaseEvent{Time: stamp(p.Now), Type: what, Step: p.sub.CurrentStepIndex, User: p.Rollout.Annotations[v1beta1.AnnotationEditedBy]})
		}
	}
}

// premature takes an approval back that came before its step was there to be approved: a second click on the button of the step
// before, or a patch that was sent twice. Without a record no one can know, and it counts.
func (p *rolloutPlanner) premature() {
	r, seen := p.status.Release, p.Rollout.Status.Common()
	written := seen != nil && (seen.CurrentStepState == v1beta1.StepReady || seen.CurrentStepState == v1beta1.StepCompleted) && p.sub.CurrentStepState == v1beta1.StepReady
	if !written || p.analysisApproved() || r == nil || r.Outcome != "" || Reached(r, p.sub.CurrentStepIndex, seen.LastUpdateTime) {
		return
	}
	p.warn(EventApprovedTooEarly, fmt.Sprintf("the approval is ignored, because step %d was not reached yet: approve it when the Rollout is in state StepPaused", p.sub.CurrentStepIndex))
	p.enter(v1beta1.StepBeforeUpgrade)
}

// analysisApproved takes up an approval that came while the step has an analysis that is not over; true: it has.
func (p *rolloutPlanner) analysisApproved() bool {
	if p.Rollout.Status.AsksAboutAnalysis() {
		if p.overridden(approver(p.status.Release, p.sub.CurrentStepIndex)); p.dueHook(v1beta1.WebhookAfter) != nil {
			p.sub.CurrentStepState = v1beta1.StepMetricsAnalysis
		}
		return true
	}
	a := p.status.Analysis
	if a == nil || a.Step == nil || a.Step.Phase != v1beta1.AnalysisRunning || a.Step.Step != p.sub.CurrentStepIndex {
		return false
	}
	p.warn(EventApprovedTooEarly, fmt.Sprintf("the approval is ignored, because the analysis of step %d is running: approve the step with --skip-analysis to go on without it", a.Step.Step))
	p.sub.CurrentStepState = v1beta1.StepMetricsAnalysis
	return true
}

// approver is who approved a step last, as admission saw it; "": not known.
func approver(r *v1beta1.ReleaseStatus, step int32) string {
	if r != nil {
		for _, e := range r.Timeline[max(0, len(r.Timeline)-2):] { // one write may jump and approve
			if e.Type == v1beta1.StepApproved && e.Step == step {
				return e.User
			}
		}
	}
	return ""
}

// Reached reports whether a release has been at the end of a step since it entered the step's present state: there it may be
// approved. A step that is entered again, because the plan was edited, or the release was aborted and resumed, or jumped back,
// has to be reached again. Since is when the step last changed its state; nil: an older client has dropped that.
func Reached(r *v1beta1.ReleaseStatus, step int32, since *metav1.Time) bool {
	return len(r.Timeline) >= longTimeline || slices.ContainsFunc(r.Timeline, func(e v1beta1.ReleaseEvent) bool {
		return e.Type == v1beta1.StepReached && e.Step == step && (since == nil || !e.Time.Before(since))
	})
}

// approved notes an approval that admission did not see: the state that a client writes is never stored by us.
func (p *rolloutPlanner) approved() {
	if p.sub.CurrentStepState == v1beta1.StepReady {
		p.happened(v1beta1.StepApproved, p.sub.CurrentStepIndex, "")
	}
}

// endedAborted reports whether a release was aborted and nothing came of it since but another template.
func endedAborted(r *v1beta1.ReleaseStatus) bool {
	for _, e := range slices.Backward(r.Timeline) {
		if e.Type != v1beta1.TemplateRolledBack && e.Type != v1beta1.TemplateSuperseded {
			return e.Type == v1beta1.ReleaseAborted
		}
	}
	return false
}

// outcome is how a release ends for a reason.
func (p *rolloutPlanner) outcome(why ending) v1beta1.ReleaseOutcome {
	switch why {
	case success:
		return v1beta1.OutcomeCompleted
	case disable:
		return v1beta1.OutcomeDisabled
	case deletion:
		return v1beta1.OutcomeDeleted
	default:
		if p.Workload.Update == p.sub.StableRevision {
			return v1beta1.OutcomeRolledBack
		}
		return v1beta1.OutcomeAborted
	}
}
