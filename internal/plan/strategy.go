// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"k8s.io/apimachinery/pkg/util/intstr"

	"kruise.io/rollouts/api/v1beta1"
	"kruise.io/rollouts/internal/workload"
)

// wholly stands in for the replicas of a step that admission would have refused.
var wholly = intstr.FromString("100%")

// Style is how a Rollout moves the pods of its workload. A kind that can have no pods next to it is released in batches.
func Style(ro *v1beta1.Rollout) v1beta1.RollingStyleType {
	style := ro.Spec.Strategy.Style()
	if style == v1beta1.CanaryRollingStyle && workload.KindOf(ro.Spec.WorkloadRef).Styles[style] == nil {
		return v1beta1.PartitionRollingStyle
	}
	return style
}

// ReleaseStyle is how a BatchRelease moves the pods of its workload.
func ReleaseStyle(br *v1beta1.BatchRelease) v1beta1.RollingStyleType {
	switch plan := br.Spec.ReleasePlan; {
	case plan.RollingStyle != "":
		return plan.RollingStyle
	case plan.EnableExtraWorkloadForCanary:
		return v1beta1.CanaryRollingStyle
	default:
		return v1beta1.PartitionRollingStyle
	}
}

// natural is the step after i of n, or -1 after the last.
func natural(i, n int32) int32 {
	if i >= n {
		return -1
	}
	return i + 1
}
