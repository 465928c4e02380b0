// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"kruise.io/rollouts/api/v1beta1"
	"kruise.io/rollouts/internal/traffic"
)

// TestDefinitionsLast: the DestinationRule that has the canary's subset is restored once gateways have taken up that no
// VirtualService routes there any more: Istio answers 503 for a subset that nothing defines.
func TestDefinitionsLast(t *testing.T) {
	t.Parallel()
	s := leadingBack(t, false)
	s.Rollout.Status.CanaryStatus.Traffic.Route = half
	s.Rollout.Spec.Strategy.Canary.DisableGenerateCanaryService = true
	r := &s.Routings[0]
	r.Ref = v1beta1.TrafficRoutingRef{Service: "web"}
	for _, kind := range []string{"DestinationRule", "VirtualService"} {
		r.Ref.CustomNetworkRefs = append(r.Ref.CustomNetworkRefs, v1beta1.ObjectRef{APIVersion: "networking.istio.io/v1", Kind: kind, Name: "web"})
	}
	r.Config.Backends = traffic.BackendsOf("web", true)
	if r.Routers, r.Broken = traffic.Routers(r.Ref, r.Config); r.Broken != nil {
		t.Fatal(r.Broken)
	}
	s.Rollout.Spec.Strategy.Canary.TrafficRoutings = []v1beta1.TrafficRoutingRef{r.Ref}
	s.Rollout.Status.CanaryStatus.RolloutHash = strategyHash(s.Rollout.Spec.Strategy)
	r.Services.Canary, r.Routes = nil, traffic.Objects{}
	for _, ref := range refsOf(s.Routings) {
		spec := map[string]any{"host": "web"}
		if ref.Kind == "VirtualService" {
			spec = map[string]any{"http": []any{map[string]any{"route": []any{map[string]any{"destination": map[string]any{"host": "web"}}}}}}
		}
		r.Routes[ref] = &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "networking.istio.io/v1", "kind": ref.Kind, "metadata": map[string]any{"name": "web", "namespace": "default"}, "spec": spec,
		}}
	}
	write := func(changes []Change) (kinds string) {
		for _, c := range changes {
			u, routed := c.To.(*unstructured.Unstructured)
			if !routed {
				continue
			}
			kinds += u.GetKind()
			for ref := range r.Routes {
				if ref.Kind == u.GetKind() {
					r.Routes[ref] = u
				}
			}
		}
		return kinds
	}
	routed, err := changesOf(s.Routings, half)
	if err != nil || write(routed) != "DestinationRuleVirtualService" {
		t.Fatalf("routed by %v, %v", routed, err)
	}
	for _, c := range []struct {
		after time.Duration
		want  string
	}{{0, "VirtualService"}, {time.Second, ""}, {3 * time.Second, "DestinationRule"}, {3 * time.Second, ""}} {
		s.Now = noon.Add(c.after)
		d := lookAt(t, s)
		s.Rollout = d.Object
		if len(d.Events) > 0 {
			t.Errorf("after %s there are events %v", c.after, d.Events)
		}
		if got := write(d.Changes); got != c.want {
			t.Fatalf("after %s %q is restored, want %q: %s", c.after, got, c.want, d.Object.Status.Message)
		}
	}
	if step := s.Rollout.Status.CanaryStatus.FinalisingStep; step == v1beta1.FinalisingRouteTrafficToStable {
		t.Errorf("it stays in step %s", step)
	}
}
