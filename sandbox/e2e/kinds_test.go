// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/rollouts/api/v1beta1"
	"kruise.io/rollouts/internal/sim"
	"kruise.io/rollouts/sandbox"
	"kruise.io/rollouts/sandbox/product"
)

// kind is a kind of workloads in a version.
type kind struct{ version, name string }

const (
	alpha = "apps.kruise.io/v1alpha1"
	beta  = "apps.kruise.io/v1beta1"
)

// served are the kinds that Kubernetes' own controllers and OpenKruise's manager release, in every version that these serve.
var served = []kind{
	{"apps/v1", "Deployment"},
	{"apps/v1", "StatefulSet"},
	{"apps/v1", "DaemonSet"},
	{"apps/v1", "ReplicaSet"},
	{alpha, "CloneSet"},
	{beta, "StatefulSet"},
	{alpha, "StatefulSet"},
	{alpha, "DaemonSet"},
}

// played are versions that OpenKruise's manager does not serve: the sandbox's own controllers stand in (sandbox/README.md).
var played = []kind{
	{beta, "CloneSet"},
	{beta, "DaemonSet"},
}

// styles are those that a kind has here; the other ones of Deployments are played as stories.
func (k kind) styles() []string {
	if k.name == "CloneSet" {
		return []string{canary, blueGreen}
	}
	return []string{canary}
}

const (
	canary    = "canary"
	blueGreen = "blueGreen"
)

// onNodes are the pods of a DaemonSet: the sandbox has as many nodes.
const onNodes = 3

func (k kind) pods() int {
	if k.name == "DaemonSet" {
		return onNodes
	}
	return onNodes + 2
}

// makesNew reports whether whatever pod comes has the new version, and which one goes is not said: nothing keeps a pod old.
func (k kind) makesNew() bool { return k.name == "DaemonSet" || k.name == "ReplicaSet" }

// released is a workload in a namespace of its own, and its Rollout.
type released struct {
	*stage
	kind
	style  string
	former bool           // the Rollout is written in v1alpha1
	steps  string         // of the Rollout, and more of its strategy
	before map[string]any // the spec, but for the template
	tool   *applier
}

// endings are all ways in which a release ends, from the pause of its first step on.
var endings = map[string]func(*testing.T, *released){
	"approved":    approved,
	"rolled back": rolledBack,
	"superseded":  superseded,
	"deleted":     deleted,
	"disabled":    disabled,
	"aborted":     aborted,
	"resumed":     resumed,
	"scaled":      scaled,
}

// TestKinds releases every kind in all ways that end. OpenKruise's CRDs come when the manager has long been running.
func TestKinds(t *testing.T) {
	if err := home.cluster.InstallKruise(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, k := range sim.KruiseKinds {
		_, err := home.user.RESTMapper().RESTMapping(k.GroupKind(), k.Version)
		if have := slices.Contains(served, kind{k.GroupVersion().String(), k.Kind}); have != (err == nil) {
			t.Errorf("%s: it is played here, %t, but: %v", k, have, err)
		}
	}
	releaseAll(t, home, served)
	tellKinds(t, home, served)
}

// TestPlayedKinds releases what OpenKruise's manager does not serve.
func TestPlayedKinds(t *testing.T) {
	p, err := settle(t.Context(), sandbox.Options{Log: os.Stderr})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.leave(); err != nil {
			t.Error(err)
		}
	})
	if err := p.cluster.PlayKruise(t.Context()); err != nil {
		t.Fatal(err)
	}
	releaseAll(t, p, played)
	tellKinds(t, p, played)
}

func releaseAll(t *testing.T, p *place, kinds []kind) {
	t.Helper()
	for _, k := range kinds {
		for _, style := range k.styles() {
			for ending, play := range endings {
				t.Run(fmt.Sprintf("%s %s, %s, %s", k.version, k.name, style, ending), func(t *testing.T) {
					t.Parallel()
					r := &released{stage: p.newStage(t), kind: k, style: style}
					r.play(t, play)
				})
			}
		}
		t.Run(fmt.Sprintf("%s %s, by a Rollout of v1alpha1", k.version, k.name), func(t *testing.T) {
			t.Parallel()
			r := &released{stage: p.newStage(t), kind: k, style: canary, former: true}
			r.play(t, approved)
		})
	}
}

// play plays a release to its end.
func (r *released) play(t *testing.T, ending func(*testing.T, *released)) {
	t.Helper()
	r.release(t)
	r.image(t, "v2")
	r.paused(t, 1, r.first("v1", "v2"))
	r.labelled(t, 1)
	ending(t, r)
	r.fewWrites(t)
}

// first are the pods of the first step. A second set comes whole where a later step needs it (docs/workloads.md).
func (r *released) first(stable, updated string) map[string]int {
	if r.style == blueGreen {
		return map[string]int{stable: r.pods(), updated: r.pods()}
	}
	return map[string]int{stable: r.pods() - 1, updated: 1}
}

// labelled checks that a batch counts as ready only once so many pods carry the labels that others read.
func (r *released) labelled(t *testing.T, want int) {
	t.Helper()
	list := &corev1.PodList{}
	if err := r.user.List(t.Context(), list, client.InNamespace(r.namespace), client.HasLabels{v1beta1.LabelRolloutID, v1beta1.LabelBatchID}); err != nil {
		t.Fatal(err)
	}
	if len(list.Items) != want {
		t.Errorf("%d pods are labelled with their batch, want %d", len(list.Items), want)
	}
}

// fewWrites checks that no one writes in a loop, by what the API server has recorded: how often the manager has written to the
// workload, and to all there is.
func (r *released) fewWrites(t *testing.T) {
	t.Helper()
	const (
		toWorkload = 15
		toAll      = 100 // of two releases on end with the labels of ten pods, and of their progress, which is reported every three seconds
	)
	manager, _ := product.User()
	calls, err := sandbox.CountCallsIn(r.cluster.AuditLog(), manager, r.namespace)
	if err != nil {
		t.Fatal(err)
	}
	workload, all := 0, 0
	for call, n := range calls {
		if !call.Writes() {
			continue
		}
		all += n
		if call.Resource == strings.ToLower(r.name)+"s" && strings.HasPrefix(r.version, call.Group+"/") {
			workload += n
		}
	}
	t.Logf("%d writes, %d of them to the workload", all, workload)
	if workload == 0 || workload > toWorkload || all > toAll {
		t.Errorf("%d writes, %d of them to the workload: %v", all, workload, calls)
	}
}

func approved(t *testing.T, r *released) {
	r.succeeds(t, "v1", "v2")
}

// succeeds approves what is left of a release.
func (r *released) succeeds(t *testing.T, stable, updated string) {
	t.Helper()
	r.status(t, `{"currentStepState":"StepReady"}`)
	if r.style == blueGreen { // the old pods stay for as long as its last step waits
		r.paused(t, 2, r.first(stable, updated))
		r.labelled(t, r.pods())
		r.status(t, `{"currentStepState":"StepReady"}`)
	}
	r.ends(t, "True", map[string]int{updated: r.pods()})
}

func rolledBack(t *testing.T, r *released) {
	r.image(t, "v1")
	r.ends(t, "False", map[string]int{"v1": r.pods()})
}

func superseded(t *testing.T, r *released) {
	r.image(t, "v3")
	if r.makesNew() {
		r.until(t, "a pod of v3", func() bool { return r.ready(t)["v3"] == 1 })
		r.paused(t, 1, nil)
	} else {
		r.paused(t, 1, r.first("v1", "v3"))
	}
	r.succeeds(t, "v1", "v3")
}

func deleted(t *testing.T, r *released) {
	if err := r.user.Delete(t.Context(), object(t, r.namespace, `{"apiVersion":"rollouts.kruise.io/v1beta1","kind":"Rollout","metadata":{"name":"web"}}`)); err != nil {
		t.Fatal(err)
	}
	r.until(t, "the Rollout to go", func() bool {
		ro := &v1beta1.Rollout{}
		return client.IgnoreNotFound(r.user.Get(t.Context(), client.ObjectKey{Namespace: r.namespace, Name: "web"}, ro)) == nil && ro.Name == ""
	})
	r.letGo(t)
}

func disabled(t *testing.T, r *released) {
	r.edit(t, `{"spec":{"disabled":true}}`)
	r.until(t, "Disabled", func() bool { return r.rollout(t).Status.Phase == v1beta1.PhaseDisabled })
	r.letGo(t)
}

// letGo checks that a workload that no one releases any more is its owner's, and that its own controller goes on.
func (r *released) letGo(t *testing.T) {
	t.Helper()
	r.givenBack(t)
	want := map[string]int{"v2": r.pods()}
	if r.name == "ReplicaSet" { // nobody replaces its pods
		want = r.first("v1", "v2")
	}
	r.until(t, fmt.Sprintf("the pods %v", want), func() bool { return fmt.Sprint(r.ready(t)) == fmt.Sprint(want) })
}

// aborted: the stable version is held until the template is the stable one again.
func aborted(t *testing.T, r *released) {
	r.abort(t)
	r.image(t, "v1")
	r.ends(t, "False", map[string]int{"v1": r.pods()})
}

// resumed: an aborted release starts over.
func resumed(t *testing.T, r *released) {
	r.abort(t)
	r.edit(t, fmt.Sprintf(`{"metadata":{"annotations":{%q:null}}}`, v1beta1.AnnotationAbort))
	r.paused(t, 1, r.first("v1", "v2"))
	r.succeeds(t, "v1", "v2")
}

func (r *released) abort(t *testing.T) {
	t.Helper()
	want := map[string]int{"v1": r.pods()}
	if r.makesNew() {
		want = r.first("v1", "v2")
	}
	ro := r.rollout(t)
	revision := ""
	if ro.Status.BlueGreenStatus != nil {
		revision = ro.Status.BlueGreenStatus.UpdatedRevision
	} else if ro.Status.CanaryStatus != nil {
		revision = ro.Status.CanaryStatus.CanaryRevision
	}
	r.edit(t, fmt.Sprintf(`{"metadata":{"annotations":{%q:%q}}}`, v1beta1.AnnotationAbort, revision))
	r.until(t, fmt.Sprintf("it to be aborted with %v", want), func() bool {
		return strings.Contains(r.rollout(t).Status.Message, "until you change the pod template") && fmt.Sprint(r.ready(t)) == fmt.Sprint(want)
	})
}

// scaled: a workload is scaled out, in and out again in the middle of a release, which is no approval.
func scaled(t *testing.T, r *released) {
	least, most := r.pods()-2, r.pods()+2
	if r.name == "DaemonSet" { // it begins with all nodes
		most = r.pods()
	}
	sets := map[int]map[string]int{ // what two sets of a CloneSet come to, one after the other (docs/workloads.md)
		most:     {"v1": r.pods(), "v2": r.pods()},
		least:    {"v1": least, "v2": least},
		r.pods(): {"v1": least, "v2": least + 1},
	}
	for _, n := range []int{most, least, r.pods()} {
		r.scale(t, n)
		switch {
		case r.style == blueGreen:
			r.paused(t, 1, sets[n])
		case r.makesNew():
			r.until(t, fmt.Sprintf("%d pods", n), func() bool { ready := r.ready(t); return ready["v1"]+ready["v2"] == n })
			r.paused(t, 1, nil)
		default:
			r.paused(t, 1, map[string]int{"v1": n - 1, "v2": 1})
		}
	}
	r.status(t, `{"currentStepState":"StepReady"}`)
	if r.style == blueGreen {
		r.paused(t, 2, sets[r.pods()])
		r.status(t, `{"currentStepState":"StepReady"}`)
	}
	r.ends(t, "True", map[string]int{"v2": r.pods()})
}

// scale asks for n pods, or for n nodes.
func (r *released) scale(t *testing.T, n int) {
	t.Helper()
	if r.name != "DaemonSet" {
		r.patch(t, r.object(), fmt.Sprintf(`{"spec":{"replicas":%d}}`, n))
		return
	}
	nodes := &corev1.NodeList{}
	if err := r.user.List(t.Context(), nodes); err != nil {
		t.Fatal(err)
	}
	for i := range nodes.Items {
		r.patch(t, &nodes.Items[i], fmt.Sprintf(`{"metadata":{"labels":{%q:%q}}}`, r.namespace, strconv.FormatBool(i < n)))
	}
}

// release makes a workload and a Rollout of two steps, and waits until it is healthy.
func (r *released) release(t *testing.T) {
	t.Helper()
	replicas, selector := fmt.Sprintf(`"replicas":%d,`, r.pods()), ""
	if r.name == "DaemonSet" { // its nodes are labelled, so that it can be scaled
		replicas, selector = "", fmt.Sprintf(`"nodeSelector":{%q:"true"},`, r.namespace)
		r.scale(t, onNodes)
		t.Cleanup(func() { r.unlabel(t) })
	}
	steps := cmp.Or(r.steps, `"steps":[{"replicas":1,"pause":{}},{"replicas":"100%","pause":{}}]`)
	rollout := fmt.Sprintf(`{"apiVersion":"rollouts.kruise.io/v1beta1","kind":"Rollout","metadata":{"name":"web"},"spec":{
		"workloadRef":{"apiVersion":%q,"kind":%q,"name":"web"},"strategy":{%q:{%s}}}}`, r.version, r.name, r.style, steps)
	if r.former {
		rollout = fmt.Sprintf(`{"apiVersion":"rollouts.kruise.io/v1alpha1","kind":"Rollout","metadata":{"name":"web","annotations":{%q:"partition"}},"spec":{
			"objectRef":{"workloadRef":{"apiVersion":%q,"kind":%q,"name":"web"}},"strategy":{"canary":{%s}}}}`,
			v1beta1.AnnotationRollingStyle, r.version, r.name, steps)
	}
	for _, text := range []string{
		fmt.Sprintf(`{"apiVersion":%q,"kind":%q,"metadata":{"name":"web"},"spec":{%s"selector":{"matchLabels":{"app":"web"}},
			"template":{"metadata":{"labels":{"app":"web"}},"spec":{%s"containers":[{"name":"main","image":"example/web:v1"}]}}}}`,
			r.version, r.name, replicas, selector),
		rollout,
	} {
		if err := r.user.Create(t.Context(), object(t, r.namespace, text)); err != nil {
			t.Fatal(err)
		}
	}
	r.until(t, "a healthy Rollout", func() bool { return r.rollout(t).Status.Phase == v1beta1.PhaseHealthy && r.ready(t)["v1"] == r.pods() })
	r.before = r.spec(t)
	r.tool = r.applier(r.object().GroupVersionKind())
	r.tool.look(t)
}

// unlabel removes what scale has left on nodes.
func (r *released) unlabel(t *testing.T) {
	t.Helper()
	nodes := &corev1.NodeList{}
	ctx := context.WithoutCancel(t.Context())
	if err := r.user.List(ctx, nodes); err != nil {
		t.Error(err)
	}
	for i := range nodes.Items {
		patch := client.RawPatch(types.MergePatchType, fmt.Appendf(nil, `{"metadata":{"labels":{%q:null}}}`, r.namespace))
		if err := r.user.Patch(ctx, &nodes.Items[i], patch); err != nil {
			t.Error(err)
		}
	}
}

func (r *released) object() *unstructured.Unstructured {
	u := &unstructured.Unstructured{}
	u.SetAPIVersion(r.version)
	u.SetKind(r.name)
	u.SetNamespace(r.namespace)
	u.SetName("web")
	return u
}

// spec is the workload's, but for the template.
func (r *released) spec(t *testing.T) map[string]any {
	t.Helper()
	u := r.object()
	if err := r.user.Get(t.Context(), client.ObjectKeyFromObject(u), u); err != nil {
		t.Fatal(err)
	}
	spec, _, _ := unstructured.NestedMap(u.Object, "spec")
	delete(spec, "template")
	for key := range u.GetAnnotations() {
		if strings.Contains(key, "kruise.io") {
			spec["annotation "+key] = true
		}
	}
	return spec
}

func (r *released) patch(t *testing.T, o client.Object, patch string) {
	t.Helper()
	if err := r.user.Patch(t.Context(), o, client.RawPatch(types.MergePatchType, []byte(patch))); err != nil {
		t.Fatal(err)
	}
}

// edit changes the Rollout.
func (r *released) edit(t *testing.T, patch string) {
	t.Helper()
	r.patch(t, object(t, r.namespace, `{"apiVersion":"rollouts.kruise.io/v1beta1","kind":"Rollout","metadata":{"name":"web"}}`), patch)
}

func (r *released) image(t *testing.T, version string) {
	t.Helper()
	r.patch(t, r.object(), fmt.Sprintf(`{"spec":{"template":{"spec":{"containers":[{"name":"main","image":"example/web:%s"}]}}}}`, version))
}

// status is what clients write of a Rollout's.
func (r *released) status(t *testing.T, patch string) {
	t.Helper()
	part, version := "canaryStatus", "v1beta1"
	if r.style == blueGreen {
		part = "blueGreenStatus"
	}
	if r.former {
		version = "v1alpha1"
	}
	o := object(t, r.namespace, fmt.Sprintf(`{"apiVersion":"rollouts.kruise.io/%s","kind":"Rollout","metadata":{"name":"web"}}`, version))
	if err := r.user.Status().Patch(t.Context(), o, client.RawPatch(types.MergePatchType, fmt.Appendf(nil, `{"status":{%q:%s}}`, part, patch))); err != nil {
		t.Fatal(err)
	}
}

func (r *released) rollout(t *testing.T) *v1beta1.Rollout {
	t.Helper()
	ro := &v1beta1.Rollout{}
	if err := r.user.Get(t.Context(), client.ObjectKey{Namespace: r.namespace, Name: "web"}, ro); err != nil {
		t.Fatal(err)
	}
	return ro
}

// ready counts pods that are ready and there to stay, by version.
func (r *released) ready(t *testing.T) map[string]int {
	t.Helper()
	counts := map[string]int{}
	for _, pod := range r.all(t) {
		for _, c := range pod.Status.Conditions {
			if c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue && pod.DeletionTimestamp == nil {
				counts[imageOf(&pod)]++
			}
		}
	}
	return counts
}

func imageOf(pod *corev1.Pod) string {
	_, version, _ := strings.Cut(pod.Spec.Containers[0].Image, ":")
	return version
}

// paused waits until a release waits in a step with so many pods; nil: however many.
func (r *released) paused(t *testing.T, step int32, want map[string]int) {
	t.Helper()
	r.until(t, fmt.Sprintf("step %d with %v", step, want), func() bool {
		ro := r.rollout(t)
		return ro.Status.CurrentStepIndex == step && ro.Status.CurrentStepState == v1beta1.StepPaused && (want == nil || fmt.Sprint(r.ready(t)) == fmt.Sprint(want))
	})
}

// ends waits until a release has ended.
func (r *released) ends(t *testing.T, succeeded string, want map[string]int) {
	t.Helper()
	r.until(t, fmt.Sprintf("Succeeded %s with %v", succeeded, want), func() bool {
		ro := r.rollout(t)
		for _, c := range ro.Status.Conditions {
			if c.Type == v1beta1.ConditionSucceeded && string(c.Status) == succeeded && ro.Status.Phase == v1beta1.PhaseHealthy {
				return fmt.Sprint(r.ready(t)) == fmt.Sprint(want)
			}
		}
		return false
	})
	r.givenBack(t)
}

// givenBack compares what is left of the workload with what its user had.
func (r *released) givenBack(t *testing.T) {
	t.Helper()
	have, _ := json.Marshal(r.spec(t))
	want, _ := json.Marshal(r.before)
	if string(have) != string(want) {
		t.Errorf("the spec is\n%s, was\n%s", have, want)
	}
}

func (r *released) until(t *testing.T, what string, done func() bool) {
	t.Helper()
	if r.tool != nil { // as it is now, and as it is then
		r.tool.look(t)
		defer r.tool.look(t)
	}
	if err := eventually(t.Context(), patience, done); err != nil {
		ro := &v1beta1.Rollout{}
		_ = r.user.Get(t.Context(), client.ObjectKey{Namespace: r.namespace, Name: "web"}, ro)
		spec, _ := json.Marshal(r.spec(t))
		t.Fatalf("waiting for %s: %v; it is %s in step %d %s: %s, pods %v\n%s", what, err,
			ro.Status.Phase, ro.Status.CurrentStepIndex, ro.Status.CurrentStepState, ro.Status.Message, r.ready(t), spec)
	}
}
