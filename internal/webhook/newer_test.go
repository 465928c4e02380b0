// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	jsonpatch "github.com/evanphx/json-patch/v5"
	ctrladmission "sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"kruise.io/rollouts/api/v1beta1"
	"kruise.io/rollouts/internal/raw"
)

// newer are fields that our types lack, at every level of a Deployment.
func newer(t *testing.T, raw []byte, value string) []byte {
	t.Helper()
	m := map[string]any{}
	if err := json.Unmarshal(raw, &m); err != nil {
		t.Fatal(err)
	}
	m["top"] = value
	spec := m["spec"].(map[string]any)
	spec["newSpec"] = map[string]any{"big": json.Number("9007199254740993"), "list": []any{value}}
	spec["strategy"].(map[string]any)["newStrategy"] = value
	template := spec["template"].(map[string]any)
	template["newTemplate"] = value
	pod := template["spec"].(map[string]any)
	pod["newPod"] = value
	pod["containers"].([]any)[0].(map[string]any)["newContainer"] = value
	out, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// sinceRemoved takes the fields of newer out.
func sinceRemoved(v any) any {
	switch v := v.(type) {
	case map[string]any:
		kept := map[string]any{}
		for key, value := range v {
			if key != "top" && !strings.HasPrefix(key, "new") {
				kept[key] = sinceRemoved(value)
			}
		}
		return kept
	case []any:
		kept := make([]any, len(v))
		for i := range v {
			kept[i] = sinceRemoved(v[i])
		}
		return kept
	default:
		return v
	}
}

// TestNewerFields: what a cluster knows that is newer than we are goes through admission untouched, whether a change is held,
// kept in the middle of a release, or none of ours; a template that is changed in such fields alone gets a warning.
func TestNewerFields(t *testing.T) {
	stamped := app("v1")
	stamped.Annotations = map[string]string{v1beta1.AnnotationInProgressing: "{}"}
	again := scaled(app("v1"), 7)
	again.Annotations = stamped.Annotations
	for name, c := range map[string]struct {
		req     ctrladmission.Request
		value   string
		warning string
	}{
		"scaled":                       {req: update(t, app("v1"), scaled(app("v1"), 9), ""), value: "old"},
		"a new template":               {req: update(t, app("v1"), app("v2"), ""), value: "old", warning: "is held and released"},
		"in the middle of a release":   {req: update(t, stamped, again, ""), value: "old"},
		"the probe":                    {req: update(t, app("v1"), app("v1"), "kruise-rollout-probe"), value: "old"},
		"changed in those fields only": {req: update(t, app("v1"), app("v1"), ""), value: "new", warning: "does not know spec.template.newTemplate, spec.template.spec.containers[name=main].newContainer, spec.template.spec.newPod;"},
	} {
		t.Run(name, func(t *testing.T) {
			h := &workloads{reader: reader(t, managing(nil), set(app("v1"), "hash1"))}
			c.req.OldObject.Raw, c.req.Object.Raw = newer(t, c.req.OldObject.Raw, "old"), newer(t, c.req.Object.Raw, c.value)
			resp := h.Handle(t.Context(), c.req)
			if !resp.Allowed {
				t.Fatalf("refused: %v", resp.Result)
			}
			doc := c.req.Object.Raw
			if len(resp.Patches) > 0 {
				raw, _ := json.Marshal(resp.Patches)
				patch, err := jsonpatch.DecodePatch(raw)
				if err != nil {
					t.Fatal(err)
				}
				if doc, err = patch.Apply(doc); err != nil {
					t.Fatal(err)
				}
			}
			var got any
			if err := json.Unmarshal(doc, &got); err != nil {
				t.Fatal(err)
			}
			plain, _ := json.Marshal(sinceRemoved(got))
			if want, have := newer(t, plain, c.value), doc; !alike(t, want, have) {
				t.Errorf("there is\n%s, want\n%s", have, want)
			}
			if text := strings.Join(resp.Warnings, "; "); !strings.Contains(text, c.warning) || c.warning == "" && text != "" {
				t.Errorf("it warns %q", text)
			}
		})
	}
}

func alike(t *testing.T, a, b []byte) bool {
	t.Helper()
	x, err1 := raw.Decode(a)
	y, err2 := raw.Decode(b)
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	return reflect.DeepEqual(x, y)
}
