// SPDX-License-Identifier: Apache-2.0

package workload

import (
	"cmp"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/json"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/rollouts/api/v1beta1"
)

// daemonSet drives the native DaemonSet, which knows no partition: in a release its own controller replaces no pod
// (OnDelete), and as many as a batch asks for are deleted, so that they come back new.
type daemonSet struct{ gvk schema.GroupVersionKind }

func newDaemonSet(gvk schema.GroupVersionKind) Driver { return daemonSet{gvk} }

// daemonAnnotations are those of native DaemonSets. Of some, all that is done here is to remove what the reference left.
var daemonAnnotations = []string{v1beta1.AnnotationDaemonOriginal, v1beta1.AnnotationDaemonRevision, v1beta1.AnnotationDaemonControl}

var daemonType = fields{"type": {"spec", "updateStrategy", "type"}}

func (d daemonSet) New() client.Object { return partitioned{gvk: d.gvk}.New() }

func (daemonSet) Needs() Needs { return Needs{Revisions: true} }

func (d daemonSet) State(o Objects, now time.Time) State {
	u, _ := o.Workload.(*unstructured.Unstructured)
	s := stateOfAny(u, status64(u, "observedGeneration"))
	s.Held = true // between batches nothing moves by itself
	s.KeepsNew = true
	s.Replicas = status(u, "desiredNumberScheduled")
	s.Update = revisionOf(u, o.Revisions)
	_, s.Engaged = daemonOriginal(u)
	if s.Stale {
		s.Blind = s.Update == ""
		return s
	}
	s.Updated = status(u, "updatedNumberScheduled")
	s.Others = max(0, status(u, "currentNumberScheduled")-s.Updated)
	s.Complete = text(u, daemonType["type"]...) == onDelete || s.Updated >= s.Replicas && status(u, "numberAvailable") >= s.Replicas
	if o.Pods != nil {
		s.readRevision(o.Pods, u, number64(u, "spec", "minReadySeconds"), now)
	}
	return s
}

// revisionOf finds the newest revision with the template; "": its own controller has not made one yet.
func revisionOf(u *unstructured.Unstructured, revisions []*appsv1.ControllerRevision) string {
	want := templateOf(u.Object)
	newest := (*appsv1.ControllerRevision)(nil)
	for _, r := range revisions {
		data := map[string]any{}
		if json.Unmarshal(r.Data.Raw, &data) == nil && equality.Semantic.DeepEqual(templateOf(data), want) &&
			(newest == nil || r.Revision > newest.Revision) {
			newest = r
		}
	}
	if newest == nil {
		return ""
	}
	return newest.Labels[byRevision]
}

// templateOf is an object's pod template, without what is empty and what makes a patch of it.
func templateOf(object map[string]any) any {
	template, _, _ := unstructured.NestedMap(object, "spec", "template")
	delete(template, "$patch")
	return pruned(template)
}

// daemonOriginal returns the type the user had; false: no release has changed it. The annotation is what other tools of
// this API group write, too.
func daemonOriginal(u *unstructured.Unstructured) (string, bool) {
	switch kept := u.GetAnnotations()[v1beta1.AnnotationDaemonOriginal]; {
	case kept != "":
		return kept, true
	case claimed(u) != "":
		return rollingUpdate, true
	default:
		own, _ := daemonType.originals(u)
		kind, _ := own["type"].(string)
		return cmp.Or(kind, rollingUpdate), false
	}
}

// Starts (docs/wire.md, admission): before the first pods nothing is a release.
func (d daemonSet) Starts(o Objects, old client.Object) bool {
	edited, _ := o.Workload.(*unstructured.Unstructured)
	before, _ := old.(*unstructured.Unstructured)
	return !alikeTemplates(edited, before) && status(edited, "desiredNumberScheduled") > 0
}

func (d daemonSet) Hold(o Objects, old client.Object, rollout, recorded string) client.Object {
	edited, _ := o.Workload.(*unstructured.Unstructured)
	before, _ := old.(*unstructured.Unstructured)
	u, _ := d.Keep(edited, before).(*unstructured.Unstructured)
	if _, engaged := daemonOriginal(before); !engaged && edited.GetAnnotations()[v1beta1.AnnotationDaemonOriginal] != "" {
		// The API server asks again, because another webhook has changed what we returned.
		set(u.GetAnnotations, u.SetAnnotations, v1beta1.AnnotationDaemonOriginal, edited.GetAnnotations()[v1beta1.AnnotationDaemonOriginal])
	}
	holdDaemon(u)
	known := leftBehind(before) && status(before, "updatedNumberScheduled") < status(before, "desiredNumberScheduled") // of the release that was left
	if u.GetLabels()[v1beta1.LabelStableRevision] == "" || !known && before.GetAnnotations()[v1beta1.AnnotationInProgressing] == "" {
		stable := cmp.Or(revisionOf(before, o.Revisions), recorded)
		if alikeTemplates(edited, before) { // admission did not see it before: what was there has to be remembered, or guessed
			stable = cmp.Or(before.GetLabels()[v1beta1.LabelStableRevision], recorded, previous(o.Revisions, stable))
		}
		set(u.GetLabels, u.SetLabels, v1beta1.LabelStableRevision, stable)
	}
	stamp(u, rollout, "")
	return u
}

// holdDaemon has no pod replaced, and remembers the user's type.
func holdDaemon(u *unstructured.Unstructured) {
	own, _ := daemonOriginal(u)
	set(u.GetAnnotations, u.SetAnnotations, v1beta1.AnnotationDaemonOriginal, own)
	daemonType.put(u, "type", onDelete)
}

// previous is the newest revision but for one.
func previous(revisions []*appsv1.ControllerRevision, but string) string {
	newest := (*appsv1.ControllerRevision)(nil)
	for _, r := range revisions {
		if r.Labels[byRevision] != but && (newest == nil || r.Revision > newest.Revision) {
			newest = r
		}
	}
	if newest == nil {
		return ""
	}
	return newest.Labels[byRevision]
}

func (daemonSet) Keep(edited, old client.Object) client.Object {
	u, _ := edited.DeepCopyObject().(*unstructured.Unstructured)
	before, _ := old.(*unstructured.Unstructured)
	keepKeys(u, before)
	if _, engaged := daemonOriginal(before); !engaged {
		return u
	}
	was, is := text(before, daemonType["type"]...), text(u, daemonType["type"]...)
	declared, said := daemonType.declared(u, before)["type"]
	if said {
		is, _ = declared.(string)
	}
	if said || is != was {
		set(u.GetAnnotations, u.SetAnnotations, v1beta1.AnnotationDaemonOriginal, cmp.Or(is, rollingUpdate))
		daemonType.put(u, "type", was)
	}
	return u
}

// Move deletes pods within what the user's strategy lets be unavailable. It takes none back: a pod that is deleted comes back
// with the template.
func (d daemonSet) Move(o Objects, s State, t Target) Objects {
	have, _ := o.Workload.(*unstructured.Unstructured)
	u := have.DeepCopy()
	next := o
	next.Workload = u
	holdDaemon(u)
	own(u, t)
	if !s.Stale && !t.Back && s.Update != "" {
		next.Pods = replaced(o.Pods, s, t.Updated, maxUnavailable(u, s.Replicas), d.outdated(u, s))
	}
	return next
}

// Free leaves one that its user rolls by hand held until no pod of the version that is taken back is left (compare Unstick).
func (d daemonSet) Free(o Objects) client.Object {
	have, _ := o.Workload.(*unstructured.Unstructured)
	u := have.DeepCopy()
	own, engaged := daemonOriginal(u)
	if d.goesBack(o) {
		return u
	}
	if engaged {
		daemonType.put(u, "type", own)
	}
	let(u)
	return u
}

// goesBack reports whether pods of the version that is taken back are left, and no one else would replace them.
func (daemonSet) goesBack(o Objects) bool {
	u, _ := o.Workload.(*unstructured.Unstructured)
	own, engaged := daemonOriginal(u)
	update := revisionOf(u, o.Revisions)
	return engaged && own == onDelete && update != "" && update == u.GetLabels()[v1beta1.LabelStableRevision] &&
		status(u, "updatedNumberScheduled") < status(u, "desiredNumberScheduled")
}

func (daemonSet) Leave(o Objects) client.Object {
	have, _ := o.Workload.(*unstructured.Unstructured)
	u := have.DeepCopy()
	if own, engaged := daemonOriginal(u); engaged {
		values{"type": own}.leave(daemonType, u)
	}
	return u
}

// Unstick deletes pods of the version that is taken back, within what may be unavailable, where its user's own strategy does not.
func (d daemonSet) Unstick(o Objects, s State, _ v1beta1.FinalizingPolicyType) Objects {
	if u, _ := o.Workload.(*unstructured.Unstructured); !s.Stale && d.goesBack(o) {
		o.Pods = replaced(o.Pods, s, s.Replicas, maxUnavailable(u, s.Replicas), d.outdated(u, s))
	}
	return o
}

// outdated selects the pods of other revisions.
func (daemonSet) outdated(u *unstructured.Unstructured, s State) func(*corev1.Pod) bool {
	return func(pod *corev1.Pod) bool { return controllerOf(pod) == u.GetUID() && !AtRevision(pod, s.Update) }
}

func (daemonSet) Disown(w client.Object) client.Object { return disowned(w) }
