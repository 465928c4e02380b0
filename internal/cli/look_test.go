// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"encoding/json"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

func jsonOf(o object) ([]byte, error) { return json.Marshal(o) }

func unstructuredOf(o object) *unstructured.Unstructured {
	u := &unstructured.Unstructured{}
	data, err := jsonOf(o)
	if err == nil {
		err = u.UnmarshalJSON(data)
	}
	if err != nil {
		panic(err)
	}
	return u
}

func TestGet(t *testing.T) {
	for name, c := range map[string]struct {
		args    string
		request string
		want    result
	}{
		"all":        {"", "GET " + rolloutsPath + "?limit=500", result{"rollout.rollouts.kruise.io/rollouts-demo\n", "", 0}},
		"by name":    {"rollouts-demo", "GET " + rolloutsPath + "/rollouts-demo", result{"rollout.rollouts.kruise.io/rollouts-demo\n", "", 0}},
		"with type":  {"rollout rollouts-demo", "GET " + rolloutsPath + "/rollouts-demo", result{"rollout.rollouts.kruise.io/rollouts-demo\n", "", 0}},
		"with slash": {"ro/rollouts-demo", "GET " + rolloutsPath + "/rollouts-demo", result{"rollout.rollouts.kruise.io/rollouts-demo\n", "", 0}},
		"missing":    {"nope", "GET " + rolloutsPath + "/nope", result{"", "Error from server (NotFound): rollouts.rollouts.kruise.io \"nope\" not found\n", 1}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t, beta)
			s.put(rollout(beta))
			s.check(s.run(append([]string{"rollout", "get", "-o", "name"}, strings.Fields(c.args)...)...), c.want)
			if len(s.requests) != 1 || s.requests[0] != c.request {
				t.Errorf("requests %v, want %s", s.requests, c.request)
			}
		})
	}
}

func TestGetWatchPrintsALinePerChange(t *testing.T) {
	s := newServer(t, beta)
	s.put(rollout(beta), deployment(), set(1, "aaa", 9), set(2, "bbb", 1), pod("bbb", "x"))
	s.updates[rolloutsPath] = []object{nil}
	got := s.run("rollout", "get", "rollouts-demo", "-w")
	// How many changes are seen one by one depends on the clock; the last pass finds the Rollout deleted.
	if got.code != 1 || got.err != "error: object has been deleted\n" {
		t.Errorf("got %+v", got)
	}
	s.updates[rolloutsPath] = nil
	got = s.run("describe", "rollout", "rollouts-demo", "-w", "--timeout", "1")
	if want := "Waiting For:         approval"; got.code != 0 || strings.Count(got.out, want) != 1 {
		t.Errorf("got %+v, want %q in it", got, want)
	}
}

func TestDescribe(t *testing.T) {
	for name, c := range map[string]struct {
		objects  []object
		args     string
		has, not string
	}{
		"the pods being released": {
			[]object{rollout(beta), deployment(), set(1, "aaa", 9), set(2, "bbb", 1), pod("aaa", "x"), pod("bbb", "y")},
			"describe rollout rollouts-demo",
			"workload-demo-bbb-y   1/1", "workload-demo-aaa-x",
		},
		"all pods": {
			[]object{rollout(beta), deployment(), set(1, "aaa", 9), set(2, "bbb", 1), pod("aaa", "x"), pod("bbb", "y")},
			"rollout describe rollouts-demo --all",
			"workload-demo-aaa-x   1/1", "\x1b",
		},
		"without a status":     {[]object{rollout(beta, func(o object) { delete(o, "status") })}, "describe ro rollouts-demo", "⚠ Unknown", "panic"},
		"without a strategy":   {[]object{rollout(beta, func(o object) { o["spec"] = object{} })}, "describe rollouts rollouts-demo", "Strategy:            <none>", "panic"},
		"without a workload":   {[]object{rollout(beta)}, "describe rollout rollouts-demo", "No pods of this release yet.", "panic"},
		"v1alpha1":             {[]object{rollout(alpha), deployment(), set(1, "aaa", 9)}, "describe rollout rollout/rollouts-demo", "Step:              1/3", "panic"},
		"no selector to go by": {[]object{rollout(beta), deployment(func(o object) { delete(at(o, "spec"), "selector") })}, "describe rollout rollouts-demo", "Desired:           10", "panic"},
	} {
		t.Run(name, func(t *testing.T) {
			version := beta
			if c.objects[0]["apiVersion"] == "rollouts.kruise.io/v1alpha1" {
				version = alpha
			}
			s := newServer(t, version)
			s.put(c.objects...)
			got := s.run(strings.Fields(c.args)...)
			if got.code != 0 || got.err != "" || !strings.Contains(got.out, c.has) || strings.Contains(got.out, c.not) {
				t.Errorf("got %+v\nwant %q and not %q", got, c.has, c.not)
			}
		})
	}
}

func TestHistory(t *testing.T) {
	s := newServer(t, beta)
	s.put(rollout(beta), deployment(), set(2, "bbb", 1), set(1, "aaa", 9), object{
		"apiVersion": "rollouts.kruise.io/v1alpha1", "kind": "RolloutHistory",
		"metadata": object{
			"name": "rollouts-demo-x1y2z3", "namespace": "default", "creationTimestamp": "2026-01-02T03:04:05Z",
			"labels": object{"rollouts.kruise.io/rollout-name": "rollouts-demo", "rollouts.kruise.io/rollout-id": "7"},
		},
		"spec":   object{},
		"status": object{"phase": "completed", "canarySteps": []any{object{"canaryStepIndex": 1, "pods": []any{object{"name": "a"}}}, object{"canaryStepIndex": 2}}},
	})
	got := s.run("rollout", "history", "rollout/rollouts-demo")
	want := lines("rollout.rollouts.kruise.io/rollouts-demo",
		"REVISION   HASH   IMAGES              PODS   ROLE",
		"1          aaa    busybox:version-1   9/9    stable",
		"2          bbb    busybox:version-2   1/1    updating",
		"",
		"RELEASE                ROLLOUT ID   PHASE       PODS BY STEP   AGE",
		"rollouts-demo-x1y2z3   7            completed   1+0            ")
	if got.code != 0 || got.err != "" || !strings.HasPrefix(got.out, strings.TrimSuffix(want, "\n")) {
		t.Errorf("got %+v\nwant %s", got, want)
	}
	got = s.run("rollout", "history", "rollout/rollouts-demo", "--revision=1")
	if got.code != 0 || !strings.Contains(got.out, "busybox:version-1") {
		t.Errorf("got %+v", got)
	}
}

// TestHistoryOfRolloutsOnly: where nothing can be listed, one error says why; where something can, a warning says what is
// left out, and that is no failure.
func TestHistoryOfRolloutsOnly(t *testing.T) {
	const revisions = `error: the revisions of rollout "rollouts-demo" are those of its workload: `
	for name, c := range map[string]struct {
		secret []string
		args   string
		record bool
		code   int
		out    string
		err    string
	}{
		"nothing to show":        {[]string{"deployments", "replicasets", "pods", "rollouthistories"}, "", true, 1, "", revisions + `deployments is forbidden: User "dev" cannot read it`},
		"nothing on record":      {[]string{"deployments", "replicasets", "pods"}, "", false, 1, "", revisions + `deployments is forbidden: User "dev" cannot read it`},
		"no sets, and no record": {[]string{"replicasets"}, "", false, 1, "", revisions + `replicasets is forbidden: User "dev" cannot read it`},
		"a revision":             {[]string{"deployments", "replicasets", "pods"}, " --revision=3", false, 1, "", revisions + `deployments is forbidden: User "dev" cannot read it`},
		"what is on record":      {[]string{"deployments", "replicasets", "pods"}, "", true, 0, "completed", `Warning: skipped, because this account may not read it: deployments is forbidden: User "dev" cannot read it`},
		"without pods":           {[]string{"pods"}, "", false, 0, "busybox:version-1", `Warning: skipped, because this account may not read it: pods is forbidden: User "dev" cannot read it`},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t, beta)
			s.secret = c.secret
			s.put(rollout(beta), deployment(), set(1, "aaa", 9), set(2, "bbb", 1), pod("bbb", "x"))
			if c.record {
				s.put(record(9, 2, "version-2"))
			}
			got := s.run(strings.Fields("rollout history rollout/rollouts-demo" + c.args)...)
			if got.code != c.code || got.err != c.err+"\n" || !strings.Contains(got.out, c.out) || c.out == "" && got.out != "" {
				t.Errorf("got %+v\nwant code %d, %q and the error\n%s", got, c.code, c.out, c.err)
			}
		})
	}
}

func TestVersion(t *testing.T) {
	newServer(t, beta, alpha).check(newServer(t, beta, alpha).run("version"), result{"Client Version: v1.2.3\nRollout API: v1beta1, v1alpha1\n", "", 0})
	newServer(t).check(newServer(t).run("version"), result{"Client Version: v1.2.3\nRollout API: none: Kruise Rollouts is not installed in this cluster\n", "", 0})
	newServer(t).check(newServer(t).run("version", "--client"), result{"Client Version: v1.2.3\n", "", 0})
}

func TestHelp(t *testing.T) {
	s := newServer(t)
	for args, want := range map[string]string{
		"":                       "Release workloads step by step",
		"rollout":                "Available Commands:",
		"rollout approve --help": "--to-step",
		"describe":               "kubectl kruise describe",
	} {
		if got := s.run(strings.Fields(args)...); got.code != 0 || !strings.Contains(got.out, want) || strings.Contains(got.out, "kubectl-kruise") {
			t.Errorf("%s: got %+v, want %q in it", args, got, want)
		}
	}
	s.check(s.run("rollout", "aprove"), result{
		"", lines(`error: unknown command "aprove" for "kubectl kruise rollout"`, "", "Did you mean this?", "\tapprove", "", "See 'kubectl kruise rollout -h' for help and examples"), 1,
	})
}
