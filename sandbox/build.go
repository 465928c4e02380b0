// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
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
	// TraefikVersion is the version of the gateway.
	TraefikVersion = "v3.7.13"
	// KruiseVersion is the version of OpenKruise.
	KruiseVersion = "v1.8.3"
	// PrometheusVersion is the version of Prometheus.
	PrometheusVersion = "v0.316.0"

	progressEvery = 10 * time.Second
)

// binary is what one of the modules below cmd is built into. Each is a module of its own, so that its dependencies are
// nobody else's.
type binary struct {
	what     string   // is built, for people
	module   string   // its directory below cmd, its name, and that of the file it is built into
	cache    string   // directory below the cache directory that holds what was built
	main     string   // import path of the command; tool: the module's only one
	programs []string // names that the file is called by
	version  string
	cost     string // what the first build takes, for people
	env      []string
	flags    []string // always the same, so that the compiler's cache is of use
	// beside makes a file that belongs to the binary, from its module's folder; nil: none.
	beside func(ctx context.Context, folder, output string) error
	file   string // its name
}

var controlPlane = binary{
	what:     "the control plane",
	module:   "controlplane",
	cache:    "bin",
	main:     "kruise.io/rollouts/sandbox/cmd/controlplane",
	programs: []string{"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl"},
	version:  KubernetesVersion,
	cost:     "5 to 11 minutes on two cores and about 3 GB of disk",
	// A server that does not know its version calls itself v0.0.0, which clients stumble over.
	flags: []string{
		"-trimpath", "-buildvcs=false", "-ldflags", "-s -w -X k8s.io/component-base/version.gitVersion=" + KubernetesVersion +
			" -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=37",
	},
}

var gateway = binary{
	what:     "the gateway",
	module:   "gateway",
	cache:    "gateway",
	main:     "github.com/traefik/traefik/v3/cmd/traefik",
	programs: []string{"traefik"},
	version:  TraefikVersion,
	cost:     "3 to 10 minutes on two cores and about 3 GB of disk",
	env:      []string{"CGO_ENABLED=0"}, // as its makers build it
	flags: []string{
		"-trimpath", "-buildvcs=false", "-ldflags", "-s -w -X github.com/traefik/traefik/v3/pkg/version.Version=" + TraefikVersion,
	},
}

// Prometheus finds what it asks by its configuration alone here, so all else that would discover it is left out.
var prometheus = binary{
	what:     "Prometheus",
	module:   "prometheus",
	cache:    "prometheus",
	main:     "github.com/prometheus/prometheus/cmd/prometheus",
	programs: []string{"prometheus"},
	version:  PrometheusVersion,
	cost:     "2 to 5 minutes on two cores and about 1 GB of disk",
	env:      []string{"CGO_ENABLED=0"}, // as its makers build it
	flags:    []string{"-trimpath", "-buildvcs=false", "-ldflags", "-s -w", "-tags", "remove_all_sd"},
}

// openKruise needs kubectl for the objects that it works with.
func openKruise(kubectl string) binary {
	return binary{
		what:     "OpenKruise's manager",
		module:   "kruise",
		cache:    "kruise",
		main:     "tool",
		programs: []string{"kruise-manager"},
		version:  KruiseVersion,
		cost:     "3 to 8 minutes on two cores and about 2 GB of disk",
		env:      []string{"CGO_ENABLED=0"}, // as its makers build it
		flags:    []string{"-trimpath", "-buildvcs=false", "-ldflags", "-s -w"},
		file:     kruiseObjects,
		beside: func(ctx context.Context, folder, output string) error {
			return renderKruise(ctx, kubectl, folder, output)
		},
	}
}

// Build makes the control plane's binaries if they are not there yet, and returns the directory that holds them. It writes
// to progress what it does: it is a matter of minutes the first time. Two builds at a time do not disturb each other: the
// second waits and finds the work done.
func Build(ctx context.Context, progress io.Writer) (string, error) {
	return controlPlane.build(ctx, progress)
}

// BuildGateway does for the gateway (traefik) what Build does for the control plane.
func BuildGateway(ctx context.Context, progress io.Writer) (string, error) {
	return gateway.build(ctx, progress)
}

// BuildPrometheus does for Prometheus what Build does for the control plane. Where SANDBOX_BIN has one, there is nothing to build.
func BuildPrometheus(ctx context.Context, progress io.Writer) (string, error) {
	if bin := os.Getenv("SANDBOX_BIN"); bin != "" && prometheus.check(bin) == nil {
		return bin, nil
	}
	return prometheus.build(ctx, progress)
}

// BuildKruise does for OpenKruise's manager what Build does for the control plane, which it needs.
func BuildKruise(ctx context.Context, progress io.Writer) (string, error) {
	bin := os.Getenv("SANDBOX_BIN")
	if bin == "" {
		var err error
		if bin, err = Build(ctx, progress); err != nil {
			return "", err
		}
	}
	return openKruise(filepath.Join(bin, "kubectl")).build(ctx, progress)
}

func (b binary) build(ctx context.Context, progress io.Writer) (string, error) {
	source, err := b.findSource()
	if err != nil {
		return "", err
	}
	key, err := b.contentKey(source)
	if err != nil {
		return "", err
	}
	cache, err := cacheDir()
	if err != nil {
		return "", err
	}
	all := filepath.Join(cache, b.cache)
	bin := filepath.Join(all, key)
	if b.check(bin) == nil {
		return bin, nil
	}
	if err := os.MkdirAll(all, 0o755); err != nil {
		return "", fmt.Errorf("making a directory for the binaries: %w", err)
	}
	unlock, err := b.lock(ctx, filepath.Join(all, "lock"), progress)
	if err != nil {
		return "", err
	}
	defer unlock()
	if b.check(bin) == nil { // somebody else has built it meanwhile
		return bin, nil
	}
	if err := b.compile(ctx, source, bin, progress); err != nil {
		return "", err
	}
	removeOld(all, key)
	return bin, nil
}

// check says what is missing in a directory of binaries.
func (b binary) check(bin string) error {
	for _, name := range b.programs {
		if _, err := exec.LookPath(filepath.Join(bin, name)); err != nil {
			return fmt.Errorf("%s holds no program %s: build one with \"sandbox build\", or name a directory with %s: %w",
				bin, name, strings.Join(b.programs, ", "), err)
		}
	}
	if b.file == "" {
		return nil
	}
	if _, err := os.Stat(filepath.Join(bin, b.file)); err != nil {
		return fmt.Errorf("looking for what belongs to %s: %w", b.what, err)
	}
	return nil
}

// findSource finds the module: it is not compiled in, so this must run from a checkout.
func (b binary) findSource() (string, error) {
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
				source := filepath.Join(candidate, "cmd", b.module)
				content, err := os.ReadFile(filepath.Join(source, "go.mod"))
				if err == nil && bytes.HasPrefix(content, []byte("module kruise.io/rollouts/sandbox/cmd/"+b.module+"\n")) {
					return source, nil
				}
			}
			if dir == filepath.Dir(dir) {
				break
			}
		}
	}
	return "", fmt.Errorf("the source of %s is not at hand: run this inside a checkout of the repository, "+
		"or set SANDBOX_BIN to a directory with %s", b.what, strings.Join(b.programs, ", "))
}

// contentKey changes whenever the binary would.
func (b binary) contentKey(source string) (string, error) {
	hash := sha256.New()
	err := filepath.WalkDir(source, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !isSource(entry.Name()) {
			return err
		}
		name, err := filepath.Rel(source, path)
		if err != nil {
			return err
		}
		content, err := os.ReadFile(path)
		_, _ = fmt.Fprintf(hash, "%s %d\n%s", name, len(content), content) // never fails
		return err
	})
	if err != nil {
		return "", fmt.Errorf("reading the source of %s: %w", b.what, err)
	}
	_, _ = fmt.Fprint(hash, b.flags, runtime.GOARCH)
	_, _ = fmt.Fprint(hash, strings.Join(b.env, " "))
	return fmt.Sprintf("%x", hash.Sum(nil)[:8]), nil
}

func isSource(name string) bool {
	return name == "go.mod" || name == "go.sum" || filepath.Ext(name) == ".go"
}

// compile builds into a directory of another name first, so that a directory of the right name is always complete.
func (b binary) compile(ctx context.Context, source, bin string, progress io.Writer) error {
	if _, err := exec.LookPath("go"); err != nil {
		return fmt.Errorf("building %s needs Go: install it from https://go.dev/dl, or set SANDBOX_BIN to a directory with %s: %w",
			b.what, strings.Join(b.programs, ", "), err)
	}
	unfinished := bin + ".unfinished"
	if err := os.RemoveAll(unfinished); err != nil {
		return fmt.Errorf("removing an unfinished build: %w", err)
	}
	if err := os.MkdirAll(unfinished, 0o755); err != nil {
		return fmt.Errorf("making a directory for the binaries: %w", err)
	}
	say(progress, "building %s (%s %s) from its Go modules", b.what, strings.Join(b.programs, ", "), b.version)
	say(progress, "the first time this takes %s; after that it is there", b.cost)
	if err := b.goBuild(ctx, source, filepath.Join(unfinished, b.module), progress); err != nil {
		return err
	}
	for _, name := range b.programs {
		if name == b.module {
			continue
		}
		if err := os.Symlink(b.module, filepath.Join(unfinished, name)); err != nil {
			return fmt.Errorf("linking %s: %w", name, err)
		}
	}
	if b.beside != nil {
		folder, err := b.folder(ctx, source)
		if err != nil {
			return err
		}
		if err := b.beside(ctx, folder, filepath.Join(unfinished, b.file)); err != nil {
			return err
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

// folder is where the command's module is.
func (b binary) folder(ctx context.Context, source string) (string, error) {
	out, err := b.goCommand(ctx, source, "list", "-f", "{{.Module.Dir}}", b.main).Output()
	if err != nil {
		return "", fmt.Errorf("finding the module of %s: %w", b.what, err)
	}
	return strings.TrimSpace(string(out)), nil
}

func (b binary) goBuild(ctx context.Context, source, output string, progress io.Writer) error {
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
				line := fmt.Sprintf("building %s: %s, %s", b.what, time.Since(began).Round(time.Second), stage.Load())
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

	list := b.goCommand(ctx, source, "list", "-deps", b.main)
	var complaints bytes.Buffer
	list.Stderr = &complaints
	packages, err := list.Output()
	if err != nil {
		return fmt.Errorf("listing the packages of %s: %w\n%s", b.what, err, complaints.String())
	}
	total.Store(int64(bytes.Count(packages, []byte("\n"))))
	last := packages[bytes.LastIndexByte(bytes.TrimSpace(packages), '\n')+1:]
	stage.Store("compiling")

	build := b.goCommand(ctx, source, append(append([]string{"build", "-v"}, b.flags...), "-o", output, b.main)...)
	lines, err := build.StderrPipe()
	if err != nil {
		return fmt.Errorf("building %s: %w", b.what, err)
	}
	if err := build.Start(); err != nil {
		return fmt.Errorf("building %s: %w", b.what, err)
	}
	var said []string
	for scanner := bufio.NewScanner(lines); scanner.Scan(); {
		line := scanner.Text()
		if strings.ContainsAny(line, " #") { // a package's path has neither
			said = append(said, line)
			continue
		}
		compiled.Add(1)
		if line == string(bytes.TrimSpace(last)) { // what follows is the linker
			stage.Store("linking")
		}
	}
	if err := build.Wait(); err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return fmt.Errorf("building %s: %w\n%s", b.what, err, strings.Join(said[max(0, len(said)-20):], "\n"))
	}
	say(progress, "%s is built, after %s", b.what, time.Since(began).Round(time.Second))
	return nil
}

// goCommand is a go command that ends with its children when ctx does.
func (b binary) goCommand(ctx context.Context, dir string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = dir
	cmd.Env = append(append(os.Environ(), "GOWORK=off"), b.env...) // the module stands alone
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = 5 * time.Second
	return cmd
}

// lock waits for another build to end.
func (b binary) lock(ctx context.Context, path string, progress io.Writer) (func(), error) {
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
			say(progress, "waiting for another build of %s to end", b.what)
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			_ = file.Close()
			return nil, fmt.Errorf("waiting for another build of %s: %w", b.what, context.Cause(ctx))
		}
	}
}

// removeOld removes binaries of other contents: each is up to 190 MB. What is in use stays in use until its process ends.
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

// say reports progress to people, which is no reason to fail.
func say(progress io.Writer, format string, args ...any) {
	if progress != nil {
		_, _ = fmt.Fprintf(progress, format+"\n", args...)
	}
}
