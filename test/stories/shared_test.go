// SPDX-License-Identifier: Apache-2.0

package stories

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"kruise.io/rollouts/api/v1alpha1"
	"kruise.io/rollouts/api/v1beta1"
	"kruise.io/rollouts/internal/sim/world"
)

// TestSeveralWorkloadsBehindOneEntrance: two services in a row are released at the same time, neither has a Service of its
// own that a Rollout knows of (they find each other through a registry), and the entrance routes marked requests for as long as
// one of them releases (tutorial of the end-to-end canary, and of workers without a Service).
func TestSeveralWorkloadsBehindOneEntrance(t *testing.T) {
	t.Parallel()
	w, err := world.New(t.Context())
	patch(t, err)
	route := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": map[string]any{"namespace": world.Namespace, "name": "entrance"},
		"spec": map[string]any{"rules": []any{map[string]any{"backendRefs": []any{map[string]any{"group": "", "kind": "Service", "name": "entrance", "port": int64(80), "weight": int64(1)}}}}},
	}}
	original := text(t, route.Object["spec"])
	header := v1alpha1.HttpRouteMatch{Headers: []gatewayv1.HTTPHeaderMatch{{Name: "env", Value: "gray"}}}
	for _, o := range []client.Object{
		route,
		&corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: world.Namespace, Name: "entrance"}, Spec: corev1.ServiceSpec{Selector: map[string]string{"app": "entrance"}, Ports: []corev1.ServicePort{{Port: 80}}}},
		&v1alpha1.TrafficRouting{
			ObjectMeta: metav1.ObjectMeta{Namespace: world.Namespace, Name: "entrance"},
			Spec: v1alpha1.TrafficRoutingSpec{
				ObjectRef: []v1beta1.TrafficRoutingRef{{Service: "entrance", Gateway: &v1beta1.GatewayTrafficRouting{HTTPRouteName: new("entrance")}}},
				Strategy:  v1alpha1.TrafficRoutingRuleStrategy{Matches: []v1alpha1.HttpRouteMatch{header}},
			},
		},
	} {
		patch(t, w.User.Create(t.Context(), o))
	}
	for _, name := range []string{"orders", "stock"} {
		labels := map[string]string{"app": name}
		pod := template("example/web:v1")
		pod.Labels = labels
		patch(t, w.User.Create(t.Context(), &appsv1.Deployment{
			ObjectMeta: metav1.ObjectMeta{Namespace: world.Namespace, Name: name},
			Spec:       appsv1.DeploymentSpec{Replicas: new(int32(3)), Selector: &metav1.LabelSelector{MatchLabels: labels}, Template: pod},
		}))
		patch(t, w.User.Create(t.Context(), &v1beta1.Rollout{
			ObjectMeta: metav1.ObjectMeta{Namespace: world.Namespace, Name: name},
			Spec: v1beta1.RolloutSpec{
				WorkloadRef: v1beta1.ObjectRef{APIVersion: "apps/v1", Kind: "Deployment", Name: name},
				Strategy: v1beta1.RolloutStrategy{Canary: &v1beta1.CanaryStrategy{
					TrafficRoutingRef: "entrance",
					Steps:             []v1beta1.CanaryStep{{Replicas: new(intstr.FromInt32(1))}, {Replicas: new(intstr.FromString("100%"))}},
				}},
			},
		}))
	}
	patch(t, w.Pass(t.Context(), time.Minute))

	led := func() bool {
		w.Get(t.Context(), "entrance", route)
		return strings.Contains(text(t, route.Object["spec"]), "gray")
	}
	state := func(name string) v1beta1.CanaryStepState {
		ro := &v1beta1.Rollout{}
		w.Get(t.Context(), name, ro)
		return ro.Status.CurrentStepState
	}
	expect := func(when string, want bool, orders, stock v1beta1.CanaryStepState) {
		t.Helper()
		patch(t, w.Pass(t.Context(), time.Minute))
		if led() != want || state("orders") != orders || state("stock") != stock {
			t.Fatalf("%s: the entrance leads %t, want %t; orders %s, stock %s", when, led(), want, state("orders"), state("stock"))
		}
	}
	release := func(name string) {
		t.Helper()
		d := &appsv1.Deployment{}
		w.Get(t.Context(), name, d)
		d.Spec.Template.Spec.Containers[0].Image = "example/web:v2"
		patch(t, w.User.Update(t.Context(), d))
	}
	approve := func(name string) {
		t.Helper()
		ro := &v1beta1.Rollout{ObjectMeta: metav1.ObjectMeta{Namespace: world.Namespace, Name: name}}
		patch(t, w.User.Status().Patch(t.Context(), ro, client.RawPatch("application/merge-patch+json", []byte(`{"status":{"canaryStatus":{"currentStepState":"StepReady"}}}`))))
	}
	expect("at rest", false, v1beta1.StepCompleted, v1beta1.StepCompleted)
	release("orders")
	expect("the first releases", true, v1beta1.StepPaused, v1beta1.StepCompleted)
	release("stock")
	expect("both release", true, v1beta1.StepPaused, v1beta1.StepPaused)
	approve("orders")
	expect("the second still releases", true, v1beta1.StepCompleted, v1beta1.StepPaused)
	approve("stock")
	expect("both are done", false, v1beta1.StepCompleted, v1beta1.StepCompleted)
	if got := text(t, route.Object["spec"]); got != original {
		t.Errorf("the route is\n%s, was\n%s", got, original)
	}
	services := &corev1.ServiceList{}
	if patch(t, w.List(t.Context(), services)); len(services.Items) != 1 {
		t.Errorf("%d Services, want the user's own", len(services.Items))
	}
}

func text(t *testing.T, v any) string {
	t.Helper()
	raw, err := json.Marshal(v)
	patch(t, err)
	return string(raw)
}

// TestTrafficRoutingEdited: a TrafficRouting whose route or Service is edited while it routes restores what it routed with
// before, and goes on as it says now.
func TestTrafficRoutingEdited(t *testing.T) {
	t.Parallel()
	w, err := world.New(t.Context())
	patch(t, err)
	route := func(name string) *unstructured.Unstructured {
		return &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": map[string]any{"namespace": world.Namespace, "name": name},
			"spec": map[string]any{"rules": []any{map[string]any{"backendRefs": []any{map[string]any{"group": "", "kind": "Service", "name": "entrance", "port": int64(80), "weight": int64(1)}}}}},
		}}
	}
	ref := func(name string) []v1beta1.TrafficRoutingRef {
		return []v1beta1.TrafficRoutingRef{{Service: "entrance", Gateway: &v1beta1.GatewayTrafficRouting{HTTPRouteName: new(name)}}}
	}
	one, two := route("one"), route("two")
	before := text(t, one.Object["spec"])
	shared := &v1alpha1.TrafficRouting{
		ObjectMeta: metav1.ObjectMeta{Namespace: world.Namespace, Name: "entrance", Finalizers: []string{v1beta1.FinalizerProgressingPrefix + "orders"}},
		Spec: v1alpha1.TrafficRoutingSpec{
			ObjectRef: ref("one"),
			Strategy:  v1alpha1.TrafficRoutingRuleStrategy{Matches: []v1alpha1.HttpRouteMatch{{Headers: []gatewayv1.HTTPHeaderMatch{{Name: "env", Value: "gray"}}}}},
		},
	}
	service := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: world.Namespace, Name: "entrance"}, Spec: corev1.ServiceSpec{Selector: map[string]string{"app": "entrance"}, Ports: []corev1.ServicePort{{Port: 80}}}}
	holder := &v1beta1.Rollout{ // that holds it for good: no version of the manager releases its workload
		ObjectMeta: metav1.ObjectMeta{Namespace: world.Namespace, Name: "orders"},
		Spec: v1beta1.RolloutSpec{
			WorkloadRef: v1beta1.ObjectRef{APIVersion: "example.com/v1", Kind: "Orders", Name: "orders"},
			Strategy:    v1beta1.RolloutStrategy{Canary: &v1beta1.CanaryStrategy{EnableExtraWorkloadForCanary: true, TrafficRoutingRef: "entrance", Steps: []v1beta1.CanaryStep{{Replicas: new(intstr.FromInt32(1))}}}},
		},
	}
	for _, o := range []client.Object{service, one, two, holder, shared} {
		patch(t, w.User.Create(t.Context(), o))
	}
	expect := func(when, first, second string) {
		t.Helper()
		patch(t, w.Pass(t.Context(), time.Minute))
		w.Get(t.Context(), "one", one)
		w.Get(t.Context(), "two", two)
		for u, want := range map[*unstructured.Unstructured]string{one: first, two: second} {
			if got := text(t, u.Object["spec"]); strings.Contains(got, "gray") != (want == "routed") || want == "restored" && (got != before || len(u.GetAnnotations()) > 0) {
				t.Fatalf("%s: route %s is %s %v, want it %s", when, u.GetName(), got, u.GetAnnotations(), want)
			}
		}
	}
	expect("held", "routed", "restored")
	w.Get(t.Context(), "entrance", shared)
	shared.Spec.ObjectRef = ref("two")
	patch(t, w.User.Update(t.Context(), shared))
	expect("edited", "restored", "routed")
	w.Get(t.Context(), "entrance", shared)
	shared.Spec.ObjectRef = ref("one")
	patch(t, w.User.Update(t.Context(), shared))
	patch(t, w.User.Delete(t.Context(), shared))
	expect("edited and deleted at once, and held", "routed", "restored")
	w.Get(t.Context(), "orders", holder)
	holder.Spec.Strategy.Canary.TrafficRoutingRef = ""
	patch(t, w.User.Update(t.Context(), holder))
	expect("held by nobody", "restored", "restored")
}
