// SPDX-License-Identifier: Apache-2.0

package traffic

import (
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	rolloutsv1beta1 "kruise.io/rollouts/api/v1beta1"
)

// annotationOriginal keeps spec, labels and annotations of a custom object as the user wrote them. Its name and its
// form are known to clients: JSON with the keys in order, and without labels or annotations where there are none.
const annotationOriginal = "rollouts.kruise.io/original-spec-configuration"

// custom routes with an object of any kind, which a script changes.
type custom struct {
	ref      Ref
	backends Backends
	script   *Program
}

// newCustom returns the router of a custom object; a kind without a script, or with a broken one, is an error.
func newCustom(ref rolloutsv1beta1.ObjectRef, c Config) (Router, error) {
	gv, err := schema.ParseGroupVersion(ref.APIVersion)
	if err != nil {
		return nil, fmt.Errorf("reading the apiVersion of %s %s: %w", ref.Kind, ref.Name, err)
	}
	script, err := CustomScript(schema.GroupKind{Group: gv.Group, Kind: ref.Kind}, c.Scripts)
	if err != nil {
		return nil, err
	}
	return Scripted(gv.WithKind(ref.Kind), ref.Name, script, c)
}

// Refs is the object.
func (c custom) Refs() []Ref { return []Ref{c.ref} }

// Render has the script change what the user wrote, and never what it made of it before. An object that is gone has
// nothing to give back.
func (c custom) Render(have Objects, r *Route) (Objects, error) {
	object := have[c.ref]
	if object == nil {
		if r == nil {
			return have, nil
		}
		return have, missing(c.ref)
	}
	original, kept, err := originalOf(object)
	if err != nil {
		return have, fmt.Errorf("%s: %w", c.ref, err)
	}
	if r == nil {
		if !kept {
			return have, nil
		}
		return have.with(c.ref, withData(object, original)), nil
	}
	obj := r.forScript()
	obj["data"] = original
	obj["namespace"] = object.GetNamespace()
	obj["canaryService"], obj["stableService"] = c.backends.Canary, c.backends.Stable
	obj["canaryWeight"], obj["stableWeight"] = -1, 101
	if r.Weight != nil {
		obj["canaryWeight"], obj["stableWeight"] = int(*r.Weight), int(100-*r.Weight)
	}
	stored := encode(original)
	out, err := c.script.Run(obj)
	if err != nil {
		return have, err
	}
	data, ok := out.(map[string]any)
	if !ok {
		return have, fmt.Errorf("script %s returns no table with spec, labels and annotations", c.script.name)
	}
	for _, field := range []string{"labels", "annotations"} {
		if err := allStrings(data, field); err != nil {
			return have, fmt.Errorf("script %s returns %w", c.script.name, err)
		}
	}
	want := withData(object, data)
	annotations := want.GetAnnotations()
	if annotations == nil {
		annotations = map[string]string{}
	}
	annotations[annotationOriginal] = stored
	want.SetAnnotations(annotations)
	return have.with(c.ref, want), nil
}

// originalOf is what the user wrote: kept in the annotation, or else what the object says.
func originalOf(u *unstructured.Unstructured) (data map[string]any, kept bool, err error) {
	if text, ok := u.GetAnnotations()[annotationOriginal]; ok {
		v, err := decode(text)
		data, ok := v.(map[string]any)
		if err != nil || !ok {
			return nil, true, fmt.Errorf("the annotation %s cannot be read; write the object as it should be, without it", annotationOriginal)
		}
		return data, true, nil
	}
	data = map[string]any{}
	if spec, ok := u.DeepCopy().Object["spec"]; ok {
		data["spec"] = spec
	}
	for field, m := range map[string]map[string]string{"labels": u.GetLabels(), "annotations": u.GetAnnotations()} {
		if len(m) > 0 {
			data[field] = plain(m)
		}
	}
	return data, false, nil
}

// withData returns the object with spec, labels and annotations replaced.
func withData(u *unstructured.Unstructured, data map[string]any) *unstructured.Unstructured {
	want := u.DeepCopy()
	delete(want.Object, "spec")
	if spec, ok := data["spec"]; ok {
		want.Object["spec"] = spec
	}
	for _, field := range []string{"labels", "annotations"} {
		m, _, _ := unstructured.NestedStringMap(data, field)
		put(want, m, "metadata", field)
	}
	return want
}

// allStrings checks that labels or annotations of a script are what they have to be.
func allStrings(data map[string]any, field string) error {
	switch m := data[field].(type) {
	case nil:
	case map[string]any:
		for key, value := range m {
			if _, ok := value.(string); !ok {
				return fmt.Errorf("a value in %s that is not a string: %s", field, key)
			}
		}
	case []any:
		if len(m) == 0 {
			delete(data, field)
			return nil
		}
		return fmt.Errorf("%s that are a list", field)
	default:
		return fmt.Errorf("%s that are no table", field)
	}
	return nil
}
