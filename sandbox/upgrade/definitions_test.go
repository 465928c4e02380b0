// SPDX-License-Identifier: Apache-2.0

package upgrade

import (
	"fmt"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/rollouts/internal/controller"
)

const rolloutCRD = "rollouts.rollouts.kruise.io"

// schemaOf is the schema of v1beta1 in a definition, to be changed.
func schemaOf(crd *unstructured.Unstructured, change func(properties map[string]any)) {
	versions, _, _ := unstructured.NestedSlice(crd.Object, "spec", "versions")
	for _, v := range versions {
		v, _ := v.(map[string]any)
		if v["name"] != "v1beta1" {
			continue
		}
		schema, _ := v["schema"].(map[string]any)
		whole, _ := schema["openAPIV3Schema"].(map[string]any)
		properties, _ := whole["properties"].(map[string]any)
		change(properties)
	}
	_ = unstructured.SetNestedSlice(crd.Object, versions, "spec", "versions")
}

// within is the properties of a field of a schema.
func within(properties map[string]any, path ...string) map[string]any {
	for _, name := range path {
		field, _ := properties[name].(map[string]any)
		if items, ok := field["items"].(map[string]any); ok {
			field = items
		}
		properties, _ = field["properties"].(map[string]any)
	}
	return properties
}

// TestOlderDefinitions starts a manager on CRDs that lack what it remembers in a status. The API server would drop it without a word,
// so the manager names it and waits, and goes on by itself once the CRDs are those of its version.
func TestOlderDefinitions(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	kubeconfig := s.install()
	var traffic any
	s.edit("apiextensions.k8s.io/v1", "CustomResourceDefinition", "", rolloutCRD, func(crd *unstructured.Unstructured) {
		schemaOf(crd, func(p map[string]any) {
			status := within(p, "status", "canaryStatus")
			traffic = status["traffic"]
			delete(status, "traffic")
		})
	})
	m := s.launch(kubeconfig)
	s.says(m, "[+]certificates ok", rolloutCRD+" is older than this manager: v1beta1 lacks status.canaryStatus.traffic", "install the CRDs of this version")
	s.edit("apiextensions.k8s.io/v1", "CustomResourceDefinition", "", rolloutCRD, func(crd *unstructured.Unstructured) {
		schemaOf(crd, func(p map[string]any) { within(p, "status", "canaryStatus")["traffic"] = traffic })
	})
	if err := m.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.serves()
}

// TestNoDefinitions starts a manager before anything is installed but its rights.
func TestNoDefinitions(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	kubeconfig := s.install()
	for _, crd := range s.installed("CustomResourceDefinition") {
		if err := s.admin.Delete(t.Context(), crd); err != nil {
			t.Fatal(err)
		}
	}
	s.until("the CRDs are gone", func() error {
		if _, err := s.get("apiextensions.k8s.io/v1", "CustomResourceDefinition", "", rolloutCRD); err == nil {
			return fmt.Errorf("%s is there", rolloutCRD)
		}
		return nil
	})
	m := s.launch(kubeconfig)
	s.says(m, "there is no CustomResourceDefinition "+rolloutCRD)
	s.apply(s.installed("CustomResourceDefinition")...)
	if err := m.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.serves()
}

// TestNewerDefinitions runs a manager on CRDs that have more than it knows: what somebody who knows it has put into a status is still
// there after the manager wrote the status, at every depth.
func TestNewerDefinitions(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	kubeconfig := s.install()
	for _, crd := range s.installed("CustomResourceDefinition") {
		if crd.GetName() == rolloutCRD {
			schemaOf(crd, func(p map[string]any) {
				for _, path := range [][]string{{"spec"}, {"status"}, {"status", "canaryStatus"}, {"status", "conditions"}} {
					within(p, path...)["future"] = map[string]any{"type": "string"}
				}
			})
			s.apply(crd)
			s.until("the CRD has a future", func() error { return s.future(rolloutCRD) })
		}
	}
	s.start(kubeconfig)
	s.create(s.parse("{apiVersion: apps/v1, kind: Deployment, metadata: {name: web, namespace: default}, spec: {replicas: 2, selector: {matchLabels: {app: web}}, " +
		"template: {metadata: {labels: {app: web}}, spec: {containers: [{name: main, image: 'web:1'}]}}}}"))
	s.until("the API server serves the new fields", func() error {
		ro := s.parse("{apiVersion: rollouts.kruise.io/v1beta1, kind: Rollout, metadata: {name: probe, namespace: default}, spec: {future: x, " +
			"workloadRef: {apiVersion: apps/v1, kind: Deployment, name: nobody}, strategy: {canary: {steps: [{replicas: 1, pause: {}}]}}}}")
		if err := s.admin.Create(s.Context(), ro, client.DryRunAll); err != nil {
			return err
		}
		if found, _, _ := unstructured.NestedString(ro.Object, "spec", "future"); found != "x" {
			return fmt.Errorf("spec.future is %q", found)
		}
		return nil
	})
	s.create(s.parse("{apiVersion: rollouts.kruise.io/v1beta1, kind: Rollout, metadata: {name: web, namespace: default}, spec: {future: x, " +
		"workloadRef: {apiVersion: apps/v1, kind: Deployment, name: web}, strategy: {canary: {steps: [{replicas: 1, pause: {}}, {replicas: 100%}]}}}}"))
	s.reaches("web", "phase", "Healthy")
	s.edit("apps/v1", "Deployment", "default", "web", func(d *unstructured.Unstructured) {
		_ = unstructured.SetNestedField(d.Object, "v2", "spec", "template", "metadata", "labels", "version")
	})
	s.reaches("web", "canaryStatus.currentStepState", "StepPaused")
	status := func(c client.Client, status string) {
		ro := s.parse("{apiVersion: rollouts.kruise.io/v1beta1, kind: Rollout, metadata: {name: web, namespace: default}}")
		if err := c.Status().Patch(t.Context(), ro, client.RawPatch(types.MergePatchType, []byte(`{"status":`+status+`}`))); err != nil {
			t.Fatal(err)
		}
	}
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	newer, err := client.New(config, client.Options{Scheme: controller.Scheme()})
	if err != nil {
		t.Fatal(err)
	}
	status(client.WithFieldOwner(newer, controller.FieldManager), `{"future":"a","canaryStatus":{"future":"b"}}`) // as a newer manager does
	status(s.admin, `{"canaryStatus":{"currentStepState":"StepReady"}}`)
	s.reaches("web", "phase", "Healthy")
	done, err := s.get(group+"v1beta1", "Rollout", "default", "web")
	if err != nil {
		t.Fatal(err)
	}
	for want, path := range map[string][]string{"x": {"spec", "future"}, "a": {"status", "future"}, "b": {"status", "canaryStatus", "future"}} {
		if got, _, _ := unstructured.NestedString(done.Object, path...); got != want {
			t.Errorf("%v is %q, want %q: %v", path, got, want, done.Object["status"])
		}
	}
}

// future reports whether a definition is stored with the field.
func (s *stage) future(name string) (err error) {
	crd, err := s.get("apiextensions.k8s.io/v1", "CustomResourceDefinition", "", name)
	if err != nil {
		return err
	}
	schemaOf(crd, func(p map[string]any) {
		if within(p, "status")["future"] == nil {
			err = fmt.Errorf("%s has none", name)
		}
	})
	return err
}
