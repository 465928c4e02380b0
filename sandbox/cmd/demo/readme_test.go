// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"kruise.io/rollouts/sandbox"
	"kruise.io/rollouts/sandbox/product"
)

var update = flag.Bool("update", false, "write what the demo prints into the READMEs")

const begin, end = "<!-- demo:begin -->", "<!-- demo:end -->"

// TestREADME plays the demo and compares what it prints with what the READMEs show. Ages, hashes, addresses and
// what is measured differ every time; the demo itself fails where a request is lost.
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
		path := filepath.Join(root, name)
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		before, rest, _ := strings.Cut(string(content), begin)
		shown, after, found := strings.Cut(rest, end)
		if !found {
			t.Errorf("%s has no block between %s and %s", name, begin, end)
			continue
		}
		if *update {
			block := before + begin + "\n```console\n" + strings.TrimSpace(out.String()) + "\n```\n" + end + after
			if err := os.WriteFile(path, []byte(block), 0o600); err != nil {
				t.Fatal(err)
			}
			continue
		}
		shown = strings.TrimPrefix(strings.Trim(strings.TrimSpace(shown), "`"), "console\n")
		if want, got := plain(shown), plain(out.String()); got != want {
			t.Errorf("%s shows something else than the demo prints (make readme):\n--- shown\n%s\n--- printed\n%s", name, want, got)
		}
	}
}

var (
	age      = regexp.MustCompile(`\b\d+s\b`)
	seconds  = regexp.MustCompile(`-?\b\d+\.\d s\b`)
	rates    = regexp.MustCompile(`of the (new version|stable one) [\d.]+% of \d+`)
	readings = regexp.MustCompile(`. (compare-\w+) +step .*`)
	hash     = regexp.MustCompile(`\b(workload-demo|echoserver)-[0-9bcdf-hj-np-tv-z]{5,10}\b`)
	address  = regexp.MustCompile(`\b10\.\d+\.\d+\.\d+\b`)
	measured = regexp.MustCompile(`measured.*|^\d+ requests.*|step \d+: \d+ requests.*`)
	spaces   = regexp.MustCompile(` +`)
)

// plain takes out of a transcript what differs from run to run.
func plain(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	for i, line := range lines {
		line = age.ReplaceAllString(strings.TrimRight(line, " "), "AGE")
		line = measured.ReplaceAllString(address.ReplaceAllString(hash.ReplaceAllString(line, "$1-HASH"), "ADDRESS"), "MEASURED")
		line = readings.ReplaceAllString(rates.ReplaceAllString(seconds.ReplaceAllString(line, "TIME"), "of the $1 MEASURED"), "$1 MEASURED")
		lines[i] = spaces.ReplaceAllString(line, " ")
	}
	return strings.Join(lines, "\n")
}
