// SPDX-License-Identifier: Apache-2.0

package product

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"kruise.io/rollouts/sandbox"
)

// shipped are the arguments the chart gives the manager.
var shipped = []string{"--leader-elect", "--v=4", "--feature-gates=AdvancedDeployment=true", "--feature-gates=RolloutHistory=false"}

// TestReplicas runs two managers as the chart does, with the permissions it ships: one leads, both are ready and serve
// admission, and when the leader is asked to end the other takes over.
func TestReplicas(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	c, err := sandbox.Start(ctx, sandbox.Options{Log: testLog{t}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Stop(); err != nil {
			t.Error(err)
		}
	})
	binaries := t.TempDir()
	if err := Build(ctx, binaries, testLog{t}, "manager"); err != nil {
		t.Fatal(err)
	}
	kubeconfig, err := Install(ctx, c)
	if err != nil {
		t.Fatal(err)
	}
	first := replica(ctx, t, binaries, kubeconfig)
	kube := kubernetes.NewForConfigOrDie(c.Config())
	leader := holder(ctx, t, kube, "")
	second := replica(ctx, t, binaries, kubeconfig)

	first.Stop()
	if code := first.cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("the leader ended with %d, want 0", code)
	}
	if next := holder(ctx, t, kube, leader); next == leader {
		t.Errorf("%s still leads", leader)
	}
	second.Stop()
	for _, m := range []*Manager{first, second} {
		log, err := os.ReadFile(m.Log)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(log)) {
			if strings.Contains(line, "orbidden") || strings.Contains(line, "panic") {
				t.Error(line)
			}
		}
	}
}

func replica(ctx context.Context, t *testing.T, binaries, kubeconfig string) *Manager {
	t.Helper()
	m, err := Start(ctx, binaries, kubeconfig, t.TempDir(), shipped...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Kill)
	return m
}

// holder waits until someone other than before holds the lease.
func holder(ctx context.Context, t *testing.T, kube kubernetes.Interface, before string) string {
	t.Helper()
	leases := kube.CoordinationV1().Leases(Namespace)
	w, err := leases.Watch(ctx, metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Stop()
	for e := range w.ResultChan() {
		lease, ok := e.Object.(*coordinationv1.Lease)
		if ok && lease.Spec.HolderIdentity != nil && *lease.Spec.HolderIdentity != "" && *lease.Spec.HolderIdentity != before {
			return *lease.Spec.HolderIdentity
		}
	}
	t.Fatal("nobody became the leader in time")
	return ""
}

// testLog writes progress to the test's log.
type testLog struct{ t *testing.T }

func (l testLog) Write(p []byte) (int, error) {
	l.t.Log(strings.TrimSpace(string(p)))
	return len(p), nil
}
