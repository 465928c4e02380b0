// SPDX-License-Identifier: Apache-2.0

// Package webhook is the admission shell: it decodes a request, asks package admission, and answers. It decides nothing.
package webhook

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	ctrladmission "sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"kruise.io/rollouts/api/v1beta1"
	"kruise.io/rollouts/internal/controller"
	"kruise.io/rollouts/internal/plan/admission"
)

// workloads answers for updates of workloads of all kinds.
type workloads struct{ reader client.Reader }

func (h *workloads) Handle(ctx context.Context, req ctrladmission.Request) ctrladmission.Response {
	if req.Operation != admissionv1.Update || req.SubResource != "" {
		return ctrladmission.Allowed("")
	}
	writer := fieldManager(req)
	if writer == controller.FieldManager {
		return ctrladmission.Allowed("") // our own write
	}
	all, err := controller.RolloutsOf(ctx, h.reader, req.Namespace, req.Kind.Group, req.Kind.Kind, req.Name)
	if err != nil {
		return ctrladmission.Errored(http.StatusInternalServerError, err)
	}
	e := admission.Edit{Kind: req.Kind.Kind, Rollout: admission.Managing(all), User: req.UserInfo.Username}
	if e.Rollout == nil {
		return ctrladmission.Allowed("")
	}
	if e.Driver = admission.DriverOf(e.Rollout, schema.GroupVersion{Group: req.Kind.Group, Version: req.Kind.Version}.String(), req.Kind.Kind); e.Driver == nil {
		return ctrladmission.Allowed("")
	}
	edited, old := e.Driver.New(), e.Driver.New()
	if err := json.Unmarshal(req.Object.Raw, edited); err != nil {
		return ctrladmission.Errored(http.StatusBadRequest, fmt.Errorf("reading the %s: %w", req.Kind.Kind, err))
	}
	if err := json.Unmarshal(req.OldObject.Raw, old); err != nil {
		return ctrladmission.Errored(http.StatusBadRequest, fmt.Errorf("reading the %s as stored: %w", req.Kind.Kind, err))
	}
	edited.SetUID(old.GetUID()) // some tools that stand between leave it out
	if writer == controller.ProbeManager {
		return answerProbe(req, edited)
	}
	e.Old = old
	if e.New, err = controller.Below(ctx, h.reader, e.Driver, edited); err != nil {
		return ctrladmission.Errored(http.StatusInternalServerError, err)
	}
	stored, warnings := admission.Admit(e)
	return patched(req, stored).WithWarnings(warnings...)
}

// answerProbe stamps the workload as if a release began, which tells that a change of its template would be held.
func answerProbe(req ctrladmission.Request, stamped client.Object) ctrladmission.Response {
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
