// SPDX-License-Identifier: Apache-2.0

package traffic

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"pgregory.net/rapid"
	gatewayv1beta1 "sigs.k8s.io/gateway-api/apis/v1beta1"

	rolloutsv1beta1 "kruise.io/rollouts/api/v1beta1"
)

// rival is somebody who routes with the same object for another Service, or for the same without a canary of its own.
func rival(name, service string, alone bool) Config {
	c := config
	c.Backends = BackendsOf(service, alone)
	c.Owner = metav1.OwnerReference{APIVersion: "rollouts.kruise.io/v1beta1", Kind: "Rollout", Name: name, UID: "8", Controller: &yes}
	return c
}

// shareable are the kinds of objects with which several may route at a time, each with a maker of its routers.
func shareable(t *testing.T) map[string]struct {
	router  func(c Config) Router
	objects func(*rapid.T) []map[string]any
	route   func(*rapid.T) *Route
} {
	t.Helper()
	type kind = struct {
		router  func(c Config) Router
		objects func(*rapid.T) []map[string]any
		route   func(*rapid.T) *Route
	}
	routed := func(kind string) func(c Config) Router {
		return func(c Config) Router {
			return gateway{kind: kind, name: "web", backends: c.Backends, owner: c.Owner.Kind + "/" + c.Owner.Name}
		}
	}
	service := rolloutsv1beta1.ObjectRef{APIVersion: "networking.istio.io/v1", Kind: "VirtualService", Name: "web"}
	return map[string]kind{
		"HTTPRoute": {routed(httpRoute), aGatewayRoute(httpRoute), aRoute},
		"GRPCRoute": {routed(grpcRoute), aGatewayRoute(grpcRoute), aGRPC},
		"VirtualService": {func(c Config) Router {
			r, err := newCustom(service, c)
			if err != nil {
				t.Fatal(err)
			}
			return r
		}, aCustom(service, "other", "third"), aRoute},
	}
}

// TestOwnersCommute: several owners of one object come, change what they ask for and go in any order. What the object says
// depends on who routes what only, each takes back its own, and after the last one it is as its user wrote it.
func TestOwnersCommute(t *testing.T) {
	for name, k := range shareable(t) {
		t.Run(name, func(t *testing.T) {
			routers := []Router{k.router(config), k.router(rival("pay", "other", false)), k.router(rival("mesh", "third", true))}
			rendered := 0
			rapid.Check(t, func(t *rapid.T) {
				user := Objects{}
				user[routers[0].Refs()[0]] = &unstructured.Unstructured{Object: k.objects(t)[0]}
				before := dump(user)
				routes := []*Route{k.route(t), k.route(t), k.route(t)}
				order := rapid.Permutation([]int{0, 1, 2}).Draw(t, "order")
				one, ok := all(user, routers, routes, order)
				if !ok {
					return // one of them finds no rule of its Service, or there is no room
				}
				rendered++
				two, ok := all(user, routers, routes, rapid.Permutation([]int{0, 1, 2}).Draw(t, "another order"))
				if !ok {
					t.Fatal("in another order it is refused")
				}
				equal(t, "another order makes another object", two, dump(one))
				for i, r := range routers {
					again, err := r.Render(one, routes[i])
					must(t, err)
					equal(t, fmt.Sprintf("owner %d has something to change", i), again, dump(one))
				}
				gone := rapid.IntRange(0, 2).Draw(t, "gone")
				left, err := routers[gone].Render(one, nil)
				must(t, err)
				others := slices.DeleteFunc([]int{0, 1, 2}, func(i int) bool { return i == gone })
				want, ok := all(user, routers, routes, others)
				if !ok {
					t.Fatal("without one of them it is refused")
				}
				equal(t, "whoever goes takes more or less than its own", left, dump(want))
				for _, i := range others {
					left, err = routers[i].Render(left, nil)
					must(t, err)
				}
				equal(t, "after the last one it is not as before", left, before)
			})
			if rendered < 20 {
				t.Errorf("only %d were rendered", rendered)
			}
		})
	}
}

// all renders the Routes of several routers one after the other.
func all(have Objects, routers []Router, routes []*Route, order []int) (Objects, bool) {
	for _, i := range order {
		next, err := routers[i].Render(have, routes[i])
		if err != nil {
			return nil, false
		}
		have = next
	}
	return have, true
}

// TestEditsOfRules: whatever somebody changes in a rule that was added, it goes with the release; what is changed in the
// user's own stays.
func TestEditsOfRules(t *testing.T) {
	header := &Route{Matches: []rolloutsv1beta1.HttpRouteMatch{{Headers: []gatewayv1beta1.HTTPHeaderMatch{{Name: "env", Value: "gray"}}}}}
	for of, backends := range map[string]Backends{"with a canary Service": config.Backends, "of one Service": shared.Backends} {
		for name, edit := range map[string]func(rule map[string]any){
			"a timeout": func(rule map[string]any) { rule["timeouts"] = map[string]any{"request": "3s"} },
			"its matches": func(rule map[string]any) {
				rule["matches"] = []any{map[string]any{"path": map[string]any{"value": "/new"}}}
			},
			"both": func(rule map[string]any) {
				rule["timeouts"] = map[string]any{"request": "3s"}
				rule["matches"] = []any{map[string]any{"path": map[string]any{"value": "/new"}}}
			},
		} {
			t.Run(of+", "+name, func(t *testing.T) {
				g := gateway{kind: httpRoute, name: "web", backends: backends}
				ref := g.Refs()[0]
				user := &unstructured.Unstructured{Object: map[string]any{"metadata": map[string]any{"name": "web"}, "spec": map[string]any{"rules": []any{
					map[string]any{"backendRefs": []any{map[string]any{"name": "api"}}}, map[string]any{"backendRefs": []any{map[string]any{"name": "other"}}},
				}}}}
				out, err := g.Render(Objects{ref: user}, header)
				if err != nil {
					t.Fatal(err)
				}
				rules, _ := rulesOf(out[ref])
				edit(rules[2])
				list := []any{rules[0], rules[1], rules[2]}
				rules[0]["timeouts"] = map[string]any{"request": "9s"}
				edited := out[ref].DeepCopy()
				_ = unstructured.SetNestedSlice(edited.Object, list, "spec", "rules")
				back, err := g.Render(Objects{ref: edited}, nil)
				if err != nil {
					t.Fatal(err)
				}
				rules, _ = rulesOf(back[ref])
				if len(rules) != 2 || rules[0]["timeouts"] == nil || len(back[ref].GetAnnotations()) > 0 {
					t.Errorf("%s is left", encode(back[ref].Object))
				}
			})
		}
	}
}

// TestEditsOfCustomObjects: what somebody changes in an object that a script has changed is the user's, and is there after it.
func TestEditsOfCustomObjects(t *testing.T) {
	r, err := newCustom(rolloutsv1beta1.ObjectRef{APIVersion: "networking.istio.io/v1", Kind: "VirtualService", Name: "web"}, config)
	if err != nil {
		t.Fatal(err)
	}
	w := int32(20)
	for name, c := range map[string]struct {
		edit func(u map[string]any)
		want string
	}{
		"nothing": {func(map[string]any) {}, `{"hosts":["*"],"http":[{"route":[{"destination":{"host":"api"}}]}]}`},
		"a timeout of a rule": {
			func(u map[string]any) { first(u)["timeout"] = "3s" },
			`{"hosts":["*"],"http":[{"route":[{"destination":{"host":"api"}}],"timeout":"3s"}]}`,
		},
		"another host":    {func(u map[string]any) { u["hosts"] = []any{"*", "b"} }, `{"hosts":["*","b"],"http":[{"route":[{"destination":{"host":"api"}}]}]}`},
		"a field":         {func(u map[string]any) { u["exportTo"] = []any{"."} }, `{"exportTo":["."],"hosts":["*"],"http":[{"route":[{"destination":{"host":"api"}}]}]}`},
		"a rule in front": {func(u map[string]any) { u["http"] = append([]any{map[string]any{"name": "new"}}, u["http"].([]any)...) }, `{"hosts":["*"],"http":[{"name":"new"},{"route":[{"destination":{"host":"api"}}]}]}`},
		"all as it was": {func(u map[string]any) {
			u["http"] = []any{map[string]any{"route": []any{map[string]any{"destination": map[string]any{"host": "api"}}}}}
		}, `{"hosts":["*"],"http":[{"route":[{"destination":{"host":"api"}}]}]}`},
		"the canary's port": {func(u map[string]any) { canaryOf(u)["port"] = "9" }, `{"hosts":["*"],"http":[{"route":[{"destination":{"host":"api"}}]}]}`},
	} {
		t.Run(name, func(t *testing.T) {
			ref := r.Refs()[0]
			user := &unstructured.Unstructured{Object: map[string]any{"metadata": map[string]any{"name": "web"}, "spec": map[string]any{
				"hosts": []any{"*"}, "http": []any{map[string]any{"route": []any{map[string]any{"destination": map[string]any{"host": "api"}}}}},
			}}}
			out, err := r.Render(Objects{ref: user}, &Route{Weight: &w})
			if err != nil {
				t.Fatal(err)
			}
			edited := out[ref].DeepCopy()
			c.edit(edited.Object["spec"].(map[string]any))
			edited.SetLabels(map[string]string{"team": "a"})
			settled, err := r.Render(Objects{ref: edited}, &Route{Weight: &w})
			if err != nil || !Names(settled[ref], "api-canary") {
				t.Fatalf("it routes no more: %v %v", settled, err)
			}
			for when, have := range map[string]Objects{"at once": {ref: edited}, "later": settled} {
				back, err := r.Render(have, nil)
				if err != nil {
					t.Fatal(err)
				}
				if got := encode(back[ref].Object["spec"]); got != c.want || back[ref].GetLabels()["team"] != "a" || len(back[ref].GetAnnotations()) > 0 {
					t.Errorf("%s there is %s %v, want %s", when, got, back[ref].Object["metadata"], c.want)
				}
			}
		})
	}
}

func first(u map[string]any) map[string]any { return u["http"].([]any)[0].(map[string]any) }

func canaryOf(u map[string]any) map[string]any {
	routes := first(u)["route"].([]any)
	return routes[len(routes)-1].(map[string]any)["destination"].(map[string]any)
}

// TestSiblings: two routings of one release that name one Ingress share what is made next to it, and a release that finds it
// taken by another says whose it is.
func TestSiblings(t *testing.T) {
	pairs := []Backends{BackendsOf("api", false), BackendsOf("other", false)}
	var routers []Router
	for _, pair := range pairs {
		c := config
		c.Backends, c.Siblings = pair, pairs
		r, err := newIngress(rolloutsv1beta1.IngressTrafficRouting{Name: "web"}, c)
		if err != nil {
			t.Fatal(err)
		}
		routers = append(routers, r)
	}
	w := int32(20)
	rapid.Check(t, func(t *rapid.T) {
		user := Objects{routers[0].Refs()[0]: &unstructured.Unstructured{Object: anIngress(t)[0]}}
		before := dump(user)
		one, err := routers[0].Render(user, &Route{Weight: &w})
		must(t, err)
		for _, service := range []string{"api-canary", "other-canary"} {
			if !Names(one[routers[0].Refs()[1]], service) {
				t.Fatalf("%s is not routed to: %s", service, dump(one))
			}
		}
		two, err := routers[1].Render(one, &Route{Weight: &w})
		must(t, err)
		equal(t, "the second routing wants another", two, dump(one))
		if _, err := mustRouter(t, rival("pay", "other", false)).Render(one, &Route{Weight: &w}); err == nil ||
			err.Error() != "Ingress web-canary belongs to Rollout shop, and a gateway takes one canary for each Ingress; this release continues when that one has ended" {
			t.Fatalf("another release is told %v", err)
		}
		back, err := routers[1].Render(two, nil)
		must(t, err)
		equal(t, "it does not come back", back, before)
	})
}

func mustRouter(t *rapid.T, c Config) Router {
	r, err := newIngress(rolloutsv1beta1.IngressTrafficRouting{Name: "web"}, c)
	must(t, err)
	return r
}

// TestRestoreWithoutScript: whatever is saved in the ConfigMap meanwhile, what was routed is restored.
func TestRestoreWithoutScript(t *testing.T) {
	w := int32(20)
	broken := config
	broken.Scripts = map[string]string{"lua.traffic.routing.Split.example.com": "return (", "lua.traffic.routing.ingress.own": "return ("}
	routing := rolloutsv1beta1.TrafficRoutingRef{
		Service: "api", CustomNetworkRefs: []rolloutsv1beta1.ObjectRef{{APIVersion: "example.com/v1", Kind: "Split", Name: "web"}},
		Ingress: &rolloutsv1beta1.IngressTrafficRouting{ClassType: "own", Name: "web"},
		Gateway: &rolloutsv1beta1.GatewayTrafficRouting{HTTPRouteName: new("web")},
	}
	routers, err := Routers(routing, config)
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		user := Objects{
			routers[0].Refs()[0]: {Object: map[string]any{"apiVersion": "example.com/v1", "kind": "Split", "metadata": meta(t), "spec": map[string]any{"weight": int64(7)}}},
			routers[1].Refs()[0]: {Object: anIngress(t)[0]},
			routers[2].Refs()[0]: {Object: aGatewayRoute(httpRoute)(t)[0]},
		}
		before := dump(user)
		have := user
		for _, r := range routers {
			rendered, err := r.Render(have, &Route{Weight: &w})
			if err != nil && strings.Contains(err.Error(), "no rule routes to Service api") {
				t.Skip("of weight 0")
			}
			must(t, err)
			have = rendered
		}
		crippled, err := Routers(routing, broken)
		if err == nil || len(crippled) != len(routers) {
			t.Fatalf("%d routers, and %v", len(crippled), err)
		}
		for i, r := range crippled {
			if _, err := r.Render(have, &Route{Weight: &w}); (err == nil) != (i == 2) {
				t.Fatalf("router %d: %v", i, err)
			}
			if have, err = r.Render(have, nil); err != nil {
				t.Fatal(err)
			}
		}
		equal(t, "it does not come back", have, before)
	})
}

// TestNames: which hosts in an object are those of a Service.
func TestNames(t *testing.T) {
	for host, want := range map[string]bool{
		"api": true, "api.shop": true, "api.shop.svc": true, "api.shop.svc.cluster.local": true, "api.shop.svc.example.com": true,
		"api.shop.com": false, "api.example.com": false, "api.elsewhere": false, "api.elsewhere.svc.cluster.local": false, "api-v2": false, "shop": false, "": false,
	} {
		u := &unstructured.Unstructured{Object: map[string]any{"metadata": map[string]any{"namespace": "shop"}, "spec": map[string]any{"http": []any{map[string]any{"host": host}}}}}
		if Names(u, "api") != want {
			t.Errorf("%q: want %v", host, want)
		}
	}
}
