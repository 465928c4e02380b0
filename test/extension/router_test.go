// SPDX-License-Identifier: Apache-2.0

package extension

import (
	"context"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"kruise.io/rollouts/api/v1beta1"
	"kruise.io/rollouts/internal/controller"
	"kruise.io/rollouts/internal/plan/admission"
	"kruise.io/rollouts/internal/traffic"
	"kruise.io/rollouts/internal/workload"
)

// points routes with Points of toys.example.com: a weight for the canary, and nothing else.
type points struct {
	ref    traffic.Ref
	canary string
}

func (p points) Refs() []traffic.Ref { return []traffic.Ref{p.ref} }

func (p points) Render(have traffic.Objects, r *traffic.Route) (traffic.Objects, error) {
	u := have[p.ref].DeepCopy()
	unstructured.RemoveNestedField(u.Object, "spec", "siding")
	if r != nil && r.Weight != nil {
		_ = unstructured.SetNestedMap(u.Object, map[string]any{"to": p.canary, "percent": int64(*r.Weight)}, "spec", "siding")
	}
	return traffic.Objects{p.ref: u}, nil
}

// indexer collects the manager's indexes for the fake client.
type indexer struct{ *fake.ClientBuilder }

func (b indexer) IndexField(_ context.Context, o client.Object, name string, keys client.IndexerFunc) error {
	b.WithIndex(o, name, keys)
	return nil
}

// registerPoints is called before any test.
func registerPoints() {
	traffic.Register(traffic.Kind{
		GroupKind:    schema.GroupKind{Group: "toys.example.com", Kind: "Points"},
		New:          func(ref traffic.Ref, c traffic.Config) traffic.Router { return points{ref, c.Backends.Canary} },
		Capabilities: traffic.Capabilities{Provider: "Toy Points", Weight: true},
		Settling:     traffic.Settling{Routes: time.Minute},
	})
}

const routed = `{apiVersion: rollouts.kruise.io/v1beta1, kind: Rollout, metadata: {name: cars, namespace: default}, spec: {
  workloadRef: {apiVersion: toys.example.com/v1, kind: FleetSet, name: cars}, strategy: {canary: {
    trafficRoutings: [{service: cars, customNetworkRefs: [{apiVersion: toys.example.com/v1, kind: Points, name: yard}]}],
    steps: [{replicas: 20%, STEP}, {replicas: 100%}]}}}}`

// A router that is registered is validated, watched, rendered and waited for by its row, without another line anywhere.
func TestRouter(t *testing.T) {
	limits := admission.Limits{FilterWorkloadType: true, Supports: workload.Supports}
	ro := parsed(t, strings.Replace(routed, "STEP", "traffic: 20%", 1), &v1beta1.Rollout{})
	if errs := admission.ValidateRollout(ro, nil, nil, limits); len(errs) > 0 {
		t.Error(errs)
	}
	matches := parsed(t, strings.Replace(routed, "STEP", "matches: [{headers: [{name: user, value: beta}]}]", 1), &v1beta1.Rollout{})
	if errs := admission.ValidateRollout(matches, nil, nil, limits); len(errs) == 0 || !strings.Contains(errs.ToAggregate().Error(), "Toy Points") {
		t.Errorf("what it cannot do is answered by %v", errs)
	}

	ref := ro.Spec.Strategy.Canary.TrafficRoutings[0]
	if s := traffic.SettlingOf(ref); s.Routes != time.Minute {
		t.Errorf("its routes are waited for %s", s.Routes)
	}
	routers, err := traffic.Routers(ref, traffic.Config{Backends: traffic.BackendsOf("cars", false)})
	if err != nil || len(routers) != 1 {
		t.Fatalf("there are %d routers: %v", len(routers), err)
	}
	yard := routers[0].Refs()[0]
	u := &unstructured.Unstructured{Object: map[string]any{"spec": map[string]any{"main": "cars"}}}
	u.SetGroupVersionKind(yard.GroupVersionKind)
	u.SetNamespace("default")
	u.SetName("yard")
	route, err := traffic.RouteOf(v1beta1.TrafficRoutingStrategy{Traffic: new("20%")})
	if err != nil {
		t.Fatal(err)
	}
	want, err := routers[0].Render(traffic.Objects{yard: u}, route)
	if err != nil {
		t.Fatal(err)
	}
	if to, _, _ := unstructured.NestedString(want[yard].Object, "spec", "siding", "to"); to != "cars-canary" {
		t.Errorf("rendered is %v", want[yard].Object)
	}
	if back, err := routers[0].Render(want, nil); err != nil || !traffic.Alike(back[yard], u) {
		t.Errorf("restored is %v: %v", back[yard], err)
	}

	// A Rollout is found by the object that it routes with, as its watch does.
	builder := fake.NewClientBuilder().WithScheme(controller.Scheme()).WithObjects(ro, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "default"}})
	if err := controller.Index(t.Context(), indexer{builder}); err != nil {
		t.Fatal(err)
	}
	found := &v1beta1.RolloutList{}
	if err := builder.Build().List(t.Context(), found, client.InNamespace("default"), client.MatchingFields{"route": "toys.example.com/Points/yard"}); err != nil || len(found.Items) != 1 {
		t.Errorf("%d Rollouts are found by what they route with: %v", len(found.Items), err)
	}
}
