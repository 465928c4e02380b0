// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kruise.io/rollouts/api/v1beta1"
)

// TestAbortIsConsumed: an abort counts for the release that it was made for. A later release of the same template is a new one.
func TestAbortIsConsumed(t *testing.T) {
	t.Parallel()
	abort := func(ro *v1beta1.Rollout) {
		metav1.SetMetaDataAnnotation(&ro.ObjectMeta, v1beta1.AnnotationAbort, "v2")
	}
	aborted := func(ro *v1beta1.Rollout) bool { return ro.Annotations[v1beta1.AnnotationAbort] != "" }

	s := inStep(1, v1beta1.StepPaused, "1", "100%")
	abort(s.Rollout)
	if d := lookAt(t, s); reasonOf(d.Object) != v1beta1.ReasonAborted || !aborted(d.Object) {
		t.Errorf("a release that is under way: %s, annotation %v", reasonOf(d.Object), aborted(d.Object))
	}

	s = atRest("1", "100%")
	s.Rollout = lookAt(t, s).Object
	abort(s.Rollout) // nobody removed it
	s.Workload.Changing, s.Workload.Held, s.Workload.Engaged, s.Workload.Stable, s.Workload.Update = true, true, true, "v1", "v2"
	d := lookAt(t, s)
	if d.Object.Status.Phase != doing || reasonOf(d.Object) != inRolling || aborted(d.Object) {
		t.Errorf("the next release of the same template: %s %s, annotation %v", d.Object.Status.Phase, reasonOf(d.Object), aborted(d.Object))
	}
}

// TestLateApproval: what clients write is corrected in every phase, not only where it is read.
func TestLateApproval(t *testing.T) {
	t.Parallel()
	s := atRest("1", "100%")
	s.Rollout = lookAt(t, s).Object
	s.Rollout.Status.CanaryStatus.CurrentStepState = v1beta1.StepReady
	if d := lookAt(t, s); d.Object.Status.Phase != v1beta1.PhaseHealthy || d.Object.Status.CanaryStatus.CurrentStepState != v1beta1.StepCompleted {
		t.Errorf("Healthy: %s", d.Object.Status.CanaryStatus.CurrentStepState)
	}
	s = inStep(2, v1beta1.StepReady, "1", "100%")
	s.Rollout.Status.Conditions[0].Reason = v1beta1.ReasonFinalising
	if d := lookAt(t, s); d.Object.Status.CanaryStatus.CurrentStepState != v1beta1.StepCompleted {
		t.Errorf("finalising: %s", d.Object.Status.CanaryStatus.CurrentStepState)
	}
}

// TestApprovalOfAStepNotReached: an approval counts for the visit of a step that it was made for. The second of two clicks meets the
// next step; one of before the plan was edited, or the release was aborted or jumped, meets a step that has to be reached again.
func TestApprovalOfAStepNotReached(t *testing.T) {
	t.Parallel()
	entered := noon.Add(-time.Minute) // the present state of step 2
	reached := func(step int32, at time.Time) v1beta1.ReleaseEvent {
		return v1beta1.ReleaseEvent{Type: v1beta1.StepReached, Step: step, Time: metav1.NewTime(at)}
	}
	for name, c := range map[string]struct {
		record  []v1beta1.ReleaseEvent
		dropped bool // the time of the state, by an older client
		want    int32
		early   bool
	}{
		"reached":                        {record: []v1beta1.ReleaseEvent{reached(1, entered.Add(-time.Hour)), reached(2, entered)}, want: 3},
		"not reached":                    {record: []v1beta1.ReleaseEvent{reached(1, entered.Add(-time.Hour))}, want: 2, early: true},
		"reached, and entered again":     {record: []v1beta1.ReleaseEvent{reached(2, entered.Add(-time.Second))}, want: 2, early: true},
		"reached, and nobody knows when": {record: []v1beta1.ReleaseEvent{reached(2, entered.Add(-time.Second))}, dropped: true, want: 3},
		"nothing is on record":           {want: 3},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := inStep(2, v1beta1.StepReady, "1", "50%", "100%")
			if c.record != nil {
				s.Rollout.Status.Release = &v1beta1.ReleaseStatus{Number: 1, Timeline: c.record}
			}
			if c.dropped {
				s.Rollout.Status.CanaryStatus.LastUpdateTime = nil
			}
			if c.early { // its pods are on their way
				s.Release.Status.CanaryStatus.CurrentBatchState = v1beta1.BatchUpgrading
			}
			d := lookAt(t, s)
			if got := d.Object.Status.CanaryStatus; got.CurrentStepIndex != c.want {
				t.Errorf("it goes to step %d %s, want step %d", got.CurrentStepIndex, got.CurrentStepState, c.want)
			}
			early := len(d.Events) > 0 && d.Events[0].Reason == "ApprovedTooEarly"
			if early != c.early {
				t.Errorf("events are %+v", d.Events)
			}
		})
	}
}

// TestCompletedByAClient: a client that writes the state after the last step approves the last step at most, and that only where
// it was reached.
func TestCompletedByAClient(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		step    int32
		reached bool
		want    v1beta1.CanaryStepState
	}{
		"in a step before the last": {1, true, v1beta1.StepPaused},
		"in the last, reached":      {2, true, v1beta1.StepCompleted},
		"in the last, not reached":  {2, false, v1beta1.StepUpgrade},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := inStep(c.step, v1beta1.StepCompleted, "1", "50%")
			s.Rollout.Status.Release = &v1beta1.ReleaseStatus{Number: 1}
			if c.reached {
				Happened(s.Rollout.Status.Release, v1beta1.ReleaseEvent{Type: v1beta1.StepReached, Step: c.step, Time: *s.Rollout.Status.CanaryStatus.LastUpdateTime})
			} else {
				s.Release.Status.CanaryStatus.CurrentBatchState = v1beta1.BatchUpgrading
			}
			d := lookAt(t, s)
			if got := d.Object.Status.CanaryStatus; got.CurrentStepIndex != c.step || got.CurrentStepState != c.want {
				t.Errorf("it is in step %d %s, want %d %s", got.CurrentStepIndex, got.CurrentStepState, c.step, c.want)
			}
		})
	}
}
