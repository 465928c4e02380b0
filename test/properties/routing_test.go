// SPDX-License-Identifier: Apache-2.0

package properties

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"pgregory.net/rapid"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/rollouts/api/v1beta1"
	"kruise.io/rollouts/internal/controller"
	"kruise.io/rollouts/internal/sim/world"
)

// routed is what routes requests to a release, and what the order of its moves is checked with.
type routed struct {
	on   bool
	pass []string // kinds of objects written since the last record
}

const ownRules = `[{"backendRefs":[{"group":"","kind":"Service","name":"web","port":80,"weight":9},{"group":"","kind":"Service","name":"other","port":80,"weight":1}]}]`

func httpRoute() *unstructured.Unstructured {
	u := named(&unstructured.Unstructured{})
	u.SetGroupVersionKind(schema.GroupVersionKind{Group: "gateway.networking.k8s.io", Version: "v1", Kind: "HTTPRoute"})
	return u
}

// lead puts a Service and a route before the Deployment, and has each step of the Rollout route requests, or not.
func (m *model) lead(t *rapid.T, ro *v1beta1.Rollout) {
	m.routes = routed{on: true}
	service := named(&corev1.Service{})
	service.Spec = corev1.ServiceSpec{Selector: map[string]string{"app": "web"}, Ports: []corev1.ServicePort{{Port: 80}}}
	m.must(t, m.User.Create(m.ctx, service))
	route := httpRoute()
	var rules []any
	m.must(t, json.Unmarshal([]byte(ownRules), &rules))
	m.must(t, unstructured.SetNestedSlice(route.Object, rules, "spec", "rules"))
	m.must(t, m.User.Create(m.ctx, route))
	routings := []v1beta1.TrafficRoutingRef{{
		Service: "web", Gateway: &v1beta1.GatewayTrafficRouting{HTTPRouteName: new("web")},
		GracePeriodSeconds: rapid.SampledFrom([]*int32{nil, new(int32(0)), new(int32(1))}).Draw(t, "grace"),
	}}
	if b := ro.Spec.Strategy.BlueGreen; b != nil {
		b.TrafficRoutings = routings
	} else {
		ro.Spec.Strategy.Canary.TrafficRoutings = routings
	}
	steps := *stepsIn(ro)
	for i := range steps {
		if share := rapid.IntRange(0, 100).Draw(t, fmt.Sprintf("traffic %d", i+1)); share > 0 {
			steps[i].Traffic = new(fmt.Sprintf("%d%%", share))
		}
	}
}

// checkRouting holds at every write of the manager. The orders are those that docs/traffic.md promises.
func (m *model) checkRouting(w world.Write) string {
	if w.Who != controller.FieldManager || w.Failed || !m.routes.on {
		return ""
	}
	kind := strings.Fields(strings.TrimPrefix(w.String(), w.Who+": "))
	what := kind[len(kind)-2]
	if what == "Rollout" {
		m.routes.pass = nil // a record: what follows is one pass's
	}
	m.routes.pass = append(m.routes.pass, what)
	switch {
	case slices.Contains(m.routes.pass, "Service") && slices.Contains(m.routes.pass, "HTTPRoute"):
		return "a selector and a weight changed in one look: " + strings.Join(m.routes.pass, ", ")
	case what == "BatchRelease" && givesBack(w) && (slices.Contains(m.routes.pass, "Service") || slices.Contains(m.routes.pass, "HTTPRoute")):
		return "requests were routed elsewhere in the look that takes the pods: " + strings.Join(m.routes.pass, ", ")
	case what == "HTTPRoute":
		return m.named(w.After)
	case what == "Service" && w.After == nil:
		route := httpRoute()
		if m.Get(m.ctx, "web", route) && strings.Contains(encode(route.Object["spec"]), `"web-canary"`) {
			return "the canary Service goes while the route names it"
		}
	}
	return ""
}

// named: a route that names the canary Service finds a ready pod behind it.
func (m *model) named(route client.Object) string {
	u, _ := route.(*unstructured.Unstructured)
	if u == nil || !strings.Contains(encode(u.Object["spec"]), `"web-canary"`) {
		return ""
	}
	if d := m.deployment(); d.Spec.Replicas != nil && *d.Spec.Replicas == 0 {
		return ""
	}
	slice := &discoveryv1.EndpointSlice{}
	if !m.Get(m.ctx, "web-canary", slice) {
		return "the route names a canary Service that nobody has seen"
	}
	for _, e := range slice.Endpoints {
		if e.Conditions.Ready != nil && *e.Conditions.Ready {
			return ""
		}
	}
	return "the route names a canary Service without ready pods"
}

func givesBack(w world.Write) bool {
	before, ok1 := w.Before.(*v1beta1.BatchRelease)
	after, ok2 := w.After.(*v1beta1.BatchRelease)
	return ok1 && (w.After == nil && before != nil || ok2 && after.Spec.ReleasePlan.BatchPartition == nil && before.Spec.ReleasePlan.BatchPartition != nil)
}

func encode(v any) string {
	raw, _ := json.Marshal(v)
	return string(raw)
}

// drift is someone who writes the route as it is in Git, or unpins the Service.
func (m *model) drift(t *rapid.T) {
	if !m.routes.on {
		return
	}
	if rapid.Bool().Draw(t, "route") {
		m.patch(t, httpRoute(), `{"spec":{"rules":`+ownRules+`}}`)
		return
	}
	m.patch(t, named(&corev1.Service{}), fmt.Sprintf(`{"spec":{"selector":{%q:null}}}`, appsv1.DefaultDeploymentUniqueLabelKey))
}

// routesBack: after the end, whatever the end, Services and routes are as their owner wrote them.
func (m *model) routesBack(t *rapid.T) {
	if !m.routes.on {
		return
	}
	service, route := &corev1.Service{}, httpRoute()
	if !m.Get(m.ctx, "web", service) || len(service.Spec.Selector) != 1 {
		t.Fatalf("the Service selects %v", service.Spec.Selector)
	}
	if m.Get(m.ctx, "web-canary", &corev1.Service{}) {
		t.Fatal("the canary Service is still there")
	}
	if !m.Get(m.ctx, "web", route) || len(route.GetAnnotations()) > 0 {
		t.Fatalf("the route has annotations %v", route.GetAnnotations())
	}
	var want any
	m.must(t, json.Unmarshal([]byte(ownRules), &want))
	rules, _, _ := unstructured.NestedSlice(route.Object, "spec", "rules")
	if got := encode(rules); got != encode(want) {
		t.Fatalf("the route's rules are %s, want %s", got, encode(want))
	}
}
