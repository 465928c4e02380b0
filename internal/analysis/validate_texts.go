// SPDX-License-Identifier: Apache-2.0

package analysis

import (
	"encoding/json"
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"kruise.io/rollouts/api/v1beta1"
)

// placed is a text of a provider, and where it is.
type placed struct {
	at    *field.Path
	field string // of the provider that it is in or below: query, url, headers
	text  string
}

// textsOf are all texts of a provider, in the order of their places.
func textsOf(at *field.Path, p v1beta1.MetricProvider) []placed {
	data, err := json.Marshal(p)
	if err != nil {
		return nil // of what has come as JSON
	}
	var providers map[string]map[string]any
	if err := json.Unmarshal(data, &providers); err != nil {
		return nil
	}
	var all []placed
	for _, name := range slices.Sorted(maps.Keys(providers)) {
		for _, field := range slices.Sorted(maps.Keys(providers[name])) {
			all = collect(all, at.Child(name, field), field, providers[name][field])
		}
	}
	return all
}

func collect(all []placed, at *field.Path, field string, value any) []placed {
	switch value := value.(type) {
	case string:
		return append(all, placed{at, field, value})
	case []any:
		for i := range value {
			all = collect(all, at.Index(i), field, value[i])
		}
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(value)) {
			all = collect(all, at.Child(key), field, value[key])
		}
	}
	return all
}
