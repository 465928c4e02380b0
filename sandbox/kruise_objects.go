// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"
)

// kruiseObjects is the file that the objects are kept in.
const kruiseObjects = "objects.yaml"

// renderKruise writes the objects that OpenKruise's manager works with, as its makers install them.
func renderKruise(ctx context.Context, kubectl, folder, output string) error {
	render := exec.CommandContext(ctx, kubectl, "kustomize", filepath.Join(folder, "config", "default"))
	var complaints bytes.Buffer
	render.Stderr = &complaints
	rendered, err := render.Output()
	if err != nil {
		return fmt.Errorf("rendering OpenKruise's objects: %w\n%s", err, complaints.String())
	}
	if err := os.WriteFile(output, rendered, 0o600); err != nil {
		return fmt.Errorf("writing OpenKruise's objects: %w", err)
	}
	return nil
}

// admitting reads the objects back: CRDs with their conversion, webhooks and their Service, rights, a namespace. What would run
// as pods is left out: the manager is a process here, and there is no node for the daemon. The webhooks are at a port of this
// machine, which is what the manager writes into them when it starts. Until then those for Kubernetes' own kinds must not be in anybody's way: a sandbox's pods come and go while OpenKruise is
// being installed.
func admitting(file string, webhook port) ([]byte, error) {
	rendered, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("reading OpenKruise's objects: %w", err)
	}
	objects, err := readObjects(rendered)
	if err != nil {
		return nil, fmt.Errorf("reading OpenKruise's objects: %w", err)
	}
	objects = slices.DeleteFunc(objects, func(o *unstructured.Unstructured) bool { return o.GroupVersionKind().Group == "apps" })
	for _, o := range objects {
		webhooks, ok, err := unstructured.NestedSlice(o.Object, "webhooks")
		if !ok || err != nil {
			continue
		}
		for _, w := range webhooks {
			w, _ := w.(map[string]any)
			path, _, _ := unstructured.NestedString(w, "clientConfig", "service", "path")
			w["clientConfig"] = map[string]any{"url": "https://" + webhook.address() + path}
			if !ofKruise(w) {
				w["failurePolicy"] = "Ignore"
			}
		}
		o.Object["webhooks"] = webhooks
	}
	return writeObjects(objects)
}

// ofKruise reports whether a webhook is for OpenKruise's own kinds.
func ofKruise(webhook map[string]any) bool {
	rules, _, _ := unstructured.NestedSlice(webhook, "rules")
	for _, rule := range rules {
		rule, _ := rule.(map[string]any)
		groups, _, _ := unstructured.NestedStringSlice(rule, "apiGroups")
		for _, group := range groups {
			if strings.HasSuffix(group, ".kruise.io") {
				return true
			}
		}
	}
	return false
}

// readObjects reads a stream of YAML documents.
func readObjects(stream []byte) ([]*unstructured.Unstructured, error) {
	decoder := utilyaml.NewYAMLOrJSONDecoder(bytes.NewReader(stream), 4096)
	var objects []*unstructured.Unstructured
	for {
		o := &unstructured.Unstructured{}
		switch err := decoder.Decode(&o.Object); {
		case errors.Is(err, io.EOF):
			return objects, nil
		case err != nil:
			return nil, err
		case o.Object != nil:
			objects = append(objects, o)
		}
	}
}

// writeObjects writes what readObjects reads.
func writeObjects(objects []*unstructured.Unstructured) ([]byte, error) {
	var stream bytes.Buffer
	for _, o := range objects {
		text, err := yaml.Marshal(o.Object)
		if err != nil {
			return nil, fmt.Errorf("writing %s %s: %w", o.GetKind(), o.GetName(), err)
		}
		_, _ = fmt.Fprintf(&stream, "---\n%s", text) // never fails
	}
	return stream.Bytes(), nil
}
