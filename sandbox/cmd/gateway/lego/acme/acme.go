// SPDX-License-Identifier: Apache-2.0

// Package acme and its neighbours stand in for lego, the ACME client that Traefik links: the sandbox asks no one for
// certificates, and lego brings the clients of a hundred DNS providers. Only what Traefik names is here, and it does nothing.
package acme

import "errors"

// ErrNotBuilt is the answer to everything that would need ACME.
var ErrNotBuilt = errors.New("this Traefik is built without ACME")

// Account is what Traefik keeps of an account.
type Account struct {
	Status  string   `json:"status,omitempty"`
	Contact []string `json:"contact,omitempty"`
}

// ExtendedAccount is an account and where it is.
type ExtendedAccount struct {
	Account
	Location string `json:"-"`
}
