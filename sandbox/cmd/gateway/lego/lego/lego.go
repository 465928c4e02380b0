// SPDX-License-Identifier: Apache-2.0

// Package lego is a client that cannot be made.
package lego

import (
	"crypto/x509"
	"net/http"
	"time"

	"github.com/go-acme/lego/v5/acme"
	"github.com/go-acme/lego/v5/certificate"
	"github.com/go-acme/lego/v5/challenge"
	"github.com/go-acme/lego/v5/challenge/dns01"
	"github.com/go-acme/lego/v5/challenge/http01"
	"github.com/go-acme/lego/v5/challenge/tlsalpn01"
	"github.com/go-acme/lego/v5/registration"
)

// DirectoryURLLetsEncrypt leads nowhere.
const DirectoryURLLetsEncrypt = "https://acme.invalid/directory"

// CertificateConfig is of no use.
type CertificateConfig struct{ Timeout time.Duration }

// Config is of no use.
type Config struct {
	CADirURL, UserAgent string
	HTTPClient          *http.Client
	Certificate         CertificateConfig
}

// NewConfig makes one.
func NewConfig(registration.User) *Config { return &Config{} }

// Client is never made.
type Client struct {
	Certificate  *certificate.Certifier
	Challenge    *solvers
	Registration *registration.Registrar
}

// NewClient fails.
func NewClient(*Config) (*Client, error) { return nil, acme.ErrNotBuilt }

// CreateCertPool fails.
func CreateCertPool([]string, bool) (*x509.CertPool, error) { return nil, acme.ErrNotBuilt }

type solvers struct{}

func (*solvers) SetHTTP01Provider(challenge.Provider, ...http01.ChallengeOption) error {
	return acme.ErrNotBuilt
}

func (*solvers) SetTLSALPN01Provider(challenge.Provider, ...tlsalpn01.ChallengeOption) error {
	return acme.ErrNotBuilt
}

func (*solvers) SetDNS01Provider(challenge.Provider, ...dns01.ChallengeOption) error {
	return acme.ErrNotBuilt
}
