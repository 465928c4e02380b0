// SPDX-License-Identifier: Apache-2.0

package cli

import "testing"

// TestAbort: a release is aborted by its revision, once, and only where there is something to take back.
func TestAbort(t *testing.T) {
	const refused = `error: rollouts.rollouts.kruise.io "rollouts-demo" `
	reason := func(reason string) edit {
		return func(o object) {
			at(o, "status")["conditions"] = []any{object{"type": "Progressing", "status": "True", "reason": reason}}
		}
	}
	for name, c := range map[string]struct {
		edits []edit
		want  result
	}{
		"in a step": {nil, result{"rollout.rollouts.kruise.io/rollouts-demo aborted\n", "", 0}},
		"twice": {[]edit{func(o object) {
			at(o, "metadata")["annotations"] = object{"rollouts.kruise.io/abort": "bbb"}
		}}, result{"", refused + "is already aborted\n", 1}},
		"nothing is released": {[]edit{func(o object) { at(o, "status")["phase"] = "Healthy" }}, result{"", refused + "has no release in progress to abort\n", 1}},
		"the last step is done": {[]edit{reason("Finalising")}, result{
			"", refused + "is already completing or rolling back; to roll back a completed release: kubectl kruise rollout undo\n", 1,
		}},
		"it goes back": {[]edit{reason("Cancelling")}, result{
			"", refused + "is already completing or rolling back; to roll back a completed release: kubectl kruise rollout undo\n", 1,
		}},
		"a roll-back in batches": {[]edit{func(o object) { at(o, "status", "canaryStatus")["stableRevision"] = "bbb" }}, result{
			"", refused + "is already rolling back to the stable version; to pause it: kubectl kruise rollout pause\n", 1,
		}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t, beta)
			s.put(rollout(beta, c.edits...))
			var writes []string
			if c.want.code == 0 {
				writes = []string{"PATCH /apis/rollouts.kruise.io/" + beta + demo + ` application/merge-patch+json {"metadata":{"annotations":{"rollouts.kruise.io/abort":"bbb"}}}`}
			}
			s.check(s.run("rollout", "abort", "rollout/rollouts-demo"), c.want, writes...)
		})
	}
}
