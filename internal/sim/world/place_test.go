// SPDX-License-Identifier: Apache-2.0

package world_test

import (
	"fmt"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// TestJumpByPresentStep: a client that writes that the release is in another step has it go to exactly that one, whether admission answers or
// not; pods never go back.
func TestJumpByPresentStep(t *testing.T) {
	t.Parallel()
	for patch, want := range map[string]struct {
		step int32
		pods string
	}{
		`"currentStepIndex":1`: {1, "1:3 2:2"},

		`"currentStepIndex":1,"currentStepState":"StepUpgrade"`: {1, "1:3 2:2"},
		`"currentStepIndex":3`:                                 {3, "1:1 2:4"},
		`"currentStepIndex":1,"nextStepIndex":4`:               {4, "2:5"},
		`"currentStepIndex":1,"currentStepState":"StepReady"`:  {2, "1:3 2:2"},
		`"currentStepIndex":4,"currentStepState":"Completed"`:  {2, "1:3 2:2"},
		`"currentStepIndex":2,"currentStepState":"StepReady"`:  {3, "1:1 2:4"},
		`"currentStepIndex":9,"currentStepState":"StepPaused"`: {2, "1:3 2:2"},
	} {
		for _, unsigned := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, without admission %t", patch, unsigned), func(t *testing.T) {
				t.Parallel()
				r := dep.conform(t, 5, steps("1", "2", "4", "5"))
				r.image("2")
				r.pass(time.Minute)
				r.approve()
				r.run("step 2", "1:3 2:2")
				r.SigningDown = unsigned
				r.must(r.User.Status().Patch(t.Context(), r.rollout(), client.RawPatch(types.MergePatchType, fmt.Appendf(nil, `{"status":{"canaryStatus":{%s}}}`, patch))))
				r.run("asked", want.pods)
				if at := r.rollout().Status.CurrentStepIndex; at != want.step {
					t.Errorf("it is in step %d, want %d", at, want.step)
				}
			})
		}
	}
}
