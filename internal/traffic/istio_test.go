// SPDX-License-Identifier: Apache-2.0

package traffic

import (
	"slices"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"pgregory.net/rapid"

	rolloutsv1beta1 "kruise.io/rollouts/api/v1beta1"
)

// TestIstioShares: in a VirtualService, too, every weight is exact in whole numbers.
func TestIstioShares(t *testing.T) {
	r, err := newCustom(rolloutsv1beta1.ObjectRef{APIVersion: "networking.istio.io/v1", Kind: "VirtualService", Name: "web"}, config)
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		routes := []any{}
		for _, host := range rapid.SliceOfN(rapid.SampledFrom([]string{"api", "api.shop.svc", "other", "third"}), 1, 5).Draw(t, "hosts") {
			routes = append(routes, map[string]any{"destination": map[string]any{"host": host}, "weight": rapid.Int64Range(0, 100).Draw(t, "weight")})
		}
		w := rapid.Int32Range(0, 100).Draw(t, "percent")
		object := &unstructured.Unstructured{Object: map[string]any{"metadata": map[string]any{"namespace": "shop"}, "spec": map[string]any{"http": []any{map[string]any{"route": routes}}}}}
		had, all := istioSums(t, object)
		want, err := r.Render(Objects{r.Refs()[0]: object}, &Route{Weight: &w})
		if err != nil {
			if !slices.ContainsFunc(routes, leadsToAPI) || len(routes) > 1 && had["api"]+had["api.shop.svc"] == 0 {
				return // a weight of what is not there is refused
			}
			t.Fatal(err)
		}
		has, now := istioSums(t, want[r.Refs()[0]])
		if all == 0 || had["api"]+had["api.shop.svc"] == 0 {
			return
		}
		for name, expected := range map[string]int64{
			"api": had["api"] * int64(100-w), "api.shop.svc": had["api.shop.svc"] * int64(100-w),
			"api-canary": (had["api"] + had["api.shop.svc"]) * int64(w), "other": had["other"] * 100, "third": had["third"] * 100,
		} {
			if has[name]*100*all != expected*now {
				t.Fatalf("%s has %d of %d, want %d of %d", name, has[name], now, expected, all*100)
			}
		}
	})
}

func leadsToAPI(route any) bool {
	host, _, _ := unstructured.NestedString(route.(map[string]any), "destination", "host")
	return host == "api" || host == "api.shop.svc"
}

// istioSums adds up the weights of the first rule by host.
func istioSums(t *rapid.T, u *unstructured.Unstructured) (map[string]int64, int64) {
	rules, _, _ := unstructured.NestedSlice(u.Object, "spec", "http")
	by, all := map[string]int64{}, int64(0)
	for _, route := range mapsIn(mapsIn(rules)[0]["route"]) {
		host, _, _ := unstructured.NestedString(route, "destination", "host")
		weight, whole := route["weight"].(int64)
		if !whole {
			t.Fatalf("weight %v", route["weight"])
		}
		by[host] += weight
		all += weight
	}
	return by, all
}
