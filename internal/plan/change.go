// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
)

const (
	// manyChanges is how many fields of a change are reported one by one: a status is for people, who read no more.
	manyChanges = 24
	// longValue is how many characters of a value are reported: enough for an image with its digest.
	longValue = 160
)

// changeOf says how two pod templates differ, a line for each field: "spec.containers[web].image: web:v1 -> web:v2".
// Items of lists are distinguished by their names, so that one more container is one line.
func changeOf(from, to map[string]any) []string {
	if from == nil || to == nil {
		return nil
	}
	lines := differences("", from, to)
	if more := len(lines) - manyChanges; more > 0 {
		lines = append(lines[:manyChanges:manyChanges], fmt.Sprintf("and %d more", more))
	}
	return lines
}

func differences(path string, from, to any) []string {
	if reflect.DeepEqual(from, to) {
		return nil
	}
	if was, is := fieldsOf(from), fieldsOf(to); was != nil && is != nil {
		return inside(was, is, func(key string) string {
			if path == "" {
				return key
			}
			return path + "." + key
		})
	}
	if was, is := itemsOf(from), itemsOf(to); was != nil && is != nil {
		return inside(was, is, func(key string) string { return path + "[" + key + "]" })
	}
	return []string{path + ": " + short(from) + " -> " + short(to)}
}

func inside(was, is map[string]any, at func(key string) string) []string {
	keys := maps.Clone(was)
	maps.Copy(keys, is)
	var lines []string
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		lines = append(lines, differences(at(key), was[key], is[key])...)
	}
	return lines
}

func fieldsOf(v any) map[string]any {
	fields, _ := v.(map[string]any)
	return fields
}

// itemsOf are the items of a list by their names, or by their places where not every one has a name of its own.
func itemsOf(v any) map[string]any {
	list, ok := v.([]any)
	if !ok {
		return nil
	}
	named, placed := map[string]any{}, map[string]any{}
	for i, item := range list {
		placed[strconv.Itoa(i)] = item
		if name, ok := fieldsOf(item)["name"].(string); ok {
			named[name] = item
		}
	}
	if len(named) == len(list) {
		return named
	}
	return placed
}

// short is a value on one line; that something is not there is reported, too.
func short(v any) string {
	if v == nil {
		return "(none)"
	}
	text, ok := v.(string)
	if !ok || text == "" {
		raw, _ := json.Marshal(v)
		text = string(raw)
	}
	if runes := []rune(text); len(runes) > longValue {
		text = string(runes[:longValue]) + "..."
	}
	return text
}
