// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"
)

// renamed is what the reference implementation puts after the name of an autoscaler's target while it releases blue-green
// (docs/wire.md, HPA handling). This one never writes autoscalers but to undo that.
const renamed = "-DisableByRollout"

// repairAutoscalers gives autoscalers back that a release of the reference implementation has left renamed.
func (l *look) repairAutoscalers() {
	ref := l.Rollout.Spec.WorkloadRef
	of, _ := schema.ParseGroupVersion(ref.APIVersion)
	for _, scaler := range l.Autoscalers {
		target := scaler.Spec.ScaleTargetRef
		gv, _ := schema.ParseGroupVersion(target.APIVersion)
		name := target.Name
		for strings.HasSuffix(name, renamed) {
			name = strings.TrimSuffix(name, renamed)
		}
		if name == target.Name || name != ref.Name || target.Kind != ref.Kind || gv.Group != of.Group {
			continue
		}
		repaired := scaler.DeepCopy()
		repaired.Spec.ScaleTargetRef.Name = name
		l.Changes = append(l.Changes, diff(scaler, repaired)...)
	}
}
