// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"

	"kruise.io/rollouts/api/v1beta1"
)

// approveAsked takes up an approval by annotation (rollouts.kruise.io/approve). It is on record before the annotation goes: metadata are
// written before the status, so that one that goes in the same pass would be lost with it. One that approves nothing goes, too, with
// a word why.
func (p *rolloutPlanner) approveAsked() {
	p.considered = true
	value := p.Object.Annotations[v1beta1.AnnotationApprove]
	if value == "" {
		p.status.Approval = nil
		return
	}
	if p.takenUp(value) {
		return
	}
	by, step := p.Rollout.Annotations[v1beta1.AnnotationApprovedBy], p.sub.CurrentStepIndex
	p.status.Approval = &v1beta1.ApprovalStatus{Value: value, User: by, Time: stamp(p.Now)}
	switch {
	case value != v1beta1.SkipValue(p.identity(), step):
		p.warn(EventApprovalIgnored, fmt.Sprintf("the approval of %s is ignored, because the release is in step %d of %s", value, step, p.identity()))
	case !p.approve(by):
		p.warn(EventApprovedTooEarly, fmt.Sprintf("the approval is ignored, because step %d does not ask for one yet: approve it when the Rollout is in state StepPaused, or when an analysis or a webhook holds it", step))
	}
}

// takenUp removes an approval that is on record already.
func (p *rolloutPlanner) takenUp(value string) bool {
	if a := p.status.Approval; a == nil || a.Value != value {
		return false
	}
	delete(p.Object.Annotations, v1beta1.AnnotationApprove)
	p.status.Approval = nil
	return true
}

// approve lets the step pass what holds it; false: nothing does that a person decides about.
func (p *rolloutPlanner) approve(by string) bool {
	step := p.sub.CurrentStepIndex
	switch held := p.Object.HeldBy(); {
	case held != nil && p.ofStep(*held):
		p.passHook(held, by)
	case p.sub.CurrentStepState == v1beta1.StepPaused:
		p.happened(v1beta1.StepApproved, step, by)
		p.enter(v1beta1.StepReady)
	case p.sub.CurrentStepState == v1beta1.StepMetricsAnalysis && p.gate() != nil && !p.begunAfter() && p.status.AsksAboutAnalysis():
		p.approveAnalysed(by)
	default:
		return false
	}
	return true
}

// approveAnalysed lets the step pass its analysis, and approves it; where webhooks come after the analysis, they and the pause still
// decide.
func (p *rolloutPlanner) approveAnalysed(by string) {
	p.overridden(by)
	if p.dueHook(v1beta1.WebhookAfter) != nil {
		return
	}
	p.enter(v1beta1.StepPaused)
	p.happened(v1beta1.StepApproved, p.sub.CurrentStepIndex, by)
	p.enter(v1beta1.StepReady)
}

// passHook has somebody decide in the place of a webhook that holds the release: about this one, and no other.
func (p *rolloutPlanner) passHook(st *v1beta1.WebhookStatus, by string) {
	message := approvedBy(by) + ", although " + verdictOf(*st)
	now := stamp(p.Now)
	st.Phase, st.Message, st.CompletionTime, st.NextTime = v1beta1.WebhookSkipped, message, &now, nil
	p.warn(EventWebhook, fmt.Sprintf("step %d is %s", st.Step, message))
	p.onRecord(*st, message, by)
}

// approvedBy says that somebody approved, and who, where that is known.
func approvedBy(by string) string {
	if by == "" {
		return "approved"
	}
	return "approved by " + by
}

// tidyApprovals removes approvals that no step can ask for any more, and the signature with the last of them.
func (p *rolloutPlanner) tidyApprovals() {
	if value := p.Object.Annotations[v1beta1.AnnotationApprove]; !p.considered && p.atAnEnd() && value != "" && !p.takenUp(value) {
		delete(p.Object.Annotations, v1beta1.AnnotationApprove)
		p.warn(EventApprovalIgnored, fmt.Sprintf("the approval of %s is ignored, because no step waits for one", value))
	}
	if !p.considered && p.Object.Annotations[v1beta1.AnnotationApprove] == "" {
		p.status.Approval = nil
	}
	if p.Object.Annotations[v1beta1.AnnotationApprove] == "" && p.Object.Annotations[v1beta1.AnnotationSkipAnalysis] == "" {
		delete(p.Object.Annotations, v1beta1.AnnotationApprovedBy)
	}
}

// atAnEnd reports whether no release goes through its steps.
func (p *rolloutPlanner) atAnEnd() bool {
	if p.status.Phase != v1beta1.PhaseProgressing {
		return true
	}
	c := condition(p.status.Conditions, v1beta1.ConditionProgressing)
	return c != nil && c.Reason != v1beta1.ReasonInRolling && c.Reason != v1beta1.ReasonPaused && c.Reason != v1beta1.ReasonInitializing
}
