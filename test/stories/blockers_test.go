// SPDX-License-Identifier: Apache-2.0

package stories

import (
	"testing"

	"kruise.io/rollouts/internal/view"
	"kruise.io/rollouts/test/scenario"
)

// elsewhere are the codes that no story has, and the tests that do.
var elsewhere = map[string]string{
	"KindNotServed": rollouts, "KindUnsupported": rollouts, "FirstPods": rollouts, "NoSteps": rollouts, "BatchReleaseEnding": rollouts, "Working": rollouts,
	"TrafficRoutingPending": rollouts, "RouteRefused": rollouts, "RoutePending": rollouts, "ServiceShared": rollouts, "RouteKindNotServed": rollouts,
	"ScriptFailed": rollouts, "RouteConflict": rollouts,
	"ClaimedElsewhere": batchReleases, "TemplateChanged": batchReleases, "PodsExcess": batchReleases, "SurgeLimit": batchReleases, "WorkloadNotObserved": batchReleases,
	"WriteRefused": writes, "WriteReverted": writes,
	"TooFewRequests": "TestAnalysisCodes of internal/plan",
	"Unschedulable":  pods, "VolumePending": pods, "PodsRefused": pods,
}

const (
	rollouts      = "TestBlockersOfRollouts of internal/plan"
	batchReleases = "TestBlockersOfBatchReleases of internal/plan"
	writes        = "TestBlockersOfWrites of internal/plan"
	pods          = "TestBlocked of internal/workload"
)

// TestBlockersHaveStories: each thing that a release may wait for is told in a story, or tested where elsewhere says.
func TestBlockersHaveStories(t *testing.T) {
	t.Parallel()
	stories, err := scenario.Load(scenarios)
	if err != nil {
		t.Fatal(err)
	}
	told := map[string]bool{}
	for _, story := range stories {
		for _, code := range story.Blockers() {
			told[code] = true
		}
	}
	for _, a := range view.Advices {
		code := string(a.Code)
		if where := elsewhere[code]; told[code] == (where != "") {
			t.Errorf("%s: in a story: %v, and elsewhere: %q", code, told[code], where)
		}
	}
	if len(told) < 25 {
		t.Errorf("%d codes have a story, want 25", len(told))
	}
}
