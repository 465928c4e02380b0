// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
)

// record is a recorded release: number and revision, and what is different from the usual.
func record(number, revision int, version string, edits ...edit) object {
	o := object{
		"apiVersion": "rollouts.kruise.io/v1alpha1", "kind": "RolloutHistory",
		"metadata": object{
			"name": fmt.Sprintf("rollouts-demo-abcde%d", number%10), "namespace": "default", "creationTimestamp": "2026-01-02T03:04:05Z",
			"labels":      object{"rollouts.kruise.io/rollout-name": "rollouts-demo", "rollouts.kruise.io/rollout-id": "7"},
			"annotations": object{"rollouts.kruise.io/release-number": fmt.Sprint(number)},
		},
		"spec": object{
			"release": object{
				"number": number, "revision": revision, "user": "jane", "from": "aaa", "to": "bbb", "outcome": "completed",
				"startTime": "2026-01-02T03:04:05Z", "completionTime": "2026-01-02T04:04:05Z",
				"change": []any{"spec.containers[main].image: busybox:version-1 -> busybox:" + version, "spec.containers[main].tty: (none) -> true"},
				"timeline": []any{
					object{"time": "2026-01-02T03:04:15Z", "type": "reached", "step": 1},
					object{"time": "2026-01-02T03:14:15Z", "type": "approved", "step": 1, "user": "joe"},
					object{"time": "2026-01-02T03:14:16Z", "type": "jumped", "step": 3, "user": "joe"},
				},
			},
			"rollout":  object{"name": "rollouts-demo", "rolloutID": "7"},
			"workload": object{"name": "workload-demo", "data": object{"replicas": 10, "template": template(version, "")}},
		},
		"status": object{"phase": "completed"},
	}
	for _, e := range edits {
		e(o)
	}
	return o
}

// superseded is a release whose template the workload had no more when it ended.
func superseded(version string) edit {
	return func(o object) {
		r := at(o, "spec", "release")
		r["outcome"], r["template"], r["user"] = "superseded", template(version, ""), ""
	}
}

// ofCloneSet makes a Rollout one of a CloneSet.
func ofCloneSet(o object) {
	ref := at(o, "spec", "workloadRef")
	ref["apiVersion"], ref["kind"] = "apps.kruise.io/v1alpha1", "CloneSet"
}

func cloneSet() object {
	return object{
		"apiVersion": "apps.kruise.io/v1alpha1", "kind": "CloneSet",
		"metadata": object{"name": "workload-demo", "namespace": "default", "uid": "c", "resourceVersion": "9"},
		"spec":     object{"replicas": 10, "selector": object{"matchLabels": object{"app": "demo"}}, "template": template("version-3", "")},
	}
}

func TestHistoryOnRecord(t *testing.T) {
	for name, c := range map[string]struct {
		objects []object
		args    string
		want    []string
	}{
		"a list": {
			[]object{rollout(beta), deployment(), set(2, "bbb", 1), set(1, "aaa", 9), record(11, 3, "version-3", superseded("version-2")), record(9, 2, "version-2")},
			"",
			[]string{
				"rollout.rollouts.kruise.io/rollouts-demo",
				"REVISION   HASH   IMAGES              PODS   ROLE",
				"1          aaa    busybox:version-1   9/9    stable",
				"2          bbb    busybox:version-2   1/1    updating",
				"",
				"RELEASE   REVISION   BY     OUTCOME      AGE   CHANGE",
				"9         2          jane   completed    AGE   spec.containers[main].image: busybox:version-1 -> busybox:version-2 (and 1 more)",
				"11        3          -      superseded   AGE   spec.containers[main].image: busybox:version-1 -> busybox:version-3 (and 1 more)",
			},
		},
		"of a CloneSet": {
			[]object{rollout(beta, ofCloneSet), cloneSet(), record(1, 2, "version-2")},
			"",
			[]string{
				"rollout.rollouts.kruise.io/rollouts-demo",
				"RELEASE   REVISION   BY     OUTCOME     AGE   CHANGE",
				"1         2          jane   completed   AGE   spec.containers[main].image: busybox:version-1 -> busybox:version-2 (and 1 more)",
			},
		},
		"one release": {
			[]object{rollout(beta), deployment(), record(11, 3, "version-3", superseded("version-2")), record(9, 2, "version-2")},
			" --revision=2",
			[]string{
				"rollout.rollouts.kruise.io/rollouts-demo with revision #2",
				"Release:   9, completed",
				"By:        jane",
				"Versions:  aaa -> bbb",
				"Change:",
				"  spec.containers[main].image: busybox:version-1 -> busybox:version-2",
				"  spec.containers[main].tty: (none) -> true",
				"Timeline:",
				"  2026-01-02T03:04:05Z  started by jane",
				"  2026-01-02T03:04:15Z  reached step 1",
				"  2026-01-02T03:14:15Z  approved step 1 by joe",
				"  2026-01-02T03:14:16Z  jumped to step 3 by joe",
				"  2026-01-02T04:04:05Z  completed",
				"Pod Template:",
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t, beta)
			s.put(c.objects...)
			got := s.run(strings.Fields("rollout history rollout/rollouts-demo" + c.args)...)
			out := regexp.MustCompile(` {2,}`).ReplaceAllString(got.out, "  ")
			out = regexp.MustCompile(` (\d+[smhdy])+  spec`).ReplaceAllString(out, " AGE  spec")
			if want := regexp.MustCompile(` {2,}`).ReplaceAllString(lines(c.want...), "  "); got.code != 0 || got.err != "" || !strings.HasPrefix(out, want) {
				t.Errorf("got %+v\n%s\nwant\n%s", got, out, want)
			}
		})
	}
}

func TestUndoToRecord(t *testing.T) {
	all := []object{rollout(beta), deployment(), set(1, "aaa", 9), set(3, "ccc", 1), record(2, 2, "version-2"), record(3, 4, "version-9", superseded("version-4"))}
	clones := []object{rollout(beta, ofCloneSet), cloneSet(), record(1, 2, "version-2"), record(2, 3, "version-3")}
	for name, c := range map[string]struct {
		objects []object
		args    string
		want    result
		image   string // written; empty: nothing is
	}{
		"that the workload lost":  {all, "--to-revision=2", result{"deployment.apps/workload-demo rolled back\n", "", 0}, "busybox:version-2"},
		"that was superseded":     {all, "--to-revision=4", result{"deployment.apps/workload-demo rolled back\n", "", 0}, "busybox:version-4"},
		"that the workload still": {all, "--to-revision=1", result{"deployment.apps/workload-demo rolled back\n", "", 0}, "busybox:version-1"},
		"that nobody has": {
			all, "--to-revision=9",
			result{"", "error: unable to find specified revision 9 in history: neither the workload nor the recorded releases have it (recorded: 2, 4)\n", 1},
			"",
		},
		"of a CloneSet": {clones, "--to-revision=2", result{"cloneset.apps.kruise.io/workload-demo rolled back\n", "", 0}, "busybox:version-2"},
		"that it has": {
			clones, "--to-revision=3", result{"cloneset.apps.kruise.io/workload-demo skipped rollback (current template already matches revision 3)\n", "", 0}, "",
		},
		"of a CloneSet without records": {
			[]object{rollout(beta, ofCloneSet), cloneSet()},
			"--to-revision=3",
			result{"", "error: unable to find specified revision 3 in history: no release is recorded\n", 1},
			"",
		},
		"only tried": {clones, "--to-revision=2 --dry-run=server", result{"cloneset.apps.kruise.io/workload-demo rolled back (server dry run)\n", "", 0}, "busybox:version-2"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t, beta)
			s.put(c.objects...)
			if got := s.run(strings.Fields("rollout undo rollout/rollouts-demo " + c.args)...); got != c.want {
				t.Errorf("got %+v\nwant %+v", got, c.want)
			}
			if c.image == "" && len(s.writes) > 0 || c.image != "" && (len(s.writes) != 1 || !strings.Contains(s.writes[0], c.image)) {
				t.Errorf("wrote %v, want %q in it", s.writes, c.image)
			}
		})
	}
}
