// SPDX-License-Identifier: Apache-2.0

package traffic

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const page = "../../docs/traffic.md"

// capabilityTable is the table of docs/traffic.md.
func capabilityTable() string {
	columns := []struct {
		title string
		can   func(Capabilities) bool
	}{
		{"share", func(c Capabilities) bool { return c.Weight }},
		{"header", func(c Capabilities) bool { return c.Header }},
		{"by pattern", func(c Capabilities) bool { return c.HeaderRegex }},
		{"several headers", func(c Capabilities) bool { return c.SeveralHeaders }},
		{"alternatives", func(c Capabilities) bool { return c.SeveralMatches }},
		{"cookie", func(c Capabilities) bool { return c.Cookie }},
		{"query", func(c Capabilities) bool { return c.Query }},
		{"path", func(c Capabilities) bool { return c.Path }},
		{"gRPC method", func(c Capabilities) bool { return c.Method }},
		{"change headers", func(c Capabilities) bool { return c.ModifyHeaders }},
		{"share and match", func(c Capabilities) bool { return c.WeightAndMatch }},
		{"no canary Service", func(c Capabilities) bool { return c.Alone }},
	}
	by := map[string]Capabilities{}
	for class, c := range ingressCapabilities {
		by["Ingress class "+class] = c
	}
	for _, c := range routeCapabilities {
		by[c.Provider] = c
	}
	for _, c := range customCapabilities {
		by[c.Provider] = c
	}
	text, line := "| |", "|---|"
	for _, column := range columns {
		text += " " + column.title + " |"
		line += "---|"
	}
	text += "\n" + line + "\n"
	for _, name := range sortedKeys(by) {
		text += "| " + name + " |"
		for _, column := range columns {
			if column.can(by[name]) {
				text += " yes |"
			} else {
				text += " |"
			}
		}
		text += "\n"
	}
	return text
}

// askedTable is the table of all that can be asked for.
func askedTable(all askedFor) string {
	text, line := "| |", "|---|"
	for _, g := range all.Gateways {
		text += " " + strings.TrimPrefix(g.Title, "Ingress class ") + " |"
		line += "---|"
	}
	text += "\n" + line + "\n"
	for _, ask := range all.Asks {
		text += "| " + ask.Name + " |"
		for _, g := range all.Gateways {
			alone, _ := g.alone(ask.Name)
			switch {
			case strings.HasPrefix(g.Asked[ask.Name], "! "):
				text += " |"
			case strings.HasPrefix(alone, "! "):
				text += " with |"
			default:
				text += " yes |"
			}
		}
		text += "\n"
	}
	return text
}

// documented checks, or writes anew, a part of the page for users.
func documented(t *testing.T, part, want string) {
	t.Helper()
	begin, end := "<!-- "+part+" -->\n", "<!-- end of "+part+" -->\n"
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, _ := strings.Cut(string(text), begin)
	got, after, found := strings.Cut(rest, end)
	if !found {
		t.Fatalf("the page has no %s", part)
	}
	if *update {
		if err := os.WriteFile(page, []byte(before+begin+want+end+after), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	if got != want {
		t.Errorf("the %s are\n%s\nwant\n%s\nrun with -update if it is meant", part, got, want)
	}
}

// TestDocumentedCapabilities: the page for users says what admission goes by.
func TestDocumentedCapabilities(t *testing.T) { documented(t, "capabilities", capabilityTable()) }

// TestDocumentedAsked: and what TestAsked renders.
func TestDocumentedAsked(t *testing.T) { documented(t, "asked", askedTable(readAsked(t))) }

// TestDocumentedTests: what the pages refer to exists.
func TestDocumentedTests(t *testing.T) {
	tests := map[string]bool{}
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		for _, name := range regexp.MustCompile(`func ((?:Test|Fuzz)\w+)\(`).FindAllStringSubmatch(string(text), -1) {
			tests[name[1]] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{page, "../../docs/wire.md"} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range regexp.MustCompile("`((?:Test|Fuzz)\\w+)`").FindAllStringSubmatch(string(text), -1) {
			if !tests[name[1]] {
				t.Errorf("%s names %s, which does not exist", file, name[1])
			}
		}
		for _, name := range regexp.MustCompile("`((?:httproute|grpcroute|ingress|custom)/[a-z0-9-]+)`").FindAllStringSubmatch(string(text), -1) {
			if _, err := os.Stat("testdata/" + name[1] + ".out.yaml"); err != nil {
				t.Errorf("%s: %v", file, err)
			}
		}
		for _, name := range regexp.MustCompile("`((?:canary-)?traffic-[a-z-]+)`").FindAllStringSubmatch(string(text), -1) {
			if _, err := os.Stat("../../test/scenarios/" + name[1] + ".yaml"); err != nil {
				t.Errorf("%s: %v", file, err)
			}
		}
	}
}
