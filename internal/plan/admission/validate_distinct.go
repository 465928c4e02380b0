// SPDX-License-Identifier: Apache-2.0

package admission

import (
	"cmp"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"kruise.io/rollouts/api/v1beta1"
	"kruise.io/rollouts/internal/analysis"
)

// instead is what to do where no gateway tells versions apart.
const instead = "; write templates instead, or prometheus.gateway: pods where the application counts its requests itself"

// distinct checks that the requests of one version can be told from the other's, where they are counted: it is never passed over in
// silence that they cannot. Which gateway serves a route of the Gateway API is not known here, so that it is found out when it is asked.
func (f *faults) distinct(at *field.Path, a *v1beta1.Analysis, r routes) {
	named := ""
	if a.Prometheus != nil {
		named = a.Prometheus.Gateway
	}
	if !byRequests(a) || named == podsGateway {
		return
	}
	if len(r.routings) == 0 {
		f.Required(at, "successRate, latency and compare need trafficRoutings, by which the requests of the two versions are told apart"+instead)
		return
	}
	gateway := gatewayOf(r.routings[0], named, r.shared)
	if gateway == "" {
		return
	}
	// Of names it matters only which there are.
	names := analysis.Names{Namespace: "n", Route: "r", Ingress: "i", Service: "s", CanaryPods: []string{"p"}, StablePods: []string{"p"}}
	if !r.shared {
		names.CanaryService = "s-canary"
	}
	if _, err := analysis.QueriesFor(gateway, names); err != nil {
		why, _, _ := strings.Cut(err.Error(), ";") // its advice is about fields that a Rollout does not have
		f.Invalid(at, string(gateway), "successRate, latency and compare need a gateway that tells the requests of the two versions apart: "+why+instead)
	}
}

// gatewayOf is whose series are read for a routing, as far as that is known; "": it is not.
func gatewayOf(r v1beta1.TrafficRoutingRef, named string, shared bool) analysis.Gateway {
	switch named {
	case "traefik":
		return traefikOf(r)
	case "ingress-nginx":
		return analysis.IngressNginx
	case "istio":
		return istioOf(shared)
	}
	switch {
	case r.Ingress != nil:
		switch class := cmp.Or(r.Ingress.ClassType, "nginx"); class {
		case "nginx":
			return analysis.IngressNginx
		case "higress":
			return analysis.Higress
		case "mse":
			return analysis.MSE
		default:
			return analysis.Gateway("Ingress class " + class)
		}
	case r.Gateway != nil:
		return ""
	}
	for _, ref := range r.CustomNetworkRefs {
		gv, _ := schema.ParseGroupVersion(ref.APIVersion)
		if gv.Group == "networking.istio.io" {
			return istioOf(shared)
		}
	}
	for _, ref := range r.CustomNetworkRefs {
		return analysis.Gateway(ref.Kind)
	}
	return ""
}

// istioOf is how Istio is asked: by Service, or by pods where both versions have one Service.
func istioOf(shared bool) analysis.Gateway {
	if shared {
		return analysis.IstioSubsets
	}
	return analysis.Istio
}

func traefikOf(r v1beta1.TrafficRoutingRef) analysis.Gateway {
	switch {
	case r.Ingress != nil:
		return analysis.TraefikIngress
	case r.Gateway != nil && !empty(r.Gateway.HTTPRouteName):
		return analysis.TraefikHTTPRoute
	case r.Gateway != nil:
		return "Traefik GRPCRoute"
	default:
		return "Traefik TraefikService"
	}
}
