// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/rollouts/api/v1beta1"
)

// kind is a kind of workloads on the real API server: native ones with Kubernetes' own controllers, OpenKruise's with
// ours (sandbox/README.md).
type kind struct{ version, name string }

var kinds = []kind{
	{"apps/v1", "Deployment"},
	{"apps/v1", "StatefulSet"},
	{"apps/v1", "DaemonSet"},
	{"apps/v1", "ReplicaSet"},
	{"apps.kruise.io/v1alpha1", "CloneSet"},
	{"apps.kruise.io/v1beta1", "StatefulSet"},
	{"apps.kruise.io/v1alpha1", "DaemonSet"},
}

// onNodes are the pods of a DaemonSet: the sandbox has as many nodes.
const onNodes = 3

func (k kind) pods() int {
	if k.name == "DaemonSet" {
		return onNodes
	}
	return onNodes + 2
}

// released is a workload in a namespace of its own, and its Rollout.
type released struct {
	*stage
	kind
	before map[string]any // the spec, but for the template
}

// TestKinds releases every kind in all ways that end. OpenKruise's CRDs come when the manager has long been running.
func TestKinds(t *testing.T) {
	if err := cluster.InstallKruise(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, k := range kinds {
		for ending, play := range map[string]func(*testing.T, *released){
			"approved":    approved,
			"rolled back": rolledBack,
			"superseded":  superseded,
			"deleted":     deleted,
			"disabled":    disabled,
		} {
			t.Run(fmt.Sprintf("%s %s, %s", k.version, k.name, ending), func(t *testing.T) {
				t.Parallel()
				r := k.release(t, "canary")
				r.image(t, "v2")
				r.paused(t, 1, map[string]int{"v1": r.pods() - 1, "v2": 1})
				play(t, r)
			})
		}
	}
	t.Run("CloneSet, blue-green", func(t *testing.T) {
		t.Parallel()
		r := kinds[4].release(t, "blueGreen")
		r.image(t, "v2")
		r.paused(t, 1, map[string]int{"v1": 5, "v2": 1})
		r.status(t, `{"currentStepState":"StepReady"}`)
		r.paused(t, 2, map[string]int{"v1": 5, "v2": 5})
		r.image(t, "v3")
		r.paused(t, 1, map[string]int{"v1": 5, "v3": 1})
		r.status(t, `{"nextStepIndex":2}`)
		r.paused(t, 2, map[string]int{"v1": 5, "v3": 5})
		r.status(t, `{"currentStepState":"StepReady"}`)
		r.ends(t, "True", map[string]int{"v3": 5})
		r.image(t, "v4")
		r.paused(t, 1, map[string]int{"v3": 5, "v4": 1})
		r.image(t, "v3")
		r.ends(t, "False", map[string]int{"v3": 5})
	})
}

func approved(t *testing.T, r *released) {
	r.status(t, `{"currentStepState":"StepReady"}`)
	r.ends(t, "True", map[string]int{"v2": r.pods()})
}

func rolledBack(t *testing.T, r *released) {
	r.image(t, "v1")
	r.ends(t, "False", map[string]int{"v1": r.pods()})
}

func superseded(t *testing.T, r *released) {
	r.image(t, "v3")
	if r.name == "DaemonSet" || r.name == "ReplicaSet" { // which pods go first is not said of those
		r.until(t, "a pod of v3", func() bool { return r.ready(t)["v3"] == 1 })
		r.paused(t, 1, nil)
	} else {
		r.paused(t, 1, map[string]int{"v1": r.pods() - 1, "v3": 1})
	}
	r.status(t, `{"currentStepState":"StepReady"}`)
	r.ends(t, "True", map[string]int{"v3": r.pods()})
}

func deleted(t *testing.T, r *released) {
	if err := user.Delete(t.Context(), object(t, r.namespace, `{"apiVersion":"rollouts.kruise.io/v1beta1","kind":"Rollout","metadata":{"name":"web"}}`)); err != nil {
		t.Fatal(err)
	}
	r.until(t, "the Rollout to go", func() bool {
		ro := &v1beta1.Rollout{}
		return client.IgnoreNotFound(user.Get(t.Context(), client.ObjectKey{Namespace: r.namespace, Name: "web"}, ro)) == nil && ro.Name == ""
	})
	r.givenBack(t)
}

func disabled(t *testing.T, r *released) {
	r.patch(t, object(t, r.namespace, `{"apiVersion":"rollouts.kruise.io/v1beta1","kind":"Rollout","metadata":{"name":"web"}}`), `{"spec":{"disabled":true}}`)
	r.until(t, "Disabled", func() bool { return r.rollout(t).Status.Phase == v1beta1.PhaseDisabled })
	r.givenBack(t)
}

// release makes a workload and a Rollout of two steps, and waits until it is healthy.
func (k kind) release(t *testing.T, style string) *released {
	t.Helper()
	r := &released{stage: newStage(t), kind: k}
	replicas, steps := fmt.Sprintf(`"replicas":%d,`, k.pods()), `[{"replicas":1,"pause":{}},{"replicas":"100%","pause":{}}]`
	if k.name == "DaemonSet" {
		replicas = ""
	}
	for _, text := range []string{
		fmt.Sprintf(`{"apiVersion":%q,"kind":%q,"metadata":{"name":"web"},"spec":{%s"selector":{"matchLabels":{"app":"web"}},
			"template":{"metadata":{"labels":{"app":"web"}},"spec":{"containers":[{"name":"main","image":"example/web:v1"}]}}}}`, k.version, k.name, replicas),
		fmt.Sprintf(`{"apiVersion":"rollouts.kruise.io/v1beta1","kind":"Rollout","metadata":{"name":"web"},"spec":{
			"workloadRef":{"apiVersion":%q,"kind":%q,"name":"web"},"strategy":{%q:{"steps":%s}}}}`, k.version, k.name, style, steps),
	} {
		if err := user.Create(t.Context(), object(t, r.namespace, text)); err != nil {
			t.Fatal(err)
		}
	}
	r.until(t, "a healthy Rollout", func() bool { return r.rollout(t).Status.Phase == v1beta1.PhaseHealthy && r.ready(t)["v1"] == k.pods() })
	r.before = r.spec(t)
	return r
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
	if err := user.Get(t.Context(), client.ObjectKeyFromObject(u), u); err != nil {
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
	if err := user.Patch(t.Context(), o, client.RawPatch(types.MergePatchType, []byte(patch))); err != nil {
		t.Fatal(err)
	}
}

func (r *released) image(t *testing.T, version string) {
	t.Helper()
	r.patch(t, r.object(), fmt.Sprintf(`{"spec":{"template":{"spec":{"containers":[{"name":"main","image":"example/web:%s"}]}}}}`, version))
}

// status is what clients write of a Rollout's.
func (r *released) status(t *testing.T, patch string) {
	t.Helper()
	part := "canaryStatus"
	if r.rollout(t).Spec.Strategy.BlueGreen != nil {
		part = "blueGreenStatus"
	}
	o := &v1beta1.Rollout{}
	o.Namespace, o.Name = r.namespace, "web"
	if err := user.Status().Patch(t.Context(), o, client.RawPatch(types.MergePatchType, fmt.Appendf(nil, `{"status":{%q:%s}}`, part, patch))); err != nil {
		t.Fatal(err)
	}
}

func (r *released) rollout(t *testing.T) *v1beta1.Rollout {
	t.Helper()
	ro := &v1beta1.Rollout{}
	if err := user.Get(t.Context(), client.ObjectKey{Namespace: r.namespace, Name: "web"}, ro); err != nil {
		t.Fatal(err)
	}
	return ro
}

// ready counts pods that are ready and there to stay, by version.
func (r *released) ready(t *testing.T) map[string]int {
	t.Helper()
	list := &corev1.PodList{}
	if err := user.List(t.Context(), list, client.InNamespace(r.namespace)); err != nil {
		t.Fatal(err)
	}
	counts := map[string]int{}
	for i := range list.Items {
		for _, c := range list.Items[i].Status.Conditions {
			if c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue && list.Items[i].DeletionTimestamp == nil {
				_, version, _ := strings.Cut(list.Items[i].Spec.Containers[0].Image, ":")
				counts[version]++
			}
		}
	}
	return counts
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
	if err := eventually(t.Context(), patience, done); err != nil {
		ro := &v1beta1.Rollout{}
		_ = user.Get(t.Context(), client.ObjectKey{Namespace: r.namespace, Name: "web"}, ro)
		spec, _ := json.Marshal(r.spec(t))
		t.Fatalf("waiting for %s: %v; it is %s in step %d %s: %s, pods %v\n%s", what, err,
			ro.Status.Phase, ro.Status.CurrentStepIndex, ro.Status.CurrentStepState, ro.Status.Message, r.ready(t), spec)
	}
}
