// SPDX-License-Identifier: Apache-2.0

// Package tlsalpn01 solves no challenges over TLS.
package tlsalpn01

import (
	"time"

	"github.com/go-acme/lego/v5/acme"
)

// ACMETLS1Protocol is the protocol of such challenges.
const ACMETLS1Protocol = "acme-tls/1"

// ChallengeOption changes nothing.
type ChallengeOption func() error

// SetDelay does nothing.
func SetDelay(time.Duration) ChallengeOption { return nil }

// ChallengeBlocks fails.
func ChallengeBlocks(string, string) (certificate, key []byte, err error) {
	return nil, nil, acme.ErrNotBuilt
}
