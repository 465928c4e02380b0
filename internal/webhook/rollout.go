// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"context"
	"net/http"

	"sigs.k8s.io/controller-runtime/pkg/client"
	ctrladmission "sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"kruise.io/rollouts/internal/plan/admission"
)

// rollouts answers for Rollouts that are created and changed, in either version.
type rollouts struct {
	reader  client.Reader
	decoder ctrladmission.Decoder
	limits  admission.Limits
}

func (h *rollouts) Handle(ctx context.Context, req ctrladmission.Request) ctrladmission.Response {
	_ = ctx
	_ = http.StatusOK
	return ctrladmission.Allowed("")
}
