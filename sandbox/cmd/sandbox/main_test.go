// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"kruise.io/rollouts/sandbox"
)

// asCommand makes this binary be the command itself.
const asCommand = "SANDBOX_TEST_AS_COMMAND"

func TestMain(m *testing.M) {
	if os.Getenv(asCommand) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// newCommand is the command with arguments, on the state directory.
func newCommand(t *testing.T, dir string, args ...string) *exec.Cmd {
	t.Helper()
	executable, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), executable, append([]string{args[0], "--dir=" + dir}, args[1:]...)...)
	cmd.Env = append(os.Environ(), asCommand+"=1")
	return cmd
}

func run(t *testing.T, dir string, args ...string) string {
	t.Helper()
	out, err := newCommand(t, dir, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("sandbox %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

func TestDetached(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "state")
	t.Cleanup(func() { _ = sandbox.Remove(dir) })
	out := run(t, dir, "up", "--detach", "--nodes=2")
	if want := "export KUBECONFIG=" + filepath.Join(dir, "kubeconfig"); !strings.Contains(out, want) {
		t.Errorf("up says\n%s\nwant %q", out, want)
	}
	if out, err := newCommand(t, dir, "up", "--detach").CombinedOutput(); err == nil || !strings.Contains(string(out), "already running") {
		t.Errorf("up once more: %v\n%s", err, out)
	}
	if out := run(t, dir, "kubectl", "get", "nodes", "--output=name"); out != "node/sandbox-1\nnode/sandbox-2\n" {
		t.Errorf("kubectl says %q", out)
	}
	if out := run(t, dir, "status"); !strings.Contains(out, "ready, for") || !strings.Contains(out, "kube-scheduler:") {
		t.Errorf("status says\n%s", out)
	}
	if out, err := newCommand(t, dir, "curl", "http://10.244.0.1/").CombinedOutput(); err == nil || !strings.Contains(string(out), "--listeners") {
		t.Errorf("curl without listeners: %v\n%s", err, out)
	}
	run(t, dir, "down")
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the state directory after down: %v", err)
	}
	if out := run(t, dir, "down"); !strings.Contains(out, "no sandbox is running") {
		t.Errorf("down once more says %q", out)
	}
	for _, args := range [][]string{{"status"}, {"kubectl", "get", "pods"}} {
		if out, err := newCommand(t, dir, args...).CombinedOutput(); err == nil || !strings.Contains(string(out), "sandbox up") {
			t.Errorf("%s without a sandbox: %v\n%s", args[0], err, out)
		}
	}
}

func TestDetachedFailure(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "state")
	out, err := newCommand(t, dir, "up", "--detach", "--bin="+t.TempDir()).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "sandbox build") {
		t.Errorf("up without binaries: %v\n%s\nwant to be told what to do", err, out)
	}
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the state directory after a failure: %v", err)
	}
}

func TestInterrupted(t *testing.T) {
	t.Parallel()
	for name, line := range map[string]string{"while starting": "starting sandbox", "when ready": "Ctrl-C stops"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "state")
			t.Cleanup(func() { _ = sandbox.Remove(dir) })
			cmd := newCommand(t, dir, "up")
			both, writer, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			cmd.Stdout, cmd.Stderr = writer, writer
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			_ = writer.Close()
			scanner := bufio.NewScanner(both)
			for scanner.Scan() && !strings.Contains(scanner.Text(), line) {
			}
			if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
				t.Fatal(err)
			}
			var rest strings.Builder
			for scanner.Scan() {
				rest.WriteString(scanner.Text() + "\n")
			}
			if err := cmd.Wait(); (err == nil) != (name == "when ready") {
				t.Errorf("up ended with %v:\n%s", err, rest.String())
			}
			if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("the state directory after Ctrl-C: %v", err)
			}
		})
	}
}
