// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"cmp"
	"fmt"
	"slices"
	"time"
	"unicode/utf8"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/rollouts/api/v1beta1"
)

// untilTolerance is by how much the end of a wait may come later, or earlier, without a write of the status for that alone.
const untilTolerance = 2 * time.Second

// A blocker is what a pass found to wait for.
type blocker struct {
	code    v1beta1.BlockerCode
	object  v1beta1.BlockerObject // zero: the object that is reconciled
	message string
	until   time.Time // when to check again; zero: an event wakes the controller
	since   time.Time // zero: since it was first seen
}

// raise says in the status what is waited for.
func (d *Decision[T]) raise(b blocker) { d.blockers = append(d.blockers, b) }

// settleBlockers puts into the status what the pass found, the oldest first. Since stays for as long as code and object do, but not
// longer than the state that they belong to, which began at.
func (d *Decision[T]) settleBlockers(seen T, now, began time.Time) {
	before := blockersOf(seen)
	var all []v1beta1.Blocker
	for _, b := range d.blockers {
		all = added(all, b, *before, now, began)
	}
	oldestFirst(all)
	*blockersOf(d.Object) = all[:min(len(all), v1beta1.MaxBlockers)]
}

func oldestFirst(all []v1beta1.Blocker) {
	slices.SortStableFunc(all, func(a, b v1beta1.Blocker) int { return a.Since.Compare(b.Since.Time) })
}

// added are blockers with one more, unless there is one of its code and object.
func added(all []v1beta1.Blocker, b blocker, before []v1beta1.Blocker, now, began time.Time) []v1beta1.Blocker {
	out := v1beta1.Blocker{Code: b.code, Message: shortened(b.message), Since: metav1.NewTime(cmp.Or(b.since, now).Truncate(time.Second))}
	if b.object != (v1beta1.BlockerObject{}) {
		out.Object = &b.object
	}
	if !b.until.IsZero() {
		until := stamp(b.until)
		out.Until = &until
	}
	same := func(o v1beta1.Blocker) bool {
		return o.Code == out.Code && equality.Semantic.DeepEqual(o.Object, out.Object)
	}
	if slices.ContainsFunc(all, same) {
		return all
	}
	if i := slices.IndexFunc(before, same); i >= 0 {
		was := before[i]
		if b.code == v1beta1.BlockerAborted || b.code == v1beta1.BlockerPaused { // whatever step it is said to be in
			began = time.Time{}
		}
		if !was.Since.Time.Before(began.Truncate(time.Second)) && was.Since.Time.Before(out.Since.Time) {
			out.Since = was.Since
		}
		if was.Until != nil && out.Until != nil && out.Until.Sub(was.Until.Time).Abs() <= untilTolerance {
			out.Until = was.Until
		}
	}
	return append(all, out)
}

// shortened is a message that fits a blocker.
func shortened(message string) string {
	const most = v1beta1.BlockerMessageLength
	if len(message) <= most {
		return message
	}
	cut := most - len("…")
	for !utf8.RuneStart(message[cut]) {
		cut--
	}
	return message[:cut] + "…"
}

// blockersOf is where an object's status names them; nil: its kind does not.
func blockersOf(obj client.Object) *[]v1beta1.Blocker {
	switch o := obj.(type) {
	case *v1beta1.Rollout:
		return &o.Status.Blockers
	case *v1beta1.BatchRelease:
		return &o.Status.Blockers
	default:
		return nil
	}
}

// raiseWait says in the status what a stage waits for.
func (p *rolloutPlanner) raiseWait(wait *pending) {
	if wait.code != "" {
		p.raise(blocker{code: wait.code, object: wait.object, message: cmp.Or(wait.message, p.status.Message), until: wait.until})
	}
}

// explainBlockers says what a Rollout waits for, with what its BatchRelease does, and that it is at work where nothing else is said.
func (p *rolloutPlanner) explainBlockers() {
	if p.overdue != nil {
		p.raise(blocker{code: v1beta1.BlockerDeadlineExceeded, message: p.overdue.Message})
	}
	began := time.Time{}
	switch p.status.Phase {
	case v1beta1.PhaseHealthy, v1beta1.PhaseDisabled:
		p.blockers = nil
	case v1beta1.PhaseProgressing, v1beta1.PhaseDisabling, v1beta1.PhaseTerminating:
		p.raiseHeld()
		p.raiseReleases()
		if len(p.blockers) == 0 {
			p.raise(p.working())
		}
		if t := p.sub.LastUpdateTime; t != nil && p.status.Phase == v1beta1.PhaseProgressing {
			began = t.Time
		}
	default:
	}
	p.settleBlockers(p.Rollout, p.Now, began)
}

// raiseHeld says what the background analysis has against the version, also while a step waits for something else at its end.
func (p *rolloutPlanner) raiseHeld() {
	if p.status.Phase != v1beta1.PhaseProgressing || p.sub.CurrentStepState != v1beta1.StepMetricsAnalysis {
		return
	}
	if held := p.heldInBackground(); held != nil {
		p.raise(blocker{code: held.code, message: held.message})
	}
}

// raiseReleases says what the BatchRelease waits for, too, as far as it speaks of its present order.
func (p *rolloutPlanner) raiseReleases() {
	if p.Release == nil || !answered(p.Release) {
		return
	}
	for _, b := range p.Release.Status.Blockers {
		own := blocker{code: b.Code, message: b.Message, since: b.Since.Time}
		switch {
		case b.Object != nil:
			own.object = *b.Object
		case b.Code == v1beta1.BlockerPodsPending || b.Code == v1beta1.BlockerPodsExcess:
			own.object = p.batchReleaseObject()
		}
		if b.Until != nil {
			own.until = b.Until.Time
		}
		p.raise(own)
	}
}

// notObserved reports whether the BatchRelease waits for the workload's own controller, for which this pass waits, too.
func (p *rolloutPlanner) notObserved() bool {
	return p.Release != nil && slices.ContainsFunc(p.Release.Status.Blockers, func(b v1beta1.Blocker) bool { return b.Code == v1beta1.BlockerWorkloadNotObserved })
}

// batchReleaseObject is the Rollout's BatchRelease.
func (p *rolloutPlanner) batchReleaseObject() v1beta1.BlockerObject {
	return v1beta1.BlockerObject{Kind: "BatchRelease", Name: p.Rollout.Name}
}

// working is what is said where a pass waits for nothing that is worth a name: for pods that are on their way, or for its own writes.
func (p *rolloutPlanner) working() blocker {
	upgrading := p.status.Phase == v1beta1.PhaseProgressing && p.sub.CurrentStepState == v1beta1.StepUpgrade
	restoring := p.sub.FinalisingStep == v1beta1.FinalisingResumeWorkload || p.sub.FinalisingStep == v1beta1.FinalisingReleaseWorkload
	switch {
	case upgrading:
		return blocker{code: v1beta1.BlockerPodsPending, object: p.batchReleaseObject(), message: fmt.Sprintf("waiting for the pods of step %d", p.sub.CurrentStepIndex)}
	case restoring || p.Release != nil:
		return blocker{code: v1beta1.BlockerPodsPending, object: p.batchReleaseObject(), message: "waiting for the workload's pods"}
	}
	return blocker{code: v1beta1.BlockerWorking, message: cmp.Or(p.status.Message, "reconciling")}
}

// raisePods says what keeps pods of the update revision from being ready: each kind of trouble once, with the pod that has had it
// longest.
func (p *batchReleasePlanner) raisePods() {
	type group struct {
		blocker
		pods int
	}
	var groups []*group
	for _, b := range p.Workload.Blocked {
		if p.Now.Before(b.Due) {
			p.wake(b.Due)
			continue
		}
		i := slices.IndexFunc(groups, func(g *group) bool { return g.code == b.Code })
		if i < 0 {
			i, groups = len(groups), append(groups, &group{blocker: blocker{code: b.Code, object: b.Object, message: b.Message}})
		}
		groups[i].pods++
	}
	for _, g := range groups {
		g.message = g.object.String() + ": " + g.message
		if g.pods > 1 {
			g.message += fmt.Sprintf("; and %d more pods", g.pods-1)
		}
		p.raise(g.blocker)
	}
}
