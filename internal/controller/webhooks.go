// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"errors"

	"kruise.io/rollouts/internal/analysis"
	"kruise.io/rollouts/internal/provider"
)

// called calls a webhook of a step, and says what came of it.
func called(ctx context.Context, clients *provider.Clients, hook analysis.Hook, namespace string) analysis.HookAnswer {
	call := provider.Hook{URL: hook.URL, Headers: hook.Headers, Namespace: namespace, Timeout: hook.Timeout, ID: hook.ID, Body: hook.Body}
	if hook.Secret != nil {
		secret := provider.Secret(*hook.Secret)
		call.Secret = &secret
	}
	answer, err := clients.Call(ctx, call)
	if err != nil {
		failed := analysis.HookAnswer{Outcome: analysis.HookFailed, Message: err.Error()}
		if e, ok := errors.AsType[*provider.Error](err); ok {
			failed.RetryAfter = e.RetryAfter
		}
		return failed
	}
	outcome := analysis.HookAllowed
	switch {
	case answer.Refused:
		outcome = analysis.HookRefused
	case answer.NotYet:
		outcome = analysis.HookNotYet
	}
	return analysis.HookAnswer{Outcome: outcome, Message: answer.Message, RetryAfter: answer.RetryAfter}
}
