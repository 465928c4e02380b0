// SPDX-License-Identifier: Apache-2.0

package traffic

import (
	"os"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	rolloutsv1beta1 "kruise.io/rollouts/api/v1beta1"
)

// Each test here is a way in which routing requests is known to have gone wrong elsewhere, and what is done instead. The
// names are those of docs/traffic.md.

// objectOf reads an object as an API server would send it.
func objectOf(t *testing.T, text string) *unstructured.Unstructured {
	t.Helper()
	object := map[string]any{}
	if err := yaml.Unmarshal([]byte(text), &object); err != nil {
		t.Fatal(err)
	}
	return &unstructured.Unstructured{Object: integers64(object)}
}

// routeTo reads a step.
func routeTo(t *testing.T, text string) *Route {
	t.Helper()
	step := rolloutsv1beta1.TrafficRoutingStrategy{}
	if err := yaml.UnmarshalStrict([]byte(text), &step); err != nil {
		t.Fatal(err)
	}
	r, err := RouteOf(step)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// walk renders steps one after another, and then restores. It returns what there was after each.
func walk(t *testing.T, router Router, object *unstructured.Unstructured, steps ...string) []*unstructured.Unstructured {
	t.Helper()
	ref := router.Refs()[0]
	have, seen := Objects{ref: object}, []*unstructured.Unstructured(nil)
	for _, step := range append(steps, "") {
		var r *Route
		if step != "" {
			r = routeTo(t, step)
		}
		want, err := router.Render(have, r)
		if err != nil {
			t.Fatalf("%s: %v", step, err)
		}
		have, seen = want, append(seen, want[ref])
	}
	return seen
}

func httpRouter() gateway { return gateway{kind: httpRoute, name: "web", backends: config.Backends} }

func oneService(t *testing.T) *unstructured.Unstructured {
	return objectOf(t, `{kind: HTTPRoute, metadata: {name: web}, spec: {rules: [{backendRefs: [{name: api, port: 80, weight: 100}]}]}}`)
}

const (
	byShare  = `{traffic: 20%}`
	byHeader = `{matches: [{headers: [{name: env, value: gray}]}]}`
)

// backends lists the rules of a route as "backend weight, ..." each.
func backends(u *unstructured.Unstructured) []string {
	list, all := []string{}, func(rule map[string]any) string {
		parts := []string{}
		for _, ref := range mapsIn(rule["backendRefs"]) {
			parts = append(parts, strings.TrimSuffix(encode(ref["name"])+" "+encode(ref["weight"]), " null"))
		}
		return strings.ReplaceAll(strings.Join(parts, ", "), `"`, "")
	}
	rules, _ := rulesOf(u)
	for _, rule := range rules {
		list = append(list, all(rule))
	}
	return list
}

func is(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: got %q, want %q", what, got, want)
	}
}

// TestD1WeightThenMatches: a step of a weight and then one of matches, on a route with a single rule, never loses the
// user's rule.
func TestD1WeightThenMatches(t *testing.T) {
	user := oneService(t)
	seen := walk(t, httpRouter(), user, byShare, byHeader)
	is(t, "the share", backends(seen[0]), "api 80, api-canary 20")
	is(t, "the matches", backends(seen[1]), "api 100", "api-canary 100")
	if !Alike(seen[2], user) {
		t.Errorf("given back: %s", encode(seen[2].Object))
	}
}

// TestD2MatchesThenWeight: the rule of an earlier step's matches goes with that step.
func TestD2MatchesThenWeight(t *testing.T) {
	seen := walk(t, httpRouter(), oneService(t), byHeader, byShare)
	is(t, "the matches", backends(seen[0]), "api 100", "api-canary 100")
	is(t, "the share", backends(seen[1]), "api 80, api-canary 20")
}

// TestD3OtherBackends: a backend next to the Service keeps its weight at each step, and the user's weights come back.
func TestD3OtherBackends(t *testing.T) {
	user := objectOf(t, `{kind: HTTPRoute, metadata: {name: web}, spec: {rules: [{backendRefs: [{name: api, weight: 90}, {name: other, weight: 10}]}]}}`)
	seen := walk(t, httpRouter(), user, byShare)
	is(t, "the share", backends(seen[0]), "api 72, other 10, api-canary 18")
	if !Alike(seen[1], user) {
		t.Errorf("given back: %s", encode(seen[1].Object))
	}
}

// TestD4PathAndHeader: in a step with a path and a header both are matched.
func TestD4PathAndHeader(t *testing.T) {
	seen := walk(t, httpRouter(), oneService(t), `{matches: [{path: {type: Exact, value: /x}}, {headers: [{name: env, value: gray}]}]}`)
	rules, _ := rulesOf(seen[0])
	want := `[{"path":{"type":"Exact","value":"/x"}},{"headers":[{"name":"env","type":"Exact","value":"gray"}],"path":{"type":"PathPrefix","value":"/"}}]`
	if len(rules) != 2 || rules[0]["matches"] != nil || encode(rules[1]["matches"]) != want {
		t.Errorf("got %s", encode(rules))
	}
}

// TestD5IngressWithoutPaths: rules without http, and backends that are no Services, are left out and end nothing.
func TestD5IngressWithoutPaths(t *testing.T) {
	r, err := newIngress(rolloutsv1beta1.IngressTrafficRouting{Name: "web"}, config)
	if err != nil {
		t.Fatal(err)
	}
	user := objectOf(t, `{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: web}, spec: {rules: [
		{host: a.example.com}, {host: b.example.com, http: {paths: [
			{path: /a, backend: {resource: {kind: Bucket, name: api}}}, {path: /b, backend: {service: {name: api, port: {number: 80}}}}]}}]}}`)
	want, err := r.Render(Objects{r.Refs()[0]: user}, routeTo(t, byShare))
	if err != nil {
		t.Fatal(err)
	}
	rules, _, _ := unstructured.NestedSlice(want[r.Refs()[1]].Object, "spec", "rules")
	if got := encode(rules); got != `[{"host":"b.example.com","http":{"paths":[{"backend":{"service":{"name":"api-canary","port":{"number":80}}},"path":"/b"}]}}]` {
		t.Errorf("got %s", got)
	}
}

// TestD6NothingByHalves: what a class cannot match is refused at admission, and never left out.
func TestD6NothingByHalves(t *testing.T) {
	nginx := CapabilitiesOf(rolloutsv1beta1.TrafficRoutingRef{Ingress: &rolloutsv1beta1.IngressTrafficRouting{Name: "web"}}, nil)[0]
	for text, lacks := range map[string]string{
		`{matches: [{headers: [{name: user, value: alice}, {name: region, value: eu}]}, {headers: [{name: user, value: bob}]}]}`: "match several headers",
		`{matches: [{headers: [{name: user, value: alice}]}, {headers: [{name: user, value: bob}]}]}`:                            "match by more than one header",
		`{matches: [{queryParams: [{name: v, value: "2"}]}]}`:                                                                    "match query parameters",
	} {
		r := routeTo(t, text)
		if got := nginx.Lacks(rolloutsv1beta1.TrafficRoutingStrategy{Matches: r.Matches}); !strings.Contains(got, lacks) {
			t.Errorf("%s: %q", text, got)
		}
	}
}

// TestD7VirtualService: subsets of the Service count once, a Service of another namespace is another one, and a weight that
// no rule can give is an error.
func TestD7VirtualService(t *testing.T) {
	for name, want := range map[string]string{
		"custom/istio-three-subsets":       "weight: 10\n",
		"custom/istio-other-namespace":     "weight: 15\n",
		"custom/istio-weight-only-matches": "no rule without match routes to",
	} {
		text, err := os.ReadFile("testdata/" + name + ".out.yaml")
		if err != nil || !strings.Contains(string(text), want) {
			t.Errorf("%s: %v, want %q in\n%s", name, err, want, text)
		}
	}
}

// TestD11UnreadableOriginal: an annotation that cannot be read is an error, and the object stays as it is.
func TestD11UnreadableOriginal(t *testing.T) {
	r, err := newCustom(rolloutsv1beta1.ObjectRef{APIVersion: "networking.istio.io/v1", Kind: "VirtualService", Name: "web"}, config)
	if err != nil {
		t.Fatal(err)
	}
	for _, kept := range []string{"", "{", "null", "[]", `"x"`} {
		user := objectOf(t, `{kind: VirtualService, metadata: {name: web, annotations: {}}, spec: {http: [{route: [{destination: {host: api}}]}]}}`)
		user.SetAnnotations(map[string]string{annotationOriginal: kept})
		before := encode(user.Object)
		for _, route := range []*Route{nil, routeTo(t, byShare)} {
			want, err := r.Render(Objects{r.Refs()[0]: user}, route)
			if err == nil || !strings.Contains(err.Error(), "cannot be read") || encode(want[r.Refs()[0]].Object) != before {
				t.Errorf("%q: %v, %s", kept, err, encode(want[r.Refs()[0]].Object))
			}
		}
	}
}

// TestD14CanaryIngressFollows: what changes in the user's Ingress during a release changes in the canary's.
func TestD14CanaryIngressFollows(t *testing.T) {
	r, err := newIngress(rolloutsv1beta1.IngressTrafficRouting{Name: "web"}, config)
	if err != nil {
		t.Fatal(err)
	}
	ingress := func(host, note string) *unstructured.Unstructured {
		return objectOf(t, `{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: web, annotations: {note: `+note+`}}, spec: {rules: [
			{host: `+host+`, http: {paths: [{path: /, backend: {service: {name: api, port: {number: 80}}}}]}}]}}`)
	}
	one, err := r.Render(Objects{r.Refs()[0]: ingress("a.example.com", "a")}, routeTo(t, byShare))
	if err != nil {
		t.Fatal(err)
	}
	two, err := r.Render(one.with(r.Refs()[0], ingress("b.example.com", "b")), routeTo(t, byShare))
	if err != nil {
		t.Fatal(err)
	}
	canary := two[r.Refs()[1]]
	rules, _, _ := unstructured.NestedSlice(canary.Object, "spec", "rules")
	if canary.GetAnnotations()["note"] != "b" || mapsIn(rules)[0]["host"] != "b.example.com" {
		t.Errorf("got %s", encode(canary.Object))
	}
}
