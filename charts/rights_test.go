// SPDX-License-Identifier: Apache-2.0

package charts_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"kruise.io/rollouts/internal/sim"
)

var update = flag.Bool("update", false, "write docs/rights.md anew")

// rights is where the roles are written down, and the lines between which their table is.
const (
	begins = "<!-- written by go test ./charts -update -->\n"
	ends   = "<!-- until here -->\n"
)

var rights = filepath.Join("..", "docs", "rights.md")

// A rule is one of a role as people read it: with the comment above it in the chart.
type rule struct {
	why, groups, resources, names, verbs string
}

// TestRights checks the roles against a list short enough to be read, in the documentation; none may say "all".
func TestRights(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile(filepath.Join("..", "config", "install.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	granted, err := sim.ReadRights(data)
	if err != nil {
		t.Fatal(err)
	}
	for i, p := range granted {
		if strings.Contains(p.String(), "*") {
			t.Errorf("%s: %s says all", p.Role, p)
		}
		if p.Name == "" && p.Verb != "create" && slices.Contains([]string{
			"secrets", "configmaps", "leases", "customresourcedefinitions", "mutatingwebhookconfigurations", "validatingwebhookconfigurations",
		}, p.Resource) {
			t.Errorf("%s: %s is not of one object", p.Role, p)
		}
		if slices.Contains(granted[:i], p) {
			t.Errorf("%s: %s is there twice", p.Role, p)
		}
	}
	doc, err := os.ReadFile(rights)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(doc), begins)
	_, after, ended := strings.Cut(rest, ends)
	if !found || !ended {
		t.Fatal("docs/rights.md has no place for the table")
	}
	text := before + begins + tables(t, string(data), granted) + ends + after
	if *update {
		if err := os.WriteFile(rights, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	} else if text != string(doc) {
		t.Errorf("docs/rights.md is to be\n%s\n(go test ./charts -update writes it anew)", text)
	}
}

// tables are the roles for people to read.
func tables(t *testing.T, manifests string, granted sim.Rights) string {
	t.Helper()
	text := strings.Builder{}
	for document := range strings.SplitSeq(manifests, "\n---\n") {
		_, list, ok := strings.Cut(document, "\nrules:\n")
		if !ok || !strings.Contains(document, "\nkind: ClusterRole\n") && !strings.Contains(document, "\nkind: Role\n") {
			continue
		}
		name := value(document, "kind: ") + " " + value(document, "name: ")
		rules := rulesOf(list)
		n := 0
		for _, p := range granted {
			if p.Role == name {
				n++
			}
		}
		fmt.Fprintf(&text, "\n`%s`: %d rules, %d permissions\n\n| | may | why |\n|---|---|---|\n", name, len(rules), n)
		for _, r := range rules {
			of := ""
			if r.names != "" {
				of = " named " + r.names
			}
			fmt.Fprintf(&text, "| %s%s%s | %s | %s |\n", r.resources, r.groups, of, r.verbs, r.why)
		}
	}
	return text.String() + "\n"
}

// value is the first one of a key.
func value(document, key string) string {
	_, rest, _ := strings.Cut(document, key)
	line, _, _ := strings.Cut(rest, "\n")
	return line
}

// rulesOf reads the rules of a role. A comment is about all rules until the next one.
func rulesOf(list string) []rule {
	var rules []rule
	why, said := "", true
	for line := range strings.Lines(list) {
		line = strings.TrimSpace(line)
		comment, isComment := strings.CutPrefix(line, "# ")
		key, items, _ := strings.Cut(strings.TrimPrefix(line, "- "), ": ")
		items = strings.Trim(items, "[]")
		switch {
		case isComment && said:
			why, said = comment, false
		case isComment:
			why += " " + comment
		case key == "apiGroups":
			said = true
			if items = strings.Trim(items, `"`); items != "" {
				items = " of " + items
			}
			rules = append(rules, rule{why: why, groups: items})
		case key == "resources":
			rules[len(rules)-1].resources = items
		case key == "resourceNames":
			rules[len(rules)-1].names = items
		case key == "verbs":
			rules[len(rules)-1].verbs = items
		}
	}
	return rules
}
