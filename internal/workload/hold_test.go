// SPDX-License-Identifier: Apache-2.0

package workload

import (
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/api/equality"

	"kruise.io/rollouts/api/v1beta1"
)

func TestStarts(t *testing.T) {
	t.Parallel()
	running := []*appsv1.ReplicaSet{newSet("v1", 10, "1")}
	for name, c := range map[string]struct {
		edit func(before, after *appsv1.Deployment)
		sets []*appsv1.ReplicaSet
		want bool
	}{
		"image":               {func(_, a *appsv1.Deployment) { a.Spec.Template = template("v2") }, running, true},
		"template annotation": {func(_, a *appsv1.Deployment) { a.Spec.Template.Annotations = map[string]string{"a": "b"} }, running, true},
		"first deployment":    {func(_, a *appsv1.Deployment) { a.Spec.Template = template("v2") }, nil, false},
		"no pods run":         {func(_, a *appsv1.Deployment) { a.Spec.Template = template("v2") }, []*appsv1.ReplicaSet{newSet("v1", 0, "1")}, false},
		"scaled to nothing":   {func(_, a *appsv1.Deployment) { a.Spec.Template, a.Spec.Replicas = template("v2"), new(int32(0)) }, running, false},
		"no replicas said":    {func(_, a *appsv1.Deployment) { a.Spec.Template, a.Spec.Replicas = template("v2"), nil }, running, true},
		"nothing":             {func(_, _ *appsv1.Deployment) {}, running, false},
		"replicas":            {func(_, a *appsv1.Deployment) { a.Spec.Replicas = new(int32(3)) }, running, false},
		"paused":              {func(_, a *appsv1.Deployment) { a.Spec.Paused = true }, running, false},
		"strategy":            {func(_, a *appsv1.Deployment) { a.Spec.Strategy = recreate() }, running, false},
		"labels and annotations": {func(_, a *appsv1.Deployment) {
			a.Labels, a.Annotations = map[string]string{"a": "b"}, map[string]string{"a": "b"}
		}, running, false},
		"the native label alone": {func(_, a *appsv1.Deployment) { a.Spec.Template.Labels[appsv1.DefaultDeploymentUniqueLabelKey] = "x" }, running, false},
		"again during a release": {func(b, a *appsv1.Deployment) {
			b.Annotations = map[string]string{v1beta1.AnnotationInProgressing: "{}"}
			a.Spec.Template = template("v3")
		}, nil, true},
		"empty and missing values": {func(_, a *appsv1.Deployment) { a.Spec.Template.Annotations = map[string]string{} }, running, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			before := newDeployment("v1", rolling(nil, nil))
			after := before.DeepCopy()
			c.edit(before, after)
			if got := (deployment{}).Starts(Objects{Workload: after, Sets: c.sets}, before); got != c.want {
				t.Errorf("starts: %v, want %v", got, c.want)
			}
		})
	}
}

func TestHoldStamps(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		sets       []*appsv1.ReplicaSet
		recorded   string
		progress   string // annotation on the Deployment as it is stored
		label      string // stable revision on it
		wantStable string
	}{
		"one set":                                 {sets: []*appsv1.ReplicaSet{newSet("v1", 10, "1")}, wantStable: "v1"},
		"several sets: the oldest":                {sets: []*appsv1.ReplicaSet{newSet("v0", 2, "3"), newSet("v1", 8, "2")}, wantStable: "v1"},
		"several sets: the one recorded":          {sets: []*appsv1.ReplicaSet{newSet("v0", 2, "3"), newSet("v1", 8, "2")}, recorded: "v0", wantStable: "v0"},
		"what was recorded runs no more":          {sets: []*appsv1.ReplicaSet{newSet("v0", 0, "1"), newSet("v1", 8, "2")}, recorded: "v0", wantStable: "v1"},
		"a third template keeps where it started": {sets: []*appsv1.ReplicaSet{newSet("v1", 8, "2"), newSet("v15", 2, "3")}, progress: "{}", label: "v1", wantStable: "v1"},
		"an old label of a release long ended":    {sets: []*appsv1.ReplicaSet{newSet("v1", 10, "1")}, label: "v0", wantStable: "v1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			before := newDeployment("v1", rolling(percent("25%"), percent("25%")))
			set(before.GetAnnotations, before.SetAnnotations, v1beta1.AnnotationInProgressing, c.progress)
			set(before.GetLabels, before.SetLabels, v1beta1.LabelStableRevision, c.label)
			edited := before.DeepCopy()
			edited.Spec.Template = template("v2")
			d, _ := deployment{}.Hold(Objects{Workload: edited, Sets: c.sets}, before, "demo", c.recorded).(*appsv1.Deployment)
			checkHeld(t, d)
			if got := d.Labels[v1beta1.LabelStableRevision]; got != c.wantStable {
				t.Errorf("stable revision %q, want %q", got, c.wantStable)
			}
			if got := d.Annotations[v1beta1.AnnotationInProgressing]; got != `{"rolloutName":"demo"}` {
				t.Errorf("stamp %q", got)
			}
			if edited.Spec.Paused {
				t.Error("the edit itself was changed")
			}
		})
	}
}

// TestKeep checks edits by users and their tools in the middle of a release: the release goes on as it was, and what
// was wanted is there when it ends.
func TestKeep(t *testing.T) {
	t.Parallel()
	user := func() *appsv1.Deployment {
		d := newDeployment("v1", rolling(percent("25%"), percent("25%")))
		d.Spec.MinReadySeconds = 5
		return d
	}
	for name, c := range map[string]struct {
		from *appsv1.Deployment // as the user had it; nil: user()
		edit func(d *appsv1.Deployment)
		want func(d *appsv1.Deployment) // what the user has once the release is over, next to from
	}{
		"nothing":             {edit: func(*appsv1.Deployment) {}, want: func(*appsv1.Deployment) {}},
		"paused: false":       {edit: func(d *appsv1.Deployment) { d.Spec.Paused = false }, want: func(*appsv1.Deployment) {}},
		"re-applied from Git": {edit: func(d *appsv1.Deployment) { from := user().Spec; from.Template = d.Spec.Template; d.Spec = from }, want: func(*appsv1.Deployment) {}},
		"re-applied with replace": {
			edit: func(d *appsv1.Deployment) {
				d.Labels, d.Annotations = nil, nil
				from := user().Spec
				from.Template = d.Spec.Template
				d.Spec = from
			},
			want: func(*appsv1.Deployment) {},
		},
		"maxSurge": {
			edit: func(d *appsv1.Deployment) { d.Spec.Strategy.RollingUpdate.MaxSurge = pods(4) },
			want: func(d *appsv1.Deployment) { d.Spec.Strategy.RollingUpdate.MaxSurge = pods(4) },
		},
		"maxUnavailable": {
			edit: func(d *appsv1.Deployment) { d.Spec.Strategy.RollingUpdate.MaxUnavailable = percent("50%") },
			want: func(d *appsv1.Deployment) { d.Spec.Strategy.RollingUpdate.MaxUnavailable = percent("50%") },
		},
		"both": {
			edit: func(d *appsv1.Deployment) { d.Spec.Strategy = rolling(pods(3), pods(3)) },
			want: func(d *appsv1.Deployment) { d.Spec.Strategy = rolling(pods(3), pods(3)) },
		},
		"minReadySeconds": {
			edit: func(d *appsv1.Deployment) { d.Spec.MinReadySeconds = 30 },
			want: func(d *appsv1.Deployment) { d.Spec.MinReadySeconds = 30 },
		},
		"progressDeadlineSeconds": {
			edit: func(d *appsv1.Deployment) { d.Spec.ProgressDeadlineSeconds = new(int32(77)) },
			want: func(d *appsv1.Deployment) { d.Spec.ProgressDeadlineSeconds = new(int32(77)) },
		},
		"Recreate": {
			edit: func(d *appsv1.Deployment) { d.Spec.Strategy = recreate() },
			want: func(d *appsv1.Deployment) { d.Spec.Strategy = recreate() },
		},
		"from Recreate to rolling": {
			from: newDeployment("v1", recreate()),
			edit: func(d *appsv1.Deployment) { d.Spec.Strategy = rolling(pods(2), pods(2)) },
			want: func(d *appsv1.Deployment) { d.Spec.Strategy = rolling(pods(2), pods(2)) },
		},
		"Recreate re-applied": {
			from: newDeployment("v1", recreate()),
			edit: func(d *appsv1.Deployment) { d.Spec.Strategy = recreate(); d.Spec.Paused = false },
			want: func(*appsv1.Deployment) {},
		},
		"replicas": {
			edit: func(d *appsv1.Deployment) { d.Spec.Replicas = new(int32(20)) },
			want: func(d *appsv1.Deployment) { d.Spec.Replicas = new(int32(20)) },
		},
		"the user's labels and annotations": {
			edit: func(d *appsv1.Deployment) { d.Labels["a"], d.Annotations["b"] = "c", "d" },
			want: func(d *appsv1.Deployment) {
				d.Labels, d.Annotations = map[string]string{"a": "c"}, map[string]string{"b": "d"}
			},
		},
	} {
		for _, state := range []string{"held", "moving"} {
			t.Run(name+", "+state, func(t *testing.T) {
				t.Parallel()
				from := c.from
				if from == nil {
					from = user()
				}
				stored := from.DeepCopy()
				o, _ := originalOf(stored)
				o.hold(stored)
				if state == "moving" {
					o.move(stored, 1, pods(2))
				}
				stored.Annotations[v1beta1.AnnotationInProgressing] = `{"rolloutName":"demo"}`
				stored.Annotations[v1beta1.AnnotationControlInfo] = `{"uid":"br"}`
				stored.Labels = map[string]string{v1beta1.LabelStableRevision: "v1"}
				edited := stored.DeepCopy()
				c.edit(edited)
				kept, _ := deployment{}.Keep(edited, stored).(*appsv1.Deployment)

				for what, same := range map[string]bool{
					"paused":                  kept.Spec.Paused == stored.Spec.Paused,
					"minReadySeconds":         state != "moving" || kept.Spec.MinReadySeconds == stored.Spec.MinReadySeconds,
					"progressDeadlineSeconds": state != "moving" || equality.Semantic.DeepEqual(kept.Spec.ProgressDeadlineSeconds, stored.Spec.ProgressDeadlineSeconds),
					"strategy":                equality.Semantic.DeepEqual(kept.Spec.Strategy, stored.Spec.Strategy),
					"stamp":                   kept.Annotations[v1beta1.AnnotationInProgressing] == stored.Annotations[v1beta1.AnnotationInProgressing],
					"claim":                   kept.Annotations[v1beta1.AnnotationControlInfo] == stored.Annotations[v1beta1.AnnotationControlInfo],
					"stable revision":         kept.Labels[v1beta1.LabelStableRevision] == "v1",
				} {
					if !same {
						t.Errorf("the release lost its %s: %+v", what, kept.Spec)
					}
				}
				want := from.DeepCopy()
				c.want(want)
				freed, _ := deployment{}.Free(Objects{Workload: Unstamped(kept, false)}).(*appsv1.Deployment)
				if !equality.Semantic.DeepEqual(freed.Spec, want.Spec) {
					t.Errorf("the user gets %+v, want %+v", freed.Spec, want.Spec)
				}
				if !equality.Semantic.DeepEqual(freed.Labels, want.Labels) || !equality.Semantic.DeepEqual(freed.Annotations, want.Annotations) {
					t.Errorf("the user gets %v %v, want %v %v", freed.Labels, freed.Annotations, want.Labels, want.Annotations)
				}
			})
		}
	}
}

// A Deployment that its user has paused, before a release or in it, comes back paused; but not before all its pods are of one
// version: paused with two, the native controller adds as many as maxSurge allows. Anyone who drives a BatchRelease alone pauses
// the Deployment for that, and gets it back free.
func TestPausedByItsUser(t *testing.T) {
	t.Parallel()
	paused := newDeployment("v1", rolling(nil, nil))
	paused.Spec.Paused = true
	edited := paused.DeepCopy()
	edited.Spec.Template = template("v2")
	held, _ := deployment{}.Hold(Objects{Workload: edited, Sets: []*appsv1.ReplicaSet{newSet("v1", 10, "1")}}, paused, "demo", "").(*appsv1.Deployment)
	free := func(d *appsv1.Deployment, sets ...*appsv1.ReplicaSet) bool {
		freed, _ := deployment{}.Free(Objects{Workload: d, Sets: sets}).(*appsv1.Deployment)
		return !freed.Spec.Paused
	}
	if !free(held, newSet("v1", 5, "1"), newSet("v2", 5, "2")) {
		t.Error("it is paused with pods of two versions")
	}
	if free(held, newSet("v1", 0, "1"), newSet("v2", 10, "2")) {
		t.Error("it is not paused any more")
	}
	resumed := held.DeepCopy()
	resumed.Spec.Paused = false
	kept, _ := deployment{}.Keep(resumed, held).(*appsv1.Deployment)
	if !kept.Spec.Paused || !free(kept, newSet("v2", 10, "2")) {
		t.Error("resumed in a release that holds it, it is to stay held, and to be free at the end")
	}
	moving := newHeld(rolling(nil, nil))
	o, _ := originalOf(moving)
	o.move(moving, 1, pods(2))
	stopped := moving.DeepCopy()
	stopped.Spec.Paused = true
	kept, _ = deployment{}.Keep(stopped, moving).(*appsv1.Deployment)
	if kept.Spec.Paused || free(kept, newSet("v2", 10, "2")) {
		t.Error("paused in a release that moves it, it is to go on, and to be paused at the end")
	}
	alone, _ := move(paused, []*appsv1.ReplicaSet{newSet("v0", 10, "1")}, 0, Target{Updated: 1}).Workload.(*appsv1.Deployment)
	if !free(alone, newSet("v1", 10, "2")) {
		t.Error("paused by whoever drives the BatchRelease, it is to be free at the end")
	}
}

// TestKeepAgainstUndo checks annotations that kubectl rollout undo takes from an old ReplicaSet: those of a release long
// over must neither come back nor displace the present ones.
func TestKeepAgainstUndo(t *testing.T) {
	t.Parallel()
	past := newDeployment("v1", rolling(pods(9), pods(9)))
	o, _ := originalOf(past)
	o.hold(past)
	past.Annotations[v1beta1.AnnotationControlInfo] = `{"uid":"past"}`

	stored := newDeployment("v2", rolling(pods(1), pods(1)))
	brought := stored.DeepCopy()
	brought.Annotations = past.Annotations
	kept, _ := deployment{}.Keep(brought, stored).(*appsv1.Deployment)
	if len(kept.Annotations) > 0 || !equality.Semantic.DeepEqual(kept.Spec, stored.Spec) {
		t.Errorf("at rest: annotations %v, spec %+v", kept.Annotations, kept.Spec)
	}

	o, _ = originalOf(stored)
	o.hold(stored)
	want := stored.DeepCopy()
	for _, annotations := range []map[string]string{past.Annotations, nil, {}} {
		brought := stored.DeepCopy()
		brought.Annotations = annotations
		kept, _ := deployment{}.Keep(brought, stored).(*appsv1.Deployment)
		if !equality.Semantic.DeepEqual(kept.Annotations, want.Annotations) {
			t.Errorf("in a release: annotations %v, want %v", kept.Annotations, want.Annotations)
		}
	}
}

// TestHoldAgain checks that holding twice is holding once: where another webhook changes the object after ours, the API
// server asks again about what it was answered already.
func TestHoldAgain(t *testing.T) {
	t.Parallel()
	for name, strategy := range map[string]appsv1.DeploymentStrategy{
		"rolling": rolling(percent("25%"), percent("25%")), "surge alone": rolling(pods(1), pods(0)), "Recreate": recreate(),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			before := newDeployment("v1", strategy)
			edited := before.DeepCopy()
			edited.Spec.Template = template("v2")
			o := Objects{Workload: edited, Sets: []*appsv1.ReplicaSet{newSet("v1", 10, "1")}}
			once, _ := deployment{}.Hold(o, before, "demo", "").(*appsv1.Deployment)
			o.Workload = once
			twice, _ := deployment{}.Hold(o, before, "demo", "").(*appsv1.Deployment)
			if !equality.Semantic.DeepEqual(once, twice) {
				t.Errorf("held once: %v %+v, twice: %v %+v", once.Annotations, once.Spec.Strategy, twice.Annotations, twice.Spec.Strategy)
			}
		})
	}
}
