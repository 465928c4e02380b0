// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"crypto/x509"
	"testing"
	"time"
)

func TestForHost(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	ca, err := newAuthority(now)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(ca.Leaf)
	for _, host := range []string{"127.0.0.1", "manager.example.com"} {
		cert, err := forHost(host, ca)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := cert.Leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: host, CurrentTime: now.AddDate(0, 1, 0)}); err != nil {
			t.Errorf("%s: %v", host, err)
		}
	}
	if _, err := forHost("127.0.0.1", nil); err == nil {
		t.Error("nobody's CA issued a certificate")
	}
}
