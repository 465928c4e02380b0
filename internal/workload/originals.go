// SPDX-License-Identifier: Apache-2.0

package workload

import (
	"encoding/json"
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/rollouts/api/v1beta1"
)

// fields are what a release changes in a workload's spec: where each is, by the name under which the user's own value is
// kept meanwhile.
type fields map[string][]string

// values are those of fields, by name. A field that is not set has none.
type values map[string]any

// of reads the fields.
func (f fields) of(u *unstructured.Unstructured) values {
	v := values{}
	for name, path := range f {
		if value, ok, err := unstructured.NestedFieldCopy(u.Object, path...); ok && err == nil && value != nil {
			v[name] = value
		}
	}
	return v
}

// want makes a field mean value. One that does so already is left as it is, and what means that nothing is paused is written by
// leaving it out: a kind's own admission writes such values its way, and would undo every other spelling for ever
// (sandbox/kruise_test.go).
func (f fields) want(u *unstructured.Unstructured, name string, value any) {
	have, _, _ := unstructured.NestedFieldNoCopy(u.Object, f[name]...)
	switch {
	case alike(name, have, value):
	case value == false:
		f.put(u, name, nil)
	default:
		f.put(u, name, value)
	}
}

// standard are the values of fields that are absent, of all kinds that have the field, where they are the same for all.
var standard = values{
	"partition": int64(0), "paused": false, "type": rollingUpdate, "maxSurge": int64(0), "minReadySeconds": int64(0),
}

// alike reports whether two values of a field mean the same, however they are spelt.
func alike(name string, a, b any) bool {
	return equality.Semantic.DeepEqual(meant(name, a), meant(name, b))
}

// meant is a value as one would write it: without decimals, without the unit of nothing, and the default where there is none.
func meant(name string, value any) any {
	switch v := value.(type) {
	case float64:
		value = int64(v)
	case string:
		switch v {
		case "0%":
			value = int64(0)
		case "":
			value = nil
		}
	}
	if value == nil {
		return standard[name]
	}
	return value
}

// put writes one field; nil removes it, and the maps it leaves empty.
func (f fields) put(u *unstructured.Unstructured, name string, value any) {
	path := f[name]
	if value != nil {
		_ = unstructured.SetNestedField(u.Object, value, path...) // what is in the way is no workload of this kind
		return
	}
	unstructured.RemoveNestedField(u.Object, path...)
	for end := len(path) - 1; end > 1; end-- { // not the spec itself
		if m, ok, err := unstructured.NestedMap(u.Object, path[:end]...); !ok || err != nil || len(m) > 0 {
			return
		}
		unstructured.RemoveNestedField(u.Object, path[:end]...)
	}
}

// originals returns the user's own values; false: no release has changed them.
func (f fields) originals(u *unstructured.Unstructured) (values, bool) {
	kept := values{}
	if err := json.Unmarshal([]byte(u.GetAnnotations()[v1beta1.AnnotationOriginalStrategy]), &kept); err == nil {
		left, behind := kept[leftAs].(map[string]any)
		if !behind {
			return kept.known(f), true
		}
		return kept.known(f).amended(f, values(left).known(f), f.of(u)), false
	}
	own := f.of(u)
	if claimed(u) == "" {
		return own, false
	}
	// The reference implementation keeps no originals of what it holds with, and restores the defaults (docs/wire.md,
	// writes per workload).
	delete(own, "partition")
	delete(own, "paused")
	return own, true
}

// leftAs is the name under which is kept what a workload was left with in the middle of its release.
const leftAs = "left"

// leave takes a release off a workload and leaves it where it is (feature gate KeepWorkloadPausedOnRolloutDeletion). What its user
// had stays on it, for the next release to restore; what is edited until then is the user's own.
func (v values) leave(f fields, u *unstructured.Unstructured) {
	kept := maps.Clone(v)
	kept[leftAs] = map[string]any(f.of(u))
	letBehind(u)
	kept.remember(u)
}

// letBehind takes a release off a workload that is left where it is, but for which version was stable: back there is a roll-back.
func letBehind(w client.Object) {
	stable := w.GetLabels()[v1beta1.LabelStableRevision]
	let(w)
	set(w.GetLabels, w.SetLabels, v1beta1.LabelStableRevision, stable)
}

// leftBehind reports whether a workload was left so.
func leftBehind(w client.Object) bool {
	kept := values{}
	return json.Unmarshal([]byte(w.GetAnnotations()[v1beta1.AnnotationOriginalStrategy]), &kept) == nil && kept[leftAs] != nil
}

// amended are own values with what was edited since; before and after are those of the workload.
func (v values) amended(f fields, before, after values) values {
	amended := maps.Clone(v)
	for name := range f {
		if alike(name, before[name], after[name]) {
			continue
		}
		delete(amended, name)
		if after[name] != nil {
			amended[name] = after[name]
		}
	}
	return amended
}

// leaves reports whether a strategy leaves pods of other versions where they are.
func (v values) leaves() bool { return v.stays() || !alike("partition", v["partition"], nil) }

// stays reports whether by a strategy no pod is replaced at all until somebody deletes it, or lets it go on.
func (v values) stays() bool { return v["type"] == onDelete || alike("paused", v["paused"], true) }

// known drops what is no field, and turns numbers into what unstructured objects have.
func (v values) known(f fields) values {
	known := values{}
	for name, value := range v {
		if number, ok := value.(float64); ok {
			value = int64(number)
		}
		if f[name] != nil && value != nil {
			known[name] = value
		}
	}
	return known
}

// remember keeps the user's own values in the object.
func (v values) remember(u *unstructured.Unstructured) {
	set(u.GetAnnotations, u.SetAnnotations, v1beta1.AnnotationOriginalStrategy, encode(v))
}

// hold makes u have values, and remembers the user's own.
func (f fields) hold(u *unstructured.Unstructured, own, held values) {
	own.remember(u)
	for _, name := range slices.Sorted(maps.Keys(held)) {
		f.want(u, name, held[name])
	}
}

// restore restores the user's own values, spelt as they were. What keeps them goes in the same write, so this is tried once.
func (f fields) restore(u *unstructured.Unstructured) {
	own, engaged := f.originals(u)
	if !engaged {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(f)) {
		f.put(u, name, own[name])
	}
}

// keep lets a user's edit through but for what the release holds. Values that differ from those that are stored are the
// user's new own ones (compare deployment.Keep).
func (f fields) keep(edited, old *unstructured.Unstructured) *unstructured.Unstructured {
	u := edited.DeepCopy()
	keepKeys(u, old)
	own, engaged := f.originals(old)
	if !engaged {
		return u
	}
	before, after := f.of(old), f.of(edited)
	for name := range f {
		if !alike(name, before[name], after[name]) {
			f.put(u, name, before[name])
		}
	}
	amended := own.amended(f, before, after).with(f.declared(edited, old))
	if !equality.Semantic.DeepEqual(amended, own) {
		amended.remember(u)
	}
	return u
}

// keepKeys keeps what only a release writes into metadata.
func keepKeys(w, before client.Object) {
	for _, key := range ownKeys.annotations {
		set(w.GetAnnotations, w.SetAnnotations, key, before.GetAnnotations()[key])
	}
	for _, key := range ownKeys.labels {
		set(w.GetLabels, w.SetLabels, key, before.GetLabels()[key])
	}
	if stamp := before.GetAnnotations()[v1beta1.AnnotationInProgressing]; stamp != "" && w.GetAnnotations()[v1beta1.AnnotationInProgressing] == "" {
		set(w.GetAnnotations, w.SetAnnotations, v1beta1.AnnotationInProgressing, stamp)
	}
}

// stamp marks a workload as being released by a Rollout.
func stamp(w client.Object, rollout, from string) {
	mark := map[string]string{"rolloutName": rollout}
	if from != "" {
		mark["from"] = from
	}
	set(w.GetAnnotations, w.SetAnnotations, v1beta1.AnnotationInProgressing, encode(mark))
}

// startedFrom is the digest of the template that a release in progress started from; "": no one noted it.
func startedFrom(w client.Object) string {
	mark := struct {
		From string `json:"from"`
	}{}
	_ = json.Unmarshal([]byte(w.GetAnnotations()[v1beta1.AnnotationInProgressing]), &mark)
	return mark.From
}

// let removes what a release wrote into metadata, but for the stamp and the label for admission: this implementation's and
// the reference's (docs/wire.md, keys on workloads).
func let(w client.Object) {
	for _, key := range ownKeys.annotations {
		set(w.GetAnnotations, w.SetAnnotations, key, "")
	}
	set(w.GetLabels, w.SetLabels, v1beta1.LabelStableRevision, "")
	set(w.GetAnnotations, w.SetAnnotations, "rollouts.kruise.io/deployment-extra-status", "")
	set(w.GetLabels, w.SetLabels, "rollouts.kruise.io/controlled-by-advanced-deployment-controller", "")
}

// own puts the claim of a BatchRelease on a workload.
func own(w client.Object, t Target) {
	set(w.GetAnnotations, w.SetAnnotations, v1beta1.AnnotationControlInfo, t.Claim)
}

// disowned returns a workload without the claim of a BatchRelease.
func disowned(w client.Object) client.Object {
	free, _ := w.DeepCopyObject().(client.Object)
	set(free.GetAnnotations, free.SetAnnotations, v1beta1.AnnotationControlInfo, "")
	return free
}

// ClaimOf reads which BatchRelease has claimed a workload. What does not parse claims nothing.
func ClaimOf(w client.Object) metav1.OwnerReference {
	ref := metav1.OwnerReference{}
	_ = json.Unmarshal([]byte(w.GetAnnotations()[v1beta1.AnnotationControlInfo]), &ref)
	return ref
}

func claimed(w client.Object) types.UID { return ClaimOf(w).UID }
