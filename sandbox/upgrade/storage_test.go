// SPDX-License-Identifier: Apache-2.0

package upgrade

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

var convertedKinds = map[string]string{"rollouts.rollouts.kruise.io": "Rollout", "batchreleases.rollouts.kruise.io": "BatchRelease"}

// onlyV1alpha1 installs the CRDs as the chart of version 0.3 did: one version, which is stored and not converted.
func (s *stage) onlyV1alpha1() {
	s.Helper()
	for _, crd := range s.installed("CustomResourceDefinition") {
		versions, _, _ := unstructured.NestedSlice(crd.Object, "spec", "versions")
		for _, v := range versions {
			if v, _ := v.(map[string]any); v["name"] == "v1alpha1" {
				v["storage"] = true
				delete(v, "deprecated")
				delete(v, "deprecationWarning")
				_ = unstructured.SetNestedSlice(crd.Object, []any{v}, "spec", "versions")
			}
		}
		unstructured.RemoveNestedField(crd.Object, "spec", "conversion")
		s.apply(crd)
		s.defined(crd.GetName())
	}
}

const oldRelease = "{apiVersion: rollouts.kruise.io/v1alpha1, kind: BatchRelease, metadata: {name: old, namespace: default}, " +
	"spec: {targetReference: {workloadRef: {apiVersion: apps/v1, kind: Deployment, name: nobody}}, releasePlan: {enableExtraWorkloadForCanary: false, batchPartition: 0, batches: [{canaryReplicas: 1}, {canaryReplicas: 100%}]}}}"

// TestStoredInV1alpha1 is an upgrade from version 0.3: objects are stored in a version that has to be converted before anything can be
// read. The manager is ready in seconds, both versions are served, and everything comes to be stored in the new one.
func TestStoredInV1alpha1(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.onlyV1alpha1()
	const many = 120 // more than are read at once
	for i := range many {
		s.create(s.parse(fmt.Sprintf(converted, fmt.Sprintf("old-%d", i))))
	}
	s.create(s.parse(oldRelease))
	m := s.start(s.install(), "--leader-elect")
	for _, version := range []string{"v1alpha1", "v1beta1"} {
		if _, err := s.get(group+version, "Rollout", "default", "old-7"); err != nil {
			t.Errorf("in %s: %v", version, err)
		}
	}
	for name := range convertedKinds {
		s.until(name+" is stored in one version", func() error { return s.stored(name, "[v1beta1]") })
	}
	s.serves()
	m.Stop()
	// So the old version can be removed for good. Anything that were still stored in it could not be read any more.
	for name, kind := range convertedKinds {
		s.edit("apiextensions.k8s.io/v1", "CustomResourceDefinition", "", name, func(crd *unstructured.Unstructured) {
			versions, _, _ := unstructured.NestedSlice(crd.Object, "spec", "versions")
			versions = slices.DeleteFunc(versions, func(v any) bool { v2, _ := v.(map[string]any); return v2["name"] != "v1beta1" })
			_ = unstructured.SetNestedSlice(crd.Object, versions, "spec", "versions")
			_ = unstructured.SetNestedMap(crd.Object, map[string]any{"strategy": "None"}, "spec", "conversion")
		})
		s.until(kind+"s of the old version are not served", func() error {
			if _, err := s.get(group+"v1alpha1", kind, "default", "old-7"); !apierrors.IsNotFound(err) || !strings.Contains(err.Error(), "find the requested resource") {
				return fmt.Errorf("reading one: %w", err)
			}
			return nil
		})
		list := &unstructured.UnstructuredList{}
		list.SetAPIVersion(group + "v1beta1")
		list.SetKind(kind + "List")
		s.until("everything is read without a manager", func() error { return s.admin.List(s.Context(), list) })
		if kind == "Rollout" && len(list.Items) < many {
			t.Errorf("%d Rollouts are left of %d", len(list.Items), many)
		}
	}
}

func (s *stage) stored(name, want string) error {
	crd, err := s.get("apiextensions.k8s.io/v1", "CustomResourceDefinition", "", name)
	if err != nil {
		return err
	}
	versions, _, _ := unstructured.NestedStringSlice(crd.Object, "status", "storedVersions")
	if got := fmt.Sprint(versions); got != want {
		return fmt.Errorf("storedVersions are %s", got)
	}
	return nil
}
