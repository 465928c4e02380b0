// SPDX-License-Identifier: Apache-2.0

package analysis

import (
	"time"

	"kruise.io/rollouts/api/v1beta1"
)

// A Hook is one call of a step's webhook: a POST that is answered with whether the release may go on.
type Hook struct {
	URL     string
	Headers []v1beta1.MetricHeader
	Secret  *Secret // the key that it is signed with; nil: it is not signed
	Timeout time.Duration
	ID      string // the same for all calls about one step
	Body    []byte // JSON
}

// A HookOutcome is what a webhook's answer says of the step.
type HookOutcome string

// What answers say.
const (
	// HookAllowed: the step may go on.
	HookAllowed HookOutcome = "allowed"
	// HookRefused: it may not.
	HookRefused HookOutcome = "refused"
	// HookNotYet: it is not decided, and is asked again.
	HookNotYet HookOutcome = "not yet"
	// HookFailed: there is no answer.
	HookFailed HookOutcome = "failed"
)

// A HookAnswer is the Result of an Ask with a Hook.
type HookAnswer struct {
	Outcome HookOutcome
	// Message is what the webhook says of it, or why there is no answer: one line, at most 160 characters, without Secrets. It may
	// be empty.
	Message string
	// RetryAfter is for how long it does not want to be asked. 0: it did not say.
	RetryAfter time.Duration
}
