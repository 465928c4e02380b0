// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/cli-runtime/pkg/resource"
	cmdutil "k8s.io/kubectl/pkg/cmd/util"
	nativedescribe "k8s.io/kubectl/pkg/describe"

	rolloutsv1beta1 "kruise.io/rollouts/api/v1beta1"
	"kruise.io/rollouts/internal/raw"
	"kruise.io/rollouts/internal/view"
)

// deployment gives a Deployment the template of an earlier ReplicaSet. Unlike kubectl's own undo it does not refuse a
// paused one, which every Deployment is while it is released, and it keeps the release's annotations.
func (o *undo) deployment(ctx context.Context, info *resource.Info, d *appsv1.Deployment, stable string) (string, error) {
	sets, err := o.replicaSets(ctx, d)
	if err != nil {
		return "", fmt.Errorf("failed to retrieve replica sets from deployment %s: %w", d.Name, err)
	}
	set, err := o.earlier(d, sets, stable)
	if err != nil {
		return "", err
	}
	if o.dryRun == cmdutil.DryRunClient {
		template := set.Spec.Template.DeepCopy()
		delete(template.Labels, appsv1.DefaultDeploymentUniqueLabelKey)
		out := &bytes.Buffer{}
		nativedescribe.DescribePodTemplate(template, nativedescribe.NewPrefixWriter(out))
		return out.String(), nil
	}
	template, err := o.templateIn(ctx, set)
	if err != nil {
		return "", err
	}
	if view.SameTemplate(&set.Spec.Template, &d.Spec.Template) && sameUnknown(template, info.Object) {
		return fmt.Sprintf("skipped rollback (current template already matches revision %d)", o.toRevision), nil
	}
	patch, err := json.Marshal([]operation{
		{"replace", "/spec/template", template},
		{"replace", "/metadata/annotations", annotationsBack(d, set)},
	})
	if err != nil {
		return "", err
	}
	helper := resource.NewHelper(info.Client, info.Mapping).DryRun(o.dryRun == cmdutil.DryRunServer)
	obj, err := helper.Patch(info.Namespace, info.Name, types.JSONPatchType, patch, nil)
	if err != nil {
		return "", fmt.Errorf("failed restoring revision %d: %w", o.toRevision, err)
	}
	return "rolled back", info.Refresh(obj, true)
}

// templateIn is the template of a ReplicaSet as the server has it, which may know more of pods than this plugin.
func (o *undo) templateIn(ctx context.Context, set *appsv1.ReplicaSet) (map[string]any, error) {
	client, err := o.factory.DynamicClient()
	if err != nil {
		return nil, err
	}
	u, err := client.Resource(replicaSetResource).Namespace(set.Namespace).Get(ctx, set.Name, metav1.GetOptions{})
	if err != nil {
		return nil, fmt.Errorf("reading the template of revision %d: %w", view.Number(set), err)
	}
	template, found, err := unstructured.NestedMap(u.Object, "spec", "template")
	if err != nil || !found {
		return nil, fmt.Errorf("reading the template of revision %d: %w", view.Number(set), errors.Join(err, errNoTemplate))
	}
	unstructured.RemoveNestedField(template, "metadata", "labels", appsv1.DefaultDeploymentUniqueLabelKey)
	return template, nil
}

// sameUnknown reports whether a workload has a template in what this plugin does not know of it, too.
func sameUnknown(template map[string]any, workload runtime.Object) bool {
	u, _ := workload.(*unstructured.Unstructured)
	have, _, _ := unstructured.NestedMap(u.UnstructuredContent(), "spec", "template")
	known := func(t map[string]any) map[string]any {
		typed := &corev1.PodTemplateSpec{}
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(t, typed); err != nil {
			return nil
		}
		m, _ := runtime.DefaultUnstructuredConverter.ToUnstructured(typed)
		return m
	}
	return len(raw.Unknown("", have, template, known(have), known(template))) == 0
}

// earlier picks the ReplicaSet to go back to (docs/wire.md, clients).
func (o *undo) earlier(d *appsv1.Deployment, sets []*appsv1.ReplicaSet, stable string) (*appsv1.ReplicaSet, error) {
	numbered := slices.DeleteFunc(slices.Clone(sets), func(s *appsv1.ReplicaSet) bool { return view.Number(s) == 0 })
	slices.SortStableFunc(numbered, func(a, b *appsv1.ReplicaSet) int { return cmp.Compare(view.Number(b), view.Number(a)) })
	if o.toRevision != 0 {
		at := slices.IndexFunc(numbered, func(s *appsv1.ReplicaSet) bool { return view.Number(s) == o.toRevision })
		if at < 0 {
			return nil, fmt.Errorf("unable to find specified revision %d in history", o.toRevision)
		}
		return numbered[at], nil
	}
	inRelease := d.Annotations[rolloutsv1beta1.AnnotationInProgressing] != ""
	if inRelease {
		// What the release began with is where to go back to, however the revisions are numbered: after a roll-back the
		// stable one has the higher number, and a third version may have come in between.
		if set := begunWith(sets, d.Labels[rolloutsv1beta1.LabelStableRevision], stable); set != nil {
			return set, nil
		}
	}
	// In canary style the new version has a Deployment, and so a ReplicaSet, of its own.
	beside := inRelease && d.Spec.Paused && d.Annotations[rolloutsv1beta1.AnnotationDeploymentStrategy] == ""
	switch {
	case beside && len(numbered) > 0 && (len(numbered) == 1 || !view.SameTemplate(&numbered[0].Spec.Template, &d.Spec.Template)):
		return numbered[0], nil
	case len(numbered) > 1:
		return numbered[1], nil
	default:
		return nil, fmt.Errorf("no rollout history found for deployment %q", d.Name)
	}
}

// begunWith finds the ReplicaSet of the first hash there is one of.
func begunWith(sets []*appsv1.ReplicaSet, hashes ...string) *appsv1.ReplicaSet {
	for _, hash := range hashes {
		for _, set := range sets {
			if hash != "" && view.Hash(set) == hash {
				return set
			}
		}
	}
	return nil
}

// annotationsBack are the ReplicaSet's, but for those that belong to the Deployment as it is now.
func annotationsBack(d *appsv1.Deployment, set *appsv1.ReplicaSet) map[string]string {
	result := map[string]string{}
	for key, value := range d.Annotations {
		if staysWithDeployment(key) {
			result[key] = value
		}
	}
	for key, value := range set.Annotations {
		if !staysWithDeployment(key) {
			result[key] = value
		}
	}
	return result
}

func staysWithDeployment(key string) bool {
	return key == corev1.LastAppliedConfigAnnotation || key == appsv1.DeprecatedRollbackTo ||
		strings.HasPrefix(key, "deployment.kubernetes.io/") || strings.Contains(key, rolloutsv1beta1.GroupVersion.Group+"/")
}
