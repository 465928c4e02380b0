// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"slices"

	"kruise.io/rollouts/api/v1beta1"
	"kruise.io/rollouts/internal/analysis"
	"kruise.io/rollouts/internal/traffic"
)

// values is what templates may refer to.
func (p *rolloutPlanner) values(a v1beta1.Analysis) analysis.Values {
	v := analysis.Values{
		Rollout: p.Rollout, CanaryHash: p.sub.PodTemplateHash, StableHash: p.sub.StableRevision, Step: p.sub.CurrentStepIndex,
	}
	routings := p.Rollout.Spec.Strategy.Routings()
	switch {
	case a.Prometheus != nil && a.Prometheus.PodMetrics != nil:
		v.Gateway, v.Names = analysis.Pods, CountedByPods(*a.Prometheus.PodMetrics)
		v.Names.Namespace = p.Rollout.Namespace
	case len(routings) > 0:
		v.Gateway, v.Names, v.Uncounted = p.countedBy(routings[0], a.Prometheus)
	default:
		v.Uncounted = "the Rollout has no trafficRoutings, so that no gateway distinguishes the versions; " + elsewhereMeasured
	}
	return v
}

// countedBy is whose series count the requests of a routing, and by which names; or why that is not known.
func (p *rolloutPlanner) countedBy(ref v1beta1.TrafficRoutingRef, source *v1beta1.PrometheusSource) (gateway analysis.Gateway, names analysis.Names, unknown string) {
	who := ""
	if source != nil {
		who = source.Gateway
	}
	if who == "" && ref.Gateway != nil && ref.Ingress == nil {
		who = p.acceptedBy()
	}
	shared := p.Rollout.Spec.Strategy.SharedService()
	gateway, names = CountedBy(ref, who, shared)
	names.Namespace = p.Rollout.Namespace
	names.Exported = source != nil && source.ExportedLabels
	switch {
	case gateway == analysis.IstioSubsets:
	case shared:
		unknown = "both versions have one Service (disableGenerateCanaryService), by which no gateway distinguishes them; " + elsewhereMeasured
	case gateway == "" && ref.Gateway != nil:
		unknown = "no gateway that is known has accepted the route: set prometheus.gateway of the analysis, or " + elsewhereMeasured
	}
	return gateway, names, unknown
}

// elsewhereMeasured is what to do where requests are not counted by version.
const elsewhereMeasured = "name the application's own counters in prometheus.podMetrics, or use an AnalysisTemplate that queries its metrics"

// CountedByPods are the names by which pods count requests themselves.
func CountedByPods(m v1beta1.PodMetrics) analysis.Names {
	return analysis.Names{
		CanaryPods: []string{analysis.CanaryPods}, StablePods: []string{analysis.StablePods},
		PodMetrics: analysis.PodMetrics{Requests: m.Requests, Errors: m.Errors, ErrorSelector: m.ErrorSelector, Buckets: m.Buckets, PodLabel: m.PodLabel},
	}
}

// CountedBy is whose series count the requests of a routing, and by which names but for the namespace. Who is the gateway as the Rollout
// names it (prometheus.gateway), or as its controller does; without it the class of the Ingress and the kind of a custom route tell. "":
// it is not known.
func CountedBy(ref v1beta1.TrafficRoutingRef, who string, shared bool) (analysis.Gateway, analysis.Names) {
	names := analysis.Names{Service: ref.Service}
	if !shared {
		names.CanaryService = traffic.BackendsOf(ref.Service, shared).Canary
	}
	if ref.Ingress != nil {
		names.Ingress = ref.Ingress.Name
	}
	if ref.Gateway != nil && ref.Gateway.HTTPRouteName != nil {
		names.Route = *ref.Gateway.HTTPRouteName
	}
	switch {
	case who == "traefik" && names.Route != "":
		return analysis.TraefikHTTPRoute, names
	case who == "traefik":
		return analysis.TraefikIngress, names
	case who == string(analysis.Istio):
		return istio(names, shared)
	case who != "":
		return analysis.Gateway(who), names
	case ref.Ingress != nil:
		return analysis.Gateway(analysis.GatewayOfClass(ref.Ingress.ClassType)), names
	case ref.Gateway != nil:
		return "", names
	case slices.ContainsFunc(ref.CustomNetworkRefs, func(ref v1beta1.ObjectRef) bool { return ref.Kind == "VirtualService" }):
		return istio(names, shared)
	case len(ref.CustomNetworkRefs) > 0:
		return analysis.Gateway(ref.CustomNetworkRefs[0].Kind), names
	default:
		return "", names
	}
}

// istio is how Istio counts: where both versions have one Service, by the pods that answer.
func istio(names analysis.Names, shared bool) (analysis.Gateway, analysis.Names) {
	if !shared {
		return analysis.Istio, names
	}
	names.CanaryPods, names.StablePods = []string{analysis.CanaryPods}, []string{analysis.StablePods}
	return analysis.IstioSubsets, names
}

// acceptedBy is the gateway whose controller has accepted a route of the release; "": none that is known has.
func (p *rolloutPlanner) acceptedBy() string {
	for _, r := range p.Routings {
		for _, u := range r.Routes {
			for _, controller := range traffic.Controllers(u) {
				if gateway := analysis.GatewayOfController(controller); gateway != "" {
					return gateway
				}
			}
		}
	}
	return ""
}
