// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/rollouts/api/v1beta1"
)

// kindStory is a story of the simulated world (internal/sim/world, TestConformance) that does not begin like endings do.
type kindStory struct {
	steps string
	play  func(*testing.T, *released)
}

var kindStories = map[string]kindStory{
	"in percent":                      {`"steps":[{"replicas":"20%"},{"replicas":"50%"},{"replicas":"100%"}]`, inPercent},
	"more than there is":              {`"steps":[{"replicas":2},{"replicas":9}]`, moreThanThereIs},
	"other changes pass":              {"", otherChangesPass},
	"never ready, and back":           {`"steps":[{"replicas":2},{"replicas":"100%"}]`, neverReady},
	"crashing, then the next version": {`"steps":[{"replicas":2},{"replicas":"100%"}]`, crashing},
	"failure threshold":               {`"failureThreshold":"50%","steps":[{"replicas":2},{"replicas":"100%"}]`, failureThreshold},
	"back at once":                    {"", backAtOnce},
}

// tellKinds plays those stories of OpenKruise's kinds.
func tellKinds(t *testing.T, p *place, kinds []kind) {
	t.Helper()
	for _, k := range kinds {
		if k.version != alpha && k.version != beta {
			continue
		}
		for name, story := range kindStories {
			t.Run(fmt.Sprintf("%s %s, %s", k.version, k.name, name), func(t *testing.T) {
				t.Parallel()
				r := &released{stage: p.newStage(t), kind: k, style: canary, steps: story.steps}
				r.release(t)
				story.play(t, r)
				r.fewWrites(t)
			})
		}
	}
}

// sized are the pods once so many are updated.
func (r *released) sized(updated int) map[string]int {
	all := map[string]int{"v1": r.pods() - updated, "v2": updated}
	if updated == r.pods() {
		delete(all, "v1")
	}
	return all
}

func inPercent(t *testing.T, r *released) {
	r.image(t, "v2")
	for step, percent := range []int{20, 50} {
		r.paused(t, int32(step+1), r.sized((r.pods()*percent+99)/100)) //nolint:gosec // it is 1 or 2
		r.status(t, `{"currentStepState":"StepReady"}`)
	}
	r.ends(t, "True", r.sized(r.pods()))
}

func moreThanThereIs(t *testing.T, r *released) {
	r.image(t, "v2")
	r.paused(t, 1, r.sized(2))
	r.status(t, `{"currentStepState":"StepReady"}`)
	r.paused(t, 2, r.sized(r.pods()))
	r.status(t, `{"currentStepState":"StepReady"}`)
	r.ends(t, "True", r.sized(r.pods()))
}

// otherChangesPass: what is no change of the template begins no release, so what is labelled and scaled is released once.
func otherChangesPass(t *testing.T, r *released) {
	r.patch(t, r.object(), `{"metadata":{"labels":{"team":"a"}}}`)
	r.scale(t, r.pods()-1)
	r.until(t, "a pod less", func() bool { return r.ready(t)["v1"] == r.pods()-1 })
	r.scale(t, r.pods())
	r.until(t, "all pods", func() bool { return r.ready(t)["v1"] == r.pods() })
	if ro := r.rollout(t); ro.Status.Phase != v1beta1.PhaseHealthy || ro.Status.CanaryStatus.CanaryRevision != ro.Status.CanaryStatus.StableRevision {
		t.Errorf("a release began: %+v", ro.Status)
	}
	r.image(t, "v2")
	r.paused(t, 1, r.sized(1))
	r.status(t, `{"currentStepState":"StepReady"}`)
	r.ends(t, "True", r.sized(r.pods()))
}

// breaks sets version 2, whose pods do not become ready.
func (r *released) breaks(t *testing.T, how string) {
	t.Helper()
	r.patch(t, r.object(), fmt.Sprintf(`{"spec":{"template":{"metadata":{"annotations":{"sandbox.kruise.io/%s":"true"}},
		"spec":{"containers":[{"name":"main","image":"example/web:v2"}]}}}}`, how))
	r.until(t, "a broken pod", func() bool {
		return slices.ContainsFunc(r.all(t), func(pod corev1.Pod) bool { return imageOf(&pod) == "v2" })
	})
}

// mends sets a version whose pods do.
func (r *released) mends(t *testing.T, version string) {
	t.Helper()
	r.patch(t, r.object(), fmt.Sprintf(`{"spec":{"template":{"metadata":{"annotations":null},"spec":{"containers":[{"name":"main","image":"example/web:%s"}]}}}}`, version))
}

func (r *released) all(t *testing.T) []corev1.Pod {
	t.Helper()
	list := &corev1.PodList{}
	if err := r.user.List(t.Context(), list, client.InNamespace(r.namespace)); err != nil {
		t.Fatal(err)
	}
	return list.Items
}

func neverReady(t *testing.T, r *released) {
	r.breaks(t, "never-ready")
	if state := r.rollout(t).Status.CurrentStepState; state != v1beta1.StepUpgrade {
		t.Errorf("the step is %s", state)
	}
	r.mends(t, "v1")
	r.ends(t, "False", map[string]int{"v1": r.pods()})
}

func crashing(t *testing.T, r *released) {
	r.breaks(t, "crash")
	r.mends(t, "v3")
	r.paused(t, 1, nil)
	r.status(t, `{"currentStepState":"StepReady"}`)
	r.ends(t, "True", map[string]int{"v3": r.pods()})
}

// failureThreshold: one broken pod of two is no more than the Rollout puts up with.
func failureThreshold(t *testing.T, r *released) {
	r.image(t, "v2")
	r.paused(t, 1, r.sized(2))
	pods := r.all(t)
	first := slices.IndexFunc(pods, func(pod corev1.Pod) bool { return imageOf(&pod) == "v2" })
	r.patch(t, &pods[first], `{"metadata":{"annotations":{"sandbox.kruise.io/never-ready":"true"}}}`)
	want := r.sized(2)
	want["v2"]--
	r.until(t, "a broken pod", func() bool { return fmt.Sprint(r.ready(t)) == fmt.Sprint(want) })
	r.paused(t, 1, want)
	r.image(t, "v1")
	r.ends(t, "False", map[string]int{"v1": r.pods()})
}

func backAtOnce(t *testing.T, r *released) {
	r.image(t, "v2")
	r.image(t, "v1")
	r.until(t, "no release", func() bool {
		return r.rollout(t).Status.Phase == v1beta1.PhaseHealthy && fmt.Sprint(r.ready(t)) == fmt.Sprint(map[string]int{"v1": r.pods()}) &&
			!strings.Contains(fmt.Sprint(r.spec(t)), "annotation ")
	})
	r.givenBack(t)
}

// TestKindsRestarted: the manager is killed in the middle of releases of every kind of OpenKruise's, and goes on each time.
func TestKindsRestarted(t *testing.T) {
	if err := home.cluster.InstallKruise(t.Context()); err != nil {
		t.Fatal(err)
	}
	var all []*released
	for _, k := range served {
		for _, style := range k.styles() {
			if k.version == alpha || k.version == beta {
				all = append(all, &released{stage: home.newStage(t), kind: k, style: style})
			}
		}
	}
	each := func(do func(r *released)) {
		t.Helper()
		for _, r := range all {
			do(r)
		}
		if err := home.manager.restart(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	each(func(r *released) {
		r.release(t)
		r.image(t, "v2")
	})
	each(func(r *released) { r.paused(t, 1, r.first("v1", "v2")) })
	for _, r := range all {
		r.succeeds(t, "v1", "v2")
		r.fewWrites(t)
	}
}
