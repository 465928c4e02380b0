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
