// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"context"
	"fmt"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
)

// daemons is one pass over a DaemonSet of either group.
type daemons struct {
	*workload
	rolling        bool // else a pod is updated when somebody deletes it
	paused         bool
	partition      func(nodes int) int // pods that stay as they are
	maxUnavailable intstr.IntOrString
	maxSurge       intstr.IntOrString
	nodes          []string // that are to have a pod
	on             map[string][]*corev1.Pod
}

// SyncDaemonSet does what the native DaemonSet controller does, and returns when the next pod becomes available.
func (c *Cluster) SyncDaemonSet(ctx context.Context, set *appsv1.DaemonSet) (next time.Time, err error) {
	d := &daemons{
		workload: &workload{
			Cluster: c, object: set, kind: appsv1.SchemeGroupVersion.WithKind("DaemonSet"), template: set.Spec.Template, short: true,
			minReady: time.Duration(set.Spec.MinReadySeconds) * time.Second, keep: int(ptr.Deref(set.Spec.RevisionHistoryLimit, 10)),
		},
		rolling:        set.Spec.UpdateStrategy.Type != appsv1.OnDeleteDaemonSetStrategyType,
		partition:      func(int) int { return 0 },
		maxUnavailable: intstr.FromInt32(1),
	}
	if r := set.Spec.UpdateStrategy.RollingUpdate; r != nil {
		d.maxUnavailable = *intstr.ValueOrDefault(r.MaxUnavailable, d.maxUnavailable)
		d.maxSurge = *intstr.ValueOrDefault(r.MaxSurge, d.maxSurge)
	}
	if err := d.place(ctx); err != nil {
		return next, err
	}
	n := d.countNodes()
	status := appsv1.DaemonSetStatus{
		ObservedGeneration: set.Generation, CollisionCount: set.Status.CollisionCount, Conditions: set.Status.Conditions,
		DesiredNumberScheduled: int32(len(d.nodes)), CurrentNumberScheduled: int32(n.all), NumberReady: int32(n.ready), //nolint:gosec // counts of nodes
		NumberAvailable: int32(n.available), NumberUnavailable: int32(len(d.nodes) - n.available), UpdatedNumberScheduled: int32(n.updated), //nolint:gosec // counts of nodes
	}
	if set.DeletionTimestamp == nil {
		if err := d.sync(ctx); err != nil {
			return d.next, err
		}
	}
	if equality.Semantic.DeepEqual(set.Status, status) {
		return d.next, nil
	}
	set.Status = status
	return d.next, ignoreRace(c.Client.Status().Update(ctx, set))
}

// place finds out which nodes are to have a pod, and which pods they have.
func (d *daemons) place(ctx context.Context) error {
	if err := d.load(ctx, ""); err != nil {
		return err
	}
	list := &corev1.NodeList{}
	if err := d.Client.List(ctx, list); err != nil {
		return fmt.Errorf("listing nodes: %w", err)
	}
	selector := labels.SelectorFromSet(d.template.Spec.NodeSelector)
	for _, node := range list.Items {
		if node.DeletionTimestamp == nil && selector.Matches(labels.Set(node.Labels)) {
			d.nodes = append(d.nodes, node.Name)
		}
	}
	slices.Sort(d.nodes)
	d.on = map[string][]*corev1.Pod{}
	for _, pod := range d.pods {
		d.on[pod.Spec.NodeName] = append(d.on[pod.Spec.NodeName], pod)
	}
	for _, pods := range d.on { // the oldest is the one that counts
		slices.SortStableFunc(pods, func(a, b *corev1.Pod) int { return a.CreationTimestamp.Compare(b.CreationTimestamp.Time) })
	}
	return nil
}

// countNodes counts nodes by the best they have.
func (d *daemons) countNodes() counts {
	n := counts{}
	for _, node := range d.nodes {
		pods := firstActive(d.on[node])
		if len(pods) == 0 {
			continue
		}
		n.all++
		if slices.ContainsFunc(pods, func(pod *corev1.Pod) bool { _, ready := readySince(pod); return ready }) {
			n.ready++
		}
		if slices.ContainsFunc(pods, d.available) {
			n.available++
		}
		if slices.ContainsFunc(pods, d.updated) {
			n.updated++
		}
	}
	return n
}

func (d *daemons) sync(ctx context.Context) error {
	var missing, surplus []*corev1.Pod
	for node, pods := range d.on {
		if !slices.Contains(d.nodes, node) {
			surplus = append(surplus, firstActive(pods)...)
		}
	}
	surges := d.surge() > 0
	for _, node := range d.nodes {
		pods := d.on[node]
		if len(pods) == 0 {
			missing = append(missing, d.makeOn(node))
			continue
		}
		pods = firstActive(pods)
		for i, pod := range pods {
			if ended(pod) || i > 0 && !surges {
				surplus = append(surplus, pod)
			}
		}
	}
	if d.rolling && !d.paused && len(missing)+len(surplus) == 0 {
		if surges {
			missing, surplus = d.renew()
		} else {
			surplus = d.outdated()
		}
	}
	slices.SortFunc(surplus, d.expendable)
	return firstError(d.remove(ctx, surplus...), d.create(ctx, missing...))
}

func (d *daemons) makeOn(node string) *corev1.Pod {
	pod := d.make(d.update, "")
	pod.Spec.NodeName = node
	return pod
}

func (d *daemons) surge() int { return scaled(d.maxSurge, len(d.nodes)) }

// allowed is how many pods may still be updated, by the partition.
func (d *daemons) allowed() int {
	n := len(d.nodes) - d.partition(len(d.nodes))
	for _, node := range d.nodes {
		if slices.ContainsFunc(d.on[node], func(pod *corev1.Pod) bool { return d.updated(pod) || pod.DeletionTimestamp != nil }) {
			n--
		}
	}
	return max(0, n)
}

// outdated are the pods to delete, so that new ones come: the unavailable ones, and others while few are unavailable.
func (d *daemons) outdated() []*corev1.Pod {
	var broken, old []*corev1.Pod
	unavailable := 0
	for _, node := range d.nodes {
		pods := firstActive(d.on[node])
		available := slices.ContainsFunc(pods, d.available)
		if !available {
			unavailable++
		}
		switch {
		case len(pods) == 0 || d.updated(pods[0]):
		case available:
			old = append(old, pods[0])
		default:
			broken = append(broken, pods[0])
		}
	}
	slices.SortStableFunc(broken, d.expendable)
	room := max(0, max(1, scaled(d.maxUnavailable, len(d.nodes)))-unavailable)
	gone := append(broken, old[:min(len(old), room)]...)
	return gone[:min(len(gone), d.allowed())]
}

// renew puts new pods next to old ones, and removes old ones whose successors are available.
func (d *daemons) renew() (missing, surplus []*corev1.Pod) {
	room, allowed := d.surge(), d.allowed()
	var waiting []string
	for _, node := range d.nodes {
		var old, fresh []*corev1.Pod
		for _, pod := range firstActive(d.on[node]) {
			if d.updated(pod) {
				fresh = append(fresh, pod)
			} else {
				old = append(old, pod)
			}
		}
		switch {
		case len(old) == 0:
			surplus = append(surplus, fresh[min(1, len(fresh)):]...)
		case len(fresh) > 0 && slices.ContainsFunc(fresh, d.available):
			surplus = append(surplus, old...)
		case len(fresh) > 0:
			room--
		case !slices.ContainsFunc(old, d.available) && allowed > 0: // nothing to lose
			missing = append(missing, d.makeOn(node))
			allowed--
		default:
			waiting = append(waiting, node)
		}
	}
	for _, node := range waiting[:max(0, min(len(waiting), room, allowed))] {
		missing = append(missing, d.makeOn(node))
	}
	return missing, surplus
}
