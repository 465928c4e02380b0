// SPDX-License-Identifier: Apache-2.0

package view

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	rolloutsv1beta1 "kruise.io/rollouts/api/v1beta1"
)

// podsPerRevision is how many pods of a revision a tree names: it is to fit on a screen.
const podsPerRevision = 8

// Tree draws the release: its steps, and under the workload its revisions with their pods.
func (r Rollout) Tree(s Style) string {
	lines := []string{r.title(s)}
	if r.Message != "" {
		lines = append(lines, "  "+r.Message)
	}
	if a := r.Awaiting; a != nil {
		lines = append(lines, "  waiting for "+a.String())
	}
	for _, line := range r.Trouble {
		lines = append(lines, "  "+s.paint(red, "✘")+" "+line)
	}
	lines = append(lines, "")
	for _, line := range r.stepLines(s) {
		lines = append(lines, "  "+line)
	}
	lines = append(lines, indented("  ", r.webhookLines(s))...)
	if lines = append(lines, indented("  ", r.metricLines(s))...); r.Workload != "" {
		// A workload that is not there, or may not be read, does not say how many pods it wants.
		lines = append(lines, "", fmt.Sprintf("%s  %d/%d ready", r.Workload, r.Replicas.Ready, cmp.Or(r.Replicas.Desired, r.Replicas.Current)))
	}
	lines = append(lines, r.revisionLines(s)...)
	return s.fit(strings.Join(lines, "\n") + "\n")
}

// indented are lines with something before each, and an empty line before them all.
func indented(by string, lines []string) (out []string) {
	for i, line := range lines {
		if i == 0 {
			out = append(out, "")
		}
		out = append(out, by+line)
	}
	return out
}

func (r Rollout) title(s Style) string {
	title := fmt.Sprintf("%s %s  %s", s.status(r), s.paint(bold, "rollout/"+r.Name), first(string(r.Phase), "Unknown"))
	if r.Running() && r.Step > 0 {
		title += fmt.Sprintf("  step %d/%d  %s", r.Step, len(r.Steps), r.State)
	}
	return title
}

func (r Rollout) stepLines(s Style) []string {
	rows := [][]string{}
	for _, step := range r.Steps {
		size := step.Replicas + " of the pods"
		if !strings.HasSuffix(step.Replicas, "%") {
			size = count(int(step.Pods), "pod")
		} else if r.Replicas.Desired > 0 {
			size = fmt.Sprintf("%s = %s", step.Replicas, count(int(step.Pods), "pod"))
		}
		row := []string{fmt.Sprintf("%s %d", s.mark(step.Mark), step.Index), size}
		if slices.ContainsFunc(r.Steps, func(s Step) bool { return s.Traffic != "" }) {
			row = append(row, first(step.Traffic, "-"))
		}
		row = append(row, "pause "+step.Pause)
		if step.Mark == Current {
			row = append(row, string(r.State))
		}
		rows = append(rows, row)
	}
	return columns(2, rows)
}

func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

func (r Rollout) revisionLines(s Style) []string {
	rows := [][]string{}
	for _, rev := range r.Revisions {
		name := "revision " + rev.Hash
		if rev.Number > 0 {
			name = fmt.Sprintf("revision %d  %s", rev.Number, rev.Hash)
		}
		rows = append(rows, []string{name, first(string(rev.Role), "old"), fmt.Sprintf("%d/%d ready", rev.Ready, rev.Wanted), strings.Join(rev.Images, ", ")})
	}
	lines := []string{}
	for i, head := range columns(2, rows) {
		branch, trunk := "├─ ", "│  "
		if i == len(rows)-1 {
			branch, trunk = "└─ ", "   "
		}
		lines = append(lines, branch+head)
		for _, line := range podLines(r.Revisions[i].Pods, s) {
			lines = append(lines, trunk+line)
		}
	}
	return lines
}

// podLines draws pods, those that are not ready first if there are too many to name all.
func podLines(pods []Pod, s Style) []string {
	shown := slices.Clone(pods)
	if len(shown) > podsPerRevision {
		slices.SortStableFunc(shown, func(a, b Pod) int {
			switch {
			case a.Ready == b.Ready:
				return 0
			case b.Ready:
				return -1
			default:
				return 1
			}
		})
		shown = shown[:podsPerRevision]
	}
	rows := [][]string{}
	for _, p := range shown {
		row := []string{s.ready(p.Ready) + " " + p.Name, p.Containers, p.Status}
		if p.Batch != "" {
			row = append(row, "batch "+p.Batch)
		}
		rows = append(rows, row)
	}
	lines := columns(2, rows)
	if rest := len(pods) - len(shown); rest > 0 {
		lines = append(lines, fmt.Sprintf("… and %d more", rest))
	}
	for i := range lines {
		if i == len(lines)-1 {
			lines[i] = "└─ " + lines[i]
		} else {
			lines[i] = "├─ " + lines[i]
		}
	}
	return lines
}

// String says what is awaited, and what to type if a person is.
func (a Awaiting) String() string {
	text := a.For
	if a.Until != nil {
		text += ", until " + a.Until.UTC().Format("15:04:05 MST")
	}
	if a.Command != "" {
		text += ": " + a.Command
	}
	return text
}

// Ended: nothing more happens until the workload, or the Rollout, is changed.
func (r Rollout) Ended() bool {
	return r.Outcome != "" || r.Phase == rolloutsv1beta1.PhaseDisabled
}
