// SPDX-License-Identifier: Apache-2.0

package world_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/rollouts/api/v1beta1"
)

// TestMostRequestsKeepTheirPods: a third version comes when the second one has most requests and most pods. They stay with those pods, and
// after an abort, too. A version with most pods and few requests does not get more.
func TestMostRequestsKeepTheirPods(t *testing.T) {
	t.Parallel()
	for name, c := range routable() {
		for i := range 6 {
			size, share, serves, quick := []string{"80%", "80%", "100%"}[i%3], []string{"80%", "5%", "100%"}[i%3], []string{"2", "1", "2"}[i%3], i/3 > 0
			t.Run(fmt.Sprintf("%s, %s of %s, quick %t", name, share, size, quick), func(t *testing.T) {
				t.Parallel()
				r := routed(t, c, "[{replicas: 1, traffic: 5%, pause: {}}, {replicas: "+size+", traffic: "+share+", pause: {}}, {replicas: 100%, traffic: 100%}]")
				r.toSecondStep()
				r.Quick = quick
				least := 5
				r.Looked = func(ctx context.Context) { least = min(least, r.reached()) }
				r.image("3")
				r.pass(5 * time.Minute)
				if ro := r.rollout(); ro.Status.CurrentStepIndex != 1 || ro.Status.CurrentStepState != v1beta1.StepPaused {
					t.Fatalf("step %d is %s: %s", ro.Status.CurrentStepIndex, ro.Status.CurrentStepState, ro.Status.Message)
				}
				comesBack := c.of == "CloneSet" // whose controller makes old pods of all that are not new
				if served := r.served(); served[serves] == 0 && !comesBack || len(served) != 1 || share != "5%" && served[serves] < 3 && !comesBack {
					t.Errorf("the stable Service is served by %v of %s", served, r.images())
				}
				least = 5
				r.abort()
				r.pass(10 * time.Minute)
				served, message := r.served(), r.rollout().Status.Message
				if served["3"] > 0 || share != "5%" && served["1"]+served["2"] < 3 || least == 0 {
					t.Errorf("after the abort the Service is served by %v of %s, and by %d when it was fewest: %s", served, r.images(), least, message)
				}
				if idle := 5 - served["1"] - served["2"] - strings.Count(r.images(), "3:"); idle > 0 && !strings.Contains(message, "receive no traffic") {
					t.Errorf("%s are left, %v serve, and nothing is said: %s", r.images(), served, message)
				}
			})
		}
	}
}

// reached is how many pods requests reach by the stable Service.
func (r *release) reached() int {
	n := 0
	for _, pods := range r.served() {
		n += pods
	}
	return n
}

// TestServiceOfOthers: a Service that selects pods of other workloads is not pinned to this one's, and no pod is replaced before that is known.
func TestServiceOfOthers(t *testing.T) {
	t.Parallel()
	for what, test := range map[string]struct {
		selector map[string]string
		message  string
	}{
		"those of another alone": {map[string]string{"app": "pay"}, "Service web selects no ready pod of Deployment web, only pods of Deployment pay (4)"},
		"those of another, too":  {map[string]string{}, "Service web also selects pods of Deployment pay (4)"},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			r := routed(t, kinds["Deployment"], "[{replicas: 1, traffic: 5%, pause: {}}, {replicas: 100%}]")
			test.selector["part"] = "all"
			pay := r.deployment("pay", map[string]string{"app": "pay", "part": "all"}, 4)
			r.edit("{spec: {disabled: true}}")
			r.pass(time.Minute)
			r.patch(`{spec: {template: {metadata: {labels: {part: all}}}}}`)
			r.pass(time.Minute)
			r.edit("{spec: {disabled: false}}")
			r.editService(func(s *corev1.ServiceSpec) { s.Selector = test.selector })
			r.pass(time.Minute)
			two := &v1beta1.Rollout{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "pay"}, Spec: *r.rollout().Spec.DeepCopy()}
			two.Spec.WorkloadRef.Name = "pay"
			r.must(r.User.Create(t.Context(), two))
			r.pass(time.Minute)
			r.image("2")
			r.pass(5 * time.Minute)
			if message := r.rollout().Status.Message; !strings.Contains(message, test.message) {
				t.Errorf("the Rollout says %q, want %q", message, test.message)
			}
			if images := r.images(); strings.Contains(" "+images, " 2:") {
				t.Errorf("pods are replaced before: %s", images)
			}
			r.Get(t.Context(), "pay", pay)
			pay.Spec.Template.Spec.Containers[0].Image = "pay:2"
			r.must(r.User.Update(t.Context(), pay))
			r.pass(5 * time.Minute)
			r.image("1")
			r.Get(t.Context(), "pay", two)
			r.must(r.User.Delete(t.Context(), two))
			r.pass(5 * time.Minute)
			r.phase("taken back", v1beta1.PhaseHealthy)
			if r.Get(t.Context(), "pay", two) {
				t.Errorf("the other Rollout does not go: %s", two.Status.Message)
			}
			service := &corev1.Service{}
			r.Get(t.Context(), "web", service)
			if len(service.Spec.Selector) != len(test.selector) {
				t.Errorf("the Service selects %v", service.Spec.Selector)
			}
			canaries := &corev1.ServiceList{}
			r.must(r.User.List(t.Context(), canaries, client.InNamespace("default")))
			if len(canaries.Items) > 1 {
				t.Errorf("there are %d Services", len(canaries.Items))
			}
		})
	}
}
