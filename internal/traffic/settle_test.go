// SPDX-License-Identifier: Apache-2.0

package traffic

import (
	"testing"
	"time"

	"sigs.k8s.io/yaml"

	rolloutsv1beta1 "kruise.io/rollouts/api/v1beta1"
)

// TestSettling: how long gateways are given, and which of them fall back to the stable pods.
func TestSettling(t *testing.T) {
	for text, want := range map[string]struct {
		routes, endpoints time.Duration
		fallsBack         bool
	}{
		`{gateway: {httpRouteName: x}}`:                                 {3 * time.Second, 3 * time.Second, false},
		`{gateway: {grpcRouteName: x}, gracePeriodSeconds: 7}`:          {7 * time.Second, 7 * time.Second, false},
		`{gateway: {httpRouteName: x}, gracePeriodSeconds: 0}`:          {0, 0, false},
		`{gateway: {httpRouteName: x}, gracePeriodSeconds: -1}`:         {3 * time.Second, 3 * time.Second, false},
		`{ingress: {name: x}}`:                                          {3800 * time.Millisecond, 4200 * time.Millisecond, true},
		`{ingress: {name: x}, gracePeriodSeconds: 0}`:                   {0, 0, true},
		`{ingress: {name: x, classType: nginx}, gracePeriodSeconds: 4}`: {4 * time.Second, 4200 * time.Millisecond, true},
		`{ingress: {name: x, classType: mse}}`:                          {3 * time.Second, 3 * time.Second, false},
		`{ingress: {name: x}, gateway: {grpcRouteName: x}}`:             {3800 * time.Millisecond, 4200 * time.Millisecond, false},
	} {
		ref := rolloutsv1beta1.TrafficRoutingRef{}
		if err := yaml.UnmarshalStrict([]byte(text), &ref); err != nil {
			t.Fatal(err)
		}
		if got := SettlingOf(ref); got.Routes != want.routes || got.Endpoints != want.endpoints {
			t.Errorf("%s: %v", text, got)
		}
		if got := FallsBack(ref); got != want.fallsBack {
			t.Errorf("%s: falls back %t", text, got)
		}
	}
}

// TestAccepted: what the parents of a route say of it.
func TestAccepted(t *testing.T) {
	const start = `{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {name: web, generation: 2}, spec: {parentRefs: [{name: gw}]}, status: {parents: [`
	for parents, want := range map[string]Acceptance{
		``: {Pending: true},
		`{parentRef: {name: gw}, conditions: [{type: Accepted, status: "True", observedGeneration: 1}]}`: {Pending: true},
		`{parentRef: {name: gw}, conditions: [{type: Accepted, status: "True", observedGeneration: 2}]}`: {},
		`{parentRef: {name: gw}, conditions: [{type: Accepted, status: "False", reason: NotAllowed, message: never, observedGeneration: 2}]}`: {
			Refused: "HTTPRoute web is refused by its parent gw: NotAllowed: never",
		},
	} {
		if got := AcceptanceOf(objectOf(t, start+parents+`]}}`)); got != want {
			t.Errorf("%s: %+v", parents, got)
		}
	}
	if got := AcceptanceOf(objectOf(t, `{apiVersion: networking.istio.io/v1, kind: VirtualService, spec: {parentRefs: [{}]}}`)); got != (Acceptance{}) {
		t.Errorf("a VirtualService: %+v", got)
	}
}
