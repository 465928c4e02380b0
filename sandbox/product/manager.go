// SPDX-License-Identifier: Apache-2.0

package product

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Manager is a manager that runs outside of the cluster's pods.
type Manager struct {
	Metrics string // URL of its metrics
	Log     string // file it logs to

	probe string // URL of /readyz
	cmd   *exec.Cmd
	done  chan struct{}
}

// Usage is what a manager has used up to its end.
type Usage struct {
	CPU    time.Duration
	Memory int64 // peak resident set, bytes
}

// Start starts the manager of binaries with a kubeconfig, and returns once it is ready: caches synced, admission served.
// Its state is kept in dir.
func Start(ctx context.Context, binaries, kubeconfig, dir string, args ...string) (*Manager, error) {
	m, err := Launch(binaries, kubeconfig, dir, args...)
	if err != nil {
		return nil, err
	}
	if err := m.Ready(ctx); err != nil {
		m.Stop()
		return nil, fmt.Errorf("%w; it logged to %s", err, m.Log)
	}
	return m, nil
}

// Launch starts the manager, and does not wait for it to be ready.
func Launch(binaries, kubeconfig, dir string, args ...string) (*Manager, error) {
	ports, err := freePorts(3)
	if err != nil {
		return nil, err
	}
	log, err := os.Create(filepath.Join(dir, "manager.log"))
	if err != nil {
		return nil, fmt.Errorf("making the manager's log: %w", err)
	}
	defer log.Close()
	m := &Manager{
		Metrics: "http://127.0.0.1:" + ports[1] + "/metrics", Log: log.Name(),
		probe: "http://127.0.0.1:" + ports[2] + "/readyz", done: make(chan struct{}),
	}
	args = append([]string{
		"--kubeconfig", kubeconfig, "--webhook-bind-address", "127.0.0.1",
		"--metrics-bind-address", "127.0.0.1:" + ports[1], "--health-probe-bind-address", "127.0.0.1:" + ports[2],
	}, args...)
	m.cmd = exec.Command(filepath.Join(binaries, "manager"), args...) //nolint:gosec,noctx // a binary we built; Stop ends it
	m.cmd.Env = append(os.Environ(), "POD_NAMESPACE="+Namespace, "WEBHOOK_HOST=localhost", "WEBHOOK_PORT="+ports[0])
	m.cmd.Stdout, m.cmd.Stderr = log, log
	m.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	if err := m.run(); err != nil {
		return nil, fmt.Errorf("starting the manager: %w", err)
	}
	return m, nil
}

// run starts the process. The kernel takes a child for an orphan when the thread that started it ends, not the process, so
// this one waits for the child.
func (m *Manager) run() error {
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := m.cmd.Start()
		started <- err
		if err == nil {
			_ = m.cmd.Wait()
			close(m.done)
		}
	}()
	return <-started
}

// Ready waits until the manager is.
func (m *Manager) Ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		ready, why := m.Probe(ctx)
		if ready {
			return nil
		}
		select {
		case <-m.done:
			return fmt.Errorf("the manager ended before it was ready: %s", m.cmd.ProcessState)
		case <-ctx.Done():
			return fmt.Errorf("waiting for the manager to be ready: %w: %s", ctx.Err(), why)
		case <-tick.C:
		}
	}
}

// Probe asks whether the manager is ready, and what it says about it.
func (m *Manager) Probe(ctx context.Context) (ready bool, said string) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, m.probe, nil)
	if err != nil {
		return false, err.Error()
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return false, err.Error()
	}
	defer answer.Body.Close()
	body, _ := io.ReadAll(answer.Body)
	return answer.StatusCode == http.StatusOK, string(body)
}

// Kill ends the manager as a crash would.
func (m *Manager) Kill() {
	_ = m.cmd.Process.Kill()
	<-m.done
}

// Stop asks the manager to end, waits for it, and returns what it has used.
func (m *Manager) Stop() Usage {
	_ = m.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-m.done:
	case <-time.After(15 * time.Second):
		m.Kill()
	}
	u := Usage{CPU: m.cmd.ProcessState.UserTime() + m.cmd.ProcessState.SystemTime()}
	if r, ok := m.cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		u.Memory = r.Maxrss * 1024 // Linux counts KiB
	}
	return u
}

// ExitCode is with what a manager has ended; it is -1 while it runs, and after a signal.
func (m *Manager) ExitCode() int { return m.cmd.ProcessState.ExitCode() }

// CPU is the processor time that a running manager has used so far, to the hundredth of a second.
func (m *Manager) CPU() time.Duration {
	stat, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(m.cmd.Process.Pid), "stat"))
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	const utime, stime, perSecond = 11, 12, 100 // after the name; proc(5)
	user, _ := strconv.Atoi(fields[utime])
	system, _ := strconv.Atoi(fields[stime])
	return time.Duration(user+system) * time.Second / perSecond
}

// Resident is how much memory a running manager has now, in bytes.
func (m *Manager) Resident() int64 {
	statm, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(m.cmd.Process.Pid), "statm"))
	if err != nil {
		return 0
	}
	pages := int64(0)
	if fields := strings.Fields(string(statm)); len(fields) > 1 { // size, resident; proc(5)
		pages, _ = strconv.ParseInt(fields[1], 10, 64)
	}
	return pages * int64(os.Getpagesize())
}

// freePorts finds ports of the loopback address that no one listens on.
func freePorts(n int) ([]string, error) {
	var ports []string
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // it returns at once
		if err != nil {
			return nil, fmt.Errorf("finding a free port: %w", err)
		}
		defer l.Close()
		ports = append(ports, strconv.Itoa(l.Addr().(*net.TCPAddr).Port)) //nolint:forcetypeassert // a TCP listener has no other address
	}
	return ports, nil
}
