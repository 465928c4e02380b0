// SPDX-License-Identifier: Apache-2.0

// Package http01 solves no challenges over HTTP.
package http01

import "time"

// PathPrefix is where such challenges are answered.
const PathPrefix = "/.well-known/acme-challenge/"

// ChallengeOption changes nothing.
type ChallengeOption func() error

// SetDelay does nothing.
func SetDelay(time.Duration) ChallengeOption { return nil }
