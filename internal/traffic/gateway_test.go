// SPDX-License-Identifier: Apache-2.0

package traffic

import (
	"fmt"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	gatewayv1beta1 "sigs.k8s.io/gateway-api/apis/v1beta1"

	rolloutsv1beta1 "kruise.io/rollouts/api/v1beta1"
)

func routeWith(rules ...any) Objects {
	g := gateway{kind: httpRoute, name: "web"}
	return Objects{g.Refs()[0]: {Object: map[string]any{"spec": map[string]any{"rules": rules}}}}
}

func backendsOf(n int) map[string]any {
	refs := []any{}
	for i := range n {
		name := "api"
		if i > 0 {
			name = fmt.Sprint("other", i)
		}
		refs = append(refs, map[string]any{"name": name})
	}
	return map[string]any{"backendRefs": refs}
}

// TestTooMuch: what the Gateway API would refuse is refused here, in words.
func TestTooMuch(t *testing.T) {
	g := gateway{kind: httpRoute, name: "web", backends: config.Backends}
	w := int32(5)
	header := func(n int) *Route {
		r := &Route{}
		for i := range n {
			r.Matches = append(r.Matches, rolloutsv1beta1.HttpRouteMatch{Headers: []gatewayv1beta1.HTTPHeaderMatch{{Name: "a", Value: fmt.Sprint(i)}}})
		}
		return r
	}
	matched := func(n int, entries ...any) map[string]any {
		rule, matches := backendsOf(1), []any{}
		for range n {
			matches = append(matches, map[string]any{"headers": entries})
		}
		rule["matches"] = matches
		return rule
	}
	demanded := []any{}
	for i := range 16 {
		demanded = append(demanded, map[string]any{"name": fmt.Sprint("h", i), "value": "x"})
	}
	rules := []any{}
	for range 9 {
		rules = append(rules, backendsOf(1))
	}
	for name, test := range map[string]struct {
		have Objects
		r    *Route
		err  string
	}{
		"backends":       {routeWith(backendsOf(16)), &Route{Weight: &w}, "rule 1 would have 17 backends; the Gateway API takes 16"},
		"matches":        {routeWith(matched(5)), header(16), "a rule would have 80 matches; the Gateway API takes 64"},
		"headers":        {routeWith(matched(1, demanded...)), header(1), "a match would have 17 headers or query parameters; the Gateway API takes 16"},
		"matches in all": {routeWith(matched(60), matched(60)), header(1), "there would be 240 matches; the Gateway API takes 128"},
		"rules":          {routeWith(rules...), header(1), "there would be 18 rules; the Gateway API takes 16"},
		"two patterns":   {routeWith(matched(1, map[string]any{"name": "A", "type": "RegularExpression", "value": "x"})), header(1), "the route matches headers a already"},
		"no route":       {Objects{}, header(1), "HTTPRoute web does not exist"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := g.Render(test.have, test.r)
			if err == nil || !strings.Contains(err.Error(), test.err) {
				t.Errorf("got %v, want %s", err, test.err)
			}
		})
	}
}

// TestLargeWeights: beyond the largest weight shares are as near as can be, and none becomes nothing.
func TestLargeWeights(t *testing.T) {
	refs := []map[string]any{{"name": "api", "weight": int64(999_983)}, {"name": "other", "weight": int64(1)}}
	got := weights(&unstructured.Unstructured{Object: map[string]any{}}, refs, []split{{Backends: config.Backends, percent: 1}})
	for _, w := range got {
		if w < 1 || w > maxWeight {
			t.Errorf("weights %v", got)
		}
	}
	if share := float64(got[2]) / float64(got[0]+got[2]); share < 0.0099 || share > 0.0101 {
		t.Errorf("the canary has %v of the stable share, want 0.01", share)
	}
}
