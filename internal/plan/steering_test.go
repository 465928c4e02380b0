// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"kruise.io/rollouts/api/v1beta1"
	"kruise.io/rollouts/internal/traffic"
)

// half is a step's share.
var half = &v1beta1.TrafficRoutingStrategy{Traffic: new("50%")}

// leadingBack is a look at a roll-back that leads requests back through an HTTPRoute, which says so or does not yet.
func leadingBack(t *testing.T, back bool) RolloutSeen {
	t.Helper()
	s := inStep(1, v1beta1.StepPaused, "50%", "100%")
	s.Rollout.Status.Conditions[0].Reason = v1beta1.ReasonCancelling
	st := s.Rollout.Status.CanaryStatus
	s.Workload.Update, st.CanaryRevision, st.FinalisingStep = "v1", "v1", v1beta1.FinalisingRouteTrafficToStable
	st.Traffic = &v1beta1.TrafficStatus{StableRevision: "v1", CanaryRevision: "v2"}

	route := &unstructured.Unstructured{Object: map[string]any{
		"metadata": map[string]any{"name": "web", "namespace": "default"},
		"spec": map[string]any{"rules": []any{map[string]any{"backendRefs": []any{
			map[string]any{"name": "web", "port": int64(80), "weight": int64(1)},
		}}}},
	}}
	gvk := schema.GroupVersionKind{Group: "gateway.networking.k8s.io", Version: "v1", Kind: "HTTPRoute"}
	route.SetGroupVersionKind(gvk)
	service := func(name, revision string) *corev1.Service {
		return &corev1.Service{
			ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name},
			Spec:       corev1.ServiceSpec{Selector: map[string]string{"pod-template-hash": revision}},
		}
	}
	s.Routings = []Routing{{
		Ref:      v1beta1.TrafficRoutingRef{Service: "web", Gateway: &v1beta1.GatewayTrafficRouting{HTTPRouteName: new("web")}},
		Config:   traffic.Config{Backends: traffic.BackendsOf("web", false)},
		Services: traffic.Services{Stable: service("web", "v1"), Canary: service("web-canary", "v2")},
		Routes:   traffic.Objects{{GroupVersionKind: schema.GroupVersionKind{Group: gvk.Group, Kind: gvk.Kind}, Name: "web"}: route},
	}}
	if !back {
		changes, err := changesOf(s.Routings, half)
		if err != nil {
			t.Fatal(err)
		}
		for ref := range s.Routings[0].Routes {
			s.Routings[0].Routes[ref], _ = changes[0].To.(*unstructured.Unstructured)
		}
	}
	return s
}

// TestClockStartsWhenSeen: between the decision to lead requests elsewhere and a route that says so, any time may pass and
// the manager may die. What gateways are given is counted from when the route was seen to say it.
func TestClockStartsWhenSeen(t *testing.T) {
	t.Parallel()
	s := leadingBack(t, false)
	earlier := metav1.NewMicroTime(noon.Add(-time.Hour))
	s.Rollout.Status.CanaryStatus.Traffic.SettlingSince = &earlier
	s.Rollout.Status.CanaryStatus.Traffic.Route = half
	at := func(now time.Time, back bool, changes int, since *time.Time, waits bool) {
		t.Helper()
		s.Now, s.Routings = now, leadingBack(t, back).Routings
		d := lookAt(t, s)
		s.Rollout = d.Object
		st := d.Object.Status.CanaryStatus
		switch got := st.Traffic.SettlingSince; {
		case len(d.Changes) != changes:
			t.Fatalf("%d changes, want %d", len(d.Changes), changes)
		case (got == nil) != (since == nil), got != nil && !got.Time.Equal(*since):
			t.Fatalf("the clock runs since %v, want %v", got, since)
		case (st.FinalisingStep == v1beta1.FinalisingRouteTrafficToStable) != waits:
			t.Fatalf("in step %s", st.FinalisingStep)
		}
	}
	seen := noon.Add(time.Minute)
	at(noon, false, 1, nil, true)                      // and the manager dies before the route is written
	at(seen.Add(-time.Second), false, 1, nil, true)    // the next one writes it
	at(seen, true, 0, &seen, true)                     // now it is there
	at(seen.Add(time.Second), true, 0, &seen, true)    // 3 s are the default
	at(seen.Add(3*time.Second), true, 1, &seen, false) // the workload is given back
}
