// SPDX-License-Identifier: Apache-2.0

package world

import (
	"sync"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/schema"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"kruise.io/rollouts/internal/controller"
	"kruise.io/rollouts/internal/sim"
)

// mapper knows the kinds that the cluster serves: everything that the manager knows, the Gateway API and OpenKruise.
var mapper = sync.OnceValue(func() meta.RESTMapper {
	m := meta.NewDefaultRESTMapper([]schema.GroupVersion{{Group: gatewayv1.GroupName, Version: "v1"}})
	for kind := range controller.Scheme().AllKnownTypes() {
		m.Add(kind, meta.RESTScopeNamespace)
	}
	for _, kind := range []schema.GroupVersionKind{
		{Group: gatewayv1.GroupName, Version: "v1", Kind: "HTTPRoute"},
		{Group: gatewayv1.GroupName, Version: "v1", Kind: "GRPCRoute"},
		{Group: "networking.istio.io", Version: "v1", Kind: "VirtualService"},
		{Group: "networking.istio.io", Version: "v1", Kind: "DestinationRule"},
		{Group: "apisix.apache.org", Version: "v2", Kind: "ApisixRoute"},
		{Group: "traefik.io", Version: "v1alpha1", Kind: "TraefikService"},
		{Group: "kuma.io", Version: "v1alpha1", Kind: "MeshHTTPRoute"},
	} {
		m.Add(kind, meta.RESTScopeNamespace)
	}
	for _, kind := range sim.KruiseKinds {
		m.Add(kind, meta.RESTScopeNamespace)
	}
	return m
})
