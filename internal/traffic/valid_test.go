// SPDX-License-Identifier: Apache-2.0

package traffic

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	networkingv1 "k8s.io/api/networking/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	"sigs.k8s.io/yaml"
)

// TestGoldenIsValid: what is rendered has the fields of its kind, and no others.
func TestGoldenIsValid(t *testing.T) {
	files, _ := filepath.Glob("testdata/*/*.out.yaml")
	checked := 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		out := struct {
			Objects []json.RawMessage `json:"objects"`
		}{}
		if err := yaml.Unmarshal(text, &out); err != nil {
			t.Fatal(err)
		}
		for _, object := range out.Objects {
			kind := struct {
				Kind string `json:"kind"`
			}{}
			if err := json.Unmarshal(object, &kind); err != nil {
				t.Fatal(err)
			}
			into := map[string]any{"HTTPRoute": &gatewayv1.HTTPRoute{}, "GRPCRoute": &gatewayv1.GRPCRoute{}, "Ingress": &networkingv1.Ingress{}}[kind.Kind]
			if into == nil {
				continue
			}
			checked++
			decoder := json.NewDecoder(bytes.NewReader(object))
			decoder.DisallowUnknownFields()
			if err := decoder.Decode(into); err != nil {
				t.Errorf("%s: %v", file, err)
			}
		}
	}
	if checked == 0 {
		t.Error("nothing was checked")
	}
}
