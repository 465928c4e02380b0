// SPDX-License-Identifier: Apache-2.0

package admission_test

import (
	"fmt"
	"strings"
	"testing"

	"kruise.io/rollouts/api/v1alpha1"
	"kruise.io/rollouts/api/v1beta1"
	"kruise.io/rollouts/internal/plan/admission"
)

func hooked(hooks string) string {
	return `{canary: {steps: [{replicas: 1, webhooks: [` + hooks + `]}, {replicas: 2}]}}`
}

func TestWebhooks(t *testing.T) {
	t.Parallel()
	const right = `{name: check, when: Before, url: "https://gate.example.com/check"}`
	at := func(text string) string { return "Spec.Strategy.Canary.Steps[0].Webhooks[0]" + text }
	with := func(fields string) string { return hooked(strings.TrimSuffix(right, "}") + ", " + fields + "}") }
	for name, tc := range map[string]struct {
		strategy string
		want     []string
	}{
		"right":         {strategy: hooked(right + `, {name: a-1, when: After, url: "http://gate", headers: [{key: X-Team, value: shop}], secretRef: {name: gate, key: hmac.key}, timeout: 30s, retries: 0, waitAtMost: 24h, onFailure: continue}`)},
		"of blue-green": {strategy: `{blueGreen: {steps: [{replicas: 1, webhooks: [` + right + `]}]}}`},
		"of blue-green, wrong": {strategy: `{blueGreen: {steps: [{replicas: 1}, {replicas: 1, webhooks: [{name: A, when: Before, url: "http://gate"}]}]}}`, want: []string{
			"Spec.Strategy.BlueGreen.Steps[1].Webhooks[0].Name :: the name of a webhook must be lower-case letters, digits and -",
		}},
		"nothing": {strategy: hooked(`{}`), want: []string{
			at(".Name :: the name of a webhook must be"), at(".When :: when must be Before or After"), at(".URL :: the url of a webhook must begin with http:// or https:// and name a host; write one such as"),
		}},
		"twice":               {strategy: hooked(right + ", " + strings.Replace(right, "Before", "After", 1)), want: []string{"Spec.Strategy.Canary.Steps[0].Webhooks[1].Name :: Duplicate value"}},
		"too many":            {strategy: hooked(strings.TrimSuffix(strings.Repeat(right+", ", 11), ", ")), want: append([]string{"Spec.Strategy.Canary.Steps[0].Webhooks :: Too many"}, duplicates(10)...)},
		"a time that is none": {strategy: hooked(`{name: check, when: before, url: "http://gate"}`), want: []string{at(".When :: when must be Before or After")}},
		"no address":          {strategy: hooked(`{name: check, when: Before, url: "gate:80"}`), want: []string{at(".URL :: the url of a webhook must begin")}},
		"a password": {strategy: hooked(`{name: check, when: Before, url: "http://a:b@gate"}`), want: []string{
			at(".URL :: the url of a webhook must not have a user name or a password, because it is shown; sign the calls by secretRef"),
		}},
		"headers": {strategy: with(`headers: [{key: "a b", value: x}, {key: Idempotency-Key, value: x}, {key: host, value: x}, {key: X, value: "a\nb"}]`), want: []string{
			at(".Headers[0].Key :: it must be the name of a header"), at(".Headers[1].Key :: this header of a webhook must not be set"), at(".Headers[2].Key :: this header of a webhook must not be set"),
			at(".Headers[3].Value :: it must be the value of a header"),
		}},
		"a key": {strategy: with(`secretRef: {name: A, key: ""}`), want: []string{
			at(".SecretRef.Name :: secretRef must name a Secret of the Rollout's namespace"), at(".SecretRef.Key :: secretRef must name a key of the Secret"),
		}},
		"times": {strategy: with(`timeout: 31s, retries: 11, waitAtMost: soon, onFailure: stop`), want: []string{
			at(".Timeout :: the timeout of a webhook must be from 1s to 30s"), at(".Retries :: retries must be a number from 0 to 10"), at(".WaitAtMost :: it must be a duration above 0"),
			at(".OnFailure :: what follows must be pause, abort or continue"),
		}},
		"times that are none": {strategy: with(`timeout: 999ms, retries: -1, waitAtMost: 0s`), want: []string{
			at(".Timeout :: the timeout of a webhook must be from 1s"), at(".Retries :: retries must be"), at(".WaitAtMost :: it must be a duration above 0"),
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			check(t, admission.ValidateRollout(parse[v1beta1.Rollout](t, beta(tc.strategy)), nil, nil, everything), tc.want)
		})
	}
}

// duplicates are those of all but the first.
func duplicates(n int) (texts []string) {
	for i := 1; i <= n; i++ {
		texts = append(texts, fmt.Sprintf("Spec.Strategy.Canary.Steps[0].Webhooks[%d].Name :: Duplicate value", i))
	}
	return texts
}

// TestWebhooksThatStay: what was accepted before a rule keeps nobody from editing anything else; and no client of v1alpha1 loses one.
func TestWebhooksThatStay(t *testing.T) {
	t.Parallel()
	old := parse[v1beta1.Rollout](t, beta(hooked(`{name: A}`)))
	ro := old.DeepCopy()
	ro.Spec.Strategy.Canary.Steps[0].Pause.Duration = new(int32(1))
	check(t, admission.ValidateRollout(ro, old, nil, everything), nil)

	alpha := &v1alpha1.Rollout{}
	if err := alpha.ConvertFrom(old); err != nil {
		t.Fatal(err)
	}
	edited := alpha.DeepCopy()
	edited.Spec.Strategy.Paused = true
	check(t, admission.ValidateRolloutV1alpha1(edited, alpha, nil, everything), nil)
	edited.Annotations = nil
	check(t, admission.ValidateRolloutV1alpha1(edited, alpha, nil, everything), []string{
		"Spec.Strategy.Canary.Steps[0].Webhooks :: this edit through v1alpha1 would lose the webhooks of step 1, which only v1beta1 can say",
	})
	check(t, admission.ValidateRolloutV1alpha1(alpha, nil, nil, everything), []string{
		"Spec.Strategy.Canary.Steps[0].Webhooks[0].Name :: the name of a webhook must be", "Spec.Strategy.Canary.Steps[0].Webhooks[0].When :: when must be", "Spec.Strategy.Canary.Steps[0].Webhooks[0].URL :: the url of a webhook",
	})
}

// TestApprovedBy: who approves signs, and nobody else: no later write takes the name away, or puts another in its place.
func TestApprovedBy(t *testing.T) {
	t.Parallel()
	type keys = map[string]string
	const approve, skip, by = v1beta1.AnnotationApprove, v1beta1.AnnotationSkipAnalysis, v1beta1.AnnotationApprovedBy
	for name, c := range map[string]struct {
		old, edited keys
		want        string
	}{
		"nobody approves":        {nil, keys{"a": "b"}, ""},
		"approved":               {nil, keys{approve: "v2/1"}, "jane"},
		"skipped":                {keys{"a": "b"}, keys{skip: "v2/1"}, "jane"},
		"for somebody else":      {nil, keys{approve: "v2/1", by: "joe"}, "jane"},
		"forged alone":           {nil, keys{by: "joe"}, ""},
		"another edit":           {keys{approve: "v2/1", by: "joe"}, keys{approve: "v2/1", by: "joe", "a": "b"}, "joe"},
		"signature taken away":   {keys{approve: "v2/1", by: "joe"}, keys{approve: "v2/1"}, "joe"},
		"signature overwritten":  {keys{approve: "v2/1", by: "joe"}, keys{approve: "v2/1", by: "ann"}, "joe"},
		"another value":          {keys{approve: "v2/1", by: "joe"}, keys{approve: "v2/2", by: "joe"}, "jane"},
		"one more":               {keys{approve: "v2/1", by: "joe"}, keys{approve: "v2/1", skip: "v2/1", by: "joe"}, "jane"},
		"taken back":             {keys{approve: "v2/1", by: "joe"}, keys{by: "joe"}, ""},
		"one of two taken back":  {keys{approve: "v2/1", skip: "v2/1", by: "joe"}, keys{skip: "v2/1", by: "joe"}, "joe"},
		"nobody saw who it was":  {keys{approve: "v2/1"}, keys{approve: "v2/1"}, ""},
		"nobody saw, and forged": {keys{approve: "v2/1"}, keys{approve: "v2/1", by: "joe"}, ""},
	} {
		if got := admission.ApprovedBy(c.old, c.edited, "jane"); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
