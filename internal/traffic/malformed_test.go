// SPDX-License-Identifier: Apache-2.0

package traffic

import (
	"os"
	"path/filepath"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"
)

// TestF13MalformedObjects: in every object of the golden files every field is replaced by values of other kinds, and no
// router panics.
func TestF13MalformedObjects(t *testing.T) {
	routes, byKind := someRoutes(t), map[any][]Router{}
	for _, router := range everyRouter(t) {
		kind := router.Refs()[0].Kind
		byKind[kind] = append(byKind[kind], router)
	}
	for _, object := range goldenObjects(t) {
		for i, broken := range brokenOf(object) {
			if routers := byKind[object["kind"]]; len(routers) > 0 {
				renderAll(broken, routers[i%len(routers):][:1], routes) // each in its turn: there are many
			}
		}
	}
}

// FuzzF13Objects: whatever JSON an object is, no router panics. The rules of the API server are not relied upon: the
// kinds are not ours.
func FuzzF13Objects(f *testing.F) {
	t := &testing.T{}
	routers, routes := everyRouter(t), someRoutes(t)
	for _, object := range goldenObjects(t) {
		f.Add(encode(object))
	}
	f.Add(`{"metadata":null,"spec":{"rules":[null,{"http":null}],"http":{},"to":[{"rules":1}]}}`)
	f.Fuzz(func(_ *testing.T, text string) {
		v, err := decode(text)
		object, ok := v.(map[string]any)
		if err == nil && ok {
			renderAll(object, routers, routes)
		}
	})
}

// renderAll has all routers render, and restore, an object that stands for each of theirs.
func renderAll(object map[string]any, routers []Router, routes []*Route) {
	u := &unstructured.Unstructured{Object: object}
	AcceptanceOf(u)
	for _, router := range routers {
		have := Objects{}
		for _, ref := range router.Refs() {
			have[ref] = u
		}
		for _, r := range routes {
			if want, err := router.Render(have, r); err == nil {
				_, _ = router.Render(want, nil)
			}
		}
	}
}

func everyRouter(t *testing.T) []Router {
	var all []Router
	some := subjects(t)
	for _, name := range sortedKeys(some) {
		all = append(all, some[name].router)
	}
	return all
}

func someRoutes(t *testing.T) []*Route {
	return []*Route{
		nil, routeTo(t, byShare), routeTo(t, byHeader),
		routeTo(t, `{traffic: 100%, requestHeaderModifier: {set: [{name: a, value: b}]}}`),
		routeTo(t, `{matches: [{path: {value: /x}}, {queryParams: [{name: a, value: b}]}], requestHeaderModifier: {remove: [a]}}`),
	}
}

// goldenObjects are the users' objects of the golden files.
func goldenObjects(t *testing.T) []map[string]any {
	files, _ := filepath.Glob("testdata/*/*.in.yaml")
	seen, all := map[string]bool{}, []map[string]any(nil)
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		of := struct {
			Objects []map[string]any `json:"objects"`
		}{}
		if err := yaml.Unmarshal(text, &of); err != nil {
			t.Fatal(err)
		}
		for _, object := range of.Objects {
			if text := encode(object); !seen[text] {
				seen[text] = true
				all = append(all, integers64(object))
			}
		}
	}
	return all
}

// brokenOf returns copies of an object, in each of which one value is another.
func brokenOf(object map[string]any) []map[string]any {
	var all []map[string]any
	others := []any{nil, "x", 1.5, []any{nil}, map[string]any{"x": nil}}
	var visit func(v any)
	visit = func(v any) {
		replace := func(was any, set func(any)) {
			for _, other := range others {
				set(other)
				all = append(all, runtime.DeepCopyJSON(object))
			}
			set(was)
			visit(was)
		}
		switch v := v.(type) {
		case map[string]any:
			for _, key := range sortedKeys(v) {
				replace(v[key], func(other any) { v[key] = other })
			}
		case []any:
			for i, was := range v {
				replace(was, func(other any) { v[i] = other })
			}
		}
	}
	visit(object)
	return all
}
