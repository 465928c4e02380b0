// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	jsonpatch "github.com/evanphx/json-patch/v5"
	admissionv1 "k8s.io/api/admission/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clocktesting "k8s.io/utils/clock/testing"
	ctrladmission "sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"kruise.io/rollouts/internal/controller"
)

// TestSigning checks that what people do goes on record under their names, and that nobody writes the record.
func TestSigning(t *testing.T) {
	t.Parallel()
	const head = `{"apiVersion":"rollouts.kruise.io/v1beta1","kind":"Rollout","metadata":{"name":"shop"},"spec":{"strategy":{"paused":false}},`
	const at1 = `"canaryStatus":{"currentStepIndex":1,"nextStepIndex":2,"currentStepState":"StepPaused"}`
	const release = `"release":{"number":3,"startedAt":"2026-01-01T12:00:00Z","timeline":[{"at":"2026-01-01T12:00:01Z","what":"reached","step":1}]}`
	const old = head + `"status":{` + at1 + `,` + release + `}}`
	approved := strings.Replace(old, "StepPaused", "StepReady", 1)
	for name, c := range map[string]struct {
		old, edited, sub, manager string
		has, not                  string // of the object as stored
	}{
		"approved":                 {old, approved, "status", "", `"by":"jane","step":1,"what":"approved"`, "jumped"},
		"jumped":                   {old, strings.Replace(old, `"nextStepIndex":2`, `"nextStepIndex":3`, 1), "status", "", `"by":"jane","step":3,"what":"jumped"`, "approved"},
		"another step":             {old, strings.Replace(old, `"currentStepIndex":1`, `"currentStepIndex":2`, 1), "status", "", `"by":"jane","step":2,"what":"jumped"`, "approved"},
		"by the manager":           {old, approved, "status", "rollout", `"reached"`, "jane"},
		"forged":                   {old, strings.Replace(old, `"number":3`, `"number":4`, 1), "status", "", `"number":3`, `"number":4`},
		"lost by an old tool":      {old, strings.Replace(old, ","+release, "", 1), "status", "", `"number":3`, "jane"},
		"of no release":            {strings.Replace(old, ","+release, "", 1), strings.Replace(approved, ","+release, "", 1), "status", "", "StepReady", "release"},
		"of one that is over":      {strings.Replace(old, `"number":3`, `"outcome":"completed","number":3`, 1), approved, "status", "", "StepReady", "jane"},
		"paused":                   {old, strings.Replace(old, "false", "true", 1), "", "", `"rollouts.kruise.io/edited-by":"jane"`, "approved"},
		"signed for another":       {old, strings.Replace(old, `"name":"shop"`, `"name":"shop","annotations":{"rollouts.kruise.io/edited-by":"joe"}`, 1), "", "", `"name":"shop"`, "joe"},
		"signature taken away":     {strings.Replace(old, `"name":"shop"`, `"name":"shop","annotations":{"rollouts.kruise.io/edited-by":"joe"}`, 1), old, "", "", `"rollouts.kruise.io/edited-by":"joe"`, "jane"},
		"made, signed for another": {"", strings.Replace(old, `"name":"shop"`, `"name":"shop","annotations":{"rollouts.kruise.io/edited-by":"joe"}`, 1), "", "", `"name":"shop"`, "joe"},
		"made paused":              {"", strings.Replace(old, "false", "true", 1), "", "", `"rollouts.kruise.io/edited-by":"jane"`, "approved"},
		"a label":                  {old, strings.Replace(old, `"name":"shop"`, `"name":"shop","labels":{"a":"b"}`, 1), "", "", `"a":"b"`, "jane"},
		"of what nobody reads":     {old, head + `"status":{"canaryStatus":7}}`, "status", "", `"canaryStatus":7`, "jane"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if c.manager != "" {
				c.manager = `{"fieldManager":"` + controller.FieldManager + `"}`
			}
			h := &signing{clock: clocktesting.NewFakePassiveClock(time.Date(2026, 1, 1, 13, 0, 0, 0, time.UTC))}
			operation := admissionv1.Update
			if c.old == "" {
				operation = admissionv1.Create
			}
			got := h.Handle(t.Context(), ctrladmission.Request{AdmissionRequest: admissionv1.AdmissionRequest{
				Operation: operation, SubResource: c.sub, UserInfo: authenticationv1.UserInfo{Username: "jane"},
				Object: runtime.RawExtension{Raw: []byte(c.edited)}, OldObject: runtime.RawExtension{Raw: []byte(c.old)}, Options: runtime.RawExtension{Raw: []byte(c.manager)},
			}})
			if !got.Allowed {
				t.Fatalf("refused: %+v", got)
			}
			stored := []byte(c.edited)
			if len(got.Patches) > 0 {
				raw, _ := json.Marshal(got.Patches)
				patch, err := jsonpatch.DecodePatch(raw)
				if err != nil {
					t.Fatal(err)
				}
				if stored, err = patch.Apply(stored); err != nil {
					t.Fatal(err)
				}
			}
			fields := map[string]any{}
			_ = json.Unmarshal(stored, &fields)
			stored, _ = json.Marshal(fields) // keys in their order
			if !strings.Contains(string(stored), c.has) || strings.Contains(string(stored), c.not) {
				t.Errorf("stored %s\nwant %s and not %s", stored, c.has, c.not)
			}
		})
	}
}
