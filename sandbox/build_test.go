// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"
)

func TestContentKey(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	keys := map[string]string{}
	for _, name := range []string{"go.mod", "go.sum", "main.go", "main.go", "unrelated.txt"} {
		if len(keys) == 0 {
			for _, file := range []string{"go.mod", "go.sum", "main.go"} {
				write(t, filepath.Join(dir, file), "")
			}
		}
		write(t, filepath.Join(dir, name), name)
		key, err := controlPlane.contentKey(dir)
		if err != nil {
			t.Fatal(err)
		}
		keys[key] = name
	}
	if len(keys) != 3 {
		t.Errorf("three changes gave the keys %v, want three", keys)
	}
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestCompile builds a program that takes no minutes, and shows that a failed build leaves nothing that looks like a build.
func TestCompile(t *testing.T) {
	t.Parallel()
	source, bin := t.TempDir(), filepath.Join(t.TempDir(), "key")
	write(t, filepath.Join(source, "go.mod"), "module "+controlPlane.main+"\n\ngo 1.26.0\n")
	write(t, filepath.Join(source, "main.go"), "package main\n\nfunc main() { undefined() }\n")
	var said bytes.Buffer
	err := controlPlane.compile(t.Context(), source, bin, &said)
	if err == nil || !strings.Contains(err.Error(), "undefined: undefined") {
		t.Errorf("building what does not build: %v, want the compiler's words", err)
	}
	if err := controlPlane.check(bin); err == nil {
		t.Error("a failed build looks like a build")
	}

	write(t, filepath.Join(source, "main.go"), "package main\n\nfunc main() {}\n")
	if err := controlPlane.compile(t.Context(), source, bin, &said); err != nil {
		t.Fatal(err)
	}
	if err := controlPlane.check(bin); err != nil {
		t.Error(err)
	}
	if !strings.Contains(said.String(), "is built") {
		t.Errorf("the progress was %q", said.String())
	}

	own := prometheus // its only program is called as its module is
	own.main, own.flags = controlPlane.main, nil
	if err := own.compile(t.Context(), source, bin+"-own", &said); err != nil {
		t.Fatal(err)
	}
	if err := own.check(bin + "-own"); err != nil {
		t.Error(err)
	}
}

func TestBuildCanBeStopped(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	source := t.TempDir()
	write(t, filepath.Join(source, "go.mod"), "module "+controlPlane.main+"\n\ngo 1.26.0\n")
	write(t, filepath.Join(source, "main.go"), "package main\n\nfunc main() {}\n")
	if err := controlPlane.compile(ctx, source, filepath.Join(t.TempDir(), "key"), nil); !errors.Is(err, context.Canceled) {
		t.Errorf("a stopped build: %v, want %v", err, context.Canceled)
	}
}

func TestFindSource(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		binary binary
		module string
	}{
		{controlPlane, "k8s.io/kubernetes " + KubernetesVersion},
		{gateway, "github.com/traefik/traefik/v3 " + TraefikVersion},
		{prometheus, "github.com/prometheus/prometheus " + PrometheusVersion},
		// A program that is built and run, never a package that is imported: no source file quotes its import path.
		{openKruise("kubectl"), path.Join("github.com", "openkruise", "kruise") + " " + KruiseVersion},
	} {
		source, err := test.binary.findSource()
		if err != nil {
			t.Fatal(err)
		}
		content, err := os.ReadFile(filepath.Join(source, "go.mod"))
		if err != nil || !strings.Contains(string(content), "\t"+test.module) {
			t.Errorf("%s is not built from %s (%v)", test.binary.what, test.module, err)
		}
	}
}
