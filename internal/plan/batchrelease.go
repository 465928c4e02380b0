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

// ReleaseSeen is everything one look at a BatchRelease saw.
type ReleaseSeen struct {
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

// moving is one look at a BatchRelease on its way to a decision.
type moving struct {
	ReleaseSeen
	Decision[*v1beta1.BatchRelease]
	status *v1beta1.BatchReleaseStatus // of Decision.Object
}

// Release decides what to do with a BatchRelease. It never goes back within one revision, so that acting on an old
// copy does no harm; that is why most of its looks write no status.
func Release(s ReleaseSeen) Decision[*v1beta1.BatchRelease] {
	m := &moving{ReleaseSeen: s, Decision: Decision[*v1beta1.BatchRelease]{Object: s.Release.DeepCopy()}}
	m.status = &m.Object.Status
	m.status.Conditions = dropCondition(m.status.Conditions, v1beta1.ConditionStalled) // whoever writes says so again
	leaving := s.Release.DeletionTimestamp != nil || s.Release.Spec.ReleasePlan.BatchPartition == nil
	if s.Release.DeletionTimestamp == nil && !slices.Contains(m.Object.Finalizers, v1beta1.FinalizerBatchRelease) {
		m.Object.Finalizers = append(m.Object.Finalizers, v1beta1.FinalizerBatchRelease)
	}
	if m.blind(leaving) {
		return m.Decision
	}
	if gone := m.attend(leaving); gone && !m.depart() {
		m.Object.Status = *s.Release.Status.DeepCopy() // nobody reads any more what it is doing
		return m.Decision
	}
	m.acknowledge()
	m.withhold()
	return m.Decision
}

// blind: the workload's own controller has not said which revisions there are since the spec changed. It does so at once, or
// is gone; nobody waits for ever to leave.
func (m *moving) blind(leaving bool) bool {
	if m.Driver == nil || m.Objects.Workload == nil || !m.Workload.Blind {
		return false
	}
	policy := m.Release.Spec.ReleasePlan.FinalizingPolicy
	if until := orderedAt(m.Release).Add(externalTimeout); leaving && policy == v1beta1.ImmediateFinalizingPolicy {
		if !m.Now.Before(until) {
			return false
		}
		m.wake(until)
	}
	return true
}

// attend does what is due to the workload; true: it is out of its hands.
func (m *moving) attend(leaving bool) (gone bool) {
	switch {
	case m.Driver == nil:
		m.unsupported()
		return true
	case m.Objects.Workload == nil:
		m.status.Message = "Workload Not Found"
		if m.Unserved {
			m.wake(m.Now.Add(retryKind)) // nobody tells when its kind comes
		}
		gone = m.status.Phase != "" || leaving // a stand-alone one may wait for its workload to come
	case leaving:
		gone = m.leaving()
	case m.claimedElsewhere() != "":
		m.yieldTo(m.claimedElsewhere())
	default:
		m.upgrading()
	}
	if gone {
		m.complete()
	}
	return gone
}

// depart lets a deleted BatchRelease go once nothing of it is left; false: something is.
func (m *moving) depart() bool {
	deleted := m.Release.DeletionTimestamp != nil
	if !deleted && m.Objects.Workload != nil {
		return true // what stands beside the workload stays as long as this does
	}
	if cleared := m.cleared(); !deleted || !cleared {
		return !deleted
	}
	m.Object.Finalizers = slices.DeleteFunc(m.Object.Finalizers, func(f string) bool { return f == v1beta1.FinalizerBatchRelease })
	return true
}

func (m *moving) complete() { m.status.Phase, m.status.Message = v1beta1.PhaseCompleted, "" }

func (s ReleaseSeen) kind() string {
	ref := s.Release.Spec.WorkloadRef
	return fmt.Sprintf("the workload type '%s, Kind=%s'", ref.APIVersion, ref.Kind)
}

func (m *moving) unsupported() {
	if m.status.Phase == "" {
		m.Events = append(m.Events, Event{Type: corev1.EventTypeWarning, Reason: "UnsupportedWorkload", Message: m.kind() + " is not supported"})
	}
	m.status.Phase, m.status.Message = v1beta1.PhasePreparing, m.kind()+" is not supported"
}

// acknowledge says which order the status speaks of.
func (m *moving) acknowledge() {
	m.status.ObservedGeneration = m.Release.Generation
	m.status.ObservedReleasePlanHash = planHash(m.Release.Spec.ReleasePlan)
	m.status.ObservedRolloutID = m.Release.Spec.ReleasePlan.RolloutID
}

// withhold leaves the status as it is for as long as it is young and only tells of work in progress. Nothing is decided
// from what is withheld: the next look finds it again.
func (m *moving) withhold() {
	news := m.status.CanaryStatus.CurrentBatchState == v1beta1.BatchReady && m.status.Phase == v1beta1.PhaseProgressing ||
		m.status.Phase == v1beta1.PhaseCompleted || condition(m.Release.Status.Conditions, v1beta1.ConditionStalled) != nil || len(m.Workload.Trouble) > 0 || m.Driver == nil ||
		m.status.CanaryStatus.NoNeedUpdateReplicas != nil && m.Release.Status.CanaryStatus.NoNeedUpdateReplicas == nil // what is moved next depends on it
	since := m.Release.CreationTimestamp
	if t := m.Release.Status.CanaryStatus.BatchReadyTime; t != nil {
		since = *t
	}
	if c := condition(m.Release.Status.Conditions, v1beta1.ConditionProgressing); c != nil {
		since = c.LastUpdateTime // the last news
	}
	if t := orderedAt(m.Release); t.After(since.Time) {
		since = metav1.NewTime(t)
	}
	if until := since.Add(quiet); !news && m.Now.Before(until) {
		m.Object.Status = *m.Release.Status.DeepCopy()
		m.wake(until)
	}
}

// upgrading brings the current batch to its size, and says when it is ready.
func (m *moving) upgrading() {
	plan, w := m.Release.Spec.ReleasePlan, m.Workload
	if len(plan.Batches) == 0 {
		m.status.Message = "the release plan has no batches"
		return
	}
	if m.outdated() {
		m.status.Message = "the pod template changed: this BatchRelease moves no more pods"
		return
	}
	m.findBatch()
	batch := &m.status.CanaryStatus
	asked := plan.Batches[batch.CurrentBatch].CanaryReplicas
	had, want := m.share(asked)
	limit := m.limit(had)
	resting := batch.CurrentBatchState == v1beta1.BatchReady
	m.Marks = marks(m.Release, w, int(batch.CurrentBatch))
	ready := m.ready(want, limit) && (w.Replicas > 0 || scaled(asked, 100) == 0) // without pods nothing shows that the new version works
	rest := resting && ready && !plan.Aborted && !m.Now.Before(batch.BatchReadyTime.Add(restAfter))
	next := m.Driver.Move(m.Objects, w, workload.Target{
		Claim: controlInfo(m.Release), Stable: m.status.StableRevision, Updated: want, Batch: asked, Limit: &limit, Most: m.most(), Had: had, Rest: rest,
		Back: plan.Aborted, Owner: ownerOf(m.Release), Patch: plan.PatchPodTemplateMetadata,
	})
	m.Changes = m.changed(next)
	if plan.Aborted {
		ready, m.Marks = m.tookBack(), nil
	}

	if w.Update != "" {
		m.status.UpdateRevision = w.Update
	}
	m.status.ObservedWorkloadReplicas = w.Replicas
	batch.UpdatedReplicas, batch.UpdatedReadyReplicas = w.Updated, w.UpdatedReady
	if ready && (rest || len(m.Changes) == 0) && len(m.Marks) == 0 {
		m.report(batch, w, want, limit)
		return
	}
	m.waiting(batch, want, limit)
}

// limit is how many pods may be at the update revision, measured anew by how many pods there are: as many as the largest batch
// that was ordered asks for. Scaling is no approval: what it brings beyond that goes back.
func (m *moving) limit(had int32) int32 {
	w, batch := m.Workload, &m.status.CanaryStatus
	if !w.Engaged && w.Others == 0 && w.Updated > 0 {
		return w.Replicas // it was let go before this release has begun, and nothing is left that could be held
	}
	size := func(v intstr.IntOrString) int32 { return v1beta1.PodsOf(v, w.Replicas-had, w.KeepsOne && had == 0) }
	for _, b := range m.Release.Spec.ReleasePlan.Batches[:m.lastBatch()+1] {
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
func (m *moving) outdated() bool {
	was := m.status.UpdateRevision
	return m.status.Phase == v1beta1.PhaseProgressing && was != "" && was != m.Workload.Update
}

// tookBack reports whether no pod of an aborted release is left, or none that can be taken back.
func (m *moving) tookBack() bool {
	w := m.Workload
	return !w.Stale && (w.Updated == 0 || w.KeepsNew && len(m.Changes) == 0)
}

// waiting says what the current batch waits for.
func (m *moving) waiting(batch *v1beta1.BatchReleaseCanaryStatus, want, limit int32) {
	plan, w := m.Release.Spec.ReleasePlan, m.Workload
	batch.CurrentBatchState, batch.BatchReadyTime = v1beta1.BatchUpgrading, nil
	m.status.Message = progress(batch.CurrentBatch, len(plan.Batches), w, want)
	if w.Updated > limit {
		m.status.Message = excess(w, limit)
	}
	if w.Replicas == 0 {
		m.status.Message = "scaled to 0: the release goes on once there are pods that show whether the new version works"
	}
	if plan.Aborted {
		m.status.Message = fmt.Sprintf("going back: %d updated pods are left", w.Updated)
	}
	m.status.Conditions = setCondition(m.status.Conditions, m.Now, v1beta1.RolloutCondition{
		Type: v1beta1.ConditionProgressing, Status: metav1.ConditionTrue, Reason: v1beta1.ReasonInRolling, Message: m.status.Message,
	})
	if !w.ReadyAt.IsZero() {
		m.wake(w.ReadyAt)
	}
}

// most is how many pods the current batch or a later one asks for.
func (m *moving) most() int32 {
	most := int32(0)
	for _, batch := range m.Release.Spec.ReleasePlan.Batches[m.status.CanaryStatus.CurrentBatch:] {
		_, want := m.share(batch.CanaryReplicas)
		most = max(most, want)
	}
	return most
}

// share is how many pods were at the update revision before the release, and how many the batch wants to be: a roll-back in
// batches goes through the steps with those that are not back yet (docs/wire.md, roll-back in batches).
func (m *moving) share(asked intstr.IntOrString) (had, want int32) {
	w := m.Workload
	if m.Release.Annotations[v1beta1.AnnotationRollbackInBatch] != "true" {
		return 0, v1beta1.PodsOf(asked, w.Replicas, w.KeepsOne)
	}
	if m.status.CanaryStatus.NoNeedUpdateReplicas == nil {
		m.status.CanaryStatus.NoNeedUpdateReplicas = new(w.Updated)
	}
	had = min(*m.status.CanaryStatus.NoNeedUpdateReplicas, w.Replicas)
	return had, had + v1beta1.PodsOf(asked, w.Replicas-had, w.KeepsOne && had == 0)
}

// report says that a batch is ready, and looks forward to what comes next: the next batch, or to hold the workload.
func (m *moving) report(batch *v1beta1.BatchReleaseCanaryStatus, w workload.State, want, limit int32) {
	m.status.Message = ""
	switch {
	case w.Updated > limit:
		m.status.Message = excess(w, limit) // nothing can be done about it
	case w.Updated < want && !m.Release.Spec.ReleasePlan.Aborted:
		m.status.Message = fmt.Sprintf("%d of %d pods are new: %s; the others come when the release is finished", w.Updated, want, unreachable(w))
	}
	m.status.Conditions = dropCondition(m.status.Conditions, v1beta1.ConditionProgressing)
	batch.CurrentBatchState = v1beta1.BatchReady
	if batch.BatchReadyTime == nil {
		now := stamp(m.Now)
		batch.BatchReadyTime = &now
	}
	switch {
	case batch.CurrentBatch < m.lastBatch():
		m.wake(m.Now)
	case w.Engaged && !w.Held:
		m.wake(batch.BatchReadyTime.Add(restAfter))
	}
}

// lastBatch is the last batch the plan allows.
func (m *moving) lastBatch() int32 {
	plan := m.Release.Spec.ReleasePlan
	return min(*plan.BatchPartition, int32(len(plan.Batches))-1) //nolint:gosec // a few batches
}

// findBatch finds which batch is the current one: an edited plan goes to the batch it asks for, a ready one to the next.
func (m *moving) findBatch() {
	plan := m.Release.Spec.ReleasePlan
	batch := &m.status.CanaryStatus
	at := batch.CurrentBatch
	switch {
	case m.status.Phase != v1beta1.PhaseProgressing:
		m.status.Phase = v1beta1.PhaseProgressing
		batch.LargestBatch = nil
		m.status.StableRevision = m.Workload.Stable
		at = 0
	case m.status.ObservedReleasePlanHash != planHash(plan):
		at = m.lastBatch()
		batch.CurrentBatchState = v1beta1.BatchUpgrading
	case batch.CurrentBatchState == v1beta1.BatchReady:
		at = min(at+1, m.lastBatch())
	}
	at = min(max(at, 0), m.lastBatch())
	if at != batch.CurrentBatch || batch.CurrentBatchState != v1beta1.BatchReady {
		batch.CurrentBatch, batch.CurrentBatchState, batch.BatchReadyTime = at, v1beta1.BatchUpgrading, nil
	}
}

// ready judges the batch by its pods (docs/wire.md, batch readiness).
func (m *moving) ready(want, limit int32) bool {
	w := m.Workload
	want = attainable(want, w)
	if w.Updated > limit && !w.KeepsNew && !w.NewcomersNew {
		return false
	}
	if w.Replicas == 0 {
		return !w.Stale
	}
	tolerated := int32(0)
	if t := m.Release.Spec.ReleasePlan.FailureThreshold; t != nil {
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
		return fmt.Sprintf("%d pods are new, where %d were ordered: scaling has made them, or a second set that comes whole, and the workload's own controller makes no old ones", w.Updated, limit)
	}
	return fmt.Sprintf("scaling has made %d pods new, where %d were ordered: the others go back", w.Updated, limit)
}

// unreachable says why no more new pods come.
func unreachable(w workload.State) string {
	return fmt.Sprintf("the workload's own controller makes no more pods while %d of the old version stand", w.Others)
}

// progress says what a batch waits for.
func progress(batch int32, of int, w workload.State, want int32) string {
	const named = 3 // pods that are named; more would not fit a line
	message := fmt.Sprintf("batch %d/%d: %d of %d updated pods ready", batch+1, of, min(w.UpdatedReady, want), want)
	if w.Ceiling > 0 && w.Ceiling < want && w.Updated >= w.Ceiling {
		message += fmt.Sprintf("; %s; scale it to %d and back, and they come", unreachable(w), w.Lifted)
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
func (m *moving) leaving() bool {
	br, w := m.Release, m.Workload
	m.status.Phase = v1beta1.PhaseFinalizing
	m.status.Conditions = dropCondition(m.status.Conditions, v1beta1.ConditionProgressing)
	if w.Claim != "" && w.Claim != br.UID {
		return true // another BatchRelease has it
	}
	deleted, ordered := br.DeletionTimestamp != nil, br.Spec.ReleasePlan.BatchPartition == nil
	known := w.Blind || knows(br, w.Update)
	switch {
	case !known && !deleted:
		m.status.Message = "the pod template changed: this BatchRelease does not give the workload back"
		return false
	case !known, deleted && !ordered && metav1.GetControllerOf(br) != nil:
		// In the middle of a release the Rollout orders anew; until then the workload stays held.
		m.Changes = diff(m.Objects.Workload, m.Driver.Disown(m.Objects.Workload))
		return len(m.Changes) == 0
	}
	if m.Changes = diff(m.Objects.Workload, m.freed()); len(m.Changes) > 0 {
		return false
	}
	w.Awaited = br.Spec.ReleasePlan.FinalizingPolicy == v1beta1.WaitResumeFinalizingPolicy
	m.Changes = m.changed(m.Driver.Unstick(m.Objects, w))
	if w.Engaged {
		m.status.Message = fmt.Sprintf("waiting for %d pods of other versions to go", w.Others)
		return false
	}
	finished := w.Complete || gaveBack(br) // what was finished stays so: a later change of the workload is its owner's
	if !deleted && br.Spec.ReleasePlan.FinalizingPolicy == v1beta1.WaitResumeFinalizingPolicy && !finished {
		m.status.Message = fmt.Sprintf("waiting for the workload to finish: %d of %d pods updated", w.Updated, w.Replicas)
		return false
	}
	return len(m.Changes) == 0
}

// freed is the workload as its user had it, or on the way there.
func (m *moving) freed() client.Object {
	if d, ok := m.Driver.(workload.Finisher); ok && m.Release.Spec.ReleasePlan.FinalizingPolicy == v1beta1.WaitResumeFinalizingPolicy {
		return d.Finish(m.Objects)
	}
	return m.Driver.Free(m.Objects, m.frozen())
}

// frozen reports whether the workload is to be left where the release is. One that is at a single version may go on.
func (m *moving) frozen() bool {
	plan := m.Release.Spec.ReleasePlan
	stable := cmp.Or(m.status.StableRevision, m.Workload.Stable) // it may be gone before it has begun
	return m.KeepPaused && plan.FinalizingPolicy != v1beta1.WaitResumeFinalizingPolicy && m.Workload.Update != stable
}

// changed lists what turns the objects seen into next.
func (m *moving) changed(next workload.Objects) []Change {
	var changes []Change
	// A set that grows comes before one that shrinks: the only one with pods left is made full by the native controller.
	for _, grows := range []bool{true, false} {
		for i, set := range m.Objects.Sets {
			if next.Sets[i] != set && grows == (ptr.Deref(next.Sets[i].Spec.Replicas, 1) > ptr.Deref(set.Spec.Replicas, 1)) {
				changes = append(changes, diff(set, next.Sets[i])...)
			}
		}
	}
	// The workload comes last: the cache shows its claim only after what was made beside it before.
	changes = append(changes, m.changedCanaries(next)...)
	changes = append(changes, diff(m.Objects.Workload, next.Workload)...)
	if len(changes) > 0 {
		return changes
	}
	// Pods go only once what they are to be replaced by is said, and seen.
	for _, pod := range m.Objects.Pods {
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
