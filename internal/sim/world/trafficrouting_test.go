// SPDX-License-Identifier: Apache-2.0

package world_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"kruise.io/rollouts/api/v1alpha1"
	"kruise.io/rollouts/api/v1beta1"
	"kruise.io/rollouts/internal/sim/world"
)

// TestTrafficRoutingInTheMiddle: whatever happens to a TrafficRouting or to what refers to it in the middle of a release, the
// release ends, and the route is its owner's again.
func TestTrafficRoutingInTheMiddle(t *testing.T) {
	t.Parallel()
	meta := metav1.ObjectMeta{Namespace: world.Namespace, Name: "entrance"}
	for name, c := range map[string]struct {
		happens func(t *testing.T, s *release)
		led     bool // by the TrafficRouting, for the rest of the release
		gone    bool // the TrafficRouting, once the release is over
	}{
		"nothing": {func(*testing.T, *release) {}, true, false},
		"deleted": {func(t *testing.T, s *release) {
			s.must(s.User.Delete(t.Context(), &v1alpha1.TrafficRouting{ObjectMeta: meta}))
		}, true, true},
		"the Rollout names none any more": {func(t *testing.T, s *release) {
			s.refer(t, "")
		}, false, false},
		"the Rollout names another": {func(t *testing.T, s *release) {
			s.must(s.User.Create(t.Context(), &v1alpha1.TrafficRouting{ObjectMeta: metav1.ObjectMeta{Namespace: world.Namespace, Name: "other"}}))
			s.refer(t, "other")
		}, false, false},
		"the Rollout is gone": {func(t *testing.T, s *release) {
			ro := s.rollout()
			ro.Finalizers = nil // by force
			s.must(s.User.Update(t.Context(), ro))
			s.must(client.IgnoreNotFound(s.User.Delete(t.Context(), ro)))
		}, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := dep.conform(t, 5, "{trafficRoutingRef: entrance, steps: [{replicas: 1}, {replicas: 3}, {replicas: 100%}]}")
			route := &unstructured.Unstructured{Object: map[string]any{
				"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": map[string]any{"namespace": world.Namespace, "name": "entrance"},
				"spec": map[string]any{"rules": []any{map[string]any{"backendRefs": []any{map[string]any{"group": "", "kind": "Service", "name": "entrance", "port": int64(80), "weight": int64(1)}}}}},
			}}
			before := encoded(t, route.Object["spec"])
			for _, o := range []client.Object{
				route,
				&corev1.Service{ObjectMeta: meta, Spec: corev1.ServiceSpec{Selector: map[string]string{"app": "entrance"}, Ports: []corev1.ServicePort{{Port: 80}}}},
				&v1alpha1.TrafficRouting{ObjectMeta: meta, Spec: v1alpha1.TrafficRoutingSpec{
					ObjectRef: []v1beta1.TrafficRoutingRef{{Service: "entrance", Gateway: &v1beta1.GatewayTrafficRouting{HTTPRouteName: new("entrance")}}},
					Strategy:  v1alpha1.TrafficRoutingRuleStrategy{Matches: []v1alpha1.HttpRouteMatch{{Headers: []gatewayv1.HTTPHeaderMatch{{Name: "env", Value: "gray"}}}}},
				}},
			} {
				s.must(s.User.Create(t.Context(), o))
			}
			s.pass(time.Minute)
			s.image("2")
			s.run("step 1", "1:4 2:1")
			led := func() bool {
				s.Get(t.Context(), "entrance", route)
				return strings.Contains(encoded(t, route.Object["spec"]), "gray")
			}
			if !led() {
				t.Fatal("no request is routed in step 1")
			}
			c.happens(t, s)
			s.pass(2 * time.Minute)
			if got := led(); got != c.led {
				t.Errorf("requests are routed: %v, want %v", got, c.led)
			}
			for range 4 {
				if ro := s.rollout(); ro.Status.CanaryStatus != nil && ro.Status.CanaryStatus.CurrentStepState == v1beta1.StepPaused {
					s.approve()
				}
				s.pass(3 * time.Minute)
			}
			if ro := s.rollout(); ro.UID != "" && ro.Status.Phase != v1beta1.PhaseHealthy {
				t.Errorf("the Rollout is %s: %s", ro.Status.Phase, ro.Status.Message)
			}
			s.Get(t.Context(), "entrance", route)
			if got := encoded(t, route.Object["spec"]); got != before {
				t.Errorf("the route is %s, was %s", got, before)
			}
			tr := &v1alpha1.TrafficRouting{}
			err := s.User.Get(t.Context(), client.ObjectKeyFromObject(route), tr)
			if apierrors.IsNotFound(err) != c.gone || !c.gone && tr.Status.Phase != v1alpha1.TrafficRoutingHealthy {
				t.Errorf("TrafficRouting: %v, %s %s", err, tr.Status.Phase, tr.Status.Message)
			}
			if s.Get(t.Context(), "other", tr) && len(tr.Finalizers) > 1 {
				t.Errorf("the other TrafficRouting is left held: %v", tr.Finalizers)
			}
		})
	}
}

// refer makes the Rollout name a TrafficRouting.
func (s *release) refer(t *testing.T, name string) {
	t.Helper()
	ro := s.rollout()
	ro.Spec.Strategy.Canary.TrafficRoutingRef = name
	s.must(s.User.Update(t.Context(), ro))
}

// dep is a Deployment released in batches.
var dep = conformer{version: "apps/v1", of: "Deployment", keepsOne: true}

func encoded(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
