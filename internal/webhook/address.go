// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"net"
)

// forHost issues a certificate for the host of a manager outside of the cluster: a name or an IP address. It lives in
// memory, and as long as the CA: in the Secret, managers with different hosts would take turns.
func forHost(host string, ca *tls.Certificate) (*tls.Certificate, error) {
	if ca == nil {
		return nil, errNoCA
	}
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: host}, NotBefore: ca.Leaf.NotBefore, NotAfter: ca.Leaf.NotAfter,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if ip := net.ParseIP(host); ip != nil {
		template.IPAddresses = []net.IP{ip}
	} else {
		template.DNSNames = []string{host}
	}
	cert, key, err := issue(template, ca)
	if err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil, err
	}
	return &pair, nil
}
