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
	if !slices.EqualFunc(p.status.Blockers, seen.Blockers, alikeBut) {
		return
	}
	next := p.status.DeepCopy()
	next.Message, next.Blockers = seen.Message, seen.Blockers
	due := later(withReadings(next.Analysis.Step, seen.Analysis.Step), withReadings(next.Analysis.Background, seen.Analysis.Background)).Add(storeReadingsAfter)
	if !p.Now.Before(due) || !equality.Semantic.DeepEqual(next, seen) {
		return
	}
	*p.status = *seen.DeepCopy()
	p.wake(due)
}

// alikeBut reports whether two blockers differ in what they say at most.
func alikeBut(a, b v1beta1.Blocker) bool {
	return a.Code == b.Code && equality.Semantic.DeepEqual(a.Object, b.Object) && a.Since.Equal(&b.Since)
}

// withReadings puts the readings that are stored into a run, in the place of later ones that were good, and returns when the last was
// made; zero: a metric has none that is stored.
func withReadings(run, stored *v1beta1.AnalysisRun) (last time.Time) {
	if run == nil || stored == nil || len(run.Metrics) != len(stored.Metrics) {
		return last
	}
	run.Requests = stored.Requests
	for i := range run.Metrics {
		to, from := &run.Metrics[i], stored.Metrics[i]
		if from.LastTime == nil {
			return time.Time{}
		}
		to.Count, to.Successful, to.ConsecutiveSuccess = from.Count, from.Successful, from.ConsecutiveSuccess
		to.Value, to.Message, to.State, to.LastTime, to.Measurements = from.Value, from.Message, from.State, from.LastTime, from.Measurements
		last = later(last, from.LastTime.Time)
	}
	return last
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
