// SPDX-License-Identifier: Apache-2.0

package admission

import (
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"kruise.io/rollouts/api/v1alpha1"
	"kruise.io/rollouts/internal/plan"
	"kruise.io/rollouts/internal/traffic"
)

// ValidateTrafficRouting returns what the gateways of a TrafficRouting cannot do of what it asks for. It is created (old is nil) or
// updated; an update that leaves its spec as it was is not checked. All else is said in its status.
func ValidateTrafficRouting(t, old *v1alpha1.TrafficRouting, l Limits) field.ErrorList {
	if old != nil && (t.DeletionTimestamp != nil || equality.Semantic.DeepEqual(t.Spec, old.Spec)) {
		return nil
	}
	var errs field.ErrorList
	for _, routing := range t.Spec.ObjectRef {
		c := traffic.Config{Backends: traffic.BackendsOf(routing.Service, true), Scripts: l.Scripts} // it makes no Service
		if err := traffic.Able(routing, c, *plan.Asked(t)); err != nil {
			errs = append(errs, field.Forbidden(specPath.Child("Strategy"), err.Error()))
		}
	}
	return errs
}
