// SPDX-License-Identifier: Apache-2.0

package traffic

import (
	"testing"

	"sigs.k8s.io/yaml"

	rolloutsv1beta1 "kruise.io/rollouts/api/v1beta1"
)

// TestCapabilities: which of the kinds of steps each provider takes. The classes are as the documentation of each
// gateway has them.
func TestCapabilities(t *testing.T) {
	steps := map[string]string{
		"weight":          `{traffic: 5%}`,
		"header":          `{matches: [{headers: [{name: a, value: b}]}]}`,
		"regex":           `{matches: [{headers: [{name: a, type: RegularExpression, value: b}]}]}`,
		"two headers":     `{matches: [{headers: [{name: a, value: b}, {name: c, value: d}]}]}`,
		"two matches":     `{matches: [{headers: [{name: a, value: b}]}, {headers: [{name: c, value: d}]}]}`,
		"cookie":          `{matches: [{headers: [{name: canary-by-cookie, value: b}]}]}`,
		"cookie, header":  `{matches: [{headers: [{name: canary-by-cookie, value: b}]}, {headers: [{name: c, value: d}]}]}`,
		"query":           `{matches: [{queryParams: [{name: a, value: b}]}]}`,
		"path":            `{matches: [{path: {type: Exact, value: /a/b}}]}`,
		"headers changed": `{traffic: 5%, requestHeaderModifier: {remove: [a]}}`,
		"weight, header":  `{traffic: 5%, matches: [{headers: [{name: a, value: b}]}]}`,
		"everything":      `{matches: [{}]}`,
	}
	type able = map[string]bool
	nginx := able{"weight": true, "header": true, "regex": true, "cookie": true, "cookie, header": true, "weight, header": true}
	rules := able{"weight": true, "header": true, "regex": true, "two headers": true, "two matches": true, "query": true, "path": true, "headers changed": true, "weight, header": true}
	for routing, want := range map[string]able{
		`{ingress: {name: x}}`:                          nginx,
		`{ingress: {name: x, classType: higress}}`:      nginx,
		`{ingress: {name: x, classType: aliyun-alb}}`:   {"weight": true, "header": true, "cookie": true, "cookie, header": true},
		`{ingress: {name: x, classType: mse}}`:          {"weight": true, "header": true, "regex": true, "cookie": true, "cookie, header": true, "weight, header": true, "query": true, "headers changed": true},
		`{gateway: {httpRouteName: x}}`:                 rules,
		`{gateway: {grpcRouteName: x, ruleNames: [a]}}`: {"weight": true, "header": true, "regex": true, "two headers": true, "two matches": true, "path": true, "headers changed": true, "weight, header": true},
		`{customNetworkRefs: [{apiVersion: networking.istio.io/v1, kind: VirtualService, name: x}]}`: rules,
		`{customNetworkRefs: [{apiVersion: apisix.apache.org/v2, kind: ApisixRoute, name: x}]}`:      {"weight": true, "header": true, "regex": true, "two matches": true, "cookie": true, "cookie, header": true, "query": true},
		`{customNetworkRefs: [{apiVersion: traefik.io/v1alpha1, kind: TraefikService, name: x}]}`:    {"weight": true},
		`{customNetworkRefs: [{apiVersion: kuma.io/v1alpha1, kind: MeshHTTPRoute, name: x}]}`:        {"weight": true},
	} {
		for name, text := range steps {
			step, ref := rolloutsv1beta1.TrafficRoutingStrategy{}, rolloutsv1beta1.TrafficRoutingRef{}
			if err := yaml.UnmarshalStrict([]byte(text), &step); err != nil {
				t.Fatal(err)
			}
			if err := yaml.UnmarshalStrict([]byte(routing), &ref); err != nil {
				t.Fatal(err)
			}
			lacks := CapabilitiesOf(ref, nil)[0].Lacks(step)
			if (lacks == "") != want[name] {
				t.Errorf("%s, %s: %q", routing, name, lacks)
			}
		}
	}
	// No one knows what a user's own script can do.
	ref := rolloutsv1beta1.TrafficRoutingRef{Ingress: &rolloutsv1beta1.IngressTrafficRouting{Name: "x"}}
	if got := CapabilitiesOf(ref, map[string]string{"lua.traffic.routing.ingress.nginx": ""}); len(got) != 0 {
		t.Errorf("an overridden class has %v", got)
	}
}

func TestRouteOf(t *testing.T) {
	for traffic, want := range map[string]int32{"0%": 0, "5%": 5, "100%": 100, "101%": -1, "-5%": -1, "x": -1, "%": -1, "2.5%": -1} {
		r, err := RouteOf(rolloutsv1beta1.TrafficRoutingStrategy{Traffic: &traffic})
		switch {
		case want < 0 && err == nil:
			t.Errorf("%s is taken as %d", traffic, *r.Weight)
		case want >= 0 && (err != nil || *r.Weight != want):
			t.Errorf("%s: %v, %v", traffic, r, err)
		}
	}
	if r, err := RouteOf(rolloutsv1beta1.TrafficRoutingStrategy{}); r != nil || err != nil {
		t.Error("a step without traffic has a Route")
	}
}

// TestRouters: several providers, in their order.
func TestRouters(t *testing.T) {
	ref := rolloutsv1beta1.TrafficRoutingRef{}
	if _, err := Routers(ref, config); err == nil || err.Error() != "TrafficRouting current only supports Ingress, Gateway API and CustomNetworkRefs" {
		t.Error(err)
	}
	name := "x"
	ref.Gateway = &rolloutsv1beta1.GatewayTrafficRouting{HTTPRouteName: &name, GRPCRouteName: &name}
	ref.Ingress = &rolloutsv1beta1.IngressTrafficRouting{Name: "x"}
	ref.CustomNetworkRefs = []rolloutsv1beta1.ObjectRef{{APIVersion: "networking.istio.io/v1beta1", Kind: "VirtualService", Name: "x"}}
	routers, err := Routers(ref, config)
	if err != nil {
		t.Fatal(err)
	}
	order := ""
	for _, r := range routers {
		order += r.Refs()[0].Kind + " "
	}
	if order != "VirtualService Ingress HTTPRoute GRPCRoute " {
		t.Error(order)
	}
}
