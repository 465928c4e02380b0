// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"strconv"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	ctrladmission "sigs.k8s.io/controller-runtime/pkg/webhook/admission"
	"sigs.k8s.io/controller-runtime/pkg/webhook/conversion"

	"kruise.io/rollouts/internal/plan/admission"
)

// Paths that the configurations and CRDs name.
const (
	pathWorkloads = "/mutate-workload"
	pathRollouts  = "/validate-rollouts-kruise-io-rollout"
	pathSigning   = "/mutate-rollouts-kruise-io-rollout"
	pathConvert   = "/convert"
)

// Add registers what answers admission and conversion requests. Namespace is where the users' own scripts for gateways are.
func Add(mgr ctrl.Manager, namespace string, limits admission.Limits) {
	server := mgr.GetWebhookServer()
	decoder := ctrladmission.NewDecoder(mgr.GetScheme())
	server.Register(pathWorkloads, &ctrladmission.Webhook{Handler: &workloads{reader: mgr.GetClient()}})
	server.Register(pathRollouts, &ctrladmission.Webhook{Handler: &rollouts{reader: mgr.GetClient(), decoder: decoder, limits: limits, namespace: namespace}})
	server.Register(pathSigning, &ctrladmission.Webhook{Handler: &signing{clock: clock.RealClock{}}})
	server.Register(pathConvert, conversion.NewWebhookHandler(mgr.GetScheme(), mgr.GetConverterRegistry()))
}

// PointAt makes the API server reach us at a host of its own instead of through the Service: for a manager that runs
// outside the cluster.
func PointAt(ctx context.Context, c client.Client, host string, port int) error {
	base := "https://" + net.JoinHostPort(host, strconv.Itoa(port))
	registration := schema.GroupVersion{Group: "admissionregistration.k8s.io", Version: "v1"}
	for kind, name := range map[string]string{
		"MutatingWebhookConfiguration": MutatingConfiguration, "ValidatingWebhookConfiguration": ValidatingConfiguration,
	} {
		u := &unstructured.Unstructured{}
		u.SetGroupVersionKind(registration.WithKind(kind))
		err := edit(ctx, c, u, name, func() error {
			hooks, _, err := unstructured.NestedSlice(u.Object, "webhooks")
			for i := range hooks {
				hook, _ := hooks[i].(map[string]any)
				config, _ := hook["clientConfig"].(map[string]any)
				redirect(config, base)
			}
			if err == nil {
				err = unstructured.SetNestedSlice(u.Object, hooks, "webhooks")
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	for _, name := range conversionCRDs {
		u := &unstructured.Unstructured{}
		u.SetGroupVersionKind(schema.GroupVersionKind{Group: "apiextensions.k8s.io", Version: "v1", Kind: "CustomResourceDefinition"})
		err := edit(ctx, c, u, name, func() error {
			config, _, err := unstructured.NestedMap(u.Object, "spec", "conversion", "webhook", "clientConfig")
			if err != nil || config == nil {
				return err
			}
			redirect(config, base)
			return unstructured.SetNestedMap(u.Object, config, "spec", "conversion", "webhook", "clientConfig")
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// redirect turns a reference to a Service into a URL.
func redirect(config map[string]any, base string) {
	service, _ := config["service"].(map[string]any)
	if path, ok := service["path"].(string); ok {
		config["url"] = base + path
		delete(config, "service")
		return
	}
	if url, ok := config["url"].(string); ok {
		config["url"] = base + pathOf(url)
	}
}

func pathOf(url string) string {
	for _, path := range []string{pathWorkloads, pathRollouts, pathSigning, pathConvert} {
		if len(url) >= len(path) && url[len(url)-len(path):] == path {
			return path
		}
	}
	return ""
}

func edit(ctx context.Context, c client.Client, u *unstructured.Unstructured, name string, change func() error) error {
	if err := c.Get(ctx, client.ObjectKey{Name: name}, u); err != nil {
		return fmt.Errorf("reading %s %s (is the chart or config/install.yaml installed?): %w", u.GetKind(), name, err)
	}
	before, _ := json.Marshal(u)
	if err := change(); err != nil {
		return fmt.Errorf("reading %s %s: %w", u.GetKind(), name, err)
	}
	if after, _ := json.Marshal(u); string(after) == string(before) {
		return nil
	}
	if err := c.Update(ctx, u); err != nil {
		return fmt.Errorf("updating %s %s: %w", u.GetKind(), name, err)
	}
	return nil
}
