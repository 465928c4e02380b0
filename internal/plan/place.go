// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"cmp"
	"fmt"

	"kruise.io/rollouts/api/v1beta1"
)

// Place is where a release is in its steps, by its status: what clients write of it, to approve and to jump.
type Place struct {
	Index, Next int32
	State       v1beta1.CanaryStepState
}

// AskedPlace is where a release of n steps is to go on when a client writes that it is at another place than it was: another step is a jump to
// exactly that one, which is begun. An approval of another step than the present one is none, which late says: it came for a step that the
// release has left, or is not in yet. A jump by the step that comes next leads further than either.
func AskedPlace(was, is Place, n int32) (at Place, late bool) {
	was.State = cmp.Or(was.State, v1beta1.StepBeforeUpgrade)
	jumps := is.Next >= 1 && is.Next <= n && is.Next != was.Next && is.Next != natural(was.Index, n) && is.Next != natural(is.Index, n)
	approves := is.State != was.State && (is.State == v1beta1.StepReady || is.State == v1beta1.StepCompleted)
	switch {
	case was.Index < 1 || is.Index == was.Index: // nobody knows, or the step is the same
		return is, false
	case jumps:
		return Place{was.Index, is.Next, was.State}, false
	case is.Index < 1 || is.Index > n:
		return was, false
	case approves:
		return was, true
	default:
		return Place{is.Index, natural(is.Index, n), v1beta1.StepBeforeUpgrade}, false
	}
}

// ApprovedElsewhere says that an approval is of another step than the one that the release is in.
func ApprovedElsewhere(of, in int32) string {
	return fmt.Sprintf("the approval is ignored, because it is for step %d and the release is in step %d: approve step %d when the Rollout is in state StepPaused", of, in, in)
}

// askedPlace takes up what a client wrote of the step that the release is in. Which one that was is known by the top of the status, where
// nobody asks for anything; admission, which sees both, does the same before it is stored.
func (p *rolloutPlanner) askedPlace() {
	n := p.steps()
	was := Place{p.status.CurrentStepIndex, natural(p.status.CurrentStepIndex, n), p.status.CurrentStepState}
	is := Place{p.sub.CurrentStepIndex, p.sub.NextStepIndex, p.sub.CurrentStepState}
	if p.status.Phase != v1beta1.PhaseProgressing || was.Index < 1 || was.Index == is.Index {
		return
	}
	at, late := AskedPlace(was, is, n)
	if late {
		p.warn(EventApprovedTooEarly, ApprovedElsewhere(is.Index, was.Index))
	}
	if at.Index != was.Index {
		p.happened(v1beta1.StepJumped, at.Index, "")
		p.goTo(at.Index)
		return
	}
	p.sub.CurrentStepIndex, p.sub.NextStepIndex, p.sub.CurrentStepState = at.Index, at.Next, at.State
}
