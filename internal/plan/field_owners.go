// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"encoding/json"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kruise.io/rollouts/api/v1beta1"
)

// domain is what the keys of this product's labels and annotations end with, before the slash.
const domain = "rollouts.kruise.io"

// FieldOwners are the field managers of a user's object after a write of this product's: the users' keep what they owned before
// it, and the product owns its own labels and annotations and nothing else. What it owned in a spec, "kubectl apply
// --server-side" and Helm would find a conflict in, with the very manifest that they applied before. Before and after are
// metadata.managedFields as stored, and as the API server computed them for the write.
//
// The time of the product's entry is that of the write: planners read from it when a route was written.
func FieldOwners(before, after []metav1.ManagedFieldsEntry) []metav1.ManagedFieldsEntry {
	var owners []metav1.ManagedFieldsEntry
	for _, e := range before {
		if !ours(e) {
			owners = append(owners, e)
		}
	}
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

// ours tells the product's own entries. Whoever applies under its name is somebody else: it never applies.
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
