// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"context"
	"fmt"
	"net/http"

	admissionv1 "k8s.io/api/admission/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/controller-runtime/pkg/client"
	ctrladmission "sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"kruise.io/rollouts/api/v1alpha1"
	"kruise.io/rollouts/api/v1beta1"
	"kruise.io/rollouts/internal/controller"
	"kruise.io/rollouts/internal/plan/admission"
)

// rollouts answers for Rollouts that are created and changed, in either version.
type rollouts struct {
	reader  client.Reader
	decoder ctrladmission.Decoder
	limits  admission.Limits
	// namespace is where the users' own scripts are.
	namespace string
}

func (h *rollouts) Handle(ctx context.Context, req ctrladmission.Request) ctrladmission.Response {
	if req.SubResource != "" || req.Operation != admissionv1.Create && req.Operation != admissionv1.Update {
		return ctrladmission.Allowed("")
	}
	others := &v1beta1.RolloutList{}
	if err := h.reader.List(ctx, others, client.InNamespace(req.Namespace)); err != nil {
		return ctrladmission.Errored(http.StatusInternalServerError, fmt.Errorf("listing Rollouts: %w", err))
	}
	limits := h.limits
	var errs field.ErrorList
	var err error
	if limits.Scripts, err = controller.Scripts(ctx, h.reader, h.namespace); err != nil {
		return ctrladmission.Errored(http.StatusInternalServerError, err)
	}
	switch req.Kind.Version {
	case v1beta1.GroupVersion.Version:
		errs, err = validate(h.decoder, req, func(ro, old *v1beta1.Rollout) field.ErrorList {
			return admission.ValidateRollout(ro, old, others.Items, limits)
		})
	case v1alpha1.GroupVersion.Version:
		errs, err = validate(h.decoder, req, func(ro, old *v1alpha1.Rollout) field.ErrorList {
			return admission.ValidateRolloutV1alpha1(ro, old, others.Items, limits)
		})
	default:
		err = fmt.Errorf("there is no version %q of Rollout", req.Kind.Version)
	}
	return verdict(errs, err)
}

// verdict says what is wrong with an object; err: it cannot be read.
func verdict(errs field.ErrorList, err error) ctrladmission.Response {
	switch {
	case err != nil:
		return ctrladmission.Errored(http.StatusBadRequest, err)
	case len(errs) > 0:
		return ctrladmission.Errored(http.StatusUnprocessableEntity, errs.ToAggregate())
	default:
		return ctrladmission.Allowed("")
	}
}

// validate decodes a request's objects of one version, and checks them; old is nil where one is created.
func validate[T any, P interface {
	*T
	runtime.Object
}](decoder ctrladmission.Decoder, req ctrladmission.Request, check func(now, old *T) field.ErrorList) (field.ErrorList, error) {
	ro, old := new(T), (*T)(nil)
	if err := decoder.DecodeRaw(req.Object, P(ro)); err != nil {
		return nil, fmt.Errorf("reading the %s: %w", req.Kind.Kind, err)
	}
	if req.Operation == admissionv1.Update {
		old = new(T)
		if err := decoder.DecodeRaw(req.OldObject, P(old)); err != nil {
			return nil, fmt.Errorf("reading the %s as stored: %w", req.Kind.Kind, err)
		}
	}
	return check(ro, old), nil
}
