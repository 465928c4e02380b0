// SPDX-License-Identifier: Apache-2.0

// Package registration registers no one.
package registration

import (
	"context"
	"crypto"

	"github.com/go-acme/lego/v5/acme"
)

// User is who would register.
type User interface {
	GetEmail() string
	GetRegistration() *acme.ExtendedAccount
	GetPrivateKey() crypto.Signer
}

// RegisterOptions are of no use.
type RegisterOptions struct{ TermsOfServiceAgreed bool }

// RegisterEABOptions are of no use.
type RegisterEABOptions struct {
	TermsOfServiceAgreed bool
	Kid, HmacEncoded     string
}

// Registrar registers no one.
type Registrar struct{}

// Register fails.
func (*Registrar) Register(context.Context, RegisterOptions) (*acme.ExtendedAccount, error) {
	return nil, acme.ErrNotBuilt
}

// RegisterWithExternalAccountBinding fails.
func (*Registrar) RegisterWithExternalAccountBinding(context.Context, RegisterEABOptions) (*acme.ExtendedAccount, error) {
	return nil, acme.ErrNotBuilt
}
