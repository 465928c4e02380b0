// SPDX-License-Identifier: Apache-2.0

// Package webhook is the admission shell: it decodes a request, asks package admission, and answers. It decides nothing.
package webhook

import (
	"context"
	"encoding/json"
	"errors"
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

// probing is the field manager of the dry run by which the Rollout controller finds out whether we are asked.
const probing = controller.FieldManager + "-probe"

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
	if writer == probing {
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
	annotations[v1beta1.AnnotationInProgressing] = probing
	stamped.SetAnnotations(annotations)
	return patched(req, stamped)
}

// Probe returns a check that a change of a workload's template would reach admission: a dry run of one.
func Probe(c client.Client) controller.Prober {
	return func(ctx context.Context, w client.Object) error {
		d, ok := w.(*appsv1.Deployment)
		if !ok {
			return nil
		}
		change := d.DeepCopy()
		if change.Spec.Template.Annotations == nil {
			change.Spec.Template.Annotations = map[string]string{}
		}
		change.Spec.Template.Annotations[v1beta1.AnnotationInProgressing] = probing
		err := c.Patch(ctx, change, client.MergeFrom(d), client.DryRunAll, client.FieldOwner(probing))
		if err != nil {
			return fmt.Errorf("trying a change of the pod template: %w", err)
		}
		if change.Annotations[v1beta1.AnnotationInProgressing] == "" {
			return errors.New("a change of the pod template is not held; is the MutatingWebhookConfiguration kruise-rollout-mutating-webhook-configuration installed, and does its objectSelector match?")
		}
		return nil
	}
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
