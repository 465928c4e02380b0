// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"strings"
	"testing"

	rolloutsv1beta1 "kruise.io/rollouts/api/v1beta1"
)

// back is the JSON patch that gives the Deployment the template of a revision.
func back(version, cause, query, annotations string) string {
	return `PATCH /apis/apps/v1/namespaces/default/deployments/workload-demo` + query + ` application/json-patch+json ` +
		`[{"op":"replace","path":"/spec/template","value":{"metadata":{"labels":{"app":"demo"}},"spec":{"containers":[` +
		`{"image":"busybox:` + version + `","name":"busybox"}]}}},` +
		`{"op":"replace","path":"/metadata/annotations","value":{"deployment.kubernetes.io/revision":"3","kubernetes.io/change-cause":"` + cause + `"` +
		annotations + `}}]`
}

const inPartition = `,"rollouts.kruise.io/deployment-strategy":"{\"rollingStyle\":\"Partition\"}","rollouts.kruise.io/in-progressing":"{\"rolloutName\":\"rollouts-demo\"}"`

func TestUndo(t *testing.T) {
	const rolledBack = "deployment.apps/workload-demo rolled back\n"
	idle := func(o object) {
		delete(at(o, "metadata", "annotations"), "rollouts.kruise.io/in-progressing")
		delete(at(o, "metadata", "annotations"), "rollouts.kruise.io/deployment-strategy")
		delete(at(o, "metadata", "labels"), "rollouts.kruise.io/stable-revision")
	}
	canary := func(version string) edit {
		return func(o object) {
			delete(at(o, "metadata", "annotations"), "rollouts.kruise.io/deployment-strategy")
			delete(at(o, "metadata", "labels"), "rollouts.kruise.io/stable-revision")
			at(o, "spec")["template"] = template(version, "")
		}
	}
	inCanary := strings.Replace(inPartition, `,"rollouts.kruise.io/deployment-strategy":"{\"rollingStyle\":\"Partition\"}"`, "", 1)
	all := []object{set(1, "aaa", 8), set(2, "bbb", 1), set(3, "ccc", 1)}
	for name, c := range map[string]struct {
		objects []object
		args    string
		want    result
		writes  []string
	}{
		"a Rollout: to the stable version, whatever came in between": {
			append(all, rollout(beta), deployment()), "rollout/rollouts-demo", result{rolledBack, "", 0}, []string{back("version-1", "v1", "", inPartition)},
		},
		"a Deployment": {
			append(all, deployment()), "deployment/workload-demo", result{rolledBack, "", 0}, []string{back("version-1", "v1", "", inPartition)},
		},
		"the stable version is known to the Rollout only": {
			append(all, rollout(beta), deployment(func(o object) { delete(at(o, "metadata"), "labels") })), "rollout/rollouts-demo",
			result{rolledBack, "", 0},
			[]string{back("version-1", "v1", "", inPartition)},
		},
		"both named: once": {
			append(all, rollout(beta), deployment()), "rollout/rollouts-demo deployment/workload-demo",
			result{rolledBack, "", 0},
			[]string{back("version-1", "v1", "", inPartition)},
		},
		"no release: the revision before": {
			append(all, rollout(beta), deployment(idle)), "rollout/rollouts-demo", result{rolledBack, "", 0}, []string{back("version-2", "v2", "", "")},
		},
		"canary style: the newest revision is the stable one": {
			append(all, deployment(canary("version-4"))), "deployment/workload-demo", result{rolledBack, "", 0}, []string{back("version-3", "v3", "", inCanary)},
		},
		"canary style, unless it is what there is already": {
			append(all, deployment(canary("version-3"))), "deployment/workload-demo", result{rolledBack, "", 0}, []string{back("version-2", "v2", "", inCanary)},
		},
		"canary style with one revision": {
			[]object{set(3, "ccc", 1), deployment(canary("version-3"))},
			"deployment/workload-demo",
			result{"deployment.apps/workload-demo skipped rollback (current template already matches revision 0)\n", "", 0},
			nil,
		},
		"to a revision": {
			append(all, rollout(beta), deployment()), "rollout/rollouts-demo --to-revision=2", result{rolledBack, "", 0}, []string{back("version-2", "v2", "", inPartition)},
		},
		"to the current revision": {
			append(all, rollout(beta), deployment()), "rollout/rollouts-demo --to-revision=3",
			result{"deployment.apps/workload-demo skipped rollback (current template already matches revision 3)\n", "", 0},
			nil,
		},
		"to a revision that is gone": {
			append(all, rollout(beta), deployment()), "rollout/rollouts-demo --to-revision=9", result{"", "error: unable to find specified revision 9 in history\n", 1}, nil,
		},
		"without a history": {
			[]object{deployment(idle), set(3, "ccc", 10)}, "deployment/workload-demo", result{"", "error: no rollout history found for deployment \"workload-demo\"\n", 1}, nil,
		},
		"a dry run on the server": {
			append(all, deployment()), "deployment/workload-demo --dry-run=server",
			result{"deployment.apps/workload-demo rolled back (server dry run)\n", "", 0},
			[]string{back("version-1", "v1", "?dryRun=All", inPartition)},
		},
		"a Rollout without its workload": {
			[]object{rollout(beta)}, "rollout/rollouts-demo", result{"", "Error from server (NotFound): deployments.apps \"workload-demo\" not found\n", 1}, nil,
		},
		"fast": {
			[]object{rollout(beta, step(3, "StepPaused", ""))},
			"rollout/rollouts-demo --fast",
			result{"rollout.rollouts.kruise.io/rollouts-demo rolled back\n", "", 0},
			[]string{tested(beta, "canaryStatus", "3", "nextStepIndex", "2")},
		},
		"fast, blue-green": {
			[]object{rollout(beta, blueGreen)},
			"rollout/rollouts-demo --fast",
			result{"rollout.rollouts.kruise.io/rollouts-demo rolled back\n", "", 0},
			[]string{tested(beta, "blueGreenStatus", "3", "nextStepIndex", "2")},
		},
		"fast at the first step": {
			[]object{rollout(beta)}, "rollout/rollouts-demo --fast", result{"", `error: rollouts.rollouts.kruise.io "rollouts-demo" already at the first step` + "\n", 1}, nil,
		},
		"fast without a release": {
			[]object{rollout(beta, ended("True", ""))},
			"rollout/rollouts-demo --fast",
			result{"", `error: rollouts.rollouts.kruise.io "rollouts-demo" is not in progress: there is no step to return from` + "\n", 1},
			nil,
		},
		"fast, only tried": {
			[]object{rollout(beta, step(2, "StepPaused", ""))},
			"rollout/rollouts-demo --fast --dry-run=client",
			result{"rollout.rollouts.kruise.io/rollouts-demo rolled back (dry run)\n", "", 0},
			nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t, beta)
			s.put(c.objects...)
			s.check(s.run(append([]string{"rollout", "undo"}, strings.Fields(c.args)...)...), c.want, c.writes...)
		})
	}
}

// TestUndoKeepsWhatWeDoNotKnow: a template comes back as the server has it, with fields that this plugin lacks, at every level.
func TestUndoKeepsWhatWeDoNotKnow(t *testing.T) {
	s := newServer(t, beta)
	old := set(1, "aaa", 9)
	of := func(o object) object { return at(o, "spec", "template") }
	of(old)["newTemplate"] = "x"
	at(of(old), "metadata")["newMeta"] = "x"
	at(of(old), "spec")["newPod"] = object{"a": object{"b": "x"}}
	container := at(of(old), "spec")["containers"].([]any)[0].(object)
	container["newContainer"] = []any{"x"}
	container["ports"] = []any{object{"containerPort": 80, "newPort": "x"}}
	container["env"] = []any{object{"name": "E", "newEnv": "x"}}
	s.put(rollout(beta), deployment(), old, set(3, "ccc", 1))
	if got := s.run("rollout", "undo", "rollout/rollouts-demo"); got.code != 0 || len(s.writes) != 1 {
		t.Fatalf("got %+v, writes %v", got, s.writes)
	}
	for _, want := range []string{
		`"newTemplate":"x"`, `"newMeta":"x"`, `"newPod":{"a":{"b":"x"}}`, `"newContainer":["x"]`, `"ports":[{"containerPort":80,"newPort":"x"}]`, `"env":[{"name":"E","newEnv":"x"}]`,
	} {
		if !strings.Contains(s.writes[0], want) {
			t.Errorf("%s is not in %s", want, s.writes[0])
		}
	}
	if strings.Contains(s.writes[0], "pod-template-hash") {
		t.Errorf("the label of the native controller is in %s", s.writes[0])
	}
}

// TestUndoOfWhatWeDoNotKnow: a template that differs in fields that this plugin lacks is another one.
func TestUndoOfWhatWeDoNotKnow(t *testing.T) {
	s := newServer(t, beta)
	changed := deployment()
	at(changed, "spec", "template", "spec")["newPod"] = "x"
	s.put(rollout(beta), changed, set(1, "aaa", 9), set(3, "ccc", 1))
	want := result{"deployment.apps/workload-demo rolled back\n", "", 0}
	s.check(s.run("rollout", "undo", "rollout/rollouts-demo", "--to-revision=3"), want, back("version-3", "v3", "", inPartition))
}

func TestUndoOnTheClientShowsTheTemplate(t *testing.T) {
	s := newServer(t, alpha)
	s.put(rollout(alpha), deployment(), set(1, "aaa", 9), set(3, "ccc", 1))
	got := s.run("rollout", "undo", "rollout/rollouts-demo", "--dry-run=client")
	if got.code != 0 || !strings.Contains(got.out, "busybox:version-1") || !strings.Contains(got.out, "(dry run)") || len(s.writes) > 0 {
		t.Errorf("got %+v, writes %v", got, s.writes)
	}
}

func TestQuietStep(t *testing.T) {
	steps := func(version edit) []rolloutsv1beta1.CanaryStep {
		s := newServer(t, beta)
		o := rollout(beta, version)
		s.put(o)
		ro, err := decode(unstructuredOf(o))
		if err != nil {
			t.Fatal(err)
		}
		return ro.Spec.Strategy.Steps()
	}
	plan := func(list ...object) edit {
		return func(o object) {
			all := []any{}
			for _, s := range list {
				all = append(all, s)
			}
			at(o, "spec", "strategy", "canary")["steps"] = all
		}
	}
	header := []any{object{"headers": []any{object{"name": "a", "value": "b"}}}}
	for name, c := range map[string]struct {
		steps   edit
		current int32
		want    int32
		why     string
	}{
		"the most pods":    {plan(object{"replicas": "50%"}, object{"replicas": 20}, object{"replicas": "100%"}), 3, 1, ""},
		"the later of two": {plan(object{"replicas": "50%"}, object{"replicas": "50%"}, object{"replicas": "100%"}), 3, 2, ""},
		"no traffic only":  {plan(object{"replicas": "50%", "traffic": "0%"}, object{"replicas": "60%", "traffic": "5%"}, object{}), 3, 1, ""},
		"matches are traffic": {
			plan(object{"replicas": "50%", "matches": header}, object{"replicas": "100%"}), 2, 0, "no previous step with no traffic found",
		},
		"the first step": {plan(object{"replicas": "50%"}), 1, 0, "already at the first step"},
		"no step yet":    {plan(object{"replicas": "50%"}), 0, 0, "already at the first step"},
		"out of range":   {plan(object{"replicas": "50%"}), 7, 1, ""},
	} {
		t.Run(name, func(t *testing.T) {
			got, why := quietStep(steps(c.steps), c.current)
			if got != c.want || why != c.why {
				t.Errorf("got %d %q, want %d %q", got, why, c.want, c.why)
			}
		})
	}
}
