// SPDX-License-Identifier: Apache-2.0

package admission

import (
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/ptr"

	"kruise.io/rollouts/api/v1beta1"
	"kruise.io/rollouts/internal/traffic"
)

// routes is how requests reach a workload, by whatever its Rollout names.
type routes struct {
	routings        []v1beta1.TrafficRoutingRef
	ref, annotation string // of a TrafficRouting
	shared          bool   // canary pods have no Service of their own
}

// any reports whether there are routes that matches could act on.
func (r routes) any() bool {
	return len(r.routings) > 0 || r.ref != "" || r.annotation != ""
}

// equal reports whether two Rollouts name the same routes.
func (r routes) equal(other routes) bool {
	return r.shared == other.shared && r.ref == other.ref && r.annotation == other.annotation && equality.Semantic.DeepEqual(r.routings, other.routings)
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
		errs = append(errs, validateNames(at, &r.routings[i], r.shared)...)
		for j := range i {
			if route := divided(&r.routings[i], &r.routings[j]); route != "" {
				errs = append(errs, field.Forbidden(at.Child("Gateway"), fmt.Sprintf(
					"rules of %s that route to Service %s are selected by another item of trafficRoutings, too, and would be split twice; write ruleNames so that each rule is selected once", route, r.routings[i].Service)))
			}
		}
	}
	return errs
}

// divided is the route of which two routings name some rules both, and others not; "": none.
func divided(a, b *v1beta1.TrafficRoutingRef) string {
	if a.Service != b.Service || a.Gateway == nil || b.Gateway == nil || equality.Semantic.DeepEqual(a.Gateway.RuleNames, b.Gateway.RuleNames) {
		return ""
	}
	both := len(a.Gateway.RuleNames) == 0 || len(b.Gateway.RuleNames) == 0 ||
		slices.ContainsFunc(a.Gateway.RuleNames, func(name string) bool { return slices.Contains(b.Gateway.RuleNames, name) })
	switch {
	case !both:
		return ""
	case !empty(a.Gateway.HTTPRouteName) && ptr.Equal(a.Gateway.HTTPRouteName, b.Gateway.HTTPRouteName):
		return "HTTPRoute " + *a.Gateway.HTTPRouteName
	case !empty(a.Gateway.GRPCRouteName) && ptr.Equal(a.Gateway.GRPCRouteName, b.Gateway.GRPCRouteName):
		return "GRPCRoute " + *a.Gateway.GRPCRouteName
	default:
		return ""
	}
}

// able checks that the gateways can do what steps ask of them, where nothing else is wrong: what they cannot is refused,
// and never left out in silence.
func (r routes) able(errs field.ErrorList, path *field.Path, steps []v1beta1.TrafficRoutingStrategy, l Limits) field.ErrorList {
	if len(errs) > 0 {
		return errs
	}
	for _, routing := range r.routings {
		for i, step := range steps {
			if err := traffic.Able(routing, traffic.Config{Backends: traffic.BackendsOf(routing.Service, r.shared), Scripts: l.Scripts}, step); err != nil {
				errs = append(errs, field.Forbidden(path.Child("Steps").Index(i), err.Error()))
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
		invalid("TrafficRoutings", nil, "TrafficRoutings are not set; write ingress, gateway or customNetworkRefs next to service")
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

// validateNames checks that what is made next to a Service and an Ingress can have its name: the API server would refuse it in
// the middle of the first release.
func validateNames(path *field.Path, routing *v1beta1.TrafficRoutingRef, shared bool) field.ErrorList {
	var errs field.ErrorList
	const suffix = len("-canary")
	if most := validation.DNS1035LabelMaxLength - suffix; !shared && len(routing.Service) > most {
		errs = append(errs, field.Invalid(path.Child("Service"), routing.Service, fmt.Sprintf(
			"TrafficRouting.Service must be no more than %d characters, because the canary Service is named <service>-canary; "+
				"give the workload a Service with a shorter name, or set disableGenerateCanaryService", most)))
	}
	if most := validation.DNS1123SubdomainMaxLength - suffix; routing.Ingress != nil && len(routing.Ingress.Name) > most {
		errs = append(errs, field.Invalid(path.Child("Ingress"), routing.Ingress.Name, fmt.Sprintf(
			"TrafficRouting.Ingress.Name must be no more than %d characters, because the canary Ingress is named <ingress>-canary; write an Ingress with a shorter name", most)))
	}
	return errs
}

// validateHolder checks that a TrafficRouting can be held: by a finalizer that ends with the Rollout's name.
func validateHolder(rollout string, r routes) field.ErrorList {
	if most := validation.LabelValueMaxLength; (r.ref != "" || r.annotation != "") && len(rollout) > most {
		return field.ErrorList{field.Invalid(field.NewPath("Metadata", "Name"), rollout, fmt.Sprintf(
			"the name of a Rollout with a TrafficRouting must be no more than %d characters, because the TrafficRouting gets a finalizer with that name; "+
				"give the Rollout a shorter one, or write trafficRoutings instead", most))}
	}
	return nil
}

func empty(name *string) bool { return name == nil || *name == "" }
