// SPDX-License-Identifier: Apache-2.0

package admission

import (
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"kruise.io/rollouts/api/v1beta1"
	"kruise.io/rollouts/internal/analysis"
)

// distinct checks that the requests of one version can be told from the other's, where they are counted: it is never passed over in
// silence that they cannot. Which gateway serves a route of the Gateway API is not known here, so that it is found out when it is asked.
func (f *faults) distinct(at *field.Path, a *v1beta1.Analysis, r routes) {
	if !analysis.HasChecks(*a) {
		return
	}
	if len(r.routings) == 0 {
		f.Required(at, "successRate, latency and compare need trafficRoutings, by which the requests of the two versions are told apart; "+
			"write templates with queries of the application's own metrics instead")
		return
	}
	named := ""
	if a.Prometheus != nil {
		named = a.Prometheus.Gateway
	}
	gateway, names := countedBy(r.routings[0], named, r.shared)
	if gateway == "" || named != "" && !slices.Contains(gateways, named) {
		return // it is not known, or refused already
	}
	if _, err := analysis.QueriesFor(gateway, names); err != nil {
		why, _, _ := strings.Cut(err.Error(), ";")
		f.Invalid(at, string(gateway), "successRate, latency and compare need a gateway that tells the requests of the two versions apart: "+why+
			"; write templates with queries of the application's own metrics instead")
	}
}

// countedBy is whose series count the requests of a routing, and by which names; "": it is not known.
func countedBy(r v1beta1.TrafficRoutingRef, named string, shared bool) (analysis.Gateway, analysis.Names) {
	names := analysis.Names{Namespace: "n", Service: r.Service} // which namespace does not matter
	if !shared {
		names.CanaryService = r.Service + "-canary"
	}
	if r.Ingress != nil {
		names.Ingress = r.Ingress.Name
	}
	if r.Gateway != nil && r.Gateway.HTTPRouteName != nil {
		names.Route = *r.Gateway.HTTPRouteName
	}
	switch {
	case named == "traefik" && names.Route != "":
		return analysis.TraefikHTTPRoute, names
	case named == "traefik":
		return analysis.TraefikIngress, names
	case named != "":
		return analysis.Gateway(named), names
	case r.Ingress != nil:
		return analysis.Gateway(analysis.GatewayOfClass(r.Ingress.ClassType)), names
	case r.Gateway != nil:
		return "", names
	case slices.ContainsFunc(r.CustomNetworkRefs, func(ref v1beta1.ObjectRef) bool { return ref.Kind == "VirtualService" }):
		return analysis.Istio, names
	case len(r.CustomNetworkRefs) > 0:
		return analysis.Gateway(r.CustomNetworkRefs[0].Kind), names
	default:
		return "", names
	}
}
