// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"k8s.io/apimachinery/pkg/util/intstr"
	cmdutil "k8s.io/kubectl/pkg/cmd/util"

	rolloutsv1beta1 "kruise.io/rollouts/api/v1beta1"
)

// back sends a release to an earlier step that sends no requests to the new version.
func (o *undo) back(r *release) error {
	step, why := quietStep(r.Spec.Strategy.Steps(), r.CurrentStepIndex)
	if idle := notReleasing(r); idle != "" {
		why = idle
	}
	if why != "" {
		return refused(r.info, why)
	}
	if o.dryRun != cmdutil.DryRunClient {
		if err := r.writeStatus("nextStepIndex", step, o.dryRun == cmdutil.DryRunServer); err != nil {
			return movedOn(r, err, notReleasing)
		}
	}
	return o.report(r.info, "rolled back")
}

// notReleasing says why there is no step to go back from; empty: there may be.
func notReleasing(r *release) string {
	if r.part == "" || r.Status.Phase != "" && r.Status.Phase != rolloutsv1beta1.PhaseProgressing {
		return "is not in progress: there is no step to return from"
	}
	return ""
}

// quietStep is, of the steps before the current one (from 1) that send no requests to the new version, the one with
// the most pods, and the last of these.
func quietStep(steps []rolloutsv1beta1.CanaryStep, current int32) (step int32, why string) {
	if current < 2 {
		return 0, "already at the first step"
	}
	most := -1
	for i := range min(int(current)-1, len(steps)) {
		if s := steps[i]; len(s.Matches) == 0 && (s.Traffic == nil || isZero(*s.Traffic)) {
			if share := shareOf(s.Replicas); share >= most {
				most, step = share, int32(i+1) //nolint:gosec // at most 50
			}
		}
	}
	if step == 0 {
		return 0, "no previous step with no traffic found"
	}
	return step, ""
}

func isZero(traffic string) bool {
	v := intstr.Parse(traffic)
	return shareOf(&v) == 0
}

// shareOf compares what steps ask for: as many pods of a hundred. A step that does not say asks for all.
func shareOf(replicas *intstr.IntOrString) int {
	if replicas == nil {
		return 100
	}
	share, err := intstr.GetScaledValueFromIntOrPercent(replicas, 100, true)
	if err != nil {
		return 0
	}
	return share
}
