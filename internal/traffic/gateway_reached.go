// SPDX-License-Identifier: Apache-2.0

package traffic

import (
	"fmt"
	"slices"
)

// reached checks that every match of a step routes some request to the new version: a step promises all of its matches, and would
// else count as done with none there. All are what was made of them, for the place at. A rule of the stable Service may be the one
// that has the requests of a match: it was narrowed by the same match, and is reached in its place.
func (g gateway) reached(rules []map[string]any, steps int, all []made, at int) error {
	for step := range steps {
		copies := slices.DeleteFunc(slices.Clone(all), func(c made) bool { return c.step != step })
		if len(copies) == 0 {
			return fmt.Errorf("no request satisfies both match %d of the step and one of a rule that routes to Service %s", step+1, g.backends.Stable)
		}
		takers := make([]int, len(copies))
		for i, c := range copies {
			takers[i] = g.taker(rules, c.match, at, -1)
		}
		if !slices.Contains(takers, -1) {
			return fmt.Errorf("match %d of the step would route no request to the new version: rule %d takes precedence for all requests with %s; "+
				"match something else in the step, or make rule %d more specific", step+1, takers[0]+1, encode(copies[0].match), takers[0]+1)
		}
	}
	return nil
}

// shares checks that some request reaches one of the rules that are divided: a weight of none is none.
func (g gateway) shares(rules []map[string]any, serving []int) error {
	taker := -1
	for _, i := range serving {
		for _, m := range matchesOf(rules[i]) {
			if taker = g.taker(rules, m, i, i); taker < 0 {
				return nil
			}
		}
	}
	last := serving[len(serving)-1]
	return fmt.Errorf("no request reaches a rule that routes to Service %s: rule %d takes precedence for all requests of rule %d; make rule %d more specific, or move it behind",
		g.backends.Stable, taker+1, last+1, taker+1)
}

// taker is a rule, other than one, that has all requests which a match at a place among the rules asks for; -1: none, or
// it is not known.
func (g gateway) taker(rules []map[string]any, match map[string]any, at, other int) int {
	for i, rule := range rules {
		if i != other && slices.ContainsFunc(matchesOf(rule), func(m map[string]any) bool {
			before := slices.Compare(g.rank(m), g.rank(match))
			return (before > 0 || before == 0 && i < at) && covers(m, match)
		}) {
			return i
		}
	}
	return -1
}

// covers reports whether every request that meets a narrow match is known to meet a wide one. Of patterns only the same ones are; and
// of a match with fields that are not known, none is.
func covers(wide, narrow map[string]any) bool {
	if !coversPath(wide, narrow) {
		return false
	}
	for field, want := range wide {
		switch field {
		case "path":
		case "method":
			if !coversMethod(want, narrow[field]) {
				return false
			}
		case "headers", "queryParams":
			for _, entry := range mapsIn(want) {
				other := named(mapsIn(narrow[field]), field, entry)
				if other == nil || !same(other["value"], entry["value"]) || !same(typeOf(other), typeOf(entry)) || !hasOnly(entry, "name", "type", "value") {
					return false
				}
			}
		default:
			return false
		}
	}
	return true
}

// coversPath is covers for paths. How patterns rank among paths is up to the gateway, so not even every path is known to come first.
func coversPath(wide, narrow map[string]any) bool {
	w, n := pathOf(asMap(wide["path"])), pathOf(asMap(narrow["path"]))
	switch {
	case w == n:
		return hasOnly(asMap(wide["path"]), "type", "value")
	case w.kind != "PathPrefix" || n.kind != "PathPrefix" && n.kind != exactly:
		return false
	default:
		return w.holds(n) && hasOnly(asMap(wide["path"]), "type", "value")
	}
}

// coversMethod is covers for methods: a word in an HTTPRoute, a service and a method in a GRPCRoute.
func coversMethod(wide, narrow any) bool {
	want, isGRPC := wide.(map[string]any)
	if !isGRPC {
		return same(wide, narrow)
	}
	have := asMap(narrow)
	for _, field := range []string{"service", "method"} {
		if want[field] != nil && (!same(want[field], have[field]) || !same(typeOf(want), typeOf(have))) {
			return false
		}
	}
	return hasOnly(want, "type", "service", "method")
}

// hasOnly reports whether a map has no other fields.
func hasOnly(m map[string]any, fields ...string) bool {
	for field := range m {
		if !slices.Contains(fields, field) {
			return false
		}
	}
	return true
}

// asMap is a value as a map; of any other it is empty.
func asMap(v any) map[string]any {
	m, _ := v.(map[string]any)
	return m
}
