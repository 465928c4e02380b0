// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"kruise.io/rollouts/api/v1beta1"
)

// leadingBack is a view of a roll-back that routes requests back through an HTTPRoute, which says so or does not yet.
func leadingBack(t *testing.T, back bool) RolloutInput {
	t.Helper()
	s := leading(t, v1beta1.StepPaused, v1beta1.TrafficStatus{StableRevision: "v1", CanaryRevision: "v2"})
	s.Rollout.Status.Conditions[0].Reason = v1beta1.ReasonCancelling
	st := s.Rollout.Status.CanaryStatus
	s.Workload.Update, st.CanaryRevision, st.FinalisingStep = "v1", "v1", v1beta1.FinalisingRouteTrafficToStable
	if !back {
		s.Routings = routings(t, &halfway, "web")
	}
	return s
}

// TestClockStartsWithTheWrite: between the decision to route requests elsewhere and a route that says so, any time may pass
// and the manager may die. What gateways are given is counted from when the route was written.
func TestClockStartsWithTheWrite(t *testing.T) {
	t.Parallel()
	s := leadingBack(t, false)
	earlier := metav1.NewMicroTime(noon.Add(-time.Hour))
	s.Rollout.Status.CanaryStatus.Traffic.LastChangeTime = &earlier
	s.Rollout.Status.CanaryStatus.Traffic.Route = half
	at := func(now time.Time, back bool, changes int, since time.Time, waits bool) {
		t.Helper()
		s.Now, s.Routings = now, leadingBack(t, back).Routings
		d := lookAt(t, s)
		s.Rollout = d.Object
		st := d.Object.Status.CanaryStatus
		switch got := st.Traffic.LastChangeTime; {
		case len(d.Changes) != changes:
			t.Fatalf("%d changes, want %d", len(d.Changes), changes)
		case got == nil || !got.Time.Equal(since):
			t.Fatalf("the clock runs since %v, want %v", got, since)
		case (st.FinalisingStep == v1beta1.FinalisingRouteTrafficToStable) != waits:
			t.Fatalf("in step %s", st.FinalisingStep)
		}
	}
	written := noon.Add(time.Minute)
	at(noon, false, 1, noon, true)                          // and the manager dies before the route is written
	at(written, false, 1, written, true)                    // the next one writes it
	at(written.Add(time.Second), true, 0, written, true)    // now it is there
	at(written.Add(3*time.Second), true, 1, written, false) // 3 s are the default: the workload is restored
}

// TestClockOfASlowWrite: what the API server took for a write is not taken from what gateways are given.
func TestClockOfASlowWrite(t *testing.T) {
	t.Parallel()
	s := leadingBack(t, true)
	decided := metav1.NewMicroTime(noon)
	s.Rollout.Status.CanaryStatus.Traffic.LastChangeTime = &decided
	written := metav1.NewTime(noon.Add(2 * time.Second))
	for _, u := range s.Routings[0].Routes {
		u.SetManagedFields([]metav1.ManagedFieldsEntry{{Manager: v1beta1.FieldManager, Time: &written}})
	}
	exactly := written.Add(900 * time.Millisecond)
	for _, c := range []struct {
		after   time.Duration
		written time.Time
		want    v1beta1.FinalisingStepType
	}{
		{after: 4 * time.Second, want: v1beta1.FinalisingRouteTrafficToStable},
		{after: 5 * time.Second, want: v1beta1.FinalisingResumeWorkload}, // another process wrote it: the second is all we know
		{after: 5 * time.Second, written: exactly, want: v1beta1.FinalisingRouteTrafficToStable},
		{after: 5900 * time.Millisecond, written: exactly, want: v1beta1.FinalisingResumeWorkload},
	} {
		after, want := c.after, c.want
		s.Now, s.Written = noon.Add(after), map[string]time.Time{}
		for ref := range s.Routings[0].Routes {
			s.Written[ref.String()] = c.written
		}
		if got := lookAt(t, s).Object.Status.CanaryStatus.FinalisingStep; got != want {
			t.Errorf("%s after the decision: in step %s, want %s", after, got, want)
		}
	}
}

// TestUnableGateway: what a gateway cannot do of a step is not done in part, whether or not admission has seen the Rollout.
func TestUnableGateway(t *testing.T) {
	t.Parallel()
	s := leading(t, v1beta1.StepTrafficRouting, v1beta1.TrafficStatus{StableRevision: "v1", CanaryRevision: "v2"})
	strategy := s.Rollout.Spec.Strategy.Canary
	strategy.Steps[0].TrafficRoutingStrategy = v1beta1.TrafficRoutingStrategy{Matches: []v1beta1.HttpRouteMatch{{Headers: []gatewayv1.HTTPHeaderMatch{{Name: "a", Value: "1"}, {Name: "b", Value: "2"}}}}}
	strategy.TrafficRoutings[0] = v1beta1.TrafficRoutingRef{Service: "web", Ingress: &v1beta1.IngressTrafficRouting{Name: "web"}}
	s.Routings[0].Ref = strategy.TrafficRoutings[0]
	s.Rollout.Status.CanaryStatus.RolloutHash = strategyHash(s.Rollout.Spec.Strategy)
	d := lookAt(t, s)
	if message := d.Object.Status.Message; !strings.Contains(message, "cannot route traffic") || !strings.Contains(message, "header") {
		t.Errorf("it says %q", message)
	}
	if len(d.Changes) > 0 || d.Object.Status.CanaryStatus.CurrentStepState != v1beta1.StepTrafficRouting {
		t.Errorf("it goes on to %s with %v", d.Object.Status.CanaryStatus.CurrentStepState, d.Changes)
	}
}
