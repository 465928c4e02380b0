// SPDX-License-Identifier: Apache-2.0

package admission

import "kruise.io/rollouts/api/v1beta1"

// ApprovedBy is who approves by the annotations of a Rollout, as it has to be stored when a user writes them: nobody signs for somebody
// else, nor takes a signature away. "": nobody approves.
func ApprovedBy(old, edited map[string]string, user string) string {
	asks, changed := false, false
	for _, key := range []string{v1beta1.AnnotationApprove, v1beta1.AnnotationSkipAnalysis} {
		asks = asks || edited[key] != ""
		changed = changed || edited[key] != "" && edited[key] != old[key]
	}
	switch {
	case !asks:
		return ""
	case changed:
		return user
	default:
		return old[v1beta1.AnnotationApprovedBy]
	}
}
