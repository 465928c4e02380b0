// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"kruise.io/rollouts/api/v1beta1"
	"kruise.io/rollouts/internal/traffic"
)

// Ways in which progressive delivery has failed its users, and what keeps each from happening here. The letters are those
// of docs/traffic.md.

// half is a step's share.
var half = &v1beta1.TrafficRoutingStrategy{Traffic: new("50%")}

// routings are routings of Services web, api and so on with an HTTPRoute each, led as asked.
func routings(t *testing.T, asked *v1beta1.TrafficStatus, services ...string) []Routing {
	t.Helper()
	all := make([]Routing, len(services))
	for i, name := range services {
		service := func(name, revision string) *corev1.Service {
			s := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name}, Spec: corev1.ServiceSpec{Selector: map[string]string{"app": "web"}}}
			if revision != "" {
				s.Spec.Selector["pod-template-hash"] = revision
			}
			return s
		}
		ref := traffic.Ref{GroupVersionKind: schema.GroupVersionKind{Group: "gateway.networking.k8s.io", Kind: "HTTPRoute"}, Name: name}
		route := &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": map[string]any{"name": name, "namespace": "default"},
			"spec": map[string]any{"rules": []any{map[string]any{"backendRefs": []any{map[string]any{"name": name, "port": int64(80), "weight": int64(1)}}}}},
		}}
		r := Routing{
			Ref:      v1beta1.TrafficRoutingRef{Service: name, Gateway: &v1beta1.GatewayTrafficRouting{HTTPRouteName: &name}},
			Config:   traffic.Config{Backends: traffic.BackendsOf(name, false), Owner: *metav1.NewControllerRef(newRollout(), v1beta1.GroupVersion.WithKind("Rollout"))},
			Services: traffic.Services{Stable: service(name, asked.StableRevision)},
			Stable:   Endpoints{Ready: 5, Shown: true}, Canary: Endpoints{Ready: 5, Shown: true},
			Routes: traffic.Objects{ref: route},
		}
		if r.Routers, r.Broken = traffic.Routers(r.Ref, r.Config); r.Broken != nil {
			t.Fatal(r.Broken)
		}
		if asked.CanaryRevision != "" {
			r.Services.Canary = service(name+"-canary", asked.CanaryRevision)
			r.Services.Canary.OwnerReferences = []metav1.OwnerReference{r.Config.Owner}
		}
		if asked.Route != nil {
			changes, err := changesOf([]Routing{r}, asked.Route)
			if err != nil {
				t.Fatal(err)
			}
			r.Routes[ref], _ = changes[0].To.(*unstructured.Unstructured)
		}
		all[i] = r
	}
	return all
}

// leading is a view of a release whose first step routes half of the requests to half of the pods, in whatever state.
func leading(t *testing.T, state v1beta1.CanaryStepState, asked v1beta1.TrafficStatus, services ...string) RolloutInput {
	t.Helper()
	s := inStep(1, state, "50%", "100%")
	if len(services) == 0 {
		services = []string{"web"}
	}
	strategy := s.Rollout.Spec.Strategy.Canary
	strategy.Steps[0].TrafficRoutingStrategy = *half
	s.Routings = routings(t, &asked, services...)
	for _, r := range s.Routings {
		strategy.TrafficRoutings = append(strategy.TrafficRoutings, r.Ref)
	}
	since := metav1.NewMicroTime(noon.Add(-time.Hour))
	asked.LastChangeTime = &since
	s.Rollout.Status.CanaryStatus.Traffic = &asked
	s.Rollout.Status.CanaryStatus.RolloutHash = strategyHash(s.Rollout.Spec.Strategy)
	s.Release.Spec = order(s.Rollout, "", 1, "")
	obey(s.Release, "v1", "v2")
	return s
}

// halfway is what was asked for where half of the requests reach v2.
var halfway = v1beta1.TrafficStatus{StableRevision: "v1", CanaryRevision: "v2", Route: half}

// written names what a decision writes: "HTTPRoute web", "Service web-canary", "BatchRelease".
func written(d Decision[*v1beta1.Rollout]) string {
	var names []string
	for _, c := range d.Changes {
		o := c.To
		if o == nil {
			o = c.From
		}
		if _, ok := o.(*v1beta1.BatchRelease); ok {
			names = append(names, "BatchRelease")
			continue
		}
		names = append(names, Named(o))
	}
	return strings.Join(names, ", ")
}

// F1: no weight goes to a Service without a ready pod, however long that takes.
func TestF1NoShareToAnEmptyService(t *testing.T) {
	t.Parallel()
	s := leading(t, v1beta1.StepTrafficRouting, v1beta1.TrafficStatus{StableRevision: "v1", CanaryRevision: "v2", EndpointsPending: true})
	s.Routings[0].Canary = Endpoints{}
	for _, after := range []time.Duration{0, time.Minute, time.Hour} {
		s.Now = noon.Add(after)
		d := lookAt(t, s)
		if w := written(d); w != "" || d.Object.Status.CanaryStatus.CurrentStepState != v1beta1.StepTrafficRouting {
			t.Errorf("after %s: writes %q in %s", after, w, d.Object.Status.CanaryStatus.CurrentStepState)
		}
		s.Rollout = d.Object
	}
	s.Routings[0].Canary = Endpoints{Ready: 1, Shown: true}
	d := lookAt(t, s)
	s.Rollout, s.Now = d.Object, s.Now.Add(3*time.Second)
	if w := written(lookAt(t, s)); w != "HTTPRoute web" {
		t.Errorf("with a ready pod, and gateways had their time: writes %q", w)
	}
}

// F2: a superseding release takes nothing from pods that have requests: those are routed back first, and only then do the pods go.
func TestF2SupersededPodsLoseTheirRequestsFirst(t *testing.T) {
	t.Parallel()
	requestsGoFirst(t, "v3")
}

// F3 and F4: on the way back requests reach stable pods only, and the others go only after gateways know.
func TestF4RollBackLeadsRequestsFirst(t *testing.T) {
	t.Parallel()
	requestsGoFirst(t, "v1")
}

// requestsGoFirst changes the template in the middle of a release: the pods of v2 go only after the requests, and after
// gateways had their time; the stable Service leaves them out all along.
func requestsGoFirst(t *testing.T, update string) {
	t.Helper()
	s := leading(t, v1beta1.StepPaused, halfway)
	s.Workload.Update = update
	for i, want := range []string{"HTTPRoute web", "", "BatchRelease"} {
		d := lookAt(t, s)
		if got := written(d); got != want {
			t.Fatalf("look %d writes %q, want %q", i+1, got, want)
		}
		if pin := d.Object.Status.CanaryStatus.Traffic.StableRevision; pin != "v1" {
			t.Fatalf("look %d: the stable Service selects %q", i+1, pin)
		}
		s.Rollout = d.Object
		s.Routings = routings(t, s.Rollout.Status.CanaryStatus.Traffic, "web")
		if i == 1 {
			s.Now = s.Now.Add(3 * time.Second)
		}
	}
}

// F10, D9: a change by somebody else is corrected while the release waits, and its author is named; if it never ends, the
// release says so and waits.
func TestF10DriftIsPutRightAndNamed(t *testing.T) {
	t.Parallel()
	s := leading(t, v1beta1.StepPaused, halfway)
	asIs := s.Routings
	for i := range maxDriftCorrections {
		s.Now = s.Now.Add(time.Minute)
		s.Routings = drifted(t, asIs, s.Now)
		d := lookAt(t, s)
		if w := written(d); w != "HTTPRoute web" || len(d.Events) != 1 || !strings.Contains(d.Events[0].Message, `HTTPRoute web was changed by argocd`) {
			t.Fatalf("drift %d: writes %q, says %v", i+1, w, d.Events)
		}
		s.Rollout = d.Object
	}
	s.Now = s.Now.Add(time.Second)
	s.Routings = drifted(t, asIs, s.Now)
	d := lookAt(t, s)
	if w := written(d); w != "" || reasonOf(d.Object) != v1beta1.ReasonPaused || !strings.Contains(d.Object.Status.Message, "argocd") || !d.Wake.Equal(s.Now.Add(driftBackoff-time.Second)) {
		t.Errorf("in a fight: writes %q, %s: %s, wakes at %s", w, reasonOf(d.Object), d.Object.Status.Message, d.Wake)
	}
	s.Rollout, s.Routings = d.Object, asIs
	if d := lookAt(t, s); reasonOf(d.Object) != v1beta1.ReasonInRolling {
		t.Errorf("after the fight: %s", reasonOf(d.Object))
	}
}

// drifted is what argocd has written over the routes.
func drifted(t *testing.T, rs []Routing, at time.Time) []Routing {
	t.Helper()
	over := routings(t, &v1beta1.TrafficStatus{StableRevision: "v1", CanaryRevision: "v2"}, "web")
	for _, u := range over[0].Routes {
		u.SetManagedFields([]metav1.ManagedFieldsEntry{{Manager: "argocd", Time: &metav1.Time{Time: at}}})
	}
	over[0].Services = rs[0].Services
	return over
}

// F12, D10: what is waited for is in the status: a manager that has just started waits for the rest of it.
func TestF12WaitsSurviveARestart(t *testing.T) {
	t.Parallel()
	s := leading(t, v1beta1.StepTrafficRouting, halfway)
	since := metav1.NewMicroTime(noon.Add(-2 * time.Second))
	s.Rollout.Status.CanaryStatus.Traffic.LastChangeTime = &since
	if d := lookAt(t, s); d.Object.Status.CanaryStatus.CurrentStepState != v1beta1.StepTrafficRouting || !d.Wake.Equal(noon.Add(time.Second)) {
		t.Errorf("%s, wakes at %s", d.Object.Status.CanaryStatus.CurrentStepState, d.Wake)
	}
	s.Now = noon.Add(time.Second)
	if d := lookAt(t, s); d.Object.Status.CanaryStatus.CurrentStepState != v1beta1.StepPaused {
		t.Errorf("after the grace period: %s", d.Object.Status.CanaryStatus.CurrentStepState)
	}
}

// D8: several routings move as one: all are written, and the slowest is waited for.
func TestD8SeveralRoutingsMoveAsOne(t *testing.T) {
	t.Parallel()
	s := leading(t, v1beta1.StepTrafficRouting, v1beta1.TrafficStatus{StableRevision: "v1", CanaryRevision: "v2"}, "web", "api")
	s.Routings[1].Ref.GracePeriodSeconds = new(int32(20))
	d := lookAt(t, s)
	if w := written(d); w != "HTTPRoute web, HTTPRoute api" {
		t.Fatalf("writes %q", w)
	}
	s.Rollout = d.Object
	s.Routings = routings(t, s.Rollout.Status.CanaryStatus.Traffic, "web", "api")
	s.Routings[1].Ref.GracePeriodSeconds = new(int32(20))
	if d := lookAt(t, s); !d.Wake.Equal(noon.Add(20 * time.Second)) {
		t.Errorf("wakes at %s", d.Wake)
	}
}

// F10: a fight over what is restored keeps the release where it is on its way out, and it tries again.
func TestF10FightOnTheWayOut(t *testing.T) {
	t.Parallel()
	since := metav1.NewMicroTime(noon.Add(-2 * time.Second))
	s := leadingBack(t, false)
	st := s.Rollout.Status.CanaryStatus
	st.Traffic.LastChangeTime, st.Traffic.DriftCorrections = &since, maxDriftCorrections
	for _, u := range s.Routings[0].Routes {
		u.SetManagedFields([]metav1.ManagedFieldsEntry{{Manager: "argocd", Time: &metav1.Time{Time: noon}}})
	}
	d := lookAt(t, s)
	if w := written(d); w != "" || reasonOf(d.Object) != v1beta1.ReasonCancelling || !d.Wake.Equal(since.Add(driftBackoff)) {
		t.Errorf("writes %q, %s: %s, wakes at %s", w, reasonOf(d.Object), d.Object.Status.Message, d.Wake)
	}
	s.Now = since.Add(driftBackoff)
	if w := written(lookAt(t, s)); w != "HTTPRoute web" {
		t.Errorf("a minute later: writes %q", w)
	}
}
