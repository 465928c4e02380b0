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

	"kruise.io/rollouts/api/v1beta1"
)

// TestLostServiceKeepsNothing: whatever its owner makes of a Service in the middle of a release, the release waits in words for as long as it
// is to go on, and can be taken back in every way, with all that is the product's.
func TestLostServiceKeepsNothing(t *testing.T) {
	t.Parallel()
	meta := metav1.ObjectMeta{Namespace: "default", Name: "web"}
	edited := func(edit func(s *corev1.ServiceSpec)) func(r *release) {
		return func(r *release) { r.editService(edit) }
	}
	services := map[string]struct {
		lose  func(r *release)
		waits string // said going forward
		left  string // selector at the end
	}{
		"deleted":                   {func(r *release) { r.must(r.User.Delete(t.Context(), &corev1.Service{ObjectMeta: meta})) }, "Service web does not exist", "map[]"},
		"without a selector":        {edited(func(s *corev1.ServiceSpec) { s.Selector = nil }), "Service web has no selector", "map[]"},
		"a name outside":            {edited(func(s *corev1.ServiceSpec) { s.Type, s.ExternalName, s.Selector = "ExternalName", "x.example.com", nil }), "is of type ExternalName", "map[]"},
		"a name, and still the pin": {edited(func(s *corev1.ServiceSpec) { s.Type, s.ExternalName = "ExternalName", "x.example.com" }), "is of type ExternalName", "map[app:web]"},
		"a name, unpinned": {edited(func(s *corev1.ServiceSpec) {
			s.Type, s.ExternalName, s.Selector = "ExternalName", "x.example.com", map[string]string{"app": "web"}
		}), "is of type ExternalName", "map[app:web]"},
		"nothing but the pin": {edited(func(s *corev1.ServiceSpec) { delete(s.Selector, "app") }), "", "map[app:web]"},
		"another's canary Service": {func(r *release) {
			canary := &corev1.Service{}
			r.Get(r.Context(), "web-canary", canary)
			canary.OwnerReferences = nil
			r.must(r.User.Update(r.Context(), canary))
		}, "Service web-canary exists", "map[app:web]"},
	}
	ways := map[string]struct {
		goes func(r *release)
		pods string
	}{
		"rolled back": {func(r *release) { r.image("1") }, "1:5"},
		"aborted":     {func(r *release) { r.abort() }, "1:5"},
		"aborted while paused": {func(r *release) {
			r.edit("{spec: {strategy: {paused: true}}}")
			r.pass(time.Second)
			r.abort()
		}, "1:5"},
		"deleted":  {func(r *release) { r.must(r.User.Delete(r.Context(), r.rollout())) }, "2:5"},
		"disabled": {func(r *release) { r.edit("{spec: {disabled: true}}") }, "2:5"},
	}
	for _, style := range []string{"", "enableExtraWorkloadForCanary: true, "} {
		for what, c := range services {
			for how, way := range ways {
				t.Run(fmt.Sprintf("%s%s, %s", style, what, how), func(t *testing.T) {
					t.Parallel()
					r := routed(t, kinds["Deployment"], "[{replicas: 1, traffic: 20%, pause: {}}, {replicas: 60%, traffic: 60%, pause: {}}, {replicas: 100%, traffic: 100%}]")
					if style != "" {
						r.edit("{spec: {strategy: {canary: {" + style + "}}}}")
						r.pass(time.Minute)
					}
					r.image("2")
					r.pass(time.Minute)
					c.lose(r)
					r.pass(time.Minute)
					if m := r.rollout().Status.Message; !strings.Contains(m, c.waits) {
						t.Errorf("going forward, the Rollout says %q, want %q", m, c.waits)
					}
					way.goes(r)
					r.run("in the end", way.pods)
					r.pass(3 * time.Minute)
					r.takenBack(strings.HasPrefix(what, "another's"), c.left)
					if !strings.HasPrefix(how, "aborted") {
						r.restored()
					}
				})
			}
		}
	}
}

// takenBack checks that nothing of a release is left in Services and routes, and that it is over.
func (r *release) takenBack(canary bool, selects string) {
	r.Helper()
	service, route := &corev1.Service{}, &unstructured.Unstructured{}
	r.Get(r.Context(), "web", service)
	if got := fmt.Sprint(service.Spec.Selector); got != selects {
		r.Errorf("the Service selects %s, want %s", got, selects)
	}
	if got := r.Get(r.Context(), "web-canary", &corev1.Service{}); got != canary {
		r.Errorf("the canary Service is there: %t, want %t", got, canary)
	}
	route.SetAPIVersion("gateway.networking.k8s.io/v1")
	route.SetKind("HTTPRoute")
	r.Get(r.Context(), "web", route)
	if rules := fmt.Sprint(route.Object["spec"]); strings.Contains(rules, "canary") || rules == "<nil>" {
		r.Errorf("the route is %s", rules)
	}
	ro := r.rollout()
	over := ro.Name == "" || ro.Status.Phase == v1beta1.PhaseHealthy || ro.Status.Phase == v1beta1.PhaseDisabled || strings.Contains(ro.Status.Message, "has been aborted: ")
	if !over || strings.Contains(ro.Status.Message, "cannot") {
		r.Errorf("the Rollout is %s: %s", ro.Status.Phase, ro.Status.Message)
	}
}
