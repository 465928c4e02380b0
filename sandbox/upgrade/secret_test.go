// SPDX-License-Identifier: Apache-2.0

package upgrade

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/rollouts/sandbox/product"
)

var secretKey = client.ObjectKey{Namespace: product.Namespace, Name: "kruise-rollout-webhook-certs"}

// certificates are what another tool would put there: by a CA whose key it keeps to itself.
func certificates(t *testing.T, from, until time.Time) map[string][]byte {
	t.Helper()
	key := func() *ecdsa.PrivateKey {
		k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	caKey, certKey := key(), key()
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "somebody else"}, NotBefore: from, NotAfter: until,
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), NotBefore: from, NotAfter: until, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames: []string{"kruise-rollout-webhook-service.kruise-rollout.svc", "kruise-rollout-admission-service.kruise-rollout.svc", "localhost"},
	}
	sign := func(template, parent *x509.Certificate, public *ecdsa.PublicKey) []byte {
		der, err := x509.CreateCertificate(rand.Reader, template, parent, public, caKey)
		if err != nil {
			t.Fatal(err)
		}
		return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(certKey)
	if err != nil {
		t.Fatal(err)
	}
	return map[string][]byte{
		"ca.crt": sign(ca, ca, &caKey.PublicKey), "tls.crt": sign(leaf, ca, &certKey.PublicKey),
		"tls.key": pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}),
	}
}

// secret puts data into the Secret; nil removes it.
func (s *stage) secret(data map[string][]byte) {
	s.Helper()
	secret := &corev1.Secret{}
	secret.Namespace, secret.Name = secretKey.Namespace, secretKey.Name
	if err := client.IgnoreNotFound(s.admin.Delete(s.Context(), secret)); err != nil {
		s.Fatal(err)
	}
	if data == nil {
		return
	}
	secret.Data = data
	if err := s.admin.Create(s.Context(), secret); err != nil {
		s.Fatal(err)
	}
}

// held is what the Secret holds.
func (s *stage) held() map[string][]byte {
	s.Helper()
	secret := &corev1.Secret{}
	if err := s.admin.Get(s.Context(), secretKey, secret); err != nil {
		s.Fatal(err)
	}
	return secret.Data
}

// asks is an object by which the API server knows where to ask us.
type asks struct{ apiVersion, kind, name string }

var askers = []asks{
	{"apiextensions.k8s.io/v1", "CustomResourceDefinition", "rollouts.rollouts.kruise.io"},
	{"apiextensions.k8s.io/v1", "CustomResourceDefinition", "batchreleases.rollouts.kruise.io"},
	{"admissionregistration.k8s.io/v1", "MutatingWebhookConfiguration", mutating},
	{"admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration", "kruise-rollout-validating-webhook-configuration"},
}

// trusted checks that the API server trusts a CA wherever it asks us.
func (s *stage) trusted(ca []byte) error {
	if len(ca) == 0 {
		return errors.New("there is no CA")
	}
	for _, at := range askers {
		o, err := s.get(at.apiVersion, at.kind, "", at.name)
		if err != nil {
			return err
		}
		var clients []any
		if config, found, _ := unstructured.NestedMap(o.Object, "spec", "conversion", "webhook", "clientConfig"); found {
			clients = append(clients, config)
		}
		hooks, _, _ := unstructured.NestedSlice(o.Object, "webhooks")
		for _, hook := range hooks {
			hook, _ := hook.(map[string]any)
			clients = append(clients, hook["clientConfig"])
		}
		if len(clients) == 0 {
			return fmt.Errorf("%s asks nobody", at.name)
		}
		for _, c := range clients {
			c, _ := c.(map[string]any)
			text, _ := c["caBundle"].(string)
			if bundle, _ := base64.StdEncoding.DecodeString(text); !bytes.Contains(bundle, bytes.TrimSpace(ca)) {
				return fmt.Errorf("%s does not trust the CA in the Secret", at.name)
			}
		}
	}
	return nil
}

// TestSecret starts managers with whatever may be in the Secret of the certificates.
func TestSecret(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	kubeconfig := s.install()
	now := time.Now()
	valid := certificates(t, now.Add(-time.Hour), now.Add(30*24*time.Hour))
	past := certificates(t, now.Add(-48*time.Hour), now.Add(-24*time.Hour))
	m := s.start(kubeconfig)
	ours := s.held()
	m.Stop()
	for _, c := range []struct {
		name string
		data map[string][]byte
		kept bool
	}{
		{"missing", nil, false},
		{"empty", map[string][]byte{}, false},
		{"ours", ours, true},
		{"garbage", map[string][]byte{"tls.crt": []byte("no"), "tls.key": []byte("certificate"), "ca.crt": {0, 1, 2}, "ca.key": nil}, false},
		{"somebody else's", valid, true},
		{"somebody else's, expired", past, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := &stage{T: t, cluster: s.cluster, admin: s.admin}
			s.secret(c.data)
			m := s.start(kubeconfig)
			s.serves()
			held := s.held()
			if err := s.trusted(held["ca.crt"]); err != nil {
				t.Error(err)
			}
			if kept := maps.EqualFunc(c.data, held, bytes.Equal); kept != c.kept {
				t.Errorf("the Secret stays as it was: %v", kept)
			}
			m.Stop()
		})
	}
}

// TestSecretOfARunningManager deletes and spoils the Secret beneath a manager: it makes another one, and goes on serving.
func TestSecretOfARunningManager(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	m := s.start(s.install())
	for name, spoil := range map[string]map[string][]byte{"deleted": nil, "emptied": {}, "spoilt": {"tls.crt": []byte("no"), "ca.crt": []byte("certificate")}} {
		before := s.held()["ca.crt"]
		s.secret(spoil)
		s.until("there is another CA after it was "+name, func() error {
			secret := &corev1.Secret{}
			if err := s.admin.Get(s.Context(), secretKey, secret); err != nil {
				return err
			}
			if bytes.Equal(before, secret.Data["ca.crt"]) {
				return errors.New("the CA is the old one")
			}
			return s.trusted(secret.Data["ca.crt"])
		})
		s.serves()
	}
	if ready, why := m.Probe(t.Context()); !ready {
		t.Error(why)
	}
}

// TestSecretThatCannotBeWritten takes the right to write the Secret away: a valid one is enough, and without one the manager says
// what is wrong and goes on as soon as it is corrected.
func TestSecretThatCannotBeWritten(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	kubeconfig := s.install()
	may := func(verbs ...string) {
		role := &rbacv1.Role{}
		if err := s.admin.Get(t.Context(), client.ObjectKey{Namespace: product.Namespace, Name: "kruise-rollout-manager-role"}, role); err != nil {
			t.Fatal(err)
		}
		for i := range role.Rules {
			if role.Rules[i].Resources[0] == "secrets" {
				role.Rules[i].Verbs, role.Rules[i].ResourceNames = verbs, nil
			}
		}
		if err := s.admin.Update(t.Context(), role); err != nil {
			t.Fatal(err)
		}
	}
	now := time.Now()
	may("get", "list", "watch")
	s.secret(nil)
	m := s.launch(kubeconfig)
	s.says(m, "Secret kruise-rollout/kruise-rollout-webhook-certs holds no valid certificate, and none can be written", "forbidden", "let the manager write it")
	s.secret(certificates(t, now.Add(-48*time.Hour), now.Add(-24*time.Hour)))
	s.says(m, "holds no valid certificate")
	valid := certificates(t, now.Add(-time.Hour), now.Add(24*time.Hour))
	s.secret(valid)
	if err := m.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.serves()
	if !maps.EqualFunc(valid, s.held(), bytes.Equal) {
		t.Error("the Secret was written")
	}
	m.Stop()

	s.secret(map[string][]byte{})
	m = s.launch(kubeconfig)
	s.says(m, "holds no valid certificate")
	may("get", "list", "watch", "update", "create")
	if err := m.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.serves()
}
