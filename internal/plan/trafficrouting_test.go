// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"kruise.io/rollouts/api/v1alpha1"
	"kruise.io/rollouts/api/v1beta1"
	"kruise.io/rollouts/internal/traffic"
)

// TestTrafficRoutingLacks: what a gateway cannot do is said in the status, and nothing of it is done: admission may have
// missed it. What was done before is restored nevertheless.
func TestTrafficRoutingLacks(t *testing.T) {
	t.Parallel()
	header := func(names ...string) []v1alpha1.HttpRouteMatch {
		m := v1alpha1.HttpRouteMatch{}
		for _, name := range names {
			m.Headers = append(m.Headers, gatewayv1.HTTPHeaderMatch{Name: gatewayv1.HTTPHeaderName(name), Value: "x"})
		}
		return []v1alpha1.HttpRouteMatch{m}
	}
	modified := &gatewayv1.HTTPHeaderFilter{Set: []gatewayv1.HTTPHeader{{Name: "x-version", Value: "new"}}}
	nginx := v1beta1.TrafficRoutingRef{Service: "front", Ingress: &v1beta1.IngressTrafficRouting{Name: "front"}}
	mse := v1beta1.TrafficRoutingRef{Service: "front", Ingress: &v1beta1.IngressTrafficRouting{Name: "front", ClassType: "mse"}}
	own := map[string]string{"lua.traffic.routing.ingress.nginx": "return obj.annotations"}
	for name, c := range map[string]struct {
		ref      v1beta1.TrafficRoutingRef
		scripts  map[string]string
		strategy v1alpha1.TrafficRoutingRuleStrategy
		phase    v1alpha1.TrafficRoutingPhase
		held     bool
		want     string // in the message; "": no refusal
	}{
		"two headers":             {nginx, nil, v1alpha1.TrafficRoutingRuleStrategy{Matches: header("user", "region")}, "", false, "cannot match several headers"},
		"two headers, held":       {nginx, nil, v1alpha1.TrafficRoutingRuleStrategy{Matches: header("user", "region")}, v1alpha1.TrafficRoutingHealthy, true, "cannot match several headers"},
		"headers changed":         {nginx, nil, v1alpha1.TrafficRoutingRuleStrategy{Matches: header("user"), RequestHeaderModifier: modified}, "", false, "cannot change headers"},
		"headers changed by MSE":  {mse, nil, v1alpha1.TrafficRoutingRuleStrategy{Matches: header("user"), RequestHeaderModifier: modified}, "", false, ""},
		"two headers, own script": {nginx, own, v1alpha1.TrafficRoutingRuleStrategy{Matches: header("user", "region")}, "", false, ""},
		"two headers, on the way": {nginx, nil, v1alpha1.TrafficRoutingRuleStrategy{Matches: header("user", "region")}, v1alpha1.TrafficRoutingProgressing, false, ""},
		"no effect":               {nginx, nil, v1alpha1.TrafficRoutingRuleStrategy{Matches: header("user")}, "", false, "cannot distinguish the new version's pods"},
		"no effect, held":         {nginx, nil, v1alpha1.TrafficRoutingRuleStrategy{Matches: header("user")}, v1alpha1.TrafficRoutingProgressing, true, "cannot distinguish the new version's pods"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tr := &v1alpha1.TrafficRouting{ObjectMeta: metav1.ObjectMeta{Namespace: "tr", Name: "front"}, Spec: v1alpha1.TrafficRoutingSpec{ObjectRef: []v1beta1.TrafficRoutingRef{c.ref}, Strategy: c.strategy}}
			tr.Status.Phase = c.phase
			if c.held {
				tr.Finalizers = []string{v1beta1.FinalizerProgressingPrefix + "x"}
			}
			d := TrafficRouting(TrafficRoutingInput{Now: time.Unix(0, 0), TrafficRouting: tr, Holding: map[string]bool{"x": true}, Routings: []Routing{{Ref: c.ref, Config: traffic.Config{Scripts: c.scripts}}}})
			message := d.Object.Status.Message
			if got := strings.Contains(message, "cannot"); got != (c.want != "") || !strings.Contains(message, c.want) {
				t.Errorf("message %q, want %q in it", message, c.want)
			}
			if len(d.Changes) > 0 {
				t.Errorf("%d changes", len(d.Changes))
			}
		})
	}
}

// TestTrafficRoutingMadeAgain: one that was removed by force in a release, and made again, restores what the first one left in routes.
func TestTrafficRoutingMadeAgain(t *testing.T) {
	t.Parallel()
	name := "front"
	ref := v1beta1.TrafficRoutingRef{Service: "front", Gateway: &v1beta1.GatewayTrafficRouting{HTTPRouteName: &name}}
	tr := &v1alpha1.TrafficRouting{
		ObjectMeta: metav1.ObjectMeta{Namespace: "tr", Name: "front"},
		Spec: v1alpha1.TrafficRoutingSpec{ObjectRef: []v1beta1.TrafficRoutingRef{ref}, Strategy: v1alpha1.TrafficRoutingRuleStrategy{
			Matches:               []v1alpha1.HttpRouteMatch{{Headers: []gatewayv1.HTTPHeaderMatch{{Name: "user", Value: "x"}}}},
			RequestHeaderModifier: &gatewayv1.HTTPHeaderFilter{Set: []gatewayv1.HTTPHeader{{Name: "x-version", Value: "new"}}},
		}},
	}
	config := traffic.Config{Backends: traffic.BackendsOf("front", true), Owner: *metav1.NewControllerRef(tr, v1alpha1.GroupVersion.WithKind("TrafficRouting"))}
	routers, err := traffic.Routers(ref, config)
	if err != nil {
		t.Fatal(err)
	}
	plain := traffic.Objects{routers[0].Refs()[0]: &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": map[string]any{"namespace": "tr", "name": "front"},
		"spec": map[string]any{"rules": []any{map[string]any{"backendRefs": []any{map[string]any{"name": "front", "port": int64(80)}}}}},
	}}}
	route, err := traffic.RouteOf(*Asked(tr))
	if err != nil {
		t.Fatal(err)
	}
	left, err := routers[0].Render(plain, route)
	if err != nil {
		t.Fatal(err)
	}
	for what, c := range map[string]struct {
		routes traffic.Objects
		phase  v1alpha1.TrafficRoutingPhase
		writes int
	}{
		"left behind": {left, v1alpha1.TrafficRoutingFinalizing, 1},
		"as it was":   {plain, v1alpha1.TrafficRoutingHealthy, 0},
	} {
		d := TrafficRouting(TrafficRoutingInput{Now: time.Unix(0, 0), TrafficRouting: tr, Routings: []Routing{{Ref: ref, Config: config, Routers: routers, Routes: c.routes}}})
		if d.Object.Status.Phase != c.phase || len(d.Changes) != c.writes {
			t.Errorf("%s: it is %s with %d changes, want %s with %d", what, d.Object.Status.Phase, len(d.Changes), c.phase, c.writes)
		}
	}
}
