// SPDX-License-Identifier: Apache-2.0

package properties

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/intstr"
	"pgregory.net/rapid"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/rollouts/api/v1beta1"
	"kruise.io/rollouts/internal/controller"
	"kruise.io/rollouts/internal/sim/world"
)

// kind is a kind of workloads next to the Deployment, which has a model of its own.
type kind struct {
	version, name string
	blueGreen     bool
	canary        bool
	sizes         []string // of its steps; none: some numbers of pods
}

var kinds = map[string]kind{
	"statefulset":          {version: "apps/v1", name: "StatefulSet"},
	"daemonset":            {version: "apps/v1", name: "DaemonSet"},
	"replicaset":           {version: "apps/v1", name: "ReplicaSet"},
	"cloneset":             {version: "apps.kruise.io/v1alpha1", name: "CloneSet"},
	"cloneset v1beta1":     {version: "apps.kruise.io/v1beta1", name: "CloneSet"},
	"cloneset blue-green":  {version: "apps.kruise.io/v1alpha1", name: "CloneSet", blueGreen: true},
	"advanced statefulset": {version: "apps.kruise.io/v1beta1", name: "StatefulSet"},
	"advanced daemonset":   {version: "apps.kruise.io/v1alpha1", name: "DaemonSet"},
}

// life is a release of any kind, and what its user wants.
type life struct {
	*world.World
	kind
	ctx      context.Context
	steps    []int32
	replicas int32
	current  string
	allowed  int32
	void     bool   // the number of pods was changed, or another release overtook this one: old promises are void
	spec     string // of the workload, as its user has it, but for template and replicas
	trouble  string
}

// TestKinds acts on releases of all other kinds in every order, as TestRelease does.
func TestKinds(t *testing.T) {
	t.Parallel()
	for name, k := range kinds {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rapid.Check(t, func(t *rapid.T) {
				l := k.begin(t)
				t.Repeat(map[string]func(*rapid.T){
					"":                   l.check,
					"rollout looks":      func(t *rapid.T) { l.tolerate(t, l.ReconcileRollout(l.ctx, "web")) },
					"batchrelease looks": func(t *rapid.T) { l.tolerate(t, l.ReconcileRelease(l.ctx, "web")) },
					"cluster looks":      func(t *rapid.T) { _, err := l.Cluster.Sync(l.ctx); l.tolerate(t, err) },
					"everything settles": func(t *rapid.T) { l.Fault = world.Fault{}; _, err := l.Settle(l.ctx); l.tolerate(t, err) },
					"time passes": func(t *rapid.T) {
						l.Clock.SetTime(l.Clock.Now().Add(time.Duration(rapid.IntRange(1, 5000).Draw(t, "ms")) * time.Millisecond))
					},
					"manager restarts":    func(*rapid.T) { l.Restart() },
					"cluster acts sooner": func(*rapid.T) { l.Quick = !l.Quick },
					"cluster acts later":  func(t *rapid.T) { l.Passes = rapid.IntRange(1, 3).Draw(t, "passes") },
					"a write fails": func(t *rapid.T) {
						l.Fault = world.Fault{Write: l.WritesOfManager() + rapid.IntRange(1, 3).Draw(t, "in"), Arrived: rapid.Bool().Draw(t, "arrived")}
					},
					"user sets an image":   l.setImage,
					"user approves":        l.approve,
					"user jumps":           l.jump,
					"user scales":          l.scale,
					"user aborts":          l.abort,
					"a pod is lost":        l.losePod,
					"user lifts the abort": func(t *rapid.T) { l.patchRollout(t, annotation("")) },
					"user disables": func(t *rapid.T) {
						l.void = true
						l.patchRollout(t, fmt.Sprintf(`{"spec":{"disabled":%t}}`, rapid.IntRange(0, 3).Draw(t, "disabled") == 0))
					},
					"user pauses": func(t *rapid.T) {
						l.patchRollout(t, fmt.Sprintf(`{"spec":{"strategy":{"paused":%t}}}`, rapid.Bool().Draw(t, "paused")))
					},
					"user deletes release": func(t *rapid.T) {
						l.must(t, client.IgnoreNotFound(l.User.Delete(l.ctx, named(&v1beta1.BatchRelease{}))))
					},
				})
				l.end(t)
			})
		})
	}
}

// begin makes a workload and its Rollout, and waits until it is healthy.
func (k kind) begin(t *rapid.T) *life {
	w, err := world.New(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	l := &life{World: w, kind: k, ctx: t.Context(), current: "v1", replicas: rapid.Int32Range(2, 6).Draw(t, "replicas")}
	w.Watch = func(write world.Write) {
		if problem := w.Trespass(write); problem != "" && l.trouble == "" {
			l.trouble = problem
		}
	}
	if k.name == "DaemonSet" {
		l.must(t, w.AddNodes(l.ctx, int(l.replicas)))
	}
	l.steps = drawSteps(t, l.replicas, rapid.IntRange(1, 3).Draw(t, "steps"))
	u := k.workload(l.replicas)
	l.must(t, w.User.Create(l.ctx, u))
	ro := named(&v1beta1.Rollout{})
	ro.Spec.WorkloadRef = v1beta1.ObjectRef{APIVersion: k.version, Kind: k.name, Name: "web"}
	steps := stepsOf(l.steps)
	if len(k.sizes) > 0 {
		steps = make([]v1beta1.CanaryStep, len(k.sizes))
		for i, size := range k.sizes {
			steps[i].Replicas = new(intstr.Parse(size))
		}
	}
	if k.blueGreen {
		ro.Spec.Strategy.BlueGreen = &v1beta1.BlueGreenStrategy{Steps: steps}
	} else {
		ro.Spec.Strategy.Canary = &v1beta1.CanaryStrategy{Steps: steps, EnableExtraWorkloadForCanary: k.canary}
	}
	l.must(t, w.User.Create(l.ctx, ro))
	l.must(t, w.Until(l.ctx, time.Minute, func() bool { return l.rollout().Status.Phase == v1beta1.PhaseHealthy && l.pods()["v1"] == l.replicas }))
	l.must(t, w.Pass(l.ctx, 10*time.Second))
	l.spec = l.own()
	return l
}

// workload runs some pods of v1.
func (k kind) workload(replicas int32) *unstructured.Unstructured {
	u := k.object()
	spec := map[string]any{
		"selector": map[string]any{"matchLabels": map[string]any{"app": "web"}},
		"template": map[string]any{
			"metadata": map[string]any{"labels": map[string]any{"app": "web"}},
			"spec":     map[string]any{"containers": []any{map[string]any{"name": "main", "image": image("v1")}}},
		},
	}
	if k.name != "DaemonSet" {
		spec["replicas"] = int64(replicas)
	} else { // as the API server has it where its user says nothing
		spec["updateStrategy"] = map[string]any{"type": "RollingUpdate", "rollingUpdate": map[string]any{"maxUnavailable": int64(1), "maxSurge": int64(0)}}
	}
	u.Object["spec"] = spec
	return u
}

func (k kind) object() *unstructured.Unstructured {
	u := named(&unstructured.Unstructured{})
	u.SetAPIVersion(k.version)
	u.SetKind(k.name)
	return u
}

func (l *life) rollout() *v1beta1.Rollout {
	ro := &v1beta1.Rollout{}
	l.Get(l.ctx, "web", ro)
	return ro
}

func (l *life) workload() *unstructured.Unstructured {
	u := l.object()
	l.Get(l.ctx, "web", u)
	return u
}

// own is the workload's spec without what the user changes.
func (l *life) own() string {
	spec, _, _ := unstructured.NestedMap(l.workload().Object, "spec")
	delete(spec, "template")
	delete(spec, "replicas")
	raw, _ := json.Marshal(spec)
	return string(raw)
}

// pods counts those that are there to stay, by version.
func (l *life) pods() map[string]int32 { return podsIn(l.ctx, l.World) }

func podsIn(ctx context.Context, w *world.World) map[string]int32 {
	list := &corev1.PodList{}
	_ = w.List(ctx, list)
	counts := map[string]int32{}
	for i := range list.Items {
		if list.Items[i].DeletionTimestamp == nil {
			counts[strings.TrimPrefix(list.Items[i].Spec.Containers[0].Image, image(""))]++
		}
	}
	return counts
}

func (l *life) must(t *rapid.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// tolerate forgives writes that fail as planned.
func (l *life) tolerate(t *rapid.T, err error) {
	t.Helper()
	if err != nil && !strings.Contains(err.Error(), "the connection was lost") {
		t.Fatal(err)
	}
}

func (l *life) patch(t *rapid.T, o client.Object, patch string) {
	t.Helper()
	l.must(t, l.User.Patch(l.ctx, o, client.RawPatch("application/merge-patch+json", []byte(patch))))
}

func (l *life) patchRollout(t *rapid.T, patch string) {
	t.Helper()
	l.patch(t, named(&v1beta1.Rollout{}), patch)
}

func (l *life) status(t *rapid.T, patch string) {
	t.Helper()
	ro := l.rollout()
	l.must(t, l.User.Status().Patch(l.ctx, ro, client.RawPatch("application/merge-patch+json", fmt.Appendf(nil, `{"status":{%q:%s}}`, part(ro), patch))))
}

func annotation(revision string) string {
	return fmt.Sprintf(`{"metadata":{"annotations":{%q:%q}}}`, v1beta1.AnnotationAbort, revision)
}

func (l *life) setImage(t *rapid.T) {
	version := rapid.SampledFrom([]string{"v1", "v2", "v3"}).Draw(t, "version")
	if version != l.current {
		l.void = l.void || l.workload().GetAnnotations()[v1beta1.AnnotationInProgressing] != "" || l.pods()[version] > 0
		l.allowed = 0
	}
	l.set(t, version)
}

func (l *life) set(t *rapid.T, version string) {
	l.current = version
	u := l.workload()
	before := u.DeepCopy()
	_ = unstructured.SetNestedSlice(u.Object, []any{map[string]any{"name": "main", "image": image(version)}}, "spec", "template", "spec", "containers")
	l.must(t, l.User.Patch(l.ctx, u, client.MergeFrom(before)))
}

func (l *life) approve(t *rapid.T) {
	if progress(l.rollout()).CurrentStepState == v1beta1.StepPaused {
		l.status(t, `{"currentStepState":"StepReady"}`)
	}
}

func (l *life) jump(t *rapid.T) {
	if l.rollout().Status.Phase == v1beta1.PhaseProgressing {
		l.status(t, fmt.Sprintf(`{"nextStepIndex":%d}`, rapid.IntRange(1, len(l.steps)).Draw(t, "to")))
	}
}

func (l *life) scale(t *rapid.T) {
	if l.name == "DaemonSet" {
		return // nodes are not the user's
	}
	l.replicas, l.void = rapid.Int32Range(1, 7).Draw(t, "replicas"), true
	l.patch(t, l.object(), fmt.Sprintf(`{"spec":{"replicas":%d}}`, l.replicas))
}

// losePod deletes a pod, as the drain of a node does. Some kinds make new ones in place of old ones.
func (l *life) losePod(t *rapid.T) {
	list := &corev1.PodList{}
	l.must(t, l.List(l.ctx, list))
	if len(list.Items) > 0 {
		l.void = true
		l.must(t, client.IgnoreNotFound(l.User.Delete(l.ctx, &list.Items[rapid.IntRange(0, len(list.Items)-1).Draw(t, "pod")])))
	}
}

// heed does what the status shows people to do where a CloneSet's own controller makes no more pods.
func (l *life) heed(t *rapid.T) {
	found := scaleTo.FindStringSubmatch(l.rollout().Status.Message + progress(l.rollout()).Message)
	if found == nil {
		return
	}
	for _, replicas := range []string{found[1], fmt.Sprint(l.replicas)} {
		l.patch(t, l.object(), fmt.Sprintf(`{"spec":{"replicas":%s}}`, replicas))
		l.must(t, l.Pass(l.ctx, 30*time.Second))
	}
}

var scaleTo = regexp.MustCompile(`scale it to (\d+) and back`)

func (l *life) abort(t *rapid.T) {
	switch ro := l.rollout(); {
	case ro.Status.Phase != v1beta1.PhaseProgressing:
	case ro.Status.BlueGreenStatus != nil:
		l.patchRollout(t, annotation(ro.Status.BlueGreenStatus.UpdatedRevision))
	default:
		l.patchRollout(t, annotation(ro.Status.CanaryStatus.CanaryRevision))
	}
}

// check holds after every action: never more new pods than the largest step asked for in this release.
func (l *life) check(t *rapid.T) {
	if l.trouble != "" {
		t.Fatal(l.trouble)
	}
	ro := l.rollout()
	sub := progress(ro)
	if i := sub.CurrentStepIndex; ro.Status.Phase == v1beta1.PhaseProgressing && i >= 1 && int(i) <= len(l.steps) {
		l.allowed = max(l.allowed, l.ordered(i))
	}
	released := l.workload().GetAnnotations()[v1beta1.AnnotationInProgressing] != "" && ro.Status.Phase == v1beta1.PhaseProgressing
	if l.void || !released || sub.CurrentStepState == v1beta1.StepCompleted || sub.FinalisingStep != "" {
		return
	}
	if updated := l.pods()[l.current]; updated > l.allowed {
		t.Fatalf("%d pods of %s where steps of %v have allowed %d", updated, l.current, l.steps, l.allowed)
	}
}

// ordered is how many new pods a step lets come. A second set of a CloneSet that is to grow later may have to come whole
// (docs/workloads.md).
func (l *life) ordered(step int32) int32 {
	if l.blueGreen && l.name == "CloneSet" {
		return slices.Max(l.steps)
	}
	return l.steps[step-1]
}

// end lets the release come to its end, approved by the user wherever it waits.
func (l *life) end(t *rapid.T) {
	l.Fault = world.Fault{}
	l.patchRollout(t, `{"spec":{"disabled":false,"strategy":{"paused":false}}}`)
	l.patchRollout(t, annotation(""))
	done := func() bool {
		pods := l.pods()
		return l.rollout().Status.Phase == v1beta1.PhaseHealthy && l.workload().GetAnnotations()[v1beta1.AnnotationInProgressing] == "" &&
			len(pods) == 1 && pods[l.current] == l.replicas
	}
	for range 12 {
		l.must(t, l.Pass(l.ctx, 30*time.Second))
		if done() {
			break
		}
		if l.rollout().Status.Phase == v1beta1.PhaseHealthy && l.name == "ReplicaSet" { // given back in the middle, no one replaces its other pods
			l.must(t, l.User.DeleteAllOf(l.ctx, &corev1.Pod{}, client.InNamespace(world.Namespace)))
		}
		l.heed(t)
		l.approve(t)
	}
	if !done() {
		ro := l.rollout()
		raw, _ := json.Marshal(l.workload().Object["spec"])
		t.Fatalf("it does not end: %s %+v: %s, pods %v of %d, %s", ro.Status.Phase, progress(ro), ro.Status.Message, l.pods(), l.replicas, raw)
	}
	if have := l.own(); have != l.spec {
		t.Fatalf("the user's spec is\n%s, was\n%s", have, l.spec)
	}
	before := len(l.Writes)
	l.Restart()
	_, err := l.Round(l.ctx)
	l.must(t, err)
	for _, w := range l.Writes[before:] {
		if w.Who == controller.FieldManager {
			t.Fatalf("a settled world gets a write: %s", w)
		}
	}
	l.must(t, l.User.Delete(l.ctx, named(&v1beta1.Rollout{})))
	l.must(t, l.Pass(l.ctx, time.Minute))
	if l.Get(l.ctx, "web", &v1beta1.Rollout{}) {
		t.Fatal("a deleted Rollout does not go")
	}
}
