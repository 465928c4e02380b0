// SPDX-License-Identifier: Apache-2.0

package traffic

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	gatewayv1beta1 "sigs.k8s.io/gateway-api/apis/v1beta1"

	rolloutsv1beta1 "kruise.io/rollouts/api/v1beta1"
)

// match returns, for every rule that leads to the stable Service, a rule (see place) that leads to the canary's: the same
// requests, if they also match the Route. The stable rules stay as they are; of two rules for the same path the one
// that asks for more comes first. A match with a path stands for itself, once.
func (g gateway) match(u *unstructured.Unstructured, rules []map[string]any, r *Route) (added []map[string]any, err error) {
	var own, narrowing []map[string]any
	for _, m := range r.Matches {
		condition, err := g.condition(m)
		if err != nil {
			return nil, err
		}
		if m.Path != nil {
			own = append(own, condition)
		} else {
			narrowing = append(narrowing, condition)
		}
	}
	first := true
	for _, rule := range rules {
		if !g.concerns(rule) || !g.serves(u, rule) {
			continue
		}
		var matches []any
		if first {
			for _, condition := range own {
				matches = append(matches, condition)
			}
		}
		first = false
		narrowed, err := g.narrow(rule, narrowing)
		if err != nil {
			return nil, err
		}
		if matches = append(matches, narrowed...); len(matches) == 0 {
			continue
		}
		if len(matches) > maxMatches {
			return nil, fmt.Errorf("a rule would have %d matches; the Gateway API takes %d", len(matches), maxMatches)
		}
		added = append(added, g.canaryRule(u, rule, matches, r.HeaderModifier))
	}
	return added, nil
}

// serves tells whether any requests of a rule reach the stable Service; a weight of 0 is none.
func (g gateway) serves(u *unstructured.Unstructured, rule map[string]any) bool {
	return slices.ContainsFunc(mapsIn(rule["backendRefs"]), func(ref map[string]any) bool {
		return leadsTo(u, ref, g.backends.Stable) && weightOf(ref) > 0
	})
}

// place adds a rule at the end; but where another has one of its matches, in front of that: of two rules that ask for
// the same, gateways take the first.
func place(rules []map[string]any, added map[string]any) []map[string]any {
	matches := map[string]bool{}
	for _, m := range mapsIn(added["matches"]) {
		matches[encode(m)] = true
	}
	at := slices.IndexFunc(rules, func(rule map[string]any) bool {
		return slices.ContainsFunc(mapsIn(rule["matches"]), func(m map[string]any) bool { return matches[encode(m)] })
	})
	if at < 0 {
		at = len(rules)
	}
	return slices.Insert(rules, at, added)
}

// canaryRule is a copy of a rule for the canary Service only. The name of a rule is its own, so the copy has none.
func (g gateway) canaryRule(u *unstructured.Unstructured, rule map[string]any, matches []any, modifier *gatewayv1beta1.HTTPHeaderFilter) map[string]any {
	added := runtime.DeepCopyJSON(rule)
	delete(added, "name")
	var refs []map[string]any
	for _, ref := range mapsIn(added["backendRefs"]) {
		if leadsTo(u, ref, g.backends.Stable) {
			ref["name"] = g.backends.Canary
			refs = append(refs, ref)
		}
	}
	setBackends(added, refs)
	added["matches"] = matches
	modify(added, modifier)
	return added
}

// narrow is every match of a rule with every condition. A rule without matches has one that all requests meet.
func (g gateway) narrow(rule map[string]any, conditions []map[string]any) ([]any, error) {
	of := mapsIn(rule["matches"])
	if len(of) == 0 {
		of = []map[string]any{{}}
	}
	var all []any
	for _, m := range of {
		for _, condition := range conditions {
			both, possible, err := and(m, condition)
			if err != nil {
				return nil, err
			}
			if !possible {
				continue
			}
			if g.kind == httpRoute && both["path"] == nil {
				both["path"] = map[string]any{"type": "PathPrefix", "value": "/"} // as the API server would
			}
			all = append(all, both)
		}
	}
	return all, nil
}

// and joins a match with a condition; false: no request meets both. The Gateway API takes one entry for each name.
func and(m, condition map[string]any) (map[string]any, bool, error) {
	both := runtime.DeepCopyJSON(m)
	for _, field := range []string{"headers", "queryParams"} {
		list, _ := both[field].([]any)
		for _, entry := range mapsIn(condition[field]) {
			other := named(mapsIn(list), field, entry)
			switch {
			case other == nil:
				list = append(list, runtime.DeepCopyJSON(entry))
			case entry["value"] == other["value"] && entry["type"] == typeOf(other):
			case entry["type"] == "Exact" && typeOf(other) == "Exact":
				return nil, false, nil
			default:
				return nil, false, fmt.Errorf("the route matches %s %v already, and the Gateway API takes one value for each", field, entry["name"])
			}
		}
		if len(list) > 0 {
			both[field] = list
		}
	}
	return both, true, nil
}

// named finds the entry of the same name; headers have no case.
func named(list []map[string]any, field string, entry map[string]any) map[string]any {
	name, _ := entry["name"].(string)
	for _, other := range list {
		if n, _ := other["name"].(string); n == name || field == "headers" && strings.EqualFold(n, name) {
			return other
		}
	}
	return nil
}

// typeOf is how an entry is compared; without a type it has the API server's default.
func typeOf(entry map[string]any) any {
	if entry["type"] == nil {
		return "Exact"
	}
	return entry["type"]
}

// condition is a match of a step as this kind of route says it, with the API server's defaults, so that what is stored
// is what was rendered.
func (g gateway) condition(m rolloutsv1beta1.HttpRouteMatch) (map[string]any, error) {
	condition, _ := plain(m).(map[string]any)
	for _, field := range []string{"headers", "queryParams"} {
		entries := mapsIn(condition[field])
		for _, entry := range entries {
			if entry["type"] == nil {
				entry["type"] = "Exact"
			}
		}
	}
	path, has := condition["path"].(map[string]any)
	if has {
		if path["type"] == nil {
			path["type"] = "PathPrefix"
		}
		if path["value"] == nil {
			path["value"] = "/"
		}
	}
	if g.kind == httpRoute {
		return condition, nil
	}
	if condition["queryParams"] != nil {
		return nil, fmt.Errorf("query parameters cannot be matched; gRPC has none")
	}
	if has {
		method, err := methodOf(path)
		if err != nil {
			return nil, err
		}
		delete(condition, "path")
		condition["method"] = method
	}
	return condition, nil
}

// methodOf reads a path as gRPC does: /service, or /service/method.
func methodOf(path map[string]any) (map[string]any, error) {
	value, _ := path["value"].(string)
	service, name, hasName := strings.Cut(strings.Trim(value, "/"), "/")
	switch {
	case path["type"] == "RegularExpression" || service == "" || strings.Contains(name, "/"),
		path["type"] == "Exact" && !hasName:
		return nil, fmt.Errorf("path %s %q names no gRPC method; write Exact /service/method, or PathPrefix /service", path["type"], value)
	case hasName:
		return map[string]any{"type": "Exact", "service": service, "method": name}, nil
	default:
		return map[string]any{"type": "Exact", "service": service}, nil
	}
}
