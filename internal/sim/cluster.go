// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/rollouts/api/v1alpha1"
	"kruise.io/rollouts/api/v1beta1"
)

// Cluster plays the controllers and the nodes of one namespace, one object at a time and whenever it is asked to. All it
// knows is in the API; it may be made anew at any time.
type Cluster struct {
	Client    client.Client
	Namespace string
	Now       func() time.Time
	// Scheduled says that somebody else binds pods to nodes; else they are bound as they are made.
	Scheduled bool
	// Parallel is how many pods are written at a time; 0: one after the other, in a fixed order.
	Parallel int

	made int // pods, for their names
}

// Sync runs one pass of everything in the cluster, and returns when the next pass is due by
// itself; zero: only once something changes.
func (c *Cluster) Sync(ctx context.Context) (next time.Time, err error) {
	due := func(t time.Time) {
		if !t.IsZero() && (next.IsZero() || t.Before(next)) {
			next = t
		}
	}
	if err := c.CollectGarbage(ctx); err != nil {
		return next, err
	}
	deployments := &appsv1.DeploymentList{}
	if err := c.Client.List(ctx, deployments, client.InNamespace(c.Namespace)); err != nil {
		return next, fmt.Errorf("listing Deployments: %w", err)
	}
	for i := range deployments.Items {
		if err := c.SyncDeployment(ctx, &deployments.Items[i]); err != nil {
			return next, err
		}
	}
	sets := &appsv1.ReplicaSetList{}
	if err := c.Client.List(ctx, sets, client.InNamespace(c.Namespace)); err != nil {
		return next, fmt.Errorf("listing ReplicaSets: %w", err)
	}
	for i := range sets.Items {
		t, err := c.SyncReplicaSet(ctx, &sets.Items[i])
		if err != nil {
			return next, err
		}
		due(t)
	}
	t, err := c.syncOwners(ctx)
	due(t)
	if err != nil {
		return next, err
	}
	t, err = c.RunPods(ctx)
	due(t)
	if err != nil {
		return next, err
	}
	return next, c.SyncServices(ctx)
}

// RunPods lets the kubelets take up all pods.
func (c *Cluster) RunPods(ctx context.Context) (next time.Time, err error) {
	pods := &corev1.PodList{}
	if err := c.Client.List(ctx, pods, client.InNamespace(c.Namespace)); err != nil {
		return next, fmt.Errorf("listing pods: %w", err)
	}
	for i := range pods.Items {
		pod := &pods.Items[i]
		step := Kubelet(pod, PodRecord{}, c.Now())
		switch {
		case step.Remove:
			err = c.Client.Delete(ctx, pod, client.GracePeriodSeconds(0))
		case step.Status != nil:
			pod.Status = *step.Status
			err = c.Client.Status().Update(ctx, pod)
		}
		if client.IgnoreNotFound(err) != nil {
			return next, fmt.Errorf("running pod %s: %w", pod.Name, err)
		}
		if step.After > 0 {
			if t := c.Now().Add(step.After); next.IsZero() || t.Before(next) {
				next = t
			}
		}
	}
	return next, nil
}

// CollectGarbage deletes what has lost its owner, and what a deletion in the foreground goes before its owner.
func (c *Cluster) CollectGarbage(ctx context.Context) error {
	lists := []client.ObjectList{
		&v1beta1.RolloutList{}, &v1beta1.BatchReleaseList{}, &appsv1.DeploymentList{}, &appsv1.ReplicaSetList{}, &corev1.PodList{},
		&corev1.ServiceList{}, &discoveryv1.EndpointSliceList{}, &networkingv1.IngressList{},
		&appsv1.StatefulSetList{}, &appsv1.DaemonSetList{}, &appsv1.ControllerRevisionList{}, &v1alpha1.TrafficRoutingList{},
	}
	var all []client.Object
	there := map[types.UID]bool{}
	for _, list := range lists {
		if err := c.Client.List(ctx, list, client.InNamespace(c.Namespace)); err != nil {
			return fmt.Errorf("listing %T: %w", list, err)
		}
		for _, o := range itemsOf(list) {
			all = append(all, o)
			there[o.GetUID()] = true
		}
	}
	for _, kind := range KruiseKinds {
		items, err := c.listKruise(ctx, kind)
		if err != nil {
			return err
		}
		for i := range items {
			all = append(all, &items[i])
			there[items[i].GetUID()] = true
		}
	}
	for _, o := range all {
		if err := c.finalize(ctx, o, all); err != nil {
			return err
		}
		owner := metav1.GetControllerOf(o)
		if owner == nil || there[owner.UID] || o.GetDeletionTimestamp() != nil {
			continue
		}
		if err := c.Client.Delete(ctx, o); client.IgnoreNotFound(err) != nil {
			return fmt.Errorf("collecting %T %s: %w", o, o.GetName(), err)
		}
	}
	return nil
}

// finalize goes on with the deletion of an object in the foreground: what it controls goes first.
func (c *Cluster) finalize(ctx context.Context, o client.Object, all []client.Object) error {
	if o.GetDeletionTimestamp() == nil || !slices.Contains(o.GetFinalizers(), metav1.FinalizerDeleteDependents) {
		return nil
	}
	waits := false
	for _, dependent := range all {
		if !metav1.IsControlledBy(dependent, o) {
			continue
		}
		waits = true
		err := c.Client.Delete(ctx, dependent, client.PropagationPolicy(metav1.DeletePropagationForeground))
		if dependent.GetDeletionTimestamp() == nil && client.IgnoreNotFound(err) != nil {
			return fmt.Errorf("deleting %T %s before its owner: %w", dependent, dependent.GetName(), err)
		}
	}
	if waits {
		return nil
	}
	o.SetFinalizers(slices.DeleteFunc(o.GetFinalizers(), func(f string) bool { return f == metav1.FinalizerDeleteDependents }))
	return ignoreRace(c.Client.Update(ctx, o))
}

func itemsOf(list client.ObjectList) []client.Object {
	var items []client.Object
	_ = meta.EachListItem(list, func(o runtime.Object) error { // of a list, which it is
		if item, ok := o.(client.Object); ok {
			items = append(items, item)
		}
		return nil
	})
	return items
}

// SyncReplicaSet does what the ReplicaSet controller does, and returns when the next pod becomes available.
func (c *Cluster) SyncReplicaSet(ctx context.Context, set *appsv1.ReplicaSet) (next time.Time, err error) {
	list := &corev1.PodList{}
	if err := c.Client.List(ctx, list, client.InNamespace(c.Namespace)); err != nil {
		return next, fmt.Errorf("listing pods: %w", err)
	}
	var pods []*corev1.Pod
	for i := range list.Items {
		pod := &list.Items[i]
		active := pod.DeletionTimestamp == nil && pod.Status.Phase != corev1.PodFailed && pod.Status.Phase != corev1.PodSucceeded
		if metav1.IsControlledBy(pod, set) && active {
			pods = append(pods, pod)
		}
	}
	status := appsv1.ReplicaSetStatus{ObservedGeneration: set.Generation, Conditions: set.Status.Conditions}
	status.Replicas = int32(len(pods)) //nolint:gosec // a few pods
	template := labels.SelectorFromSet(set.Spec.Template.Labels)
	for _, pod := range pods {
		if template.Matches(labels.Set(pod.Labels)) {
			status.FullyLabeledReplicas++
		}
		since, ready := readySince(pod)
		if !ready {
			continue
		}
		status.ReadyReplicas++
		at := since.Add(time.Duration(set.Spec.MinReadySeconds) * time.Second)
		if set.Spec.MinReadySeconds == 0 || at.Before(c.Now()) {
			status.AvailableReplicas++
		} else if next.IsZero() || at.Before(next) {
			next = at.Add(time.Second)
		}
	}
	if set.DeletionTimestamp == nil {
		refused, err := c.scalePods(ctx, set, pods, len(list.Items))
		if err != nil {
			return next, err
		}
		if status.Conditions = nil; refused != "" {
			next = c.Now().Add(time.Second)
			status.Conditions = []appsv1.ReplicaSetCondition{{Type: appsv1.ReplicaSetReplicaFailure, Status: corev1.ConditionTrue, Reason: "FailedCreate", Message: refused}}
		}
	}
	if equality.Semantic.DeepEqual(set.Status, status) {
		return next, nil
	}
	set.Status = status
	return next, ignoreRace(c.Client.Status().Update(ctx, set))
}

// scalePods makes or deletes pods: the ones that are not ready go first, then the youngest. All is how many there are in the
// namespace, for which there may be a quota; refused is what the API server says of a pod beyond that.
func (c *Cluster) scalePods(ctx context.Context, set *appsv1.ReplicaSet, pods []*corev1.Pod, all int) (refused string, err error) {
	slices.SortStableFunc(pods, func(a, b *corev1.Pod) int {
		_, readyA := readySince(a)
		_, readyB := readySince(b)
		switch {
		case readyA != readyB && readyB:
			return -1
		case readyA != readyB:
			return 1
		default:
			if c := b.CreationTimestamp.Compare(a.CreationTimestamp.Time); c != 0 {
				return c
			}
			return strings.Compare(b.Name, a.Name)
		}
	})
	for range int(count(set)) - len(pods) {
		c.made++
		pod := &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{
				Namespace: set.Namespace, Name: fmt.Sprintf("%s-%05d", set.Name, c.made),
				Labels: set.Spec.Template.Labels, Annotations: set.Spec.Template.Annotations,
				OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(set, appsv1.SchemeGroupVersion.WithKind("ReplicaSet"))},
			},
			Spec: set.Spec.Template.Spec,
		}
		pod.Spec.NodeName = "node"
		if refused, err = c.overQuota(ctx, set, all); refused != "" || err != nil {
			return refused, err
		}
		if err := c.Client.Create(ctx, pod); err != nil {
			return "", fmt.Errorf("making a pod: %w", err)
		}
		all++
	}
	for i := 0; i < len(pods)-int(count(set)); i++ {
		if err := c.Client.Delete(ctx, pods[i]); client.IgnoreNotFound(err) != nil {
			return "", fmt.Errorf("deleting a pod: %w", err)
		}
	}
	return "", nil
}

// overQuota is what the API server says of one pod more than a ResourceQuota allows; "": there is none, or it allows it.
func (c *Cluster) overQuota(ctx context.Context, set *appsv1.ReplicaSet, pods int) (string, error) {
	quotas := &corev1.ResourceQuotaList{}
	if err := c.Client.List(ctx, quotas, client.InNamespace(set.Namespace)); err != nil {
		return "", fmt.Errorf("listing quotas: %w", err)
	}
	for _, q := range quotas.Items {
		if most, limited := q.Spec.Hard[corev1.ResourcePods]; limited && int64(pods) >= most.Value() {
			return fmt.Sprintf("pods %q is forbidden: exceeded quota: %s, requested: pods=1, used: pods=%d, limited: pods=%d", set.Name+"-"+"00000", q.Name, pods, most.Value()), nil
		}
	}
	return "", nil
}

// readySince returns since when a pod has been ready; false: it is not.
func readySince(pod *corev1.Pod) (time.Time, bool) {
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodReady {
			return c.LastTransitionTime.Time, c.Status == corev1.ConditionTrue
		}
	}
	return time.Time{}, false
}

// ignoreRace forgives a controller that lost a race: it checks again.
func ignoreRace(err error) error {
	if apierrors.IsConflict(err) || apierrors.IsNotFound(err) {
		return nil
	}
	return err
}
