// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"

	"kruise.io/rollouts/api/v1beta1"
)

// storeReadingsAfter is how old the last reading that is stored has to be before further ones that change nothing are: with readings
// every ten seconds, that is a write every half a minute. Those that are not stored at a restart are made again.
const storeReadingsAfter = 40 * time.Second

// withholdReadings leaves the status as it is where all that a pass has to say is that metrics are as good as before: a measurement is
// not worth a write of its own. Nothing is decided from what is withheld: the answers are kept until they are stored, and every pass
// judges them again from what is. A reading that speaks against the version is stored at once, or a restart would be another chance.
func (p *rolloutPlanner) withholdReadings() {
	seen := &p.Rollout.Status
	if seen.Analysis == nil || p.status.Analysis == nil || len(p.Changes)+len(p.Records)+len(p.Events) > 0 ||
		!equality.Semantic.DeepEqual(p.Object.ObjectMeta, p.Rollout.ObjectMeta) || equality.Semantic.DeepEqual(p.status.Analysis, seen.Analysis) {
		return
	}
	last := time.Time{}
	for _, runs := range [][2]*v1beta1.AnalysisRun{{seen.Analysis.Step, p.status.Analysis.Step}, {seen.Analysis.Background, p.status.Analysis.Background}} {
		at, same := unchangedBut(runs[0], runs[1])
		if !same {
			return
		}
		if at.After(last) {
			last = at
		}
	}
	due := last.Add(storeReadingsAfter)
	if !p.Now.Before(due) {
		return
	}
	if !slices.EqualFunc(p.status.Blockers, seen.Blockers, alikeBut) {
		return
	}
	next := p.status.DeepCopy()
	next.Analysis, next.Message, next.Blockers = seen.Analysis, seen.Message, seen.Blockers
	if !equality.Semantic.DeepEqual(next, seen) {
		return
	}
	*p.status = *p.Rollout.Status.DeepCopy()
	p.wake(due)
}

// alikeBut reports whether two blockers differ in what they say at most.
func alikeBut(a, b v1beta1.Blocker) bool {
	return a.Code == b.Code && equality.Semantic.DeepEqual(a.Object, b.Object) && a.Since.Equal(&b.Since)
}

// unchangedBut reports whether a run is as it was stored but for readings that were good, and when the last one that is stored was made.
func unchangedBut(was, is *v1beta1.AnalysisRun) (last time.Time, same bool) {
	if was == nil || is == nil {
		return last, was == is
	}
	if was.Phase != is.Phase || was.Message != is.Message || was.Hash != is.Hash || was.Revision != is.Revision || len(was.Metrics) != len(is.Metrics) ||
		!was.StartTime.Equal(is.StartTime) || !was.CompletionTime.Equal(is.CompletionTime) {
		return last, false
	}
	for i, a := range was.Metrics {
		b := is.Metrics[i]
		if a.Name != b.Name || a.Phase != b.Phase || a.Failed != b.Failed || a.Inconclusive != b.Inconclusive || a.Error != b.Error ||
			a.NoData != b.NoData || a.ConsecutiveError != b.ConsecutiveError || b.ConsecutiveSuccess < a.ConsecutiveSuccess || a.LastTime == nil {
			return last, false
		}
		if a.LastTime.After(last) {
			last = a.LastTime.Time
		}
	}
	return last, true
}
