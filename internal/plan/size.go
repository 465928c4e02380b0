// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"k8s.io/apimachinery/pkg/util/intstr"
)

// scaled is an int-or-percent of n, percentages rounded up (docs/wire.md, conventions). What does not parse counts as 0.
func scaled(v intstr.IntOrString, n int32) int32 {
	pods, err := intstr.GetScaledValueFromIntOrPercent(&v, int(n), true)
	if err != nil {
		return 0
	}
	return int32(pods) //nolint:gosec // a count of pods
}

// batchSize is how many pods a batch asks for: never more than there are, and of kinds that keep one not all of them by
// rounding (docs/wire.md, batch size).
func batchSize(v intstr.IntOrString, replicas int32, keepsOne bool) int32 {
	size := min(max(scaled(v, replicas), 0), replicas)
	if keepsOne && v.Type == intstr.String && v.StrVal != "100%" && replicas > 1 {
		size = min(size, replicas-1)
	}
	return size
}
