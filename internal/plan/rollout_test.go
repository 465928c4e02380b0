// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"kruise.io/rollouts/api/v1beta1"
)

// wanted is what is to come of a pass of a Rollout.
type wanted struct {
	phase   v1beta1.RolloutPhase
	reason  string
	step    int32
	next    int32
	state   v1beta1.CanaryStepState
	message string
	orders  []string
	wake    time.Duration // after noon; 0 none
	event   string        // the first one
}

func check(t *testing.T, d Decision[*v1beta1.Rollout], want wanted) {
	t.Helper()
	st := d.Object.Status
	if st.CanaryStatus == nil {
		t.Fatal("canaryStatus is missing")
	}
	got := wanted{
		phase: st.Phase, reason: reasonOf(d.Object), step: st.CanaryStatus.CurrentStepIndex, next: st.CanaryStatus.NextStepIndex,
		state: st.CanaryStatus.CurrentStepState, message: st.Message, orders: orders(d),
	}
	if !d.Wake.IsZero() {
		got.wake = d.Wake.Sub(noon)
	}
	if len(d.Events) > 0 {
		got.event = d.Events[0].Message
	}
	if want.orders == nil {
		want.orders = []string{}
	}
	if !equality.Semantic.DeepEqual(fmt.Sprintf("%+v", got), fmt.Sprintf("%+v", want)) {
		t.Errorf("\n got %+v\nwant %+v", got, want)
	}
	if st.CurrentStepIndex != st.CanaryStatus.CurrentStepIndex || st.CurrentStepState != st.CanaryStatus.CurrentStepState {
		t.Errorf("the top level says step %d %s", st.CurrentStepIndex, st.CurrentStepState)
	}
}

// look takes a pass and checks that it leaves what it read alone, and that it may be repeated.
func lookAt(t *testing.T, s RolloutInput) Decision[*v1beta1.Rollout] {
	t.Helper()
	before := s.Rollout.DeepCopy()
	release := s.Release.DeepCopy()
	d := Rollout(s)
	if !equality.Semantic.DeepEqual(before, s.Rollout) || !equality.Semantic.DeepEqual(release, s.Release) {
		t.Fatal("planning changed what it was given")
	}
	if again := Rollout(s); !reflect.DeepEqual(d, again) {
		t.Fatal("two looks at the same decide differently")
	}
	return d
}

const (
	inRolling = v1beta1.ReasonInRolling
	doing     = v1beta1.PhaseProgressing
)

func TestSteps(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		seen RolloutInput
		edit func(s *RolloutInput)
		want wanted
	}{
		"the first step begins: the BatchRelease is made": {
			inStep(1, v1beta1.StepBeforeUpgrade, "1", "50%", "100%"), func(s *RolloutInput) { s.Release = nil },
			wanted{doing, inRolling, 1, 2, v1beta1.StepUpgrade, "Rollout is in step(1/3), and upgrade workload to new version", []string{"create 1"}, 0, ""},
		},
		"ordered, and no answer yet": {
			inStep(1, v1beta1.StepUpgrade, "1", "50%", "100%"), func(s *RolloutInput) { s.Release.Status = v1beta1.BatchReleaseStatus{} },
			wanted{doing, inRolling, 1, 2, v1beta1.StepUpgrade, "Rollout is in step(1/3), and upgrade workload to new version", nil, 0, ""},
		},
		"an answer to an older order": {
			inStep(1, v1beta1.StepUpgrade, "1", "50%", "100%"), func(s *RolloutInput) { s.Release.Generation++ },
			wanted{doing, inRolling, 1, 2, v1beta1.StepUpgrade, "Rollout is in step(1/3), and upgrade workload to new version", nil, 0, ""},
		},
		"pods are ready, the user has to look": {
			inStep(1, v1beta1.StepUpgrade, "1", "50%", "100%"), nil,
			wanted{doing, inRolling, 1, 2, v1beta1.StepPaused, "Rollout is in step(1/3), and you need manually confirm to enter the next step", nil, 0, "upgrade step(1) canary pods with new versions done"},
		},
		"waiting for the user": {
			inStep(2, v1beta1.StepPaused, "1", "50%", "100%"), nil,
			wanted{doing, inRolling, 2, 3, v1beta1.StepPaused, "Rollout is in step(2/3), and you need manually confirm to enter the next step", nil, 0, ""},
		},
		"approved": {
			inStep(1, v1beta1.StepReady, "1", "50%", "100%"), nil,
			wanted{doing, inRolling, 2, 3, v1beta1.StepUpgrade, "Rollout is in step(2/3), and upgrade workload to new version", []string{"order 2"}, 0, ""},
		},
		"a pause with a duration": {
			inStep(1, v1beta1.StepUpgrade, "1", "50%", "100%"), func(s *RolloutInput) { s.Rollout.Spec.Strategy.Canary.Steps[0].Pause.Duration = new(int32(30)) },
			wanted{doing, inRolling, 1, 2, v1beta1.StepPaused, "Rollout is in step(1/3), and wait duration(30 seconds) to enter the next step", nil, 30 * time.Second, "upgrade step(1) canary pods with new versions done"},
		},
		"the duration is over": {
			inStep(1, v1beta1.StepPaused, "1", "50%", "100%"), func(s *RolloutInput) { s.Rollout.Spec.Strategy.Canary.Steps[0].Pause.Duration = new(int32(60)) },
			wanted{doing, inRolling, 2, 3, v1beta1.StepUpgrade, "Rollout is in step(2/3), and upgrade workload to new version", []string{"order 2"}, 0, ""},
		},
		"the duration set to 0 is an approval": {
			inStep(1, v1beta1.StepPaused, "1", "50%", "100%"), func(s *RolloutInput) { s.Rollout.Spec.Strategy.Canary.Steps[0].Pause.Duration = new(int32(0)) },
			wanted{doing, inRolling, 2, 3, v1beta1.StepUpgrade, "Rollout is in step(2/3), and upgrade workload to new version", []string{"order 2"}, 0, ""},
		},
		"the last step is all of it: nothing to wait for": {
			inStep(2, v1beta1.StepUpgrade, "1", "100%"), nil,
			wanted{doing, v1beta1.ReasonFinalising, 2, -1, v1beta1.StepCompleted, "Rollout has been completed and some closing work is being done", []string{"give back"}, 0, "upgrade step(2) canary pods with new versions done"},
		},
		"the last step is not all of it: it waits": {
			inStep(2, v1beta1.StepUpgrade, "1", "50%"), nil,
			wanted{doing, inRolling, 2, -1, v1beta1.StepPaused, "Rollout is in step(2/2), and you need manually confirm to enter the next step", nil, 0, "upgrade step(2) canary pods with new versions done"},
		},
		"the last step approved": {
			inStep(2, v1beta1.StepReady, "1", "50%"), nil,
			wanted{doing, v1beta1.ReasonFinalising, 2, -1, v1beta1.StepCompleted, "Rollout has been completed and some closing work is being done", []string{"give back"}, 0, ""},
		},
		"a state that nobody knows": {
			inStep(1, "StepDancing", "1", "100%"), nil,
			wanted{doing, inRolling, 1, 2, v1beta1.StepPaused, "Rollout is in step(1/2), and you need manually confirm to enter the next step", nil, 0, "upgrade step(1) canary pods with new versions done"},
		},
		"an index beyond the steps": {
			inStep(2, v1beta1.StepPaused, "1", "50%"), func(s *RolloutInput) { s.Rollout.Status.CanaryStatus.CurrentStepIndex = 7 },
			wanted{doing, inRolling, 2, -1, v1beta1.StepPaused, "Rollout is in step(2/2), and you need manually confirm to enter the next step", nil, 0, ""},
		},
		"no index at all, of an old client": {
			inStep(1, v1beta1.StepPaused, "1", "50%"), func(s *RolloutInput) {
				c := s.Rollout.Status.CanaryStatus
				c.CurrentStepIndex, c.NextStepIndex, c.RolloutHash, c.StableRevision = 0, 0, "", ""
			},
			wanted{doing, inRolling, 1, 2, v1beta1.StepPaused, "Rollout is in step(1/2), and you need manually confirm to enter the next step", nil, 0, ""},
		},
		"the BatchRelease was deleted by hand": {
			inStep(2, v1beta1.StepUpgrade, "1", "50%"), func(s *RolloutInput) { s.Release = nil },
			wanted{doing, inRolling, 2, -1, v1beta1.StepUpgrade, "Rollout is in step(2/2), and upgrade workload to new version", []string{"create 2"}, 0, ""},
		},
		"the BatchRelease is going": {
			inStep(2, v1beta1.StepUpgrade, "1", "50%"), func(s *RolloutInput) { s.Release.DeletionTimestamp = &metav1.Time{Time: noon} },
			wanted{doing, inRolling, 2, -1, v1beta1.StepUpgrade, "Rollout is in step(2/2), and upgrade workload to new version", nil, 0, ""},
		},
		"a BatchRelease that gives back is never armed again": {
			inStep(2, v1beta1.StepUpgrade, "1", "50%"), func(s *RolloutInput) { s.Release.Spec.ReleasePlan.BatchPartition = nil },
			wanted{doing, inRolling, 2, -1, v1beta1.StepUpgrade, "Rollout is in step(2/2), and upgrade workload to new version", []string{"delete"}, 0, ""},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if c.edit != nil {
				c.edit(&c.seen)
			}
			check(t, lookAt(t, c.seen), c.want)
		})
	}
}

func TestJump(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		to    int32
		want  int32
		next  int32
		state v1beta1.CanaryStepState
		order []string
	}{
		"forward":               {4, 4, -1, v1beta1.StepUpgrade, []string{"order 4"}},
		"back":                  {1, 1, 2, v1beta1.StepUpgrade, []string{"order 1"}},
		"to the same size":      {3, 3, 4, v1beta1.StepPaused, []string{"order 3"}},
		"to where it is":        {2, 2, 3, v1beta1.StepUpgrade, nil},
		"natural":               {3, 3, 4, v1beta1.StepPaused, nil},
		"0 is nowhere":          {0, 2, 3, v1beta1.StepPaused, nil},
		"beyond the last":       {9, 2, 3, v1beta1.StepPaused, nil},
		"-1, as after the last": {-1, 2, 3, v1beta1.StepPaused, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := inStep(2, v1beta1.StepPaused, "1", "5", "50%", "100%")
			if c.to == 3 && name == "to the same size" { // a jump to the next step is none
				s = inStep(1, v1beta1.StepPaused, "5", "1", "50%", "100%")
			}
			s.Rollout.Status.CanaryStatus.NextStepIndex = c.to
			d := lookAt(t, s)
			st := d.Object.Status.CanaryStatus
			want := c
			if name == "natural" { // it waits where it is
				want.want, want.next = 2, 3
			}
			if name == "to where it is" { // as many pods as it asks for: only its route is left to do
				want.state = v1beta1.StepPaused
			}
			if st.CurrentStepIndex != want.want || st.NextStepIndex != want.next || st.CurrentStepState != want.state || !slices.Equal(orders(d), want.order) {
				t.Errorf("step %d, next %d, %s, %v, want %+v", st.CurrentStepIndex, st.NextStepIndex, st.CurrentStepState, orders(d), want)
			}
		})
	}
}

// TestJumpMeetsApproval: of a jump to where the release is and an approval, the approval leads further. (Found by the
// properties.)
func TestJumpMeetsApproval(t *testing.T) {
	t.Parallel()
	s := inStep(2, v1beta1.StepReady, "1", "5", "50%", "100%")
	s.Rollout.Status.CanaryStatus.NextStepIndex = 2
	if st := lookAt(t, s).Object.Status.CanaryStatus; st.CurrentStepIndex != 3 {
		t.Errorf("in step %d, %s, want 3", st.CurrentStepIndex, st.CurrentStepState)
	}
}

// TestJumpBeforeReady: pods that are there, but not ready, are waited for.
func TestJumpBeforeReady(t *testing.T) {
	t.Parallel()
	s := inStep(2, v1beta1.StepUpgrade, "1", "5", "50%", "100%")
	s.Rollout.Status.CanaryStatus.NextStepIndex = 2
	s.Release.Status.CanaryStatus.UpdatedReadyReplicas = 1
	s.Release.Status.CanaryStatus.CurrentBatchState = v1beta1.BatchUpgrading
	if st := lookAt(t, s).Object.Status.CanaryStatus; st.CurrentStepState != v1beta1.StepUpgrade {
		t.Errorf("%s, want it to wait in StepUpgrade", st.CurrentStepState)
	}
}

// TestReplan has the examples of docs/wire.md, plan change.
func TestReplan(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		replicas int32
		step     int32
		from, to []string
		want     int32
		size     string // ordered
	}{
		"the next step is the first that is large enough":  {8, 1, []string{"25%", "50%", "75%", "100%"}, []string{"10%", "50%", "100%"}, 2, "50%"},
		"the only step grows":                              {4, 1, []string{"25%"}, []string{"75%"}, 1, "75%"},
		"the current step grows":                           {10, 1, []string{"1", "50%"}, []string{"3", "50%"}, 1, "3"},
		"steps are gone: the first that is large enough":   {10, 3, []string{"1", "50%", "60%", "100%"}, []string{"1", "80%"}, 2, "80%"},
		"no step is large enough: the last":                {10, 2, []string{"1", "50%", "100%"}, []string{"1", "20%"}, 2, "20%"},
		"a step in front: the first that is large enough":  {10, 2, []string{"1", "50%", "100%"}, []string{"1", "2", "50%", "100%"}, 3, "50%"},
		"smaller steps at the end keep the pods there are": {10, 2, []string{"1", "50%", "100%"}, []string{"1", "50%", "90%", "100%"}, 2, "50%"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := inStep(c.step, v1beta1.StepPaused, c.from...)
			s.Workload.Replicas = c.replicas
			s.Rollout.Status.CanaryStatus.CanaryReplicas = scaled(intstr.Parse(c.from[c.step-1]), c.replicas)
			s.Rollout.Spec.Strategy.Canary.Steps = steps(c.to...)
			d := lookAt(t, s)
			if got := d.Object.Status.CanaryStatus.CurrentStepIndex; got != c.want {
				t.Errorf("step %d, want %d", got, c.want)
			}
			if got := d.Object.Status.CanaryStatus.RolloutHash; got != strategyHash(s.Rollout.Spec.Strategy) {
				t.Error("the new plan is not remembered")
			}
			for _, change := range d.Changes {
				br, _ := change.To.(*v1beta1.BatchRelease)
				plan := br.Spec.ReleasePlan
				if got := plan.Batches[*plan.BatchPartition].CanaryReplicas; got != intstr.Parse(c.size) {
					t.Errorf("ordered %s, want %s", got.String(), c.size)
				}
			}
		})
	}
}

// TestEditsThatAreNoReplan checks edits of a plan that do not move a release.
func TestEditsThatAreNoReplan(t *testing.T) {
	t.Parallel()
	for name, edit := range map[string]func(c *v1beta1.CanaryStrategy){
		"pauses":            func(c *v1beta1.CanaryStrategy) { c.Steps[1].Pause.Duration = new(int32(100)) },
		"failure threshold": func(c *v1beta1.CanaryStrategy) { c.FailureThreshold = new(intstr.FromString("20%")) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := inStep(1, v1beta1.StepPaused, "1", "50%", "100%")
			edit(s.Rollout.Spec.Strategy.Canary)
			d := lookAt(t, s)
			if c := d.Object.Status.CanaryStatus; c.CurrentStepIndex != 1 || c.CurrentStepState != v1beta1.StepPaused {
				t.Errorf("step %d %s", c.CurrentStepIndex, c.CurrentStepState)
			}
		})
	}
}

// interruptions are the ways in which a release is interrupted, in the order in which they take precedence.
var interruptions = []struct {
	name string
	act  func(s *RolloutInput)
	want wanted
}{
	{
		"rolled back", func(s *RolloutInput) { s.Workload.Update, s.Workload.Others = "v1", 5 },
		wanted{doing, v1beta1.ReasonCancelling, 2, 3, v1beta1.StepPaused, "The workload has been rolled back and the rollout process will be canceled", []string{"give back"}, 0, "workload has been rollback, then rollout is canceled"},
	},
	{
		"given back by someone else", func(s *RolloutInput) { s.Workload.Changing, s.Workload.Engaged = false, false },
		wanted{doing, v1beta1.ReasonCancelling, 2, 3, v1beta1.StepPaused, "The workload's own update strategy has been restored by someone else and the rollout process will be canceled", []string{"give back"}, 0, ""},
	},
	{
		"paused", func(s *RolloutInput) { s.Rollout.Spec.Strategy.Paused = true },
		wanted{doing, v1beta1.ReasonPaused, 2, 3, v1beta1.StepPaused, "Rollout has been paused, you can resume it by kube-cli", nil, 0, ""},
	},
	{
		"superseded", func(s *RolloutInput) {
			if s.Workload.Update != "v1" {
				s.Workload.Update = ""
			}
		},
		wanted{doing, inRolling, 2, 3, v1beta1.StepPaused, "Workload is continuous release", []string{"delete"}, 0, "workload continuous publishing canaryRevision, then restart publishing"},
	},
	{
		"replanned", func(s *RolloutInput) { s.Rollout.Spec.Strategy.Canary.Steps = steps("1", "5", "70%") },
		wanted{doing, inRolling, 2, 3, v1beta1.StepPaused, "", []string{"order 2"}, 0, ""}, // the message follows with the answer
	},
}

// TestInterrupts checks every interrupt alone and every two of them: the first in the order takes the pass.
func TestInterrupts(t *testing.T) {
	t.Parallel()
	for i, first := range interruptions {
		for j, second := range interruptions[i:] {
			name := first.name
			if j > 0 {
				name += " and " + second.name
			}
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				s := inStep(2, v1beta1.StepPaused, "1", "50%", "100%")
				first.act(&s)
				if j > 0 {
					second.act(&s)
				}
				d := lookAt(t, s)
				got, want := d.Object.Status, first.want
				if reasonOf(d.Object) != want.reason || got.Message != want.message {
					t.Errorf("%s: %s, want %s: %s", reasonOf(d.Object), got.Message, want.reason, want.message)
				}
				if j == 0 {
					check(t, d, want)
				}
			})
		}
	}
}

// TestRollBackFromEveryState checks that going back to the stable version is acted on at once, wherever the release is.
func TestRollBackFromEveryState(t *testing.T) {
	t.Parallel()
	states := []v1beta1.CanaryStepState{
		v1beta1.StepBeforeUpgrade, v1beta1.StepUpgrade, v1beta1.StepTrafficRouting, v1beta1.StepMetricsAnalysis,
		v1beta1.StepPaused, v1beta1.StepReady, v1beta1.StepCompleted, "",
	}
	for _, reason := range []string{inRolling, v1beta1.ReasonPaused, v1beta1.ReasonFinalising} {
		for _, state := range states {
			t.Run(reason+" "+string(state), func(t *testing.T) {
				t.Parallel()
				s := inStep(2, state, "1", "50%", "100%")
				s.Rollout.Spec.Strategy.Paused = reason == v1beta1.ReasonPaused
				s.Rollout.Status.Conditions[0].Reason = reason
				s.Workload.Update = "v1"
				d := lookAt(t, s)
				if reasonOf(d.Object) != v1beta1.ReasonCancelling || !slices.Equal(orders(d), []string{"give back"}) {
					t.Errorf("%s, %v", reasonOf(d.Object), orders(d))
				}
				if c := d.Object.Status.CanaryStatus; c.StableRevision != "v1" || c.CanaryRevision != "v1" {
					t.Errorf("stable %q, canary %q", c.StableRevision, c.CanaryRevision)
				}
			})
		}
	}
}

// TestSupersededWhileLeaving checks that a third version on the way out starts over, with what it started from kept.
func TestSupersededWhileLeaving(t *testing.T) {
	t.Parallel()
	for _, reason := range []string{v1beta1.ReasonFinalising, inRolling} {
		s := inStep(2, v1beta1.StepPaused, "1", "50%", "100%")
		s.Rollout.Status.Conditions[0].Reason = reason
		s.Workload.Update = ""
		s.Release = nil
		d := lookAt(t, s)
		check(t, d, wanted{doing, inRolling, 1, 2, v1beta1.StepUpgrade, "Rollout is in step(1/3), and upgrade workload to new version", []string{"create 1"}, 0, ""})
		if c := d.Object.Status.CanaryStatus; c.StableRevision != "v1" || c.CanaryRevision != "" || c.CanaryReplicas != 0 {
			t.Errorf("%s: stable %q, canary %q, %d pods", reason, c.StableRevision, c.CanaryRevision, c.CanaryReplicas)
		}
	}
}

func TestPhases(t *testing.T) {
	t.Parallel()
	deleting := func(s *RolloutInput) { s.Rollout.DeletionTimestamp = &metav1.Time{Time: noon} }
	for name, c := range map[string]struct {
		seen RolloutInput
		edit func(s *RolloutInput)
		want wanted
	}{
		"first deployment": {
			atRest("1", "100%"), nil,
			wanted{v1beta1.PhaseHealthy, "", 2, -1, v1beta1.StepCompleted, "workload deployment is completed", nil, 0, ""},
		},
		"labels the workload first": {
			atRest("1", "100%"), func(s *RolloutInput) { s.Workload.Type = "" },
			wanted{phase: v1beta1.PhaseInitial, message: "labeling the workload for the admission webhook", orders: []string{"workload"}},
		},
		"the admission webhook does not intercept updates": {
			atRest("1", "100%"), func(s *RolloutInput) { s.Admission = errors.New("no webhook") },
			wanted{phase: v1beta1.PhaseInitial, message: "the admission webhook does not intercept updates of the workload: no webhook", wake: retryAdmission},
		},
		"no pods were made yet": {
			atRest("1", "100%"), func(s *RolloutInput) { s.Workload.Update = "" },
			wanted{phase: v1beta1.PhaseInitial, message: "waiting for the workload to create its first pods"},
		},
		"no workload": {
			atRest("1", "100%"), func(s *RolloutInput) { s.Objects.Workload = nil },
			wanted{phase: v1beta1.PhaseInitial, message: "Workload Not Found"},
		},
		"no workload, disabled": {
			atRest("1", "100%"), func(s *RolloutInput) { s.Objects.Workload, s.Rollout.Spec.Disabled = nil, true },
			wanted{phase: v1beta1.PhaseDisabled, message: "Rollout is disabled"},
		},
		"the workload was deleted in a release": {
			inStep(2, v1beta1.StepPaused, "1", "50%"), func(s *RolloutInput) { s.Objects.Workload = nil },
			wanted{phase: v1beta1.PhaseInitial, message: "Workload Not Found", orders: []string{"delete"}},
		},
		"a kind without a driver": {
			atRest("1", "100%"), func(s *RolloutInput) { s.Driver, s.Rollout.Spec.WorkloadRef.Kind = nil, "Sandwich" },
			wanted{phase: v1beta1.PhaseInitial, message: "WorkloadRef kind is not supported: this version does not support apps/v1 Sandwich in Partition style"},
		},
		"a release begins": {
			atRest("1", "100%"), func(s *RolloutInput) {
				s.Rollout.Status.Phase, s.Workload.Changing, s.Workload.Stable, s.Workload.Update = v1beta1.PhaseHealthy, true, "v1", ""
			},
			wanted{doing, inRolling, 1, 2, v1beta1.StepUpgrade, "Rollout is in step(1/2), and upgrade workload to new version", []string{"create 1"}, 0, ""},
		},
		"a release was begun and undone before anyone looked": {
			atRest("1", "100%"), func(s *RolloutInput) {
				s.Rollout.Status.Phase, s.Workload.Changing, s.Workload.Engaged, s.Workload.Stable = v1beta1.PhaseHealthy, true, true, "v1"
			},
			wanted{doing, v1beta1.ReasonCancelling, 1, 2, v1beta1.StepBeforeUpgrade, "The workload has been rolled back and the rollout process will be canceled", []string{"give back"}, 0, "workload has been rollback, then rollout is canceled"},
		},
		"a relabel run by a platform: all pods are there, and no stable version is named": {
			atRest("1", "100%"), func(s *RolloutInput) { s.Rollout.Status.Phase, s.Workload.Changing = v1beta1.PhaseHealthy, true },
			wanted{doing, inRolling, 1, 2, v1beta1.StepUpgrade, "Rollout is in step(1/2), and upgrade workload to new version", []string{"create 1"}, 0, ""},
		},
		"disabled at rest": {
			atRest("1", "100%"), func(s *RolloutInput) { s.Rollout.Spec.Disabled = true },
			wanted{phase: v1beta1.PhaseDisabled, message: "Rollout is disabled"},
		},
		"disabled in a release": {
			inStep(1, v1beta1.StepPaused, "1", "50%"), func(s *RolloutInput) { s.Rollout.Spec.Disabled = true },
			wanted{v1beta1.PhaseDisabling, inRolling, 1, 2, v1beta1.StepPaused, "Disabling rollout, release resources", []string{"give back"}, 0, ""},
		},
		"disabled, all given back": {
			inStep(1, v1beta1.StepPaused, "1", "50%"), func(s *RolloutInput) {
				s.Rollout.Spec.Disabled, s.Rollout.Status.Phase, s.Release = true, v1beta1.PhaseDisabling, nil
				s.Workload.Engaged, s.Workload.Changing = false, false
			},
			wanted{v1beta1.PhaseDisabled, v1beta1.ReasonCompleted, 1, 2, v1beta1.StepCompleted, "Rollout is disabled", nil, 0, ""},
		},
		"enabled while it is still being disabled: first to the end": {
			inStep(1, v1beta1.StepPaused, "1", "50%"), func(s *RolloutInput) { s.Rollout.Status.Phase = v1beta1.PhaseDisabling },
			wanted{v1beta1.PhaseDisabling, inRolling, 1, 2, v1beta1.StepPaused, "Disabling rollout, release resources", []string{"give back"}, 0, ""},
		},
		"enabled again": {
			atRest("1", "50%"), func(s *RolloutInput) { s.Rollout.Status.Phase = v1beta1.PhaseDisabled },
			wanted{v1beta1.PhaseHealthy, "", 2, -1, v1beta1.StepCompleted, "workload deployment is completed", nil, 0, ""},
		},
		"deleted at rest": {
			atRest("1", "50%"), deleting,
			wanted{phase: v1beta1.PhaseTerminating, message: "Rollout is in terminating"},
		},
		"deleted in a release": {
			inStep(1, v1beta1.StepPaused, "1", "50%"), deleting,
			wanted{v1beta1.PhaseTerminating, inRolling, 1, 2, v1beta1.StepPaused, "Rollout is in terminating", []string{"give back"}, 0, ""},
		},
		"deleted, the workload is gone": {
			inStep(1, v1beta1.StepPaused, "1", "50%"), func(s *RolloutInput) { deleting(s); s.Objects.Workload = nil },
			wanted{v1beta1.PhaseTerminating, inRolling, 1, 2, v1beta1.StepPaused, "Rollout is in terminating", []string{"delete"}, 0, ""},
		},
		"no steps": {
			inStep(1, v1beta1.StepPaused, "1"), func(s *RolloutInput) { s.Rollout.Spec.Strategy.Canary.Steps = nil },
			wanted{doing, inRolling, 1, -1, v1beta1.StepPaused, "the strategy has no steps", nil, 0, ""},
		},
		"a change slipped past admission": {
			atRest("1", "100%"), func(s *RolloutInput) {
				s.Rollout.Status = v1beta1.RolloutStatus{Phase: v1beta1.PhaseHealthy, CanaryStatus: &v1beta1.CanaryStatus{CanaryRevision: "v1"}}
				s.Workload.Update, s.Workload.Others = "v2", 7
			},
			wanted{phase: v1beta1.PhaseHealthy, orders: []string{"workload"}, event: "a change of the pod template bypassed the admission webhook; the workload is held now, and the change is released in steps"},
		},
		"a change slipped past admission, and is done": {
			atRest("1", "100%"), func(s *RolloutInput) {
				s.Rollout.Status = v1beta1.RolloutStatus{Phase: v1beta1.PhaseHealthy, CanaryStatus: &v1beta1.CanaryStatus{CanaryRevision: "v1"}}
				s.Workload.Update = "v2"
			},
			wanted{phase: v1beta1.PhaseHealthy, step: 2, next: -1, state: v1beta1.StepCompleted, message: "workload deployment is completed", event: "a change of the pod template bypassed the admission webhook, and all pods are updated already"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if c.edit != nil {
				c.edit(&c.seen)
			}
			check(t, lookAt(t, c.seen), c.want)
		})
	}
}

// TestFinalising follows a release from its last pod to its end, one answer of the BatchRelease at a time.
func TestFinalising(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		why       string
		policy    v1beta1.FinalizingPolicyType
		message   string
		succeeded metav1.ConditionStatus
		step      v1beta1.FinalisingStepType
	}{
		"success":   {v1beta1.ReasonFinalising, v1beta1.WaitResumeFinalizingPolicy, "Rollout progressing has been completed", metav1.ConditionTrue, v1beta1.FinalisingEnd},
		"roll back": {v1beta1.ReasonCancelling, v1beta1.ImmediateFinalizingPolicy, "Rollout progressing has been canceled", metav1.ConditionFalse, v1beta1.FinalisingEnd},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := inStep(2, v1beta1.StepCompleted, "1", "100%")
			s.Rollout.Status.Conditions[0].Reason = c.why
			if c.why == v1beta1.ReasonCancelling {
				s.Workload.Update, s.Rollout.Status.CanaryStatus.CanaryRevision = "v1", "v1"
			}
			follow := func(want ...string) Decision[*v1beta1.Rollout] {
				t.Helper()
				d := lookAt(t, s)
				if !slices.Equal(orders(d), want) {
					t.Fatalf("%v, want %v (step %s)", orders(d), want, d.Object.Status.CanaryStatus.FinalisingStep)
				}
				s.Rollout = d.Object
				return d
			}
			d := follow("give back")
			ordered, _ := d.Changes[0].To.(*v1beta1.BatchRelease)
			if got := ordered.Spec.ReleasePlan.FinalizingPolicy; got != c.policy {
				t.Errorf("policy %s, want %s", got, c.policy)
			}
			s.Release = ordered
			s.Release.Generation++
			follow() // no answer yet
			obey(s.Release, "v1", "v2")
			follow() // answered, and the workload is not seen to be back yet
			s.Workload.Engaged = false
			follow("workload", "delete")
			s.Release.DeletionTimestamp = &metav1.Time{Time: noon}
			follow("workload")
			s.Workload.Changing = false
			follow()
			s.Release = nil
			d = follow()
			st := d.Object.Status
			if st.Phase != v1beta1.PhaseHealthy || st.Message != c.message || st.CanaryStatus.FinalisingStep != c.step {
				t.Errorf("%s: %s, %s", st.Phase, st.Message, st.CanaryStatus.FinalisingStep)
			}
			if got := condition(st.Conditions, v1beta1.ConditionSucceeded); got == nil || got.Status != c.succeeded {
				t.Errorf("succeeded: %+v", got)
			}
			if got := condition(st.Conditions, v1beta1.ConditionProgressing); got.Status != metav1.ConditionFalse || got.Reason != v1beta1.ReasonCompleted || got.Message != c.message {
				t.Errorf("progressing: %+v", got)
			}
			if d := follow(); !equality.Semantic.DeepEqual(d.Object.Status.Conditions, st.Conditions) || d.Object.Status.Phase != v1beta1.PhaseHealthy {
				t.Error("what is at rest does not stay so")
			}
		})
	}
}

// TestUnknownFinalisingStep checks that a step of another version starts over.
func TestUnknownFinalisingStep(t *testing.T) {
	t.Parallel()
	s := inStep(2, v1beta1.StepCompleted, "1", "100%")
	s.Rollout.Status.Conditions[0].Reason = v1beta1.ReasonFinalising
	s.Rollout.Status.CanaryStatus.FinalisingStep = "Dancing"
	if d := lookAt(t, s); !slices.Equal(orders(d), []string{"give back"}) {
		t.Errorf("%v", orders(d))
	}
}

func TestConditions(t *testing.T) {
	t.Parallel()
	progressing := func(status metav1.ConditionStatus, reason, message string) v1beta1.RolloutCondition {
		return v1beta1.RolloutCondition{Type: v1beta1.ConditionProgressing, Status: status, Reason: reason, Message: message}
	}
	cs := setCondition(nil, noon, v1beta1.RolloutCondition{Type: v1beta1.ConditionSucceeded, Status: metav1.ConditionTrue})
	cs = setCondition(cs, noon, progressing("True", "A", "a"))
	later := noon.Add(time.Minute)
	if same := setCondition(slices.Clone(cs), later, progressing("True", "A", "a")); !equality.Semantic.DeepEqual(same, cs) {
		t.Errorf("setting it again changed it: %+v", same)
	}
	moved := setCondition(slices.Clone(cs), later, progressing("True", "B", "b"))
	if c := condition(moved, v1beta1.ConditionProgressing); !c.LastTransitionTime.Time.Equal(noon) || !c.LastUpdateTime.Time.Equal(later) {
		t.Errorf("another reason: %+v", c)
	}
	cs = setCondition(cs, later, v1beta1.RolloutCondition{Type: v1beta1.ConditionSucceeded, Status: metav1.ConditionFalse})
	if c := cs[len(cs)-1]; c.Type != v1beta1.ConditionSucceeded || !c.LastTransitionTime.Time.Equal(later) || len(cs) != 2 {
		t.Errorf("another status: %+v", cs)
	}
	if cs = dropCondition(cs, v1beta1.ConditionSucceeded); len(cs) != 1 || condition(cs, v1beta1.ConditionSucceeded) != nil {
		t.Errorf("dropped: %+v", cs)
	}
}

// TestStrategyHash pins hashes: an upgrade of the controller must not look like an edited plan.
func TestStrategyHash(t *testing.T) {
	t.Parallel()
	base := newRollout("1", "50%", "100%").Spec.Strategy
	hash := strategyHash(base)
	if len(hash) != 64 || strings.Trim(hash, safeLetters) != "" {
		t.Errorf("hash %q", hash)
	}
	same := *base.DeepCopy()
	same.Paused = true
	same.Canary.FailureThreshold = new(intstr.FromInt32(1))
	same.Canary.Steps[0].Pause.Duration = new(int32(1))
	if strategyHash(same) != hash {
		t.Error("pauses and thresholds count")
	}
	other := *base.DeepCopy()
	other.Canary.Steps[1].Replicas = new(intstr.FromString("51%"))
	if strategyHash(other) == hash {
		t.Error("the size of a step does not count")
	}
}

// TestAdoptRolling checks that a Deployment that is rolling by itself when a Rollout comes is taken to come from the
// older of its versions.
func TestAdoptRolling(t *testing.T) {
	t.Parallel()
	s := atRest("1", "100%")
	s.Workload.Update, s.Workload.Stable, s.Workload.Others = "v2", "v1", 3
	d := lookAt(t, s)
	if c := d.Object.Status.CanaryStatus; c.StableRevision != "v1" || c.CanaryRevision != "v2" {
		t.Errorf("stable %q, canary %q", c.StableRevision, c.CanaryRevision)
	}
}

// TestHeldAgainWhileLeaving: a change that admission holds after the workload was restored is restored as well, and
// does not stay behind paused. (Found by the properties.)
func TestHeldAgainWhileLeaving(t *testing.T) {
	t.Parallel()
	s := inStep(1, v1beta1.StepPaused, "1", "100%")
	s.Rollout.Status.Phase = v1beta1.PhaseDisabling
	s.Rollout.Status.CanaryStatus.FinalisingStep = v1beta1.FinalisingReleaseWorkload
	s.Workload.Update, s.Release = "", nil // a third template, held, and no one left who would restore it
	d := lookAt(t, s)
	if at := d.Object.Status.CanaryStatus.FinalisingStep; at != v1beta1.FinalisingResumeWorkload {
		t.Errorf("at %s, want it to begin again at ResumeWorkload", at)
	}
	if len(d.Changes) != 1 || d.Changes[0].From != nil {
		t.Errorf("changes %v, want a BatchRelease that gives the workload back", d.Changes)
	}
}

// TestLeftBehind: a workload that a lost Rollout left held is taken over, and not left so.
func TestLeftBehind(t *testing.T) {
	t.Parallel()
	s := atRest("1", "100%")
	s.Rollout.Status = v1beta1.RolloutStatus{}
	s.Workload.Engaged, s.Workload.Held, s.Workload.Changing, s.Workload.Update = true, true, false, ""
	d := lookAt(t, s)
	if len(d.Changes) != 1 || d.Changes[0].To.GetAnnotations()[v1beta1.AnnotationInProgressing] == "" {
		t.Errorf("changes %v, want the mark of a release", d.Changes)
	}
}

// TestGoodbye: a workload that no one manages any more does not depend on admission either.
func TestGoodbye(t *testing.T) {
	t.Parallel()
	s := atRest("1", "100%")
	s.Rollout.DeletionTimestamp, s.Rollout.Finalizers = &metav1.Time{Time: noon}, []string{v1beta1.FinalizerRollout}
	s.Objects.Workload.SetLabels(map[string]string{v1beta1.LabelWorkloadType: "deployment", "the": "user's"})
	d := lookAt(t, s)
	if len(d.Changes) != 1 || len(d.Object.Finalizers) != 1 {
		t.Fatalf("changes %v, finalizers %v, want the label taken off first", d.Changes, d.Object.Finalizers)
	}
	labels := d.Changes[0].To.GetLabels()
	if _, marked := labels[v1beta1.LabelWorkloadType]; marked || labels["the"] == "" {
		t.Errorf("labels %v, want the user's only", labels)
	}
	s.Rollout, s.Objects.Workload, s.Workload.Type = d.Object, d.Changes[0].To, ""
	if d := lookAt(t, s); len(d.Changes) != 0 || len(d.Object.Finalizers) != 0 {
		t.Errorf("changes %v, finalizers %v, want it gone", d.Changes, d.Object.Finalizers)
	}
}
