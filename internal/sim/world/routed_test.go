// SPDX-License-Identifier: Apache-2.0

package world_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/rollouts/api/v1beta1"
)

// routed is a release of five pods behind a Service and an HTTPRoute, with steps.
func routed(t *testing.T, c conformer, steps string) *release {
	t.Helper()
	r := c.conform(t, 5, "{steps: [{replicas: 1}]}")
	r.must(r.User.Create(t.Context(), &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web"},
		Spec:       corev1.ServiceSpec{Selector: ownLabels(r), Ports: []corev1.ServicePort{{Port: 80}}},
	}))
	backend := map[string]any{"group": "", "kind": "Service", "name": "web", "port": int64(80), "weight": int64(1)}
	r.must(r.User.Create(t.Context(), &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": map[string]any{"namespace": "default", "name": "web"},
		"spec": map[string]any{"rules": []any{map[string]any{"backendRefs": []any{backend}}}},
	}}))
	r.edit("{spec: {strategy: {canary: {trafficRoutings: [{service: web, gateway: {httpRouteName: web}}], steps: " + steps + "}}}}")
	r.pass(time.Minute)
	return r
}

// ownLabels are labels of the pods that all versions have.
func ownLabels(r *release) map[string]string {
	pods := &corev1.PodList{}
	r.must(r.List(r.Context(), pods))
	for k, v := range pods.Items[0].Labels {
		if !strings.Contains(k, "hash") && !strings.Contains(k, "generation") && !strings.Contains(k, "/") {
			return map[string]string{k: v}
		}
	}
	r.Fatal(pods.Items[0].Labels)
	return nil
}

// served are the versions of the pods behind the Service web, and how many there are of each.
func (r *release) served() map[string]int {
	service, pods := &corev1.Service{}, &corev1.PodList{}
	r.Get(r.Context(), "web", service)
	r.must(r.User.List(r.Context(), pods, client.InNamespace("default"), client.MatchingLabels(service.Spec.Selector)))
	versions := map[string]int{}
	for _, p := range pods.Items {
		image := p.Spec.Containers[0].Image
		versions[image[strings.LastIndex(image, ":")+1:]]++
	}
	return versions
}

// editService has the user edit the Service web.
func (r *release) editService(edit func(*corev1.ServiceSpec)) {
	r.Helper()
	service := &corev1.Service{}
	r.Get(r.Context(), "web", service)
	edit(&service.Spec)
	r.must(r.User.Update(r.Context(), service))
}

// toSecondStep releases version 2, and approves its first step.
func (r *release) toSecondStep() {
	r.image("2")
	r.pass(2 * time.Minute)
	r.approve()
	r.pass(2 * time.Minute)
}

func (r *release) abort() {
	ro := r.rollout()
	r.edit(fmt.Sprintf("{metadata: {annotations: {%s: %q}}}", v1beta1.AnnotationAbort, ro.Status.Revision()))
}

// routable are the kinds whose pods a Service distinguishes by their revision.
func routable() map[string]conformer {
	all := map[string]conformer{}
	for name, c := range kinds {
		if name != "ReplicaSet" {
			all[name] = c
		}
	}
	return all
}

// TestTakesOverFromOneThatHasAllPods: a third version may come when the second one has every pod. The stable Service goes on with those, and
// neither with none for as long as no one approves, nor when the first version comes back.
func TestTakesOverFromOneThatHasAllPods(t *testing.T) {
	t.Parallel()
	for name, c := range routable() {
		for what, steps := range map[string]string{
			"a number":     "[{replicas: 1, traffic: 5%, pause: {}}, {replicas: 5, traffic: 100%, pause: {}}]",
			"100 % midway": "[{replicas: 1, traffic: 5%, pause: {}}, {replicas: 100%, traffic: 50%, pause: {}}, {replicas: 100%, traffic: 100%, pause: {}}]",
			"90 %":         "[{replicas: 1, traffic: 5%, pause: {}}, {replicas: 90%, traffic: 90%, pause: {}}, {replicas: 100%, traffic: 100%, pause: {}}]",
		} {
			for _, back := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s, %s, back %t", name, what, back), func(t *testing.T) {
					t.Parallel()
					r := routed(t, c, steps)
					r.toSecondStep()
					r.image("3")
					r.pass(5 * time.Minute)
					if ro := r.rollout(); ro.Status.CurrentStepIndex != 1 || ro.Status.CurrentStepState != v1beta1.StepPaused {
						t.Fatalf("step %d is %s: %s", ro.Status.CurrentStepIndex, ro.Status.CurrentStepState, ro.Status.Message)
					}
					if served := r.served(); len(served) != 1 || served["3"] > 0 {
						t.Errorf("the stable Service is served by %v", served)
					}
					end := "3"
					if back {
						end = "1"
						r.image("1")
					}
					for range 3 {
						r.pass(2 * time.Minute)
						if r.rollout().Status.CurrentStepState == v1beta1.StepPaused {
							r.approve()
						}
					}
					r.pass(5 * time.Minute)
					r.phase("at the end", v1beta1.PhaseHealthy)
					if served := r.served(); served[end] != 5 {
						t.Errorf("at the end the Service is served by %v: %s", served, r.rollout().Status.Message)
					}
				})
			}
		}
	}
}

// TestAbortLeavesNoRequestToNewVersions: of kinds that cannot take pods back, and of a version between, pods may stay. The Service does not
// lead to them.
func TestAbortLeavesNoRequestToNewVersions(t *testing.T) {
	t.Parallel()
	const steps = "[{replicas: 1, traffic: 5%, pause: {}}, {replicas: 60%, traffic: 10%, pause: {}}, {replicas: 100%, traffic: 100%}]"
	for name, c := range routable() {
		for _, superseded := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, superseded %t", name, superseded), func(t *testing.T) {
				t.Parallel()
				r := routed(t, c, steps)
				r.toSecondStep()
				if superseded {
					r.image("3")
					r.pass(2 * time.Minute)
				}
				r.abort()
				for range 10 {
					r.pass(time.Minute)
				}
				if served := r.served(); served["1"] == 0 || len(served) > 1 {
					t.Errorf("the Service leads to %v: %s", served, r.rollout().Status.Message)
				}
				r.image("1")
				r.pass(5 * time.Minute)
				r.phase("back", v1beta1.PhaseHealthy)
				if served := r.served(); served["1"] != 5 {
					t.Errorf("back at the first version, the Service leads to %v", served)
				}
			})
		}
	}
}

// TestJumpWhileAborted: a release that was aborted starts over when it is resumed, whatever was asked for meanwhile.
func TestJumpWhileAborted(t *testing.T) {
	t.Parallel()
	for name, c := range kinds {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := c.conform(t, 5, steps("1", "60%", "100%"))
			r.image("2")
			r.pass(2 * time.Minute)
			r.abort()
			r.pass(2 * time.Minute)
			r.must(r.User.Status().Patch(t.Context(), r.rollout(), client.RawPatch(types.MergePatchType, []byte(`{"status":{"canaryStatus":{"nextStepIndex":3}}}`))))
			r.pass(2 * time.Minute)
			r.edit("{metadata: {annotations: {rollouts.kruise.io/abort: null}}}")
			r.pass(5 * time.Minute)
			if ro := r.rollout(); ro.Status.CurrentStepIndex != 1 || ro.Status.CurrentStepState != v1beta1.StepPaused {
				t.Errorf("step %d is %s: %s", ro.Status.CurrentStepIndex, ro.Status.CurrentStepState, ro.Status.Message)
			}
		})
	}
}

// TestAbortOfARollBack: a roll-back in batches goes to the stable version. To abort it is to go nowhere, and says so.
func TestAbortOfARollBack(t *testing.T) {
	t.Parallel()
	for name, c := range kinds {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := c.conform(t, 5, steps("1", "60%", "100%"))
			r.edit(`{metadata: {annotations: {rollouts.kruise.io/rollback-in-batch: "true"}}}`)
			r.toSecondStep()
			r.image("1")
			r.pass(2 * time.Minute)
			before := r.images()
			r.abort()
			r.pass(5 * time.Minute)
			ro := r.rollout()
			if got := r.images(); got != before {
				t.Errorf("the pods are %s, were %s: %s", got, before, ro.Status.Message)
			}
			if _, aborted := ro.Annotations[v1beta1.AnnotationAbort]; aborted || ro.Status.CurrentStepState != v1beta1.StepPaused {
				t.Errorf("it waits as %s: %s", ro.Status.CurrentStepState, ro.Status.Message)
			}
		})
	}
}
