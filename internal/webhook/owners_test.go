// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kruise.io/rollouts/api/v1beta1"
	"kruise.io/rollouts/internal/controller"
)

// TestOwnersOfOwnWrites: only of the manager's own writes are the owners of fields corrected, and only where one of them is.
func TestOwnersOfOwnWrites(t *testing.T) {
	t.Parallel()
	entry := func(manager, fields string) metav1.ManagedFieldsEntry {
		return metav1.ManagedFieldsEntry{Manager: manager, Operation: metav1.ManagedFieldsOperationUpdate, APIVersion: "apps/v1", FieldsType: "FieldsV1", FieldsV1: metav1.NewFieldsV1(fields)}
	}
	applied := func(fields string) metav1.ManagedFieldsEntry {
		e := entry("helm", fields)
		e.Operation = metav1.ManagedFieldsOperationApply
		return e
	}
	const paused, key = `{"f:spec":{"f:paused":{}}}`, `{"f:metadata":{"f:annotations":{"f:rollouts.kruise.io/in-progressing":{}}}}`
	for name, c := range map[string]struct {
		user, fields string
		patched      bool
	}{
		"a field of a user's":  {user: manager, fields: paused, patched: true},
		"one of our own keys":  {user: manager, fields: key},
		"a write of a user's":  {user: "mallory", fields: paused},
		"an object without it": {user: manager},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			old, edited := app("v1"), app("v1")
			if c.fields != "" {
				old.ManagedFields = []metav1.ManagedFieldsEntry{applied(paused)}
				edited.ManagedFields = []metav1.ManagedFieldsEntry{applied(`{}`), entry(v1beta1.FieldManager, c.fields)}
				if !c.patched {
					edited.ManagedFields[0] = old.ManagedFields[0]
				}
			}
			req := update(t, old, edited, controller.FieldManager)
			req.UserInfo.Username = c.user
			resp := (&owners{self: selfOf(nil)}).Handle(t.Context(), req)
			if patched := len(resp.Patches) > 0; patched != c.patched || !resp.Allowed {
				t.Fatalf("patched %v, want %v: %+v", patched, c.patched, resp)
			}
			if got := answer(t, req, resp); c.patched && (len(got.ManagedFields) != 2 || got.ManagedFields[0].FieldsV1.GetRawString() != paused ||
				strings.Contains(got.ManagedFields[1].FieldsV1.GetRawString(), "f:spec")) {
				t.Errorf("owned by %+v", got.ManagedFields)
			}
		})
	}
}
