// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// Users of the control plane itself. Their calls are not in the audit log.
const (
	controllerManagerUser = "system:kube-controller-manager"
	schedulerUser         = "system:kube-scheduler"
	agentUser             = "sandbox:node-agent"
	gatewayUser           = "sandbox:gateway"
	playedUser            = "sandbox:kruise"
	kruiseUser            = "system:serviceaccount:kruise-system:kruise-manager"
	adminUser             = "sandbox:admin"
	ownerGroup            = "system:masters"
)

// auditPolicy logs who asked for what, once when it is answered, and a watch also when it begins.
const auditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: None
  users: ["` + controllerManagerUser + `", "` + schedulerUser + `", "` + agentUser + `", "` + gatewayUser + `", "` + playedUser + `", "` + kruiseUser + `", "system:apiserver"]
- level: None
  nonResourceURLs: ["/healthz*", "/livez*", "/readyz*"]
- level: Metadata
`

// The controllers left out would miss kubelets (heartbeats, volumes) or a cloud.
var withoutControllers = []string{
	"node-lifecycle-controller", "node-ipam-controller", "taint-eviction-controller", "device-taint-eviction-controller",
	"persistentvolume-attach-detach-controller", "persistentvolume-expander-controller", "ttl-controller",
	"resourceclaim-controller", "certificatesigningrequest-cleaner-controller",
}

// schedulerConfig takes every brake off: the scheduler must not be what a benchmark measures.
const schedulerConfig = `apiVersion: kubescheduler.config.k8s.io/v1
kind: KubeSchedulerConfiguration
leaderElection: {leaderElect: false}
clientConnection: {kubeconfig: %q, qps: 1000, burst: 2000}
enableProfiling: false
`

func etcdArgs(dir string, client, peer port) []string {
	return []string{
		"--name=sandbox", "--data-dir=" + filepath.Join(dir, "etcd"), "--unsafe-no-fsync", "--log-level=warn",
		"--listen-client-urls=http://" + client.address(), "--advertise-client-urls=http://" + client.address(),
		"--listen-peer-urls=http://" + peer.address(), "--initial-advertise-peer-urls=http://" + peer.address(),
		"--initial-cluster=sandbox=http://" + peer.address(), "--socket-reuse-port",
		"--heartbeat-interval=20", "--election-timeout=200", // a cluster of one need not wait long for itself
		"--quota-backend-bytes=8589934592",
	}
}

func apiserverArgs(dir string, etcd, secure port, options Options) []string {
	credential := func(name string) string { return filepath.Join(dir, "pki", name) }
	args := []string{
		"--etcd-servers=http://" + etcd.address(),
		"--bind-address=127.0.0.1", "--advertise-address=127.0.0.1", fmt.Sprintf("--secure-port=%d", secure.number),
		"--permit-port-sharing", "--endpoint-reconciler-type=none", "--service-cluster-ip-range=10.96.0.0/16",
		"--tls-cert-file=" + credential("apiserver.crt"), "--tls-private-key-file=" + credential("apiserver.key"),
		"--client-ca-file=" + credential("ca.crt"), "--authorization-mode=RBAC",
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-key-file=" + credential("accounts.pub"),
		"--service-account-signing-key-file=" + credential("accounts.key"),
		"--disable-admission-plugins=TaintNodesByCondition", // nobody would take the taint of a new node away again
		"--allow-privileged",
		"--kubelet-preferred-address-types=Hostname", // so that kubectl logs fails at once: no one is at a node's address
		"--enable-priority-and-fairness=false", "--max-requests-inflight=0", "--max-mutating-requests-inflight=0",
		"--profiling=false",
	}
	if len(options.Admission) > 0 {
		args = append(args, "--enable-admission-plugins="+strings.Join(options.Admission, ","))
	}
	if !options.NoAudit {
		args = append(args, "--audit-policy-file="+filepath.Join(dir, "audit-policy.yaml"),
			"--audit-log-path="+filepath.Join(dir, "audit.log"), "--audit-log-maxsize=0")
	}
	return args
}

func controllerManagerArgs(dir string) []string {
	return []string{
		"--kubeconfig=" + filepath.Join(dir, "controller-manager.kubeconfig"), "--secure-port=0", "--leader-elect=false",
		"--root-ca-file=" + filepath.Join(dir, "pki", "ca.crt"),
		"--service-account-private-key-file=" + filepath.Join(dir, "pki", "accounts.key"),
		"--controllers=*,-" + strings.Join(withoutControllers, ",-"),
		"--kube-api-qps=1000", "--kube-api-burst=2000", "--profiling=false",
		"--concurrent-deployment-syncs=40", "--concurrent-replicaset-syncs=40", "--concurrent-statefulset-syncs=20",
		"--concurrent-daemonset-syncs=20", "--concurrent-job-syncs=20", "--concurrent-endpoint-syncs=20",
		"--concurrent-service-endpoint-syncs=20", "--concurrent-gc-syncs=40", "--concurrent-namespace-syncs=20",
		"--concurrent-horizontal-pod-autoscaler-syncs=20",
		"--pv-recycler-pod-template-filepath-nfs=", "--enable-dynamic-provisioning=false",
	}
}

// writeConfigs writes the files that the arguments name.
func (c *Cluster) writeConfigs() error {
	if err := os.Mkdir(filepath.Join(c.dir, "pki"), 0o700); err != nil {
		return fmt.Errorf("making a directory: %w", err)
	}
	if err := c.authority.writeServerCredentials(filepath.Join(c.dir, "pki")); err != nil {
		return err
	}
	for file, content := range map[string]string{
		"audit-policy.yaml": auditPolicy,
		"scheduler.yaml":    fmt.Sprintf(schedulerConfig, filepath.Join(c.dir, "scheduler.kubeconfig")),
	} {
		if err := os.WriteFile(filepath.Join(c.dir, file), []byte(content), 0o600); err != nil {
			return fmt.Errorf("writing %s: %w", file, err)
		}
	}
	for file, user := range map[string]string{
		"kubeconfig":                    adminUser,
		"controller-manager.kubeconfig": controllerManagerUser,
		"scheduler.kubeconfig":          schedulerUser,
	} {
		config, err := c.authority.config(c.server(), user, []string{ownerGroup})
		if err != nil {
			return err
		}
		if err := writeKubeconfig(filepath.Join(c.dir, file), "sandbox-"+c.name, config); err != nil {
			return err
		}
	}
	return nil
}

// startControlPlane starts the four processes and returns when the API server answers and pods can be created. It does so
// in this order because the controller manager and the scheduler give up on an API server that is not there.
func (c *Cluster) startControlPlane(ctx context.Context, etcd, peer, secure port, options Options) error {
	if err := c.run("etcd", etcdArgs(c.dir, etcd, peer)...); err != nil {
		return err
	}
	if err := c.run("kube-apiserver", apiserverArgs(c.dir, etcd, secure, options)...); err != nil {
		return err
	}
	client, err := kubernetes.NewForConfig(c.Config())
	if err != nil {
		return fmt.Errorf("making a client: %w", err)
	}
	if err := c.wait(ctx, "the API server to be ready", func() error {
		return client.Discovery().RESTClient().Get().AbsPath("/readyz").Timeout(5 * time.Second).Do(ctx).Error()
	}); err != nil {
		return err
	}
	c.logf("API server ready after %s", c.since())
	if err := c.run("kube-controller-manager", controllerManagerArgs(c.dir)...); err != nil {
		return err
	}
	if err := c.run("kube-scheduler", "--config="+filepath.Join(c.dir, "scheduler.yaml"), "--secure-port=0"); err != nil {
		return err
	}
	return nil
}

// waitControllers waits until pods can be created: without its service account, a pod is refused.
func (c *Cluster) waitControllers(ctx context.Context) error {
	client, err := kubernetes.NewForConfig(c.Config())
	if err != nil {
		return fmt.Errorf("making a client: %w", err)
	}
	return c.wait(ctx, "the controllers to work", func() error {
		_, err := client.CoreV1().ServiceAccounts("default").Get(ctx, "default", metav1.GetOptions{})
		return err
	})
}

// wait tries until there is no error, or one of our processes ends, or ctx does.
func (c *Cluster) wait(ctx context.Context, what string, try func() error) error {
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for {
		err := try()
		if err == nil {
			return nil
		}
		select {
		case <-ticker.C:
		case <-c.failed:
			return c.failure
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s: %w (last answer: %w)", what, context.Cause(ctx), err)
		}
	}
}
