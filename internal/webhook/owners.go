// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"gomodules.xyz/jsonpatch/v2"
	admissionv1 "k8s.io/api/admission/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrladmission "sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"kruise.io/rollouts/internal/controller"
	"kruise.io/rollouts/internal/plan"
)

// owners answers for the manager's own writes of users' objects: their fields stay their users'. It can only be done here: the API
// server computes who owns a field after it has read a request, and before it asks admission.
type owners struct{ self *identity }

func (h *owners) Handle(ctx context.Context, req ctrladmission.Request) ctrladmission.Response {
	if req.Operation != admissionv1.Update || req.SubResource != "" {
		return ctrladmission.Allowed("")
	}
	switch own, err := h.self.writes(ctx, req, controller.FieldManager); {
	case err != nil:
		return ctrladmission.Errored(http.StatusInternalServerError, err)
	case !own:
		return ctrladmission.Allowed("")
	}
	before, after := metav1.PartialObjectMetadata{}, metav1.PartialObjectMetadata{}
	if err := errors.Join(json.Unmarshal(req.OldObject.Raw, &before), json.Unmarshal(req.Object.Raw, &after)); err != nil {
		return ctrladmission.Errored(http.StatusBadRequest, fmt.Errorf("reading the metadata of the %s: %w", req.Kind.Kind, err))
	}
	kept := plan.FieldOwners(before.ManagedFields, after.ManagedFields)
	if len(after.ManagedFields) == 0 || equality.Semantic.DeepEqual(kept, after.ManagedFields) {
		return ctrladmission.Allowed("")
	}
	return ctrladmission.Patched("", jsonpatch.NewOperation("replace", "/metadata/managedFields", kept))
}
