// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"encoding/json"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"kruise.io/rollouts/api/v1beta1"
)

// domain is what the keys of this product's labels and annotations end with, before the slash.
const domain = "rollouts.kruise.io"

// FieldOwners are the field managers of a user's object after a write of this product's: the users' keep what they owned before
// it, and the product owns its own labels and annotations and nothing else. What it owned in a spec, "kubectl apply
// --server-side" and Helm would find a conflict in, with the very manifest that they applied before. Before and after are
// metadata.managedFields as stored, and as the API server computed them for the write.
//
// A field whose value the write changes stays with a user who applies on the server, as long as no other does so, too: with
// several, the value of each would be in conflict with the others'. Who applies the same manifest in turns counts as an owner of all
// of it: in a release, it has lost what the other gets back by applying first. Anyone who only has written it loses it, as by any write of
// anybody: such an owner would be in conflict with those who apply.
//
// The time of the product's entry is that of the write: planners read from it when a route was written.
func FieldOwners(before, after []metav1.ManagedFieldsEntry) []metav1.ManagedFieldsEntry {
	owners := usersOwn(before, after)
	last := -1
	var own []metav1.ManagedFieldsEntry
	for _, e := range after {
		if !ours(e) {
			continue
		}
		if own = append(own, e); last < 0 || e.Time != nil && (own[last].Time == nil || own[last].Time.Before(e.Time)) {
			last = len(own) - 1
		}
	}
	for i, e := range own {
		fields := ownKeys(e.FieldsV1)
		if len(fields) == 0 && i != last {
			continue
		}
		if len(fields) == 0 { // an entry without a field is dropped, and its time with it
			fields = map[string]any{"f:annotations": map[string]any{"f:" + v1beta1.AnnotationInProgressing: map[string]any{}}}
		}
		text, err := json.Marshal(map[string]any{"f:metadata": fields})
		if err != nil {
			continue
		}
		e.FieldsV1 = metav1.NewFieldsV1(string(text))
		owners = append(owners, e)
	}
	return owners
}

// usersOwn are the entries of everybody else after a write of the product's.
func usersOwn(before, after []metav1.ManagedFieldsEntry) []metav1.ManagedFieldsEntry {
	var users []metav1.ManagedFieldsEntry
	var lost []*fieldpath.Set
	for _, e := range before {
		if ours(e) {
			continue
		}
		left := fieldpath.NewSet()
		for _, now := range after {
			if now.Manager == e.Manager && now.Operation == e.Operation && now.Subresource == e.Subresource && now.APIVersion == e.APIVersion {
				left = left.Union(ownedBy(now))
			}
		}
		users, lost = append(users, e), append(lost, ownedBy(e).Difference(left))
	}
	return remaining(users, lost)
}

// Unshared are the field managers of a user's object after admission has changed fields of it, within a write of the user's: the API
// server counts them for all that owned them before.
func Unshared(entries []metav1.ManagedFieldsEntry, changed *fieldpath.Set) []metav1.ManagedFieldsEntry {
	lost := make([]*fieldpath.Set, len(entries))
	for i, e := range entries {
		lost[i] = ownedBy(e).Intersection(changed)
	}
	return remaining(entries, lost)
}

// remaining takes from each entry those of its lost fields that it cannot keep (FieldOwners).
func remaining(entries []metav1.ManagedFieldsEntry, lost []*fieldpath.Set) []metav1.ManagedFieldsEntry {
	var owners []metav1.ManagedFieldsEntry
	for i, e := range entries {
		gone := lost[i]
		if e.Operation == metav1.ManagedFieldsOperationApply {
			others := fieldpath.NewSet()
			for j, other := range entries {
				switch {
				case j == i || other.Operation != metav1.ManagedFieldsOperationApply:
				case alike(e, other):
					others = gone
				default:
					others = others.Union(lost[j])
				}
			}
			gone = gone.Intersection(others)
		}
		if gone.Empty() {
			owners = append(owners, e) // as it is spelt
			continue
		}
		own := ownedBy(e).Difference(gone)
		text, err := own.ToJSON()
		if own.Empty() || err != nil {
			continue
		}
		e.FieldsV1 = metav1.NewFieldsV1(string(text))
		owners = append(owners, e)
	}
	return owners
}

// alike reports whether two entries own a field of the spec both: they apply the same manifest, or versions of it.
func alike(a, b metav1.ManagedFieldsEntry) bool {
	spec := "spec"
	return !ownedBy(a).Intersection(ownedBy(b)).WithPrefix(fieldpath.PathElement{FieldName: &spec}).Empty()
}

// ownedBy are the fields of an entry; none where it does not parse.
func ownedBy(e metav1.ManagedFieldsEntry) *fieldpath.Set {
	set := fieldpath.NewSet()
	if e.FieldsV1 == nil {
		return set
	}
	if err := set.FromJSON(e.FieldsV1.GetRawReader()); err != nil {
		return fieldpath.NewSet()
	}
	return set
}

// ours shows the product's own entries. Anyone who applies under its name is somebody else: it never applies.
func ours(e metav1.ManagedFieldsEntry) bool {
	return e.Manager == v1beta1.FieldManager && e.Operation == metav1.ManagedFieldsOperationUpdate && e.Subresource == ""
}

// ownKeys are the labels and annotations of this product among fields, below metadata.
func ownKeys(fields *metav1.FieldsV1) map[string]any {
	all := struct {
		Metadata map[string]json.RawMessage `json:"f:metadata"`
	}{}
	kept := map[string]any{}
	if fields == nil || json.NewDecoder(fields.GetRawReader()).Decode(&all) != nil {
		return kept
	}
	for _, of := range []string{"f:labels", "f:annotations"} {
		keys, own := map[string]json.RawMessage{}, map[string]any{}
		_ = json.Unmarshal(all.Metadata[of], &keys)
		for key := range keys {
			if prefix, _, found := strings.Cut(key, "/"); found && strings.HasSuffix(prefix, domain) {
				own[key] = map[string]any{}
			}
		}
		if len(own) > 0 {
			kept[of] = own
		}
	}
	return kept
}
