// SPDX-License-Identifier: Apache-2.0

package world

import (
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/schema"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"kruise.io/rollouts/internal/controller"
	"kruise.io/rollouts/internal/sim"
)

// mapper knows the kinds that the cluster serves: everything that the manager knows, the Gateway API and OpenKruise.
func mapper() meta.RESTMapper {
	route := schema.GroupVersionKind{Group: gatewayv1.GroupName, Version: "v1", Kind: "HTTPRoute"}
	m := meta.NewDefaultRESTMapper([]schema.GroupVersion{route.GroupVersion()})
	for kind := range controller.Scheme().AllKnownTypes() {
		m.Add(kind, meta.RESTScopeNamespace)
	}
	m.Add(route, meta.RESTScopeNamespace)
	m.Add(schema.GroupVersionKind{Group: "networking.istio.io", Version: "v1", Kind: "VirtualService"}, meta.RESTScopeNamespace)
	for _, kind := range sim.KruiseKinds {
		m.Add(kind, meta.RESTScopeNamespace)
	}
	return m
}
