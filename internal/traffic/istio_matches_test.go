// SPDX-License-Identifier: Apache-2.0

package traffic

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"pgregory.net/rapid"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	rolloutsv1beta1 "kruise.io/rollouts/api/v1beta1"
)

// request is what rules of a VirtualService distinguish requests by.
type request struct {
	path    string
	headers map[string]string
	query   map[string]string
}

// TestIstioMatches: with matches, every request is treated by the rule it was treated by before, with all that this has; but the
// canary answers in place of the stable Service where the request matches.
func TestIstioMatches(t *testing.T) {
	r, err := newCustom(rolloutsv1beta1.ObjectRef{APIVersion: "networking.istio.io/v1", Kind: "VirtualService", Name: "web"}, config)
	if err != nil {
		t.Fatal(err)
	}
	refused, canary, runs := 0, 0, 0
	rapid.Check(t, func(t *rapid.T) {
		runs++
		user := &unstructured.Unstructured{Object: map[string]any{"metadata": map[string]any{"name": "web", "namespace": "shop"}, "spec": map[string]any{"http": aRules(t)}}}
		step := &Route{}
		for range rapid.IntRange(1, 3).Draw(t, "matches") {
			step.Matches = append(step.Matches, aPlainMatch(t))
		}
		rules := mapsIn(user.Object["spec"].(map[string]any)["http"])
		out, err := r.Render(Objects{r.Refs()[0]: user}, step)
		if err != nil {
			for _, text := range []string{"no http rule routes to Service api", "no request satisfies both a match of the step", "rewrites the path prefix", "no request satisfies both match", "would route no request to the new version"} {
				if strings.Contains(err.Error(), text) {
					refused++
					if !missed(step.Matches, func(q request) bool { return leadsToHost(ruleFor(rules, q), "api") }) && !strings.Contains(text, "rewrites") {
						t.Fatalf("each match has requests of the stable Service: %v", err)
					}
					return
				}
			}
			t.Fatal(err)
		}
		rendered := mapsIn(out[r.Refs()[0]].Object["spec"].(map[string]any)["http"])
		if missed(step.Matches, func(q request) bool { return leadsToHost(ruleFor(rendered, q), "api-canary") }) {
			t.Fatalf("a match has no request that the canary answers:\n%s", encode(rendered))
		}
		for range 20 {
			q := request{
				path:    rapid.SampledFrom([]string{"/", "/x", "/x/", "/xy", "/x/y", "/beta"}).Draw(t, "path"),
				headers: map[string]string{"env": rapid.SampledFrom([]string{"", "gray", "blue"}).Draw(t, "env")},
				query:   map[string]string{"v": rapid.SampledFrom([]string{"", "2"}).Draw(t, "v")},
			}
			want, got := ruleFor(rules, q), ruleFor(rendered, q)
			if want != nil && q.meets(step.Matches) {
				want = byCanary(want)
				canary++
			}
			if path, asked := pathFor(rules, q), pathFor(rendered, q); path != asked {
				t.Fatalf("%+v is asked for at %s, want %s, by\n%s", q, asked, path, encode(got))
			}
			if encode(treatment(got, "match")) != encode(treatment(want, "match")) {
				t.Fatalf("%+v is treated by\n%s, want\n%s", q, encode(got), encode(want))
			}
		}
	})
	if refused > runs/2 || canary < runs {
		t.Errorf("%d of %d are refused, and %d requests are answered by the canary", refused, runs, canary)
	}
}

// TestIstioTaken: whether a rule of another host in front has all requests of the step's match, header x of 1, in a rule of the stable
// Service. Of what no one can know it is not said.
func TestIstioTaken(t *testing.T) {
	r, err := newCustom(rolloutsv1beta1.ObjectRef{APIVersion: "networking.istio.io/v1", Kind: "VirtualService", Name: "web"}, config)
	if err != nil {
		t.Fatal(err)
	}
	step := &Route{Matches: []rolloutsv1beta1.HttpRouteMatch{{Headers: []gatewayv1.HTTPHeaderMatch{{Name: "x", Value: "1"}}}}}
	const led = "route: [{destination: {host: other}}]"
	for _, c := range []struct {
		front, match string
		want         bool
	}{
		{led, `{uri: {prefix: /a}}`, true},
		{"redirect: {uri: /}", `{uri: {prefix: /a}}`, true},
		{"directResponse: {status: 503}", `{uri: {prefix: /a}}`, true},
		{"delegate: {name: other}", `{uri: {prefix: /a}}`, false},
		{"newer: {}", `{uri: {prefix: /a}}`, false},
		{"match: [{}], " + led, `{uri: {prefix: /a}}`, true},
		{"match: [{name: a, statPrefix: b}], " + led, `{uri: {prefix: /a}}`, true},
		{"match: [{newer: 1}], " + led, `{uri: {prefix: /a}}`, false},
		{"match: [{newer: 1}], " + led, `{newer: 1}`, true},
		{"match: [{uri: {prefix: /}}], " + led, `{uri: {regex: /a.*}}`, true},
		{"match: [{uri: {prefix: /a}}], " + led, `{uri: {exact: /ab}}`, true},
		{"match: [{uri: {prefix: /a}}], " + led, `{uri: {regex: /a.*}}`, false},
		{"match: [{uri: {prefix: /a}}], " + led, `{port: 80}`, false},
		{"match: [{uri: {regex: /a.*}}], " + led, `{uri: {regex: /a.*}}`, true},
		{"match: [{uri: {exact: /a}}], " + led, `{uri: {prefix: /a}}`, false},
		{"match: [{uri: {prefix: /a}}], " + led, `{uri: {prefix: /A}}`, false},
		{"match: [{uri: {prefix: /a}, ignoreUriCase: true}], " + led, `{uri: {prefix: /A}}`, true},
		{"match: [{uri: {prefix: /a}}], " + led, `{uri: {prefix: /a}, ignoreUriCase: true}`, false},
		{"match: [{headers: {X: {prefix: '1'}}}], " + led, `{uri: {prefix: /a}}`, true},
		{"match: [{headers: {x: {}}}], " + led, `{uri: {prefix: /a}}`, true},
		{"match: [{headers: {x: {regex: '1'}}}], " + led, `{uri: {prefix: /a}}`, false},
		{"match: [{headers: {y: {}}}], " + led, `{uri: {prefix: /a}}`, false},
		{"match: [{queryParams: {q: {exact: a}}}], " + led, `{queryParams: {q: {exact: a}}}`, true},
		{"match: [{queryParams: {q: {exact: a}}}], " + led, `{queryParams: {Q: {exact: a}}}`, false},
		{"match: [{withoutHeaders: {y: {exact: a}}}], " + led, `{withoutHeaders: {Y: {}}}`, true},
		{"match: [{withoutHeaders: {y: {}}}], " + led, `{withoutHeaders: {y: {exact: a}}}`, false},
		{"match: [{withoutHeaders: {y: {}}}], " + led, `{uri: {prefix: /a}}`, false},
		{"match: [{method: {exact: GET}}], " + led, `{method: {exact: GET}}`, true},
		{"match: [{method: {exact: GET}}], " + led, `{method: {exact: POST}}`, false},
		{"match: [{authority: {prefix: a}}], " + led, `{authority: {exact: a.example.com}}`, true},
		{"match: [{gateways: [gw]}], " + led, `{gateways: [gw], port: 80}`, true},
		{"match: [{gateways: [gw]}], " + led, `{port: 80}`, false},
		{"match: [{sourceLabels: {app: a}}], " + led, `{sourceLabels: {app: b}}`, false},
		{"match: [{port: 80}, {port: 81}], " + led, `{port: 81}`, true},
	} {
		spec := parsed(t, fmt.Sprintf(`{http: [{%s}, {match: [%s], route: [{destination: {host: api}}]}]}`, c.front, c.match))
		user := &unstructured.Unstructured{Object: map[string]any{"metadata": map[string]any{"name": "web"}, "spec": spec}}
		_, err := r.Render(Objects{r.Refs()[0]: user}, step)
		if got := err != nil && strings.Contains(err.Error(), "http rule 1 takes precedence for all requests with"); got != c.want || !got && err != nil {
			t.Errorf("{%s} in front of %s: %v", c.front, c.match, err)
		}
	}
}

// missed reports whether no request that meets one of the matches is answered in some way.
func missed(matches []rolloutsv1beta1.HttpRouteMatch, answered func(request) bool) bool {
	for i := range matches {
		if !slices.ContainsFunc(requests(), func(q request) bool { return q.meets(matches[i:i+1]) && answered(q) }) {
			return true
		}
	}
	return false
}

// leadsToHost reports whether a rule has a route to a host.
func leadsToHost(rule map[string]any, host string) bool {
	return slices.ContainsFunc(mapsIn(rule["route"]), func(route map[string]any) bool { return asMap(route["destination"])["host"] == host })
}

// TestIstioShareIsReached: a weight is refused where no request reaches a rule that it could be taken from, and only there.
func TestIstioShareIsReached(t *testing.T) {
	r, err := newCustom(rolloutsv1beta1.ObjectRef{APIVersion: "networking.istio.io/v1", Kind: "VirtualService", Name: "web"}, config)
	if err != nil {
		t.Fatal(err)
	}
	refused, rendered := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		rules := aRules(t)
		user := &unstructured.Unstructured{Object: map[string]any{"metadata": map[string]any{"name": "web", "namespace": "shop"}, "spec": map[string]any{"http": rules}}}
		share := int32(20)
		out, err := r.Render(Objects{r.Refs()[0]: user}, &Route{Weight: &share})
		could := slices.ContainsFunc(requests(), func(q request) bool {
			rule := ruleFor(mapsIn(rules), q)
			return len(mapsIn(rule["match"])) == 0 && leadsToHost(rule, "api")
		})
		switch {
		case (err == nil) != could:
			t.Fatalf("a share could be taken: %v; got %v of\n%s", could, err, encode(rules))
		case err == nil:
			rendered++
			now := mapsIn(out[r.Refs()[0]].Object["spec"].(map[string]any)["http"])
			if !slices.ContainsFunc(requests(), func(q request) bool { return leadsToHost(ruleFor(now, q), "api-canary") }) {
				t.Fatalf("no request reaches the canary:\n%s", encode(now))
			}
		case strings.Contains(err.Error(), "no request reaches a rule"):
			refused++
		case !strings.Contains(err.Error(), "no rule without match routes to Service api"):
			t.Fatal(err)
		}
	})
	if refused == 0 || rendered == 0 {
		t.Errorf("%d are refused, %d rendered", refused, rendered)
	}
}

// aRules are some rules, each with something of its own, that distinguish requests by exact values.
func aRules(t *rapid.T) []any {
	rules := []any{}
	for i := range rapid.IntRange(1, 4).Draw(t, "rules") {
		routes := []any{}
		for _, host := range rapid.SampledFrom([][]string{{"api"}, {"api"}, {"other"}, {"other", "api"}}).Draw(t, "hosts") {
			routes = append(routes, map[string]any{"destination": map[string]any{"host": host, "port": map[string]any{"number": int64(80 + i)}}, "weight": int64(50)})
		}
		rule := map[string]any{
			"route": routes, "timeout": fmt.Sprintf("%ds", i+1), "retries": map[string]any{}, "corsPolicy": map[string]any{"allowHeaders": []any{}},
		}
		if rewrite := rapid.SampledFrom([]map[string]any{nil, nil, {"uri": "/new"}, {"authority": "a"}}).Draw(t, "rewrite"); rewrite != nil {
			rule["rewrite"] = rewrite
		}
		matches := []any{}
		for range rapid.IntRange(0, 2).Draw(t, "matches of the rule") {
			m := map[string]any{}
			if how := rapid.SampledFrom([]string{"", "exact", "prefix"}).Draw(t, "uri"); how != "" {
				m["uri"] = map[string]any{how: rapid.SampledFrom([]string{"/x", "/x/", "/x/y", "/beta", "/"}).Draw(t, "uri of the rule")}
			}
			if value := rapid.SampledFrom([]string{"", "gray", "blue"}).Draw(t, "header"); value != "" {
				m["headers"] = map[string]any{rapid.SampledFrom([]string{"env", "Env"}).Draw(t, "its name"): map[string]any{"exact": value}}
			}
			if len(m) > 0 {
				matches = append(matches, m)
			}
		}
		if len(matches) > 0 {
			rule["match"] = matches
		}
		rules = append(rules, rule)
	}
	return rules
}

// aPlainMatch asks for exact values.
func aPlainMatch(t *rapid.T) rolloutsv1beta1.HttpRouteMatch {
	m := rolloutsv1beta1.HttpRouteMatch{}
	if rapid.Bool().Draw(t, "by header") {
		m.Headers = []gatewayv1.HTTPHeaderMatch{{Name: "env", Value: rapid.SampledFrom([]string{"gray", "blue"}).Draw(t, "value")}}
	}
	if len(m.Headers) == 0 || rapid.Bool().Draw(t, "by parameter") {
		m.QueryParams = []gatewayv1.HTTPQueryParamMatch{{Name: "v", Value: "2"}}
	}
	if rapid.Bool().Draw(t, "by path") {
		m.Path = &gatewayv1.HTTPPathMatch{
			Type:  new(rapid.SampledFrom([]gatewayv1.PathMatchType{gatewayv1.PathMatchExact, gatewayv1.PathMatchPathPrefix}).Draw(t, "path type")),
			Value: new(rapid.SampledFrom([]string{"/x", "/x/", "/beta", "/"}).Draw(t, "path of the step")),
		}
	}
	return m
}

// meets reports whether a request meets one of the matches of a step.
func (q request) meets(matches []rolloutsv1beta1.HttpRouteMatch) bool {
	return slices.ContainsFunc(matches, func(m rolloutsv1beta1.HttpRouteMatch) bool {
		for _, h := range m.Headers {
			if q.headers[string(h.Name)] != h.Value {
				return false
			}
		}
		for _, p := range m.QueryParams {
			if q.query[string(p.Name)] != p.Value {
				return false
			}
		}
		return m.Path == nil || q.path == *m.Path.Value || *m.Path.Type == gatewayv1.PathMatchPathPrefix && path{"PathPrefix", *m.Path.Value}.holds(path{"Exact", q.path})
	})
}

// ruleFor is the first rule that a request meets, as Istio documents it: one of its matches, with all that this asks for.
func ruleFor(rules []map[string]any, q request) map[string]any {
	for _, rule := range rules {
		if matches := mapsIn(rule["match"]); len(matches) == 0 || slices.ContainsFunc(matches, q.isMet) {
			return rule
		}
	}
	return nil
}

// pathFor is the path that a host is asked for: rewrite.uri stands for the prefix that was matched, or else for the whole path.
func pathFor(rules []map[string]any, q request) string {
	rule := ruleFor(rules, q)
	uri, rewritten := asMap(rule["rewrite"])["uri"].(string)
	if !rewritten {
		return q.path
	}
	prefix := "/"
	if matches := mapsIn(rule["match"]); len(matches) > 0 {
		if by := asMap(matches[slices.IndexFunc(matches, q.isMet)]["uri"]); len(by) > 0 {
			var byPrefix bool
			if prefix, byPrefix = by["prefix"].(string); !byPrefix {
				return uri
			}
		}
	}
	return uri + strings.TrimPrefix(q.path, prefix)
}

func (q request) isMet(m map[string]any) bool {
	values := map[string]string{"uri ": q.path}
	wanted := map[string]any{}
	if uri, ok := m["uri"]; ok {
		wanted["uri "] = uri
	}
	for field, have := range map[string]map[string]string{"headers": q.headers, "queryParams": q.query} {
		for name, condition := range asMap(m[field]) {
			key := strings.ToLower(field + " " + name)
			wanted[key], values[key] = condition, have[strings.ToLower(name)]
		}
	}
	for key, condition := range wanted {
		for how, value := range asMap(condition) {
			text, _ := value.(string)
			if how == "exact" && values[key] != text || how == "prefix" && !strings.HasPrefix(values[key], text) {
				return false
			}
		}
	}
	return true
}

// treatment is a rule but for the field by which it distinguishes requests.
func treatment(rule map[string]any, matches string) map[string]any {
	rule = runtime.DeepCopyJSON(rule)
	delete(rule, matches)
	return rule
}

// byCanary is a rule with the canary in place of the stable Service.
func byCanary(rule map[string]any) map[string]any {
	rule = runtime.DeepCopyJSON(rule)
	for _, route := range mapsIn(rule["route"]) {
		if to := asMap(route["destination"]); to["host"] == "api" {
			to["host"] = "api-canary"
		}
	}
	return rule
}
