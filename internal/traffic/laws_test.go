// SPDX-License-Identifier: Apache-2.0

package traffic

import (
	"fmt"
	"maps"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"pgregory.net/rapid"
	gatewayv1beta1 "sigs.k8s.io/gateway-api/apis/v1beta1"

	rolloutsv1beta1 "kruise.io/rollouts/api/v1beta1"
)

var (
	yes    = true
	config = Config{
		Backends: BackendsOf("api", false),
		Owner:    metav1.OwnerReference{APIVersion: "rollouts.kruise.io/v1beta1", Kind: "Rollout", Name: "shop", UID: "7", Controller: &yes},
		Scripts: map[string]string{
			"lua.traffic.routing.ingress.own": `obj.annotations["own/to"] = obj.canaryService obj.annotations["own/weight"] = obj.weight return obj.annotations`,
			"lua.traffic.routing.Split.example.com": `obj.data.spec.weight = obj.canaryWeight
				obj.data.labels = obj.data.labels or {}
				obj.data.labels.split = "on"
				return obj.data`,
		},
	}
	shared = Config{Backends: BackendsOf("api", true), Owner: config.Owner, Scripts: config.Scripts}
)

// subject is a router and a generator of the user's objects for it.
type subject struct {
	router  Router
	objects func(t *rapid.T) []map[string]any
	route   func(t *rapid.T) *Route
}

// subjects are all routers: a new one is a line here.
func subjects(t *testing.T) map[string]subject {
	all := map[string]subject{}
	for _, class := range []string{"nginx", "higress", "aliyun-alb", "mse", "own"} {
		r, err := newIngress(rolloutsv1beta1.IngressTrafficRouting{ClassType: class, Name: "web"}, config)
		if err != nil {
			t.Fatal(err)
		}
		all["Ingress "+class] = subject{r, anIngress, aRoute}
	}
	all["HTTPRoute"] = subject{gateway{kind: httpRoute, name: "web", backends: config.Backends}, aGatewayRoute(httpRoute), aRoute}
	all["GRPCRoute"] = subject{gateway{kind: grpcRoute, name: "web", backends: config.Backends}, aGatewayRoute(grpcRoute), aGRPC}
	all["HTTPRoute by rules"] = subject{gateway{kind: httpRoute, name: "web", scope: []string{"rule-0"}, backends: config.Backends}, aGatewayRoute(httpRoute), aRoute}
	all["HTTPRoute of one Service"] = subject{gateway{kind: httpRoute, name: "web", backends: shared.Backends}, aGatewayRoute(httpRoute), aRoute}
	for name, ref := range map[string]rolloutsv1beta1.ObjectRef{
		"VirtualService":  {APIVersion: "networking.istio.io/v1", Kind: "VirtualService", Name: "web"},
		"DestinationRule": {APIVersion: "networking.istio.io/v1", Kind: "DestinationRule", Name: "web"},
		"Split":           {APIVersion: "example.com/v1", Kind: "Split", Name: "web"},
	} {
		for of, c := range map[string]Config{"": config, " of one Service": shared} {
			r, err := newCustom(ref, c)
			if err != nil {
				t.Fatal(err)
			}
			all[name+of] = subject{r, aCustom(ref), aRoute}
		}
	}
	for kind, s := range newer {
		r, err := newCustom(rolloutsv1beta1.ObjectRef{APIVersion: s.version, Kind: kind, Name: "web"}, config)
		if err != nil {
			t.Fatal(err)
		}
		all[kind] = subject{r, s.objects(s.version, kind), s.route}
	}
	return all
}

// TestLaws holds every router to its laws, on random objects and Routes.
func TestLaws(t *testing.T) {
	for name, s := range subjects(t) {
		t.Run(name, func(t *testing.T) {
			refused, rendered := 0, 0
			rapid.Check(t, func(t *rapid.T) {
				user := Objects{}
				for i, object := range s.objects(t) {
					user[s.router.Refs()[i]] = &unstructured.Unstructured{Object: object}
				}
				before := dump(user)
				r1, r2 := s.route(t), s.route(t)

				one, err := s.router.Render(user, r1)
				two, err2 := s.router.Render(user, r2)
				if err != nil || err2 != nil {
					refused++
					return // what cannot be said is refused, which is a law of its own below
				}
				rendered++
				equal(t, "what it was given is changed", user, before)
				again, err := s.router.Render(one, r1)
				must(t, err)
				equal(t, "rendering twice is not rendering once", again, dump(one))
				if !Settled(one, again) {
					t.Fatal("a rendered object is not settled")
				}
				back, err := s.router.Render(one, nil)
				must(t, err)
				equal(t, "it does not come back", back, before)

				changed, err := s.router.Render(one, r2)
				must(t, err)
				want := dump(two)
				if _, is := s.router.(ingress); is && len(r2.Matches) == 0 && r2.Weight != nil && *r2.Weight == 0 {
					want = dump(changed) // for 0 none is made, but one that is there stays
				}
				equal(t, "from one Route to another is not as from nothing", changed, want)
				back, err = s.router.Render(changed, nil)
				must(t, err)
				equal(t, "it does not come back from a second Route", back, before)

				// What others write next to it meanwhile stays.
				touch(one)
				touched, err := s.router.Render(one, r2)
				must(t, err)
				touch(two)
				if len(one) == len(two) && len(touched) == len(two) {
					equal(t, "something foreign does not survive", touched, dump(two))
				}
				touch(user)
				back, err = s.router.Render(touched, nil)
				must(t, err)
				equal(t, "something foreign does not survive the return", back, dump(user))
			})
			t.Logf("%d rendered, %d refused", rendered, refused)
			if 4*rendered < refused { // half are, of the routes with most in them
				t.Errorf("only %d of %d were rendered", rendered, rendered+refused)
			}
		})
	}
}

// touch writes what routers do not know.
func touch(objects Objects) {
	for ref, u := range objects {
		c := u.DeepCopy()
		c.Object["status"] = map[string]any{"seen": int64(1) << 60}
		c.SetFinalizers([]string{"example.com/kept"})
		c.SetResourceVersion("42")
		objects[ref] = c
	}
}

func must(t rapid.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// dump is the objects as text, for comparing them to the last field.
func dump(o Objects) string {
	text := ""
	for _, name := range sortedKeys(byName(o)) {
		text += name + " " + encode(byName(o)[name].Object) + "\n"
	}
	return text
}

func byName(o Objects) map[string]*unstructured.Unstructured {
	m := map[string]*unstructured.Unstructured{}
	for ref, u := range o {
		m[ref.String()] = u
	}
	return m
}

func equal(t *rapid.T, what string, got Objects, want string) {
	t.Helper()
	if dump(got) != want {
		t.Fatalf("%s:\n got %s\nwant %s", what, dump(got), want)
	}
}

// aRoute is any Route that admission would let pass for a gateway that can do everything.
func aRoute(t *rapid.T) *Route {
	r := &Route{}
	kind := rapid.IntRange(0, 3).Draw(t, "kind of route")
	if kind != 0 {
		w := rapid.SampledFrom([]int32{0, 1, 5, 10, 33, 50, 99, 100}).Draw(t, "weight")
		r.Weight = &w
	}
	if kind == 0 || kind == 3 {
		for range rapid.IntRange(1, 2).Draw(t, "matches") {
			r.Matches = append(r.Matches, aMatch(t))
		}
	}
	if rapid.Bool().Draw(t, "modifies") {
		r.HeaderModifier = &gatewayv1beta1.HTTPHeaderFilter{Set: []gatewayv1beta1.HTTPHeader{{Name: "X-Canary", Value: "a b"}}, Remove: []string{"x-old"}}
	}
	return r
}

func aMatch(t *rapid.T) rolloutsv1beta1.HttpRouteMatch {
	m := rolloutsv1beta1.HttpRouteMatch{}
	exact, regex := gatewayv1beta1.HeaderMatchType("Exact"), gatewayv1beta1.HeaderMatchType("RegularExpression")
	header := func(name string) gatewayv1beta1.HTTPHeaderMatch {
		kind := rapid.SampledFrom([]*gatewayv1beta1.HeaderMatchType{nil, &exact, &regex}).Draw(t, "type")
		return gatewayv1beta1.HTTPHeaderMatch{Name: gatewayv1beta1.HTTPHeaderName(name), Type: kind, Value: rapid.SampledFrom([]string{"a", "^b.*<&>$"}).Draw(t, "value")}
	}
	form := rapid.IntRange(0, 4).Draw(t, "form")
	if form != 1 {
		m.Headers = append(m.Headers, header(rapid.SampledFrom([]string{"env", "canary-by-cookie"}).Draw(t, "name")))
	}
	if form == 2 {
		m.Headers = append(m.Headers, header("user"))
	}
	if form == 3 || form == 1 {
		m.QueryParams = append(m.QueryParams, gatewayv1beta1.HTTPQueryParamMatch{Name: "v", Value: "2"})
	}
	if form == 4 {
		kind := rapid.SampledFrom([]gatewayv1beta1.PathMatchType{"Exact", "PathPrefix"}).Draw(t, "path type")
		value := rapid.SampledFrom([]string{"/beta/x", "/y/z"}).Draw(t, "path")
		m.Path = &gatewayv1beta1.HTTPPathMatch{Type: &kind, Value: &value}
	}
	return m
}

// aGRPC is a Route without query parameters.
func aGRPC(t *rapid.T) *Route {
	r := aRoute(t)
	for i := range r.Matches {
		r.Matches[i].QueryParams = nil
		if len(r.Matches[i].Headers) == 0 {
			r.Matches[i].Headers = []gatewayv1beta1.HTTPHeaderMatch{{Name: "env", Value: "a"}}
		}
	}
	return r
}

// meta is metadata with and without labels and annotations.
func meta(t *rapid.T) map[string]any {
	m := map[string]any{"name": "web", "namespace": "shop", "uid": "1"}
	if rapid.Bool().Draw(t, "labelled") {
		m["labels"] = map[string]any{"app": "web"}
	}
	if rapid.Bool().Draw(t, "annotated") {
		m["annotations"] = map[string]any{"example.com/note": `<&> "ü"`, "mse.ingress.kubernetes.io/service-subset": "x", "nginx.ingress.kubernetes.io/canary-weight": "3"}
	}
	return m
}

func anIngress(t *rapid.T) []map[string]any {
	paths := func(names ...string) []any {
		all := []any{}
		for i, name := range names {
			all = append(all, map[string]any{"path": fmt.Sprintf("/%d", i), "pathType": "Prefix", "backend": map[string]any{
				"service": map[string]any{"name": name, "port": map[string]any{"number": int64(80)}},
			}})
		}
		return all
	}
	rules := []any{map[string]any{"host": "a.example.com", "http": map[string]any{"paths": paths("api", "other")}}}
	for range rapid.IntRange(0, 2).Draw(t, "rules") {
		names := rapid.SliceOfN(rapid.SampledFrom([]string{"api", "other"}), 1, 3).Draw(t, "paths")
		rules = append(rules, map[string]any{"http": map[string]any{"paths": paths(names...)}})
	}
	spec := map[string]any{"rules": rules, "defaultBackend": map[string]any{"service": map[string]any{"name": "other"}}}
	if rapid.Bool().Draw(t, "tls") {
		spec["tls"] = []any{map[string]any{"hosts": []any{"a.example.com"}, "secretName": "s"}}
		spec["ingressClassName"] = "nginx"
	}
	return []map[string]any{{"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": meta(t), "spec": spec}}
}

func aGatewayRoute(kind string) func(*rapid.T) []map[string]any {
	return func(t *rapid.T) []map[string]any {
		ref := func(name string) map[string]any {
			b := map[string]any{"name": name}
			if rapid.Bool().Draw(t, "defaulted") {
				b["group"], b["kind"] = "", "Service"
			}
			if rapid.Bool().Draw(t, "weighted") {
				b["weight"] = rapid.SampledFrom([]int64{0, 1, 10, 33, 90, 1000000}).Draw(t, "weight")
			}
			if rapid.Bool().Draw(t, "port") {
				b["port"] = rapid.SampledFrom([]int64{80, 8080}).Draw(t, "number")
			}
			if rapid.IntRange(0, 5).Draw(t, "elsewhere") == 0 {
				b["namespace"] = "elsewhere"
			}
			if rapid.IntRange(0, 5).Draw(t, "filtered") == 0 {
				b["filters"] = []any{map[string]any{"type": "RequestHeaderModifier", "requestHeaderModifier": map[string]any{"add": []any{map[string]any{"name": "x-canary", "value": "1"}}}}}
			}
			return b
		}
		number := 0
		rule := func(names ...string) any {
			refs := []any{}
			for _, name := range names {
				refs = append(refs, ref(name))
			}
			r := map[string]any{"backendRefs": refs, "new": map[string]any{"list": []any{}, "map": map[string]any{}, "big": int64(1)<<60 + 1}}
			if rapid.Bool().Draw(t, "matched") {
				r["matches"] = []any{map[string]any{"headers": []any{map[string]any{"name": rapid.SampledFrom([]string{"lang", "tenant"}).Draw(t, "header"), "value": "a", "type": "Exact"}}}, map[string]any{"unknown": true}}
			}
			// Rules for the same requests, of which the first one has them all, are not what most routes are made of.
			if kind == httpRoute && rapid.IntRange(0, 9).Draw(t, "apart") > 0 {
				apart(r, map[string]any{"path": map[string]any{"type": "PathPrefix", "value": fmt.Sprint("/", number)}})
			} else if kind == grpcRoute && rapid.IntRange(0, 9).Draw(t, "apart") > 0 {
				apart(r, map[string]any{"method": map[string]any{"service": fmt.Sprint("service-", number)}})
			}
			if number == 0 || rapid.Bool().Draw(t, "named") {
				r["name"] = fmt.Sprint("rule-", number)
			}
			number++
			return r
		}
		rules := []any{rule("api")}
		rules[0].(map[string]any)["backendRefs"].([]any)[0].(map[string]any)["namespace"] = "shop"
		for range rapid.IntRange(0, 3).Draw(t, "rules") {
			rules = append(rules, rule(rapid.SliceOfN(rapid.SampledFrom([]string{"api", "other", "third"}), 0, 4).Draw(t, "backends")...))
		}
		spec := map[string]any{"rules": rules, "hostnames": []any{"a.example.com"}}
		return []map[string]any{{"apiVersion": "gateway.networking.k8s.io/v1", "kind": kind, "metadata": meta(t), "spec": spec}}
	}
}

// apart has the matches of a rule ask for more.
func apart(rule, more map[string]any) {
	matches := []any{}
	for _, m := range matchesOf(rule) {
		maps.Copy(m, more)
		matches = append(matches, m)
	}
	rule["matches"] = matches
}

// aCustom is a VirtualService, which every script can be run on. Its last rule routes to api and to some more services; those in front
// of that have matches, mostly, or else they have all of its requests.
func aCustom(ref rolloutsv1beta1.ObjectRef, more ...string) func(*rapid.T) []map[string]any {
	return func(t *rapid.T) []map[string]any {
		rules := []any{}
		count := rapid.IntRange(1, 3).Draw(t, "rules")
		for i := range count {
			routes := []any{}
			hosts := rapid.SliceOfN(rapid.SampledFrom([]string{"api", "api.shop.svc", "api.elsewhere", "other", "api-v2"}), 1, 3).Draw(t, "hosts")
			weights := rapid.SampledFrom([]string{"none", "all", "some"}).Draw(t, "weights")
			if i == count-1 {
				hosts = append(hosts, more...)
				hosts[0] = "api" // or else there is nothing to take a weight from
			}
			for _, host := range hosts {
				r := map[string]any{"destination": map[string]any{"host": host}}
				if weights == "all" || weights == "some" && rapid.Bool().Draw(t, "weighted") {
					r["weight"] = rapid.SampledFrom([]int64{0, 10, 33, 90, 100}).Draw(t, "weight")
				}
				routes = append(routes, r)
			}
			rule := map[string]any{"route": routes, "retries": map[string]any{}, "timeout": 1.5, "big": int64(1)<<60 + 1, "none": []any{}}
			if i < count-1 && rapid.IntRange(0, 5).Draw(t, "matched") > 0 {
				rule["match"] = []any{map[string]any{"uri": map[string]any{"prefix": fmt.Sprint("/x", i)}}, map[string]any{"headers": map[string]any{"Env": map[string]any{"exact": "gray"}}}}
			}
			rules = append(rules, rule)
		}
		spec := map[string]any{"hosts": []any{"*"}, rapid.SampledFrom([]string{"http", "http", "http", "http", "tcp", "tls"}).Draw(t, "protocol"): rules}
		return []map[string]any{{"apiVersion": ref.APIVersion, "kind": ref.Kind, "metadata": meta(t), "spec": spec}}
	}
}

// TestShares: whatever else a rule routes to, the canary gets exactly its percentage of what the stable Service had, and
// all others what they had.
func TestShares(t *testing.T) {
	g := gateway{kind: httpRoute, name: "web", backends: config.Backends}
	rapid.Check(t, func(t *rapid.T) {
		refs := []any{}
		for _, name := range rapid.SliceOfN(rapid.SampledFrom([]string{"api", "other", "third"}), 1, 5).Draw(t, "backends") {
			refs = append(refs, map[string]any{"name": name, "weight": rapid.Int64Range(0, 10000).Draw(t, "weight")})
		}
		w := rapid.Int32Range(0, 100).Draw(t, "percent")
		object := &unstructured.Unstructured{Object: map[string]any{"spec": map[string]any{"rules": []any{map[string]any{"backendRefs": refs}}}}}
		ref := g.Refs()[0]
		want, err := g.Render(Objects{ref: object}, &Route{Weight: &w})
		had, all := sums(object)
		if (had["api"] == 0) != (err != nil) {
			t.Fatalf("of weight %d: %v", had["api"], err)
		}
		if err != nil {
			return // no request is routed to the stable Service
		}
		has, now := sums(want[ref])
		if all == 0 {
			return
		}
		for name, expected := range map[string]int64{"api": had["api"] * int64(100-w), "api-canary": had["api"] * int64(w), "other": had["other"] * 100, "third": had["third"] * 100} {
			if has[name]*100*all != expected*now {
				t.Fatalf("%s has %d of %d, want %d of %d", name, has[name], now, expected, all*100)
			}
		}
	})
}

func sums(u *unstructured.Unstructured) (map[string]int64, int64) {
	rules, _ := rulesOf(u)
	by, all := map[string]int64{}, int64(0)
	for _, ref := range mapsIn(rules[0]["backendRefs"]) {
		by[ref["name"].(string)] += weightOf(ref)
		all += weightOf(ref)
	}
	return by, all
}

// TestForeignEdits: what someone changes in a route during a release is there after it.
func TestForeignEdits(t *testing.T) {
	g := gateway{kind: httpRoute, name: "web", backends: config.Backends}
	ref := g.Refs()[0]
	w := int32(40)
	route := func() *unstructured.Unstructured {
		return &unstructured.Unstructured{Object: map[string]any{"metadata": map[string]any{"name": "web"}, "spec": map[string]any{"rules": []any{
			map[string]any{"backendRefs": []any{map[string]any{"name": "api", "weight": int64(90)}, map[string]any{"name": "other", "weight": int64(10)}}},
		}}}}
	}
	for name, edit := range map[string]func(u *unstructured.Unstructured){
		"a hostname": func(u *unstructured.Unstructured) {
			_ = unstructured.SetNestedStringSlice(u.Object, []string{"x"}, "spec", "hostnames")
		},
		"an annotation": func(u *unstructured.Unstructured) {
			annotations := maps.Clone(u.GetAnnotations())
			if annotations == nil {
				annotations = map[string]string{}
			}
			annotations["a"] = "b"
			u.SetAnnotations(annotations)
		},
		"a rule in front": func(u *unstructured.Unstructured) {
			insert(u, map[string]any{"backendRefs": []any{map[string]any{"name": "api", "weight": int64(3)}}})
		},
		"a timeout": func(u *unstructured.Unstructured) {
			rules, _ := u.Object["spec"].(map[string]any)["rules"].([]any)
			rules[0].(map[string]any)["timeouts"] = map[string]any{"request": "1s"}
		},
		"another backend": func(u *unstructured.Unstructured) {
			rule := u.Object["spec"].(map[string]any)["rules"].([]any)[0].(map[string]any)
			rule["backendRefs"] = append(rule["backendRefs"].([]any), map[string]any{"name": "third", "weight": int64(5)})
		},
		"all rules written anew": func(u *unstructured.Unstructured) {
			u.Object["spec"].(map[string]any)["rules"] = []any{map[string]any{"backendRefs": []any{map[string]any{"name": "api", "weight": int64(80)}, map[string]any{"name": "other", "weight": int64(20)}}}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			one, err := g.Render(Objects{ref: route()}, &Route{Weight: &w})
			if err != nil {
				t.Fatal(err)
			}
			edited := one[ref].DeepCopy()
			edit(edited)
			back, err := g.Render(Objects{ref: edited}, nil)
			if err != nil {
				t.Fatal(err)
			}
			want := route()
			edit(want)
			if got := encode(back[ref].Object); got != encode(want.Object) {
				t.Errorf("got  %s\nwant %s", got, encode(want.Object))
			}
			again, err := g.Render(Objects{ref: edited}, &Route{Weight: &w})
			if err != nil {
				t.Fatal(err)
			}
			fresh, _ := g.Render(Objects{ref: want}, &Route{Weight: &w})
			if got := encode(again[ref].Object); got != encode(fresh[ref].Object) {
				t.Errorf("put right: got  %s\nwant %s", got, encode(fresh[ref].Object))
			}
		})
	}
}

// TestForeignCanary: a user's own Service may have the name that a canary's would have.
func TestForeignCanary(t *testing.T) {
	g := gateway{kind: httpRoute, name: "web", backends: config.Backends, foreign: true}
	ref := g.Refs()[0]
	route := &unstructured.Unstructured{Object: map[string]any{"spec": map[string]any{"rules": []any{
		map[string]any{"backendRefs": []any{map[string]any{"name": "api", "weight": int64(90)}, map[string]any{"name": "api-canary", "weight": int64(10)}}},
	}}}}
	back, err := g.Render(Objects{ref: route}, nil)
	if err != nil || encode(back[ref].Object) != encode(route.Object) {
		t.Errorf("got %s, %v", encode(back[ref].Object), err)
	}
}

func insert(u *unstructured.Unstructured, rule map[string]any) {
	spec := u.Object["spec"].(map[string]any)
	spec["rules"] = append([]any{runtime.DeepCopyJSONValue(rule)}, spec["rules"].([]any)...)
}
