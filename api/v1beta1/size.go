// SPDX-License-Identifier: Apache-2.0

package v1beta1

import (
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// PodsOf is how many of a workload's pods a step or a batch asks for: a number, or a percentage rounded up; never more
// than there are, and where keepsOne not all of them by rounding (docs/wire.md, batch size). What does not parse is 0.
// Anyone who needs to know it asks here, so that pods and the traffic routed to them are counted alike.
func PodsOf(size intstr.IntOrString, replicas int32, keepsOne bool) int32 {
	n, err := intstr.GetScaledValueFromIntOrPercent(&size, int(replicas), true)
	if err != nil {
		return 0
	}
	pods := min(max(int32(n), 0), replicas) //nolint:gosec // a count of pods
	if keepsOne && size.Type == intstr.String && size.StrVal != "100%" && replicas > 1 {
		pods = min(pods, replicas-1)
	}
	return pods
}

// KeepsOne reports whether a percentage below 100 leaves at least one pod at the stable revision: of Deployments, unless
// their new pods stand next to them (docs/wire.md, batch size).
func KeepsOne(workload ObjectRef, style RollingStyleType) bool {
	gv, err := schema.ParseGroupVersion(workload.APIVersion)
	return err == nil && gv.Group == "apps" && workload.Kind == "Deployment" && style != CanaryRollingStyle
}
