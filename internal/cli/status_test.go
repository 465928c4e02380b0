// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"strings"
	"testing"
)

const rolloutsPath = "/apis/rollouts.kruise.io/v1beta1/namespaces/default/rollouts"

func lines(l ...string) string { return strings.Join(l, "\n") + "\n" }

func TestStatus(t *testing.T) {
	const (
		detail  = " (BatchRelease is at state Ready, rollout-id , step 1)"
		approve = "Waiting for approval: kubectl kruise rollout approve rollout/rollouts-demo -n default"
		upgrade = "Rollout is in step(2/3), and upgrade workload to new version"
	)
	done := rollout(beta, ended("True", "Rollout progressing has been completed"))
	idle := deployment(func(o object) { delete(at(o, "metadata"), "annotations") })
	completed := lines("Rollout progressing has been completed", `rollout "rollouts-demo" successfully rolled out`)
	for name, c := range map[string]struct {
		objects []object
		updates []object
		args    string
		want    result
	}{
		"done already":                   {[]object{done, idle}, nil, "", result{completed, "", 0}},
		"done, and its workload is gone": {[]object{done}, nil, "", result{completed, "", 0}},
		"through its steps": {
			[]object{rollout(beta), idle},
			[]object{rollout(beta), rollout(beta, step(1, "StepReady", confirm)), rollout(beta, step(2, "StepUpgrade", upgrade)), done},
			"",
			result{lines(confirm+detail, approve, upgrade+detail) + completed, "", 0},
		},
		"paused on the way": {
			[]object{rollout(beta, paused), idle},
			[]object{done},
			"",
			result{lines(confirm+detail, "Waiting for someone to resume it: kubectl kruise rollout resume rollout/rollouts-demo -n default") + completed, "", 0},
		},
		"changed, and the controller has not looked yet": {
			[]object{done, deployment()},
			[]object{rollout(beta), rollout(beta, ended("False", "Rollout progressing has been canceled"))},
			"--timeout 1s",
			result{
				lines("Waiting for the release to begin: the workload has been changed", confirm+detail, approve,
					"Waiting for the release to begin: the workload has been changed"),
				lines(`error: timed out after 1s waiting for rollout "rollouts-demo": Waiting for the release to begin: the workload has been changed`), 1,
			},
		},
		"edited, and the controller has not looked yet": {
			[]object{rollout(beta, ended("True", ""), func(o object) { at(o, "metadata")["generation"] = 3 }), idle},
			[]object{done},
			"",
			result{lines("Waiting for the controller to reconcile the Rollout") + completed, "", 0},
		},
		"without a status": {
			[]object{rollout(beta, func(o object) { delete(o, "status") }), idle},
			nil, "-w=false",
			result{lines("Waiting for the controller to reconcile the Rollout"), "", 0},
		},
		"rolled back": {
			[]object{rollout(beta), idle},
			[]object{rollout(beta, ended("False", "Rollout progressing has been canceled"))},
			"",
			result{lines(confirm+detail, approve), lines(`error: rollout "rollouts-demo" was rolled back: Rollout progressing has been canceled`), 1},
		},
		"disabled": {
			[]object{rollout(beta, func(o object) {
				at(o, "status")["phase"], at(o, "status")["message"] = "Disabled", "Rollout is disabled"
			}), deployment()},
			nil, "",
			result{"", lines(`error: rollout "rollouts-demo" is disabled: Rollout is disabled`), 1},
		},
		"deleted": {
			[]object{rollout(beta), idle}, []object{nil}, "", result{lines(confirm+detail, approve), "error: object has been deleted\n", 1},
		},
		"not waiting": {[]object{rollout(beta), idle}, nil, "-w=false", result{lines(confirm+detail, approve), "", 0}},
		"out of time": {
			[]object{rollout(beta), idle},
			nil, "--timeout 200ms",
			result{lines(confirm+detail, approve), lines(`error: timed out after 200ms waiting for rollout "rollouts-demo": ` + confirm + detail), 1},
		},
		"of a revision": {
			[]object{rollout(beta)}, nil, "--revision 2", result{"", lines(`error: rollouts.rollouts.kruise.io "rollouts-demo" has no revisions to pin: --revision is for workloads`), 1},
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t, beta)
			s.put(c.objects...)
			s.updates[rolloutsPath] = c.updates
			s.check(s.run(append([]string{"rollout", "status", "rollout/rollouts-demo"}, strings.Fields(c.args)...)...), c.want)
		})
	}
}

// TestStatusOfRolloutsOnly: an account that may read Rollouts and not what they are about gets what they say.
func TestStatusOfRolloutsOnly(t *testing.T) {
	for name, c := range map[string]struct {
		secret []string
		object object
		args   string
		code   int
		want   []string
		warned int
	}{
		"done":           {[]string{"deployments", "replicasets", "pods"}, rollout(beta, ended("True", "Rollout progressing has been completed")), "", 0, []string{`successfully rolled out`}, 1},
		"rolled back":    {[]string{"deployments", "replicasets", "pods"}, rollout(beta, ended("False", "Rollout progressing has been canceled")), "", 1, nil, 1},
		"on its way":     {[]string{"deployments", "replicasets", "pods"}, rollout(beta), "-w=false", 0, []string{confirm}, 0},
		"drawn":          {[]string{"deployments", "replicasets", "pods"}, rollout(beta), "-w=false -d", 0, []string{confirm, "rollouts-demo"}, 1},
		"drawn, no pods": {[]string{"pods"}, rollout(beta), "-w=false -d", 0, []string{confirm, "rollouts-demo"}, 1},
		"drawn, no sets": {[]string{"replicasets"}, rollout(beta), "-w=false -d", 0, []string{confirm, "rollouts-demo"}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t, beta)
			s.secret = c.secret
			s.put(c.object, deployment(), set(1, "aaa", 9), set(2, "bbb", 1), pod("bbb", "x"))
			got := s.run(append([]string{"rollout", "status", "rollout/rollouts-demo"}, strings.Fields(c.args)...)...)
			if got.code != c.code {
				t.Errorf("code %d, want %d", got.code, c.code)
			}
			for _, want := range c.want {
				if !strings.Contains(got.out, want) {
					t.Errorf("out\n%s\nwant %q in it", got.out, want)
				}
			}
			if n := strings.Count(got.err, "Warning: skipped, because this account may not read it"); n != c.warned {
				t.Errorf("err\n%s\nwant %d warnings", got.err, c.warned)
			}
		})
	}
}

// TestStatusWithoutListAndWatch: not waiting takes get and nothing else; waiting says at once which right it lacks.
func TestStatusWithoutListAndWatch(t *testing.T) {
	const detail = " (BatchRelease is at state Ready, rollout-id , step 1)"
	where := lines(confirm+detail, "Waiting for approval: kubectl kruise rollout approve rollout/rollouts-demo -n default")
	lacks := func(verb string) string {
		return lines(`error: this account may not ` + verb + ` rollout "rollouts-demo", and waiting needs list and watch; --watch=false needs get only: ` +
			`rollouts is forbidden: User "dev" cannot ` + verb + ` it`)
	}
	for name, c := range map[string]struct {
		denied []string
		args   string
		want   result
	}{
		"not waiting":         {[]string{"list", "watch"}, "--watch=false", result{where, "", 0}},
		"neither":             {[]string{"list", "watch"}, "", result{"", lacks("list"), 1}},
		"neither, for a time": {[]string{"list", "watch"}, "--timeout 1h", result{"", lacks("list"), 1}},
		"no watch":            {[]string{"watch"}, "", result{"", lacks("watch"), 1}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t, beta)
			s.denied = c.denied
			s.put(rollout(beta), deployment())
			got := s.run(append([]string{"rollout", "status", "rollout/rollouts-demo"}, strings.Fields(c.args)...)...)
			if got.code != 0 && got.out == where {
				got.out = "" // what was listed may have been printed before the watch was refused, or not
			}
			s.check(got, c.want)
		})
	}
}

func TestStatusOfADeploymentIsKubectls(t *testing.T) {
	s := newServer(t, beta)
	s.put(deployment(func(o object) { at(o, "status")["updatedReplicas"], at(o, "status")["availableReplicas"] = 10, 10 }))
	s.check(s.run("rollout", "status", "deployment/workload-demo"), result{"deployment \"workload-demo\" successfully rolled out\n", "", 0})
}

func TestStatusDrawsOnRequest(t *testing.T) {
	s := newServer(t, beta)
	s.put(rollout(beta), deployment(), set(1, "aaa", 9), set(2, "bbb", 1), pod("bbb", "x"))
	got := s.run("rollout", "status", "rollout/rollouts-demo", "-w=false", "-d")
	if want := "│  └─ ✔ workload-demo-bbb-x  1/1  Running"; !strings.Contains(got.out, want) || got.code != 0 {
		t.Errorf("got %+v, want %q in it", got, want)
	}
}
