// SPDX-License-Identifier: Apache-2.0

// Package dns01 solves no challenges over DNS.
package dns01

import (
	"strings"
	"time"
)

// ChallengeOption changes nothing.
type ChallengeOption func() error

// Options are of no use.
type Options struct{ RecursiveNameservers []string }

// Client asks no one.
type Client struct{}

// NewClient makes one.
func NewClient(*Options) *Client { return &Client{} }

// SetDefaultClient does nothing.
func SetDefaultClient(*Client) {}

// CondOptions does nothing.
func CondOptions(bool, ...ChallengeOption) ChallengeOption { return nil }

// DisableAuthoritativeNssPropagationRequirement does nothing.
func DisableAuthoritativeNssPropagationRequirement() ChallengeOption { return nil }

// DisableRecursiveNSsPropagationRequirement does nothing.
func DisableRecursiveNSsPropagationRequirement() ChallengeOption { return nil }

// PropagationWait does nothing.
func PropagationWait(time.Duration, bool) ChallengeOption { return nil }

// UnFqdn takes the final dot from a name.
func UnFqdn(name string) string { return strings.TrimSuffix(name, ".") }
