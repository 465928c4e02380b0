// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"context"
	"net/http"

	admissionv1 "k8s.io/api/admission/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/controller-runtime/pkg/client"
	ctrladmission "sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"kruise.io/rollouts/api/v1alpha1"
	"kruise.io/rollouts/internal/controller"
	"kruise.io/rollouts/internal/plan/admission"
)

// trafficRoutings answers for TrafficRoutings that are created and changed.
type trafficRoutings struct {
	reader  client.Reader
	decoder ctrladmission.Decoder
	// namespace is where the users' own scripts are.
	namespace string
}

func (h *trafficRoutings) Handle(ctx context.Context, req ctrladmission.Request) ctrladmission.Response {
	if req.SubResource != "" || req.Operation != admissionv1.Create && req.Operation != admissionv1.Update {
		return ctrladmission.Allowed("")
	}
	scripts, err := controller.Scripts(ctx, h.reader, h.namespace)
	if err != nil {
		return ctrladmission.Errored(http.StatusInternalServerError, err)
	}
	errs, err := validate(h.decoder, req, func(t, old *v1alpha1.TrafficRouting) field.ErrorList {
		return admission.ValidateTrafficRouting(t, old, admission.Limits{Scripts: scripts})
	})
	return verdict(errs, err)
}
