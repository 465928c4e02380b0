// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"context"
	"fmt"
	"net/http"

	admissionv1 "k8s.io/api/admission/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/utils/clock"
	ctrladmission "sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"kruise.io/rollouts/api/v1beta1"
	"kruise.io/rollouts/internal/plan/admission"
)

// signing answers for writes of a Rollout and of its status: who pauses, aborts, approves and jumps goes on record. It refuses
// nothing.
type signing struct {
	clock clock.PassiveClock
	self  *identity
}

func (h *signing) Handle(ctx context.Context, req ctrladmission.Request) ctrladmission.Response {
	if req.Operation != admissionv1.Update && req.Operation != admissionv1.Create || req.SubResource != "status" && req.SubResource != "" {
		return ctrladmission.Allowed("")
	}
	if answer := h.self.own(ctx, req); answer != nil {
		return *answer
	}
	// What either version says beside the record is left as it is: both have the record in the same place.
	edited := &unstructured.Unstructured{}
	if err := edited.UnmarshalJSON(req.Object.Raw); err != nil {
		return ctrladmission.Errored(http.StatusBadRequest, fmt.Errorf("reading the Rollout: %w", err))
	}
	old, was, is := &unstructured.Unstructured{}, &v1beta1.RolloutStatus{}, &v1beta1.RolloutStatus{}
	if req.Operation == admissionv1.Create {
		return signPause(req, old, edited)
	}
	if err := old.UnmarshalJSON(req.OldObject.Raw); err != nil {
		return ctrladmission.Errored(http.StatusBadRequest, fmt.Errorf("reading the Rollout as stored: %w", err))
	}
	if req.SubResource == "" {
		return signPause(req, old, edited)
	}
	for _, s := range []struct {
		from *unstructured.Unstructured
		into *v1beta1.RolloutStatus
	}{{old, was}, {edited, is}} {
		status, _, _ := unstructured.NestedMap(s.from.Object, "status")
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(status, s.into); err != nil {
			return ctrladmission.Allowed("") // the schema refuses it, or nobody does
		}
	}
	signed := admission.Sign(was, is, req.UserInfo.Username, h.clock.Now())
	if signed == nil {
		unstructured.RemoveNestedField(edited.Object, "status", "release")
		return replaced(req, edited)
	}
	release, err := runtime.DefaultUnstructuredConverter.ToUnstructured(signed)
	if err == nil {
		err = unstructured.SetNestedMap(edited.Object, release, "status", "release")
	}
	if err != nil {
		return ctrladmission.Allowed("")
	}
	return replaced(req, edited)
}

// signPause notes who pauses, resumes or aborts. The status has no room for it in this write.
func signPause(req ctrladmission.Request, old, edited *unstructured.Unstructured) ctrladmission.Response {
	was, _, _ := unstructured.NestedBool(old.Object, "spec", "strategy", "paused")
	is, _, _ := unstructured.NestedBool(edited.Object, "spec", "strategy", "paused")
	aborted := old.GetAnnotations()[v1beta1.AnnotationAbort] != edited.GetAnnotations()[v1beta1.AnnotationAbort]
	by := old.GetAnnotations()[v1beta1.AnnotationEditedBy]
	if was != is || aborted {
		by = req.UserInfo.Username
	}
	annotations := edited.GetAnnotations()
	if annotations[v1beta1.AnnotationEditedBy] == by {
		return ctrladmission.Allowed("")
	}
	if annotations == nil {
		annotations = map[string]string{}
	}
	annotations[v1beta1.AnnotationEditedBy] = by // nobody signs for somebody else, nor takes a signature away
	if by == "" {
		delete(annotations, v1beta1.AnnotationEditedBy)
	}
	edited.SetAnnotations(annotations)
	return replaced(req, edited)
}

// replaced answers with what turns the request's object into stored, which has all of it.
func replaced(req ctrladmission.Request, stored *unstructured.Unstructured) ctrladmission.Response {
	text, err := stored.MarshalJSON()
	if err != nil {
		return ctrladmission.Errored(http.StatusInternalServerError, fmt.Errorf("writing the Rollout: %w", err))
	}
	return ctrladmission.PatchResponseFromRaw(req.Object.Raw, text)
}
