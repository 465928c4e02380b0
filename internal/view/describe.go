// SPDX-License-Identifier: Apache-2.0

package view

import (
	"fmt"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/util/duration"
)

// Describe shows all there is to show, with the pods of the revision being released, or with all pods.
func (r Rollout) Describe(s Style, all bool) string {
	b := &strings.Builder{}
	field := func(indent int, name, value string) {
		if name != "" {
			name = strings.Repeat("  ", indent) + name + ":"
		}
		fmt.Fprintf(b, "%-21s%s\n", name, first(value, "<none>"))
	}
	status := s.status(r) + " " + first(string(r.Phase), "Unknown")
	if r.Lagging {
		status += " (the controller has not seen the latest change of the Rollout yet)"
	}
	field(0, "Name", r.Name)
	field(0, "Namespace", r.Namespace)
	field(0, "Status", status)
	field(0, "Message", plain(r.Message))
	if r.Awaiting != nil {
		field(0, "Waiting For", r.Awaiting.String())
	}
	for i, line := range r.Trouble {
		name := "Trouble"
		if i > 0 {
			name = ""
		}
		field(0, name, line)
	}
	field(0, "Workload", r.Workload)
	field(0, "Strategy", r.Style)
	if r.Step > 0 {
		field(1, "Step", fmt.Sprintf("%d/%d", r.Step, len(r.Steps)))
		field(1, "State", string(r.State))
	}
	if r.Running() && r.Detail != "" {
		field(1, "Batch", r.Detail)
	}
	if len(r.Steps) > 0 {
		b.WriteString("  Steps:\n")
	}
	for _, line := range r.stepLines(s) {
		b.WriteString("    " + line + "\n")
	}
	for _, part := range []struct {
		title string
		lines []string
	}{{"Webhooks", r.webhookLines(s)}, {"Analysis", r.analysisLines(s)}} {
		if len(part.lines) > 0 {
			b.WriteString(part.title + ":\n")
		}
		for _, line := range part.lines {
			b.WriteString("  " + line + "\n")
		}
	}
	r.describeRevisions(field)
	field(0, "Replicas", " ")
	for _, n := range []struct {
		name  string
		count int32
	}{
		{"Desired", r.Replicas.Desired},
		{"Updated", r.Replicas.Updated},
		{"Current", r.Replicas.Current},
		{"Ready", r.Replicas.Ready},
		{"Available", r.Replicas.Available},
	} {
		field(1, n.name, strconv.Itoa(int(n.count)))
	}
	b.WriteString(r.podTable(s, all))
	return s.fit(trimmed(b.String()))
}

func (r Rollout) describeRevisions(field func(indent int, name, value string)) {
	images, current, update := []string{}, "", ""
	for _, rev := range r.Revisions {
		switch rev.Role {
		case Stable:
			current = rev.Hash
		case Updating:
			update = rev.Hash
		case Old:
		}
		if role := first(string(rev.Role), "old"); len(rev.Images) > 0 {
			images = append(images, fmt.Sprintf("%s (%s)", strings.Join(rev.Images, ", "), role))
		}
	}
	field(0, "Images", strings.Join(images, ", "))
	field(0, "Current Revision", current)
	field(0, "Update Revision", first(update, current))
}

func (r Rollout) podTable(s Style, all bool) string {
	rows := [][]string{{"NAME", "READY", "BATCH ID", "REVISION", "AGE", "RESTARTS", "STATUS"}}
	for _, rev := range r.Revisions {
		if !all && r.Running() && rev.Role != Updating {
			continue
		}
		for _, p := range rev.Pods {
			age := "<unknown>"
			if !p.Created.IsZero() && !r.now.IsZero() {
				age = duration.HumanDuration(r.now.Sub(p.Created))
			}
			rows = append(rows, []string{p.Name, p.Containers, first(p.Batch, "<none>"), p.Revision, age, strconv.Itoa(int(p.Restarts)), s.ready(p.Ready) + " " + p.Status})
		}
	}
	if len(rows) == 1 {
		return "\nNo pods of this release yet.\n"
	}
	return "\n" + strings.Join(columns(3, rows), "\n") + "\n"
}

// trimmed removes the spaces at the ends of lines.
func trimmed(text string) string {
	lines := strings.Split(text, "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	return strings.Join(lines, "\n")
}
