// SPDX-License-Identifier: Apache-2.0

// Package charts_test checks what the chart installs, as rendered by Helm itself.
package charts_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
)

// objects parses manifests, keyed by kind and name.
func objects(t *testing.T, manifests []byte) map[string]*unstructured.Unstructured {
	t.Helper()
	out := map[string]*unstructured.Unstructured{}
	for decoder := utilyaml.NewYAMLOrJSONDecoder(bytes.NewReader(manifests), 4096); ; {
		obj := &unstructured.Unstructured{}
		if err := decoder.Decode(&obj.Object); err != nil {
			if err.Error() == "EOF" {
				return out
			}
			t.Fatal(err)
		}
		if len(obj.Object) == 0 {
			continue
		}
		key := obj.GetKind() + " " + obj.GetName()
		if out[key] != nil {
			t.Errorf("%s is there twice", key)
		}
		out[key] = obj
	}
}

// render runs helm template.
func render(t *testing.T, args ...string) map[string]*unstructured.Unstructured {
	t.Helper()
	args = append([]string{"tool", "-modfile=" + filepath.Join("..", "go.tools.mod"), "helm", "template", "release", "kruise-rollout"}, args...)
	cmd := exec.CommandContext(t.Context(), "go", args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, stderr.String())
	}
	return objects(t, out)
}

// at returns what is at a path of an object; numbers are indexes.
func at(t *testing.T, obj *unstructured.Unstructured, path ...any) any {
	t.Helper()
	if obj == nil {
		t.Fatalf("no object to look for %v in", path)
	}
	var cur any = obj.Object
	for _, step := range path {
		switch step := step.(type) {
		case string:
			fields, _ := cur.(map[string]any)
			cur = fields[step]
		case int:
			items, _ := cur.([]any)
			if step >= len(items) {
				return nil
			}
			cur = items[step]
		}
	}
	return cur
}

func want(t *testing.T, obj *unstructured.Unstructured, value string, path ...any) {
	t.Helper()
	if got := fmt.Sprint(at(t, obj, path...)); got != value {
		t.Errorf("%s %s: %v is %s, want %s", obj.GetKind(), obj.GetName(), path, got, value)
	}
}

const (
	mutating   = "MutatingWebhookConfiguration kruise-rollout-mutating-webhook-configuration"
	validating = "ValidatingWebhookConfiguration kruise-rollout-validating-webhook-configuration"
	manager    = "Deployment kruise-rollout-controller-manager"
	service    = "Service kruise-rollout-webhook-service"
	admission  = "Service kruise-rollout-admission-service"
	rollouts   = "CustomResourceDefinition rollouts.rollouts.kruise.io"
)

// TestInstalled checks config/install.yaml: names are contract, scripts and GitOps repositories refer to them.
func TestInstalled(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile(filepath.Join("..", "config", "install.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	objs := objects(t, data)
	wanted := []string{
		"Namespace kruise-rollout", "ServiceAccount kruise-rollout-controller-manager", service, admission, manager, mutating, validating, rollouts,
		"CustomResourceDefinition batchreleases.rollouts.kruise.io", "CustomResourceDefinition trafficroutings.rollouts.kruise.io",
		"CustomResourceDefinition rollouthistories.rollouts.kruise.io", "CustomResourceDefinition analysistemplates.rollouts.kruise.io",
		"CustomResourceDefinition clusteranalysistemplates.rollouts.kruise.io", "Secret kruise-rollout-webhook-certs",
		"ClusterRole kruise-rollout-manager-role", "ClusterRoleBinding kruise-rollout-manager-rolebinding",
		"Role kruise-rollout-manager-role", "RoleBinding kruise-rollout-manager-rolebinding",
		"Role kruise-rollout-leader-election-role", "RoleBinding kruise-rollout-leader-election-rolebinding",
	}
	for _, key := range wanted {
		if objs[key] == nil {
			t.Errorf("no %s", key)
		}
	}
	if len(objs) != len(wanted) {
		t.Errorf("got %d objects, want %d", len(objs), len(wanted))
	}

	for key, obj := range objs { // Helm must not take everybody's Rollouts away with the manager
		if obj.GetKind() == "CustomResourceDefinition" && obj.GetAnnotations()["helm.sh/resource-policy"] != "keep" {
			t.Errorf("%s goes with the chart", key)
		}
	}
	want(t, objs[rollouts], "Webhook", "spec", "conversion", "strategy")
	want(t, objs[rollouts], "map[name:kruise-rollout-webhook-service namespace:kruise-rollout path:/convert port:443]",
		"spec", "conversion", "webhook", "clientConfig", "service")
	want(t, objs[rollouts], "[v1 v1beta1]", "spec", "conversion", "webhook", "conversionReviewVersions")
	want(t, objs["CustomResourceDefinition trafficroutings.rollouts.kruise.io"], "<nil>", "spec", "conversion")

	hook := []any{"webhooks", 0}
	want(t, objs[mutating], "mworkload.kb.io", append(hook, "name")...)
	want(t, objs[mutating], "mrolloutstatus.kb.io", "webhooks", 1, "name")
	want(t, objs[mutating], "/mutate-rollouts-kruise-io-rollout", "webhooks", 1, "clientConfig", "service", "path")
	want(t, objs[mutating], "[map[apiGroups:[rollouts.kruise.io] apiVersions:[v1alpha1 v1beta1] operations:[CREATE UPDATE] resources:[rollouts rollouts/status batchreleases/status trafficroutings/status]]]",
		"webhooks", 1, "rules")
	want(t, objs[mutating], "Ignore", "webhooks", 1, "failurePolicy") // approvals never wait for their record
	want(t, objs[mutating], "mowners.kb.io", "webhooks", 2, "name")
	want(t, objs[mutating], "Ignore", "webhooks", 2, "failurePolicy") // nor does a release wait for whose a field is
	want(t, objs[mutating], `request.userInfo.username == "system:serviceaccount:kruise-rollout:kruise-rollout-controller-manager" &&
!(has(request.dryRun) && request.dryRun)`, "webhooks", 2, "matchConditions", 0, "expression")
	want(t, objs[mutating], "<nil>", "webhooks", 3)
	want(t, objs[mutating], "/mutate-workload", append(hook, "clientConfig", "service", "path")...)
	want(t, objs[mutating], "[map[apiGroups:[*] apiVersions:[*] operations:[UPDATE] resources:[*] scope:Namespaced]]", append(hook, "rules")...)
	want(t, objs[mutating], "[map[key:rollouts.kruise.io/workload-type operator:Exists] "+
		"map[key:control-plane operator:NotIn values:[kruise-rollout-controller-manager]]]", append(hook, "objectSelector", "matchExpressions")...)
	for field, value := range map[string]string{
		"failurePolicy": "Fail", "sideEffects": "None", "reinvocationPolicy": "IfNeeded", "timeoutSeconds": "10", "admissionReviewVersions": "[v1 v1beta1]",
	} {
		want(t, objs[mutating], value, append(hook, field)...)
	}
	for config, keys := range map[string][]string{
		mutating: {
			"rollouts.kruise.io/in-progressing", "rollouts.kruise.io/deployment-strategy", "rollouts.kruise.io/original-deployment-strategy",
			"batchrelease.rollouts.kruise.io/control-info", "rollouts.kruise.io/stable-revision", "rollouts.kruise.io/workload-type",
		},
		validating: {"rollouts.kruise.io/rolling-style", "rollouts.kruise.io/trafficrouting", "rollouts.kruise.io/conversion-data"},
	} {
		expression := fmt.Sprint(at(t, objs[config], append(hook, "matchConditions")...))
		for _, key := range keys {
			// In each of the two objects: whether it is there, and its value. Whether a release is under way decides what else counts.
			times := 4
			if key == "rollouts.kruise.io/in-progressing" {
				times = 5
			}
			if got := strings.Count(expression, `"`+key+`"`); got != times {
				t.Errorf("%s is %d times in the match conditions of %s, want %d", key, got, config, times)
			}
		}
	}

	// The manager's own writes do not wait for itself, but for the dry run by which it looks whether it is asked.
	want(t, objs[mutating], `request.userInfo.username != "system:serviceaccount:kruise-rollout:kruise-rollout-controller-manager" ||
(has(request.dryRun) && request.dryRun)`, append(hook, "matchConditions", 0, "expression")...)

	want(t, objs[validating], "vrollout.kb.io", append(hook, "name")...)
	want(t, objs[validating], "/validate-rollouts-kruise-io-rollout", append(hook, "clientConfig", "service", "path")...)
	want(t, objs[validating], "[map[apiGroups:[rollouts.kruise.io] apiVersions:[v1alpha1 v1beta1] operations:[CREATE UPDATE] resources:[rollouts]]]",
		append(hook, "rules")...)
	second := []any{"webhooks", 1}
	want(t, objs[validating], "vtrafficrouting.kb.io", append(second, "name")...)
	want(t, objs[validating], "/validate-rollouts-kruise-io-trafficrouting", append(second, "clientConfig", "service", "path")...)
	want(t, objs[validating], "Ignore", append(second, "failurePolicy")...)
	third := []any{"webhooks", 2}
	want(t, objs[validating], "vanalysistemplate.kb.io", append(third, "name")...)
	want(t, objs[validating], "/validate-rollouts-kruise-io-analysistemplate", append(third, "clientConfig", "service", "path")...)
	want(t, objs[validating], "[map[apiGroups:[rollouts.kruise.io] apiVersions:[v1beta1] operations:[CREATE UPDATE] resources:[analysistemplates clusteranalysistemplates]]]",
		append(third, "rules")...)
	want(t, objs[validating], "Ignore", append(third, "failurePolicy")...)
	want(t, objs[validating], "spec", append(third, "matchConditions", 0, "name")...)
	want(t, objs[validating], "<nil>", "webhooks", 3)

	pod := []any{"spec", "template", "spec"}
	want(t, objs[manager], "2", "spec", "replicas")
	want(t, objs[manager], "kruise-rollout-controller-manager", append(pod, "serviceAccountName")...)
	want(t, objs[manager], "[--leader-elect --health-probe-bind-address=:8081 --metrics-bind-address=127.0.0.1:8080 --v=4 --feature-gates=AdvancedDeployment=true]",
		append(pod, "containers", 0, "args")...)
	want(t, objs[manager], "POD_NAMESPACE", append(pod, "containers", 0, "env", 0, "name")...)
	want(t, objs[service], "[map[name:webhook port:443 targetPort:9876]]", "spec", "ports")
	want(t, objs[service], "map[control-plane:kruise-rollout-controller-manager]", "spec", "selector")
	want(t, objs[service], "true", "spec", "publishNotReadyAddresses") // who is not ready cannot get so without being asked to convert
	want(t, objs[admission], "<nil>", "spec", "publishNotReadyAddresses")
	want(t, objs[admission], "[map[name:webhook port:443 targetPort:9876]]", "spec", "ports")
	want(t, objs[admission], "map[control-plane:kruise-rollout-controller-manager]", "spec", "selector")
	for _, config := range []string{mutating, validating} {
		want(t, objs[config], "kruise-rollout-admission-service", append(hook, "clientConfig", "service", "name")...)
	}
	want(t, objs["Secret kruise-rollout-webhook-certs"], "<nil>", "data")
}

func TestValues(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		args  []string
		check func(t *testing.T, objs map[string]*unstructured.Unstructured)
	}{
		"another namespace": {
			args: []string{"--set", "installation.namespace=ops,installation.createNamespace=false"},
			check: func(t *testing.T, objs map[string]*unstructured.Unstructured) {
				for key, obj := range objs {
					if obj.GetKind() == "Namespace" {
						t.Errorf("%s was not asked for", key)
					}
					if ns := obj.GetNamespace(); ns != "" && ns != "ops" {
						t.Errorf("%s is in %s, want ops", key, ns)
					}
				}
				want(t, objs[rollouts], "ops", "spec", "conversion", "webhook", "clientConfig", "service", "namespace")
				want(t, objs[mutating], "ops", "webhooks", 0, "clientConfig", "service", "namespace")
				want(t, objs["ClusterRoleBinding kruise-rollout-manager-rolebinding"], "ops", "subjects", 0, "namespace")
			},
		},
		"a further selector, as KubeVela's addon has it": {
			args: []string{"--set", "rollout.webhook.objectSelector[0].key=kruise-rollout.oam.dev/webhook,rollout.webhook.objectSelector[0].operator=Exists"},
			check: func(t *testing.T, objs map[string]*unstructured.Unstructured) {
				want(t, objs[mutating], "map[key:kruise-rollout.oam.dev/webhook operator:Exists]", "webhooks", 0, "objectSelector", "matchExpressions", 2)
			},
		},
		"a kind of the user's own": {
			args: []string{"--kube-version", "1.30.1", "--set", "rbac.customNetworkRefs[0].apiGroups={example.com},rbac.customNetworkRefs[0].resources={routes}," +
				"rbac.customNetworkRefs[0].verbs={get,update}"},
			check: func(t *testing.T, objs map[string]*unstructured.Unstructured) {
				want(t, objs[mutating], "map[apiGroups:[example.com] apiVersions:[*] operations:[UPDATE] resources:[routes] scope:Namespaced]", "webhooks", 2, "rules", 3)
			},
		},
		"analyses": {
			args: []string{"--set", "analysis.prometheusAddress=http://p:9090,analysis.allowInsecure=true,analysis.allowCIDRs={127.0.0.0/8,::1/128},analysis.denyCIDRs={10.0.0.1/32}," +
				"rbac.analysisSecrets={shop},rbac.analysisSecretNames={datadog,newrelic},rbac.analysisJobs=true,rollout.fullname=krm"},
			check: func(t *testing.T, objs map[string]*unstructured.Unstructured) {
				args := fmt.Sprint(at(t, objs["Deployment krm"], "spec", "template", "spec", "containers", 0, "args"))
				if more := " --prometheus-address=http://p:9090 --analysis-allow-cidrs=127.0.0.0/8,::1/128 --analysis-deny-cidrs=10.0.0.1/32 --analysis-allow-insecure]"; !strings.HasSuffix(args, more) {
					t.Errorf("the manager is started with %s", args)
				}
				want(t, objs["Role kruise-rollout-analysis-role"], "shop", "metadata", "namespace")
				want(t, objs["Role kruise-rollout-analysis-role"], "[map[apiGroups:[] resources:[secrets] verbs:[get]]]", "rules")
				want(t, objs["RoleBinding kruise-rollout-analysis-rolebinding"], "shop", "metadata", "namespace")
				want(t, objs["RoleBinding kruise-rollout-analysis-rolebinding"], "[map[kind:ServiceAccount name:krm namespace:kruise-rollout]]", "subjects")
				want(t, objs["Role kruise-rollout-manager-role"], "map[apiGroups:[] resourceNames:[datadog newrelic] resources:[secrets] verbs:[get]]", "rules", 3)
				rules := fmt.Sprint(at(t, objs["ClusterRole kruise-rollout-manager-role"], "rules"))
				for _, rule := range []string{
					"map[apiGroups:[batch] resources:[jobs] verbs:[get list watch create delete]]", "map[apiGroups:[authorization.k8s.io] resources:[subjectaccessreviews] verbs:[create]]",
				} {
					if !strings.Contains(rules, rule) {
						t.Errorf("there is no rule %s in %s", rule, rules)
					}
				}
				want(t, objs[validating], "Fail", "webhooks", 2, "failurePolicy") // or Jobs could be had of the manager while nobody asks
			},
		},
		"a server without match conditions": {
			args: []string{"--kube-version", "1.19.0"},
			check: func(t *testing.T, objs map[string]*unstructured.Unstructured) {
				want(t, objs[mutating], "<nil>", "webhooks", 0, "matchConditions")
				want(t, objs[mutating], "<nil>", "webhooks", 2) // it would be asked about every write of everybody's
				want(t, objs[validating], "<nil>", "webhooks", 0, "matchConditions")
				want(t, objs[validating], "<nil>", "webhooks", 2, "matchConditions")
			},
		},
		"a name, an image and ports": {
			args: []string{
				"--kube-version", "1.30.1", "--set-string", "rollout.healthBindPort=9000,rollout.log.level=5", "--set",
				"rollout.fullname=krm,image.repository=mirror/kruise-rollout,image.tag=v1,rollout.webhook.port=9999,service.port=8443,replicaCount=1",
				"--set", "serviceAccount.annotations.a=b,tolerations[0].operator=Exists,imagePullSecrets[0].name=pull",
			},
			check: func(t *testing.T, objs map[string]*unstructured.Unstructured) {
				pod := []any{"spec", "template", "spec"}
				named := objs["Deployment krm"]
				want(t, named, "1", "spec", "replicas")
				want(t, named, "krm", append(pod, "serviceAccountName")...)
				want(t, named, "mirror/kruise-rollout:v1", append(pod, "containers", 0, "image")...)
				want(t, named, "--health-probe-bind-address=:9000", append(pod, "containers", 0, "args", 1)...)
				want(t, named, "[map[operator:Exists]]", append(pod, "tolerations")...)
				want(t, named, "[map[name:pull]]", append(pod, "imagePullSecrets")...)
				want(t, objs["ServiceAccount krm"], "map[a:b]", "metadata", "annotations")
				want(t, objs[service], "[map[name:webhook port:8443 targetPort:9999]]", "spec", "ports")
				want(t, objs[rollouts], "8443", "spec", "conversion", "webhook", "clientConfig", "service", "port")
				want(t, objs[mutating], "[krm]", "webhooks", 0, "objectSelector", "matchExpressions", 1, "values")
				if at(t, objs[mutating], "webhooks", 0, "matchConditions") == nil {
					t.Error("no match conditions on Kubernetes 1.30")
				}
			},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tc.check(t, render(t, tc.args...))
		})
	}
}
