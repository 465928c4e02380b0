// SPDX-License-Identifier: Apache-2.0

package workload

import (
	"fmt"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// deployment moves a Deployment in batches with the native Deployment controller (docs/adr/0002): between batches the
// Deployment is held (paused); in a batch it moves with a maxSurge and maxUnavailable that let the native controller go
// just so far, because new pods never count as available.
type deployment struct{}

func (deployment) New() client.Object { return &appsv1.Deployment{} }

func (deployment) Needs() Needs { return Needs{Sets: true} }

func (deployment) State(o Objects, now time.Time) State {
	d, _ := o.Workload.(*appsv1.Deployment)
	replicas := ptr.Deref(d.Spec.Replicas, 1)
	original, engaged := originalOf(d)
	s := stateOfAny(d, d.Status.ObservedGeneration)
	s.Replicas, s.KeepsOne, s.Held = replicas, true, d.Spec.Paused
	s.Engaged = engaged || d.Spec.MinReadySeconds == neverReady && original.Left == nil
	current, others := split(d, o.Sets)
	for _, set := range others {
		s.Others += ptr.Deref(set.Spec.Replicas, 1)
	}
	if s.Stable == "" {
		s.Stable = stableAmong(others)
	}
	if current == nil {
		return s
	}
	s.Update = revision(current)
	s.Updated, s.UpdatedReady = current.Status.Replicas, current.Status.ReadyReplicas
	s.Complete = !s.Stale && s.Others == 0 && current.Status.ObservedGeneration >= current.Generation &&
		d.Status.Replicas == replicas && d.Status.UpdatedReplicas == replicas && d.Status.AvailableReplicas == replicas
	if o.Pods != nil {
		s.readPods(o.Pods, original.MinReadySeconds, now, ownedBy(current.UID))
	}
	s.Blocked = append(s.Blocked, refused(current)...)
	return s
}

// readPods judges readiness by the pods themselves: the native counts say that no new pod is available.
func (s *State) readPods(pods []*corev1.Pod, minReady int32, now time.Time, updated func(*corev1.Pod) bool) {
	s.Updated, s.UpdatedReady, s.UpdatedPods, s.Trouble, s.Blocked, s.ReadyAt = 0, 0, nil, nil, nil, time.Time{} // it may have been read before, by other rules
	for _, pod := range pods {
		if !active(pod) || !updated(pod) {
			continue
		}
		s.Updated++
		s.UpdatedPods = append(s.UpdatedPods, pod)
		since, ready := readySince(pod)
		at := since.Add(time.Duration(minReady) * time.Second)
		switch {
		case ready && (minReady == 0 || !now.Before(at)):
			s.UpdatedReady++
		case ready:
			if s.ReadyAt.IsZero() || at.Before(s.ReadyAt) {
				s.ReadyAt = at
			}
		default:
			if why := trouble(pod); why != "" {
				s.Trouble = append(s.Trouble, why)
			}
			s.Blocked = append(s.Blocked, blocked(pod))
		}
	}
	slices.SortFunc(s.UpdatedPods, func(a, b *corev1.Pod) int {
		if c := a.CreationTimestamp.Compare(b.CreationTimestamp.Time); c != 0 {
			return c
		}
		return strings.Compare(a.Name, b.Name)
	})
	slices.Sort(s.Trouble)
	slices.SortFunc(s.Blocked, func(a, b Blocked) int { return strings.Compare(a.Object.Name, b.Object.Name) })
}

func ownedBy(uid types.UID) func(*corev1.Pod) bool {
	return func(pod *corev1.Pod) bool { return controllerOf(pod) == uid }
}

// split finds the ReplicaSet of d's template, the oldest where there are several, and returns the others next to it.
func split(d *appsv1.Deployment, sets []*appsv1.ReplicaSet) (current *appsv1.ReplicaSet, others []*appsv1.ReplicaSet) {
	for _, set := range sets {
		if !sameTemplate(&set.Spec.Template, &d.Spec.Template) {
			continue
		}
		if current == nil || set.CreationTimestamp.Before(&current.CreationTimestamp) {
			current = set
		}
	}
	for _, set := range sets {
		if set != current {
			others = append(others, set)
		}
	}
	return current, others
}

// sameTemplate compares pod templates but for the label that the native controller adds. Users may set that label, too.
func sameTemplate(a, b *corev1.PodTemplateSpec) bool {
	if equality.Semantic.DeepEqual(a, b) {
		return true
	}
	a, b = a.DeepCopy(), b.DeepCopy()
	delete(a.Labels, appsv1.DefaultDeploymentUniqueLabelKey)
	delete(b.Labels, appsv1.DefaultDeploymentUniqueLabelKey)
	return equality.Semantic.DeepEqual(a, b)
}

// stableAmong picks the revision a release starts from: of the active sets the one with the lowest revision.
func stableAmong(sets []*appsv1.ReplicaSet) string {
	stable := (*appsv1.ReplicaSet)(nil)
	for _, set := range sets {
		if set.DeletionTimestamp != nil || ptr.Deref(set.Spec.Replicas, 1) == 0 {
			continue
		}
		if stable == nil || number(set) < number(stable) ||
			number(set) == number(stable) && set.CreationTimestamp.Before(&stable.CreationTimestamp) {
			stable = set
		}
	}
	if stable == nil {
		return ""
	}
	return revision(stable)
}

// revision is the value of the label that all pods of a set carry.
func revision(set *appsv1.ReplicaSet) string {
	return set.Labels[appsv1.DefaultDeploymentUniqueLabelKey]
}

// number is the native controller's count of templates; 0 where it has set none yet.
func number(set *appsv1.ReplicaSet) int64 {
	n := int64(0)
	_, _ = fmt.Sscan(set.Annotations["deployment.kubernetes.io/revision"], &n)
	return n
}
