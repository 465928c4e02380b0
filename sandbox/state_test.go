// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// leftBehind makes a state directory as a crashed sandbox leaves it, with a process that outlived it.
func leftBehind(t *testing.T, change func(*identity)) (dir string, ended <-chan struct{}) {
	t.Helper()
	cmd := exec.Command("sleep", "1000")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(done)
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-done
	})
	id, err := identify("etcd", cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	change(&id)
	dir = filepath.Join(t.TempDir(), tempPrefix+"1")
	if err := os.MkdirAll(filepath.Join(dir, "pki"), 0o700); err != nil {
		t.Fatal(err)
	}
	// The supervisor's process id may be anybody's by now: here it is our own.
	state := State{Dir: dir, Supervisor: identity{PID: os.Getpid(), Start: 1}, Processes: []identity{id}}
	if err := state.write(); err != nil {
		t.Fatal(err)
	}
	return dir, done
}

func TestRemoveEndsWhatIsLeft(t *testing.T) {
	t.Parallel()
	dir, ended := leftBehind(t, func(*identity) {})
	if err := Remove(dir); err != nil {
		t.Fatal(err)
	}
	<-ended
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the state directory is still there: %v", err)
	}
	if err := Remove(dir); !errors.Is(err, ErrNotRunning) {
		t.Errorf("removing once more: %v, want %v", err, ErrNotRunning)
	}
}

func TestRemoveSparesStrangers(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*identity){
		"process id used again": func(id *identity) { id.Start-- },
		"from before a reboot":  func(id *identity) { id.Boot = "another" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir, ended := leftBehind(t, change)
			if err := Remove(dir); err != nil {
				t.Fatal(err)
			}
			select {
			case <-ended:
				t.Error("a process that is none of ours was ended")
			default:
			}
		})
	}
}

func TestSweep(t *testing.T) {
	t.Parallel()
	dir, ended := leftBehind(t, func(*identity) {})
	base := filepath.Dir(dir)
	starting, other := filepath.Join(base, tempPrefix+"2"), filepath.Join(base, "other")
	for _, keep := range []string{starting, other} {
		if err := os.Mkdir(keep, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	sweep(base)
	<-ended
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("what was left is still there: %v", err)
	}
	for _, keep := range []string{starting, other} {
		if _, err := os.Stat(keep); err != nil {
			t.Error(err)
		}
	}
}

func TestLockIsExclusive(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	lock, err := lockDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := lockDir(dir); err == nil || !strings.Contains(err.Error(), "sandbox down") {
		t.Errorf("locking twice: %v, want to be told what to do", err)
	}
	if err := lock.removeDir(); err != nil {
		t.Fatal(err)
	}
	again, err := lockDir(dir) // the old lock is on a file that is gone
	if err != nil {
		t.Fatal(err)
	}
	lock.unlock()
	again.unlock()
}

func TestStateDirRefusesPaths(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"", "..", "a/b", "A", "-a", strings.Repeat("a", 41)} {
		if dir, err := StateDir(name); err == nil {
			t.Errorf("the sandbox %q would be in %s, want it refused", name, dir)
		}
	}
}
