// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

const (
	lockFile   = "lock"
	stateFile  = "state.json"
	detachFile = "up.log" // written by the process that started us, before we start
)

// State is what a sandbox lets other processes know of itself.
type State struct {
	Name       string    `json:"name"`
	Dir        string    `json:"dir"`
	Bin        string    `json:"bin"`
	Ready      bool      `json:"ready"`
	Started    time.Time `json:"started"`
	Server     string    `json:"server"`
	Kubeconfig string    `json:"kubeconfig"`
	Nodes      int       `json:"nodes"`
	// Proxy is the address of the HTTP proxy that reaches pods; empty without listeners.
	Proxy string `json:"proxy,omitempty"`
	// Namespace is the path of the pods' network namespace; empty without listeners.
	Namespace string `json:"namespace,omitempty"`
	// Gateway is where the gateway takes HTTP requests, inside of the pods' network; empty without a gateway.
	Gateway    string     `json:"gateway,omitempty"`
	Supervisor identity   `json:"supervisor"`
	Processes  []identity `json:"processes"`
}

// ErrNotRunning says that there is no sandbox in the directory.
var ErrNotRunning = errors.New("no sandbox is running here")

// Find reads the state of the sandbox that runs in dir. The error is ErrNotRunning when there is none.
func Find(dir string) (State, error) {
	state, err := readState(dir)
	if errors.Is(err, fs.ErrNotExist) || (err == nil && !state.Supervisor.alive()) {
		return state, ErrNotRunning
	}
	return state, err
}

// Remove stops the sandbox that runs in dir, or removes what a crashed one left there. The error is ErrNotRunning when
// there was nothing to do.
func Remove(dir string) error {
	state, err := readState(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return ErrNotRunning
	}
	if err != nil {
		return err
	}
	if state.Supervisor.alive() && state.Supervisor.PID != os.Getpid() {
		if err := syscall.Kill(state.Supervisor.PID, syscall.SIGTERM); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("stopping the sandbox (process %d): %w", state.Supervisor.PID, err)
		}
		if err := state.Supervisor.waitEnd(20 * time.Second); err != nil {
			if err := state.Supervisor.end(time.Second); err != nil {
				return err
			}
		}
	}
	lock, err := lockDir(dir)
	if err != nil {
		return err
	}
	defer lock.unlock()
	if err := clear(dir); err != nil {
		return err
	}
	return lock.removeDir()
}

// sweep removes what crashed sandboxes left in temporary directories. No one else would: such a directory is never used again.
func sweep(base string) {
	dirs, err := filepath.Glob(filepath.Join(base, tempPrefix+"*"))
	if err != nil {
		return
	}
	for _, dir := range dirs {
		if _, err := Find(dir); errors.Is(err, ErrNotRunning) {
			_ = Remove(dir) // it may be somebody else's, or just starting: then it stays
		}
	}
}

func readState(dir string) (State, error) {
	var state State
	content, err := os.ReadFile(filepath.Join(dir, stateFile))
	if err != nil {
		return state, fmt.Errorf("reading the sandbox's state: %w", err)
	}
	if err := json.Unmarshal(content, &state); err != nil {
		return state, fmt.Errorf("reading the sandbox's state: %w", err)
	}
	return state, nil
}

// write replaces the state at once: a reader sees the old one or the new one.
func (s State) write() error {
	content, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return fmt.Errorf("encoding the sandbox's state: %w", err)
	}
	path := filepath.Join(s.Dir, stateFile)
	if err := os.WriteFile(path+".new", content, 0o600); err != nil {
		return fmt.Errorf("writing the sandbox's state: %w", err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		return fmt.Errorf("writing the sandbox's state: %w", err)
	}
	return nil
}

// dirLock makes a state directory ours. The kernel releases it when we die.
type dirLock struct {
	dir  string
	file *os.File
}

// lockDir makes the directory, if need be, and locks it.
func lockDir(dir string) (*dirLock, error) {
	for {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, fmt.Errorf("making the state directory: %w", err)
		}
		path := filepath.Join(dir, lockFile)
		file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
		if errors.Is(err, fs.ErrNotExist) {
			continue // removed since
		}
		if err != nil {
			return nil, fmt.Errorf("locking the state directory: %w", err)
		}
		if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
			_ = file.Close()
			return nil, fmt.Errorf("a sandbox is already running in %s: stop it first (sandbox down), or choose another --name", dir)
		}
		mine, err1 := file.Stat()
		there, err2 := os.Stat(path)
		if err1 == nil && err2 == nil && os.SameFile(mine, there) {
			return &dirLock{dir: dir, file: file}, nil
		}
		_ = file.Close() // the one who had it removed the directory with it
	}
}

func (l *dirLock) unlock() { _ = l.file.Close() }

// removeDir removes the directory with the lock in it; the lock is to be released afterwards.
func (l *dirLock) removeDir() error {
	if err := os.RemoveAll(l.dir); err != nil {
		return fmt.Errorf("removing the state directory: %w", err)
	}
	return nil
}

// clear ends what a crashed sandbox left running and empties its directory, which the caller has locked. A directory that
// holds anything that is not a sandbox's is left alone.
func clear(dir string) error {
	state, err := readState(dir)
	switch {
	case err == nil:
		for _, process := range state.Processes {
			if err := process.end(10 * time.Second); err != nil {
				return err
			}
		}
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	known := err == nil
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("emptying the state directory: %w", err)
	}
	for _, entry := range entries {
		if entry.Name() == lockFile || entry.Name() == detachFile {
			continue
		}
		if !known {
			return fmt.Errorf("%s is no state directory of a sandbox: it holds %s; choose another directory", dir, entry.Name())
		}
		if entry.Name() == stateFile {
			continue // goes last: without it, the rest would look like somebody else's
		}
		if err := os.RemoveAll(filepath.Join(dir, entry.Name())); err != nil {
			return fmt.Errorf("emptying the state directory: %w", err)
		}
	}
	if err := os.Remove(filepath.Join(dir, stateFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("emptying the state directory: %w", err)
	}
	return nil
}
