// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// process is a child. It dies with this process, however that ends.
type process struct {
	name string
	cmd  *exec.Cmd
	log  string // file with all it wrote
	done chan struct{}
	err  error // why it ended; to be read when done

	dismissed atomic.Bool // it is ended on purpose
}

// starting is where children are started: the kernel takes a child for an orphan when the thread that started it ends, not
// the process, so this must be a thread that never ends.
var starting = sync.OnceValue(func() chan<- func() {
	work := make(chan func())
	go func() {
		runtime.LockOSThread()
		for f := range work {
			f()
		}
	}()
	return work
})

// startProcess starts a command in a process group of its own, out of reach of the terminal's Ctrl-C: it is for us to stop
// children in order. Its log is in dir. It is started by enter, which may take the thread somewhere first.
func startProcess(name string, cmd *exec.Cmd, dir string, enter func(func() error) error) (*process, error) {
	p := &process{name: name, cmd: cmd, log: filepath.Join(dir, name+".log"), done: make(chan struct{})}
	log, err := os.Create(p.log)
	if err != nil {
		return nil, fmt.Errorf("starting %s: %w", name, err)
	}
	defer func() { _ = log.Close() }() // the child has its own
	p.cmd.Dir = dir
	p.cmd.Args[0] = name // one binary is many programs, by the name they are called by
	p.cmd.Stdout, p.cmd.Stderr = log, log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	started := make(chan error)
	starting() <- func() { started <- enter(p.cmd.Start) }
	if err := <-started; err != nil {
		return nil, fmt.Errorf("starting %s: %w", name, err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

// failure says how the process ended, and its last words.
func (p *process) failure() error {
	reason := "exit status 0"
	if p.err != nil {
		reason = p.err.Error()
	}
	return fmt.Errorf("%s ended: %s; the end of %s:\n%s", p.name, reason, p.log, lastLines(p.log, 8))
}

// kill ends the process and its children and waits for it. What it held is thrown away, so there is nothing to be said
// for asking politely.
func (p *process) kill() {
	_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL) // it may have ended
	<-p.done
}

func lastLines(path string, n int) string {
	content, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(content)), "\n")
	return "  " + strings.Join(lines[max(0, len(lines)-n):], "\n  ")
}

// identity distinguishes a process from every other that ever had its id.
type identity struct {
	Name  string `json:"name"`
	PID   int    `json:"pid"`
	Start uint64 `json:"start"` // in clock ticks since boot
	Boot  string `json:"boot"`
}

func identify(name string, pid int) (identity, error) {
	start, _, err := readStat(pid)
	if err != nil {
		return identity{}, err
	}
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return identity{}, fmt.Errorf("reading the boot id: %w", err)
	}
	return identity{Name: name, PID: pid, Start: start, Boot: strings.TrimSpace(string(boot))}, nil
}

// alive reports whether this very process still runs.
func (id identity) alive() bool {
	now, err := identify(id.Name, id.PID)
	if err != nil || now != id {
		return false
	}
	_, state, err := readStat(id.PID)
	return err == nil && state != 'Z' && state != 'X'
}

// end makes sure that the process does not run any more. It never touches another process that got its id.
func (id identity) end(patience time.Duration) error {
	if !id.alive() {
		return nil
	}
	handle, err := os.FindProcess(id.PID) // holds on to the process, not to its number, where the kernel can
	if err != nil || !id.alive() {
		return nil
	}
	defer func() { _ = handle.Release() }()
	if err := handle.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("ending %s (process %d): %w", id.Name, id.PID, err)
	}
	return id.waitEnd(patience)
}

// waitEnd waits until the process has ended.
func (id identity) waitEnd(patience time.Duration) error {
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	ticker := time.NewTicker(5 * time.Millisecond) // the kernel shows only parents
	defer ticker.Stop()
	for id.alive() {
		select {
		case <-ticker.C:
		case <-deadline.C:
			return fmt.Errorf("%s (process %d) does not end", id.Name, id.PID)
		}
	}
	return nil
}

// readStat reads a process's start time and state.
func readStat(pid int) (start uint64, state byte, err error) {
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, 0, fmt.Errorf("looking at process %d: %w", pid, err)
	}
	_, rest, _ := bytes.Cut(content, []byte(") ")) // a name with such a bracket would only make it look dead
	fields := strings.Fields(string(rest))
	if len(fields) < 20 {
		return 0, 0, fmt.Errorf("looking at process %d: unknown format", pid)
	}
	start, err = strconv.ParseUint(fields[19], 10, 64)
	return start, fields[0][0], err
}
