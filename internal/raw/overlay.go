// SPDX-License-Identifier: Apache-2.0

package raw

import (
	"maps"
	"reflect"
)

// Overlay changes onto as from changes to to. From and to are objects as our types have them, onto is from as the cluster has it:
// what is in none of the two stays where it is. Maps are changed key by key, items of lists each by itself (see pairs), and
// everything else as a whole.
func Overlay(onto, from, to map[string]any) {
	for key := range from {
		if _, kept := to[key]; !kept {
			delete(onto, key)
		}
	}
	for key, value := range to {
		if was, there := from[key]; !there || !reflect.DeepEqual(was, value) {
			onto[key] = overlaid(onto[key], was, value)
		}
	}
}

// overlaid is onto as from changes to to.
func overlaid(onto, from, to any) any {
	switch to := to.(type) {
	case map[string]any:
		before, wasMap := from.(map[string]any)
		if !wasMap && from != nil {
			return to
		}
		there, _ := onto.(map[string]any)
		there = maps.Clone(there)
		if there == nil {
			there = map[string]any{}
		}
		Overlay(there, before, to)
		return there
	case []any:
		before, _ := from.([]any)
		there, _ := onto.([]any)
		if len(there) != len(before) {
			return to // it is not the list that was changed
		}
		return overlaidList(there, before, to)
	default:
		return to
	}
}

func overlaidList(onto, from, to []any) []any {
	list := make([]any, len(to))
	for i, at := range pairs(from, to) {
		switch {
		case at < 0:
			list[i] = to[i]
		case reflect.DeepEqual(from[at], to[i]):
			list[i] = onto[at]
		default:
			list[i] = overlaid(onto[at], from[at], to[i])
		}
	}
	return list
}
