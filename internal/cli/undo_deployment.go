// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/cli-runtime/pkg/resource"
	cmdutil "k8s.io/kubectl/pkg/cmd/util"
	nativedescribe "k8s.io/kubectl/pkg/describe"

	rolloutsv1beta1 "kruise.io/rollouts/api/v1beta1"
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
	template := set.Spec.Template.DeepCopy()
	delete(template.Labels, appsv1.DefaultDeploymentUniqueLabelKey)
	if o.dryRun == cmdutil.DryRunClient {
		out := &bytes.Buffer{}
		nativedescribe.DescribePodTemplate(template, nativedescribe.NewPrefixWriter(out))
		return out.String(), nil
	}
	if view.SameTemplate(template, &d.Spec.Template) {
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
