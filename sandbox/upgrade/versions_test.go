// SPDX-License-Identifier: Apache-2.0

package upgrade

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/open-policy-agent/cert-controller/pkg/rotator"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"kruise.io/rollouts/internal/controller"
	"kruise.io/rollouts/sandbox"
	"kruise.io/rollouts/sandbox/product"
)

// formerRotation runs what earlier versions of ours kept the certificates with, as they did.
func (s *stage) formerRotation() {
	s.Helper()
	kubeconfig, err := s.cluster.UserKubeconfig("former-manager", "system:masters")
	if err != nil {
		s.Fatal(err)
	}
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		s.Fatal(err)
	}
	mgr, err := ctrl.NewManager(config, ctrl.Options{Scheme: controller.Scheme(), Metrics: metricsserver.Options{BindAddress: "0"}})
	if err != nil {
		s.Fatal(err)
	}
	rotating := &rotator.CertRotator{
		SecretKey: types.NamespacedName(secretKey), CertDir: s.TempDir(), CAName: "webhook-cert-ca", CAOrganization: "kruise-rollout",
		DNSName: "kruise-rollout-webhook-service.kruise-rollout.svc", IsReady: make(chan struct{}), FieldOwner: "kruise-rollout-certificates",
		ControllerName: fmt.Sprintf("cert-rotator-%d", time.Now().UnixNano()), // names are unique in a process, however often this runs
		ExtraDNSNames:  []string{"kruise-rollout-webhook-service.kruise-rollout.svc", "kruise-rollout-webhook-service.kruise-rollout"},
		Webhooks: []rotator.WebhookInfo{
			{Name: mutating, Type: rotator.Mutating},
			{Name: "kruise-rollout-validating-webhook-configuration", Type: rotator.Validating},
			{Name: "rollouts.rollouts.kruise.io", Type: rotator.CRDConversion},
			{Name: "batchreleases.rollouts.kruise.io", Type: rotator.CRDConversion},
		},
	}
	if err := rotator.AddRotator(mgr, rotating); err != nil {
		s.Fatal(err)
	}
	ctx, stop := context.WithCancel(s.Context())
	ended := make(chan error, 1)
	go func() { ended <- mgr.Start(ctx) }()
	s.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			s.Error(err)
		}
	})
	s.until("the earlier version has its certificates", func() error {
		secret := &corev1.Secret{}
		if err := s.admin.Get(s.Context(), secretKey, secret); err != nil {
			return err
		}
		return s.trusted(secret.Data["ca.crt"])
	})
}

// TestFormerVersion runs a manager next to one of an earlier version, in a roll-out of itself: each takes over what the other made,
// neither renews it, and a CA that is made anew by the first is the other's, too.
func TestFormerVersion(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	kubeconfig := s.install()
	s.formerRotation()
	before := s.held()
	m := s.start(kubeconfig, "--leader-elect")
	s.serves()
	held := s.held()
	if !bytes.Equal(before["ca.crt"], held["ca.crt"]) || !bytes.Equal(before["ca.key"], held["ca.key"]) {
		t.Error("the CA was made anew")
	}
	for range 3 {
		before = s.held()
		s.secret(map[string][]byte{})
		s.until("both have come to one CA", func() error {
			secret := &corev1.Secret{}
			if err := s.admin.Get(s.Context(), secretKey, secret); err != nil {
				return err
			}
			if bytes.Equal(before["ca.crt"], secret.Data["ca.crt"]) {
				return errors.New("the CA is the old one")
			}
			return s.trusted(secret.Data["ca.crt"])
		})
		s.serves()
	}
	s.until("they leave each other's work alone", func() error {
		before := s.versions()
		s.serves()
		if after := s.versions(); after != before {
			return fmt.Errorf("resource versions were %s, and are %s", before, after)
		}
		return nil
	})
	if ready, why := m.Probe(t.Context()); !ready {
		t.Error(why)
	}
	m.Stop()
}

// versions are the resource versions of the Secret, and of what the API server goes by.
func (s *stage) versions() string {
	s.Helper()
	text := ""
	for _, at := range append(slices.Clone(askers), asks{"v1", "Secret", secretKey.Name}) {
		namespace := ""
		if at.kind == "Secret" {
			namespace = secretKey.Namespace
		}
		o, err := s.get(at.apiVersion, at.kind, namespace, at.name)
		if err != nil {
			s.Fatal(err)
		}
		text += " " + o.GetResourceVersion()
	}
	return text
}

// bounded checks how often the manager has written certificates and trust in them.
func (s *stage) bounded(since time.Time, limit int) {
	s.Helper()
	user, _ := product.User()
	calls, err := sandbox.CountCalls(s.cluster.AuditLog(), user, since)
	if err != nil {
		s.Fatal(err)
	}
	total := 0
	for call, n := range calls {
		switch call.Resource {
		case "secrets", "customresourcedefinitions", "mutatingwebhookconfigurations", "validatingwebhookconfigurations":
			if call.Verb != "get" && call.Verb != "list" && call.Verb != "watch" {
				total += n
			}
		}
	}
	if total > limit {
		s.Errorf("%d writes, want at most %d", total, limit)
	}
}

// TestReplicas runs two managers that find the Secret empty at the same time, and rolls them out: one at a time is replaced, the lease
// is handed on, and the API server is answered throughout.
func TestReplicas(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	began := time.Now()
	kubeconfig := s.install()
	running := []*product.Manager{s.launch(kubeconfig, "--leader-elect"), s.launch(kubeconfig, "--leader-elect")}
	for _, m := range running {
		if err := m.Ready(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	s.serves()
	ca := s.held()["ca.crt"]
	first := s.leader("")
	for range running {
		next := s.start(kubeconfig, "--leader-elect")
		running[0].Stop()
		running = append(running[1:], next)
		s.serves()
	}
	s.leader(first)
	if !bytes.Equal(ca, s.held()["ca.crt"]) {
		t.Error("another CA came with the new managers")
	}
	s.bounded(began, 40)
}

// leader waits until somebody else leads than before.
func (s *stage) leader(before string) string {
	s.Helper()
	holder := ""
	s.until("somebody else leads than "+before, func() error {
		lease := &coordinationv1.Lease{}
		if err := s.admin.Get(s.Context(), client.ObjectKey{Namespace: product.Namespace, Name: "71ddec2c.kruise.io"}, lease); err != nil {
			return err
		}
		holder = ptr.Deref(lease.Spec.HolderIdentity, "")
		if holder == "" || holder == before {
			return fmt.Errorf("it is %q", holder)
		}
		return nil
	})
	return holder
}
