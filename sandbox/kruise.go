// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// Whose controllers OpenKruise's kinds have.
const (
	realKruise   = "OpenKruise"
	playedKruise = "the sandbox's own controllers of OpenKruise's kinds"
)

// Names that OpenKruise's makers give to what they install.
const (
	kruiseNamespace = "kruise-system"
	kruiseAccount   = "kruise-manager"
)

// InstallKruise installs OpenKruise, built from its own module, and runs its manager with its webhooks until the sandbox is
// stopped. It returns when the kinds are served and the webhooks answer. Should the manager have to be built, that takes
// minutes: see BuildKruise. To call it again does no harm.
func (c *Cluster) InstallKruise(ctx context.Context) error {
	return c.installKruise(realKruise, func() error {
		dir, err := openKruise(filepath.Join(c.bin, "kubectl")).build(ctx, c.log)
		if err != nil {
			return err
		}
		return c.startKruise(ctx, dir)
	})
}

// installKruise installs one of the two, once.
func (c *Cluster) installKruise(which string, install func() error) error {
	c.installing.Lock()
	defer c.installing.Unlock()
	c.mu.Lock()
	stopping := c.stopping
	c.mu.Unlock()
	switch {
	case stopping:
		return fmt.Errorf("installing %s: the sandbox is being stopped", which)
	case c.kruise == which:
		return nil
	case c.kruise != "":
		return fmt.Errorf("installing %s: the sandbox has %s", which, c.kruise)
	}
	if err := install(); err != nil {
		return err
	}
	c.kruise = which
	return nil
}

// startKruise installs the objects, runs the manager and returns when its webhooks answer.
func (c *Cluster) startKruise(ctx context.Context, dir string) error {
	certificates := filepath.Join(c.dir, "kruise-certificates")
	if err := os.MkdirAll(certificates, 0o700); err != nil {
		return fmt.Errorf("making a directory for OpenKruise's certificates: %w", err)
	}
	ports := [3]port{}
	for i := range ports {
		p, err := lendPort()
		if err != nil {
			return err
		}
		c.mu.Lock()
		c.ports = append(c.ports, p)
		c.mu.Unlock()
		ports[i] = p
	}
	webhook, metrics, health := ports[0], ports[1], ports[2]
	objects, err := admitting(filepath.Join(dir, kruiseObjects), webhook)
	if err != nil {
		return err
	}
	if err := c.kubectl(ctx, objects, "apply", "--server-side", "--filename=-"); err != nil {
		return fmt.Errorf("installing OpenKruise: %w", err)
	}
	user, groups := ServiceAccount(kruiseNamespace, kruiseAccount)
	kubeconfig, err := c.UserKubeconfig(user, groups...)
	if err != nil {
		return err
	}
	cmd := exec.Command(filepath.Join(dir, "kruise-manager"), "--enable-leader-election=false", "--enable-pprof=false",
		"--metrics-addr="+metrics.address(), "--health-probe-addr="+health.address(),
		"--rest-config-qps=1000", "--rest-config-burst=2000")
	cmd.Env = []string{
		"KUBECONFIG=" + kubeconfig, "HOME=" + c.dir, "TMPDIR=" + c.dir, "POD_NAMESPACE=" + kruiseNamespace, "POD_NAME=" + kruiseAccount,
		// With a host it writes URLs into its webhooks and CRDs, in place of its Service, which nothing routes here.
		"WEBHOOK_HOST=127.0.0.1", fmt.Sprintf("WEBHOOK_PORT=%d", webhook.number), "WEBHOOK_CERT_DIR=" + certificates,
	}
	if err := c.supervise("kruise-manager", cmd, func(start func() error) error { return start() }); err != nil {
		return err
	}
	asking := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 5 * time.Second}
	if err := c.wait(ctx, "OpenKruise to be ready", func() error { return ready(ctx, asking, "http://"+health.address()+"/readyz") }); err != nil {
		return err
	}
	return c.waitAdmission(ctx)
}

// admitted are workloads that are accepted only once the webhooks for defaults and for conversion are called.
const admitted = `{apiVersion: apps.kruise.io/v1alpha1, kind: CloneSet, metadata: {name: admitted, namespace: default}, spec: {
  selector: {matchLabels: {app: web}}, template: {metadata: {labels: {app: web}}, spec: {containers: [{name: main, image: web}]}}}}
---
{apiVersion: apps.kruise.io/v1alpha1, kind: StatefulSet, metadata: {name: admitted, namespace: default}, spec: {
  selector: {matchLabels: {app: web}}, template: {metadata: {labels: {app: web}}, spec: {containers: [{name: main, image: web}]}}}}
---
{apiVersion: apps.kruise.io/v1alpha1, kind: DaemonSet, metadata: {name: admitted, namespace: default}, spec: {
  selector: {matchLabels: {app: web}}, template: {metadata: {labels: {app: web}}, spec: {containers: [{name: main, image: web}]}},
  updateStrategy: {type: RollingUpdate, rollingUpdate: {maxUnavailable: 1}}}}
`

// waitAdmission waits until workloads are served, and changed when they are written.
func (c *Cluster) waitAdmission(ctx context.Context) error {
	return c.wait(ctx, "OpenKruise's kinds to be served and admitted", func() error {
		out, err := c.kubectlOutput(ctx, []byte(admitted), "create", "--dry-run=server", "--output=json", "--filename=-")
		if err != nil {
			return err
		}
		if !bytes.Contains(out, []byte(`"podUpdatePolicy"`)) {
			return errors.New("what is written is not changed yet")
		}
		return nil
	})
}

func ready(ctx context.Context, asking http.Client, url string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return fmt.Errorf("asking %s: %w", url, err)
	}
	answer, err := asking.Do(request)
	if err != nil {
		return fmt.Errorf("asking %s: %w", url, err)
	}
	_ = answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s", url, answer.Status)
	}
	return nil
}
