// SPDX-License-Identifier: Apache-2.0

package traffic

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	rolloutsv1beta1 "kruise.io/rollouts/api/v1beta1"
)

// annotationOriginal keeps spec, labels and annotations of a custom object as the user wrote them. Its name and its
// form are known to clients: JSON with the keys in order, and without labels or annotations where there are none.
const annotationOriginal = "rollouts.kruise.io/original-spec-configuration"

// annotationOwners says who routes what with a custom object, next to what its user wrote.
const annotationOwners = "rollouts.kruise.io/routed-by"

// custom routes with an object of any kind, which a script changes.
type custom struct {
	ref      Ref
	backends Backends
	owner    string // whose release it is: several may route with one object
	script   *Program
	broken   error // why there is no script
}

// newCustom returns the router of a custom object; a kind without a script, or with a broken one, is an error.
func newCustom(ref rolloutsv1beta1.ObjectRef, c Config) (Router, error) {
	gv, err := schema.ParseGroupVersion(ref.APIVersion)
	if err != nil {
		err = fmt.Errorf("reading the apiVersion of %s %s: %w", ref.Kind, ref.Name, err)
		return scripted(schema.GroupVersionKind{Kind: ref.Kind}, ref.Name, nil, err, c), err
	}
	if k, ok := codedOf(ref); ok {
		return k.New(Ref{gv.WithKind(ref.Kind), ref.Name}, c), nil
	}
	script, err := CustomScript(schema.GroupKind{Group: gv.Group, Kind: ref.Kind}, c.Scripts)
	if err != nil {
		return scripted(gv.WithKind(ref.Kind), ref.Name, nil, err, c), err
	}
	return Scripted(gv.WithKind(ref.Kind), ref.Name, script, c)
}

// Refs is the object.
func (c custom) Refs() []Ref { return []Ref{c.ref} }

// Render has the script change what the user wrote, for every owner in turn, and never what it made of it before. What others
// have changed since it was rendered is the user's, too. An object that is gone has nothing to restore.
func (c custom) Render(have Objects, r *Route) (Objects, error) {
	object := have[c.ref]
	if object == nil {
		if r == nil {
			return have, nil
		}
		return have, missing(c.ref)
	}
	original, kept, err := originalOf(object)
	switch {
	case err != nil:
		return have, c.ref.of(err)
	case !kept && c.backends.Canary != c.backends.Stable && Names(object, c.backends.Canary):
		return have, c.ref.fault(rolloutsv1beta1.BlockerRouteUnsupported, fmt.Errorf("%s routes to Service %s, and its annotation %s, which has its original configuration, is missing; write the object as it should be",
			c.ref, c.backends.Canary, annotationOriginal))
	case r == nil && !kept:
		return have, nil
	case r == nil && c.broken != nil: // other routings of it say that the script is broken
		return have.with(c.ref, withData(object, original)), nil //nolint:nilerr // restoring takes no script
	case c.broken != nil:
		return have, c.broken
	}
	owners := ownersOf(object)
	if kept {
		original = c.edited(object, original, owners)
	}
	delete(owners, c.key())
	if r != nil {
		owners[c.key()] = part{Stable: c.backends.Stable, Canary: c.backends.Canary, Route: r}
	}
	if len(owners) == 0 {
		return have.with(c.ref, withData(object, original)), nil
	}
	return c.write(have, object, original, owners)
}

// edited is what the user wrote, with what was changed in the object since it was rendered. An earlier version has kept no
// owners, and nothing is known then of how it was rendered.
func (c custom) edited(object *unstructured.Unstructured, original map[string]any, owners map[string]part) map[string]any {
	if len(owners) == 0 {
		return original
	}
	rendered, err := c.compose(object, original, owners)
	if err != nil {
		return original
	}
	now, _ := newRebase(owners).value(original, rendered, dataOf(object)).(map[string]any)
	return now
}

// write has the script change what the user wrote, and keeps both that and the owners in the object.
func (c custom) write(have Objects, object *unstructured.Unstructured, original map[string]any, owners map[string]part) (Objects, error) {
	data, err := c.compose(object, original, owners)
	if err != nil {
		return have, err
	}
	want := withData(object, data)
	annotations := want.GetAnnotations()
	if annotations == nil {
		annotations = map[string]string{}
	}
	annotations[annotationOriginal], annotations[annotationOwners] = encode(original), encode(owners)
	want.SetAnnotations(annotations)
	return have.with(c.ref, want), nil
}

// key distinguishes the parts of owners.
func (c custom) key() string { return c.owner + " " + c.backends.Stable + "/" + c.backends.Canary }

// ownersOf reads who routes what with an object.
func ownersOf(u *unstructured.Unstructured) map[string]part {
	owners := map[string]part{}
	_ = json.Unmarshal([]byte(u.GetAnnotations()[annotationOwners]), &owners) // unreadable: the object is rendered anew
	return owners
}

// compose has the script change what the user wrote, for every owner in turn. What fails for another is reported to that one.
func (c custom) compose(object *unstructured.Unstructured, original map[string]any, owners map[string]part) (map[string]any, error) {
	data := runtime.DeepCopyJSON(original)
	for _, key := range slices.Sorted(maps.Keys(owners)) {
		changed, err := c.run(object, data, owners, key)
		switch {
		case err == nil:
			data = changed
		case key == c.key():
			return nil, err
		}
	}
	return data, nil
}

// run has the script change data for one owner.
func (c custom) run(object *unstructured.Unstructured, data map[string]any, owners map[string]part, key string) (map[string]any, error) {
	p := owners[key]
	if p.Route == nil {
		return data, nil
	}
	obj := p.Route.forScript()
	obj["data"] = data
	obj["namespace"] = object.GetNamespace()
	obj["canaryService"], obj["stableService"] = p.Canary, p.Stable
	obj["otherCanaries"] = othersOf(owners, key)
	obj["canaryWeight"], obj["stableWeight"] = -1, 101
	if w := p.Route.Weight; w != nil {
		obj["canaryWeight"], obj["stableWeight"] = int(*w), int(100-*w)
	}
	out, err := c.script.Run(obj)
	if err != nil {
		return nil, err
	}
	changed, ok := out.(map[string]any)
	if !ok {
		return nil, scriptFault(c.script.name, fmt.Errorf("script %s returns no table with spec, labels and annotations", c.script.name))
	}
	for _, field := range []string{"labels", "annotations"} {
		if err := allStrings(changed, field); err != nil {
			return nil, scriptFault(c.script.name, shortened(fmt.Errorf("script %s returns %w", c.script.name, err)))
		}
	}
	return changed, nil
}

// othersOf are the canary Services of all owners but one.
func othersOf(owners map[string]part, but string) []any {
	others := []any{}
	for _, key := range slices.Sorted(maps.Keys(owners)) {
		if key != but && owners[key].Canary != owners[key].Stable {
			others = append(others, owners[key].Canary)
		}
	}
	return others
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
	return dataOf(u), false, nil
}

// dataOf is what an object says, but for what is kept in it of before.
func dataOf(u *unstructured.Unstructured) map[string]any {
	data := map[string]any{}
	if spec, ok := u.DeepCopy().Object["spec"]; ok {
		data["spec"] = spec
	}
	annotations := u.GetAnnotations()
	delete(annotations, annotationOriginal)
	delete(annotations, annotationOwners)
	for field, m := range map[string]map[string]string{"labels": u.GetLabels(), "annotations": annotations} {
		if len(m) > 0 {
			data[field] = plain(m)
		}
	}
	return data
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
		for _, key := range sortedKeys(m) { // so that it is the same one every time
			if _, ok := m[key].(string); !ok {
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
