// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"
	"testing"
	"time"

	"kruise.io/rollouts/api/v1beta1"
)

// TestAskedPlace has the examples of docs/wire.md, jumping, by the step that a release is in; it is in step 2 of 4.
func TestAskedPlace(t *testing.T) {
	t.Parallel()
	was := Place{2, 3, v1beta1.StepPaused}
	for name, c := range map[string]struct {
		is, want Place
		late     bool
	}{
		"nothing":                        {was, was, false},
		"approval":                       {Place{2, 3, v1beta1.StepReady}, Place{2, 3, v1beta1.StepReady}, false},
		"jump by the next":               {Place{2, 4, v1beta1.StepPaused}, Place{2, 4, v1beta1.StepPaused}, false},
		"back":                           {Place{1, 3, v1beta1.StepPaused}, Place{1, 2, v1beta1.StepBeforeUpgrade}, false},
		"back, to the end of it":         {Place{1, 2, v1beta1.StepTrafficRouting}, Place{1, 2, v1beta1.StepBeforeUpgrade}, false},
		"on by one":                      {Place{3, 3, v1beta1.StepPaused}, Place{3, 4, v1beta1.StepBeforeUpgrade}, false},
		"to the last":                    {Place{4, 3, v1beta1.StepPaused}, Place{4, -1, v1beta1.StepBeforeUpgrade}, false},
		"to the last, as it would say":   {Place{4, -1, v1beta1.StepPaused}, Place{4, -1, v1beta1.StepBeforeUpgrade}, false},
		"a place that says two steps":    {Place{3, 1, v1beta1.StepPaused}, Place{2, 1, v1beta1.StepPaused}, false},
		"the second of two late clicks":  {Place{1, 2, v1beta1.StepReady}, was, true},
		"a step approved before it came": {Place{3, 4, v1beta1.StepReady}, was, true},
		"the end of the last":            {Place{4, -1, v1beta1.StepCompleted}, was, true},
		"nowhere":                        {Place{0, 3, v1beta1.StepPaused}, was, false},
		"beyond":                         {Place{7, 3, v1beta1.StepReady}, was, false},
	} {
		if got, late := AskedPlace(was, c.is, 4); got != c.want || late != c.late {
			t.Errorf("%s: %+v is %+v, late %t, want %+v, %t", name, c.is, got, late, c.want, c.late)
		}
	}
	if got, _ := AskedPlace(Place{}, Place{3, 4, v1beta1.StepReady}, 4); got != (Place{3, 4, v1beta1.StepReady}) {
		t.Errorf("of a status without a mirror, %+v is left", got)
	}
}

// TestNoWriteLeadsFurtherThanAsked: whatever clients write of a place, at whatever time, paused or not, and without admission: pods are those
// of the step that the release was in, or of one that the write names, and no step is passed that nobody approved; and from there
// approvals lead to the end.
func TestNoWriteLeadsFurtherThanAsked(t *testing.T) {
	t.Parallel()
	states := []v1beta1.CanaryStepState{
		"", v1beta1.StepBeforeUpgrade, v1beta1.StepUpgrade, v1beta1.StepTrafficRouting, v1beta1.StepMetricsAnalysis, v1beta1.StepPaused,
		v1beta1.StepReady, v1beta1.StepCompleted, "StepDancing",
	}
	sizes := []string{"1", "2", "4", "100%"}
	n := int32(len(sizes))
	for in := int32(1); in <= n; in++ {
		for _, at := range []v1beta1.CanaryStepState{v1beta1.StepUpgrade, v1beta1.StepPaused} {
			for _, state := range states {
				for index := int32(-1); index <= n+1; index++ {
					for next := int32(-1); next <= n+1; next++ {
						for _, paused := range []bool{false, true} {
							name := fmt.Sprintf("in %d %s, paused %t: %d, %d, %q", in, at, paused, index, next, state)
							s := inStep(in, at, sizes...)
							s.Rollout.Status.CurrentStepIndex, s.Rollout.Status.CurrentStepState = in, at
							s.Rollout.Status.Release = &v1beta1.ReleaseStatus{Number: 1}
							if at == v1beta1.StepPaused {
								Happened(s.Rollout.Status.Release, v1beta1.ReleaseEvent{Type: v1beta1.StepReached, Step: in, Time: *s.Rollout.Status.CanaryStatus.LastUpdateTime})
							}
							allowed := writePlace(s.Rollout, n, index, next, state)
							s.Rollout.Spec.Strategy.Paused = paused
							if paused { // and resumed
								s.Rollout = play(t, s, 2, nil).Rollout
								s.Rollout.Spec.Strategy.Paused = false
							}
							s = play(t, s, 8, func(step int32) {
								if !allowed[step] {
									t.Fatalf("%s: it goes to step %d, allowed are %v", name, step, allowed)
								}
							})
							if st := s.Rollout.Status; st.CurrentStepState != v1beta1.StepPaused && st.CurrentStepState != v1beta1.StepCompleted {
								t.Fatalf("%s: it hangs in step %d %s: %s", name, st.CurrentStepIndex, st.CurrentStepState, st.Message)
							}
						}
					}
				}
			}
		}
	}
}

// writePlace has a client write a place, -1 and "" nothing, and says which steps the release may be in then.
func writePlace(ro *v1beta1.Rollout, n, index, next int32, state v1beta1.CanaryStepState) map[int32]bool {
	sub := ro.Status.Common()
	in, was := sub.CurrentStepIndex, sub.CurrentStepState
	allowed := map[int32]bool{in: true}
	if index >= 0 {
		sub.CurrentStepIndex = index
		allowed[index] = index >= 1 && index <= n
	}
	if next >= 0 {
		sub.NextStepIndex = next
		allowed[next] = next >= 1 && next <= n
	}
	if state != "" {
		sub.CurrentStepState = state
	}
	allowed[in] = true
	if was == v1beta1.StepPaused && state == v1beta1.StepReady && sub.CurrentStepIndex == in && in < n { // it was there to be approved
		allowed[in+1] = true
	}
	return allowed
}

// play has a Rollout looked at, while what it orders is obeyed; each step that it is in is told.
func play(t *testing.T, s RolloutInput, looks int, in func(step int32)) RolloutInput {
	t.Helper()
	for range looks {
		d := Rollout(s)
		s.Rollout = d.Object
		for _, change := range d.Changes {
			if br, ok := change.To.(*v1beta1.BatchRelease); ok {
				s.Release = br
				s.Release.UID, s.Release.Generation = "br", s.Release.Generation+1
				obey(s.Release, "v1", "v2")
			}
		}
		s.Now = s.Now.Add(time.Minute)
		if in != nil {
			in(s.Rollout.Status.CurrentStepIndex)
			if order := s.Release.Spec.ReleasePlan.BatchPartition; order != nil {
				in(*order + 1)
			}
		}
	}
	return s
}
