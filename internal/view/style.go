// SPDX-License-Identifier: Apache-2.0

package view

import (
	"strings"

	"github.com/charmbracelet/x/ansi"
)

// Style is how text is dressed. The zero Style is plain.
type Style struct {
	Color bool
	Width int // columns of the terminal; 0: lines are as long as they are
}

const (
	green  = "\x1b[32m"
	yellow = "\x1b[33m"
	red    = "\x1b[31m"
	dim    = "\x1b[2m"
	bold   = "\x1b[1m"
	normal = "\x1b[0m"
)

func (s Style) paint(code, text string) string {
	if !s.Color || text == "" {
		return text
	}
	return code + text + normal
}

// status is the sign before a phase: done, on its way, or ended badly.
func (s Style) status(r Rollout) string {
	switch r.Outcome {
	case Cancelled, Disabled:
		return s.paint(red, "✘")
	case Succeeded:
		return s.paint(green, "✔")
	default:
		return s.paint(yellow, "⚠")
	}
}

func (s Style) mark(m Mark) string {
	switch m {
	case Done:
		return s.paint(green, "✔")
	case Current:
		return s.paint(yellow, "●")
	default:
		return s.paint(dim, "○")
	}
}

func (s Style) ready(ok bool) string {
	if ok {
		return s.paint(green, "✔")
	}
	return s.paint(yellow, "●")
}

// columns lays out rows: cells are padded to the widest of their column, gap spaces apart. The last is never padded.
func columns(gap int, rows [][]string) []string {
	widths := []int{}
	for _, row := range rows {
		for i, cell := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], width(cell))
		}
	}
	lines := []string{}
	for _, row := range rows {
		b := strings.Builder{}
		for i, cell := range row {
			b.WriteString(cell)
			if i < len(row)-1 {
				b.WriteString(strings.Repeat(" ", widths[i]-width(cell)+gap))
			}
		}
		lines = append(lines, strings.TrimRight(b.String(), " "))
	}
	return lines
}

// width is how many columns text takes on a terminal.
func width(text string) int { return ansi.StringWidth(text) }

// fit breaks lines that a terminal would, at spaces, and has them go on below where their text begins.
func (s Style) fit(text string) string {
	if s.Width <= 0 {
		return text
	}
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		if width(line) <= s.Width {
			continue
		}
		indent := min(begin(line), s.Width/2)
		parts := strings.Split(ansi.Wrap(line, s.Width-indent, ""), "\n")
		for j := range parts {
			parts[j] = strings.TrimRight(parts[j], " ")
		}
		lines[i] = strings.Join(parts, "\n"+strings.Repeat(" ", indent))
	}
	return strings.Join(lines, "\n")
}

// begin is the column at which the text of a line begins: behind its name, if it has one, or its sign.
func begin(line string) int {
	plain := ansi.Strip(line)
	if name, _, ok := strings.Cut(plain, ":  "); ok && !strings.ContainsAny(strings.TrimSpace(name), "/:") {
		return width(plain) - width(strings.TrimLeft(plain[len(name)+1:], " "))
	}
	return width(plain) - width(strings.TrimLeft(plain, " │├└─✘✔●○"))
}
