// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	admissionv1 "k8s.io/api/admission/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/utils/clock"
	ctrladmission "sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"kruise.io/rollouts/api/v1alpha1"
	"kruise.io/rollouts/api/v1beta1"
	"kruise.io/rollouts/internal/plan/admission"
)

// signing answers for writes of a Rollout, and of the status of any object of ours, by anybody but the manager: who pauses, aborts, approves and jumps goes on
// record, and what is not a client's to write stays as it was. It refuses nothing.
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
	// Both versions have what is checked in the same place.
	edited := &unstructured.Unstructured{}
	if err := edited.UnmarshalJSON(req.Object.Raw); err != nil {
		return ctrladmission.Errored(http.StatusBadRequest, fmt.Errorf("reading the Rollout: %w", err))
	}
	old := &unstructured.Unstructured{}
	if req.Operation == admissionv1.Create {
		return signPause(req, old, edited)
	}
	if err := old.UnmarshalJSON(req.OldObject.Raw); err != nil {
		return ctrladmission.Errored(http.StatusBadRequest, fmt.Errorf("reading the Rollout as stored: %w", err))
	}
	switch {
	case req.SubResource == "":
		return signPause(req, old, edited)
	case !readable(req):
		return ctrladmission.Allowed("") // stored before the schema refused it, and only a write like this mends it
	case req.Resource.Resource == "rollouts":
		return h.signStatus(req, old, edited)
	default:
		return keepStatus(req, old, edited)
	}
}

// readable reports whether our types can hold a status as it is stored; both versions have the same.
func readable(req ctrladmission.Request) bool {
	var err error
	switch req.Resource.Resource {
	case "batchreleases":
		err = json.Unmarshal(req.OldObject.Raw, &struct{ Status v1beta1.BatchReleaseStatus }{})
	case "trafficroutings":
		err = json.Unmarshal(req.OldObject.Raw, &struct{ Status v1alpha1.TrafficRoutingStatus }{})
	default:
		err = json.Unmarshal(req.OldObject.Raw, &struct{ Status v1beta1.RolloutStatus }{})
	}
	return err == nil
}

// keepStatus leaves the status of an object of ours as it was: no one asks for anything by it.
func keepStatus(req ctrladmission.Request, old, edited *unstructured.Unstructured) ctrladmission.Response {
	status, _, _ := unstructured.NestedMap(old.Object, "status")
	answer := replaced(req, withStatus(edited, status))
	if len(answer.Patches) > 0 {
		answer = answer.WithWarnings(fmt.Sprintf("the status of a %s is written by the controller only; the change is ignored", edited.GetKind()))
	}
	return answer
}

// signStatus leaves of a write of the status what clients may ask for, and notes who asked.
func (h *signing) signStatus(req ctrladmission.Request, old, edited *unstructured.Unstructured) ctrladmission.Response {
	status, ignored := admission.Stored(old, edited)
	was, is := &v1beta1.RolloutStatus{}, &v1beta1.RolloutStatus{}
	before, _, _ := unstructured.NestedMap(old.Object, "status")
	for into, from := range map[*v1beta1.RolloutStatus]map[string]any{was: before, is: status} {
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(from, into); err != nil {
			return ctrladmission.Errored(http.StatusBadRequest, fmt.Errorf("reading the status of the Rollout: %w", err))
		}
	}
	if signed := admission.Sign(was, is, req.UserInfo.Username, h.clock.Now()); signed != nil {
		release, err := runtime.DefaultUnstructuredConverter.ToUnstructured(signed)
		if err != nil {
			return ctrladmission.Errored(http.StatusInternalServerError, fmt.Errorf("signing the status of the Rollout: %w", err))
		}
		status["release"] = release
	}
	answer := replaced(req, withStatus(edited, status))
	if len(ignored) > 0 {
		answer = answer.WithWarnings(ignored...)
	}
	return answer
}

// withStatus returns an object with another status; nil: with none.
func withStatus(o *unstructured.Unstructured, status map[string]any) *unstructured.Unstructured {
	o = o.DeepCopy()
	if status == nil {
		unstructured.RemoveNestedField(o.Object, "status")
		return o
	}
	o.Object["status"] = status
	return o
}

// signPause notes who pauses, resumes or aborts, and who approves by an annotation: each has a signature of its own, so that a later
// pause does not stand for an approval. The status has no room for it in this write.
func signPause(req ctrladmission.Request, old, edited *unstructured.Unstructured) ctrladmission.Response {
	was, _, _ := unstructured.NestedBool(old.Object, "spec", "strategy", "paused")
	is, _, _ := unstructured.NestedBool(edited.Object, "spec", "strategy", "paused")
	by := old.GetAnnotations()[v1beta1.AnnotationEditedBy]
	if was != is || old.GetAnnotations()[v1beta1.AnnotationAbort] != edited.GetAnnotations()[v1beta1.AnnotationAbort] {
		by = req.UserInfo.Username
	}
	approver := admission.ApprovedBy(old.GetAnnotations(), edited.GetAnnotations(), req.UserInfo.Username)
	annotations := edited.GetAnnotations()
	if annotations[v1beta1.AnnotationEditedBy] == by && annotations[v1beta1.AnnotationApprovedBy] == approver {
		return ctrladmission.Allowed("")
	}
	if annotations == nil {
		annotations = map[string]string{}
	}
	for key, name := range map[string]string{v1beta1.AnnotationEditedBy: by, v1beta1.AnnotationApprovedBy: approver} {
		annotations[key] = name // nobody signs for somebody else, nor takes a signature away
		if name == "" {
			delete(annotations, key)
		}
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
