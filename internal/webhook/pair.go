// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// Keys of the Secret next to tls.crt and tls.key. Every version of ours reads these, and takes the name of the CA for a sign
// that it made it; the other two are where the first implementation of this API keeps its CA.
const (
	caCertKey, caKeyKey             = "ca.crt", "ca.key"
	formerCACertKey, formerCAKeyKey = "ca-cert.pem", "ca-key.pem"
	caName, caOrganization          = "webhook-cert-ca", "kruise-rollout"
)

const (
	day         = 24 * time.Hour
	caLasts     = 10 * 365 * day
	certLasts   = 365 * day
	renewBefore = 90 * day
	backdated   = time.Hour // clocks differ
	keyBits     = 2048
)

// pair is what the Secret holds, as far as it can be used at a time.
type pair struct {
	serving *tls.Certificate // nil where there is none for our names that the CA vouches for
	roots   []byte           // the CA that vouches for it, PEM
	until   time.Time        // when that ends
	ca      *tls.Certificate // what further certificates are signed with; nil where there is no key for it
}

// read finds out what a Secret is good for, no matter who made it. Names are those by which the API server asks.
func read(data map[string][]byte, names []string, now time.Time) pair {
	p := pair{ca: authority(data, now)}
	serving, err := tls.X509KeyPair(data[corev1.TLSCertKey], data[corev1.TLSPrivateKeyKey])
	if err != nil {
		return p
	}
	roots, intermediates := x509.NewCertPool(), x509.NewCertPool()
	if !roots.AppendCertsFromPEM(data[caCertKey]) {
		return p
	}
	for _, der := range serving.Certificate[1:] {
		if c, err := x509.ParseCertificate(der); err == nil {
			intermediates.AddCert(c)
		}
	}
	for _, name := range names {
		chains, err := serving.Leaf.Verify(x509.VerifyOptions{DNSName: name, Roots: roots, Intermediates: intermediates, CurrentTime: now})
		if err != nil {
			return p
		}
		for _, c := range chains[0] {
			if p.until.IsZero() || c.NotAfter.Before(p.until) {
				p.until = c.NotAfter
			}
		}
	}
	p.serving, p.roots = &serving, data[caCertKey]
	return p
}

// authority is the CA of a Secret, where it can sign.
func authority(data map[string][]byte, now time.Time) *tls.Certificate {
	for _, keys := range [][2]string{{caCertKey, caKeyKey}, {formerCACertKey, formerCAKeyKey}} {
		ca, err := tls.X509KeyPair(data[keys[0]], data[keys[1]])
		if err == nil && ca.Leaf.IsCA && now.After(ca.Leaf.NotBefore) && now.Before(ca.Leaf.NotAfter) {
			return &ca
		}
	}
	return nil
}

// renewal shows when the Secret is to be written next. One whose CA cannot sign was made by somebody else, who renews it; we
// step in only once it is of no use.
func (p pair) renewal() time.Time {
	switch {
	case p.serving == nil:
		return time.Time{}
	case p.ca == nil:
		return p.until
	default:
		return p.until.Add(-renewBefore)
	}
}

// lasting is the CA that another certificate may be signed with, nil where a new one is due, too.
func (p pair) lasting(now time.Time) *tls.Certificate {
	if p.ca == nil || now.After(p.ca.Leaf.NotAfter.Add(-renewBefore)) {
		return nil
	}
	return p.ca
}

// renew returns what the Secret should hold: a certificate by its CA, or by a new one. What else is in it stays, and names
// that another version has put into the certificate do, too: two versions that know different ones do not take turns.
func renew(data map[string][]byte, names []string, now time.Time) (map[string][]byte, error) {
	held := read(data, names, now)
	ca := held.lasting(now)
	next := maps.Clone(data)
	if next == nil {
		next = map[string][]byte{}
	}
	if ca == nil {
		var err error
		if ca, err = newAuthority(now); err != nil {
			return nil, err
		}
	} else {
		names = slices.Concat(names, namesOf(data[corev1.TLSCertKey], ca.Leaf))
	}
	slices.Sort(names)
	cert, key, err := issue(&x509.Certificate{
		Subject: pkix.Name{CommonName: names[0]}, DNSNames: slices.Compact(names),
		NotBefore: now.Add(-backdated), NotAfter: now.Add(certLasts),
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, ca)
	if err != nil {
		return nil, err
	}
	next[corev1.TLSCertKey], next[corev1.TLSPrivateKeyKey] = cert, key
	next[caCertKey] = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca.Leaf.Raw})
	if next[caKeyKey], err = keyPEM(ca); err != nil {
		return nil, err
	}
	return next, nil
}

// namesOf are the names in a certificate, where that CA has signed it.
func namesOf(certPEM []byte, ca *x509.Certificate) []string {
	block, _ := pem.Decode(certPEM)
	if block == nil {
		return nil
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil || cert.CheckSignatureFrom(ca) != nil {
		return nil
	}
	return cert.DNSNames
}

func newAuthority(now time.Time) (*tls.Certificate, error) {
	cert, key, err := issue(&x509.Certificate{
		Subject: pkix.Name{CommonName: caName, Organization: []string{caOrganization}}, DNSNames: []string{caName},
		NotBefore: now.Add(-backdated), NotAfter: now.Add(caLasts),
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment | x509.KeyUsageCertSign, IsCA: true,
	}, nil)
	if err != nil {
		return nil, err
	}
	ca, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil, fmt.Errorf("reading a new CA: %w", err)
	}
	return &ca, nil
}

// issue makes a key and a certificate for it; without a CA it is its own.
func issue(template *x509.Certificate, ca *tls.Certificate) (cert, key []byte, err error) {
	private, err := rsa.GenerateKey(rand.Reader, keyBits) // earlier versions read no other kind
	if err != nil {
		return nil, nil, fmt.Errorf("making a key: %w", err)
	}
	if template.SerialNumber, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120)); err != nil {
		return nil, nil, fmt.Errorf("choosing a serial number: %w", err)
	}
	template.BasicConstraintsValid = true
	parent, signer := template, any(private)
	if ca != nil {
		parent, signer = ca.Leaf, ca.PrivateKey
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &private.PublicKey, signer)
	if err != nil {
		return nil, nil, fmt.Errorf("issuing a certificate: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(private)}), nil
}

func keyPEM(c *tls.Certificate) ([]byte, error) {
	if private, ok := c.PrivateKey.(*rsa.PrivateKey); ok {
		return pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(private)}), nil
	}
	der, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	if err != nil {
		return nil, fmt.Errorf("writing the key of the CA: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

// overlap is for how long a former CA stays trusted next to a new one: until every replica serves what that has signed.
const overlap = 10 * time.Minute

// bundle is what the API server should trust, from what it trusts. What has all roots and nothing that is to go stays as
// it is, so that another writer does not find it changed.
func bundle(trusted, roots []byte, now time.Time) (next []byte, settled time.Time) {
	ours, theirs := certificatesIn(roots), certificatesIn(trusted)
	if len(ours) == 0 {
		return trusted, time.Time{}
	}
	until := ours[0].NotBefore.Add(backdated + overlap)
	var former []*x509.Certificate
	missing := slices.DeleteFunc(slices.Clone(ours), func(c *x509.Certificate) bool { return slices.ContainsFunc(theirs, c.Equal) })
	for _, c := range theirs {
		if !slices.ContainsFunc(ours, c.Equal) && now.Before(c.NotAfter) {
			former = append(former, c)
		}
	}
	young := now.Before(until)
	switch {
	case len(missing) == 0 && len(theirs) == len(ours):
		return trusted, time.Time{}
	case len(missing) == 0 && young:
		return trusted, until
	case young && len(former) > 0:
		next = bytes.Clone(roots)
		for _, c := range former {
			next = append(next, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
		}
		return next, until
	default:
		return roots, time.Time{}
	}
}

func certificatesIn(data []byte) []*x509.Certificate {
	var all []*x509.Certificate
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if c, err := x509.ParseCertificate(block.Bytes); err == nil {
			all = append(all, c)
		}
	}
	return all
}

// errNoCA says that a certificate for a host of its own was asked for where nothing can sign it.
var errNoCA = errors.New("the Secret holds no CA that can sign")
