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

// match returns, for every rule that routes to the stable Service, a rule (see place) that routes to the canary's: the same
// requests, if they also match the Route. The stable rules stay as they are; of two rules for the same path the one
// that asks for more comes first. A match whose path none of them has stands for itself, once.
func (g gateway) match(u *unstructured.Unstructured, rules []map[string]any, r *Route) (added []map[string]any, err error) {
	conditions := make([]map[string]any, len(r.Matches))
	for i, m := range r.Matches {
		if conditions[i], err = g.condition(m); err != nil {
			return nil, err
		}
	}
	serving, all, err := g.narrowed(u, rules, r, conditions)
	if err != nil {
		return nil, err
	}
	for _, i := range serving {
		for _, matches := range rulesWith(matchesIn(all, i), rules[i]) {
			if len(matches) > maxMatches {
				return nil, fmt.Errorf("a rule would have %d matches; the Gateway API takes %d", len(matches), maxMatches)
			}
			added = append(added, g.canaryRule(u, rules[i], matches, r.HeaderModifier))
		}
	}
	if len(added) == 0 { // or else a step would count as done with no request at the new version
		return nil, fmt.Errorf("no request satisfies both a match of the step and one of a rule that routes to Service %s", g.backends.Stable)
	}
	if len(all) > maxAllMatches {
		return nil, fmt.Errorf("there would be %d matches; the Gateway API takes %d", len(all), maxAllMatches)
	}
	at := g.place(u, rules, added)
	for _, m := range all {
		if err := g.spares(u, rules, m, at); err != nil {
			return nil, err
		}
	}
	return added, g.reached(rules, len(conditions), all, at)
}

// narrowed are the rules that route to the stable Service, and the matches of all of their copies.
func (g gateway) narrowed(u *unstructured.Unstructured, rules []map[string]any, r *Route, conditions []map[string]any) (serving []int, all []made, err error) {
	met := make([]bool, len(conditions))
	for i, rule := range rules {
		if !g.concerns(rule) || !g.serves(u, rule) {
			continue
		}
		serving = append(serving, i)
		narrowed, err := g.narrow(rule, i, conditions, met)
		if err != nil {
			return nil, nil, err
		}
		all = append(all, narrowed...)
	}
	var alone []made
	for i, m := range r.Matches {
		if m.Path != nil && !met[i] && len(serving) > 0 {
			alone = append(alone, made{from: -1, step: i, in: serving[0], condition: conditions[i], match: conditions[i]})
		}
	}
	all = append(alone, all...)
	for _, m := range all {
		if err := g.keepsPrefix(rules[m.in], m); err != nil {
			return nil, nil, err
		}
	}
	return serving, all, nil
}

// serves reports whether any requests of a rule reach the stable Service; a weight of 0 is none.
func (g gateway) serves(u *unstructured.Unstructured, rule map[string]any) bool {
	return slices.ContainsFunc(mapsIn(rule["backendRefs"]), func(ref map[string]any) bool {
		return leadsTo(u, ref, g.backends.Stable) && weightOf(ref) > 0
	})
}

// place is where rules for the canary are added: at the end; but where a rule that routes to the stable Service asks for the same as
// one of them, in front of that, because of two rules that ask for the same gateways take the first. They stay together, in the
// order of the rules they were made from.
func (g gateway) place(u *unstructured.Unstructured, rules, added []map[string]any) int {
	asked := map[string]bool{}
	for _, rule := range added {
		for _, m := range mapsIn(rule["matches"]) {
			asked[meaning(m)] = true
		}
	}
	at := slices.IndexFunc(rules, func(rule map[string]any) bool {
		return g.serves(u, rule) && slices.ContainsFunc(mapsIn(rule["matches"]), func(m map[string]any) bool { return asked[meaning(m)] })
	})
	if at < 0 {
		return len(rules)
	}
	return at
}

// canaryRule is a copy of a rule with the canary Service in place of the stable one: other Services keep their weights, and their
// requests their headers. The name of a rule is its own, so the copy has none.
func (g gateway) canaryRule(u *unstructured.Unstructured, rule map[string]any, matches []any, modifier *gatewayv1beta1.HTTPHeaderFilter) map[string]any {
	added := runtime.DeepCopyJSON(rule)
	delete(added, "name")
	refs := mapsIn(added["backendRefs"])
	var canaries []map[string]any
	for _, ref := range refs {
		if leadsTo(u, ref, g.backends.Stable) {
			ref["name"] = g.backends.Canary
			canaries = append(canaries, ref)
		}
	}
	setBackends(added, refs)
	added["matches"] = matches
	if len(canaries) == len(refs) {
		canaries = []map[string]any{added}
	}
	for _, target := range canaries {
		modify(target, modifier)
	}
	return added
}

// matchesOf are the matches of a rule; one without any has one that all requests meet.
func matchesOf(rule map[string]any) []map[string]any {
	if of := mapsIn(rule["matches"]); len(of) > 0 {
		return of
	}
	return []map[string]any{{}}
}

// narrow is every match of a rule with every condition; met are the conditions that some request of it meets.
func (g gateway) narrow(rule map[string]any, i int, conditions []map[string]any, met []bool) ([]made, error) {
	var all []made
	for _, m := range matchesOf(rule) {
		for number, condition := range conditions {
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
			met[number] = true
			all = append(all, made{from: i, step: number, in: i, own: m, condition: condition, match: both})
		}
	}
	return all, nil
}

// and joins a match with a condition; false: no request meets both. The Gateway API takes one entry for each name.
func and(m, condition map[string]any) (map[string]any, bool, error) {
	both := runtime.DeepCopyJSON(m)
	for _, join := range []func(both, condition map[string]any) (bool, error){andPath, andMethod} {
		if possible, err := join(both, condition); !possible || err != nil {
			return nil, false, err
		}
	}
	for _, field := range []string{"headers", "queryParams"} {
		list, _ := both[field].([]any)
		for _, entry := range mapsIn(condition[field]) {
			other := named(mapsIn(list), field, entry)
			switch {
			case other == nil:
				list = append(list, runtime.DeepCopyJSON(entry))
			case same(entry["value"], other["value"]) && same(typeOf(entry), typeOf(other)):
			case typeOf(entry) == exactly && typeOf(other) == exactly:
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

// exactly is how entries are compared by default.
const exactly = "Exact"

// typeOf is how an entry is compared; without a type it has the API server's default.
func typeOf(entry map[string]any) any {
	if entry["type"] == nil {
		return exactly
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
		return nil, fmt.Errorf("path %s %q, which names no gRPC method; write Exact /service/method, or PathPrefix /service", path["type"], value)
	case hasName:
		return map[string]any{"type": "Exact", "service": service, "method": name}, nil
	default:
		return map[string]any{"type": "Exact", "service": service}, nil
	}
}
