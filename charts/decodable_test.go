// SPDX-License-Identifier: Apache-2.0

package charts_test

import (
	"regexp"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"kruise.io/rollouts/charts"
)

// TestSchemasAreDecodable: what the API server accepts our types can decode. One object that they cannot would keep the manager and every
// other client from reading all others of its kind, in every namespace.
func TestSchemasAreDecodable(t *testing.T) {
	t.Parallel()
	entries, err := charts.Definitions.ReadDir("kruise-rollout/crds-source")
	if err != nil || len(entries) != 6 {
		t.Fatal(err, entries)
	}
	for _, entry := range entries {
		raw, err := charts.Definitions.ReadFile("kruise-rollout/crds-source/" + entry.Name())
		if err != nil {
			t.Fatal(err)
		}
		crd := &unstructured.Unstructured{}
		if err := yaml.Unmarshal(raw, &crd.Object); err != nil {
			t.Fatal(err)
		}
		versions, _, _ := unstructured.NestedSlice(crd.Object, "spec", "versions")
		for _, v := range versions {
			version, _ := v.(map[string]any)
			schema, _, _ := unstructured.NestedMap(version, "schema", "openAPIV3Schema")
			walk(t, crd.GetName()+" "+version["name"].(string), schema) //nolint:forcetypeassert // it is one
		}
	}
}

func walk(t *testing.T, path string, schema map[string]any) {
	t.Helper()
	if why := undecodable(path, schema); why != "" {
		t.Errorf("%s: %s", path, why)
	}
	properties, _ := schema["properties"].(map[string]any)
	for name, p := range properties {
		property, _ := p.(map[string]any)
		walk(t, path+"."+name, property)
	}
	for _, below := range []string{"items", "additionalProperties"} {
		if s, ok := schema[below].(map[string]any); ok {
			walk(t, path+"[]", s)
		}
	}
}

// undecodable says what a schema lets through that its Go type cannot hold; "": nothing.
func undecodable(path string, schema map[string]any) string {
	pattern, _ := schema["pattern"].(string)
	_, most := schema["maximum"]
	_, least := schema["minimum"]
	kind, format := schema["type"], schema["format"]
	switch {
	case schema["x-kubernetes-int-or-string"] == true:
		if !most || !least {
			return "a number of any size"
		}
	case kind == "integer" && format != "int32" && format != "int64", kind == "number":
		return "a number of any size"
	case kind == "string" && format == "date-time":
		return badTimes(path, pattern)
	case kind == nil && !strings.HasSuffix(path, ".data") && !strings.HasSuffix(path, ".template"): // those are kept as they are
		return "anything at all"
	}
	return ""
}

// badTimes says which spelling of a time is let through that Go does not read, or refused that it writes; "": none.
func badTimes(path, pattern string) string {
	layout, written := time.RFC3339, []string{"2026-01-01T00:00:00Z", "2026-12-31T23:59:59+08:00"}
	if strings.HasSuffix(path, ".lastChangeTime") || strings.HasSuffix(path, ".lastTime") || strings.HasSuffix(path, ".nextTime") {
		layout, written = metav1.RFC3339Micro, []string{"2026-01-01T00:00:00.123456Z", "2026-12-31T23:59:59.000000+08:00"}
	}
	if pattern == "" {
		return "times that Go does not read"
	}
	expression := regexp.MustCompile(pattern)
	for _, text := range written {
		if !expression.MatchString(text) {
			return text + " is refused"
		}
	}
	for _, text := range []string{
		"2026-01-01t00:00:00z", "2026-01-01T00:00:00x9Z", "2026-01-01T24:00:00Z", "2026-01-01T23:59:60Z", "2026-01-01T00:00:00", "2026-01-01 00:00:00Z",
		"2026-01-01T00:00:00Z", "2026-01-01T00:00:00.123456Z", "2026-01-01T00:00:00.1Z", "2026-01-01T00:00:00.Z", "2026-01-01T00:00:00,1Z", "2026-01-01T00:00:00+24:60",
	} {
		if _, err := time.Parse(layout, text); err != nil && expression.MatchString(text) {
			return text + " is let through"
		}
	}
	return ""
}
