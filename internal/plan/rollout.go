// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"
	"slices"
	"time"

	autoscalingv1 "k8s.io/api/autoscaling/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kruise.io/rollouts/api/v1alpha1"
	"kruise.io/rollouts/api/v1beta1"
	"kruise.io/rollouts/internal/analysis"
	"kruise.io/rollouts/internal/workload"
)

// RolloutInput is everything one pass over a Rollout saw.
type RolloutInput struct {
	Now      time.Time
	Rollout  *v1beta1.Rollout
	Driver   workload.Driver          // of its workload's kind and its style; nil: this version has none
	Unserved bool                     // the cluster has no such kind
	Objects  workload.Objects         // the workload, nil where it does not exist, and what is below it but for pods
	Workload workload.State           // what the driver reads in them
	Release  *v1beta1.BatchRelease    // that the Rollout controls; nil: none
	Routings []Routing                // of its strategy
	Shared   *v1alpha1.TrafficRouting // that its strategy names; nil: none
	// Autoscalers of the namespace, where the reference implementation may have written them.
	Autoscalers []*autoscalingv1.HorizontalPodAutoscaler
	Rival       string          // another Rollout that manages the workload; "": none does
	Taken       bool            // a BatchRelease of the Rollout's name is someone else's
	Refused     map[string]bool // objects that the cluster refuses to write, as Named has them
	// Written is when this process last wrote an object for it, as Named has them.
	Written map[string]time.Time
	Past    *Past // what records are made from; nil: none are kept
	// Templates are those that its analyses name, and those that these name. Measured is what came of the asks of earlier passes, by
	// their keys.
	Templates []analysis.Template
	Measured  map[string]analysis.Measured
	// Admission is why a change of the workload's template would not be held, as far as a dry run showed. It is looked
	// at while the Rollout is on its way to Healthy only.
	Admission error
}

// retryAdmission is how long to wait before admission is tried again where it did not reach the workload.
const retryAdmission = 5 * time.Second

// retryTaken is how long to wait before checking again whether a BatchRelease of someone else is gone.
const retryTaken = 5 * time.Second

// rolloutPlanner is one pass over a Rollout on its way to a decision.
type rolloutPlanner struct {
	RolloutInput
	Decision[*v1beta1.Rollout]
	status  *v1beta1.RolloutStatus // of Decision.Object
	sub     *v1beta1.CommonStatus  // its part that all styles share, never nil
	traffic *shift                 // its traffic part
	hash    string                 // of the strategy as it is
	overdue *Obstacle              // the step's deadline, where it is over
	// rendered are the metrics of the analyses that this pass conducts, by their names: step, background.
	rendered map[string][]analysis.Metric
	// template is the name of the workload's template where there is no revision; "": nobody has asked for it.
	template string
	// considered: this pass has looked at what somebody approves by annotation.
	considered bool
}

// Rollout decides what to do with a Rollout.
func Rollout(s RolloutInput) Decision[*v1beta1.Rollout] {
	p := &rolloutPlanner{RolloutInput: s, Decision: Decision[*v1beta1.Rollout]{Object: s.Rollout.DeepCopy()}, hash: strategyHash(s.Rollout.Spec.Strategy), rendered: map[string][]analysis.Metric{}}
	p.status = &p.Object.Status
	p.status.ObservedGeneration = s.Rollout.Generation
	p.status.Conditions = dropCondition(p.status.Conditions, v1beta1.ConditionStalled) // whatever writes says so again
	p.ensureProgress()
	p.enrol()
	p.askedPlace()
	p.live()
	p.stalled()
	if p.overdue != nil {
		said(p.Object, *p.overdue, p.Now)
	}
	p.tidyApprovals()
	p.repairAutoscalers()
	if !p.Workload.Blind || p.Driver == nil || p.Objects.Workload == nil || p.notObserved() {
		p.explainBlockers()
	}
	p.status.CurrentStepIndex, p.status.CurrentStepState = p.sub.CurrentStepIndex, p.sub.CurrentStepState
	p.withholdReadings()
	return p.Decision
}

// stalled says what keeps the BatchRelease from going on.
func (p *rolloutPlanner) stalled() {
	if p.Release == nil {
		return
	}
	if st := p.Release.Status; p.Release.DeletionTimestamp == nil && st.Phase == v1beta1.PhasePreparing && st.Message != "" && answered(p.Release) {
		p.status.Message += ": " + st.Message
	}
	if c := condition(p.Release.Status.Conditions, v1beta1.ConditionStalled); c != nil {
		said(p.Object, Obstacle{Reason: c.Reason, Message: c.Message}, p.Now)
	}
}

// ensureProgress makes sure that there is a status of the Rollout's style: clients read it whatever the phase.
func (p *rolloutPlanner) ensureProgress() {
	c, b := p.status.CanaryStatus, p.status.BlueGreenStatus
	if Style(p.Rollout) == v1beta1.BlueGreenRollingStyle {
		if b == nil {
			b = &v1beta1.BlueGreenStatus{}
			if c != nil { // the style was edited: what is recorded of the release stays
				*b = v1beta1.BlueGreenStatus{CommonStatus: c.CommonStatus, UpdatedRevision: c.CanaryRevision, UpdatedReplicas: c.CanaryReplicas, UpdatedReadyReplicas: c.CanaryReadyReplicas}
			}
		}
		p.status.CanaryStatus, p.status.BlueGreenStatus = nil, b
	} else {
		if c == nil {
			c = &v1beta1.CanaryStatus{}
			if b != nil {
				*c = v1beta1.CanaryStatus{CommonStatus: b.CommonStatus, CanaryRevision: b.UpdatedRevision, CanaryReplicas: b.UpdatedReplicas, CanaryReadyReplicas: b.UpdatedReadyReplicas}
			}
		}
		p.status.CanaryStatus, p.status.BlueGreenStatus = c, nil
	}
	p.sub = p.status.Common()
	p.traffic = &shift{RolloutInput: &p.RolloutInput, sub: p.sub, out: &p.Decision}
}

// enrol puts the finalizer on a Rollout, and its hash for clients to see.
func (p *rolloutPlanner) enrol() {
	if p.Rollout.DeletionTimestamp != nil {
		return
	}
	if !slices.Contains(p.Object.Finalizers, v1beta1.FinalizerRollout) {
		p.Object.Finalizers = append(p.Object.Finalizers, v1beta1.FinalizerRollout)
	}
	if p.Object.Annotations == nil {
		p.Object.Annotations = map[string]string{}
	}
	p.Object.Annotations[v1beta1.AnnotationHash] = p.hash
}

func (p *rolloutPlanner) live() {
	switch {
	case p.Rollout.DeletionTimestamp != nil:
		p.terminating()
	case p.Driver == nil:
		p.status.Phase = v1beta1.PhaseInitial
		p.status.Message = unsupported(p.Rollout)
		p.raise(blocker{code: v1beta1.BlockerKindUnsupported, object: p.workloadObject(), message: p.status.Message})
		if p.sub.Traffic == nil {
			return
		}
		if wait := p.traffic.withdraw(); wait != nil {
			p.awaitToo(wait)
		}
	case p.Objects.Workload == nil:
		p.missing()
	case p.Rollout.Spec.Disabled || p.status.Phase == v1beta1.PhaseDisabling:
		p.disabling()
	case p.rivalled():
		p.yieldTo(p.Rival)
	case p.Workload.Blind:
		// Its own controller says so when it has seen the latest spec. Nothing is said of that: it is over in no time.
	case p.status.Phase == v1beta1.PhaseHealthy:
		p.healthy()
	case p.status.Phase == v1beta1.PhaseProgressing:
		p.progressing()
	default:
		p.adopting()
	}
}

func unsupported(ro *v1beta1.Rollout) string {
	ref := ro.Spec.WorkloadRef
	return fmt.Sprintf("WorkloadRef kind is not supported: this version does not support %s %s in %s style", ref.APIVersion, ref.Kind, Style(ro))
}

// workloadObject is how blockers name the workload.
func (p *rolloutPlanner) workloadObject() v1beta1.BlockerObject {
	return workloadObject(p.Rollout.Spec.WorkloadRef)
}

func workloadObject(ref v1beta1.ObjectRef) v1beta1.BlockerObject {
	return v1beta1.BlockerObject{Kind: ref.Kind, Name: ref.Name}
}

// missing starts over: whatever comes under this name later is a first deployment.
func (p *rolloutPlanner) missing() {
	p.status.Message = "Workload Not Found"
	absent := blocker{code: v1beta1.BlockerWorkloadMissing, object: p.workloadObject()}
	if p.Unserved {
		absent.code, absent.until = v1beta1.BlockerKindNotServed, p.Now.Add(retryKind)
		p.status.Message += fmt.Sprintf(": the cluster has no kind %s in %s", p.Rollout.Spec.WorkloadRef.Kind, p.Rollout.Spec.WorkloadRef.APIVersion)
		p.wake(p.Now.Add(retryKind)) // no event reports when it comes
	}
	absent.message = p.status.Message
	p.raise(absent)
	if wait := run(p.releaseTrafficRouting, p.traffic.abandon); wait != nil {
		p.awaitToo(wait)
		return
	}
	*p.status = v1beta1.RolloutStatus{ObservedGeneration: p.Rollout.Generation, Phase: v1beta1.PhaseInitial, Message: p.status.Message}
	p.ensureProgress()
	if p.Rollout.Spec.Disabled {
		p.status.Phase, p.status.Message = v1beta1.PhaseDisabled, "Rollout is disabled"
	}
	p.dropRelease()
}

// adopting brings a new or newly enabled Rollout to Healthy: only once admission has been seen to reach the workload, so
// that not even the first change is missed.
func (p *rolloutPlanner) adopting() {
	p.status.Phase = v1beta1.PhaseInitial
	switch {
	case p.Workload.Type == "":
		p.status.Message = "labeling the workload for the admission webhook"
		p.Changes = diff(p.Objects.Workload, workload.Labelled(p.Objects.Workload, p.Rollout.Spec.WorkloadRef))
	case p.Admission != nil:
		p.status.Message = "the admission webhook does not intercept updates of the workload: " + p.Admission.Error()
		p.wake(p.Now.Add(retryAdmission))
		p.raise(blocker{code: v1beta1.BlockerAdmissionNotReached, object: p.workloadObject(), message: p.status.Message})
	case p.Workload.Engaged && !p.Workload.Changing:
		p.status.Message = "adopting a release whose Rollout was deleted"
		p.Changes = diff(p.Objects.Workload, p.Driver.Hold(p.Objects, p.Objects.Workload, p.Rollout.Name, ""))
	case p.Workload.Update == "" && p.Workload.Others == 0 && !p.Workload.Changing:
		p.status.Message = "waiting for the workload to create its first pods"
		p.raise(blocker{code: v1beta1.BlockerFirstPods, object: p.workloadObject(), message: p.status.Message})
	default:
		p.status.Phase = v1beta1.PhaseHealthy
		p.complete()
		p.healthy()
	}
}

// complete describes a workload that is at one version as a release that is done, as clients expect of a first deployment.
func (p *rolloutPlanner) complete() {
	n := p.steps()
	*p.sub = v1beta1.CommonStatus{
		Traffic:                    p.sub.Traffic,
		ObservedRolloutID:          observedID(p.Workload),
		ObservedWorkloadGeneration: p.Workload.Generation,
		RolloutHash:                p.hash,
		StableRevision:             p.Workload.Update,
		PodTemplateHash:            p.Workload.Update,
		CurrentStepIndex:           n,
		NextStepIndex:              -1,
		CurrentStepState:           v1beta1.StepCompleted,
	}
	if p.Workload.Others > 0 && p.Workload.Stable != "" {
		p.sub.StableRevision = p.Workload.Stable // it rolls by itself; what it comes from is the one that is known to work
	}
	p.status.SetRevision(p.Workload.Update)
	p.status.SetPods(0, 0)
	p.status.Message = p.standing()
}

// What is said of a workload that no release has moved. There may be pods of several versions, by its own rolling update, or
// left so, paused, by a Rollout that was deleted.
const (
	atOneVersion      = "workload deployment is completed"
	atSeveralVersions = "the workload has pods of several versions, and this Rollout is not releasing them: wait for the workload's own rollout to finish, or resume the workload if it is paused"
)

func (p *rolloutPlanner) standing() string {
	if p.Workload.Others > 0 {
		return atSeveralVersions
	}
	return atOneVersion
}

// observedID is the id of a release: the user's, or the revision.
func observedID(w workload.State) string {
	if w.RolloutID != "" {
		return w.RolloutID
	}
	return w.Update
}

func (p *rolloutPlanner) healthy() {
	switch {
	case p.Workload.Changing:
		p.begin("Rollout is in Progressing")
	case p.missed():
		p.catchUp()
	case p.Workload.Type == "":
		p.Changes = diff(p.Objects.Workload, workload.Labelled(p.Objects.Workload, p.Rollout.Spec.WorkloadRef))
	case p.sub.Traffic != nil: // the release ended by itself, when every pod had the version already
		if wait := p.traffic.withdraw(); wait != nil {
			p.awaitToo(wait)
		}
	default:
		p.dropRelease()
		if p.status.Revision() == "" {
			p.complete()
		}
		if p.status.Revision() == p.Workload.Update {
			p.sub.ObservedWorkloadGeneration, p.sub.ObservedRolloutID = p.Workload.Generation, observedID(p.Workload)
		}
		if p.status.Message == atSeveralVersions {
			p.status.Message = p.standing()
		}
		p.atRest()
	}
}

// atRest corrects what a client has written into the status of a Rollout that releases nothing: a late approval, or a jump, would be
// read as a release that waits.
func (p *rolloutPlanner) atRest() {
	n := p.steps()
	if p.sub.CurrentStepState == "" && p.sub.CurrentStepIndex == 0 {
		return // it never had a workload
	}
	p.sub.CurrentStepState = v1beta1.StepCompleted
	p.sub.CurrentStepIndex = min(max(p.sub.CurrentStepIndex, 1), n)
	if c := condition(p.status.Conditions, v1beta1.ConditionSucceeded); c != nil && c.Status == metav1.ConditionTrue {
		p.sub.CurrentStepIndex = n
	}
	p.sub.NextStepIndex = natural(p.sub.CurrentStepIndex, n)
	if p.sub.FinalisingStep != v1beta1.FinalisingNone {
		p.sub.FinalisingStep = v1beta1.FinalisingEnd
	}
	if p.status.Revision() == p.Workload.Update {
		p.sub.PodTemplateHash = p.Workload.Update
	}
	if r := p.status.Release; r != nil && r.Outcome != "" && r.To == p.status.Revision() {
		p.sub.StableRevision = r.From
	}
}

// missed reports whether there is a template that admission has not held.
func (p *rolloutPlanner) missed() bool {
	recorded, w := p.status.Revision(), p.Workload
	if recorded == "" || w.Update == recorded || w.Stale {
		return false
	}
	return w.Update != "" || w.Replicas > 0 && w.Others > 0
}

// catchUp holds a template that admission has missed, where there is something left to hold.
func (p *rolloutPlanner) catchUp() {
	switch w := p.Workload; {
	case w.Replicas == 0:
		p.complete() // without pods a new template is a first deployment, and admission lets it pass
	case w.Others > 0:
		p.warn(EventAdmissionMissed, "a change of the pod template bypassed the admission webhook; the workload is held now, and the change is released in steps")
		p.Changes = diff(p.Objects.Workload, p.Driver.Hold(p.Objects, p.Objects.Workload, p.Rollout.Name, p.status.Revision()))
	default:
		p.warn(EventAdmissionMissed, "a change of the pod template bypassed the admission webhook, and all pods are updated already")
		p.complete()
	}
}

func (p *rolloutPlanner) warn(reason EventReason, message string) {
	p.Events = append(p.Events, Event{Type: corev1.EventTypeWarning, Reason: reason, Message: message})
}

// begin starts a release at its first step.
func (p *rolloutPlanner) begin(message string) {
	p.status.Phase = v1beta1.PhaseProgressing
	p.status.Message = message
	p.status.Conditions = dropCondition(p.status.Conditions, v1beta1.ConditionSucceeded)
	p.reason(v1beta1.ReasonInRolling, message)

	stable := p.Workload.Stable
	if stable == "" {
		stable = p.Workload.Update
	}
	p.opened(stable)
	p.forgetAnalyses()
	p.forgetHooks()
	p.consumeAbort()
	delete(p.Object.Annotations, v1beta1.AnnotationSkipAnalysis)
	n := p.steps()
	*p.sub = v1beta1.CommonStatus{
		Traffic:                    p.sub.Traffic,
		ObservedRolloutID:          observedID(p.Workload),
		ObservedWorkloadGeneration: p.Workload.Generation,
		RolloutHash:                p.hash,
		StableRevision:             stable,
		PodTemplateHash:            p.Workload.Update,
		CurrentStepIndex:           1,
		NextStepIndex:              natural(1, n),
	}
	p.status.SetRevision(p.Workload.Update)
	if p.Workload.Update == p.Workload.Stable && !p.backInBatches() {
		p.status.SetRevision("") // gone back before anything was seen of it: there is nothing to release
	}
	p.status.SetPods(0, 0)
	p.enter(v1beta1.StepBeforeUpgrade)
	p.rolling()
}

// progressing goes on with a release where its condition says.
func (p *rolloutPlanner) progressing() {
	c := condition(p.status.Conditions, v1beta1.ConditionProgressing)
	switch {
	case c == nil || c.Reason == v1beta1.ReasonInitializing:
		p.begin("Rollout is in Progressing")
	case c.Reason == v1beta1.ReasonFinalising:
		p.finalising(success)
	case c.Reason == v1beta1.ReasonCancelling:
		p.finalising(rollback)
	case c.Reason == v1beta1.ReasonCompleted:
		p.status.Phase = v1beta1.PhaseHealthy
		p.healthy()
	default:
		p.rolling()
	}
}

// disabling restores the workload and leaves it alone from then on.
func (p *rolloutPlanner) disabling() {
	inRelease := p.status.Phase == v1beta1.PhaseProgressing || p.Workload.Changing || p.Workload.Engaged || p.Release != nil || p.sub.Traffic != nil
	switch {
	case p.status.Phase == v1beta1.PhaseDisabled && !inRelease:
		p.status.Message = p.disabledAs()
		p.atRest()
	case p.status.Phase == v1beta1.PhaseDisabling:
		p.finalising(disable)
	case inRelease:
		p.status.Phase, p.status.Message = v1beta1.PhaseDisabling, "Disabling rollout, release resources"
		p.sub.FinalisingStep = v1beta1.FinalisingNone
		p.finalising(disable)
	default:
		p.status.Phase, p.status.Message = v1beta1.PhaseDisabled, p.disabledAs()
		p.atRest()
	}
}

// disabledAs says what a Rollout that is disabled leaves.
func (p *rolloutPlanner) disabledAs() string {
	if p.Workload.Left {
		return "Rollout is disabled; the workload stays at the present batch (feature gate KeepWorkloadPausedOnRolloutDeletion): " +
			"to continue, enable the Rollout and change the pod template, or apply the workload's own update strategy"
	}
	return "Rollout is disabled"
}

// terminating restores the workload, and then lets the Rollout go.
func (p *rolloutPlanner) terminating() {
	if !slices.Contains(p.Object.Finalizers, v1beta1.FinalizerRollout) {
		return
	}
	if p.status.Phase != v1beta1.PhaseTerminating {
		p.status.Phase, p.status.Message = v1beta1.PhaseTerminating, "Rollout is in terminating"
		p.sub.FinalisingStep = v1beta1.FinalisingNone
		p.status.Conditions = setCondition(p.status.Conditions, p.Now, v1beta1.RolloutCondition{
			Type: v1beta1.ConditionTerminating, Status: metav1.ConditionTrue,
			Reason: v1beta1.ReasonInTerminating, Message: p.status.Message,
		})
	}
	p.finalising(deletion)
}

// reason sets the condition Progressing, which says where a release is.
func (p *rolloutPlanner) reason(reason, message string) {
	status := metav1.ConditionTrue
	if reason == v1beta1.ReasonCompleted {
		status = metav1.ConditionFalse
	}
	p.status.Conditions = setCondition(p.status.Conditions, p.Now, v1beta1.RolloutCondition{
		Type: v1beta1.ConditionProgressing, Status: status, Reason: reason, Message: message,
	})
}

// dropRelease deletes the BatchRelease, once.
func (p *rolloutPlanner) dropRelease() {
	if p.Release != nil && p.Release.DeletionTimestamp == nil {
		p.Changes = append(p.Changes, Change{From: p.Release})
	}
}

// orderNew creates the BatchRelease, unless another has its name.
func (p *rolloutPlanner) orderNew(spec v1beta1.BatchReleaseSpec) *pending {
	if p.Taken {
		p.status.Message = fmt.Sprintf("BatchRelease %s/%s is not controlled by this Rollout: delete it, or rename the Rollout", p.Rollout.Namespace, p.Rollout.Name)
		p.raise(blocker{code: v1beta1.BlockerBatchReleaseNameTaken, object: p.batchReleaseObject(), message: p.status.Message})
		return &pending{until: p.Now.Add(retryTaken)}
	}
	p.Changes = append(p.Changes, Change{To: p.asRollback(newRelease(p.Rollout, spec))})
	return writing()
}
