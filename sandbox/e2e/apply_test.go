// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/rollouts/api/v1beta1"
	"kruise.io/rollouts/internal/controller"
)

// applier is a user's tool that applies on the server, without force: kubectl apply --server-side, or Helm 4. It has every field of
// its manifests, those too that most people leave to defaults.
type applier struct {
	*stage
	kinds     []schema.GroupVersionKind
	manifests map[schema.GroupVersionKind]*unstructured.Unstructured
}

func (s *stage) applier(kinds ...schema.GroupVersionKind) *applier {
	return &applier{stage: s, kinds: kinds, manifests: map[schema.GroupVersionKind]*unstructured.Unstructured{}}
}

// look tries, with the release in whatever state it is, the manifest as it was before the release, with the template that the workload has
// now, and with one that no one has seen yet. It is a dry run: what it is about is whether the API server and admission take it.
func (a *applier) look(t *testing.T) {
	t.Helper()
	for _, kind := range a.kinds {
		live := &unstructured.Unstructured{}
		live.SetGroupVersionKind(kind)
		err := a.user.Get(t.Context(), client.ObjectKey{Namespace: a.namespace, Name: "web"}, live)
		if apierrors.IsNotFound(err) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		a.checkOwners(t, live)
		if a.manifests[kind] == nil {
			if live.GetAnnotations()[v1beta1.AnnotationInProgressing] == "" {
				a.manifests[kind] = manifestOf(live)
			}
			continue
		}
		a.try(t, "the old manifest", a.manifests[kind])
		template, found, _ := unstructured.NestedMap(live.Object, "spec", "template")
		if !found {
			continue
		}
		same := a.manifests[kind].DeepCopy()
		_ = unstructured.SetNestedMap(same.Object, template, "spec", "template")
		a.try(t, "the same manifest", same)
		next := same.DeepCopy()
		containers, _, _ := unstructured.NestedSlice(next.Object, "spec", "template", "spec", "containers")
		containers[0].(map[string]any)["image"] = "example/web:next" //nolint:forcetypeassert // they are objects
		_ = unstructured.SetNestedSlice(next.Object, containers, "spec", "template", "spec", "containers")
		a.try(t, "a new template", next)
	}
}

// manifestOf is an object as its user could have it in Git.
func manifestOf(live *unstructured.Unstructured) *unstructured.Unstructured {
	u := live.DeepCopy()
	delete(u.Object, "status")
	u.Object["metadata"] = map[string]any{"name": live.GetName(), "namespace": live.GetNamespace()}
	unset := map[string]any{}
	switch u.GetKind() { // what the API server leaves out where it is nothing
	case "Deployment":
		unset = map[string]any{"minReadySeconds": int64(0), "paused": false}
	case "CloneSet":
		unset = map[string]any{"minReadySeconds": int64(0)}
	}
	for field, value := range unset {
		if _, has, _ := unstructured.NestedFieldNoCopy(u.Object, "spec", field); !has {
			_ = unstructured.SetNestedField(u.Object, value, "spec", field)
		}
	}
	return u
}

// try applies without force, and with it where others than the manager own what is applied.
func (a *applier) try(t *testing.T, what string, manifest *unstructured.Unstructured) {
	t.Helper()
	text, err := json.Marshal(manifest)
	if err != nil {
		t.Fatal(err)
	}
	options := []client.PatchOption{client.FieldOwner("helm"), client.DryRunAll}
	err = a.user.Patch(t.Context(), manifest.DeepCopy(), client.RawPatch(types.ApplyYAMLPatchType, text), options...)
	if apierrors.IsConflict(err) && !strings.Contains(err.Error(), controller.FieldManager) {
		err = a.user.Patch(t.Context(), manifest.DeepCopy(), client.RawPatch(types.ApplyYAMLPatchType, text), append(options, client.ForceOwnership)...)
	}
	if err != nil {
		t.Errorf("%s of %s %s is not taken: %v", what, manifest.GetKind(), manifest.GetName(), err)
	}
}

// checkOwners checks with the API server's own bookkeeping that the manager owns nothing of a user's object but its own keys.
func (a *applier) checkOwners(t *testing.T, live *unstructured.Unstructured) {
	t.Helper()
	if err := ownsOnlyKeys(live.GetManagedFields()); err != nil {
		t.Errorf("%s %s: %v", live.GetKind(), live.GetName(), err)
	}
}

func ownsOnlyKeys(entries []metav1.ManagedFieldsEntry) error {
	for _, e := range entries {
		if e.Manager != controller.FieldManager {
			continue
		}
		fields := map[string]map[string]map[string]any{}
		if err := json.Unmarshal(e.FieldsV1.GetRawBytes(), &fields); err != nil {
			return err
		}
		for _, of := range []string{"f:labels", "f:annotations"} {
			for key := range fields["f:metadata"][of] {
				if !strings.Contains(key, "rollouts.kruise.io/") {
					return errors.New("the manager owns " + of + " " + key)
				}
			}
			delete(fields["f:metadata"], of)
		}
		if len(fields) != 1 || len(fields["f:metadata"]) != 0 || e.Subresource != "" {
			return errors.New("the manager owns " + e.FieldsV1.GetRawString())
		}
	}
	return nil
}
