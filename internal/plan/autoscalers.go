// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"
)

// renamed is what the reference implementation puts after the name of an autoscaler's target while it releases blue-green
// (docs/wire.md, HPA handling). This one never writes autoscalers but to undo that.
const renamed = "-DisableByRollout"

// repairAutoscalers restores autoscalers that a release of the reference implementation has left renamed.
func (p *rolloutPlanner) repairAutoscalers() {
	ref := p.Rollout.Spec.WorkloadRef
	of, _ := schema.ParseGroupVersion(ref.APIVersion)
	for _, scaler := range p.Autoscalers {
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
		p.Changes = append(p.Changes, diff(scaler, repaired)...)
	}
}
