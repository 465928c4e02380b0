// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"strings"
	"testing"
)

func TestPauseAndResume(t *testing.T) {
	patch := func(version, value string) string {
		return "PATCH /apis/rollouts.kruise.io/" + version + demo + ` application/merge-patch+json {"spec":{"strategy":{"paused":` + value + `}}}`
	}
	for name, c := range map[string]struct {
		object object
		args   string
		want   result
		writes []string
	}{
		"pause":           {rollout(beta), "pause rollout/rollouts-demo", result{"rollout.rollouts.kruise.io/rollouts-demo paused\n", "", 0}, []string{patch(beta, "true")}},
		"pause, v1alpha1": {rollout(alpha), "pause rollout/rollouts-demo", result{"rollout.rollouts.kruise.io/rollouts-demo paused\n", "", 0}, []string{patch(alpha, "true")}},
		"pause again": {
			rollout(beta, paused), "pause rollout/rollouts-demo",
			result{"", `error: rollouts.rollouts.kruise.io "rollouts-demo" is already paused` + "\n", 1},
			nil,
		},
		"resume":           {rollout(beta, paused), "resume rollout/rollouts-demo", result{"rollout.rollouts.kruise.io/rollouts-demo resumed\n", "", 0}, []string{patch(beta, "null")}},
		"resume, v1alpha1": {rollout(alpha, paused), "resume rollout rollouts-demo", result{"rollout.rollouts.kruise.io/rollouts-demo resumed\n", "", 0}, []string{patch(alpha, "null")}},
		"resume again": {
			rollout(alpha), "resume rollout/rollouts-demo",
			result{"", `error: rollouts.rollouts.kruise.io "rollouts-demo" is not paused` + "\n", 1},
			nil,
		},
		"a Deployment": {
			deployment(), "pause deployment/workload-demo", result{"", `error: deployments.apps "workload-demo" is already paused` + "\n", 1}, nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			version, ok := strings.CutPrefix(c.object["apiVersion"].(string), "rollouts.kruise.io/")
			if !ok {
				version = beta
			}
			s := newServer(t, version)
			s.put(c.object)
			s.check(s.run(append([]string{"rollout"}, strings.Fields(c.args)...)...), c.want, c.writes...)
		})
	}
}

func TestWarningsOfTheServerAreShown(t *testing.T) {
	s := newServer(t, beta)
	s.put(rollout(beta))
	s.warning = "mind the step"
	if got := s.run("rollout", "pause", "rollout/rollouts-demo"); got.err != "Warning: mind the step\n" {
		t.Errorf("got %q", got.err)
	}
}
