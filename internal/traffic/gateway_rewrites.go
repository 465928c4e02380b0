// SPDX-License-Identifier: Apache-2.0

package traffic

import (
	"fmt"
	"slices"
)

// replacesPrefix reports whether a rule replaces the beginning of the path that its match names, by a filter of its own or of a
// backend. Such a rule has one match, of a PathPrefix, or the API server refuses it.
func replacesPrefix(rule map[string]any) bool {
	filters := mapsIn(rule["filters"])
	for _, ref := range mapsIn(rule["backendRefs"]) {
		filters = append(filters, mapsIn(ref["filters"])...)
	}
	return slices.ContainsFunc(filters, func(filter map[string]any) bool {
		for _, field := range []string{"urlRewrite", "requestRedirect"} {
			fields, _ := filter[field].(map[string]any)
			if path, _ := fields["path"].(map[string]any); path["type"] == "ReplacePrefixMatch" {
				return true
			}
		}
		return false
	})
}

// keepsPrefix refuses a match of another path than that of a rule which replaces this: it would be replaced in its place, and the
// new version asked for another path than the stable one.
func (g gateway) keepsPrefix(rule map[string]any, m made) error {
	own, _ := matchesOf(rule)[0]["path"].(map[string]any)
	path, _ := m.match["path"].(map[string]any)
	if !replacesPrefix(rule) || pathOf(own) == pathOf(path) {
		return nil
	}
	return fmt.Errorf("rule %d replaces the path prefix %s (ReplacePrefixMatch), and would replace %s of the step instead; match no path in the step, or %s, too", m.in+1, pathOf(own).value, pathOf(path).value, pathOf(own).value)
}

// rulesWith are the lists of matches of the rules that a rule is copied to: one with all, or one for each where it may have no more.
func rulesWith(matches []any, rule map[string]any) [][]any {
	switch {
	case len(matches) == 0:
		return nil
	case replacesPrefix(rule):
		return slices.Collect(slices.Chunk(matches, 1))
	default:
		return [][]any{matches}
	}
}
