// SPDX-License-Identifier: Apache-2.0

package workload

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kruise.io/rollouts/api/v1beta1"
)

// canary renders the Deployment that stands next to a.d: with the same selector and template, because ReplicaSets are told
// apart by who controls them; with the owner's strategy instead of what is held; and from the start at its size.
func (a sides) canary(o Objects, t Target, size int32) *appsv1.Deployment {
	own := a.d.DeepCopy()
	original, _ := originalOf(own)
	original.restore(own)
	own.Spec.Paused = false // its pods are ordered, whatever its owner's own do
	own.Spec.Replicas = &size
	canary := &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{
			Namespace:       a.d.Namespace,
			Labels:          map[string]string{v1beta1.LabelCanaryDeployment: a.d.Name},
			Annotations:     map[string]string{v1beta1.AnnotationControlInfo: t.Claim},
			Finalizers:      []string{v1beta1.FinalizerCanaryDeployment},
			OwnerReferences: []metav1.OwnerReference{t.Owner},
		},
		Spec: own.Spec,
	}
	patch := t.Patch
	if a.dying != nil { // what replaces it has the revision that is being released
		patch = patchOf(a.dying)
	}
	if patch != nil && len(patch.Labels)+len(patch.Annotations) > 0 {
		canary.Annotations[v1beta1.AnnotationPatchedMetadata] = encode(patch)
		canary.Spec.Template = patched(&own.Spec.Template, patch)
	}
	for try := 0; ; try++ {
		canary.Name = canaryName(a.d.Name, string(t.Owner.UID), &canary.Spec.Template, try)
		if !slices.ContainsFunc(o.Canaries, func(other *appsv1.Deployment) bool { return other.Name == canary.Name }) {
			return canary
		}
	}
}

// canaryName is given, not generated, so that a second creation is refused (docs/adr/0006): the same BatchRelease makes
// the same name for the same template, and another one where a Deployment that was deleted still has it.
func canaryName(stable, release string, template *corev1.PodTemplateSpec, try int) string {
	const letters, length, longest = "bcdfghjklmnpqrstvwxz2456789", 5, 253
	h := fnv.New64a()
	_, _ = fmt.Fprintf(h, "%s/%d/%s", release, try, encode(template))
	sum := h.Sum64()
	suffix := make([]byte, length)
	for i := range suffix {
		suffix[i] = letters[sum%uint64(len(letters))]
		sum /= uint64(len(letters))
	}
	return stable[:min(len(stable), longest-length-1)] + "-" + string(suffix)
}

// madeFrom reports whether a canary Deployment was made from a template: it remembers which metadata it has on top.
func madeFrom(canary *appsv1.Deployment, template *corev1.PodTemplateSpec) bool {
	if patch := patchOf(canary); patch != nil {
		with := patched(template, patch)
		return sameTemplate(&canary.Spec.Template, &with)
	}
	return sameTemplate(&canary.Spec.Template, template)
}

// patchOf reads what metadata a canary Deployment's template has on top; nil: none.
func patchOf(canary *appsv1.Deployment) *v1beta1.PatchPodTemplateMetadata {
	patch := &v1beta1.PatchPodTemplateMetadata{}
	if err := json.Unmarshal([]byte(canary.Annotations[v1beta1.AnnotationPatchedMetadata]), patch); err != nil {
		return nil
	}
	return patch
}

// patched returns a template with labels and annotations on top.
func patched(template *corev1.PodTemplateSpec, patch *v1beta1.PatchPodTemplateMetadata) corev1.PodTemplateSpec {
	with := *template.DeepCopy()
	for key, value := range patch.Labels {
		metav1.SetMetaDataLabel(&with.ObjectMeta, key, value)
	}
	for key, value := range patch.Annotations {
		metav1.SetMetaDataAnnotation(&with.ObjectMeta, key, value)
	}
	return with
}
