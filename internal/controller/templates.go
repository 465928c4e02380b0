// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"fmt"
	"slices"

	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"kruise.io/rollouts/api/v1beta1"
	"kruise.io/rollouts/internal/analysis"
	"kruise.io/rollouts/internal/plan"
)

// observeTemplates reads the templates that a Rollout's analyses name, and those that these name. One that does not exist is left
// out: who needs it says so.
func observeTemplates(ctx context.Context, c client.Reader, ro *v1beta1.Rollout) (have []analysis.Template, err error) {
	refs := plan.TemplateRefs(ro)
	for read := 0; ; {
		all := analysis.Refs(refs, have)
		if read == len(all) {
			return have, nil
		}
		for _, ref := range all[read:] {
			t := analysis.Template{Ref: ref}
			if t.Namespace, t.Spec, err = readTemplate(ctx, c, ro.Namespace, ref); err != nil {
				return nil, err
			}
			if t.Spec != nil {
				have = append(have, t)
			}
		}
		read = len(all)
	}
}

// readTemplate reads one; nil: it does not exist.
func readTemplate(ctx context.Context, c client.Reader, namespace string, ref v1beta1.AnalysisTemplateRef) (string, *v1beta1.AnalysisTemplateSpec, error) {
	var template client.Object
	var spec *v1beta1.AnalysisTemplateSpec
	if ref.ClusterScope {
		t := &v1beta1.ClusterAnalysisTemplate{}
		template, spec, namespace = t, &t.Spec, ""
	} else {
		t := &v1beta1.AnalysisTemplate{}
		template, spec = t, &t.Spec
	}
	switch err := c.Get(ctx, client.ObjectKey{Namespace: namespace, Name: ref.TemplateName}, template); {
	case client.IgnoreNotFound(err) != nil:
		return "", nil, fmt.Errorf("reading %T %s: %w", template, ref.TemplateName, err)
	case err != nil:
		return "", nil, nil //nolint:nilerr // it does not exist
	default:
		return namespace, spec, nil
	}
}

// analysing maps a template to the Rollouts with analyses, which may name it by way of others: those have to check again.
func (r referring) analysing(ctx context.Context, o client.Object) []reconcile.Request {
	list := r.list()
	if err := r.reader.List(ctx, list, client.InNamespace(o.GetNamespace())); err != nil {
		return nil
	}
	_, cluster := o.(*v1beta1.ClusterAnalysisTemplate)
	return requestsFor(list, func(o client.Object) bool {
		ro, ok := o.(*v1beta1.Rollout)
		refs := plan.TemplateRefs(ro)
		return ok && ro.Status.Phase == v1beta1.PhaseProgressing && (len(refs) > 0 && !cluster ||
			slices.ContainsFunc(refs, func(ref v1beta1.AnalysisTemplateRef) bool { return ref.ClusterScope || !ref.ClusterScope && cluster }))
	})
}
