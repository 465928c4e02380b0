// SPDX-License-Identifier: Apache-2.0

package workload

import (
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/rollouts/api/v1beta1"
)

// ownKeys are the annotations and labels of a workload that only a release writes.
var ownKeys = struct{ annotations, labels []string }{
	annotations: append([]string{v1beta1.AnnotationOriginalStrategy, v1beta1.AnnotationDeploymentStrategy, v1beta1.AnnotationControlInfo}, daemonAnnotations...),
	labels:      []string{v1beta1.LabelStableRevision, v1beta1.LabelWorkloadType},
}

// Starts (docs/wire.md, admission of Deployments): a first deployment is not a release, and neither is a change of
// anything but the template.
func (deployment) Starts(o Objects, old client.Object) bool {
	edited, _ := o.Workload.(*appsv1.Deployment)
	before, _ := old.(*appsv1.Deployment)
	if ptr.Deref(edited.Spec.Replicas, 1) == 0 || sameTemplate(&edited.Spec.Template, &before.Spec.Template) {
		return false
	}
	return stableAmong(o.Sets) != "" || before.Annotations[v1beta1.AnnotationInProgressing] != ""
}

// Hold pauses, remembers the user's strategy and stamps the release, all in the update that changes the template.
func (dr deployment) Hold(o Objects, old client.Object, rollout, stable string) client.Object {
	edited, _ := o.Workload.(*appsv1.Deployment)
	before, _ := old.(*appsv1.Deployment)
	current, others := split(edited, o.Sets)
	d, _ := dr.Keep(edited, before).(*appsv1.Deployment)
	original, engaged := originalOf(d)
	if !engaged && original.Left == nil { // that pause was a release's
		original.Paused = d.Spec.Paused
	}
	if again, ok := originalOf(edited); ok && !engaged && again.holds(edited) {
		original = again // the API server asks again, because another webhook has changed what we returned
	}
	original.still(d, o.Sets, false)
	known := leftBehind(before) && slices.ContainsFunc(o.Sets, func(set *appsv1.ReplicaSet) bool { // of the release that was left
		return revision(set) == d.Labels[v1beta1.LabelStableRevision] && ptr.Deref(set.Spec.Replicas, 1) > 0
	})
	if !known && (d.Labels[v1beta1.LabelStableRevision] == "" || before.Annotations[v1beta1.AnnotationInProgressing] == "") {
		from := stableFrom(others, stable)
		if from == "" && current != nil && ptr.Deref(current.Spec.Replicas, 1) > 0 {
			from = revision(current) // a version that never came, because nothing moved, is taken back
		}
		set(d.GetLabels, d.SetLabels, v1beta1.LabelStableRevision, from)
	}
	stamp(d, rollout, "")
	return d
}

// stableFrom is the revision a new release starts from: the one the Rollout recorded, as long as it runs, because a
// roll-back leaves the bad version with the lower number.
func stableFrom(others []*appsv1.ReplicaSet, recorded string) string {
	for _, set := range others {
		if recorded != "" && revision(set) == recorded && ptr.Deref(set.Spec.Replicas, 1) > 0 {
			return recorded
		}
	}
	return stableAmong(others)
}

// Keep lets a user's edit through but for what the release holds. Values of the strategy that differ from what is held
// are what the user wants from now on: they become the original. Annotations and labels of the release are neither
// lost nor brought back from the past (kubectl rollout undo copies those of an old ReplicaSet).
func (deployment) Keep(edited, old client.Object) client.Object {
	d, _ := edited.DeepCopyObject().(*appsv1.Deployment)
	before, _ := old.(*appsv1.Deployment)
	keepKeys(d, before)
	original, engaged := originalOf(before)
	if !engaged {
		return d
	}
	amended := original.amended(&before.Spec, &d.Spec, current(d)).with(deploymentFields.declared(d, before))
	d.Spec.Paused = before.Spec.Paused
	// What is the owner's own while the Deployment is held shows the edit: taken back, it is seen as that.
	if d.Spec.MinReadySeconds = amended.MinReadySeconds; before.Spec.MinReadySeconds != original.MinReadySeconds {
		d.Spec.MinReadySeconds = before.Spec.MinReadySeconds
	}
	if d.Spec.ProgressDeadlineSeconds = amended.ProgressDeadlineSeconds; !equality.Semantic.DeepEqual(before.Spec.ProgressDeadlineSeconds, original.ProgressDeadlineSeconds) {
		d.Spec.ProgressDeadlineSeconds = before.Spec.ProgressDeadlineSeconds
	}
	d.Spec.Strategy = *before.Spec.Strategy.DeepCopy()
	if !equality.Semantic.DeepEqual(amended, original) {
		amended.write(d)
	}
	return d
}

// amended returns the original with what a user changed in a held or moving spec: wanted is the edited spec's own.
func (o original) amended(before, after *appsv1.DeploymentSpec, wanted original) original {
	if after.Paused != before.Paused {
		o.Paused = after.Paused
	}
	if after.MinReadySeconds != before.MinReadySeconds {
		o.MinReadySeconds = wanted.MinReadySeconds
	}
	if !equality.Semantic.DeepEqual(after.ProgressDeadlineSeconds, before.ProgressDeadlineSeconds) {
		o.ProgressDeadlineSeconds = wanted.ProgressDeadlineSeconds
	}
	if equality.Semantic.DeepEqual(after.Strategy, before.Strategy) {
		return o
	}
	if o.Type != wanted.Type { // a limit that happens to be what is held at the moment is wanted, too
		o.Type, o.MaxSurge, o.MaxUnavailable = wanted.Type, wanted.MaxSurge, wanted.MaxUnavailable
		return o
	}
	was, is := ptr.Deref(before.Strategy.RollingUpdate, appsv1.RollingUpdateDeployment{}), ptr.Deref(after.Strategy.RollingUpdate, appsv1.RollingUpdateDeployment{})
	if !equality.Semantic.DeepEqual(is.MaxSurge, was.MaxSurge) {
		o.MaxSurge = is.MaxSurge
	}
	if !equality.Semantic.DeepEqual(is.MaxUnavailable, was.MaxUnavailable) {
		o.MaxUnavailable = is.MaxUnavailable
	}
	return o
}
