// SPDX-License-Identifier: Apache-2.0

// Package webhook is the admission shell: it decodes a request, asks package admission, and answers. It decides nothing.
package webhook

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	admissionv1 "k8s.io/api/admission/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	ctrladmission "sigs.k8s.io/controller-runtime/pkg/webhook/admission"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"kruise.io/rollouts/api/v1beta1"
	"kruise.io/rollouts/internal/controller"
	"kruise.io/rollouts/internal/plan"
	"kruise.io/rollouts/internal/plan/admission"
	"kruise.io/rollouts/internal/raw"
)

// workloads answers for updates of workloads of all kinds.
type workloads struct {
	reader client.Reader
	self   *identity
}

func (h *workloads) Handle(ctx context.Context, req ctrladmission.Request) ctrladmission.Response {
	if req.Operation != admissionv1.Update || req.SubResource != "" {
		return ctrladmission.Allowed("")
	}
	if answer := h.self.own(ctx, req); answer != nil {
		return *answer
	}
	all, err := controller.RolloutsOf(ctx, h.reader, req.Namespace, req.Kind.Group, req.Kind.Kind, req.Name)
	if err != nil {
		return ctrladmission.Errored(http.StatusInternalServerError, err)
	}
	e := admission.Edit{Kind: req.Kind.Kind, Rollout: plan.Managing(all), User: req.UserInfo.Username}
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
	switch probe, err := h.self.writes(ctx, req, controller.ProbeManager); {
	case err != nil:
		return ctrladmission.Errored(http.StatusInternalServerError, err)
	case probe && ptr.Deref(req.DryRun, false):
		return answerProbe(req, edited)
	}
	e.Old = old
	if e.New, err = controller.Below(ctx, h.reader, e.Driver, edited); err != nil {
		return ctrladmission.Errored(http.StatusInternalServerError, err)
	}
	unseen := unknownIn(req, old, edited)
	before, _ := edited.DeepCopyObject().(client.Object)
	stored, warnings := admission.Admit(e)
	if len(unseen) > 0 {
		warnings = append(warnings, fmt.Sprintf("%s %q: this version of Kruise Rollouts does not know %s; a change of that alone is not held, and not released in steps",
			req.Kind.Kind, req.Name, strings.Join(unseen, ", ")))
	}
	return answered(req, before, stored).WithWarnings(warnings...)
}

// unshare takes the fields of the spec that admission has changed from those of their owners who would be in each other's way.
func unshare(object, before, after map[string]any) {
	changed := fieldpath.NewSet()
	spec := fieldpath.MakePathOrDie("spec")
	changedBelow(spec, fieldsOf(before, "spec"), fieldsOf(after, "spec"), changed)
	if changed.Empty() {
		return
	}
	u := &unstructured.Unstructured{Object: object}
	owners := plan.Unshared(u.GetManagedFields(), changed)
	if !equality.Semantic.DeepEqual(owners, u.GetManagedFields()) {
		u.SetManagedFields(owners)
	}
}

func fieldsOf(of map[string]any, name string) map[string]any {
	m, _ := of[name].(map[string]any)
	return m
}

// changedBelow adds the paths of the values that differ. Lists count as one.
func changedBelow(at fieldpath.Path, before, after map[string]any, into *fieldpath.Set) {
	for _, name := range slices.Concat(slices.Collect(maps.Keys(before)), slices.Collect(maps.Keys(after))) {
		path := append(slices.Clone(at), fieldpath.PathElement{FieldName: &name})
		was, is := before[name], after[name]
		wasMap, wasOne := was.(map[string]any)
		isMap, isOne := is.(map[string]any)
		switch {
		case (wasOne || was == nil) && (isOne || is == nil) && (wasOne || isOne):
			changedBelow(path, wasMap, isMap, into)
		case !equality.Semantic.DeepEqual(was, is):
			into.Insert(path)
		}
	}
}

// unknownIn are the fields of the pod template that a request changes and our types lack.
func unknownIn(req ctrladmission.Request, old, edited client.Object) []string {
	template := func(o any) any {
		m, _ := o.(map[string]any)
		spec, _ := m["spec"].(map[string]any)
		return spec["template"]
	}
	before, err1 := raw.Decode(req.OldObject.Raw)
	after, err2 := raw.Decode(req.Object.Raw)
	typedBefore, err3 := raw.Of(old)
	typedAfter, err4 := raw.Of(edited)
	if errors.Join(err1, err2, err3, err4) != nil {
		return nil
	}
	return raw.Unknown("spec.template", template(before), template(after), template(typedBefore), template(typedAfter))
}

// answerProbe stamps the workload as if a release began, which shows that a change of its template would be held.
func answerProbe(req ctrladmission.Request, stamped client.Object) ctrladmission.Response {
	before, _ := stamped.DeepCopyObject().(client.Object)
	annotations := stamped.GetAnnotations()
	if annotations == nil {
		annotations = map[string]string{}
	}
	annotations[v1beta1.AnnotationInProgressing] = controller.ProbeManager
	stamped.SetAnnotations(annotations)
	return answered(req, before, stamped)
}

// fieldManager is who says to write.
func fieldManager(req ctrladmission.Request) string {
	options := metav1.UpdateOptions{} // patch options have the field, too
	_ = json.Unmarshal(req.Options.Raw, &options)
	return options.FieldManager
}

// answered answers with what turned edited, the request's object as our types have it, into stored.
func answered(req ctrladmission.Request, edited, stored client.Object) ctrladmission.Response {
	object, err1 := raw.Decode(req.Object.Raw)
	before, err2 := raw.Of(edited)
	after, err3 := raw.Of(stored)
	if err := errors.Join(err1, err2, err3); err != nil {
		return ctrladmission.Errored(http.StatusInternalServerError, err)
	}
	raw.Overlay(object, before, after)
	unshare(object, before, after)
	text, err := json.Marshal(object)
	if err != nil {
		return ctrladmission.Errored(http.StatusInternalServerError, fmt.Errorf("writing the object: %w", err))
	}
	return ctrladmission.PatchResponseFromRaw(req.Object.Raw, text)
}
