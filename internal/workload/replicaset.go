// SPDX-License-Identifier: Apache-2.0

package workload

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/rand"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/rollouts/api/v1beta1"
)

// replicaSet drives a ReplicaSet that no Deployment controls. It never replaces a pod, and its pods carry no revision. So a
// release puts one into the template as a label, by which pods made since are distinguished from others, and deletes old pods, so
// that they come back new. Nothing has to be held.
type replicaSet struct{}

func newReplicaSet(schema.GroupVersionKind) Driver { return replicaSet{} }

// replicaSetUnavailable is how many pods may be unavailable: the default of Deployments, for want of a strategy.
const replicaSetUnavailable = "25%"

func (replicaSet) New() client.Object { return &appsv1.ReplicaSet{} }

func (replicaSet) Needs() Needs { return Needs{} }

func (replicaSet) State(o Objects, now time.Time) State {
	set, _ := o.Workload.(*appsv1.ReplicaSet)
	s := stateOfAny(set, set.Status.ObservedGeneration)
	s.Replicas = ptr.Deref(set.Spec.Replicas, 1)
	s.Update = templateRevision(&set.Spec.Template)
	s.Held, s.KeepsNew = true, true // it does not move by itself
	s.Engaged = s.Stable != "" || s.Claim != ""
	// Its controller counts the pods that have all labels of the template, the revision's too. Where the template has none
	// yet, no one knows of any pod that it was made from this one.
	if set.Spec.Template.Labels[byRevision] != "" {
		s.Updated = set.Status.FullyLabeledReplicas
	}
	s.Others = max(0, set.Status.Replicas-s.Updated)
	if o.Pods != nil {
		s.readPods(o.Pods, set.Spec.MinReadySeconds, now, func(pod *corev1.Pod) bool {
			return controllerOf(pod) == set.UID && !outdated(pod, s)
		})
		s.Others = 0
		for _, pod := range o.Pods {
			if active(pod) && controllerOf(pod) == set.UID && outdated(pod, s) {
				s.Others++
			}
		}
	}
	s.Blocked = append(s.Blocked, refused(set)...)
	s.Complete = !s.Stale && s.Others == 0 && set.Status.Replicas == s.Replicas && set.Status.AvailableReplicas == s.Replicas
	return s
}

// outdated reports whether a pod is of another revision. One without a label was made before there were any in the template:
// it is of the version the first release started from.
func outdated(pod *corev1.Pod, s State) bool {
	if pod.Labels[byRevision] == "" {
		return s.Stable == "" || s.Update != s.Stable
	}
	return pod.Labels[byRevision] != s.Update
}

// templateRevision is the revision of a template: its label, or else what a release would put there. The label counts even if
// the template was changed after: later defaults of the API server make no new version.
func templateRevision(template *corev1.PodTemplateSpec) string {
	if label := template.Labels[byRevision]; label != "" {
		return label
	}
	return hashOfTemplate(template)
}

func hashOfTemplate(template *corev1.PodTemplateSpec) string {
	raw, _ := json.Marshal(unlabelled(template)) // the type can always be written
	h := fnv.New32a()
	_, _ = h.Write(raw)
	return rand.SafeEncodeString(fmt.Sprint(h.Sum32()))
}

func unlabelled(template *corev1.PodTemplateSpec) *corev1.PodTemplateSpec {
	template = template.DeepCopy()
	delete(template.Labels, byRevision)
	return template
}

func label(template *corev1.PodTemplateSpec, revision string) {
	if template.Labels == nil {
		template.Labels = map[string]string{}
	}
	template.Labels[byRevision] = revision
}

func sameButRevision(a, b *corev1.PodTemplateSpec) bool {
	return equality.Semantic.DeepEqual(unlabelled(a), unlabelled(b))
}

// Starts: those of Deployments are the Deployments' own.
func (replicaSet) Starts(o Objects, old client.Object) bool {
	edited, _ := o.Workload.(*appsv1.ReplicaSet)
	before, _ := old.(*appsv1.ReplicaSet)
	return controllerOf(edited) == "" && ptr.Deref(edited.Spec.Replicas, 1) > 0 && ptr.Deref(before.Spec.Replicas, 1) > 0 && before.Status.ObservedGeneration > 0 &&
		!sameButRevision(&edited.Spec.Template, &before.Spec.Template)
}

func (r replicaSet) Hold(o Objects, old client.Object, rollout, recorded string) client.Object {
	edited, _ := o.Workload.(*appsv1.ReplicaSet)
	before, _ := old.(*appsv1.ReplicaSet)
	w := edited.DeepCopy()
	keepKeys(w, before)
	label(&w.Spec.Template, hashOfTemplate(&edited.Spec.Template))
	if w.Labels[v1beta1.LabelStableRevision] == "" || before.Annotations[v1beta1.AnnotationInProgressing] == "" {
		stable := templateRevision(&before.Spec.Template)
		if sameButRevision(&edited.Spec.Template, &before.Spec.Template) { // admission did not see it before
			stable = before.Labels[v1beta1.LabelStableRevision]
			if stable == "" {
				stable = recorded
			}
		}
		set(w.GetLabels, w.SetLabels, v1beta1.LabelStableRevision, stable)
	}
	stamp(w, rollout, "")
	return w
}

// Keep puts the label of the revision back where a user's edit leaves it out.
func (replicaSet) Keep(edited, old client.Object) client.Object {
	w, _ := edited.DeepCopyObject().(*appsv1.ReplicaSet)
	before, _ := old.(*appsv1.ReplicaSet)
	keepKeys(w, before)
	if revision := before.Spec.Template.Labels[byRevision]; revision != "" {
		label(&w.Spec.Template, revision)
	}
	return w
}

func (replicaSet) Move(o Objects, s State, t Target) Objects {
	have, _ := o.Workload.(*appsv1.ReplicaSet)
	w := have.DeepCopy()
	next := o
	next.Workload = w
	own(w, t)
	label(&w.Spec.Template, s.Update)
	if !t.Back {
		next.Pods = renewed(o, s, t.Updated)
	}
	return next
}

// renewed deletes old pods until want are new. One made before its controller has seen the label would be an old one again.
func renewed(o Objects, s State, want int32) []*corev1.Pod {
	w, _ := o.Workload.(*appsv1.ReplicaSet)
	if s.Stale || w.Spec.Template.Labels[byRevision] == "" {
		return o.Pods
	}
	unavailable := allowed(replicaSetUnavailable, replicaSetUnavailable, s.Replicas)
	return replaced(o.Pods, s, want, unavailable, func(pod *corev1.Pod) bool {
		return controllerOf(pod) == w.UID && outdated(pod, s)
	})
}

// Free lets it go as it is, with the label of the revision: its own controller never replaces a pod. But no one else takes pods
// back to the version that is known to work.
func (r replicaSet) Free(o Objects) client.Object {
	have, _ := o.Workload.(*appsv1.ReplicaSet)
	w := have.DeepCopy()
	if s := r.State(o, time.Time{}); s.Stable != "" && s.Update == s.Stable && s.Others > 0 {
		return w
	}
	let(w)
	return w
}

func (replicaSet) Leave(o Objects) client.Object {
	have, _ := o.Workload.(*appsv1.ReplicaSet)
	w := have.DeepCopy()
	let(w)
	return w
}

// Unstick replaces the pods that are left, where somebody waits for it: its own controller does not.
func (replicaSet) Unstick(o Objects, s State, policy v1beta1.FinalizingPolicyType) Objects {
	if s.Engaged || policy == v1beta1.WaitResumeFinalizingPolicy {
		o.Pods = renewed(o, s, s.Replicas)
	}
	return o
}

func (replicaSet) Disown(w client.Object) client.Object { return disowned(w) }
