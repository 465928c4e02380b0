// SPDX-License-Identifier: Apache-2.0

package traffic

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
)

// andPath joins the paths of a match and of a condition; false: no request has both.
func andPath(both, condition map[string]any) (bool, error) {
	want, asked := condition["path"].(map[string]any)
	have, there := both["path"].(map[string]any)
	switch {
	case !asked:
		return true, nil
	case !there || pathOf(have) == everyPath:
		both["path"] = want
		return true, nil
	}
	h, w := pathOf(have), pathOf(want)
	switch {
	case h == w || w == everyPath:
		return true, nil
	case h.kind == "RegularExpression" || w.kind == "RegularExpression":
		return false, fmt.Errorf("a rule matches path %s %q already, and the Gateway API takes one path for each match; write a path of the step that is the same, or none", h.kind, h.value)
	case h.kind == "PathPrefix" && h.holds(w):
		both["path"] = want
		return true, nil
	default:
		return w.kind == "PathPrefix" && w.holds(h), nil
	}
}

// everyPath is what a match without a path asks for.
var everyPath = path{"PathPrefix", "/"}

// path is how a match says a path, with the API server's defaults.
type path struct{ kind, value string }

func pathOf(m map[string]any) path {
	p := everyPath
	if kind, ok := m["type"].(string); ok {
		p.kind = kind
	}
	if value, ok := m["value"].(string); ok {
		p.value = value
	}
	return p
}

// holds reports whether another path is below a prefix, element by element.
func (p path) holds(other path) bool {
	begin := strings.TrimSuffix(p.value, "/")
	return begin == strings.TrimSuffix(other.value, "/") || strings.HasPrefix(other.value, begin+"/")
}

// andMethod joins the methods of a match and of a condition: a word in an HTTPRoute, a service and a method in a GRPCRoute.
func andMethod(both, condition map[string]any) (bool, error) {
	switch want := condition["method"].(type) {
	case string:
		have, there := both["method"]
		both["method"] = want
		return !there || same(have, want), nil
	case map[string]any:
		have, there := both["method"].(map[string]any)
		if !there {
			both["method"] = want
			return true, nil
		}
		for _, field := range []string{"service", "method"} {
			switch {
			case want[field] == nil || same(have[field], want[field]) && same(typeOf(have), typeOf(want)):
			case have[field] == nil:
				have[field] = want[field]
			case typeOf(have) == exactly && typeOf(want) == exactly:
				return false, nil
			default:
				return false, fmt.Errorf("a rule matches gRPC %s %v by a pattern already, and the Gateway API takes one for each match; write a path of the step that is the same, or none", field, have[field])
			}
		}
	}
	return true, nil
}

// made is a match for the canary, and what it was made from.
type made struct {
	from      int            // a rule; -1: none
	step      int            // the number of the step's match
	in        int            // the rule whose copy has it
	own       map[string]any // its match, which was narrowed
	condition map[string]any // that match
	match     map[string]any
}

// matchesIn are the matches for the copy of a rule.
func matchesIn(all []made, rule int) []any {
	var matches []any
	for _, m := range all {
		if m.in == rule {
			matches = append(matches, m.match)
		}
	}
	return matches
}

// spares checks that a match for the canary takes no requests that another rule has: gateways take the rule that asks for more,
// then the older route, then the first of those that ask for as much. At is the place of the canary's rules.
func (g gateway) spares(u *unstructured.Unstructured, rules []map[string]any, c made, at int) error {
	for i, rule := range rules {
		for _, m := range matchesOf(rule) {
			if !g.had(c, i, m) {
				continue
			}
			last := i >= at
			if g.concerns(rule) && g.serves(u, rule) { // it is narrowed, too
				m, _, _ = and(m, c.condition)
				last = i > c.from
			}
			if after := slices.Compare(g.rank(c.match), g.rank(m)); after > 0 || after == 0 && last {
				return fmt.Errorf("rule %d would lose requests to the new version's rule: gateways prefer the more specific rule, and %s is at least as specific as %s; "+
					"match fewer headers or another path in the step, or make rule %d more specific", i+1, encode(c.match), encode(m), i+1)
			}
		}
	}
	return nil
}

// had reports whether requests that the canary's match asks for had another match of a rule before. Of patterns no one can know.
func (g gateway) had(c made, rule int, m map[string]any) bool {
	if _, meet, err := and(m, c.match); err != nil || !meet || rule == c.from && same(m, c.own) {
		return false
	}
	before := slices.Compare(g.rank(m), g.rank(c.own))
	return c.from < 0 || before > 0 || before == 0 && rule < c.from
}

// rank is how much a match asks for, in the order in which the Gateway API compares it. How patterns of paths are ranked is up to
// the gateway: they count as any path.
func (g gateway) rank(m map[string]any) []int {
	headers, params := len(mapsIn(m["headers"])), len(mapsIn(m["queryParams"]))
	if g.kind == grpcRoute {
		method, _ := m["method"].(map[string]any)
		service, _ := method["service"].(string)
		name, _ := method["method"].(string)
		return []int{len(service), len(name), headers}
	}
	fields, _ := m["path"].(map[string]any)
	p := pathOf(fields)
	exact, method := 0, 0
	switch p.kind {
	case "Exact":
		exact = 1
	case "RegularExpression":
		p.value = "/"
	}
	if m["method"] != nil {
		method = 1
	}
	return []int{exact, len(p.value), method, headers, params}
}

// meaning is what a match asks for, however it is written.
func meaning(m map[string]any) string {
	m = runtime.DeepCopyJSON(m)
	if fields, ok := m["path"].(map[string]any); ok {
		p := pathOf(fields)
		m["path"] = p.kind + " " + p.value
		if p == everyPath {
			delete(m, "path")
		}
	}
	for _, field := range []string{"headers", "queryParams"} {
		texts := []string{}
		for _, entry := range mapsIn(m[field]) {
			name, _ := entry["name"].(string)
			if field == "headers" {
				name = strings.ToLower(name)
			}
			texts = append(texts, encode([]any{name, typeOf(entry), entry["value"]}))
		}
		delete(m, field)
		if slices.Sort(texts); len(texts) > 0 {
			m[field] = strings.Join(texts, " ")
		}
	}
	return encode(m)
}
