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
)

// TestGatewayMatches: with matches, every request is treated by the rule it was treated by before, with all that this has; but the
// canary answers in place of the stable Service where the request matches.
func TestGatewayMatches(t *testing.T) {
	g := gateway{kind: httpRoute, name: "web", backends: config.Backends}
	refused, canary, runs := 0, 0, 0
	rapid.Check(t, func(t *rapid.T) {
		runs++
		rules := someRules(t)
		step := &Route{}
		for range rapid.IntRange(1, 2).Draw(t, "matches") {
			step.Matches = append(step.Matches, aPlainMatch(t))
		}
		if rapid.IntRange(0, 4).Draw(t, "taken") == 0 { // seldom by chance: a rule of another Service for what the step asks for
			asked, err := g.condition(step.Matches[0])
			must(t, err)
			rival := map[string]any{"backendRefs": []any{map[string]any{"name": "other", "weight": int64(50)}}, "matches": []any{asked}, "timeouts": map[string]any{"request": "9s"}}
			rules = slices.Insert(rules, rapid.IntRange(0, len(rules)).Draw(t, "where"), any(rival))
		}
		user := routeWith(rules...)
		before, _ := rulesOf(user[g.Refs()[0]])
		by := func(rules []map[string]any, service string) func(request) bool {
			return func(q request) bool { return g.has(&unstructured.Unstructured{}, g.ruleFor(rules, q), service) }
		}
		out, err := g.Render(user, step)
		if err != nil {
			for _, text := range []string{"no rule routes to Service api", "no request satisfies both a match of the step", "would lose requests to the new version", "replaces the path prefix", "no request satisfies both match", "would route no request to the new version"} {
				if strings.Contains(err.Error(), text) {
					refused++
					if !strings.Contains(text, "lose requests") && !strings.Contains(text, "replaces") && !missed(step.Matches, by(before, "api")) {
						t.Fatalf("each match has requests of the stable Service: %v", err)
					}
					return
				}
			}
			t.Fatal(err)
		}
		after, _ := rulesOf(out[g.Refs()[0]])
		for _, rule := range after {
			if replacesPrefix(rule) && len(matchesOf(rule)) != 1 {
				t.Fatalf("the API server takes one match where a prefix is replaced: %s", encode(rule))
			}
		}
		if missed(step.Matches, by(after, "api-canary")) {
			t.Fatalf("a match has no request that the canary answers:\n%s", encode(after))
		}
		for range 20 {
			q := request{
				path:    rapid.SampledFrom([]string{"/", "/x", "/x/y", "/beta"}).Draw(t, "path"),
				headers: map[string]string{"env": rapid.SampledFrom([]string{"", "gray", "blue"}).Draw(t, "env"), "user": rapid.SampledFrom([]string{"", "ann"}).Draw(t, "user")},
				query:   map[string]string{"v": rapid.SampledFrom([]string{"", "2"}).Draw(t, "v")},
			}
			want, got := g.ruleFor(before, q), g.ruleFor(after, q)
			if want == nil {
				continue // a path that no rule has stands for itself
			}
			if q.meets(step.Matches) {
				want = byGatewayCanary(want)
				canary++
			}
			if path, asked := g.pathFor(before, q), g.pathFor(after, q); path != asked {
				t.Fatalf("%+v is asked for at %s, want %s, by\n%s", q, asked, path, encode(got))
			}
			if encode(treatment(got, "matches")) != encode(treatment(want, "matches")) {
				t.Fatalf("%+v is treated by\n%s, want\n%s", q, encode(got), encode(want))
			}
		}
	})
	if refused > runs*3/4 || canary < runs/2 {
		t.Errorf("%d of %d are refused, and %d requests are answered by the canary", refused, runs, canary)
	}
}

// requests are one of each kind that the generators of rules and matches can know apart, those below their paths among them: a match
// that gets none of these gets none.
func requests() []request {
	var all []request
	for _, path := range []string{"/", "/else", "/x", "/x/", "/xy", "/x/y", "/x/else", "/x/y/else", "/x/yelse", "/beta", "/beta/else", "/betaelse"} {
		for _, env := range []string{"", "gray", "blue"} {
			for _, user := range []string{"", "ann"} {
				for _, v := range []string{"", "2"} {
					all = append(all, request{path: path, headers: map[string]string{"env": env, "user": user}, query: map[string]string{"v": v}})
				}
			}
		}
	}
	return all
}

// TestGatewayCovers: a match covers another if all requests that meet the other meet it, too, and only then.
func TestGatewayCovers(t *testing.T) {
	covered := 0
	rapid.Check(t, func(t *rapid.T) {
		wide, narrow := aGatewayMatch(t), aGatewayMatch(t)
		stray := slices.IndexFunc(requests(), func(q request) bool { return q.isLedBy(narrow) && !q.isLedBy(wide) })
		if got := covers(wide, narrow); got != (stray < 0) {
			t.Fatalf("%s covers %s: %v, and request %d says otherwise", encode(wide), encode(narrow), got, stray)
		}
		if stray < 0 {
			covered++
		}
	})
	if covered == 0 {
		t.Error("none is covered")
	}
}

// TestGatewayCoversNot: of patterns, and of what no one knows, it is not known that all requests of a match meet another.
func TestGatewayCoversNot(t *testing.T) {
	const tenant = `headers: [{name: x, type: RegularExpression, value: beta}]`
	for _, c := range []struct {
		wide, narrow string
		want         bool
	}{
		{`{` + tenant + `}`, `{path: {type: Exact, value: /a}, ` + tenant + `}`, true},
		{`{headers: [{name: x, type: RegularExpression, value: b.*}]}`, `{` + tenant + `}`, false},
		{`{headers: [{name: x, type: RegularExpression, value: beta}]}`, `{headers: [{name: x, value: beta}]}`, false},
		{`{headers: [{name: X, value: a, newer: 1}]}`, `{headers: [{name: x, value: a}]}`, false},
		{`{queryParams: [{name: Q, value: a}]}`, `{queryParams: [{name: q, value: a}]}`, false},
		{`{newer: 1}`, `{newer: 1}`, false},
		{`{path: {type: RegularExpression, value: /a.*}}`, `{path: {type: RegularExpression, value: /a.*}}`, true},
		{`{path: {type: RegularExpression, value: /.*}}`, `{path: {type: Exact, value: /a}}`, false},
		{`{}`, `{path: {type: RegularExpression, value: /a.*}}`, false}, // their order is up to the gateway
		{`{path: {value: /a, newer: 1}}`, `{path: {value: /a}}`, false},
		{`{path: {value: /a/}}`, `{path: {type: Exact, value: /a}}`, true},
		{`{method: GET}`, `{method: GET}`, true},
		{`{method: GET}`, `{}`, false},
		{`{method: {service: s}}`, `{method: {type: Exact, service: s, method: m}}`, true},
		{`{method: {type: RegularExpression, service: s}}`, `{method: {service: s}}`, false},
		{`{method: {type: RegularExpression, service: s}}`, `{method: {type: RegularExpression, service: s}}`, true},
		{`{method: {service: s, newer: 1}}`, `{method: {service: s}}`, false},
	} {
		if got := covers(asMap(parsed(t, c.wide)), asMap(parsed(t, c.narrow))); got != c.want {
			t.Errorf("%s covers %s: %v", c.wide, c.narrow, got)
		}
	}
}

// TestGatewayShareIsReached: a weight is refused where no request reaches a rule that it could be taken from, and only there.
func TestGatewayShareIsReached(t *testing.T) {
	g := gateway{kind: httpRoute, name: "web", backends: config.Backends}
	refused, rendered := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		user := routeWith(someRules(t)...)
		before, _ := rulesOf(user[g.Refs()[0]])
		by := func(rules []map[string]any, service string) bool {
			return slices.ContainsFunc(requests(), func(q request) bool { return g.has(&unstructured.Unstructured{}, g.ruleFor(rules, q), service) })
		}
		out, err := g.Render(user, &Route{Weight: new(int32(20))})
		switch {
		case (err == nil) != by(before, "api"):
			t.Fatalf("got %v of\n%s", err, encode(before))
		case err == nil:
			rendered++
			if after, _ := rulesOf(out[g.Refs()[0]]); !by(after, "api-canary") {
				t.Fatalf("no request reaches the canary:\n%s", encode(after))
			}
		case strings.Contains(err.Error(), "no request reaches a rule"):
			refused++
		}
	})
	if refused == 0 || rendered == 0 {
		t.Errorf("%d are refused, %d rendered", refused, rendered)
	}
}

// someRules are some rules, each with something of its own, that distinguish requests.
func someRules(t *rapid.T) []any {
	rules := []any{}
	for i := range rapid.IntRange(1, 3).Draw(t, "rules") {
		refs := []any{}
		for _, name := range rapid.SampledFrom([][]string{{"api"}, {"api"}, {"other"}, {"other", "api"}}).Draw(t, "backends") {
			refs = append(refs, map[string]any{"name": name, "port": int64(80 + i), "weight": int64(50)})
		}
		matches := []any{}
		for range rapid.IntRange(0, 2).Draw(t, "matches of the rule") {
			matches = append(matches, aGatewayMatch(t))
		}
		rule := map[string]any{"backendRefs": refs, "timeouts": map[string]any{"request": fmt.Sprint(i+1, "s")}}
		if rapid.IntRange(0, 3).Draw(t, "rewritten") == 0 {
			// Its schema takes no other rules that do so.
			matches = []any{map[string]any{"path": map[string]any{"type": "PathPrefix", "value": rapid.SampledFrom([]string{"/", "/x", "/beta"}).Draw(t, "prefix of the rule")}}}
			path := map[string]any{"type": "ReplacePrefixMatch", "replacePrefixMatch": "/new"}
			rule["filters"] = []any{map[string]any{"type": "URLRewrite", "urlRewrite": map[string]any{"path": path}}}
		}
		if len(matches) > 0 {
			rule["matches"] = matches
		}
		rules = append(rules, rule)
	}
	return rules
}

// aGatewayMatch is a match of such a rule.
func aGatewayMatch(t *rapid.T) map[string]any {
	m := map[string]any{}
	if kind := rapid.SampledFrom([]string{"", "Exact", "PathPrefix"}).Draw(t, "kind"); kind != "" {
		m["path"] = map[string]any{"type": kind, "value": rapid.SampledFrom([]string{"/", "/x", "/x/y", "/beta"}).Draw(t, "path of the rule")}
	}
	if value := rapid.SampledFrom([]string{"", "", "gray", "blue"}).Draw(t, "header"); value != "" {
		m["headers"] = []any{map[string]any{"name": "Env", "value": value}}
	}
	if rapid.IntRange(0, 3).Draw(t, "by user") == 0 {
		headers, _ := m["headers"].([]any)
		m["headers"] = append(headers, map[string]any{"name": "user", "value": "ann"})
	}
	return m
}

// ruleFor is the rule that a request meets, as the Gateway API documents it: the one that asks for the most, and the first of those.
func (g gateway) ruleFor(rules []map[string]any, q request) map[string]any {
	rule, _ := g.ledBy(rules, q)
	return rule
}

func (g gateway) ledBy(rules []map[string]any, q request) (found, by map[string]any) {
	var most []int
	for _, rule := range rules {
		for _, m := range matchesOf(rule) {
			if rank := g.rank(m); q.isLedBy(m) && (found == nil || slices.Compare(rank, most) > 0) {
				found, by, most = rule, m, rank
			}
		}
	}
	return found, by
}

// pathFor is the path that a backend is asked for.
func (g gateway) pathFor(rules []map[string]any, q request) string {
	rule, m := g.ledBy(rules, q)
	if !replacesPrefix(rule) {
		return q.path
	}
	prefix := strings.TrimSuffix(pathOf(asMap(m["path"])).value, "/")
	return "/new" + strings.TrimPrefix(q.path, prefix)
}

func (q request) isLedBy(m map[string]any) bool {
	p := pathOf(asMap(m["path"]))
	if p.kind == "Exact" && q.path != p.value || p.kind == "PathPrefix" && !p.holds(path{"Exact", q.path}) {
		return false
	}
	for field, have := range map[string]map[string]string{"headers": q.headers, "queryParams": q.query} {
		for _, entry := range mapsIn(m[field]) {
			if have[strings.ToLower(entry["name"].(string))] != entry["value"] {
				return false
			}
		}
	}
	return true
}

func byGatewayCanary(rule map[string]any) map[string]any {
	rule = runtime.DeepCopyJSON(rule)
	for _, ref := range mapsIn(rule["backendRefs"]) {
		if leadsTo(&unstructured.Unstructured{}, ref, "api") {
			ref["name"] = "api-canary"
		}
	}
	return rule
}
