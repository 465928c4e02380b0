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
	"kruise.io/rollouts/internal/workload"
)

// RolloutSeen is everything one look at a Rollout saw.
type RolloutSeen struct {
	Now      time.Time
	Rollout  *v1beta1.Rollout
	Driver   workload.Driver          // of its workload's kind and its style; nil: this version has none
	Unserved bool                     // the cluster has no such kind
	Objects  workload.Objects         // the workload, nil where it does not exist, and what is below it but for pods
	Workload workload.State           // what the driver reads in them
	Release  *v1beta1.BatchRelease    // that the Rollout controls; nil: there is none
	Routings []Routing                // of its strategy
	Shared   *v1alpha1.TrafficRouting // that its strategy names; nil: there is none
	// Autoscalers of the namespace, where the reference implementation may have written them.
	Autoscalers []*autoscalingv1.HorizontalPodAutoscaler
	Rival       string          // another Rollout that manages the workload; "": none does
	Taken       bool            // a BatchRelease of the Rollout's name is someone else's
	Refused     map[string]bool // objects that the cluster refuses to write, as Named has them
	// Written is when this process last wrote an object for it, as Named has them.
	Written map[string]time.Time
	Past    *Past // what records are made from; nil: none are kept
	// Admission is why a change of the workload's template would not be held, as far as a dry run showed. It is looked
	// at while the Rollout is on its way to Healthy only.
	Admission error
}

// retryAdmission is how long to wait before admission is tried again where it did not reach the workload.
const retryAdmission = 5 * time.Second

// retryTaken is how long to wait before looking again whether a BatchRelease of someone else is gone.
const retryTaken = 5 * time.Second

// look is one look at a Rollout on its way to a decision.
type look struct {
	RolloutSeen
	Decision[*v1beta1.Rollout]
	status  *v1beta1.RolloutStatus // of Decision.Object
	sub     *v1beta1.CommonStatus  // its part that all styles share, never nil
	traffic *shift                 // its traffic part
	hash    string                 // of the strategy as it is
}

// Rollout decides what to do with a Rollout.
func Rollout(s RolloutSeen) Decision[*v1beta1.Rollout] {
	l := &look{RolloutSeen: s, Decision: Decision[*v1beta1.Rollout]{Object: s.Rollout.DeepCopy()}, hash: strategyHash(s.Rollout.Spec.Strategy)}
	l.status = &l.Object.Status
	l.status.ObservedGeneration = s.Rollout.Generation
	l.status.Conditions = dropCondition(l.status.Conditions, v1beta1.ConditionStalled) // whoever writes says so again
	l.ensureProgress()
	l.enrol()
	l.live()
	l.stalled()
	l.repairAutoscalers()
	l.status.CurrentStepIndex, l.status.CurrentStepState = l.sub.CurrentStepIndex, l.sub.CurrentStepState
	return l.Decision
}

// stalled says what keeps the BatchRelease from going on.
func (l *look) stalled() {
	if l.Release == nil {
		return
	}
	if st := l.Release.Status; l.Release.DeletionTimestamp == nil && st.Phase == v1beta1.PhasePreparing && st.Message != "" && answered(l.Release) {
		l.status.Message += ": " + st.Message
	}
	if c := condition(l.Release.Status.Conditions, v1beta1.ConditionStalled); c != nil {
		said(l.Object, Obstacle{Reason: c.Reason, Message: c.Message}, l.Now)
	}
}

// ensureProgress makes sure that there is a status of the Rollout's style: clients read it whatever the phase.
func (l *look) ensureProgress() {
	c, b := l.status.CanaryStatus, l.status.BlueGreenStatus
	if Style(l.Rollout) == v1beta1.BlueGreenRollingStyle {
		if b == nil {
			b = &v1beta1.BlueGreenStatus{}
			if c != nil { // the style was edited: what is on record of the release stays
				*b = v1beta1.BlueGreenStatus{CommonStatus: c.CommonStatus, UpdatedRevision: c.CanaryRevision, UpdatedReplicas: c.CanaryReplicas, UpdatedReadyReplicas: c.CanaryReadyReplicas}
			}
		}
		l.status.CanaryStatus, l.status.BlueGreenStatus = nil, b
	} else {
		if c == nil {
			c = &v1beta1.CanaryStatus{}
			if b != nil {
				*c = v1beta1.CanaryStatus{CommonStatus: b.CommonStatus, CanaryRevision: b.UpdatedRevision, CanaryReplicas: b.UpdatedReplicas, CanaryReadyReplicas: b.UpdatedReadyReplicas}
			}
		}
		l.status.CanaryStatus, l.status.BlueGreenStatus = c, nil
	}
	l.sub = Progress(l.status)
	l.traffic = &shift{RolloutSeen: &l.RolloutSeen, sub: l.sub, out: &l.Decision}
}

// enrol puts the finalizer on a Rollout, and its hash for clients to see.
func (l *look) enrol() {
	if l.Rollout.DeletionTimestamp != nil {
		return
	}
	if !slices.Contains(l.Object.Finalizers, v1beta1.FinalizerRollout) {
		l.Object.Finalizers = append(l.Object.Finalizers, v1beta1.FinalizerRollout)
	}
	if l.Object.Annotations == nil {
		l.Object.Annotations = map[string]string{}
	}
	l.Object.Annotations[v1beta1.AnnotationHash] = l.hash
}

func (l *look) live() {
	switch {
	case l.Rollout.DeletionTimestamp != nil:
		l.terminating()
	case l.Driver == nil:
		l.status.Phase = v1beta1.PhaseInitial
		l.status.Message = unsupported(l.Rollout)
		if l.sub.Traffic == nil {
			return
		}
		if wait := l.traffic.withdraw(); wait != nil {
			l.awaitToo(wait)
		}
	case l.Objects.Workload == nil:
		l.missing()
	case l.Rollout.Spec.Disabled || l.status.Phase == v1beta1.PhaseDisabling:
		l.disabling()
	case l.rivalled():
		l.yieldTo(l.Rival)
	case l.Workload.Blind:
		// Its own controller says so when it has seen the latest spec. Nothing is said of that: it is over in no time.
	case l.status.Phase == v1beta1.PhaseHealthy:
		l.healthy()
	case l.status.Phase == v1beta1.PhaseProgressing:
		l.progressing()
	default:
		l.adopting()
	}
}

func unsupported(ro *v1beta1.Rollout) string {
	ref := ro.Spec.WorkloadRef
	return fmt.Sprintf("WorkloadRef kind is not supported: this version does not release %s %s in style %s", ref.APIVersion, ref.Kind, Style(ro))
}

// missing starts over: whatever comes under this name later is a first deployment.
func (l *look) missing() {
	l.status.Message = "Workload Not Found"
	if l.Unserved {
		l.status.Message += fmt.Sprintf(": the cluster has no kind %s in %s", l.Rollout.Spec.WorkloadRef.Kind, l.Rollout.Spec.WorkloadRef.APIVersion)
		l.wake(l.Now.Add(retryKind)) // nobody tells when it comes
	}
	if wait := run(l.releaseTrafficRouting, l.traffic.abandon); wait != nil {
		l.awaitToo(wait)
		return
	}
	*l.status = v1beta1.RolloutStatus{ObservedGeneration: l.Rollout.Generation, Phase: v1beta1.PhaseInitial, Message: l.status.Message}
	l.ensureProgress()
	if l.Rollout.Spec.Disabled {
		l.status.Phase, l.status.Message = v1beta1.PhaseDisabled, "Rollout is disabled"
	}
	l.dropRelease()
}

// adopting leads a new or newly enabled Rollout to Healthy: only once admission has been seen to reach the workload, so
// that not even the first change is missed.
func (l *look) adopting() {
	l.status.Phase = v1beta1.PhaseInitial
	switch {
	case l.Workload.Type == "":
		l.status.Message = "labelling the workload for admission"
		l.Changes = diff(l.Objects.Workload, workload.Labelled(l.Objects.Workload, l.Rollout.Spec.WorkloadRef))
	case l.Admission != nil:
		l.status.Message = "admission does not reach the workload: " + l.Admission.Error()
		l.wake(l.Now.Add(retryAdmission))
	case l.Workload.Engaged && !l.Workload.Changing:
		l.status.Message = "taking over a release that was left behind"
		l.Changes = diff(l.Objects.Workload, l.Driver.Hold(l.Objects, l.Objects.Workload, l.Rollout.Name, ""))
	case l.Workload.Update == "" && l.Workload.Others == 0 && !l.Workload.Changing:
		l.status.Message = "waiting for the workload's first pods"
	default:
		l.status.Phase = v1beta1.PhaseHealthy
		l.complete()
		l.healthy()
	}
}

// complete describes a workload that is at one version as a release that is done, as clients expect of a first deployment.
func (l *look) complete() {
	n := l.steps()
	*l.sub = v1beta1.CommonStatus{
		Traffic:                    l.sub.Traffic,
		ObservedRolloutID:          observedID(l.Workload),
		ObservedWorkloadGeneration: l.Workload.Generation,
		RolloutHash:                l.hash,
		StableRevision:             l.Workload.Update,
		PodTemplateHash:            l.Workload.Update,
		CurrentStepIndex:           n,
		NextStepIndex:              -1,
		CurrentStepState:           v1beta1.StepCompleted,
	}
	if l.Workload.Others > 0 && l.Workload.Stable != "" {
		l.sub.StableRevision = l.Workload.Stable // it rolls by itself; what it comes from is the one that is known to work
	}
	l.setRevision(l.Workload.Update)
	l.setPods(0, 0)
	l.status.Message = l.standing()
}

// What is said of a workload that no release has moved. There may be pods of several versions, by its own rolling update, or
// left so, paused, by a Rollout that was deleted.
const (
	atOneVersion      = "workload deployment is completed"
	atSeveralVersions = "the workload has pods of several versions, and no release of this Rollout moves them: its own controller does, or it is paused"
)

func (l *look) standing() string {
	if l.Workload.Others > 0 {
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

func (l *look) healthy() {
	switch {
	case l.Workload.Changing:
		l.begin("Rollout is in Progressing")
	case l.missed():
		l.catchUp()
	case l.Workload.Type == "":
		l.Changes = diff(l.Objects.Workload, workload.Labelled(l.Objects.Workload, l.Rollout.Spec.WorkloadRef))
	case l.sub.Traffic != nil: // the release ended by itself, when every pod had the version already
		if wait := l.traffic.withdraw(); wait != nil {
			l.awaitToo(wait)
		}
	default:
		l.dropRelease()
		if l.revision() == "" {
			l.complete()
		}
		if l.revision() == l.Workload.Update {
			l.sub.ObservedWorkloadGeneration, l.sub.ObservedRolloutID = l.Workload.Generation, observedID(l.Workload)
		}
		if l.status.Message == atSeveralVersions {
			l.status.Message = l.standing()
		}
		l.atRest()
	}
}

// atRest puts right what a client has written into the status of a Rollout that releases nothing: a late approval, or a jump, would be
// read as a release that waits.
func (l *look) atRest() {
	n := l.steps()
	if l.sub.CurrentStepState == "" && l.sub.CurrentStepIndex == 0 {
		return // it never had a workload
	}
	l.sub.CurrentStepState = v1beta1.StepCompleted
	l.sub.CurrentStepIndex = min(max(l.sub.CurrentStepIndex, 1), n)
	if c := condition(l.status.Conditions, v1beta1.ConditionSucceeded); c != nil && c.Status == metav1.ConditionTrue {
		l.sub.CurrentStepIndex = n
	}
	l.sub.NextStepIndex = natural(l.sub.CurrentStepIndex, n)
	if l.sub.FinalisingStep != v1beta1.FinalisingNone {
		l.sub.FinalisingStep = v1beta1.FinalisingEnd
	}
	if l.revision() == l.Workload.Update {
		l.sub.PodTemplateHash = l.Workload.Update
	}
	if r := l.status.Release; r != nil && r.Outcome != "" && r.To == l.revision() {
		l.sub.StableRevision = r.From
	}
}

// missed reports whether there is a template that admission has not held.
func (l *look) missed() bool {
	recorded, w := l.revision(), l.Workload
	if recorded == "" || w.Update == recorded || w.Stale {
		return false
	}
	return w.Update != "" || w.Replicas > 0 && w.Others > 0
}

// catchUp holds a template that admission has missed, where there is something left to hold.
func (l *look) catchUp() {
	switch w := l.Workload; {
	case w.Replicas == 0:
		l.complete() // without pods a new template is a first deployment, and admission lets it pass
	case w.Others > 0:
		l.warn("AdmissionMissed", "a change of the pod template was not held by admission; the workload is held now, and the change is released in steps")
		l.Changes = diff(l.Objects.Workload, l.Driver.Hold(l.Objects, l.Objects.Workload, l.Rollout.Name, l.revision()))
	default:
		l.warn("AdmissionMissed", "a change of the pod template was not held by admission, and every pod has it already")
		l.complete()
	}
}

func (l *look) warn(reason, message string) {
	l.Events = append(l.Events, Event{Type: corev1.EventTypeWarning, Reason: reason, Message: message})
}

// begin starts a release at its first step.
func (l *look) begin(message string) {
	l.status.Phase = v1beta1.PhaseProgressing
	l.status.Message = message
	l.status.Conditions = dropCondition(l.status.Conditions, v1beta1.ConditionSucceeded)
	l.reason(v1beta1.ReasonInRolling, message)

	stable := l.Workload.Stable
	if stable == "" {
		stable = l.Workload.Update
	}
	l.opened(stable)
	l.consumeAbort()
	n := l.steps()
	*l.sub = v1beta1.CommonStatus{
		Traffic:                    l.sub.Traffic,
		ObservedRolloutID:          observedID(l.Workload),
		ObservedWorkloadGeneration: l.Workload.Generation,
		RolloutHash:                l.hash,
		StableRevision:             stable,
		PodTemplateHash:            l.Workload.Update,
		CurrentStepIndex:           1,
		NextStepIndex:              natural(1, n),
	}
	l.setRevision(l.Workload.Update)
	if l.Workload.Update == l.Workload.Stable && !l.backInBatches() {
		l.setRevision("") // gone back before anything was seen of it: there is nothing to release
	}
	l.setPods(0, 0)
	l.enter(v1beta1.StepBeforeUpgrade)
	l.rolling()
}

// progressing goes on with a release where its condition says.
func (l *look) progressing() {
	c := condition(l.status.Conditions, v1beta1.ConditionProgressing)
	switch {
	case c == nil || c.Reason == v1beta1.ReasonInitializing:
		l.begin("Rollout is in Progressing")
	case c.Reason == v1beta1.ReasonFinalising:
		l.finalising(success)
	case c.Reason == v1beta1.ReasonCancelling:
		l.finalising(rollback)
	case c.Reason == v1beta1.ReasonCompleted:
		l.status.Phase = v1beta1.PhaseHealthy
		l.healthy()
	default:
		l.rolling()
	}
}

// disabling gives the workload back and leaves it alone from then on.
func (l *look) disabling() {
	inRelease := l.status.Phase == v1beta1.PhaseProgressing || l.Workload.Changing || l.Workload.Engaged || l.Release != nil || l.sub.Traffic != nil
	switch {
	case l.status.Phase == v1beta1.PhaseDisabled && !inRelease:
		l.status.Message = l.disabledAs()
		l.atRest()
	case l.status.Phase == v1beta1.PhaseDisabling:
		l.finalising(disable)
	case inRelease:
		l.status.Phase, l.status.Message = v1beta1.PhaseDisabling, "Disabling rollout, release resources"
		l.sub.FinalisingStep = v1beta1.FinalisingNone
		l.finalising(disable)
	default:
		l.status.Phase, l.status.Message = v1beta1.PhaseDisabled, l.disabledAs()
		l.atRest()
	}
}

// disabledAs says what a Rollout that is disabled leaves.
func (l *look) disabledAs() string {
	if l.Workload.Left {
		return "Rollout is disabled; the workload stays where its release was (feature gate KeepWorkloadPausedOnRolloutDeletion): " +
			"enable the Rollout and change the pod template, or apply the workload's own strategy, for it to go on"
	}
	return "Rollout is disabled"
}

// terminating gives the workload back, and then lets the Rollout go.
func (l *look) terminating() {
	if !slices.Contains(l.Object.Finalizers, v1beta1.FinalizerRollout) {
		return
	}
	if l.status.Phase != v1beta1.PhaseTerminating {
		l.status.Phase, l.status.Message = v1beta1.PhaseTerminating, "Rollout is in terminating"
		l.sub.FinalisingStep = v1beta1.FinalisingNone
		l.status.Conditions = setCondition(l.status.Conditions, l.Now, v1beta1.RolloutCondition{
			Type: v1beta1.ConditionTerminating, Status: metav1.ConditionTrue,
			Reason: v1beta1.ReasonInTerminating, Message: l.status.Message,
		})
	}
	l.finalising(deletion)
}

// reason sets the condition Progressing, which says where a release is.
func (l *look) reason(reason, message string) {
	status := metav1.ConditionTrue
	if reason == v1beta1.ReasonCompleted {
		status = metav1.ConditionFalse
	}
	l.status.Conditions = setCondition(l.status.Conditions, l.Now, v1beta1.RolloutCondition{
		Type: v1beta1.ConditionProgressing, Status: status, Reason: reason, Message: message,
	})
}

// revision is the one being released, or released last.
func (l *look) revision() string {
	if b := l.status.BlueGreenStatus; b != nil {
		return b.UpdatedRevision
	}
	return l.status.CanaryStatus.CanaryRevision
}

func (l *look) setRevision(revision string) {
	if b := l.status.BlueGreenStatus; b != nil {
		b.UpdatedRevision = revision
		return
	}
	l.status.CanaryStatus.CanaryRevision = revision
}

// pods are how many pods are at the revision being released, and how many of those are ready.
func (l *look) pods() (updated, ready int32) {
	if b := l.status.BlueGreenStatus; b != nil {
		return b.UpdatedReplicas, b.UpdatedReadyReplicas
	}
	return l.status.CanaryStatus.CanaryReplicas, l.status.CanaryStatus.CanaryReadyReplicas
}

func (l *look) setPods(updated, ready int32) {
	if b := l.status.BlueGreenStatus; b != nil {
		b.UpdatedReplicas, b.UpdatedReadyReplicas = updated, ready
		return
	}
	l.status.CanaryStatus.CanaryReplicas, l.status.CanaryStatus.CanaryReadyReplicas = updated, ready
}

// dropRelease deletes the BatchRelease, once.
func (l *look) dropRelease() {
	if l.Release != nil && l.Release.DeletionTimestamp == nil {
		l.Changes = append(l.Changes, Change{From: l.Release})
	}
}

// orderNew creates the BatchRelease, unless another has its name.
func (l *look) orderNew(spec v1beta1.BatchReleaseSpec) *pending {
	if l.Taken {
		l.status.Message = fmt.Sprintf("BatchRelease %s/%s is not controlled by this Rollout: delete it, or rename the Rollout", l.Rollout.Namespace, l.Rollout.Name)
		return &pending{until: l.Now.Add(retryTaken)}
	}
	l.Changes = append(l.Changes, Change{To: l.asRollback(newRelease(l.Rollout, spec))})
	return writing()
}
