// SPDX-License-Identifier: Apache-2.0

// Package challenge says what solves challenges.
package challenge

import "context"

// Provider solves them.
type Provider interface {
	Present(ctx context.Context, domain, token, keyAuth string) error
	CleanUp(ctx context.Context, domain, token, keyAuth string) error
}
