// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// variant is a kind of release: in place, or with pods next to the Deployment that requests are routed to.
type variant struct {
	name  string
	route string // Ingress, HTTPRoute; "": requests are not led
	grace *int64 // gracePeriodSeconds; nil: the default

	kind      kind
	pods      int64 // of each workload; 0: the usual
	beside    bool  // in canary style
	blueGreen bool

	held       bool // at the first of two steps, by an analysis with a metric of a template
	background bool // and compared with the stable version beside the steps
}

var inPlace = variant{name: "partition"}

// routed are the variants that route requests. No gateway runs: what one would do takes none of the manager's time.
var routed = []variant{
	{name: "canary, Ingress", beside: true, route: "Ingress"},
	{name: "canary, Ingress, grace 0", beside: true, route: "Ingress", grace: new(int64(0))},
	{name: "canary, HTTPRoute", beside: true, route: "HTTPRoute"},
	{name: "canary, HTTPRoute, grace 0", beside: true, route: "HTTPRoute", grace: new(int64(0))},
}

// steps are those of a release.
func (v variant) steps() (list []any) {
	if v.held {
		first := map[string]any{"replicas": "50%", "pause": map[string]any{}, "analysis": map[string]any{
			"templates": []any{map[string]any{"templateName": template}}, "for": "24h", "timeout": "24h",
		}}
		if v.route != "" {
			first["traffic"] = "50%"
		}
		return []any{first, map[string]any{"replicas": "100%"}}
	}
	for i := range steps {
		share := fmt.Sprintf("%d%%", (i+1)*100/steps)
		step := map[string]any{"replicas": share, "pause": map[string]any{"duration": int64(0)}}
		if v.route != "" {
			step["traffic"] = share
		}
		list = append(list, step)
	}
	return list
}

// rollout is the Rollout of a workload.
func (v variant) rollout(name string) *unstructured.Unstructured {
	canary := map[string]any{"steps": v.steps()}
	if v.background {
		canary["analysis"] = map[string]any{"compare": map[string]any{}}
	}
	if v.route != "" {
		routing := map[string]any{"service": name, "ingress": map[string]any{"name": name}}
		if v.route == "HTTPRoute" {
			routing = map[string]any{"service": name, "gateway": map[string]any{"httpRouteName": name}}
		}
		if v.grace != nil {
			routing["gracePeriodSeconds"] = *v.grace
		}
		canary["trafficRoutings"] = []any{routing}
	}
	style := "canary"
	switch {
	case v.beside:
		canary["enableExtraWorkloadForCanary"] = true
	case v.blueGreen:
		style = "blueGreen"
	}
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "rollouts.kruise.io/v1beta1", "kind": "Rollout", "metadata": map[string]any{"name": name},
		"spec": map[string]any{
			"workloadRef": map[string]any{"apiVersion": v.of().version, "kind": v.of().name, "name": name},
			"strategy":    map[string]any{style: canary},
		},
	}}
}

// route is an object that routes requests to a Deployment.
type route struct {
	resource schema.GroupVersionResource
	object   *unstructured.Unstructured
}

// routes are the Service of a Deployment and what routes to it.
func (v variant) routes(name string) []route {
	if v.route == "" {
		return nil
	}
	port := map[string]any{"number": int64(80)}
	all := []route{{schema.GroupVersionResource{Version: "v1", Resource: "services"}, object("v1", "Service", name, map[string]any{
		"selector": map[string]any{"app": name}, "ports": []any{map[string]any{"port": int64(80), "targetPort": int64(8080)}},
	})}}
	if v.route == "Ingress" {
		return append(all, route{
			schema.GroupVersionResource{Group: "networking.k8s.io", Version: "v1", Resource: "ingresses"},
			object("networking.k8s.io/v1", "Ingress", name, map[string]any{
				"ingressClassName": "nginx", "rules": []any{map[string]any{"host": name + ".example.com", "http": map[string]any{"paths": []any{
					map[string]any{"path": "/", "pathType": "Prefix", "backend": map[string]any{"service": map[string]any{"name": name, "port": port}}},
				}}}},
			}),
		})
	}
	return append(all, route{
		schema.GroupVersionResource{Group: "gateway.networking.k8s.io", Version: "v1", Resource: "httproutes"},
		object("gateway.networking.k8s.io/v1", "HTTPRoute", name, map[string]any{
			"hostnames": []any{name + ".example.com"},
			"rules":     []any{map[string]any{"backendRefs": []any{map[string]any{"name": name, "port": int64(80)}}}},
		}),
	})
}

func object(version, kind, name string, spec map[string]any) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": version, "kind": kind, "metadata": map[string]any{"name": name}, "spec": spec,
	}}
}
