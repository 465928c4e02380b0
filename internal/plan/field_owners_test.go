// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kruise.io/rollouts/api/v1beta1"
)

func TestFieldOwners(t *testing.T) {
	t.Parallel()
	day := time.Date(2026, 11, 27, 0, 0, 0, 0, time.UTC)
	entry := func(manager string, operation metav1.ManagedFieldsOperationType, hour int, fields string) metav1.ManagedFieldsEntry {
		at := metav1.NewTime(day.Add(time.Duration(hour) * time.Hour))
		return metav1.ManagedFieldsEntry{
			Manager: manager, Operation: operation, APIVersion: "apps/v1", Time: &at, FieldsType: "FieldsV1", FieldsV1: metav1.NewFieldsV1(fields),
		}
	}
	const (
		surge = `{"f:spec":{"f:strategy":{"f:rollingUpdate":{"f:maxSurge":{}}},"f:template":{}}}`
		rest  = `{"f:spec":{"f:template":{}}}`
		moved = `{"f:metadata":{"f:annotations":{".":{},"f:batchrelease.rollouts.kruise.io/control-info":{},"f:example.com/x":{}},"f:labels":{"f:rollouts.kruise.io/stable-revision":{}},"f:finalizers":{}},` +
			`"f:spec":{"f:strategy":{"f:rollingUpdate":{"f:maxSurge":{}}}}}`
		keys   = `{"f:metadata":{"f:annotations":{"f:batchrelease.rollouts.kruise.io/control-info":{}},"f:labels":{"f:rollouts.kruise.io/stable-revision":{}}}}`
		nobody = `{"f:metadata":{"f:annotations":{"f:rollouts.kruise.io/in-progressing":{}}}}`
	)
	apply, update := metav1.ManagedFieldsOperationApply, metav1.ManagedFieldsOperationUpdate
	us := v1beta1.FieldManager
	tests := map[string]struct{ before, after, want []metav1.ManagedFieldsEntry }{
		"the user's fields stay the user's, and our keys ours": {
			before: []metav1.ManagedFieldsEntry{entry("helm", apply, 1, surge)},
			after:  []metav1.ManagedFieldsEntry{entry("helm", apply, 1, rest), entry(us, update, 2, moved)},
			want:   []metav1.ManagedFieldsEntry{entry("helm", apply, 1, surge), entry(us, update, 2, keys)},
		},
		"who only wrote a field loses it when it is changed, and keeps the others": {
			before: []metav1.ManagedFieldsEntry{entry("kubectl-create", update, 1, surge), entry("helm", apply, 1, surge)},
			after:  []metav1.ManagedFieldsEntry{entry("kubectl-create", update, 1, rest), entry("helm", apply, 1, rest), entry(us, update, 2, moved)},
			want:   []metav1.ManagedFieldsEntry{entry("kubectl-create", update, 1, rest), entry("helm", apply, 1, surge), entry(us, update, 2, keys)},
		},
		"of two who apply a field neither has it when it is changed": {
			before: []metav1.ManagedFieldsEntry{entry("argocd", apply, 1, surge), entry("helm", apply, 1, surge)},
			after:  []metav1.ManagedFieldsEntry{entry("argocd", apply, 1, rest), entry("helm", apply, 1, rest), entry(us, update, 2, moved)},
			want:   []metav1.ManagedFieldsEntry{entry("argocd", apply, 1, rest), entry("helm", apply, 1, rest), entry(us, update, 2, keys)},
		},
		"of two who apply the same manifest in turns neither keeps what only one owned when it is changed": {
			before: []metav1.ManagedFieldsEntry{entry("argocd", apply, 1, rest), entry("helm", apply, 1, surge)},
			after:  []metav1.ManagedFieldsEntry{entry("argocd", apply, 1, rest), entry("helm", apply, 1, rest), entry(us, update, 2, moved)},
			want:   []metav1.ManagedFieldsEntry{entry("argocd", apply, 1, rest), entry("helm", apply, 1, rest), entry(us, update, 2, keys)},
		},
		"whoever applies another part of it is not in the way": {
			before: []metav1.ManagedFieldsEntry{entry("keda", apply, 1, `{"f:spec":{"f:replicas":{}}}`), entry("helm", apply, 1, surge)},
			after:  []metav1.ManagedFieldsEntry{entry("keda", apply, 1, `{"f:spec":{"f:replicas":{}}}`), entry("helm", apply, 1, rest), entry(us, update, 2, moved)},
			want:   []metav1.ManagedFieldsEntry{entry("keda", apply, 1, `{"f:spec":{"f:replicas":{}}}`), entry("helm", apply, 1, surge), entry(us, update, 2, keys)},
		},
		"who owned nothing else is not named any more": {
			before: []metav1.ManagedFieldsEntry{entry("kubectl-edit", update, 1, `{"f:spec":{"f:paused":{}}}`)},
			after:  []metav1.ManagedFieldsEntry{entry(us, update, 2, moved)},
			want:   []metav1.ManagedFieldsEntry{entry(us, update, 2, keys)},
		},
		"what an earlier version owned is the user's again": {
			before: []metav1.ManagedFieldsEntry{entry(us, update, 1, surge)},
			after:  []metav1.ManagedFieldsEntry{entry(us, update, 2, moved)},
			want:   []metav1.ManagedFieldsEntry{entry(us, update, 2, keys)},
		},
		"the time of a write is kept, though nothing of it is owned": {
			before: []metav1.ManagedFieldsEntry{entry("helm", apply, 1, surge)},
			after:  []metav1.ManagedFieldsEntry{entry("helm", apply, 1, rest), entry(us, update, 1, surge), entry(us, update, 2, surge)},
			want:   []metav1.ManagedFieldsEntry{entry("helm", apply, 1, surge), entry(us, update, 2, nobody)},
		},
		"whoever applies under our name is somebody else": {
			before: []metav1.ManagedFieldsEntry{entry(us, apply, 1, surge)},
			after:  []metav1.ManagedFieldsEntry{entry(us, apply, 1, rest), entry(us, update, 2, keys)},
			want:   []metav1.ManagedFieldsEntry{entry(us, apply, 1, surge), entry(us, update, 2, keys)},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := FieldOwners(tc.before, tc.after); !equality.Semantic.DeepEqual(got, tc.want) {
				t.Errorf("got\n%s\nwant\n%s", listed(got), listed(tc.want))
			}
		})
	}
}

func listed(entries []metav1.ManagedFieldsEntry) (text string) {
	for _, e := range entries {
		text += e.Manager + " " + string(e.Operation) + " " + e.Time.String() + " " + e.FieldsV1.GetRawString() + "\n"
	}
	return text
}
