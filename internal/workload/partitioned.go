// SPDX-License-Identifier: Apache-2.0

package workload

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/rollouts/api/v1beta1"
)

// partitioned is what the drivers of kinds share whose own controller keeps as many pods at old revisions as a field
// says, the partition. Such a workload is held by a partition that keeps all, and released by lowering it. It is read as
// unstructured, because its kind may be served by another API server version than the one this was built against.
type partitioned struct {
	gvk    schema.GroupVersionKind
	fields fields // with at least "partition"
	// held are the values that hold all pods.
	held values
	// replicas are the pods asked for.
	replicas func(u *unstructured.Unstructured) int32
	// revisions are the one it comes from and the one of its template, as pods are labelled, by its status.
	revisions func(u *unstructured.Unstructured) (stable, update string)
	// partition is the value that keeps all but t.Updated pods.
	partition func(u *unstructured.Unstructured, s State, t Target) any
	// unavailable is how many pods its own strategy lets be unavailable; at least 1.
	unavailable func(u *unstructured.Unstructured, replicas int32) int32
	// updated is the field of the status that counts pods at the revision of the template; "": updatedReplicas.
	updated string
	// excess are the new pods that go, first things first, where only limit were ordered and the partition says so already; nil:
	// its own controller makes no old ones in their places.
	excess func(u *unstructured.Unstructured, s State, limit int32) []*corev1.Pod
	// drains: which old pods its own controller replaces first is not said, so those of a version that was superseded
	// go before; while all are held, stable ones take their places.
	drains bool
	// minReady is the path of the seconds that a pod is ready before it counts.
	minReady []string
	// minReadyToo is where else such seconds may be; the longer wait counts.
	minReadyToo []string
}

func (p partitioned) New() client.Object {
	u := &unstructured.Unstructured{}
	u.SetGroupVersionKind(p.gvk)
	return u
}

func (partitioned) Needs() Needs { return Needs{} }

func (p partitioned) State(o Objects, now time.Time) State {
	u, _ := o.Workload.(*unstructured.Unstructured)
	s := stateOfAny(u, status64(u, "observedGeneration"))
	s.Replicas = p.replicas(u)
	stable, update := p.revisions(u)
	if s.Stable == "" {
		s.Stable = stable
	}
	_, s.Engaged = p.fields.originals(u)
	s.Held = true // between batches nothing moves by itself
	if s.Stale {
		s.Blind = true
		return s
	}
	s.Update = update
	s.KeepsNew = stable == update // every pod had it once, and it is what its own controller goes back to
	s.countStatus(u)
	old := kept(p.fields.of(u)["partition"], s.Replicas)
	s.Complete = p.fields.of(u).stays() || status(u, "updatedReplicas") >= s.Replicas-old && status(u, "replicas") == s.Replicas &&
		(status(u, "availableReplicas") >= s.Replicas || status(u, "readyReplicas") >= s.Replicas && !has(u, "status", "availableReplicas"))
	if o.Pods != nil {
		s.readRevision(o.Pods, u, max(number64(u, p.minReady...), number64(u, p.minReadyToo...)), now)
	}
	s.Blocked = append(s.Blocked, refusedOf(u)...)
	return s
}

// countStatus takes the counts of the workload's own controller.
func (s *State) countStatus(u *unstructured.Unstructured) {
	s.Updated, s.UpdatedReady = status(u, "updatedReplicas"), status(u, "updatedReadyReplicas")
	s.Others = max(0, status(u, "replicas")-s.Updated)
}

// readRevision counts pods by the label that shows their revision.
func (s *State) readRevision(pods []*corev1.Pod, w client.Object, minReady int64, now time.Time) {
	s.readPods(pods, int32(min(minReady, int64(neverReady))), now, func(pod *corev1.Pod) bool { //nolint:gosec // bounded
		return controllerOf(pod) == w.GetUID() && AtRevision(pod, s.Update)
	})
	s.Others = 0
	for _, pod := range pods {
		if active(pod) && controllerOf(pod) == w.GetUID() && !AtRevision(pod, s.Update) {
			s.Others++
		}
	}
}

// AtRevision reports whether a pod is at a revision, by either label that shows: some kinds write the name of the
// ControllerRevision, which ends with the hash, and some the hash alone.
func AtRevision(pod *corev1.Pod, revision string) bool {
	for _, key := range []string{byRevision, byTemplate} {
		if v := pod.Labels[key]; revision != "" && (v == revision || strings.HasSuffix(v, "-"+revision)) {
			return true
		}
	}
	return false
}

// active reports whether a pod counts: it has neither ended nor is it on its way out.
func active(pod *corev1.Pod) bool {
	return pod.DeletionTimestamp == nil && pod.Status.Phase != corev1.PodFailed && pod.Status.Phase != corev1.PodSucceeded
}

// Starts (docs/wire.md, admission): a first deployment is not a release, and neither is a change of anything but the
// template.
func (p partitioned) Starts(o Objects, old client.Object) bool {
	edited, _ := o.Workload.(*unstructured.Unstructured)
	before, _ := old.(*unstructured.Unstructured)
	if p.replicas(edited) == 0 || alikeTemplates(edited, before) {
		return false
	}
	stable, _ := p.revisions(before)
	return stable != "" && p.replicas(before) > 0 || before.GetAnnotations()[v1beta1.AnnotationInProgressing] != ""
}

func (p partitioned) Hold(o Objects, old client.Object, rollout, recorded string) client.Object {
	edited, _ := o.Workload.(*unstructured.Unstructured)
	before, _ := old.(*unstructured.Unstructured)
	u := p.fields.keep(edited, before)
	own, engaged := p.fields.originals(u)
	if again, ok := p.fields.originals(edited); ok && !engaged && p.holds(edited) {
		own = again // the API server asks again, because another webhook has changed what we returned
	}
	p.fields.hold(u, own, p.held)
	if u.GetLabels()[v1beta1.LabelStableRevision] == "" || before.GetAnnotations()[v1beta1.AnnotationInProgressing] == "" {
		set(u.GetLabels, u.SetLabels, v1beta1.LabelStableRevision, p.stable(before, recorded))
	}
	from := startedFrom(before)
	if from == "" && before.GetAnnotations()[v1beta1.AnnotationInProgressing] == "" && !alikeTemplates(edited, before) {
		from = digestOf(before)
	}
	stamp(u, rollout, from)
	return u
}

// GoesBack reports whether an edit brings back the template that the release in progress started from; false, too: nothing is
// known of that. The status of a workload says nothing of it: it is from before the edit.
func (partitioned) GoesBack(edited, old client.Object) bool {
	before, _ := old.(*unstructured.Unstructured)
	after, _ := edited.(*unstructured.Unstructured)
	return startedFrom(before) != "" && startedFrom(before) == digestOf(after)
}

// holds reports whether a workload is held already.
func (p partitioned) holds(u *unstructured.Unstructured) bool {
	have := p.fields.of(u)
	for name, value := range p.held {
		if !alike(name, have[name], value) {
			return false
		}
	}
	return true
}

// stable is the revision a new release starts from.
func (p partitioned) stable(before *unstructured.Unstructured, recorded string) string {
	if known := before.GetLabels()[v1beta1.LabelStableRevision]; known != "" && leftBehind(before) && status(before, cmp.Or(p.updated, "updatedReplicas")) < p.replicas(before) {
		return known // of the release that was left
	}
	if stable, _ := p.revisions(before); stable != "" {
		return stable
	}
	return recorded
}

func (p partitioned) Keep(edited, old client.Object) client.Object {
	after, _ := edited.(*unstructured.Unstructured)
	before, _ := old.(*unstructured.Unstructured)
	return p.fields.keep(after, before)
}

// Move lowers the partition, and never raises it: pods are not taken back.
func (p partitioned) Move(o Objects, s State, t Target) Objects {
	have, _ := o.Workload.(*unstructured.Unstructured)
	u := have.DeepCopy()
	next := o
	next.Workload = u
	own(u, t)
	p.engage(u, have)
	p.roll(u)
	if t.Back {
		p.fields.want(u, "partition", p.held["partition"])
		if !s.KeepsNew {
			next.Pods = takenBack(o.Pods, s, p.unavailable(u, s.Replicas), p.others(u, s, t))
		}
		return next
	}
	comesBack, _ := p.revisions(u)
	if between := between(u, s, t); p.drains && comesBack == t.Stable && slices.ContainsFunc(o.Pods, between) {
		next.Pods = takenBack(o.Pods, s, p.unavailable(u, s.Replicas), between)
		return next
	}
	if t.Limit != nil && s.Updated > *t.Limit && !s.KeepsNew && !s.Beside {
		return p.limited(next, u, s, t)
	}
	value := p.partition(u, s, t)
	if kept(value, s.Replicas) < kept(p.fields.of(u)["partition"], s.Replicas) {
		p.fields.put(u, "partition", value)
	}
	return next
}

// roll lets all pods but those that the partition keeps be replaced.
func (p partitioned) roll(u *unstructured.Unstructured) {
	for name, value := range p.held {
		if name != "partition" {
			p.fields.want(u, name, value)
		}
	}
}

// limited raises the partition to what was ordered at most, and takes the pods back that scaling has made beyond that.
func (p partitioned) limited(next Objects, u *unstructured.Unstructured, s State, t Target) Objects {
	t.Updated = *t.Limit
	value := p.partition(u, s, t)
	if kept(value, s.Replicas) > kept(p.fields.of(u)["partition"], s.Replicas) {
		p.fields.put(u, "partition", value)
		return next
	}
	excess := p.excess(u, s, *t.Limit)
	next.Pods = takenBack(next.Pods, s, p.unavailable(u, s.Replicas), func(pod *corev1.Pod) bool { return slices.Contains(excess, pod) })
	return next
}

// mostExpendable are as many of the new pods as are above a limit: those stay that answer requests, and of these the ones that gateways
// have known longest.
func mostExpendable(_ *unstructured.Unstructured, s State, limit int32) []*corev1.Pod {
	pods := slices.Clone(s.UpdatedPods)
	slices.SortFunc(pods, expendable)
	return pods[:max(0, min(len(pods), int(s.Updated-limit)))]
}

// engage holds a workload that is at no one's partition but its user's, and remembers the originals of one that the
// reference implementation holds.
func (p partitioned) engage(u, have *unstructured.Unstructured) {
	own, engaged := p.fields.originals(have)
	switch {
	case !engaged:
		p.fields.hold(u, own, p.held)
	case have.GetAnnotations()[v1beta1.AnnotationOriginalStrategy] == "":
		own.remember(u)
	}
}

// updated selects the pods of the new revision.
func (s State) updated(pod *corev1.Pod) bool { return slices.Contains(s.UpdatedPods, pod) }

// between selects pods of versions between the stable and the new one.
func between(w client.Object, s State, t Target) func(*corev1.Pod) bool {
	return func(pod *corev1.Pod) bool {
		return t.Stable != "" && t.Stable != s.Update && active(pod) && controllerOf(pod) == w.GetUID() && !AtRevision(pod, s.Update) && !AtRevision(pod, t.Stable)
	}
}

// others selects the pods that go back to the stable version: new ones, and then those of versions between, as far as stable ones come in
// their places.
func (p partitioned) others(u *unstructured.Unstructured, s State, t Target) func(*corev1.Pod) bool {
	comesBack, _ := p.revisions(u)
	between := between(u, s, t)
	return func(pod *corev1.Pod) bool {
		return s.updated(pod) || s.Updated == 0 && comesBack == t.Stable && between(pod)
	}
}

// takenBack returns pods without those that go next, so that their places are taken by stable ones: those that are not
// ready at once, others within what the workload allows to be unavailable.
func takenBack(pods []*corev1.Pod, s State, unavailable int32, goes func(*corev1.Pod) bool) []*corev1.Pod {
	ready := int32(0)
	for _, pod := range pods {
		if active(pod) && Ready(pod) {
			ready++
		}
	}
	room := unavailable - (s.Replicas - ready)
	return slices.DeleteFunc(slices.Clone(pods), func(pod *corev1.Pod) bool {
		switch {
		case !goes(pod):
			return false
		case !Ready(pod):
			return true
		case room > 0:
			room--
			return true
		default:
			return false
		}
	})
}

// Free restores what is the user's own. Where that would leave pods of the version that is taken back, because their user
// deletes pods by hand, keeps some old, or has paused them, it rolls until none of those is left: no one else would take them
// there.
func (p partitioned) Free(o Objects) client.Object {
	have, _ := o.Workload.(*unstructured.Unstructured)
	u := have.DeepCopy()
	own, engaged := p.fields.originals(have)
	if engaged && own.leaves() && p.goesBack(have) {
		p.roll(u)
		p.fields.want(u, "partition", int64(0))
		return u
	}
	p.fields.restore(u)
	if engaged {
		withoutRolling(u)
	}
	let(u)
	return u
}

// withoutRolling removes what the API server, or a release, has added to a strategy that does not roll; it may not be there.
func withoutRolling(u *unstructured.Unstructured) {
	if text(u, "spec", "updateStrategy", "type") == onDelete {
		unstructured.RemoveNestedField(u.Object, "spec", "updateStrategy", "rollingUpdate")
	}
}

// goesBack reports whether the template is the stable one again, and pods of another are left.
func (p partitioned) goesBack(u *unstructured.Unstructured) bool {
	_, update := p.revisions(u)
	return update != "" && update == u.GetLabels()[v1beta1.LabelStableRevision] && status(u, cmp.Or(p.updated, "updatedReplicas")) < max(p.replicas(u), status(u, "replicas"))
}

// Leave keeps as many pods old as there are: in the middle of a batch more were ordered to be new, and its own controller would go on.
func (p partitioned) Leave(o Objects) client.Object {
	have, _ := o.Workload.(*unstructured.Unstructured)
	u := have.DeepCopy()
	own, engaged := p.fields.originals(have)
	if !engaged {
		return u
	}
	if s := p.State(o, time.Time{}); o.Pods != nil && !s.Blind {
		value := p.partition(u, s, Target{Updated: s.Updated, Batch: intstr.FromInt32(s.Updated)})
		if kept(value, s.Replicas) > kept(p.fields.of(u)["partition"], s.Replicas) {
			p.fields.put(u, "partition", value)
		}
	}
	own.leave(p.fields, u)
	return u
}

func (partitioned) Disown(w client.Object) client.Object { return disowned(w) }

// kept is how many of n pods a partition keeps at old revisions; percentages are rounded up.
func kept(partition any, n int32) int32 { return min(amount(partition, "0", n, true), n) }

// amount resolves a number or a percentage of n pods as unstructured objects have it. What does not parse is 0.
func amount(value any, standard string, n int32, up bool) int32 {
	v := intstr.Parse(standard)
	switch given := value.(type) {
	case string:
		v = intstr.FromString(given)
	case int64:
		v = intstr.FromInt32(int32(min(given, int64(n)))) //nolint:gosec // a count of pods
	}
	pods, err := intstr.GetScaledValueFromIntOrPercent(&v, int(n), up)
	if err != nil {
		return 0
	}
	return int32(pods) //nolint:gosec // a count of pods
}

// alikeTemplates compares pod templates as they are stored, but for the label that some controllers add and for what is
// empty.
func alikeTemplates(a, b *unstructured.Unstructured) bool {
	templates := [2]any{}
	for i, u := range []*unstructured.Unstructured{a, b} {
		templates[i] = plainTemplate(u)
	}
	return equality.Semantic.DeepEqual(templates[0], templates[1])
}

// plainTemplate is a pod template without the label that some controllers add and what is empty.
func plainTemplate(u *unstructured.Unstructured) any {
	template, _, _ := unstructured.NestedMap(u.Object, "spec", "template")
	unstructured.RemoveNestedField(template, "metadata", "labels", appsv1.DefaultDeploymentUniqueLabelKey)
	return pruned(template)
}

// digestOf distinguishes pod templates.
func digestOf(u *unstructured.Unstructured) string {
	h := fnv.New64a()
	_, _ = h.Write([]byte(encode(plainTemplate(u))))
	return fmt.Sprintf("%016x", h.Sum64())
}

// pruned returns a value without what is null or an empty map or list; nil: nothing is left.
func pruned(v any) any {
	switch v := v.(type) {
	case map[string]any:
		kept := map[string]any{}
		for key, value := range v {
			if value = pruned(value); value != nil {
				kept[key] = value
			}
		}
		if len(kept) == 0 {
			return nil
		}
		return kept
	case []any:
		if len(v) == 0 {
			return nil
		}
		kept := make([]any, len(v))
		for i := range v {
			kept[i] = pruned(v[i])
		}
		return kept
	default:
		return v
	}
}

func has(u *unstructured.Unstructured, path ...string) bool {
	_, ok, err := unstructured.NestedFieldNoCopy(u.Object, path...)
	return ok && err == nil
}

func number64(u *unstructured.Unstructured, path ...string) int64 {
	n, _, _ := unstructured.NestedInt64(u.Object, path...)
	return n
}

func status64(u *unstructured.Unstructured, name string) int64 { return number64(u, "status", name) }

// status reads a count of pods.
func status(u *unstructured.Unstructured, name string) int32 {
	return int32(status64(u, name)) //nolint:gosec // a count of pods
}

func text(u *unstructured.Unstructured, path ...string) string {
	s, _, _ := unstructured.NestedString(u.Object, path...)
	return s
}

// specReplicas are the pods that most kinds ask for; 1 where nothing is said.
func specReplicas(u *unstructured.Unstructured) int32 {
	if !has(u, "spec", "replicas") {
		return 1
	}
	return int32(number64(u, "spec", "replicas")) //nolint:gosec // a count of pods
}

// hashOf is the end of a ControllerRevision's name, which names its template.
func hashOf(revision string) string { return revision[strings.LastIndex(revision, "-")+1:] }

// allowed resolves how many of n pods may be unavailable; at least 1, so that something can be done.
func allowed(value any, standard string, n int32) int32 {
	return max(amount(value, standard, n, false), 1)
}
