// SPDX-License-Identifier: Apache-2.0

package world_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"kruise.io/rollouts/api/v1beta1"
	"kruise.io/rollouts/internal/sim"
	"kruise.io/rollouts/internal/sim/world"
)

// watchRequests reports, from now on, the first request that a gateway would lose that is 3 s behind at most.
func (r *release) watchRequests() {
	plane, lost := sim.DataPlane{Lag: 3 * time.Second}, false
	r.Watch = func(w world.Write) {
		what, err := plane.Look(r.Context(), r.User, world.Namespace, r.Clock.Now())
		if (err != nil || what != "") && !lost {
			lost = true
			r.Errorf("after %s: %s %v; pods %s; %s", w, what, err, r.images(), r.rollout().Status.Message)
		}
	}
}

// restyled is a routed release in another style.
func restyled(t *testing.T, c conformer, style, steps string) *release {
	t.Helper()
	r := routed(t, c, "[{replicas: 100%}]")
	r.must(r.User.Delete(t.Context(), r.rollout()))
	r.pass(time.Minute)
	ro := &v1beta1.Rollout{}
	r.must(yaml.Unmarshal([]byte("{metadata: {namespace: default, name: web}, spec: {workloadRef: {apiVersion: "+c.version+", kind: "+c.of+", name: web}, strategy: {"+
		style+"trafficRoutings: [{service: web, gateway: {httpRouteName: web}}], steps: "+steps+"}}}}"), ro))
	r.must(r.User.Create(t.Context(), ro))
	r.pass(time.Minute)
	return r
}

// TestOtherWaysToTheService: clients in the cluster and other routes reach the stable Service, too, and know nothing of the release's
// route. No pod goes behind it before they know those that stay.
func TestOtherWaysToTheService(t *testing.T) {
	t.Parallel()
	for name, style := range map[string]string{
		"Deployment, in batches": "canary: {", "Deployment, canary": "canary: {enableExtraWorkloadForCanary: true, ", "Deployment, blue-green": "blueGreen: {",
		"CloneSet/v1alpha1, in batches": "canary: {", "CloneSet/v1beta1, blue-green": "blueGreen: {",
	} {
		for _, end := range []string{"", "{spec: {disabled: true}}", "deleted"} {
			t.Run(name+" "+end, func(t *testing.T) {
				t.Parallel()
				kind, _, _ := strings.Cut(name, ",")
				r := restyled(t, kinds[kind], style, "[{replicas: 40%, traffic: 40%, pause: {}}, {replicas: 100%, traffic: 100%, pause: {}}]")
				inside := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute"}}
				r.must(r.User.Get(t.Context(), client.ObjectKey{Namespace: world.Namespace, Name: "web"}, inside))
				inside.SetName("inside")
				inside.SetResourceVersion("")
				r.must(r.User.Create(t.Context(), inside))
				r.watchRequests()
				r.image("2")
				r.pass(time.Minute)
				r.approve()
				r.pass(time.Minute)
				switch {
				case end == "deleted":
					r.must(r.User.Delete(t.Context(), r.rollout()))
				case end != "":
					r.edit(end)
				case r.rollout().Status.CurrentStepState == v1beta1.StepPaused:
					r.approve()
				}
				r.pass(2 * time.Minute)
				if images := r.images(); images != "2:5" {
					t.Errorf("at the end there are %s", images)
				}
			})
		}
	}
}

// TestTemplateBackAndForth: every pod is new, and a moment later the template is another, and again one. There always are pods behind
// the Service that gateways know.
func TestTemplateBackAndForth(t *testing.T) {
	t.Parallel()
	for name, c := range routable() {
		for i := range 9 {
			first, then := []string{"1", "3", "3"}[i%3], []string{"2", "2", "4"}[i%3]
			after := []time.Duration{0, 2 * time.Second, 5 * time.Second}[i/3]
			t.Run(fmt.Sprintf("%s, %s, and %s after %s", name, first, then, after), func(t *testing.T) {
				t.Parallel()
				r := routed(t, c, "[{replicas: 1, traffic: 20%, pause: {}}, {replicas: 100%, traffic: 50%, pause: {}}, {replicas: 100%, traffic: 100%}]")
				r.toSecondStep()
				r.watchRequests()
				r.image(first)
				r.pass(after)
				r.image(then)
				r.pass(2 * time.Minute)
			})
		}
	}
}

// TestScaledOutKeepsKnownPods: an autoscaler makes more new pods than a step ordered. Those go back that gateways know least.
func TestScaledOutKeepsKnownPods(t *testing.T) {
	t.Parallel()
	for name, c := range routable() {
		for _, ready := range []string{"0s", "20s"} {
			if c.of == "DaemonSet" || c.of == "Deployment" && ready != "0s" { // the native controller makes the new set larger alone
				continue
			}
			t.Run(name+", ready after "+ready, func(t *testing.T) {
				t.Parallel()
				r := routed(t, c, "[{replicas: 1, traffic: 20%, pause: {}}, {replicas: 100%, traffic: 100%}]")
				r.patch(`{spec: {template: {metadata: {annotations: {"sandbox.kruise.io/ready-after": "` + ready + `"}}, spec: {containers: [{name: main, image: "web:2"}]}}}}`)
				r.pass(2 * time.Minute)
				r.watchRequests()
				for _, n := range []int{6, 7, 10} {
					r.scale(n)
					r.pass(2 * time.Minute)
				}
			})
		}
	}
}

// TestServiceLedElsewhere: at night an operator has the Service select a fallback, in the middle of a release. It is not pinned, the
// release says what it waits for, and goes on once the Service is led back.
func TestServiceLedElsewhere(t *testing.T) {
	t.Parallel()
	r := routed(t, kinds["Deployment"], "[{replicas: 1, traffic: 20%, pause: {}}, {replicas: 60%, traffic: 60%, pause: {}}, {replicas: 100%, traffic: 100%}]")
	fallback := r.deployment("fallback", map[string]string{"app": "fallback"}, 4)
	r.image("2")
	r.pass(time.Minute)
	service := &corev1.Service{}
	r.Get(t.Context(), "web", service)
	own := service.Spec.Selector
	lead := func(to map[string]string) {
		r.editService(func(s *corev1.ServiceSpec) { s.Selector = to })
		r.pass(time.Minute)
	}
	says := func(want string) {
		t.Helper()
		if message := r.rollout().Status.Message; !strings.Contains(message, want) {
			t.Errorf("it says %q, want %q", message, want)
		}
	}
	lead(map[string]string{"app": "fallback"})
	if served := r.served(); served["fallback"] != 4 {
		t.Errorf("behind the Service are %v", served)
	}
	says("Service web selects no ready pod of Deployment web, only pods of Deployment fallback (4)")
	r.approve()
	r.pass(time.Minute)
	if images := r.images(); !strings.HasPrefix(images, "1:4 2:1") {
		t.Errorf("it went on: %s", images)
	}
	lead(map[string]string{"app": own["app"]})
	if served := r.served(); served["1"] != 2 || len(served) != 1 { // the approval counts: it is in step 2
		t.Errorf("led back, behind the Service are %v", served)
	}
	says("manually confirm")

	r.Get(t.Context(), "fallback", fallback)
	fallback.Spec.Template.Labels["app"] = own["app"] // pods of another workload come behind the pinned Service
	r.must(r.User.Update(t.Context(), fallback))
	r.pass(time.Minute)
	says("Service web also selects pods of Deployment fallback (4)")
	r.image("1")
	r.pass(2 * time.Minute)
	r.phase("rolled back", v1beta1.PhaseHealthy)
	if served := r.served(); served["1"] != 5 || served["fallback"] != 4 {
		t.Errorf("rolled back, behind the Service are %v", served)
	}
}

// deployment makes another workload.
func (r *release) deployment(name string, labels map[string]string, replicas int32) *appsv1.Deployment {
	d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: world.Namespace, Name: name}}
	labels["name"] = name
	d.Spec.Replicas, d.Spec.Selector, d.Spec.Template.Labels = &replicas, &metav1.LabelSelector{MatchLabels: map[string]string{"name": name}}, labels
	d.Spec.Template.Spec.Containers = []corev1.Container{{Name: "main", Image: name + ":" + name}}
	r.must(r.User.Create(r.Context(), d))
	return d
}
