// SPDX-License-Identifier: Apache-2.0

// Package webhook is the admission shell: it decodes a request, asks package admission, and answers. It decides nothing.
package webhook

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	admissionv1 "k8s.io/api/admission/v1"
	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	ctrladmission "sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"kruise.io/rollouts/api/v1beta1"
	"kruise.io/rollouts/internal/controller"
	"kruise.io/rollouts/internal/plan/admission"
)

// deployments answers for updates of Deployments.
type deployments struct {
	reader  client.Reader
	decoder ctrladmission.Decoder
}

func (h *deployments) Handle(ctx context.Context, req ctrladmission.Request) ctrladmission.Response {
	if req.Operation != admissionv1.Update || req.SubResource != "" {
		return ctrladmission.Allowed("")
	}
	writer := fieldManager(req)
	if writer == controller.FieldManager {
		return ctrladmission.Allowed("") // our own write
	}
	edited, old := &appsv1.Deployment{}, &appsv1.Deployment{}
	if err := h.decoder.Decode(req, edited); err != nil {
		return ctrladmission.Errored(http.StatusBadRequest, fmt.Errorf("reading the Deployment: %w", err))
	}
	if err := h.decoder.DecodeRaw(req.OldObject, old); err != nil {
		return ctrladmission.Errored(http.StatusBadRequest, fmt.Errorf("reading the Deployment as stored: %w", err))
	}
	edited.UID = old.UID // some tools that stand between leave it out
	e := admission.Edit{Kind: "Deployment", Old: old, New: edited}
	var err error
	if e.Rollouts, err = controller.RolloutsOf(ctx, h.reader, req.Namespace, appsv1.GroupName, e.Kind, req.Name); err != nil {
		return ctrladmission.Errored(http.StatusInternalServerError, err)
	}
	if writer == controller.ProbeManager {
		return h.answerProbe(req, e)
	}
	if e.Sets, err = controller.ReplicaSetsOf(ctx, h.reader, old); err != nil {
		return ctrladmission.Errored(http.StatusInternalServerError, err)
	}
	stored, warnings := admission.Admit(e)
	return patched(req, stored).WithWarnings(warnings...)
}

// answerProbe stamps the workload as if a release began, which tells that a change of its template would be held.
func (h *deployments) answerProbe(req ctrladmission.Request, e admission.Edit) ctrladmission.Response {
	if admission.Managing(e.Rollouts) == nil {
		return ctrladmission.Allowed("")
	}
	stamped, _ := e.New.DeepCopyObject().(client.Object)
	annotations := stamped.GetAnnotations()
	if annotations == nil {
		annotations = map[string]string{}
	}
	annotations[v1beta1.AnnotationInProgressing] = controller.ProbeManager
	stamped.SetAnnotations(annotations)
	return patched(req, stamped)
}

// fieldManager is who says to write.
func fieldManager(req ctrladmission.Request) string {
	options := metav1.UpdateOptions{} // patch options have the field, too
	_ = json.Unmarshal(req.Options.Raw, &options)
	return options.FieldManager
}

// patched answers with what turns the request's object into stored.
func patched(req ctrladmission.Request, stored runtime.Object) ctrladmission.Response {
	raw, err := json.Marshal(stored)
	if err != nil {
		return ctrladmission.Errored(http.StatusInternalServerError, fmt.Errorf("writing the object: %w", err))
	}
	return ctrladmission.PatchResponseFromRaw(req.Object.Raw, raw)
}
