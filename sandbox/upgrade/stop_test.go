// SPDX-License-Identifier: Apache-2.0

package upgrade

import (
	"testing"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/rollouts/sandbox/product"
)

// TestStopBeforeReady tells managers to stop that wait for what does not come, and measures what they use until they have.
func TestStopBeforeReady(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.onlyV1alpha1()
	kubeconfig, err := s.cluster.UserKubeconfig("admin", "system:masters")
	if err != nil {
		t.Fatal(err)
	}
	m := s.launch(kubeconfig)
	s.says(m, "[-]certificates", `namespaces "kruise-rollout" not found`)
	s.stops(m)

	kubeconfig = s.install()
	role := &rbacv1.ClusterRole{}
	if err := s.admin.Get(t.Context(), client.ObjectKey{Name: "kruise-rollout-manager-role"}, role); err != nil {
		t.Fatal(err)
	}
	for i := range role.Rules {
		if role.Rules[i].Resources[0] == "pods" {
			role.Rules[i].Verbs = []string{"get"}
		}
	}
	if err := s.admin.Update(t.Context(), role); err != nil {
		t.Fatal(err)
	}
	m = s.launch(kubeconfig, "--leader-elect")
	s.says(m, "[+]certificates ok", "[+]kinds ok", "[-]caches")
	s.stops(m)
}

// stops tells a manager to stop, and checks that it does, by itself and without being busy about it.
func (s *stage) stops(m *product.Manager) {
	s.Helper()
	before, began := m.CPU(), time.Now()
	used := m.Stop()
	if code, took, cpu := m.ExitCode(), time.Since(began), used.CPU-before; code != 0 || took > 5*time.Second || cpu > 2*time.Second {
		s.Errorf("it ended with %d after %s, and was busy for %s of them", code, took, cpu)
	}
}
