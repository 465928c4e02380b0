// SPDX-License-Identifier: Apache-2.0

package properties

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"slices"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"kruise.io/rollouts/api/v1beta1"
	"kruise.io/rollouts/internal/sim/world"
)

// shares is how large a part of the requests each version answers, by the route, the EndpointSlices behind it and the pods
// in those: what a gateway does that has taken all of it up. Requests carry a header or do not.
func shares(ctx context.Context, w *world.World, header string) (map[string]float64, error) {
	route := httpRoute()
	if !w.Get(ctx, "web", route) {
		return nil, fmt.Errorf("there is no route")
	}
	rules, _, _ := unstructured.NestedSlice(route.Object, "spec", "rules")
	var taken map[string]any
	most := -1
	for _, r := range rules {
		rule, _ := r.(map[string]any)
		headers := headersOf(rule)
		if slices.ContainsFunc(headers, func(name string) bool { return name != header }) || len(headers) <= most {
			continue
		}
		taken, most = rule, len(headers)
	}
	refs, _ := taken["backendRefs"].([]any)
	weights, sum := map[string]float64{}, 0.0
	for _, r := range refs {
		ref, _ := r.(map[string]any)
		weight := 1.0
		if given, ok := ref["weight"]; ok {
			weight, _ = numberOf(given)
		}
		name, _ := ref["name"].(string)
		weights[name] += weight
		sum += weight
	}
	result := map[string]float64{}
	for service, weight := range weights {
		versions, err := behind(ctx, w, service)
		if err != nil {
			return nil, err
		}
		if len(versions) == 0 && weight > 0 {
			result["nobody"] += weight / sum
		}
		for _, version := range versions {
			result[version] += weight / sum / float64(len(versions))
		}
	}
	return result, nil
}

func numberOf(v any) (float64, bool) {
	switch n := v.(type) {
	case int64:
		return float64(n), true
	case float64:
		return n, true
	default:
		return 0, false
	}
}

// headersOf are the headers that a rule's first match wants.
func headersOf(rule map[string]any) []string {
	var names []string
	matches, _ := rule["matches"].([]any)
	for _, m := range matches[:min(1, len(matches))] {
		match, _ := m.(map[string]any)
		headers, _ := match["headers"].([]any)
		for _, h := range headers {
			header, _ := h.(map[string]any)
			name, _ := header["name"].(string)
			names = append(names, name)
		}
	}
	return names
}

// behind are the versions of the ready pods that the EndpointSlice of a Service shows.
func behind(ctx context.Context, w *world.World, service string) ([]string, error) {
	slice := &discoveryv1.EndpointSlice{}
	if !w.Get(ctx, service, slice) {
		return nil, nil
	}
	var versions []string
	for _, e := range slice.Endpoints {
		pod := &corev1.Pod{}
		if e.Conditions.Ready == nil || !*e.Conditions.Ready {
			continue
		}
		if !w.Get(ctx, e.TargetRef.Name, pod) {
			return nil, fmt.Errorf("an EndpointSlice shows pod %s, which is gone", e.TargetRef.Name)
		}
		versions = append(versions, pod.Spec.Containers[0].Image[len(image("")):])
	}
	return versions, nil
}

// TestWeightsByCount measures at the gateway what a step asks for, by weight and by a header, for every small number of
// pods and every percentage at which their number changes (all of them with SOAK=1).
func TestWeightsByCount(t *testing.T) {
	t.Parallel()
	most := int32(5)
	if os.Getenv("SOAK") != "" {
		most = 10
	}
	for _, style := range []v1beta1.RollingStyleType{v1beta1.PartitionRollingStyle, v1beta1.CanaryRollingStyle, v1beta1.BlueGreenRollingStyle} {
		for n := int32(1); n <= most; n++ {
			t.Run(fmt.Sprintf("%s, %d pods", style, n), func(t *testing.T) {
				t.Parallel()
				for _, percent := range percentages(n) {
					byCount(t, style, n, fmt.Sprintf("%d%%", percent), "")
					byCount(t, style, n, fmt.Sprintf("%d%%", percent), "env")
				}
			})
		}
	}
}

// percentages are those at which the number of n pods changes, and the one before and after.
func percentages(n int32) []int32 {
	if os.Getenv("SOAK") != "" {
		all := make([]int32, 100)
		for i := range all {
			all[i] = int32(i) + 1 //nolint:gosec // at most 100
		}
		return all
	}
	all := []int32{1, 99, 100}
	for k := int32(1); k < n; k++ {
		all = append(all, 100*k/n, 100*k/n+1)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// byCount releases up to the first step and measures.
func byCount(t *testing.T, style v1beta1.RollingStyleType, n int32, percent, header string) {
	t.Helper()
	w, err := world.New(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	const weight = 30
	step := v1beta1.CanaryStep{Replicas: new(intstr.Parse(percent))}
	step.Traffic = new(fmt.Sprintf("%d%%", weight))
	if header != "" {
		step.Traffic = nil
		step.Matches = []v1beta1.HttpRouteMatch{{Headers: []gatewayv1.HTTPHeaderMatch{{Name: gatewayv1.HTTPHeaderName(header), Value: "gray"}}}}
	}
	ro := named(&v1beta1.Rollout{})
	ro.Spec.WorkloadRef = v1beta1.ObjectRef{APIVersion: "apps/v1", Kind: "Deployment", Name: "web"}
	routings := []v1beta1.TrafficRoutingRef{{Service: "web", Gateway: &v1beta1.GatewayTrafficRouting{HTTPRouteName: new("web")}}}
	steps := []v1beta1.CanaryStep{step, {Replicas: new(intstr.Parse("100%"))}}
	if style == v1beta1.BlueGreenRollingStyle {
		ro.Spec.Strategy.BlueGreen = &v1beta1.BlueGreenStrategy{Steps: steps, TrafficRoutings: routings}
	} else {
		ro.Spec.Strategy.Canary = &v1beta1.CanaryStrategy{Steps: steps, TrafficRoutings: routings, EnableExtraWorkloadForCanary: style == v1beta1.CanaryRollingStyle}
	}
	for _, o := range shop(n) {
		if err := w.User.Create(t.Context(), o); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.User.Create(t.Context(), ro); err != nil {
		t.Fatal(err)
	}
	now := func() *v1beta1.Rollout { w.Get(t.Context(), "web", ro); return ro }
	err = w.Until(t.Context(), time.Minute, func() bool { return now().Status.Phase == v1beta1.PhaseHealthy })
	if err == nil {
		err = w.User.Patch(t.Context(), named(&appsv1.Deployment{}), client.RawPatch("application/merge-patch+json",
			fmt.Appendf(nil, `{"spec":{"template":{"spec":{"containers":[{"name":"main","image":%q}]}}}}`, image("v2"))))
	}
	if err == nil {
		err = w.Until(t.Context(), 5*time.Minute, func() bool { return now().Status.CurrentStepState == v1beta1.StepPaused })
	}
	if err != nil {
		t.Fatalf("%s of %d: %v: %s", percent, n, err, now().Status.Message)
	}
	keepsOne := style != v1beta1.CanaryRollingStyle
	size := v1beta1.PodsOf(*step.Replicas, n, keepsOne)
	want := map[string]float64{"": weight / 100.0, "other": 0}
	if header != "" {
		want = map[string]float64{"": 0, header: 1}
	}
	if style == v1beta1.PartitionRollingStyle && size == n { // no stable pod is left, and all requests reach new ones
		want = map[string]float64{"": 1, header: 1}
	}
	delete(want, "other")
	for carried, share := range want {
		got, err := shares(t.Context(), w, carried)
		if err != nil || math.Abs(got["v2"]-share) > 0.001 || got["nobody"] > 0 {
			t.Errorf("%s of %d pods, header %q: v2 answers %v of the requests with %q, want %.2f (%v)", percent, n, header, got, carried, share, err)
		}
	}
	pods := &corev1.PodList{}
	if err := w.List(t.Context(), pods); err != nil {
		t.Fatal(err)
	}
	updated := int32(0)
	for i := range pods.Items {
		if pods.Items[i].Spec.Containers[0].Image == image("v2") {
			updated++
		}
	}
	if updated != size {
		t.Errorf("%s of %d pods: %d are new, want %d", percent, n, updated, size)
	}
}

// shop is a Deployment of n pods with a Service and a route.
func shop(n int32) []client.Object {
	d := named(&appsv1.Deployment{})
	d.Spec = appsv1.DeploymentSpec{
		Replicas: &n, Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}},
		Template: corev1.PodTemplateSpec{
			ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "web"}},
			Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Image: image("v1")}}},
		},
	}
	service := named(&corev1.Service{})
	service.Spec = corev1.ServiceSpec{Selector: map[string]string{"app": "web"}, Ports: []corev1.ServicePort{{Port: 80}}}
	route := httpRoute()
	var rules []any
	_ = json.Unmarshal([]byte(`[{"backendRefs":[{"group":"","kind":"Service","name":"web","port":80}]}]`), &rules)
	_ = unstructured.SetNestedSlice(route.Object, rules, "spec", "rules")
	return []client.Object{d, service, route}
}
