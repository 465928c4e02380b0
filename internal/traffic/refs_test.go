// SPDX-License-Identifier: Apache-2.0

package traffic

import (
	"slices"
	"testing"

	"sigs.k8s.io/yaml"

	rolloutsv1beta1 "kruise.io/rollouts/api/v1beta1"
)

// What is watched for a routing is what its routers see, whatever it routes with, and whether or not there is a script for it.
func TestRefsOfAreThoseOfTheRouters(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"{service: web, ingress: {name: web}}",
		"{service: web, ingress: {name: web, classType: nobody-has-it}}",
		"{service: web, gateway: {httpRouteName: web, grpcRouteName: rpc}}",
		"{service: web, customNetworkRefs: [{apiVersion: networking.istio.io/v1, kind: VirtualService, name: web}, {apiVersion: a/v1, kind: A, name: a}, {apiVersion: a/b/c, kind: A, name: a}]}",
		"{service: web, ingress: {name: web}, gateway: {httpRouteName: web}, customNetworkRefs: [{apiVersion: networking.istio.io/v1beta1, kind: DestinationRule, name: web}]}",
	} {
		ref := rolloutsv1beta1.TrafficRoutingRef{}
		if err := yaml.Unmarshal([]byte(text), &ref); err != nil {
			t.Fatal(err)
		}
		routers, _ := Routers(ref, Config{Backends: BackendsOf(ref.Service, false)})
		var seen []Ref
		for _, r := range routers {
			seen = append(seen, r.Refs()...)
		}
		if got := RefsOf(ref); !slices.Equal(got, seen) {
			t.Errorf("%s: got %v, want %v", text, got, seen)
		}
	}
}
