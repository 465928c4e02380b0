// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/rollouts/api/v1beta1"
	"kruise.io/rollouts/internal/workload"
)

// BatchReleaseInput is everything one pass over a BatchRelease saw.
type BatchReleaseInput struct {
	Now      time.Time
	Release  *v1beta1.BatchRelease
	Driver   workload.Driver  // of its workload's kind and its style; nil: this version has none
	Unserved bool             // the cluster has no such kind
	Objects  workload.Objects // the workload, nil where it does not exist, and what is below it
	Workload workload.State   // what the driver reads in them
	Claimer  string           // another BatchRelease that has claimed the workload, and is there; "": none
	Manager  string           // the Rollout that releases the workload at the moment; "": none
	// KeepPaused leaves a workload where its release is when that ends before its time (feature gate
	// KeepWorkloadPausedOnRolloutDeletion).
	KeepPaused bool
}

// Two waits keep the number of writes small (docs/architecture.md, budgets).
const (
	// restAfter is how long a batch is ready before its workload is held: a next step that follows at once costs no
	// hold and no new start.
	restAfter = time.Second
	// quiet is how long after a batch began, and after each news of it, nothing but its end or pods in trouble is
	// reported: a batch that is done in no time costs one status write, and one of a thousand pods not a thousand.
	quiet = 3 * time.Second
)

// batchReleasePlanner is one pass over a BatchRelease on its way to a decision.
type batchReleasePlanner struct {
	BatchReleaseInput
	Decision[*v1beta1.BatchRelease]
	status *v1beta1.BatchReleaseStatus // of Decision.Object
}

// Release decides what to do with a BatchRelease. It never goes back within one revision, so that acting on an old
// copy does no harm; that is why most of its passes write no status.
func Release(s BatchReleaseInput) Decision[*v1beta1.BatchRelease] {
	p := &batchReleasePlanner{BatchReleaseInput: s, Decision: Decision[*v1beta1.BatchRelease]{Object: s.Release.DeepCopy()}}
	p.status = &p.Object.Status
	p.status.Conditions = dropCondition(p.status.Conditions, v1beta1.ConditionStalled) // whatever writes says so again
	leaving := s.Release.DeletionTimestamp != nil || s.Release.Spec.ReleasePlan.BatchPartition == nil
	if s.Release.DeletionTimestamp == nil && !slices.Contains(p.Object.Finalizers, v1beta1.FinalizerBatchRelease) {
		p.Object.Finalizers = append(p.Object.Finalizers, v1beta1.FinalizerBatchRelease)
	}
	if p.blind(leaving) {
		p.notObserved()
		return p.Decision
	}
	if gone := p.attend(leaving); gone && !p.depart() {
		p.Object.Status = *s.Release.Status.DeepCopy() // its progress is not read any more
		return p.Decision
	}
	p.acknowledge()
	p.settleBlockers(p.Release, p.Now, time.Time{})
	p.withhold()
	return p.Decision
}

// notObserved says that the workload's own controller does not answer, where that takes longer than it ever should.
func (p *batchReleasePlanner) notObserved() {
	if due := orderedAt(p.Release).Add(externalTimeout); p.Now.Before(due) {
		p.wake(due)
		return
	}
	p.raise(blocker{code: v1beta1.BlockerWorkloadNotObserved, object: workloadObject(p.Release.Spec.WorkloadRef), message: "the workload's own controller has not observed its latest spec"})
	p.settleBlockers(p.Release, p.Now, time.Time{})
}

// blind: the workload's own controller has not said which revisions there are since the spec changed. It does so at once, or
// is gone; no one waits for ever to leave.
func (p *batchReleasePlanner) blind(leaving bool) bool {
	if p.Driver == nil || p.Objects.Workload == nil || !p.Workload.Blind {
		return false
	}
	policy := p.Release.Spec.ReleasePlan.FinalizingPolicy
	if until := orderedAt(p.Release).Add(externalTimeout); leaving && policy == v1beta1.ImmediateFinalizingPolicy {
		if !p.Now.Before(until) {
			return false
		}
		p.wake(until)
	}
	return true
}

// attend does what is due to the workload; true: it is out of its hands.
func (p *batchReleasePlanner) attend(leaving bool) (gone bool) {
	switch {
	case p.Driver == nil:
		p.unsupported()
		return true
	case p.Objects.Workload == nil:
		p.status.Message = "Workload Not Found"
		absent := v1beta1.BlockerWorkloadMissing
		if p.Unserved {
			absent = v1beta1.BlockerKindNotServed
			p.wake(p.Now.Add(retryKind)) // no event reports when its kind comes
		}
		p.raise(blocker{code: absent, object: workloadObject(p.Release.Spec.WorkloadRef), message: p.status.Message})
		gone = p.status.Phase != "" || leaving // a stand-alone one may wait for its workload to come
	case leaving:
		gone = p.leaving()
	case p.claimedElsewhere() != "":
		p.yieldTo(p.claimedElsewhere())
	default:
		p.upgrading()
	}
	if gone {
		p.complete()
	}
	return gone
}

// depart lets a deleted BatchRelease go once nothing of it is left; false: something is.
func (p *batchReleasePlanner) depart() bool {
	deleted := p.Release.DeletionTimestamp != nil
	if !deleted && p.Objects.Workload != nil {
		return true // what stands next to the workload stays as long as this does
	}
	if cleared := p.cleared(); !deleted || !cleared {
		return !deleted
	}
	p.Object.Finalizers = slices.DeleteFunc(p.Object.Finalizers, func(f string) bool { return f == v1beta1.FinalizerBatchRelease })
	return true
}

func (p *batchReleasePlanner) complete() {
	p.status.Phase, p.status.Message = v1beta1.PhaseCompleted, ""
	p.blockers = nil
}

func (s BatchReleaseInput) unsupportedKind() string {
	ref := s.Release.Spec.WorkloadRef
	return fmt.Sprintf("the workload type '%s, Kind=%s' is not supported", ref.APIVersion, ref.Kind)
}

func (p *batchReleasePlanner) unsupported() {
	if p.status.Phase == "" {
		p.Events = append(p.Events, Event{Type: corev1.EventTypeWarning, Reason: EventUnsupportedWorkload, Message: p.unsupportedKind()})
	}
	p.status.Phase, p.status.Message = v1beta1.PhasePreparing, p.unsupportedKind()
	p.raise(blocker{code: v1beta1.BlockerKindUnsupported, object: workloadObject(p.Release.Spec.WorkloadRef), message: p.status.Message})
}

// acknowledge says which order the status speaks of.
func (p *batchReleasePlanner) acknowledge() {
	p.status.ObservedGeneration = p.Release.Generation
	p.status.ObservedReleasePlanHash = planHash(p.Release.Spec.ReleasePlan)
	p.status.ObservedRolloutID = p.Release.Spec.ReleasePlan.RolloutID
}

// withhold leaves the status as it is for as long as it is young and only reports work in progress. Nothing is decided
// from what is withheld: the next pass finds it again.
func (p *batchReleasePlanner) withhold() {
	news := p.status.CanaryStatus.CurrentBatchState == v1beta1.BatchReady && p.status.Phase == v1beta1.PhaseProgressing ||
		p.status.Phase == v1beta1.PhaseCompleted || condition(p.Release.Status.Conditions, v1beta1.ConditionStalled) != nil || len(p.Workload.Trouble) > 0 || p.Driver == nil ||
		p.status.CanaryStatus.NoNeedUpdateReplicas != nil && p.Release.Status.CanaryStatus.NoNeedUpdateReplicas == nil // what is moved next depends on it
	since := p.Release.CreationTimestamp
	if t := p.Release.Status.CanaryStatus.BatchReadyTime; t != nil {
		since = *t
	}
	if c := condition(p.Release.Status.Conditions, v1beta1.ConditionProgressing); c != nil {
		since = c.LastUpdateTime // the last news
	}
	if t := orderedAt(p.Release); t.After(since.Time) {
		since = metav1.NewTime(t)
	}
	if until := since.Add(quiet); !news && p.Now.Before(until) {
		p.Object.Status = *p.Release.Status.DeepCopy()
		p.wake(until)
	}
}

// upgrading brings the current batch to its size, and says when it is ready.
func (p *batchReleasePlanner) upgrading() {
	plan, w := p.Release.Spec.ReleasePlan, p.Workload
	if len(plan.Batches) == 0 {
		p.status.Message = "the release plan has no batches"
		p.raise(blocker{code: v1beta1.BlockerNoSteps, message: p.status.Message})
		return
	}
	if p.outdated() {
		p.status.Message = "the pod template changed: this BatchRelease updates no more pods; its Rollout, or a new BatchRelease, releases the new template"
		p.raise(blocker{code: v1beta1.BlockerTemplateChanged, object: workloadObject(p.Release.Spec.WorkloadRef), message: p.status.Message})
		return
	}
	p.findBatch()
	batch := &p.status.CanaryStatus
	asked := plan.Batches[batch.CurrentBatch].CanaryReplicas
	had, want := p.share(asked)
	limit := p.limit(had)
	resting := batch.CurrentBatchState == v1beta1.BatchReady
	p.Marks = marks(p.Release, w, int(batch.CurrentBatch))
	ready := p.ready(want, limit) && (w.Replicas > 0 || scaled(asked, 100) == 0) // without pods nothing shows that the new version works
	rest := resting && ready && !plan.Aborted && !p.Now.Before(batch.BatchReadyTime.Add(restAfter))
	next := p.Driver.Move(p.Objects, w, workload.Target{
		Claim: controlInfo(p.Release), Stable: p.status.StableRevision, Updated: want, Batch: asked, Limit: &limit, Most: p.most(), Had: had, Rest: rest,
		Back: plan.Aborted, Owner: ownerOf(p.Release), Patch: plan.PatchPodTemplateMetadata,
	})
	p.Changes = p.changed(next)
	if plan.Aborted {
		ready, p.Marks = p.tookBack(), nil
	}

	if w.Update != "" {
		p.status.UpdateRevision = w.Update
	}
	p.status.ObservedWorkloadReplicas = w.Replicas
	batch.UpdatedReplicas, batch.UpdatedReadyReplicas = w.Updated, w.UpdatedReady
	if ready && (rest || len(p.Changes) == 0) && len(p.Marks) == 0 {
		p.report(batch, w, want, limit)
		return
	}
	p.waiting(batch, want, limit)
}

// limit is how many pods may be at the update revision, measured anew by how many pods there are: as many as the largest batch
// that was ordered asks for. Scaling is no approval: what it brings beyond that goes back.
func (p *batchReleasePlanner) limit(had int32) int32 {
	w, batch := p.Workload, &p.status.CanaryStatus
	if !w.Engaged && w.Others == 0 && w.Updated > 0 {
		return w.Replicas // it was released before this release has begun, and nothing is left that could be held
	}
	size := func(v intstr.IntOrString) int32 { return v1beta1.PodsOf(v, w.Replicas-had, w.KeepsOne && had == 0) }
	for _, b := range p.Release.Spec.ReleasePlan.Batches[:p.lastBatch()+1] {
		was := batch.LargestBatch
		if asked := b.CanaryReplicas; was == nil || size(asked) > size(*was) || size(asked) == size(*was) && larger(asked, *was) {
			batch.LargestBatch = &asked
		}
	}
	return had + size(*batch.LargestBatch)
}

// larger reports whether a batch asks for more than another of as many pods, were there many.
func larger(a, b intstr.IntOrString) bool {
	const many = 1 << 20
	return a.Type == b.Type && scaled(a, many) > scaled(b, many)
}

// outdated: the template is none that this BatchRelease was made for.
func (p *batchReleasePlanner) outdated() bool {
	was := p.status.UpdateRevision
	return p.status.Phase == v1beta1.PhaseProgressing && was != "" && was != p.Workload.Update
}

// tookBack reports whether no pod of an aborted release is left, or none that can be taken back.
func (p *batchReleasePlanner) tookBack() bool {
	w := p.Workload
	return !w.Stale && (w.Updated == 0 || w.KeepsNew && len(p.Changes) == 0)
}

// waiting says what the current batch waits for.
func (p *batchReleasePlanner) waiting(batch *v1beta1.BatchReleaseCanaryStatus, want, limit int32) {
	plan, w := p.Release.Spec.ReleasePlan, p.Workload
	batch.CurrentBatchState, batch.BatchReadyTime = v1beta1.BatchUpgrading, nil
	p.status.Message = progress(batch.CurrentBatch, len(plan.Batches), w, want)
	code := v1beta1.BlockerPodsPending
	if w.Ceiling > 0 && w.Ceiling < want && w.Updated >= w.Ceiling {
		code = v1beta1.BlockerSurgeLimit
	}
	if w.Updated > limit {
		p.status.Message, code = excess(w, limit), v1beta1.BlockerPodsExcess
	}
	if w.Replicas == 0 {
		p.status.Message = "the workload is scaled to 0: scale it up to continue, because the new version cannot be verified without pods"
		code = v1beta1.BlockerScaledToZero
	}
	if plan.Aborted {
		p.status.Message = fmt.Sprintf("rolling back to the stable version: %d updated pods remain", w.Updated)
		code = v1beta1.BlockerPodsPending
	}
	of := v1beta1.BlockerObject{}
	if code == v1beta1.BlockerScaledToZero {
		of = workloadObject(p.Release.Spec.WorkloadRef)
	}
	p.raise(blocker{code: code, object: of, message: p.status.Message})
	p.raisePods()
	p.status.Conditions = setCondition(p.status.Conditions, p.Now, v1beta1.RolloutCondition{
		Type: v1beta1.ConditionProgressing, Status: metav1.ConditionTrue, Reason: v1beta1.ReasonInRolling, Message: p.status.Message,
	})
	if !w.ReadyAt.IsZero() {
		p.wake(w.ReadyAt)
	}
}

// most is how many pods the current batch or a later one asks for.
func (p *batchReleasePlanner) most() int32 {
	most := int32(0)
	for _, batch := range p.Release.Spec.ReleasePlan.Batches[p.status.CanaryStatus.CurrentBatch:] {
		_, want := p.share(batch.CanaryReplicas)
		most = max(most, want)
	}
	return most
}

// share is how many pods were at the update revision before the release, and how many the batch wants to be: a roll-back in
// batches goes through the steps with those that are not back yet (docs/wire.md, roll-back in batches).
func (p *batchReleasePlanner) share(asked intstr.IntOrString) (had, want int32) {
	w := p.Workload
	if p.Release.Annotations[v1beta1.AnnotationRollbackInBatch] != "true" {
		return 0, v1beta1.PodsOf(asked, w.Replicas, w.KeepsOne)
	}
	if p.status.CanaryStatus.NoNeedUpdateReplicas == nil {
		p.status.CanaryStatus.NoNeedUpdateReplicas = new(w.Updated)
	}
	had = min(*p.status.CanaryStatus.NoNeedUpdateReplicas, w.Replicas)
	return had, had + v1beta1.PodsOf(asked, w.Replicas-had, w.KeepsOne && had == 0)
}

// report says that a batch is ready, and looks forward to what comes next: the next batch, or to hold the workload.
func (p *batchReleasePlanner) report(batch *v1beta1.BatchReleaseCanaryStatus, w workload.State, want, limit int32) {
	p.status.Message = ""
	switch {
	case w.Updated > limit:
		p.status.Message = excess(w, limit) // nothing can be done about it
	case w.Updated < want && !p.Release.Spec.ReleasePlan.Aborted:
		p.status.Message = fmt.Sprintf("%d of %d pods are updated: %s; the others are updated at the end of the release", w.Updated, want, unreachable(w))
	}
	p.status.Conditions = dropCondition(p.status.Conditions, v1beta1.ConditionProgressing)
	batch.CurrentBatchState = v1beta1.BatchReady
	if batch.BatchReadyTime == nil {
		now := stamp(p.Now)
		batch.BatchReadyTime = &now
	}
	switch {
	case batch.CurrentBatch < p.lastBatch():
		p.wake(p.Now)
	case w.Engaged && !w.Held:
		p.wake(batch.BatchReadyTime.Add(restAfter))
	}
}

// lastBatch is the last batch the plan allows.
func (p *batchReleasePlanner) lastBatch() int32 {
	plan := p.Release.Spec.ReleasePlan
	return min(*plan.BatchPartition, int32(len(plan.Batches))-1) //nolint:gosec // a few batches
}

// findBatch finds which batch is the current one: an edited plan goes to the batch it asks for, a ready one to the next.
func (p *batchReleasePlanner) findBatch() {
	plan := p.Release.Spec.ReleasePlan
	batch := &p.status.CanaryStatus
	at := batch.CurrentBatch
	switch {
	case p.status.Phase != v1beta1.PhaseProgressing:
		p.status.Phase = v1beta1.PhaseProgressing
		batch.LargestBatch = nil
		p.status.StableRevision = p.Workload.Stable
		at = 0
	case p.status.ObservedReleasePlanHash != planHash(plan):
		at = p.lastBatch()
		batch.CurrentBatchState = v1beta1.BatchUpgrading
	case batch.CurrentBatchState == v1beta1.BatchReady:
		at = min(at+1, p.lastBatch())
	}
	at = min(max(at, 0), p.lastBatch())
	if at != batch.CurrentBatch || batch.CurrentBatchState != v1beta1.BatchReady {
		batch.CurrentBatch, batch.CurrentBatchState, batch.BatchReadyTime = at, v1beta1.BatchUpgrading, nil
	}
}

// ready judges the batch by its pods (docs/wire.md, batch readiness).
func (p *batchReleasePlanner) ready(want, limit int32) bool {
	w := p.Workload
	want = attainable(want, w)
	if w.Updated > limit && !w.KeepsNew && !w.NewcomersNew {
		return false
	}
	if w.Replicas == 0 {
		return !w.Stale
	}
	tolerated := int32(0)
	if t := p.Release.Spec.ReleasePlan.FailureThreshold; t != nil {
		tolerated = scaled(*t, w.Updated)
	}
	return !w.Stale && w.Updated >= want && w.UpdatedReady+tolerated >= want && (want == 0 || w.UpdatedReady >= 1) &&
		(w.Beside || w.Others <= w.Replicas-min(w.UpdatedReady, want))
}

// attainable is how many of the pods that a batch wants its own controller can be brought to. A second set that serves no fewer
// pods than the first goes on with what it has: what is missing comes at the end, as do the pods that the first one lacks.
func attainable(want int32, w workload.State) int32 {
	if w.Ceiling > 0 && w.Ceiling < want && w.Ceiling >= w.Others {
		return w.Ceiling
	}
	return want
}

// excess says that scaling has made more new pods than were ordered.
func excess(w workload.State, limit int32) string {
	if w.KeepsNew || w.NewcomersNew {
		return fmt.Sprintf("%d pods are updated, and the batch asks for %d: after scaling, or with a complete second set, the workload's own controller creates updated pods only", w.Updated, limit)
	}
	return fmt.Sprintf("%d pods are updated after scaling, and the batch asks for %d: rolling back the others", w.Updated, limit)
}

// unreachable says why no more new pods come.
func unreachable(w workload.State) string {
	return fmt.Sprintf("the workload's own controller creates no more updated pods while %d of the old version exist", w.Others)
}

// progress says what a batch waits for.
func progress(batch int32, of int, w workload.State, want int32) string {
	const named = 3 // pods that are named; more would not fit a line
	message := fmt.Sprintf("batch %d/%d: %d of %d updated pods ready", batch+1, of, min(w.UpdatedReady, want), want)
	if w.Ceiling > 0 && w.Ceiling < want && w.Updated >= w.Ceiling {
		message += fmt.Sprintf("; %s; to continue, scale the workload to %d and back", unreachable(w), w.Lifted)
	}
	if n := len(w.Trouble); n > 0 {
		message += "; " + strings.Join(w.Trouble[:min(n, named)], "; ")
		if n > named {
			message += fmt.Sprintf("; and %d more", n-named)
		}
	}
	return message
}

// leaving lets the workload go; true: it is done.
func (p *batchReleasePlanner) leaving() bool {
	br, w := p.Release, p.Workload
	p.status.Phase = v1beta1.PhaseFinalizing
	p.status.Conditions = dropCondition(p.status.Conditions, v1beta1.ConditionProgressing)
	if w.Claim != "" && w.Claim != br.UID {
		return true // another BatchRelease has it
	}
	deleted, ordered := br.DeletionTimestamp != nil, br.Spec.ReleasePlan.BatchPartition == nil
	known := w.Blind || knows(br, w.Update)
	switch {
	case !known && !deleted:
		p.status.Message = "the pod template changed: the workload's own update strategy is not restored; its Rollout, or a new BatchRelease, releases the new template"
		p.raise(blocker{code: v1beta1.BlockerTemplateChanged, object: workloadObject(br.Spec.WorkloadRef), message: p.status.Message})
		return false
	case !known, deleted && !ordered && metav1.GetControllerOf(br) != nil:
		// In the middle of a release the Rollout orders anew; until then the workload stays held.
		p.Changes = diff(p.Objects.Workload, p.Driver.Disown(p.Objects.Workload))
		return len(p.Changes) == 0
	}
	if p.Changes = diff(p.Objects.Workload, p.freed()); len(p.Changes) > 0 {
		return false
	}
	p.Changes = p.unstuck()
	if w.Engaged {
		p.status.Message = fmt.Sprintf("waiting for %d pods of other versions to terminate", w.Others)
		p.raise(blocker{code: v1beta1.BlockerPodsPending, message: p.status.Message})
		p.raisePods()
		return false
	}
	finished := w.Complete || gaveBack(br) // what was finished stays so: a later change of the workload is its owner's
	if !deleted && br.Spec.ReleasePlan.FinalizingPolicy == v1beta1.WaitResumeFinalizingPolicy && !finished {
		p.status.Message = fmt.Sprintf("waiting for the workload's own rollout to finish: %d of %d pods updated", w.Updated, w.Replicas)
		p.raise(blocker{code: v1beta1.BlockerPodsPending, message: p.status.Message})
		p.raisePods()
		return false
	}
	return len(p.Changes) == 0
}

// unstuck are the changes that the workload's own controller needs to go on.
func (p *batchReleasePlanner) unstuck() []Change {
	if d, ok := p.Driver.(workload.Unsticker); ok {
		return p.changed(d.Unstick(p.Objects, p.Workload, p.Release.Spec.ReleasePlan.FinalizingPolicy))
	}
	return nil
}

// freed is the workload as its user had it, or on the way there.
func (p *batchReleasePlanner) freed() client.Object {
	if d, ok := p.Driver.(workload.Finisher); ok && p.Release.Spec.ReleasePlan.FinalizingPolicy == v1beta1.WaitResumeFinalizingPolicy {
		return d.Finish(p.Objects)
	}
	if p.frozen() {
		return p.Driver.Leave(p.Objects)
	}
	return p.Driver.Free(p.Objects)
}

// frozen reports whether the workload is to be left where the release is. One that is at a single version may go on.
func (p *batchReleasePlanner) frozen() bool {
	plan := p.Release.Spec.ReleasePlan
	stable := cmp.Or(p.status.StableRevision, p.Workload.Stable) // it may be gone before it has begun
	return p.KeepPaused && plan.FinalizingPolicy != v1beta1.WaitResumeFinalizingPolicy && p.Workload.Update != stable
}

// changed lists what turns the objects seen into next.
func (p *batchReleasePlanner) changed(next workload.Objects) []Change {
	var changes []Change
	// A set that grows comes before one that shrinks: the only one with pods left is made full by the native controller.
	for _, grows := range []bool{true, false} {
		for i, set := range p.Objects.Sets {
			if next.Sets[i] != set && grows == (ptr.Deref(next.Sets[i].Spec.Replicas, 1) > ptr.Deref(set.Spec.Replicas, 1)) {
				changes = append(changes, diff(set, next.Sets[i])...)
			}
		}
	}
	// The workload comes last: the cache shows its claim only after what was made next to it before.
	changes = append(changes, p.changedCanaries(next)...)
	changes = append(changes, diff(p.Objects.Workload, next.Workload)...)
	if len(changes) > 0 {
		return changes
	}
	// Pods go only once what they are to be replaced by is said, and seen.
	for _, pod := range p.Objects.Pods {
		if !slices.Contains(next.Pods, pod) && pod.DeletionTimestamp == nil {
			changes = append(changes, Change{From: pod})
		}
	}
	return changes
}

// controlInfo is how a workload names the BatchRelease that has claimed it.
func controlInfo(br *v1beta1.BatchRelease) string {
	b, _ := json.Marshal(ownerOf(br))
	return string(b)
}

func ownerOf(br *v1beta1.BatchRelease) metav1.OwnerReference {
	return *metav1.NewControllerRef(br, v1beta1.GroupVersion.WithKind("BatchRelease"))
}
