// SPDX-License-Identifier: Apache-2.0

package workload

import (
	"fmt"
	"slices"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"kruise.io/rollouts/api/v1beta1"
)

// track is the metadata that pods next to the stable ones have on top in these tests.
var track = &v1beta1.PatchPodTemplateMetadata{Labels: map[string]string{"track": "canary"}, Annotations: map[string]string{"note": "beside"}}

// target is what the BatchRelease of these tests wants.
func target(updated int32) Target {
	return Target{Claim: claim, Updated: updated, Owner: owner("br")}
}

func owner(uid types.UID) metav1.OwnerReference {
	return metav1.OwnerReference{APIVersion: "rollouts.kruise.io/v1beta1", Kind: "BatchRelease", Name: "demo", UID: uid, Controller: new(true)}
}

// newCanary is a canary Deployment that the BatchRelease of these tests has made.
func newCanary(version string, replicas int32, edit ...func(*appsv1.Deployment)) *appsv1.Deployment {
	d := newDeployment(version, rolling(pods(2), pods(1)))
	d.Name, d.UID = "web-"+version+"bbb", types.UID("canary-"+version)
	d.Labels = map[string]string{v1beta1.LabelCanaryDeployment: "web"}
	d.Annotations = map[string]string{v1beta1.AnnotationControlInfo: claim}
	d.OwnerReferences = []metav1.OwnerReference{owner("br")}
	d.Finalizers = []string{v1beta1.FinalizerCanaryDeployment}
	d.Spec.Replicas = &replicas
	for _, e := range edit {
		e(d)
	}
	return d
}

func of(uid types.UID) func(*appsv1.Deployment) {
	return func(d *appsv1.Deployment) { d.OwnerReferences[0].UID = uid }
}

func deleted(d *appsv1.Deployment) {
	d.UID += "-deleted"
	d.Name += "d"
	d.DeletionTimestamp = &metav1.Time{Time: time.Unix(0, 0)}
}

func withTrack(d *appsv1.Deployment) {
	d.Spec.Template = patched(&d.Spec.Template, track)
	d.Annotations[v1beta1.AnnotationPatchedMetadata] = encode(track)
}

// setBeside is the ReplicaSet of a canary Deployment; its revision is named after the Deployment.
func setBeside(d *appsv1.Deployment) *appsv1.ReplicaSet {
	set := newSet("x", *d.Spec.Replicas, "1")
	set.Name, set.UID = d.Name+"-set", d.UID+"-set"
	set.Spec.Template = *d.Spec.Template.DeepCopy()
	set.Labels[appsv1.DefaultDeploymentUniqueLabelKey] = string(d.UID)
	set.OwnerReferences = []metav1.OwnerReference{{Kind: "Deployment", Name: d.Name, UID: d.UID, Controller: new(true)}}
	return set
}

// heldBeside is a Deployment whose template admission has changed from v1 to version and held.
func heldBeside(version string) *appsv1.Deployment {
	before := newDeployment("v1", rolling(pods(2), pods(1)))
	edited := before.DeepCopy()
	edited.Spec.Template = template(version)
	d, _ := canaryDeployment{}.Hold(Objects{Workload: edited, Sets: []*appsv1.ReplicaSet{newSet("v1", 10, "1")}}, before, "demo", "").(*appsv1.Deployment)
	if version == "v1" { // the template has gone back
		set(d.GetLabels, d.SetLabels, v1beta1.LabelStableRevision, "v1")
	}
	return d
}

// freed is the same Deployment once it is restored.
func freed(version string) *appsv1.Deployment {
	d, _ := canaryDeployment{}.Free(Objects{Workload: heldBeside(version)}).(*appsv1.Deployment)
	return d
}

// around puts canaries and their ReplicaSets next to a Deployment that runs v1.
func around(d *appsv1.Deployment, canaries ...*appsv1.Deployment) Objects {
	o := Objects{Workload: d, Canaries: canaries, Sets: []*appsv1.ReplicaSet{newSet("v1", 10, "1")}}
	for _, canary := range canaries {
		o.Sets = append(o.Sets, setBeside(canary))
	}
	return o
}

func TestCanaryHoldsWithoutANote(t *testing.T) {
	t.Parallel()
	d := heldBeside("v2")
	checkHeld(t, d)
	kept, _ := canaryDeployment{}.Keep(d.DeepCopy(), d).(*appsv1.Deployment)
	amended := d.DeepCopy()
	amended.Spec.MinReadySeconds = 7
	amended, _ = canaryDeployment{}.Keep(amended, d).(*appsv1.Deployment)
	for name, d := range map[string]*appsv1.Deployment{"held": d, "kept": kept, "amended": amended} {
		if _, ok := d.Annotations[v1beta1.AnnotationDeploymentStrategy]; ok {
			t.Errorf("%s: clients would take it for partition style", name)
		}
		if o, ok := originalOf(d); !ok || o.MaxSurge.IntValue() != 2 {
			t.Errorf("%s: the original is %+v", name, o)
		}
	}
	if o, _ := originalOf(amended); o.MinReadySeconds != 7 {
		t.Errorf("what the user wants now is lost: %+v", o)
	}
	if d.Labels[v1beta1.LabelStableRevision] != "v1" {
		t.Errorf("stable revision %q", d.Labels[v1beta1.LabelStableRevision])
	}
}

func TestCanaryState(t *testing.T) {
	t.Parallel()
	v2 := newCanary("v2", 3)
	claimed := func(d *appsv1.Deployment) *appsv1.Deployment {
		d.Annotations[v1beta1.AnnotationControlInfo] = claim
		return d
	}
	stamped := func(d *appsv1.Deployment) *appsv1.Deployment {
		d.Annotations = map[string]string{v1beta1.AnnotationInProgressing: "{}"}
		return d
	}
	unstamped := func(d *appsv1.Deployment) *appsv1.Deployment {
		d.Annotations = nil
		return d
	}
	for name, c := range map[string]struct {
		o           Objects
		own         []*appsv1.ReplicaSet // beside v1
		wantUpdate  string
		wantUpdated int32
		wantBeside  bool
	}{
		"held, nothing beside it yet":                       {o: around(heldBeside("v2")), wantBeside: true},
		"held, the template has a ReplicaSet from long ago": {o: around(heldBeside("v2")), own: []*appsv1.ReplicaSet{newSet("v2", 0, "0")}, wantBeside: true},
		"held, pods beside it":                              {o: around(claimed(heldBeside("v2")), v2), wantUpdate: "canary-v2", wantUpdated: 3, wantBeside: true},
		"held, and pods with metadata of their own":         {o: around(heldBeside("v2"), newCanary("v2", 3, withTrack)), wantUpdate: "canary-v2", wantUpdated: 3, wantBeside: true},
		"held, pods of another template beside it":          {o: around(heldBeside("v3"), v2), wantBeside: true},
		"held, two BatchReleases":                           {o: around(claimed(heldBeside("v2")), v2, newCanary("v2", 5, of("other"), func(d *appsv1.Deployment) { d.UID = "x" })), wantUpdate: "canary-v2", wantUpdated: 3, wantBeside: true},
		"held, deleted by someone":                          {o: around(claimed(heldBeside("v2")), newCanary("v2", 3, deleted)), wantUpdate: "canary-v2-deleted", wantBeside: true},
		"held, deleted and replaced":                        {o: around(claimed(heldBeside("v2")), newCanary("v2", 3, deleted), newCanary("v2", 2)), wantUpdate: "canary-v2", wantUpdated: 2, wantBeside: true},
		"held, left behind by a BatchRelease that is gone":  {o: around(claimed(heldBeside("v2")), newCanary("v2", 3, deleted, of("gone"))), wantBeside: true},
		"held, the template gone back":                      {o: around(claimed(heldBeside("v1")), v2), wantUpdate: "v1", wantUpdated: 10},
		"given back, on its way":                            {o: around(stamped(freed("v2")), v2), own: []*appsv1.ReplicaSet{newSet("v2", 2, "2")}, wantUpdate: "canary-v2", wantUpdated: 2},
		"given back, deleted by someone":                    {o: around(stamped(freed("v2")), newCanary("v2", 3, deleted)), own: []*appsv1.ReplicaSet{newSet("v2", 2, "2")}, wantUpdate: "canary-v2-deleted", wantUpdated: 2},
		"given back, what stood beside it going at the end": {o: around(unstamped(freed("v2")), newCanary("v2", 3, deleted)), own: []*appsv1.ReplicaSet{newSet("v2", 10, "2")}, wantUpdate: "v2", wantUpdated: 10},
		"no release":                     {o: around(newDeployment("v1", rolling(nil, nil))), wantUpdate: "v1", wantUpdated: 10},
		"no release, paused by its user": {o: around(paused(newDeployment("v1", rolling(nil, nil)))), wantUpdate: "v1", wantUpdated: 10},
		"no release, paused by its user with a new template": {o: around(paused(newDeployment("v2", rolling(nil, nil)))), wantBeside: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.o.Sets = append(slices.Clone(c.o.Sets), c.own...)
			s := canaryDeployment{}.State(c.o, time.Unix(0, 0))
			if s.Update != c.wantUpdate || s.Updated != c.wantUpdated || s.Beside != c.wantBeside {
				t.Errorf("update %q, %d updated, beside: %v; want %q, %d, %v", s.Update, s.Updated, s.Beside, c.wantUpdate, c.wantUpdated, c.wantBeside)
			}
			if want := "v1"; s.Stable != want && s.Update != "v1" && s.Others > 0 {
				t.Errorf("stable %q, want %q", s.Stable, want)
			}
		})
	}
}

func paused(d *appsv1.Deployment) *appsv1.Deployment {
	d.Spec.Paused = true
	return d
}

// TestCanaryPods checks that new pods are distinguished from the Deployment's own, and judged by the owner's minReadySeconds.
func TestCanaryPods(t *testing.T) {
	t.Parallel()
	d := heldBeside("v2")
	o, _ := originalOf(d)
	o.MinReadySeconds = 5
	o.hold(d)
	canary := newCanary("v2", 2)
	all := around(d, canary)
	now := time.Unix(1000, 0)
	pod := func(name string, set *appsv1.ReplicaSet, since time.Time) *corev1.Pod {
		return &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Name: name, OwnerReferences: []metav1.OwnerReference{{UID: set.UID, Controller: new(true)}}},
			Status:     corev1.PodStatus{Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue, LastTransitionTime: metav1.NewTime(since)}}},
		}
	}
	all.Pods = []*corev1.Pod{
		pod("stable", all.Sets[0], now.Add(-time.Hour)), pod("long", all.Sets[1], now.Add(-5*time.Second)), pod("young", all.Sets[1], now.Add(-4*time.Second)),
	}
	s := canaryDeployment{}.State(all, now)
	if s.Updated != 2 || s.UpdatedReady != 1 || len(s.UpdatedPods) != 2 || !s.ReadyAt.Equal(now.Add(time.Second)) {
		t.Errorf("%d updated, %d ready, %d pods, the next at %s", s.Updated, s.UpdatedReady, len(s.UpdatedPods), s.ReadyAt)
	}
}

// TestCanaryMove checks what becomes of the canary Deployments: "name size" for each, with the events that matter.
func TestCanaryMove(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		o      Objects
		target Target
		want   []string
	}{
		"the first batch":                 {around(heldBeside("v2")), target(2), []string{"new 2"}},
		"a batch of nothing":              {around(heldBeside("v2")), target(0), []string{}},
		"there already":                   {around(heldBeside("v2"), newCanary("v2", 2)), target(2), []string{"canary-v2 2"}},
		"more":                            {around(heldBeside("v2"), newCanary("v2", 2)), target(5), []string{"canary-v2 5"}},
		"fewer":                           {around(heldBeside("v2"), newCanary("v2", 5)), target(2), []string{"canary-v2 5"}},
		"the template has gone back":      {around(heldBeside("v1")), target(2), []string{}},
		"gone back with pods beside it":   {around(heldBeside("v1"), newCanary("v2", 2)), target(2), []string{"canary-v2 2"}},
		"another template just before":    {around(heldBeside("v3"), newCanary("v2", 2)), target(3), []string{"new 3"}},
		"edited by someone":               {around(heldBeside("v2"), newCanary("v2", 2, func(d *appsv1.Deployment) { d.Spec.Template = template("v9") })), target(2), []string{"new 2"}},
		"metadata edited meanwhile":       {around(heldBeside("v2"), newCanary("v2", 2, withTrack)), target(2), []string{"canary-v2 2"}},
		"deleted by someone":              {around(heldBeside("v2"), newCanary("v2", 4, deleted)), target(2), []string{"canary-v2-deleted 4", "new 4"}},
		"deleted and replaced":            {around(heldBeside("v2"), newCanary("v2", 4, deleted), newCanary("v2", 4)), target(2), []string{"canary-v2-deleted 4 let go", "canary-v2 4"}},
		"deleted and not replaced yet":    {around(heldBeside("v2"), newCanary("v2", 4, deleted), newCanary("v2", 3)), target(2), []string{"canary-v2-deleted 4", "canary-v2 4"}},
		"of a BatchRelease that is gone":  {around(heldBeside("v2"), newCanary("v2", 4, deleted, of("gone"))), target(2), []string{"canary-v2-deleted 4 let go", "new 2"}},
		"of another BatchRelease":         {around(heldBeside("v2"), newCanary("v2", 4, of("other"))), target(2), []string{"canary-v2 4", "new 2"}},
		"a Deployment that may move":      {around(newDeployment("v2", rolling(nil, nil))), target(2), []string{}},
		"a Deployment that its user held": {around(paused(newDeployment("v2", rolling(nil, nil)))), target(2), []string{}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d, _ := c.o.Workload.(*appsv1.Deployment)
			set(d.GetAnnotations, d.SetAnnotations, v1beta1.AnnotationControlInfo, claim)
			before := d.DeepCopy()
			next := canaryDeployment{}.Move(c.o, canaryDeployment{}.State(c.o, time.Unix(0, 0)), c.target)
			got := []string{}
			for _, canary := range next.Canaries {
				text := fmt.Sprintf("%s %d", canary.UID, *canary.Spec.Replicas)
				if canary.UID == "" {
					text = fmt.Sprintf("new %d", *canary.Spec.Replicas)
				}
				if len(canary.Finalizers) == 0 {
					text += " let go"
				}
				got = append(got, text)
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("beside it %q, want %q", got, c.want)
			}
			moved, _ := next.Workload.(*appsv1.Deployment)
			if !moved.Spec.Paused && !apart(c.o, "br").home() {
				t.Error("the Deployment is not held")
			}
			if !equality.Semantic.DeepEqual(before, d) {
				t.Error("what was seen was changed")
			}
			if moved.Annotations[v1beta1.AnnotationControlInfo] != claim || moved.Annotations[v1beta1.AnnotationDeploymentStrategy] != "" {
				t.Errorf("annotations %v", moved.Annotations)
			}
		})
	}
}

// TestCanaryIsRendered checks what a canary Deployment looks like.
func TestCanaryIsRendered(t *testing.T) {
	t.Parallel()
	before := newDeployment("v1", recreate())
	before.Spec.MinReadySeconds, before.Labels = 3, map[string]string{"team": "shop"}
	edited := before.DeepCopy()
	edited.Spec.Template = template("v2")
	o := Objects{Workload: edited, Sets: []*appsv1.ReplicaSet{newSet("v1", 10, "1")}}
	o.Workload = canaryDeployment{}.Hold(o, before, "demo", "")
	to := target(2)
	to.Patch = track
	next := canaryDeployment{}.Move(o, canaryDeployment{}.State(o, time.Unix(0, 0)), to)
	canary := next.Canaries[0]

	want := edited.Spec.DeepCopy()
	want.Replicas = new(int32(2))
	want.Template = patched(&want.Template, track)
	if !equality.Semantic.DeepEqual(canary.Spec, *want) {
		t.Errorf("spec %+v\nwant %+v", canary.Spec, *want)
	}
	if want := map[string]string{v1beta1.LabelCanaryDeployment: "web"}; !equality.Semantic.DeepEqual(canary.Labels, want) {
		t.Errorf("labels %v, want %v", canary.Labels, want)
	}
	if canary.Annotations[v1beta1.AnnotationControlInfo] != claim || !slices.Equal(canary.Finalizers, []string{v1beta1.FinalizerCanaryDeployment}) ||
		!metav1.IsControlledBy(canary, &metav1.ObjectMeta{UID: "br"}) {
		t.Errorf("metadata %+v", canary.ObjectMeta)
	}
	if !madeFrom(canary, &edited.Spec.Template) || madeFrom(canary, &before.Spec.Template) {
		t.Error("it does not tell from which template it was made")
	}
	again := canaryDeployment{}.Move(o, canaryDeployment{}.State(o, time.Unix(0, 0)), to).Canaries[0]
	if again.Name != canary.Name || len(canary.Name) != len("web-")+5 {
		t.Errorf("named %q, then %q", canary.Name, again.Name)
	}
	to.Owner = owner("next")
	if other := (canaryDeployment{}).Move(o, State{}, to).Canaries[0]; other.Name == canary.Name {
		t.Errorf("another BatchRelease has the same name for its own: %q", other.Name)
	}
}

// TestCanaryReplacementIsTheSame: what replaces a deleted canary Deployment has its metadata, whatever the plan says now.
func TestCanaryReplacementIsTheSame(t *testing.T) {
	t.Parallel()
	d := heldBeside("v2")
	d.Annotations[v1beta1.AnnotationControlInfo] = claim
	o := around(d, newCanary("v2", 2, withTrack, deleted))
	next := canaryDeployment{}.Move(o, canaryDeployment{}.State(o, time.Unix(0, 0)), target(2))
	if got := next.Canaries[1]; !equality.Semantic.DeepEqual(got.Spec.Template, o.Canaries[0].Spec.Template) || got.Name == o.Canaries[0].Name {
		t.Errorf("%s with %+v", got.Name, got.Spec.Template)
	}
}

// TestCanaryFree checks that everything is restored, and that canary pods are not waited for.
func TestCanaryFree(t *testing.T) {
	t.Parallel()
	for name, strategy := range map[string]appsv1.DeploymentStrategy{"rolling": rolling(pods(2), pods(1)), "recreate": recreate()} {
		before := newDeployment("v1", strategy)
		edited := before.DeepCopy()
		edited.Spec.Template = template("v2")
		held := canaryDeployment{}.Hold(Objects{Workload: edited, Sets: []*appsv1.ReplicaSet{newSet("v1", 10, "1")}}, before, "demo", "")
		o := around(held.(*appsv1.Deployment), newCanary("v2", 5), newCanary("v0", 1))
		if name == "recreate" {
			on, _ := canaryDeployment{}.Free(o).(*appsv1.Deployment)
			if on.Spec.Paused || on.Spec.Strategy.Type == appsv1.RecreateDeploymentStrategyType || on.Annotations[v1beta1.AnnotationDeploymentStrategy] != "" {
				t.Errorf("on its way: %+v", on)
			}
			o.Workload, o.Sets[0] = on, newSet("v1", 0, "1")
		}
		freed, _ := canaryDeployment{}.Free(o).(*appsv1.Deployment)
		freed.Annotations, edited.Annotations = nil, nil // but for admission's stamp
		freed.Labels, edited.Labels = nil, nil
		if !equality.Semantic.DeepEqual(freed, edited) {
			t.Errorf("%s: freed %+v\nwant %+v", name, freed, edited)
		}
	}
}

func TestTerminating(t *testing.T) {
	t.Parallel()
	now := &metav1.Time{Time: time.Unix(0, 0)}
	pod := func(set *appsv1.ReplicaSet, going bool) *corev1.Pod {
		p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{OwnerReferences: []metav1.OwnerReference{{UID: set.UID, Controller: new(true)}}}}
		if going {
			p.DeletionTimestamp = now
		}
		return p
	}
	for name, c := range map[string]struct {
		deleted, noSet, setDeleted, pod, podDeleted, want bool
	}{
		"alive":                               {pod: true},
		"deleted, and nobody has looked":      {deleted: true, pod: true},
		"deleted, its pods not yet made":      {deleted: true, noSet: true},
		"its ReplicaSet may still make pods":  {deleted: true, pod: true, podDeleted: true},
		"its ReplicaSet deleted, pods not":    {deleted: true, setDeleted: true, pod: true},
		"its pods are on their way out":       {deleted: true, setDeleted: true, pod: true, podDeleted: true, want: true},
		"its pods are gone, it will be, too":  {deleted: true, setDeleted: true, want: true},
		"its pods are gone, it is not to go?": {setDeleted: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			canary := newCanary("v2", 1)
			if c.deleted {
				deleted(canary)
			}
			o := around(heldBeside("v2"), canary)
			if c.setDeleted {
				o.Sets[1].DeletionTimestamp = now
			}
			o.Pods = []*corev1.Pod{pod(o.Sets[0], false)}
			if c.pod {
				o.Pods = append(o.Pods, pod(o.Sets[1], c.podDeleted))
			}
			if c.noSet {
				o.Sets = o.Sets[:1]
			}
			if got := Terminating(canary, o); got != c.want {
				t.Errorf("%v, want %v", got, c.want)
			}
		})
	}
}
