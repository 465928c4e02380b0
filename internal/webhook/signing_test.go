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
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clocktesting "k8s.io/utils/clock/testing"
	ctrladmission "sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"kruise.io/rollouts/internal/controller"
)

// TestSigning checks that what people do is recorded under their names, and that no one writes the record.
func TestSigning(t *testing.T) {
	t.Parallel()
	const head = `{"apiVersion":"rollouts.kruise.io/v1beta1","kind":"Rollout","metadata":{"name":"shop"},"spec":{"strategy":{"paused":false,"canary":{"steps":[{},{},{}]}}},`
	const at1 = `"canaryStatus":{"currentStepIndex":1,"nextStepIndex":2,"currentStepState":"StepPaused"}`
	const release = `"release":{"number":3,"startTime":"2026-01-01T12:00:00Z","timeline":[{"time":"2026-01-01T12:00:01Z","type":"reached","step":1}]}`
	const old = head + `"status":{"phase":"Progressing",` + at1 + `,` + release + `}}`
	approved := strings.Replace(old, "StepPaused", "StepReady", 1)
	for name, c := range map[string]struct {
		old, edited, sub, manager string
		has, not                  string // of the object as stored
	}{
		"approved":                 {old, approved, "status", "", `"step":1,"time":"2026-01-01T13:00:00Z","type":"approved","user":"jane"`, "jumped"},
		"jumped":                   {old, strings.Replace(old, `"nextStepIndex":2`, `"nextStepIndex":3`, 1), "status", "", `"step":3,"time":"2026-01-01T13:00:00Z","type":"jumped","user":"jane"`, "approved"},
		"another step":             {old, strings.Replace(old, `"currentStepIndex":1`, `"currentStepIndex":2`, 1), "status", "", `"step":2,"time":"2026-01-01T13:00:00Z","type":"jumped","user":"jane"`, "approved"},
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
		"approved by annotation":   {old, strings.Replace(old, `"name":"shop"`, `"name":"shop","annotations":{"rollouts.kruise.io/approve":"v2/1"}`, 1), "", "", `"rollouts.kruise.io/approved-by":"jane"`, "edited-by"},
		"skipped, signed for joe":  {old, strings.Replace(old, `"name":"shop"`, `"name":"shop","annotations":{"rollouts.kruise.io/skip-analysis":"v2/1","rollouts.kruise.io/approved-by":"joe"}`, 1), "", "", `"rollouts.kruise.io/approved-by":"jane"`, "joe"},
		"paused after an approval": {
			strings.Replace(old, `"name":"shop"`, `"name":"shop","annotations":{"rollouts.kruise.io/skip-analysis":"v2/1","rollouts.kruise.io/approved-by":"joe"}`, 1),
			strings.Replace(strings.Replace(old, "false", "true", 1), `"name":"shop"`, `"name":"shop","annotations":{"rollouts.kruise.io/skip-analysis":"v2/1"}`, 1),
			"", "", `"rollouts.kruise.io/approved-by":"joe","rollouts.kruise.io/edited-by":"jane"`, "approved\"",
		},
		"a label":              {old, strings.Replace(old, `"name":"shop"`, `"name":"shop","labels":{"a":"b"}`, 1), "", "", `"a":"b"`, "jane"},
		"of what nobody reads": {old, head + `"status":{"canaryStatus":7}}`, "status", "", `"currentStepState":"StepPaused"`, "7"},
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
				Operation: operation, SubResource: c.sub, Resource: metav1.GroupVersionResource{Group: "rollouts.kruise.io", Version: "v1beta1", Resource: "rollouts"}, UserInfo: authenticationv1.UserInfo{Username: "jane"},
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

// TestStatusIsTheControllers: of a status, clients other than the manager write what clients ask by, and nothing else: neither what a
// release is decided from nor what is recorded of it.
func TestStatusIsTheControllers(t *testing.T) {
	t.Parallel()
	const steps = `"spec":{"strategy":{"canary":{"steps":[{},{},{}]}}},`
	const status = `{"phase":"Progressing","message":"in step 1","conditions":[{"type":"Progressing","status":"True","reason":"InRolling"}],` +
		`"canaryStatus":{"currentStepIndex":1,"nextStepIndex":2,"currentStepState":"StepPaused","stableRevision":"v1","canaryRevision":"v2","canaryReplicas":1,` +
		`"traffic":{"stableRevision":"v1","route":{"traffic":"20%"},"routedWith":{"revisionKey":"pod-template-hash","routings":[{"service":"web"}]}}}}`
	poisoned := strings.Replace(status, `"canaryReplicas":1`, `"canaryReplicas":1,"lastUpdateTime":"2026-01-01t00:00:00z"`, 1)
	healthy := strings.Replace(status, `"phase":"Progressing"`, `"phase":"Healthy"`, 1)
	object := func(resource, status string) string {
		return `{"apiVersion":"rollouts.kruise.io/v1beta1","kind":"` + resource + `","metadata":{"name":"shop"},` + steps + `"status":` + status + `}`
	}
	sub := func(fields string) string { return `{"canaryStatus":{` + fields + `}}` }
	for name, c := range map[string]struct {
		resource, old, patch string
		kept                 string // patch of the status as stored
	}{
		"approval":                  {"rollouts", status, sub(`"currentStepState":"StepReady"`), sub(`"currentStepState":"StepReady"`)},
		"jump":                      {"rollouts", status, sub(`"nextStepIndex":3`), sub(`"nextStepIndex":3`)},
		"jump as some do":           {"rollouts", status, sub(`"currentStepIndex":2`), sub(`"currentStepIndex":2,"nextStepIndex":3,"currentStepState":"BeforeStepUpgrade"`)},
		"jump to the last so":       {"rollouts", status, sub(`"currentStepIndex":3,"currentStepState":"StepPaused"`), sub(`"currentStepIndex":3,"nextStepIndex":-1,"currentStepState":"BeforeStepUpgrade"`)},
		"jump by both":              {"rollouts", status, sub(`"currentStepIndex":2,"nextStepIndex":1`), sub(`"nextStepIndex":1`)},
		"approval of another step":  {"rollouts", status, sub(`"currentStepIndex":2,"currentStepState":"StepReady"`), `{}`},
		"end of another step":       {"rollouts", status, sub(`"currentStepIndex":3,"nextStepIndex":-1,"currentStepState":"Completed"`), `{}`},
		"jump out of sight":         {"rollouts", status, sub(`"currentStepIndex":2147483647,"nextStepIndex":4`), `{}`},
		"jump to nowhere":           {"rollouts", status, sub(`"nextStepIndex":0,"currentStepIndex":-7`), `{}`},
		"no next step":              {"rollouts", status, sub(`"nextStepIndex":null`), `{}`},
		"state that is none":        {"rollouts", status, sub(`"currentStepState":7`), `{}`},
		"approval with a forgery":   {"rollouts", status, sub(`"currentStepState":"StepReady","stableRevision":"bogus"`), sub(`"currentStepState":"StepReady"`)},
		"stable revision":           {"rollouts", status, sub(`"stableRevision":"bogus"`), `{}`},
		"no stable revision":        {"rollouts", status, sub(`"stableRevision":null`), `{}`},
		"somebody else's Service":   {"rollouts", status, sub(`"traffic":{"routedWith":{"routings":[{"service":"victim"}]}}`), `{}`},
		"revision key":              {"rollouts", status, sub(`"traffic":{"routedWith":{"revisionKey":"x"}}`), `{}`},
		"no traffic":                {"rollouts", status, sub(`"traffic":{"route":{"traffic":null}}`), `{}`},
		"counts":                    {"rollouts", status, sub(`"canaryReplicas":-3,"canaryReadyReplicas":77`), `{}`},
		"reason":                    {"rollouts", status, `{"conditions":[{"type":"Progressing","status":"True","reason":"Finalising"}]}`, `{}`},
		"no conditions":             {"rollouts", status, `{"conditions":null}`, `{}`},
		"phase":                     {"rollouts", status, `{"phase":"Disabling"}`, `{}`},
		"message":                   {"rollouts", status, `{"message":"all is lost"}`, `{}`},
		"no status":                 {"rollouts", status, `null`, `{}`},
		"no canaryStatus":           {"rollouts", status, `{"canaryStatus":null}`, `{}`},
		"another style":             {"rollouts", status, `{"blueGreenStatus":{"currentStepState":"StepReady"}}`, `{}`},
		"a mended one":              {"rollouts", poisoned, sub(`"lastUpdateTime":null`), sub(`"lastUpdateTime":null`)},
		"late approval":             {"rollouts", healthy, sub(`"currentStepState":"StepReady"`), `{}`},
		"late jump":                 {"rollouts", healthy, sub(`"nextStepIndex":1,"currentStepIndex":1`), `{}`},
		"BatchRelease that is none": {"batchreleases", status, `{"phase":"Completed"}`, `{}`},
		"TrafficRouting forged":     {"trafficroutings", status, `{"routedWith":{"routings":[{"service":"victim"}]}}`, `{}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			patched := func(patch string) string {
				merged, err := jsonpatch.MergePatch([]byte(object(c.resource, c.old)), []byte(`{"status":`+patch+`}`))
				if err != nil {
					t.Fatal(err)
				}
				return string(merged)
			}
			h := &signing{clock: clocktesting.NewFakePassiveClock(time.Date(2026, 1, 1, 13, 0, 0, 0, time.UTC))}
			edited := patched(c.patch)
			got := h.Handle(t.Context(), ctrladmission.Request{AdmissionRequest: admissionv1.AdmissionRequest{
				Operation: admissionv1.Update, SubResource: "status", UserInfo: authenticationv1.UserInfo{Username: "jane"},
				Resource: metav1.GroupVersionResource{Group: "rollouts.kruise.io", Version: "v1beta1", Resource: c.resource},
				Object:   runtime.RawExtension{Raw: []byte(edited)}, OldObject: runtime.RawExtension{Raw: []byte(object(c.resource, c.old))},
			}})
			if !got.Allowed {
				t.Fatalf("refused: %+v", got)
			}
			raw, _ := json.Marshal(got.Patches)
			patch, err := jsonpatch.DecodePatch(raw)
			if err != nil {
				t.Fatal(err)
			}
			stored, err := patch.Apply([]byte(edited))
			if err != nil {
				t.Fatal(err)
			}
			if want := patched(c.kept); !jsonpatch.Equal(stored, []byte(want)) {
				t.Errorf("stored %s\nwant   %s", stored, want)
			}
			counts := c.patch == c.kept || strings.HasPrefix(name, "jump as") || strings.HasPrefix(name, "jump by") || strings.HasPrefix(name, "jump to the") // all of it, in other words
			if warned := len(got.Warnings) > 0; warned == counts {
				t.Errorf("warnings: %v", got.Warnings)
			}
		})
	}
}
