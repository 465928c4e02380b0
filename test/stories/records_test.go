// SPDX-License-Identifier: Apache-2.0

package stories

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"

	"kruise.io/rollouts/api/v1alpha1"
	"kruise.io/rollouts/internal/sim/world"
)

// records writes down what is recorded, the oldest first, instead of how it came about: other stories show that.
func (s *stage) records(t *testing.T) {
	t.Helper()
	list, sets := &v1alpha1.RolloutHistoryList{}, &appsv1.ReplicaSetList{}
	if err := s.List(t.Context(), list); err != nil {
		t.Fatal(err)
	}
	if err := s.List(t.Context(), sets); err != nil {
		t.Fatal(err)
	}
	s.lines = slices.DeleteFunc(s.lines, func(line string) bool { return !strings.HasPrefix(line, ">") })
	slices.SortFunc(list.Items, func(a, b v1alpha1.RolloutHistory) int {
		return cmp.Compare(a.Spec.Release.Number, b.Spec.Release.Number)
	})
	for _, h := range list.Items {
		r := h.Spec.Release
		pods := []string{}
		for _, step := range h.Status.CanarySteps {
			pods = append(pods, fmt.Sprint(len(step.Pods)))
		}
		line := fmt.Sprintf("record %d %s: revision %d, %s, by %s, pods %s", r.Number, h.Status.Phase, r.Revision, r.Outcome, cmp.Or(r.User, "nobody"), strings.Join(pods, "+"))
		if r.Template != nil {
			line += ", with its template"
		}
		s.lines = append(s.lines, line)
		for _, change := range r.Change {
			s.lines = append(s.lines, "    "+change)
		}
		for _, e := range r.Timeline {
			s.lines = append(s.lines, strings.TrimRight(fmt.Sprintf("    %4s %s %d %s %s", e.Time.Sub(world.Start), e.Type, e.Step, e.User, e.Message), " "))
		}
		s.lines = append(s.lines, fmt.Sprintf("    %4s %s", r.CompletionTime.Sub(world.Start), r.Outcome))
	}
}
