// SPDX-License-Identifier: Apache-2.0

package traffic

import (
	"fmt"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"pgregory.net/rapid"

	rolloutsv1beta1 "kruise.io/rollouts/api/v1beta1"
)

// newer are the kinds with built-in scripts next to Istio's.
var newer = map[string]struct {
	version string
	objects func(version, kind string) func(*rapid.T) []map[string]any
	route   func(*rapid.T) *Route
}{
	"ApisixRoute":    {"apisix.apache.org/v2", ofBackends(apisixSpec), anApisixStep},
	"TraefikService": {"traefik.io/v1alpha1", ofBackends(traefikSpec), aWeight},
	"MeshHTTPRoute":  {"kuma.io/v1alpha1", ofBackends(kumaSpec), aWeight},
}

func apisixSpec(rules [][]any) map[string]any {
	list := []any{}
	for i, backends := range rules {
		list = append(list, map[string]any{
			"name": fmt.Sprint("rule", i), "match": map[string]any{"paths": []any{"/*"}, "methods": []any{}}, "backends": backends, "websocket": true,
		})
	}
	return map[string]any{"http": list, "stream": []any{}}
}

func traefikSpec(rules [][]any) map[string]any {
	return map[string]any{"weighted": map[string]any{"services": rules[0], "sticky": map[string]any{}}}
}

func kumaSpec(rules [][]any) map[string]any {
	list := []any{}
	for _, backends := range rules {
		list = append(list, map[string]any{"matches": []any{map[string]any{}}, "default": map[string]any{"backendRefs": backends, "filters": []any{}}})
	}
	return map[string]any{"targetRef": map[string]any{"kind": "Mesh"}, "to": []any{map[string]any{"rules": list}}}
}

// ofBackends generates objects of a kind, whose first rule routes to the stable Service.
func ofBackends(spec func([][]any) map[string]any) func(string, string) func(*rapid.T) []map[string]any {
	return func(version, kind string) func(*rapid.T) []map[string]any {
		return func(t *rapid.T) []map[string]any {
			var rules [][]any
			for i := range rapid.IntRange(1, 3).Draw(t, "rules") {
				names := rapid.SliceOfN(rapid.SampledFrom([]string{"api", "other", "third"}), 1, 4).Draw(t, "backends")
				if i == 0 {
					names[0] = "api"
				}
				weighted := rapid.Bool().Draw(t, "weighted")
				backends := []any{}
				for _, name := range names {
					b := map[string]any{"name": name, "port": int64(80), "big": int64(1)<<60 + 1, "none": []any{}}
					switch kind {
					case "ApisixRoute":
						b["serviceName"] = name
					case "MeshHTTPRoute":
						b["kind"] = "MeshService"
					}
					if weighted {
						b["weight"] = rapid.Int64Range(0, 1000).Draw(t, "weight")
					}
					backends = append(backends, b)
				}
				rules = append(rules, backends)
			}
			return []map[string]any{{"apiVersion": version, "kind": kind, "metadata": meta(t), "spec": spec(rules)}}
		}
	}
}

// aWeight is a Route of a weight and nothing else.
func aWeight(t *rapid.T) *Route {
	w := rapid.Int32Range(0, 100).Draw(t, "weight")
	return &Route{Weight: &w}
}

// anApisixStep is a weight, or matches of one entry each.
func anApisixStep(t *rapid.T) *Route {
	r := aRoute(t)
	if len(r.Matches) == 0 {
		return aWeight(t)
	}
	r = &Route{Matches: r.Matches}
	for i := range r.Matches {
		m := &r.Matches[i]
		m.Path = nil
		if len(m.Headers) > 0 {
			m.Headers, m.QueryParams = m.Headers[:1], nil
		}
	}
	return r
}

// TestSharesOfScripts: in all these kinds the canary gets exactly its percentage of what the stable Service had, and all
// others what they had.
func TestSharesOfScripts(t *testing.T) {
	lists := map[string]func(u *unstructured.Unstructured) []map[string]any{
		"ApisixRoute": func(u *unstructured.Unstructured) []map[string]any {
			return mapsIn(mapsIn(u.Object["spec"].(map[string]any)["http"])[0]["backends"])
		},
		"TraefikService": func(u *unstructured.Unstructured) []map[string]any {
			services, _, _ := unstructured.NestedSlice(u.Object, "spec", "weighted", "services")
			return mapsIn(services)
		},
		"MeshHTTPRoute": func(u *unstructured.Unstructured) []map[string]any {
			to := mapsIn(u.Object["spec"].(map[string]any)["to"])[0]
			return mapsIn(mapsIn(to["rules"])[0]["default"].(map[string]any)["backendRefs"])
		},
	}
	for kind, of := range newer {
		t.Run(kind, func(t *testing.T) {
			r, err := newCustom(rolloutsv1beta1.ObjectRef{APIVersion: of.version, Kind: kind, Name: "web"}, config)
			if err != nil {
				t.Fatal(err)
			}
			rapid.Check(t, func(t *rapid.T) {
				object := &unstructured.Unstructured{Object: of.objects(of.version, kind)(t)[0]}
				route := aWeight(t)
				want, err := r.Render(Objects{r.Refs()[0]: object}, route)
				had, all := weightsOf(lists[kind](object))
				if had["api"] == 0 && err != nil {
					return // a weight of nothing is refused
				}
				must(t, err)
				has, now := weightsOf(lists[kind](want[r.Refs()[0]]))
				w := int64(*route.Weight)
				for name, expected := range map[string]int64{"api": had["api"] * (100 - w), "api-canary": had["api"] * w, "other": had["other"] * 100, "third": had["third"] * 100} {
					if has[name]*100*all != expected*now {
						t.Fatalf("%s has %d of %d, want %d of %d", name, has[name], now, expected, all*100)
					}
				}
			})
		})
	}
}

// weightsOf adds up weights by name. Without any each backend has the same, and one that is alone has it all.
func weightsOf(list []map[string]any) (map[string]int64, int64) {
	by, all := map[string]int64{}, int64(0)
	for _, b := range list {
		name, ok := b["serviceName"].(string)
		if !ok {
			name, _ = b["name"].(string)
		}
		weight := int64(1)
		if w, given := b["weight"].(int64); given && len(list) > 1 {
			weight = w
		}
		by[name] += weight
		all += weight
	}
	return by, all
}

// TestOwnScripts: whose script comes first, by kind.
func TestOwnScripts(t *testing.T) {
	for kind, builtin := range map[schema.GroupKind]bool{
		{Group: "networking.istio.io", Kind: "VirtualService"}: true,
		{Group: "apisix.apache.org", Kind: "ApisixRoute"}:      false,
		{Group: "traefik.io", Kind: "TraefikService"}:          false,
		{Group: "kuma.io", Kind: "MeshHTTPRoute"}:              false,
		{Group: "example.com", Kind: "Split"}:                  false,
	} {
		own := map[string]string{ScriptKey(kind): "return obj.data"}
		script, err := CustomScript(kind, own)
		if err != nil || (script.Source == "return obj.data") == builtin {
			t.Errorf("%v: %q, %v", kind, script.Name, err)
		}
		ref := rolloutsv1beta1.ObjectRef{APIVersion: kind.Group + "/v1", Kind: kind.Kind, Name: "x"}
		able := CapabilitiesOf(rolloutsv1beta1.TrafficRoutingRef{CustomNetworkRefs: []rolloutsv1beta1.ObjectRef{ref}}, own)
		if (len(able) == 1) != builtin {
			t.Errorf("%v: %v", kind, able)
		}
	}
}
