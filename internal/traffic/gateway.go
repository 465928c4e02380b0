// SPDX-License-Identifier: Apache-2.0

package traffic

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	rolloutsv1beta1 "kruise.io/rollouts/api/v1beta1"
)

// The kinds of routes. They share rules, backends, weights and filters; only matches differ.
const (
	httpRoute = "HTTPRoute"
	grpcRoute = "GRPCRoute"
)

// Most of each that the Gateway API's schema takes.
const (
	maxRules      = 16
	maxHeaders    = 16 // of a match, and as many query parameters
	maxBackends   = 16
	maxMatches    = 64  // in a rule
	maxAllMatches = 128 // in a route
	maxWeight     = 1_000_000
)

// gateway routes with the rules of a route of the Gateway API. The object stays unstructured: all
// its versions are the same to it, and fields that are newer than this code survive.
type gateway struct {
	kind, name string
	scope      []string // names of the rules to change; none: all
	backends   Backends
	owner      string // whose release it is: several may route with one object
	foreign    bool   // the Service with the canary's name is someone else's
}

// gatewayRoutes are the Gateway API routes of a routing.
func gatewayRoutes(t rolloutsv1beta1.TrafficRoutingRef) []Ref {
	var routes []Ref
	if t.Gateway != nil {
		for kind, name := range map[string]*string{grpcRoute: t.Gateway.GRPCRouteName, httpRoute: t.Gateway.HTTPRouteName} {
			if name != nil {
				routes = append(routes, Ref{schema.GroupVersionKind{Group: gatewayv1.GroupName, Kind: kind}, *name})
			}
		}
	}
	return slices.SortedFunc(slices.Values(routes), func(a, b Ref) int { return strings.Compare(b.Kind, a.Kind) })
}

// Refs is the route, in the version that the cluster serves.
func (g gateway) Refs() []Ref {
	return []Ref{{schema.GroupVersionKind{Group: gatewayv1.GroupName, Kind: g.kind}, g.name}}
}

// Render takes what earlier Routes of all owners left out of the rules, and puts those of the others and its own new one in:
// what comes out depends on what the user wrote and on who routes what, and not on the order in which they came. A route that
// is gone has nothing to restore.
func (g gateway) Render(have Objects, r *Route) (Objects, error) {
	ref := g.Refs()[0]
	object := have[ref]
	if object == nil {
		if r == nil {
			return have, nil
		}
		return have, missing(ref)
	}
	want := object.DeepCopy()
	rules, listed := rulesOf(want)
	n := takeNote(want)
	rules = g.restore(want, rules, n)
	n.set(g, r)
	rules, err := g.compose(want, rules, n)
	if err != nil {
		return have, ref.of(err)
	}
	n.write(want)
	if listed || len(rules) > 0 {
		list := make([]any, len(rules))
		for i := range rules {
			list[i] = rules[i]
		}
		if err := unstructured.SetNestedSlice(want.Object, list, "spec", "rules"); err != nil {
			return have, ref.of(err)
		}
	}
	return have.with(ref, want), nil
}

// rulesOf reads the rules of a route; false: it has no list of them.
func rulesOf(u *unstructured.Unstructured) ([]map[string]any, bool) {
	list, listed, _ := unstructured.NestedSlice(u.Object, "spec", "rules")
	return mapsIn(list), listed
}

// mapsIn are the maps in a list.
func mapsIn(list any) []map[string]any {
	items, _ := list.([]any)
	all := make([]map[string]any, 0, len(items))
	for _, item := range items {
		if m, ok := item.(map[string]any); ok {
			all = append(all, m)
		}
	}
	return all
}

// compose puts the Routes of all owners into rules that have none, and notes what that changes.
func (g gateway) compose(u *unstructured.Unstructured, rules []map[string]any, n *note) ([]map[string]any, error) {
	n.Rules, n.Added = nil, nil
	clean := slices.Clone(rules)
	splits := make([][]split, len(clean))
	for _, key := range slices.Sorted(maps.Keys(n.Owners)) {
		part, own := n.Owners[key], key == g.key()
		of := g
		if !own {
			of.scope, of.backends = part.Scope, Backends{Stable: part.Stable, Canary: part.Canary}
		}
		added, divided, err := of.route(u, clean, part.Route)
		switch {
		case err != nil && own:
			return nil, err
		case err != nil:
			continue // it is reported to its owner
		}
		rules = slices.Insert(rules, of.place(u, rules, added), added...)
		for _, rule := range added {
			n.Added = append(n.Added, noteRule(rule))
		}
		for i, s := range divided {
			splits[i] = append(splits[i], s)
		}
	}
	for i, rule := range clean {
		if len(splits[i]) == 0 {
			continue
		}
		n.Rules = append(n.Rules, remember(rule, mapsIn(rule["backendRefs"])))
		if err := divide(u, rule, splits[i]); err != nil {
			return nil, fmt.Errorf("rule %d %w", i+1, err)
		}
	}
	n.settle(rules)
	return rules, limits(rules)
}

// limits refuses what the Gateway API's schema would.
func limits(rules []map[string]any) error {
	all, headers := 0, 0
	for _, rule := range rules {
		matches := mapsIn(rule["matches"])
		all += len(matches)
		for _, m := range matches {
			headers = max(headers, len(mapsIn(m["headers"])), len(mapsIn(m["queryParams"])))
		}
	}
	switch {
	case headers > maxHeaders:
		return fmt.Errorf("a match would have %d headers or query parameters; the Gateway API takes %d", headers, maxHeaders)
	case all > maxAllMatches:
		return fmt.Errorf("there would be %d matches; the Gateway API takes %d", all, maxAllMatches)
	case len(rules) > maxRules:
		return fmt.Errorf("there would be %d rules; the Gateway API takes %d", len(rules), maxRules)
	default:
		return nil
	}
}

// route says what a Route adds to the user's rules, and how it splits which of them.
func (g gateway) route(u *unstructured.Unstructured, rules []map[string]any, r *Route) (added []map[string]any, divided map[int]split, err error) {
	if err := g.reaches(u, rules); err != nil {
		return nil, nil, err
	}
	switch {
	case len(r.Matches) > 0:
		added, err = g.match(u, rules, r)
		return added, nil, err
	case r.Weight == nil:
		return nil, nil, nil
	case g.backends.Stable == g.backends.Canary && r.HeaderModifier == nil:
		return nil, nil, nil // any weight of one Service's requests reaches that Service
	case g.backends.Stable == g.backends.Canary:
		return nil, nil, fmt.Errorf("headers of weighted traffic to one Service cannot be changed; use matches")
	}
	divided = map[int]split{}
	var serving []int
	for i, rule := range rules {
		if g.concerns(rule) && g.has(u, rule, g.backends.Stable) {
			divided[i] = split{g.backends, int64(*r.Weight), r.HeaderModifier}
			if g.serves(u, rule) {
				serving = append(serving, i)
			}
		}
	}
	return nil, divided, g.shares(rules, serving)
}

// reaches checks that a rule to change routes requests to the stable Service, or else a step would count as done with none at the new
// version; and that those which are named exist: a rule that
// someone named anew would else take part in no step, and no one would notice.
func (g gateway) reaches(u *unstructured.Unstructured, rules []map[string]any) error {
	for _, name := range g.scope {
		if !slices.ContainsFunc(rules, func(rule map[string]any) bool { return rule["name"] == name }) {
			return fmt.Errorf("no rule is named %s", name)
		}
	}
	if slices.ContainsFunc(rules, func(rule map[string]any) bool { return g.concerns(rule) && g.serves(u, rule) }) {
		return nil
	}
	if len(g.scope) > 0 {
		return fmt.Errorf("no rule named %s routes to Service %s", strings.Join(g.scope, " or "), g.backends.Stable)
	}
	return fmt.Errorf("no rule routes to Service %s", g.backends.Stable)
}

// concerns reports whether a rule is one of those to change.
func (g gateway) concerns(rule map[string]any) bool {
	name, _ := rule["name"].(string)
	return len(g.scope) == 0 || slices.Contains(g.scope, name)
}

// has reports whether a rule routes to a Service.
func (g gateway) has(u *unstructured.Unstructured, rule map[string]any, service string) bool {
	return slices.ContainsFunc(mapsIn(rule["backendRefs"]), func(ref map[string]any) bool { return leadsTo(u, ref, service) })
}

// leadsTo reports whether a backend is a Service of the route's own namespace.
func leadsTo(u *unstructured.Unstructured, ref map[string]any, service string) bool {
	group, _ := ref["group"].(string)
	kind, named := ref["kind"].(string)
	namespace, elsewhere := ref["namespace"].(string)
	return group == "" && (!named || kind == "Service") && (!elsewhere || namespace == u.GetNamespace()) && ref["name"] == service
}

// weightOf is a backend's weight; without one it has the API server's default.
func weightOf(ref map[string]any) int64 {
	switch w := ref["weight"].(type) {
	case int64:
		return w
	case float64:
		return int64(w)
	default:
		return 1
	}
}

// setBackends puts the backends of a rule.
func setBackends(rule map[string]any, refs []map[string]any) {
	list := make([]any, len(refs))
	for i := range refs {
		list[i] = refs[i]
	}
	rule["backendRefs"] = list
}
