// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"context"
	"net/http"

	admissionv1 "k8s.io/api/admission/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	ctrladmission "sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"kruise.io/rollouts/api/v1beta1"
	"kruise.io/rollouts/internal/plan/admission"
)

// templates answers for AnalysisTemplates and ClusterAnalysisTemplates that are created and changed.
type templates struct {
	decoder ctrladmission.Decoder
	// mayRun reports whether a user may create Jobs in a namespace; "": in all of them.
	mayRun func(ctx context.Context, user authenticationv1.UserInfo, namespace string) (bool, error)
}

func (h *templates) Handle(ctx context.Context, req ctrladmission.Request) ctrladmission.Response {
	if req.SubResource != "" || req.Operation != admissionv1.Create && req.Operation != admissionv1.Update {
		return ctrladmission.Allowed("")
	}
	runs := false
	var errs field.ErrorList
	var err error
	if req.Kind.Kind == "ClusterAnalysisTemplate" {
		errs, err = validate(h.decoder, req, func(t, old *v1beta1.ClusterAnalysisTemplate) field.ErrorList {
			runs = admission.RunsJobs(t, old)
			return admission.ValidateTemplate(t, old)
		})
	} else {
		errs, err = validate(h.decoder, req, func(t, old *v1beta1.AnalysisTemplate) field.ErrorList {
			runs = admission.RunsJobs(t, old)
			return admission.ValidateTemplate(t, old)
		})
	}
	if err != nil || len(errs) > 0 || !runs {
		return verdict(errs, err)
	}
	// Jobs run with the manager's rights to create them, and as any ServiceAccount that the template names.
	switch may, err := h.mayRun(ctx, req.UserInfo, req.Namespace); {
	case err != nil:
		return ctrladmission.Errored(http.StatusInternalServerError, err)
	case !may:
		return verdict(admission.MayNotRun(req.UserInfo.Username, req.Namespace), nil)
	}
	return ctrladmission.Allowed("")
}
