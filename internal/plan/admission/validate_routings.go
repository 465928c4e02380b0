// SPDX-License-Identifier: Apache-2.0

package admission

import (
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"kruise.io/rollouts/api/v1beta1"
	"kruise.io/rollouts/internal/traffic"
)

// routes is how requests reach a workload, by whatever its Rollout names.
type routes struct {
	routings        []v1beta1.TrafficRoutingRef
	ref, annotation string // of a TrafficRouting
}

// any tells whether there are routes that matches could act on.
func (r routes) any() bool {
	return len(r.routings) > 0 || r.ref != "" || r.annotation != ""
}

// equal tells whether two Rollouts name the same routes.
func (r routes) equal(other routes) bool {
	return r.ref == other.ref && r.annotation == other.annotation && equality.Semantic.DeepEqual(r.routings, other.routings)
}

// validate checks the Services and routes of a strategy: all of them, they are moved as one.
func (r routes) validate(path *field.Path, l Limits) field.ErrorList {
	var errs field.ErrorList
	for i := range r.routings {
		at := path.Child("TrafficRouting")
		if i > 0 {
			at = at.Index(i)
		}
		errs = append(errs, validateRouting(at, &r.routings[i], l)...)
	}
	return errs
}

// able checks that the gateways can do what steps ask of them, where nothing else is wrong: what they cannot is refused,
// and never left out in silence.
func (r routes) able(errs field.ErrorList, path *field.Path, steps []v1beta1.TrafficRoutingStrategy, l Limits) field.ErrorList {
	if len(errs) > 0 {
		return errs
	}
	for _, routing := range r.routings {
		for _, capabilities := range traffic.CapabilitiesOf(routing, l.Scripts) {
			for i, step := range steps {
				if lacks := capabilities.Lacks(step); lacks != "" {
					errs = append(errs, field.Forbidden(path.Child("Steps").Index(i), lacks))
				}
			}
		}
	}
	return errs
}

func validateRouting(path *field.Path, routing *v1beta1.TrafficRoutingRef, l Limits) field.ErrorList {
	var errs field.ErrorList
	invalid := func(child string, value any, text string) {
		errs = append(errs, field.Invalid(path.Child(child), value, text))
	}
	if grace := routing.GracePeriodSeconds; grace != nil && *grace < 0 {
		invalid("GracePeriodSeconds", *grace, "TrafficRouting.GracePeriodSeconds cannot be negative; 0 does not wait")
	}
	if routing.Service == "" {
		invalid("Service", routing.Service, "TrafficRouting.Service cannot be empty; write the name of the Service that selects the workload's pods")
	}
	if routing.Gateway == nil && routing.Ingress == nil && len(routing.CustomNetworkRefs) == 0 {
		invalid("TrafficRoutings", nil, "TrafficRoutings are not set; write ingress, gateway or customNetworkRefs beside service")
	}
	if routing.Ingress != nil && routing.Ingress.Name == "" {
		invalid("Ingress", "", "TrafficRouting.Ingress.Ingress cannot be empty; write the Ingress's name")
	}
	if gateway := routing.Gateway; gateway != nil && empty(gateway.HTTPRouteName) && empty(gateway.GRPCRouteName) {
		invalid("Gateway", nil, "TrafficRouting.Gateway must set the name of HTTPRoute or HTTPsRoute; write httpRouteName or grpcRouteName")
	}
	if len(errs) == 0 {
		if _, err := traffic.Routers(*routing, traffic.Config{Scripts: l.Scripts}); err != nil {
			invalid("TrafficRoutings", routing.Service, err.Error())
		}
	}
	return errs
}

func empty(name *string) bool { return name == nil || *name == "" }
