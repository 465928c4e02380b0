// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"kruise.io/rollouts/sandbox"
	"kruise.io/rollouts/sandbox/product"
)

// TestREADME plays the demo and compares what it prints with what the READMEs show. Ages and hashes differ every time.
func TestREADME(t *testing.T) {
	var out, log bytes.Buffer
	if err := run(t.Context(), &out, sandbox.Options{Log: &log}, false); err != nil {
		t.Fatalf("%v\n%s\n%s", err, log.String(), out.String())
	}
	root, err := product.Root()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"README.md", "README.zh.md"} {
		content, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		_, rest, _ := strings.Cut(string(content), "<!-- demo:begin -->")
		shown, _, found := strings.Cut(rest, "<!-- demo:end -->")
		if !found {
			t.Errorf("%s has no block between demo:begin and demo:end", name)
			continue
		}
		shown = strings.Trim(strings.TrimSpace(shown), "`")
		if want, got := plain(strings.TrimPrefix(shown, "console\n")), plain(out.String()); got != want {
			t.Errorf("%s shows something else than the demo prints:\n--- shown\n%s\n--- printed\n%s", name, want, got)
		}
	}
}

var (
	age    = regexp.MustCompile(`\b\d+s$`)
	hash   = regexp.MustCompile(`\bworkload-demo-[0-9a-z]{6,10}\b`)
	spaces = regexp.MustCompile(` +`)
)

// plain takes out of a transcript what differs from run to run.
func plain(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	for i, line := range lines {
		line = age.ReplaceAllString(strings.TrimRight(line, " "), "AGE")
		lines[i] = spaces.ReplaceAllString(hash.ReplaceAllString(line, "workload-demo-HASH"), " ")
	}
	return strings.Join(lines, "\n")
}
