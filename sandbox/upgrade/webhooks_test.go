// SPDX-License-Identifier: Apache-2.0

package upgrade

import (
	"fmt"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const (
	mutating = "kruise-rollout-mutating-webhook-configuration"
	web      = "{apiVersion: apps/v1, kind: Deployment, metadata: {name: %s, namespace: default}, spec: {replicas: 2, selector: {matchLabels: {app: %[1]s}}, " +
		"template: {metadata: {labels: {app: %[1]s}}, spec: {containers: [{name: main, image: 'web:1'}]}}}}"
)

// patch changes a Deployment as its user.
func (s *stage) patch(name, data string) error {
	d := s.parse(fmt.Sprintf("{apiVersion: apps/v1, kind: Deployment, metadata: {name: %s, namespace: default}}", name))
	return s.admin.Patch(s.Context(), d, client.RawPatch("application/merge-patch+json", []byte(data)))
}

// TestFormerWebhooks starts a manager where the first implementation of this API has left its webhooks in the configuration that is
// ours now, one of them for every Deployment in the cluster. No one answers for these any more.
func TestFormerWebhooks(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	former := s.parse("{apiVersion: admissionregistration.k8s.io/v1, kind: MutatingWebhookConfiguration, metadata: {name: " + mutating + "}, webhooks: [" +
		"{name: mdeployment.kb.io, admissionReviewVersions: [v1], sideEffects: None, failurePolicy: Fail, timeoutSeconds: 1, " +
		"clientConfig: {service: {name: kruise-rollout-webhook-service, namespace: kruise-rollout, path: /mutate-apps-v1-deployment}}, " +
		"rules: [{apiGroups: [apps], apiVersions: [v1], operations: [UPDATE], resources: [deployments]}]}, " +
		"{name: somebody.else.io, admissionReviewVersions: [v1], sideEffects: None, failurePolicy: Ignore, timeoutSeconds: 1, " +
		"clientConfig: {service: {name: other, namespace: kruise-rollout, path: /other}}, " +
		"rules: [{apiGroups: [example.com], apiVersions: [v1], operations: [UPDATE], resources: [others]}]}]}")
	s.create(former)
	kubeconfig := s.install() // which keeps what it does not own
	s.create(s.parse(fmt.Sprintf(web, "web")))
	refused := func() error { return s.patch("web", `{"metadata":{"annotations":{"a":"b"}}}`) }
	if err := refused(); err == nil || !strings.Contains(err.Error(), "mdeployment.kb.io") {
		t.Fatalf("nothing is in the way: %v", err)
	}
	s.start(kubeconfig)
	s.until("the Deployment can be changed", func() error { return refused() })
	s.serves()
	config, err := s.get("admissionregistration.k8s.io/v1", "MutatingWebhookConfiguration", "", mutating)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	hooks, _, _ := unstructured.NestedSlice(config.Object, "webhooks")
	for _, hook := range hooks {
		hook, _ := hook.(map[string]any)
		names = append(names, fmt.Sprint(hook["name"]))
		if config, _ := hook["clientConfig"].(map[string]any); hook["name"] == "somebody.else.io" && (config["caBundle"] != nil || config["service"] == nil) {
			t.Errorf("where somebody else is asked was changed: %v", config)
		}
	}
	for _, name := range []string{"mworkload.kb.io", "mrolloutstatus.kb.io", "somebody.else.io"} {
		if !strings.Contains(strings.Join(names, " "), name) {
			t.Errorf("%s is gone: %v", name, names)
		}
	}
}

// TestNoManager changes workloads where the product is installed and no manager runs: only what would start a release that no one
// holds is refused.
func TestNoManager(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	m := s.start(s.install())
	s.create(s.parse(fmt.Sprintf(web, "free")), s.parse(fmt.Sprintf(web, "managed")))
	s.create(s.parse("{apiVersion: rollouts.kruise.io/v1beta1, kind: Rollout, metadata: {name: managed, namespace: default}, " +
		"spec: {workloadRef: {apiVersion: apps/v1, kind: Deployment, name: managed}, strategy: {canary: {steps: [{replicas: 1, pause: {}}, {replicas: 100%}]}}}}"))
	s.reaches("managed", "phase", "Healthy")
	m.Stop()
	const template = `{"spec":{"template":{"metadata":{"labels":{"version":"v2"}}}}}`
	for _, c := range []struct {
		name, data string
		refused    bool
	}{
		{"free", template, false},
		{"managed", `{"metadata":{"annotations":{"a":"b"},"labels":{"c":"d"}}}`, false},
		{"managed", `{"spec":{"replicas":3}}`, false},
		{"managed", `{"spec":{"revisionHistoryLimit":3}}`, false},
		{"managed", template, true},
	} {
		if err := s.patch(c.name, c.data); (err != nil) != c.refused {
			t.Errorf("%s of %s: %v", c.data, c.name, err)
		}
	}
	// Anybody can still take the Rollout's hands off.
	ro := s.parse("{apiVersion: rollouts.kruise.io/v1beta1, kind: Rollout, metadata: {name: managed, namespace: default}}")
	if err := s.admin.Patch(t.Context(), ro, client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"finalizers":null}}`))); err != nil {
		t.Errorf("removing the finalizer of the Rollout: %v", err)
	}
}
