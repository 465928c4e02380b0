// SPDX-License-Identifier: Apache-2.0

package world_test

import (
	"fmt"
	"testing"
	"time"
)

// TestLeftInTheMiddleOfABatch: with the feature gate that leaves a workload where its release is, that is where its pods are when the Rollout
// goes, and not where the batch was to bring them.
func TestLeftInTheMiddleOfABatch(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"Deployment", "StatefulSet", "CloneSet/v1alpha1", "DaemonSet"} {
		for _, disabled := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, disabled %t", name, disabled), func(t *testing.T) {
				t.Parallel()
				r := kinds[name].conform(t, 5, steps("2", "4", "100%"))
				r.KeepPaused = true
				r.Restart()
				r.patch(`{spec: {template: {metadata: {annotations: {"sandbox.kruise.io/ready-after": "20s"}}, spec: {containers: [{name: main, image: "web:2"}]}}}}`)
				r.pass(2 * time.Second)
				before := r.images()
				if disabled {
					r.edit("{spec: {disabled: true}}")
				} else {
					r.must(r.User.Delete(t.Context(), r.rollout()))
				}
				r.run("left", before)
			})
		}
	}
}
