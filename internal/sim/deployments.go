// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"context"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/rand"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Annotations of the native Deployment controller.
const (
	revisionAnnotation = "deployment.kubernetes.io/revision"
	desiredAnnotation  = "deployment.kubernetes.io/desired-replicas"
	maxAnnotation      = "deployment.kubernetes.io/max-replicas"
)

// ownAnnotations of a Deployment are not copied to its ReplicaSets.
var ownAnnotations = []string{
	corev1.LastAppliedConfigAnnotation, revisionAnnotation, "deployment.kubernetes.io/revision-history",
	desiredAnnotation, maxAnnotation, "deprecated.deployment.rollback.to",
}

// rolling is one pass of the Deployment controller at one Deployment. Its methods bear the names of what they play.
type rolling struct {
	*Cluster
	d       *appsv1.Deployment
	current *appsv1.ReplicaSet   // of the template; nil: not made yet
	old     []*appsv1.ReplicaSet // the others
}

// SyncDeployment does what the native Deployment controller does in one sync.
func (c *Cluster) SyncDeployment(ctx context.Context, d *appsv1.Deployment) error {
	if selector := d.Spec.Selector; selector == nil || len(selector.MatchLabels)+len(selector.MatchExpressions) == 0 {
		return nil // it would select every pod: the native controller refuses
	}
	list := &appsv1.ReplicaSetList{}
	if err := c.Client.List(ctx, list, client.InNamespace(c.Namespace)); err != nil {
		return fmt.Errorf("listing ReplicaSets: %w", err)
	}
	r := &rolling{Cluster: c, d: d}
	for i := range list.Items {
		if metav1.IsControlledBy(&list.Items[i], d) && list.Items[i].DeletionTimestamp == nil {
			r.old = append(r.old, &list.Items[i])
		}
	}
	slices.SortStableFunc(r.old, byAge)
	for i, set := range r.old {
		if sameTemplate(set.Spec.Template, d.Spec.Template) {
			r.current = set
			r.old = slices.Delete(r.old, i, i+1)
			break
		}
	}
	return ignoreRace(r.sync(ctx))
}

func (r *rolling) sync(ctx context.Context) error {
	switch {
	case r.d.DeletionTimestamp != nil:
		return r.syncStatus(ctx)
	case r.d.Spec.Paused || r.scaled():
		if err := r.prepareNew(ctx, false); err != nil {
			return err
		}
		if err := r.scale(ctx); err != nil {
			return err
		}
		return r.syncStatus(ctx)
	case r.d.Spec.Strategy.Type == appsv1.RecreateDeploymentStrategyType:
		return r.recreate(ctx)
	default:
		return r.roll(ctx)
	}
}

// roll moves one stretch: first more new pods, then fewer old ones.
func (r *rolling) roll(ctx context.Context) error {
	if err := r.prepareNew(ctx, true); err != nil {
		return err
	}
	want := r.newSize()
	if count(r.current) > replicas(r.d) {
		want = replicas(r.d)
	}
	if want != count(r.current) {
		if err := r.setSize(ctx, r.current, want); err != nil {
			return err
		}
		return r.syncStatus(ctx)
	}
	scaled, err := r.removeOld(ctx)
	if err != nil || scaled {
		return firstError(err, r.syncStatus(ctx))
	}
	if err := r.cleanUp(ctx); err != nil {
		return err
	}
	return r.syncStatus(ctx)
}

// recreate removes everything old before anything new.
func (r *rolling) recreate(ctx context.Context) error {
	if err := r.prepareNew(ctx, false); err != nil {
		return err
	}
	running := false
	for _, set := range r.old {
		running = running || count(set) > 0 || set.Status.Replicas > 0
		if count(set) > 0 {
			if err := r.setSize(ctx, set, 0); err != nil {
				return err
			}
		}
	}
	if running {
		return r.syncStatus(ctx)
	}
	if err := r.prepareNew(ctx, true); err != nil {
		return err
	}
	if count(r.current) != replicas(r.d) {
		if err := r.setSize(ctx, r.current, replicas(r.d)); err != nil {
			return err
		}
	}
	return r.syncStatus(ctx)
}

// prepareNew makes the ReplicaSet of the template where it may, or gives it the revision, annotations and minReadySeconds
// of the Deployment; the latter although the Deployment is paused.
func (r *rolling) prepareNew(ctx context.Context, mayCreate bool) error {
	highest := int64(0)
	for _, set := range r.old {
		highest = max(highest, revisionOf(set))
	}
	if r.current == nil {
		if !mayCreate {
			return nil
		}
		return r.create(ctx, highest+1)
	}
	before := r.current.DeepCopy()
	r.annotate(r.current, highest+1)
	r.current.Spec.MinReadySeconds = r.d.Spec.MinReadySeconds
	if equality.Semantic.DeepEqual(before, r.current) {
		return r.setRevision(ctx)
	}
	return firstError(r.Client.Update(ctx, r.current), r.setRevision(ctx))
}

func (r *rolling) create(ctx context.Context, revision int64) error {
	template := *r.d.Spec.Template.DeepCopy()
	raw, err := json.Marshal(r.d.Spec.Template)
	if err != nil {
		return fmt.Errorf("writing a template as JSON: %w", err)
	}
	h := fnv.New32a()
	_, _ = h.Write(raw)
	hash := rand.SafeEncodeString(strconv.FormatUint(uint64(h.Sum32()), 10))
	template.Labels = maps.Clone(template.Labels)
	if template.Labels == nil {
		template.Labels = map[string]string{}
	}
	template.Labels[appsv1.DefaultDeploymentUniqueLabelKey] = hash
	selector := r.d.Spec.Selector.DeepCopy()
	if selector.MatchLabels == nil {
		selector.MatchLabels = map[string]string{}
	}
	selector.MatchLabels[appsv1.DefaultDeploymentUniqueLabelKey] = hash
	set := &appsv1.ReplicaSet{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: r.d.Namespace, Name: r.d.Name + "-" + hash, Labels: template.Labels,
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(r.d, appsv1.SchemeGroupVersion.WithKind("Deployment"))},
		},
		Spec: appsv1.ReplicaSetSpec{Replicas: new(int32(0)), MinReadySeconds: r.d.Spec.MinReadySeconds, Selector: selector, Template: template},
	}
	r.current = set
	set.Spec.Replicas = new(r.newSize())
	if r.d.Spec.Strategy.Type == appsv1.RecreateDeploymentStrategyType {
		set.Spec.Replicas = new(replicas(r.d))
	}
	r.annotate(set, revision)
	r.annotateSize(set)
	if err := r.Client.Create(ctx, set); err != nil {
		return fmt.Errorf("making a ReplicaSet: %w", err)
	}
	return r.setRevision(ctx)
}

// annotate copies the Deployment's annotations to a set, which keeps others it has, and gives it its revision.
func (r *rolling) annotate(set *appsv1.ReplicaSet, revision int64) {
	if set.Annotations == nil {
		set.Annotations = map[string]string{}
	}
	for k, v := range r.d.Annotations {
		if !slices.Contains(ownAnnotations, k) {
			set.Annotations[k] = v
		}
	}
	if revisionOf(set) < revision {
		set.Annotations[revisionAnnotation] = strconv.FormatInt(revision, 10)
	}
}

// setRevision shows the revision of the new set on the Deployment.
func (r *rolling) setRevision(ctx context.Context) error {
	revision := r.current.Annotations[revisionAnnotation]
	if r.d.Annotations[revisionAnnotation] == revision {
		return nil
	}
	if r.d.Annotations == nil {
		r.d.Annotations = map[string]string{}
	}
	r.d.Annotations[revisionAnnotation] = revision
	return r.Client.Update(ctx, r.d)
}

// newSize is how many pods the new set may have now.
func (r *rolling) newSize() int32 {
	room := replicas(r.d) + r.maxSurge() - r.total()
	if room <= 0 {
		return count(r.current)
	}
	return count(r.current) + min(room, max(0, replicas(r.d)-count(r.current)))
}

// removeOld takes old pods away for as long as enough are available: the ones that are not first, by age of their set.
func (r *rolling) removeOld(ctx context.Context) (bool, error) {
	var active []*appsv1.ReplicaSet
	for _, set := range r.old {
		if count(set) > 0 {
			active = append(active, set)
		}
	}
	minAvailable := replicas(r.d) - r.maxUnavailable()
	unavailable := count(r.current) - r.current.Status.AvailableReplicas
	limit := r.total() - minAvailable - unavailable
	if len(active) == 0 || limit <= 0 {
		return false, nil
	}
	cleaned := int32(0)
	for _, set := range active {
		if cleaned >= limit {
			break
		}
		n := min(limit-cleaned, count(set)-set.Status.AvailableReplicas)
		if n < 0 {
			return false, nil // its status is older than its size: the native controller waits for it, too
		}
		if n == 0 {
			continue
		}
		if err := r.setSize(ctx, set, count(set)-n); err != nil {
			return false, err
		}
		cleaned += n
	}
	available := r.current.Status.AvailableReplicas
	for _, set := range r.old {
		available += set.Status.AvailableReplicas
	}
	removed := int32(0)
	for _, set := range active {
		n := min(count(set), available-minAvailable-removed)
		if n <= 0 {
			continue
		}
		if err := r.setSize(ctx, set, count(set)-n); err != nil {
			return false, err
		}
		removed += n
	}
	return cleaned+removed > 0, nil
}

// scaled reports whether the number of pods asked for was changed since the sets were last sized.
func (r *rolling) scaled() bool {
	for _, set := range r.all() {
		desired, err := strconv.ParseInt(set.Annotations[desiredAnnotation], 10, 32)
		if count(set) > 0 && err == nil && int32(desired) != replicas(r.d) {
			return true
		}
	}
	return false
}

// scale gives the only active set the whole size, or spreads a change over all of them in proportion.
func (r *rolling) scale(ctx context.Context) error {
	var active []*appsv1.ReplicaSet
	for _, set := range r.all() {
		if count(set) > 0 {
			active = append(active, set)
		}
	}
	switch {
	case len(active) == 0 && r.current != nil:
		active = append(active, r.current)
	case len(active) == 0 && len(r.old) > 0:
		active = append(active, r.old[len(r.old)-1])
	case len(active) == 0:
		return nil
	}
	if len(active) == 1 {
		if count(active[0]) == replicas(r.d) {
			return nil
		}
		return r.setSize(ctx, active[0], replicas(r.d))
	}
	if r.current != nil && count(r.current) == replicas(r.d) && r.current.Status.AvailableReplicas == replicas(r.d) &&
		r.current.Annotations[desiredAnnotation] == strconv.Itoa(int(replicas(r.d))) {
		for _, set := range r.old {
			if count(set) > 0 {
				return r.setSize(ctx, set, 0)
			}
		}
	}
	if r.d.Spec.Strategy.Type != appsv1.RollingUpdateDeploymentStrategyType {
		return nil
	}
	return r.spread(ctx, active)
}

func (r *rolling) spread(ctx context.Context, active []*appsv1.ReplicaSet) error {
	allowed := int32(0)
	if replicas(r.d) > 0 {
		allowed = replicas(r.d) + r.maxSurge()
	}
	add := allowed - r.total()
	slices.SortStableFunc(active, func(a, b *appsv1.ReplicaSet) int {
		switch {
		case count(a) != count(b):
			return int(count(b) - count(a))
		case add > 0:
			return byAge(b, a)
		default:
			return byAge(a, b)
		}
	})
	added := int32(0)
	sizes := make([]int32, len(active))
	for i, set := range active {
		sizes[i] = count(set)
		if add != 0 {
			n := r.proportion(set, add, added)
			sizes[i] += n
			added += n
		}
	}
	sizes[0] = max(0, sizes[0]+add-added)
	for i, set := range active {
		if err := r.setSize(ctx, set, sizes[i]); err != nil {
			return err
		}
	}
	return nil
}

// proportion is the part of a set in a change of add pods, of which added are given out already.
func (r *rolling) proportion(set *appsv1.ReplicaSet, add, added int32) int32 {
	if count(set) == 0 || add == added {
		return 0
	}
	fraction := -count(set)
	if replicas(r.d) > 0 {
		annotated, err := strconv.ParseFloat(set.Annotations[maxAnnotation], 64)
		if err != nil || annotated == 0 { // as where somebody else has sized the set while there were no pods to be
			annotated = float64(r.d.Status.Replicas)
		}
		if annotated == 0 {
			return 0
		}
		fraction = int32(math.Round(float64(count(set)*(replicas(r.d)+r.maxSurge()))/annotated)) - count(set)
	}
	if add > 0 {
		return min(fraction, add-added)
	}
	return max(fraction, add-added)
}

// setSize writes a set's size, and what it was computed from.
func (r *rolling) setSize(ctx context.Context, set *appsv1.ReplicaSet, size int32) error {
	before := set.DeepCopy()
	set.Spec.Replicas = &size
	r.annotateSize(set)
	if equality.Semantic.DeepEqual(before, set) {
		return nil
	}
	return r.Client.Update(ctx, set)
}

func (r *rolling) annotateSize(set *appsv1.ReplicaSet) {
	if set.Annotations == nil {
		set.Annotations = map[string]string{}
	}
	set.Annotations[desiredAnnotation] = strconv.Itoa(int(replicas(r.d)))
	set.Annotations[maxAnnotation] = strconv.Itoa(int(replicas(r.d) + r.maxSurge()))
}

// cleanUp deletes sets beyond the history limit once everything is done.
func (r *rolling) cleanUp(ctx context.Context) error {
	limit := int(ptr.Deref(r.d.Spec.RevisionHistoryLimit, 10))
	done := r.d.Status.UpdatedReplicas == replicas(r.d) && r.d.Status.Replicas == replicas(r.d) && r.d.Status.AvailableReplicas == replicas(r.d)
	var idle []*appsv1.ReplicaSet
	for _, set := range r.old {
		if count(set) == 0 && set.Status.Replicas == 0 && set.Generation <= set.Status.ObservedGeneration {
			idle = append(idle, set)
		}
	}
	if !done || len(idle) <= limit {
		return nil
	}
	slices.SortStableFunc(idle, func(a, b *appsv1.ReplicaSet) int { return int(revisionOf(a) - revisionOf(b)) })
	for _, set := range idle[:len(idle)-limit] {
		if err := r.Client.Delete(ctx, set); client.IgnoreNotFound(err) != nil {
			return fmt.Errorf("deleting an old ReplicaSet: %w", err)
		}
	}
	return nil
}

func (r *rolling) syncStatus(ctx context.Context) error {
	status := appsv1.DeploymentStatus{ObservedGeneration: r.d.Generation, Conditions: r.d.Status.Conditions}
	for _, set := range r.all() {
		status.Replicas += set.Status.Replicas
		status.ReadyReplicas += set.Status.ReadyReplicas
		status.AvailableReplicas += set.Status.AvailableReplicas
	}
	if r.current != nil {
		status.UpdatedReplicas = r.current.Status.Replicas
	}
	status.UnavailableReplicas = max(0, status.Replicas-status.AvailableReplicas)
	if equality.Semantic.DeepEqual(r.d.Status, status) {
		return nil
	}
	r.d.Status = status
	return r.Client.Status().Update(ctx, r.d)
}

func (r *rolling) all() []*appsv1.ReplicaSet {
	if r.current == nil {
		return slices.Clone(r.old)
	}
	return append(slices.Clone(r.old), r.current)
}

// total is how many pods are asked for.
func (r *rolling) total() int32 {
	n := int32(0)
	for _, set := range r.all() {
		n += count(set)
	}
	return n
}

func (r *rolling) maxSurge() int32 {
	s, _ := r.limits()
	return s
}

func (r *rolling) maxUnavailable() int32 {
	_, u := r.limits()
	return min(u, replicas(r.d))
}

// limits resolves maxSurge upwards and maxUnavailable downwards; where both are 0, one pod may go.
func (r *rolling) limits() (surge, unavailable int32) {
	if r.d.Spec.Strategy.Type != appsv1.RollingUpdateDeploymentStrategyType || r.d.Spec.Strategy.RollingUpdate == nil {
		return 0, 0
	}
	u := r.d.Spec.Strategy.RollingUpdate
	s, _ := intstr.GetScaledValueFromIntOrPercent(intstr.ValueOrDefault(u.MaxSurge, intstr.FromInt32(0)), int(replicas(r.d)), true)
	n, _ := intstr.GetScaledValueFromIntOrPercent(intstr.ValueOrDefault(u.MaxUnavailable, intstr.FromInt32(0)), int(replicas(r.d)), false)
	if s == 0 && n == 0 {
		n = 1
	}
	return int32(s), int32(n) //nolint:gosec // counts of pods
}

func replicas(d *appsv1.Deployment) int32 { return ptr.Deref(d.Spec.Replicas, 1) }

// count is how many pods a set asks for.
func count(set *appsv1.ReplicaSet) int32 { return ptr.Deref(set.Spec.Replicas, 1) }

func revisionOf(set *appsv1.ReplicaSet) int64 {
	n, _ := strconv.ParseInt(set.Annotations[revisionAnnotation], 10, 64)
	return n
}

func byAge(a, b *appsv1.ReplicaSet) int {
	if c := a.CreationTimestamp.Compare(b.CreationTimestamp.Time); c != 0 {
		return c
	}
	return strings.Compare(a.Name, b.Name)
}

// sameTemplate compares templates but for the label that this controller adds.
func sameTemplate(a, b corev1.PodTemplateSpec) bool {
	x, y := a.DeepCopy(), b.DeepCopy()
	delete(x.Labels, appsv1.DefaultDeploymentUniqueLabelKey)
	delete(y.Labels, appsv1.DefaultDeploymentUniqueLabelKey)
	return equality.Semantic.DeepEqual(x, y)
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
