// SPDX-License-Identifier: Apache-2.0

package analysis

import (
	"strings"

	"k8s.io/apimachinery/pkg/util/intstr"
)

// IsPercentage reports whether a value is one above 0, and up to 100. 0.995 is none: it is a share to who writes it, and would be
// taken for less than one percent.
func IsPercentage(v intstr.IntOrString) bool {
	share, err := percentage(v)
	return err == nil && (share >= 0.01 || strings.HasSuffix(v.StrVal, "%"))
}
