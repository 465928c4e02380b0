// SPDX-License-Identifier: Apache-2.0

// Package product puts the product under test into a sandbox as its users do: it builds the binaries, applies
// config/install.yaml as shipped, and runs the manager with the permissions of its own ServiceAccount and no others.
package product

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"kruise.io/rollouts/sandbox"
)

// Names of what config/install.yaml installs.
const (
	Namespace      = "kruise-rollout"
	ServiceAccount = "kruise-rollout-controller-manager"
)

// Root is the directory of the product's module: the parent of the sandbox's.
func Root() (string, error) {
	_, file, _, ok := runtime.Caller(0)
	if ok && filepath.IsAbs(file) {
		return filepath.Dir(filepath.Dir(filepath.Dir(file))), nil
	}
	wd, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("finding the checkout: %w", err)
	}
	for dir := wd; dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "config", "install.yaml")); err == nil {
			return dir, nil
		}
	}
	return "", errors.New("finding the checkout: run this from inside of it")
}

// Build builds commands of the product (manager, kubectl-kruise) into dir, and writes to log what it does every few seconds.
func Build(ctx context.Context, dir string, log io.Writer, commands ...string) error {
	root, err := Root()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("making a directory for the binaries: %w", err)
	}
	began := time.Now()
	_, _ = fmt.Fprintln(log, "building", strings.Join(commands, " and "), "(a few minutes the first time)")
	done := make(chan error, 1)
	go func() {
		args := []string{"build", "-buildvcs=false", "-o", dir + string(filepath.Separator)}
		for _, command := range commands {
			args = append(args, "./cmd/"+command)
		}
		build := exec.CommandContext(ctx, "go", args...)
		build.Dir = root
		if out, err := build.CombinedOutput(); err != nil {
			done <- fmt.Errorf("building the product: %w\n%s", err, out)
			return
		}
		done <- nil
	}()
	tick := time.NewTicker(10 * time.Second)
	defer tick.Stop()
	for {
		select {
		case err := <-done:
			_, _ = fmt.Fprintf(log, "built in %s\n", time.Since(began).Round(100*time.Millisecond))
			return err
		case <-tick.C:
			_, _ = fmt.Fprintf(log, "still building, %s so far\n", time.Since(began).Round(time.Second))
		}
	}
}

// User is who the manager is to the API server.
func User() (name string, groups []string) { return sandbox.ServiceAccount(Namespace, ServiceAccount) }

// Install applies config/install.yaml to a cluster, and returns a kubeconfig with the permissions of the manager.
func Install(ctx context.Context, c *sandbox.Cluster) (kubeconfig string, err error) {
	root, err := Root()
	if err != nil {
		return "", err
	}
	apply := exec.CommandContext(ctx, filepath.Join(c.Bin(), "kubectl"),
		"--kubeconfig", c.Kubeconfig(), "apply", "--server-side", "-f", filepath.Join(root, "config", "install.yaml"))
	if out, err := apply.CombinedOutput(); err != nil {
		return "", fmt.Errorf("applying config/install.yaml: %w\n%s", err, out)
	}
	name, groups := User()
	return c.UserKubeconfig(name, groups...)
}
