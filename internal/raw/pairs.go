// SPDX-License-Identifier: Apache-2.0

package raw

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// mergeKeys distinguish the items of a list, in the order in which they are tried: those by which Kubernetes itself merges
// lists (patchMergeKey and x-kubernetes-list-map-keys of its API). Where a port has a name, that says more than its number.
var mergeKeys = [][]string{
	{"name"},
	{"uid"},
	{"port", "protocol"},
	{"containerPort", "protocol"},
	{"mountPath"},
	{"devicePath"},
	{"topologyKey", "whenUnsatisfiable"},
	{"ip"},
	{"type"},
	{"key"},
}

// identity is what an item of a list is known by, written as in paths; "": it lacks the first of the keys.
func identity(item any, keys []string) string {
	m, _ := item.(map[string]any)
	if m[keys[0]] == nil {
		return ""
	}
	var parts []string
	for _, key := range keys {
		if value, there := m[key]; there {
			parts = append(parts, fmt.Sprintf("%s=%v", key, value))
		}
	}
	return strings.Join(parts, ",")
}

// nameless reports whether an item has none of the merge keys, as the rules of a route.
func nameless(item any) bool {
	return !slices.ContainsFunc(mergeKeys, func(keys []string) bool { return identity(item, keys) != "" })
}

// pairs says which item of from each item of to was, by its place; -1: it is new. Items that are alike are the same, then
// those with the same merge key, and at last, in lists of the same length, nameless ones in the same place.
func pairs(from, to []any) []int {
	of, taken := make([]int, len(to)), make([]bool, len(from))
	for i := range of {
		of[i] = -1
	}
	match := func(same func(was, is any) bool) {
		for i := range to {
			for j := range from {
				if of[i] < 0 && !taken[j] && same(from[j], to[i]) {
					of[i], taken[j] = j, true
				}
			}
		}
	}
	match(reflect.DeepEqual)
	for _, keys := range mergeKeys {
		match(func(was, is any) bool {
			id := identity(is, keys)
			return id != "" && id == identity(was, keys)
		})
	}
	for i := range to {
		if len(from) == len(to) && of[i] < 0 && !taken[i] && nameless(from[i]) && nameless(to[i]) {
			of[i], taken[i] = i, true
		}
	}
	return of
}
