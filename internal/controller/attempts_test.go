// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"errors"
	"maps"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/rollouts/api/v1beta1"
	"kruise.io/rollouts/internal/plan"
)

var began = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

// pausing is a change of a Deployment that is written as it is said, and comes back otherwise.
func pausing() (of client.Object, c plan.Change, back *appsv1.Deployment) {
	from := &appsv1.Deployment{ObjectMeta: shared}
	to := from.DeepCopy()
	to.Spec.Paused, to.Spec.MinReadySeconds = true, 0
	return &v1beta1.BatchRelease{ObjectMeta: metav1.ObjectMeta{UID: "br"}}, plan.Change{From: from, To: to}, from.DeepCopy()
}

// TestAttempts: what does not stick is written a few times at most, and reported with the object and the field.
func TestAttempts(t *testing.T) {
	t.Parallel()
	quota := apierrors.NewForbidden(schema.GroupResource{Resource: "services"}, "web-canary", errors.New("exceeded quota: few"))
	for name, c := range map[string]struct {
		play   func(a *attempts, of client.Object, c plan.Change, back *appsv1.Deployment)
		reason string
		says   string
		wait   time.Duration
	}{
		"written once": {
			play: func(a *attempts, of client.Object, c plan.Change, _ *appsv1.Deployment) { a.wrote(of, c, c.To) },
		},
		"dropped within the write": {
			play:   func(a *attempts, of client.Object, c plan.Change, back *appsv1.Deployment) { a.wrote(of, c, back) },
			reason: v1beta1.ReasonWriteReverted, wait: time.Second,
			says: "Deployment web: field spec.paused was set to true, and is unset again; an admission webhook or a policy changes it during the write",
		},
		"put back by another manager, again and again": {
			play: func(a *attempts, of client.Object, c plan.Change, _ *appsv1.Deployment) {
				to := c.To.DeepCopyObject().(client.Object)
				to.SetManagedFields([]metav1.ManagedFieldsEntry{{Manager: "flux", Time: &metav1.Time{Time: began}}})
				for range writesAtOnce {
					a.wrote(of, c, to)
				}
			},
			reason: v1beta1.ReasonWriteReverted, wait: time.Second,
			says: `Deployment web: field spec.paused was set to true, and is unset again; last written by "flux"`,
		},
		"changed back by ourselves in between": {
			play: func(a *attempts, of client.Object, c plan.Change, _ *appsv1.Deployment) {
				for i := range 2 * writesAtOnce {
					a.clock = clocktesting.NewFakePassiveClock(began.Add(time.Duration(i-2*writesAtOnce) * 2 * time.Second))
					a.wrote(of, c, c.To)
					a.clock = clocktesting.NewFakePassiveClock(began.Add(time.Duration(i-2*writesAtOnce)*2*time.Second + time.Second))
					a.wrote(of, plan.Change{From: c.To, To: c.From}, c.From)
				}
				a.clock = clocktesting.NewFakePassiveClock(began)
			},
		},
		"there and back by ourselves, without end": {
			play: func(a *attempts, of client.Object, c plan.Change, _ *appsv1.Deployment) {
				for range writesAtOnce {
					a.wrote(of, c, c.To)
					a.wrote(of, plan.Change{From: c.To, To: c.From}, c.From)
				}
			},
			reason: v1beta1.ReasonWriteReverted, wait: time.Second,
			says: "Deployment web: field spec.paused was set to true, and is unset again",
		},
		"refused": {
			play: func(a *attempts, of client.Object, c plan.Change, _ *appsv1.Deployment) {
				a.failed(of, c, quota)
				a.failed(of, c, quota)
			},
			reason: v1beta1.ReasonWriteRefused, wait: 2 * time.Second,
			says: `updating Deployment web is refused: services "web-canary" is forbidden: exceeded quota: few`,
		},
		"lost on the way": {
			play: func(a *attempts, of client.Object, c plan.Change, _ *appsv1.Deployment) {
				a.failed(of, c, errors.New("connection refused"))
				a.failed(of, c, apierrors.NewConflict(schema.GroupResource{}, "web", errors.New("changed")))
			},
		},
		"refused once and taken then": {
			play: func(a *attempts, of client.Object, c plan.Change, _ *appsv1.Deployment) {
				a.failed(of, c, quota)
				a.wrote(of, c, c.To)
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			clock := clocktesting.NewFakePassiveClock(began)
			a := newAttempts(clock)
			of, change, back := pausing()
			c.play(a, of, change, back)
			a.clock = clock
			free, o := a.obstacles(of, []plan.Change{change})
			if c.says == "" {
				if o != nil || len(free) != 1 {
					t.Fatalf("it is held: %+v", o)
				}
				return
			}
			if o == nil || len(free) != 0 || o.Message != c.says || o.Reason != c.reason || !o.Until.Equal(began.Add(c.wait)) {
				t.Fatalf("%d are free, and it says\n%+v, want\n%s until %s", len(free), o, c.says, c.wait)
			}
			clock.SetTime(o.Until)
			if free, o = a.obstacles(of, []plan.Change{change}); len(free) != 1 || o == nil {
				t.Errorf("when it is due, %d are free, and it says %+v", len(free), o)
			}
			clock.SetTime(o.Until.Add(attemptsKept + time.Second))
			if _, o = a.obstacles(of, []plan.Change{change}); o != nil {
				t.Errorf("long after, it says %+v", o)
			}
		})
	}
}

// TestWritten: what gateways are given is counted from writes that went through.
func TestWritten(t *testing.T) {
	t.Parallel()
	clock := clocktesting.NewFakePassiveClock(began)
	a := newAttempts(clock)
	of, change, back := pausing()
	check := func(want map[string]time.Time) {
		t.Helper()
		if got := a.written(of); !maps.Equal(got, want) {
			t.Errorf("it was written at %v, want %v", got, want)
		}
	}
	check(map[string]time.Time{})
	a.failed(of, change, errors.New("connection refused"))
	check(map[string]time.Time{})
	a.wrote(of, change, change.To)
	check(map[string]time.Time{"Deployment web": began})
	clock.SetTime(began.Add(time.Second))
	a.wrote(of, plan.Change{From: back}, nil)
	check(map[string]time.Time{"Deployment web": began.Add(time.Second)})
}

// TestUnfinished: a write that was taken in part is finished, whatever is planned since.
func TestUnfinished(t *testing.T) {
	t.Parallel()
	a := newAttempts(clocktesting.NewFakePassiveClock(began))
	of, change, back := pausing()
	a.wrote(of, change, back)
	if _, _, found := a.unfinished(of, []plan.Change{change}); found {
		t.Error("what is planned anyway is taken for forgotten")
	}
	rest, o, found := a.unfinished(of, nil)
	if d, ok := rest.To.(*appsv1.Deployment); !found || !ok || !d.Spec.Paused || o.Message == "" {
		t.Fatalf("%v: %+v %+v", found, rest, o)
	}
	if a.wrote(of, rest, rest.To); len(a.by["br"]) != 1 {
		t.Errorf("it is remembered as another write: %v", a.by["br"])
	}
	if _, _, found := a.unfinished(of, nil); found {
		t.Error("it is not finished by being taken")
	}
	a.wrote(of, change, back)
	a.lost(of, change)
	if _, _, found := a.unfinished(of, nil); found {
		t.Error("an object that has changed since is written from an old copy")
	}
}

// TestFieldsOfChange: when a write is made, and how large what it is laid over is, does not make it another.
func TestFieldsOfChange(t *testing.T) {
	t.Parallel()
	key := func(at string, more int32) string {
		from := &v1beta1.BatchRelease{ObjectMeta: shared}
		from.Status.ObservedWorkloadReplicas = more
		to := from.DeepCopy()
		to.Annotations = map[string]string{v1beta1.AnnotationOrdered: at}
		to.Spec.ReleasePlan.BatchPartition = new(int32(1))
		return keyOfChange(plan.Change{From: from, To: to})
	}
	if a, b := key("now", 0), key("later", 3); a != b {
		t.Errorf("%s\nis not\n%s", a, b)
	}
	pod := &corev1.Pod{ObjectMeta: shared}
	labelled := pod.DeepCopy()
	labelled.Labels = map[string]string{"a.b/c": "d"}
	for path := range fieldsOf(plan.Change{From: pod, To: labelled}) {
		if dotted(path) != "metadata.labels[a.b/c]" {
			t.Errorf("the field is %s", dotted(path))
		}
	}
}
