// SPDX-License-Identifier: Apache-2.0

package view

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/charmbracelet/x/ansi"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	rolloutsv1beta1 "kruise.io/rollouts/api/v1beta1"
)

// Whatever the kind, a percentage says how many pods it comes to, and ready pods count out of those that are wanted.
func TestEveryKindIsCounted(t *testing.T) {
	t.Parallel()
	for kind, spec := range map[string]string{
		"apps/v1 StatefulSet":                  "{spec: {replicas: 10}}",
		"apps/v1 ReplicaSet":                   "{spec: {replicas: 10}}",
		"apps/v1 DaemonSet":                    "{status: {desiredNumberScheduled: 10}}",
		"apps.kruise.io/v1alpha1 CloneSet":     "{spec: {replicas: 10}}",
		"apps.kruise.io/v1beta1 CloneSet":      "{spec: {replicas: 10}}",
		"apps.kruise.io/v1beta1 StatefulSet":   "{spec: {replicas: 10}}",
		"apps.kruise.io/v1alpha1 DaemonSet":    "{status: {desiredNumberScheduled: 10}}",
		"game.example.com/v1 GameServerSet":    "{spec: {replicas: 10}}",
		"apps.kruise.io/v1beta1 UnitedSet":     "{spec: {replicas: 10}}",
		"apps.kruise.io/v1 StatefulSet":        "{spec: {replicas: 10}}",
		"apps.kruise.io/v1alpha1 StatefulSet":  "{spec: {replicas: 10}}",
		"workloads.example.com/v1 Application": "{spec: {replicas: 10}}",
	} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			version, name, _ := strings.Cut(kind, " ")
			text, err := yaml.YAMLToJSON(fmt.Appendf(nil, "{apiVersion: %s, kind: %s, metadata: {name: workload-demo}, %s", version, name, spec[1:]))
			u := &unstructured.Unstructured{}
			if err := errors.Join(err, u.UnmarshalJSON(text)); err != nil {
				t.Fatal(err)
			}
			s := Seen{Now: noon, Workload: u, Rollout: rollout(func(ro *rolloutsv1beta1.Rollout) {
				ro.Spec.WorkloadRef = rolloutsv1beta1.ObjectRef{APIVersion: version, Kind: name, Name: "workload-demo"}
			})}
			s.Pods = append(podsOf(set(1, hash1, 9, 9), 1, ""), podsOf(set(2, hash2, 1, 1), 1, "1")...)
			tree := Of(s).Tree(Style{})
			for _, want := range []string{"50% = 5 pods", "100% = 10 pods", name + "/workload-demo  2/10 ready"} {
				if !strings.Contains(tree, want) {
					t.Errorf("it does not say %q:\n%s", want, tree)
				}
			}
		})
	}
}

// Pods that are not ready are named in the first lines, with why, in one line for each reason.
func TestTrouble(t *testing.T) {
	t.Parallel()
	pods := podsOf(set(2, hash2, 8, 0), 8, "1")
	for i, status := range []string{
		"{phase: Pending, containerStatuses: [{state: {waiting: {reason: ImagePullBackOff, message: 'Back-off pulling image \"web:v2\"'}}}]}",
		"{phase: Running, containerStatuses: [{state: {waiting: {reason: CrashLoopBackOff}}}]}",
		"{phase: Pending, conditions: [{type: PodScheduled, status: 'False', reason: Unschedulable, message: '0/3 nodes are available: 3 Insufficient cpu.'}]}",
		"{phase: Running, conditions: [{type: Ready, status: 'False', reason: ContainersNotReady, message: 'containers with unready status: [main]'}]}",
		"{phase: Running, containerStatuses: [{state: {waiting: {reason: CrashLoopBackOff}}}]}",
		"{phase: Pending, containerStatuses: [{state: {waiting: {reason: ContainerCreating}}}]}",
		"{phase: Pending, initContainerStatuses: [{state: {waiting: {reason: CrashLoopBackOff, message: back-off 40s}}}]}",
		"{phase: Pending}",
	} {
		pods[i].Name = fmt.Sprintf("web-%d", i)
		pods[i].Status = corev1.PodStatus{}
		if err := yaml.Unmarshal([]byte(status), &pods[i].Status); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{
		"2 pods not ready: web-1, web-4: CrashLoopBackOff",
		`1 pod not ready: web-0: ImagePullBackOff, Back-off pulling image "web:v2"`,
		"1 pod not ready: web-6: Init:CrashLoopBackOff, back-off 40s",
		"1 pod not ready: web-3: Running, ContainersNotReady, containers with unready status: [main]",
		"1 pod not ready: web-2: Unschedulable, 0/3 nodes are available: 3 Insufficient cpu.",
	}
	if got := trouble(Seen{Pods: pods}); !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	for _, p := range pods {
		p.Status = pods[1].Status
	}
	if got := trouble(Seen{Pods: pods}); len(got) != 1 || got[0] != "8 pods not ready: web-0, web-1, web-2 and 5 more: CrashLoopBackOff" {
		t.Errorf("got %q", got)
	}
}

// A terminal is never overrun, and nothing is left out for it.
func TestFitsTheTerminal(t *testing.T) {
	t.Parallel()
	for name, s := range seen() {
		r := Of(s)
		for columns := 30; columns <= 120; columns += 10 {
			for what, draw := range map[string]func(Style) string{
				"tree": r.Tree, "describe": func(s Style) string { return r.Describe(s, true) },
			} {
				whole, fitted := draw(Style{Color: true}), draw(Style{Color: true, Width: columns})
				for line := range strings.Lines(fitted) {
					if line = strings.TrimSuffix(line, "\n"); width(line) > columns {
						t.Errorf("%s, %s: %d of %d columns: %q", name, what, width(line), columns, line)
					}
				}
				words := func(text string) string { return strings.Join(strings.Fields(ansi.Strip(text)), "") }
				if words(whole) != words(fitted) {
					t.Errorf("%s, %s in %d columns is\n%s\nwant\n%s", name, what, columns, fitted, whole)
				}
			}
		}
	}
}
