// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const demo = "/namespaces/default/rollouts/rollouts-demo"

// tested is a JSON patch that writes field, provided that the release is where it was seen.
func tested(version, part, index, field, value string) string {
	revision := "canaryRevision"
	if part == "blueGreenStatus" {
		revision = "updatedRevision"
	}
	p := `/status/` + part + `/`
	return `PATCH /apis/rollouts.kruise.io/` + version + demo + `/status application/json-patch+json ` +
		`[{"op":"test","path":"` + p + `currentStepIndex","value":` + index + `},` +
		`{"op":"test","path":"` + p + `currentStepState","value":"StepPaused"},` +
		`{"op":"test","path":"` + p + revision + `","value":"bbb"},` +
		`{"op":"add","path":"` + p + field + `","value":` + value + `}]`
}

// webhook gives step 1 a webhook that is asked before it.
func webhook(phase, revision string) edit {
	return func(o object) {
		steps := at(o, "spec", "strategy", "canary")["steps"].([]any)
		steps[0].(object)["webhooks"] = []any{object{"name": "check", "when": "Before", "url": "https://gate.example.com"}}
		at(o, "status")["webhooks"] = []any{object{"name": "check", "when": "Before", "step": 1, "revision": revision, "phase": phase}}
	}
}

func TestApprove(t *testing.T) {
	const approved = "rollout.rollouts.kruise.io/rollouts-demo approved\n"
	refusal := func(why string) result {
		return result{"", `error: rollouts.rollouts.kruise.io "rollouts-demo" ` + why + "\n", 1}
	}
	ready := func(version, part, index string) string {
		return tested(version, part, index, "currentStepState", `"StepReady"`)
	}
	for name, c := range map[string]struct {
		versions []string
		objects  []object
		args     string
		want     result
		writes   []string
	}{
		"v1beta1": {
			[]string{beta, alpha}, []object{rollout(beta)}, "rollout/rollouts-demo", result{approved, "", 0}, []string{ready(beta, "canaryStatus", "1")},
		},
		"a server with v1alpha1 only": {
			[]string{alpha}, []object{rollout(alpha)}, "rollouts/rollouts-demo -n default", result{approved, "", 0}, []string{ready(alpha, "canaryStatus", "1")},
		},
		"type and name apart": {
			[]string{beta}, []object{rollout(beta)}, "rollout rollouts-demo", result{approved, "", 0}, []string{ready(beta, "canaryStatus", "1")},
		},
		"output as a name": {
			[]string{beta},
			[]object{rollout(beta)},
			"ro/rollouts-demo -o name",
			result{"rollout.rollouts.kruise.io/rollouts-demo\n", "", 0},
			[]string{ready(beta, "canaryStatus", "1")},
		},
		"output by a path": {
			[]string{beta},
			[]object{rollout(beta)},
			"ro/rollouts-demo -o jsonpath={.status.canaryStatus.currentStepState}",
			result{"StepReady", "", 0},
			[]string{ready(beta, "canaryStatus", "1")},
		},
		"blue-green": {
			[]string{beta}, []object{rollout(beta, blueGreen)}, "rollout/rollouts-demo", result{approved, "", 0}, []string{ready(beta, "blueGreenStatus", "3")},
		},
		"not paused": {
			[]string{beta},
			[]object{rollout(beta, step(1, "StepUpgrade", ""))},
			"rollout/rollouts-demo",
			refusal("does not allow to approve, because current canary state is not 'StepPaused'"), nil,
		},
		"blue-green, not paused": {
			[]string{beta},
			[]object{rollout(beta, blueGreen, func(o object) { at(o, "status", "blueGreenStatus")["currentStepState"] = "StepUpgrade" })},
			"rollout/rollouts-demo", refusal("does not allow to approve, because current blue-green state is not 'StepPaused'"), nil,
		},
		"no status of a style": {
			[]string{beta},
			[]object{rollout(beta, func(o object) { delete(at(o, "status"), "canaryStatus") })},
			"rollout/rollouts-demo",
			refusal("no need to approve: not in canary or blue-green progress"), nil,
		},
		"no status at all": {
			[]string{beta},
			[]object{rollout(beta, func(o object) { delete(o, "status") })},
			"rollout/rollouts-demo",
			refusal("no need to approve: not in canary or blue-green progress"), nil,
		},
		"over, and left at a pause": {
			[]string{beta},
			[]object{rollout(beta, func(o object) { at(o, "status")["phase"] = "Disabled" })},
			"rollout/rollouts-demo",
			refusal("no need to approve: not in canary or blue-green progress"), nil,
		},
		"a workload": {
			[]string{beta},
			[]object{deployment()},
			"deployment/workload-demo",
			result{"", `error: deployments.apps "workload-demo" approving is not supported; approve the Rollout that releases it` + "\n", 1},
			nil,
		},
		"several, one of them missing": {
			[]string{beta},
			[]object{rollout(beta)},
			"rollout rollouts-demo nope",
			result{approved, `Error from server (NotFound): rollouts.rollouts.kruise.io "nope" not found` + "\n", 1},
			[]string{ready(beta, "canaryStatus", "1")},
		},
		"nothing named": {[]string{beta}, nil, "", result{"", "error: required resource not specified\n", 1}, nil},
		"none there":    {[]string{beta}, nil, "rollout", result{"", "No resources found in default namespace.\n", 0}, nil},
		"not installed": {nil, nil, "rollout/x", result{"", "error: the server doesn't have a resource type \"rollouts\" in group \"rollouts.kruise.io\"\n", 1}, nil},
		"the next step by its number": {
			[]string{beta}, []object{rollout(beta)}, "rollout/rollouts-demo --to-step 2", result{approved, "", 0}, []string{ready(beta, "canaryStatus", "1")},
		},
		"a later step": {
			[]string{beta},
			[]object{rollout(beta)},
			"rollout/rollouts-demo --to-step 3",
			result{approved, "", 0},
			[]string{tested(beta, "canaryStatus", "1", "nextStepIndex", "3")},
		},
		"an earlier step, v1alpha1": {
			[]string{alpha},
			[]object{rollout(alpha, step(2, "StepPaused", ""))},
			"rollout/rollouts-demo --to-step 1",
			result{approved, "", 0},
			[]string{tested(alpha, "canaryStatus", "2", "nextStepIndex", "1")},
		},
		"a step that a webhook has refused": {
			[]string{beta},
			[]object{rollout(beta, step(1, "BeforeStepUpgrade", ""), webhook("Refused", "template-0123456789"))},
			"rollout/rollouts-demo",
			result{approved, "", 0},
			[]string{`PATCH /apis/rollouts.kruise.io/` + beta + demo + ` application/merge-patch+json {"metadata":{"annotations":{"rollouts.kruise.io/approve":"template-0123456789/1"}}}`},
		},
		"a step that a webhook is asked about": {
			[]string{beta},
			[]object{rollout(beta, step(1, "BeforeStepUpgrade", ""), webhook("Waiting", "bbb"))},
			"rollout/rollouts-demo",
			refusal("is waiting for webhook check to decide about step 1: approve the step once that has refused it or failed"), nil,
		},
		"paused, and a webhook has allowed it": {
			[]string{beta}, []object{rollout(beta, webhook("Successful", "bbb"))}, "rollout/rollouts-demo", result{approved, "", 0}, []string{ready(beta, "canaryStatus", "1")},
		},
		"the current step":           {[]string{beta}, []object{rollout(beta)}, "rollout/rollouts-demo --to-step 1", refusal("is in step 1 already"), nil},
		"a step that does not exist": {[]string{beta}, []object{rollout(beta)}, "rollout/rollouts-demo --to-step 4", refusal("has no step 4, it has steps 1 to 3"), nil},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t, c.versions...)
			s.put(c.objects...)
			s.check(s.run(append([]string{"rollout", "approve"}, strings.Fields(c.args)...)...), c.want, c.writes...)
		})
	}
}

// What is approved is what was seen: when the release moves on between the pass and the write, nothing happens.
func TestApproveNeverLandsElsewhere(t *testing.T) {
	for name, c := range map[string]struct {
		meanwhile edit
		why       string
	}{
		"approved by someone else":   {step(1, "StepReady", ""), "does not allow to approve, because current canary state is not 'StepPaused'"},
		"at the next step by now":    {step(2, "StepPaused", ""), "was in step 1 and is now in step 2: check it again"},
		"superseded, at step 1 anew": {func(o object) { at(o, "status", "canaryStatus")["canaryRevision"] = "ccc" }, "was releasing revision bbb and is now releasing ccc: check it again"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t, beta)
			s.put(rollout(beta))
			s.before = func(string) { s.put(rollout(beta, c.meanwhile)) }
			s.check(s.run("rollout", "approve", "rollout/rollouts-demo"),
				result{"", `error: rollouts.rollouts.kruise.io "rollouts-demo" ` + c.why + "\n", 1},
				tested(beta, "canaryStatus", "1", "currentStepState", `"StepReady"`))
			want := rollout(beta, c.meanwhile)["status"].(object)["canaryStatus"].(object)["currentStepState"]
			if got := at(s.objects["/apis/rollouts.kruise.io/v1beta1"+demo], "status", "canaryStatus")["currentStepState"]; got != want {
				t.Errorf("the step is %v, want %v", got, want)
			}
		})
	}
}

func TestApproveOfAFile(t *testing.T) {
	s := newServer(t, beta)
	s.put(rollout(beta))
	file := filepath.Join(t.TempDir(), "rollout.yaml")
	if err := os.WriteFile(file, []byte("apiVersion: rollouts.kruise.io/v1beta1\nkind: Rollout\nmetadata: {name: rollouts-demo}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.check(s.run("rollout", "approve", "-f", file), result{"rollout.rollouts.kruise.io/rollouts-demo approved\n", "", 0},
		tested(beta, "canaryStatus", "1", "currentStepState", `"StepReady"`))
}
