// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	// KubernetesVersion is the version of the control plane.
	KubernetesVersion = "v1.37.1"

	progressEvery = 10 * time.Second
	theBinary     = "controlplane"
)

// programs are the names that the one binary is called by.
var programs = []string{"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl"}

// buildFlags are always the same, so that the compiler's cache is of use. A server that does not know its version calls
// itself v0.0.0, which clients stumble over.
var buildFlags = []string{
	"-trimpath", "-buildvcs=false", "-ldflags", "-s -w -X k8s.io/component-base/version.gitVersion=" + KubernetesVersion +
		" -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=37",
}

// Build makes the control plane's binaries if they are not there yet, and returns the directory that holds them. It tells
// progress what it does: it is a matter of minutes the first time. Two builds at a time do not disturb each other: the
// second waits and finds the work done.
func Build(ctx context.Context, progress io.Writer) (string, error) {
	source, err := findSource()
	if err != nil {
		return "", err
	}
	key, err := contentKey(source)
	if err != nil {
		return "", err
	}
	cache, err := cacheDir()
	if err != nil {
		return "", err
	}
	all := filepath.Join(cache, "bin")
	bin := filepath.Join(all, key)
	if checkBin(bin) == nil {
		return bin, nil
	}
	if err := os.MkdirAll(all, 0o755); err != nil {
		return "", fmt.Errorf("making a directory for the binaries: %w", err)
	}
	unlock, err := lockBuild(ctx, filepath.Join(all, "lock"), progress)
	if err != nil {
		return "", err
	}
	defer unlock()
	if checkBin(bin) == nil { // somebody else has built it meanwhile
		return bin, nil
	}
	if err := compile(ctx, source, bin, progress); err != nil {
		return "", err
	}
	removeOld(all, key)
	return bin, nil
}

// checkBin says what is missing in a directory of binaries.
func checkBin(bin string) error {
	for _, name := range programs {
		if _, err := exec.LookPath(filepath.Join(bin, name)); err != nil {
			return fmt.Errorf("%s holds no program %s: build one with \"sandbox build\", or name a directory with %s: %w",
				bin, name, strings.Join(programs, ", "), err)
		}
	}
	return nil
}

// findSource finds the module that the control plane is built from: it is not compiled in, so this must run from a checkout.
func findSource() (string, error) {
	var starts []string
	if _, file, _, ok := runtime.Caller(0); ok && filepath.IsAbs(file) {
		starts = append(starts, filepath.Dir(file))
	}
	if wd, err := os.Getwd(); err == nil {
		starts = append(starts, wd)
	}
	if executable, err := os.Executable(); err == nil {
		starts = append(starts, filepath.Dir(executable))
	}
	for _, dir := range starts {
		for ; ; dir = filepath.Dir(dir) {
			for _, candidate := range []string{dir, filepath.Join(dir, "sandbox")} {
				source := filepath.Join(candidate, "cmd", theBinary)
				content, err := os.ReadFile(filepath.Join(source, "go.mod"))
				if err == nil && bytes.HasPrefix(content, []byte("module kruise.io/rollouts/sandbox/cmd/"+theBinary+"\n")) {
					return source, nil
				}
			}
			if dir == filepath.Dir(dir) {
				break
			}
		}
	}
	return "", errors.New("the control plane's source is not at hand: run this inside a checkout of the repository, " +
		"or set SANDBOX_BIN to a directory with " + strings.Join(programs, ", "))
}

// contentKey changes whenever the binary would.
func contentKey(source string) (string, error) {
	hash := sha256.New()
	for _, name := range []string{"go.mod", "go.sum", "main.go"} {
		content, err := os.ReadFile(filepath.Join(source, name))
		if err != nil {
			return "", fmt.Errorf("reading the control plane's source: %w", err)
		}
		_, _ = fmt.Fprintf(hash, "%s %d\n%s", name, len(content), content) // never fails
	}
	_, _ = fmt.Fprint(hash, buildFlags, runtime.GOARCH)
	return fmt.Sprintf("%x", hash.Sum(nil)[:8]), nil
}

// compile builds into a directory of another name first, so that a directory of the right name is always complete.
func compile(ctx context.Context, source, bin string, progress io.Writer) error {
	if _, err := exec.LookPath("go"); err != nil {
		return fmt.Errorf("building the control plane needs Go: install it from https://go.dev/dl, or set SANDBOX_BIN to a directory with %s: %w",
			strings.Join(programs, ", "), err)
	}
	unfinished := bin + ".unfinished"
	if err := os.RemoveAll(unfinished); err != nil {
		return fmt.Errorf("removing an unfinished build: %w", err)
	}
	if err := os.MkdirAll(unfinished, 0o755); err != nil {
		return fmt.Errorf("making a directory for the binaries: %w", err)
	}
	say(progress, "building the control plane (etcd, kube-apiserver, kube-controller-manager, kube-scheduler, kubectl %s) from its Go modules", KubernetesVersion)
	say(progress, "the first time this takes 5 to 11 minutes on two cores and about 3 GB of disk; after that it is there")
	if err := goBuild(ctx, source, filepath.Join(unfinished, theBinary), progress); err != nil {
		return err
	}
	for _, name := range programs {
		if err := os.Symlink(theBinary, filepath.Join(unfinished, name)); err != nil {
			return fmt.Errorf("linking %s: %w", name, err)
		}
	}
	if err := os.RemoveAll(bin); err != nil {
		return fmt.Errorf("removing an incomplete build: %w", err)
	}
	if err := os.Rename(unfinished, bin); err != nil {
		return fmt.Errorf("putting the binaries in their place: %w", err)
	}
	return nil
}

func goBuild(ctx context.Context, source, output string, progress io.Writer) error {
	began := time.Now()
	var total, compiled atomic.Int64
	var stage atomic.Value
	stage.Store("downloading modules")
	stop := make(chan struct{})
	var telling sync.WaitGroup
	telling.Go(func() {
		ticker := time.NewTicker(progressEvery)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				line := fmt.Sprintf("building the control plane: %s, %s", time.Since(began).Round(time.Second), stage.Load())
				if n := compiled.Load(); n > 0 {
					line += fmt.Sprintf(", %d of at most %d packages compiled", n, total.Load())
				}
				say(progress, "%s", line)
			case <-stop:
				return
			}
		}
	})
	defer telling.Wait()
	defer close(stop)

	list := goCommand(ctx, source, "list", "-deps", ".")
	var complaints bytes.Buffer
	list.Stderr = &complaints
	packages, err := list.Output()
	if err != nil {
		return fmt.Errorf("listing the control plane's packages: %w\n%s", err, complaints.String())
	}
	total.Store(int64(bytes.Count(packages, []byte("\n"))))
	stage.Store("compiling")

	build := goCommand(ctx, source, append(append([]string{"build", "-v"}, buildFlags...), "-o", output, ".")...)
	lines, err := build.StderrPipe()
	if err != nil {
		return fmt.Errorf("building the control plane: %w", err)
	}
	if err := build.Start(); err != nil {
		return fmt.Errorf("building the control plane: %w", err)
	}
	var said []string
	for scanner := bufio.NewScanner(lines); scanner.Scan(); {
		line := scanner.Text()
		if strings.ContainsAny(line, " #") { // a package's path has neither
			said = append(said, line)
			continue
		}
		compiled.Add(1)
		if strings.HasSuffix(line, "/cmd/"+theBinary) { // the last one: what follows is the linker
			stage.Store("linking")
		}
	}
	if err := build.Wait(); err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return fmt.Errorf("building the control plane: %w\n%s", err, strings.Join(said[max(0, len(said)-20):], "\n"))
	}
	say(progress, "the control plane is built, after %s", time.Since(began).Round(time.Second))
	return nil
}

// goCommand is a go command that ends with its children when ctx does.
func goCommand(ctx context.Context, dir string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOWORK=off") // this module stands alone
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = 5 * time.Second
	return cmd
}

// lockBuild waits for another build to end.
func lockBuild(ctx context.Context, path string, progress io.Writer) (func(), error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("locking the binaries: %w", err)
	}
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	var told time.Time
	for {
		err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { _ = file.Close() }, nil
		}
		if time.Since(told) >= progressEvery {
			told = time.Now()
			say(progress, "waiting for another build of the control plane to end")
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			_ = file.Close()
			return nil, fmt.Errorf("waiting for another build of the control plane: %w", context.Cause(ctx))
		}
	}
}

// removeOld removes binaries of other contents: each is 190 MB. What is in use stays in use until its process ends.
func removeOld(all, key string) {
	entries, err := os.ReadDir(all)
	if err != nil {
		return
	}
	for _, entry := range entries {
		info, err := entry.Info()
		if err != nil || !entry.IsDir() || entry.Name() == key || time.Since(info.ModTime()) < 7*24*time.Hour {
			continue
		}
		_ = os.RemoveAll(filepath.Join(all, entry.Name())) // the next build tries again
	}
}

// say tells a human about the progress, which is no reason to fail.
func say(progress io.Writer, format string, args ...any) {
	if progress != nil {
		_, _ = fmt.Fprintf(progress, format+"\n", args...)
	}
}
