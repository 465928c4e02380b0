// SPDX-License-Identifier: Apache-2.0

package world_test

import (
	"fmt"
	"strings"
	"testing"

	"kruise.io/rollouts/api/v1beta1"
)

// TestPostponedEditsAreTold: who changes a strategy in the middle of a release so that it leaves pods where they are gets a warning that
// this counts later, and how to stop the release itself; and the release goes on.
func TestPostponedEditsAreTold(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		conformer
		edit, told string // "": nothing is to be reported
	}{
		"Deployment, paused":           {kinds["Deployment"], applied(`{"spec":{"paused":true}}`), "it will be paused when"},
		"Deployment, maxSurge":         {kinds["Deployment"], "{spec: {strategy: {rollingUpdate: {maxSurge: 2}}}}", ""},
		"CloneSet, paused":             {kinds["CloneSet/v1alpha1"], "{spec: {updateStrategy: {paused: true}}}", "it will be paused when"},
		"CloneSet v1beta1, paused":     {kinds["CloneSet/v1beta1"], "{spec: {updateStrategy: {rollingUpdate: {paused: true}}}}", "it will be paused when"},
		"CloneSet, partition":          {kinds["CloneSet/v1alpha1"], "{spec: {updateStrategy: {partition: 3}}}", `it will have "partition: 3" when`},
		"CloneSet, percentage":         {kinds["CloneSet/v1alpha1"], `{spec: {updateStrategy: {partition: "60%"}}}`, `it will have "partition: 60%" when`},
		"CloneSet, both":               {kinds["CloneSet/v1alpha1"], "{spec: {updateStrategy: {partition: 3, paused: true}}}", `it will be paused and have "partition: 3" when`},
		"CloneSet, partition given up": {kinds["CloneSet/v1alpha1"], "{spec: {updateStrategy: {partition: 0}}}", ""},
		"CloneSet, another label":      {kinds["CloneSet/v1alpha1"], "{metadata: {labels: {team: a}}}", ""},
		"StatefulSet, OnDelete":        {kinds["StatefulSet"], "{spec: {updateStrategy: {type: OnDelete, rollingUpdate: null}}}", `it will have "type: OnDelete" when`},
		"StatefulSet, partition":       {kinds["StatefulSet"], "{spec: {updateStrategy: {rollingUpdate: {partition: 3}}}}", `it will have "partition: 3" when`},
		"StatefulSet, rolls again":     {kinds["StatefulSet/OnDelete"], "{spec: {updateStrategy: {type: RollingUpdate}}}", ""},
		// It is held by the very type, so only a tool that says what it declares can ask for it.
		"DaemonSet, OnDelete": {kinds["DaemonSet"], applied(`{"spec":{"updateStrategy":{"type":"OnDelete"}}}`), `it will have "type: OnDelete" when`},
		"Advanced StatefulSet, paused": {
			kinds["AdvancedStatefulSet/v1beta1"], "{spec: {updateStrategy: {rollingUpdate: {paused: true}}}}", "it will be paused when",
		},
		"Advanced DaemonSet, paused":   {kinds["AdvancedDaemonSet/v1beta1"], "{spec: {updateStrategy: {rollingUpdate: {paused: true}}}}", "it will be paused when"},
		"Advanced DaemonSet, OnDelete": {kinds["AdvancedDaemonSet/v1alpha1"], "{spec: {updateStrategy: {type: OnDelete}}}", `it will have "type: OnDelete" when`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := c.conform(t, 5, steps("1", "3", "100%"))
			r.image("2")
			r.run("step 1", "1:4 2:1")
			var told []string
			r.Say = func(s string) { told = append(told, s) }
			r.patch(c.edit)
			switch all := strings.Join(told, "\n"); {
			case c.told == "" && all != "":
				t.Errorf("it says %q", all)
			case !strings.Contains(all, c.told), c.told != "" && !strings.Contains(all, `stop the release itself with "kubectl kruise rollout pause rollout/web -n default"`):
				t.Errorf("it says %q, want %q", all, c.told)
			}
			r.run("edited", "1:4 2:1")
			told = nil
			r.patch("{metadata: {labels: {team: b}}}")
			if len(told) > 0 {
				t.Errorf("it says so once more: %q", told)
			}
			r.approve()
			r.run("step 2", "1:2 2:3")
			r.phase("step 2", v1beta1.PhaseProgressing)
		})
	}
}

// applied is what "kubectl apply" changes where what it applies is stored already.
func applied(manifest string) string {
	return fmt.Sprintf("{metadata: {annotations: {kubectl.kubernetes.io/last-applied-configuration: '%s'}}}", manifest)
}
