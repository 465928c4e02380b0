// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"kruise.io/rollouts/api/v1alpha1"
	"kruise.io/rollouts/api/v1beta1"
	"kruise.io/rollouts/internal/traffic"
	"kruise.io/rollouts/internal/workload"
)

// blockedBy names the blockers of a status: "Approval", "ServiceMissing Service web".
func blockedBy(blockers []v1beta1.Blocker) string {
	var all []string
	for _, b := range blockers {
		name := string(b.Code)
		if b.Object != nil {
			name += " " + b.Object.String()
		}
		all = append(all, name)
	}
	return strings.Join(all, ", ")
}

// TestBlockersOfRollouts: what no story shows of what a Rollout waits for.
func TestBlockersOfRollouts(t *testing.T) {
	t.Parallel()
	route := func(change func(*RolloutInput)) func(*testing.T) RolloutInput {
		return func(t *testing.T) RolloutInput {
			s := leading(t, v1beta1.StepTrafficRouting, v1beta1.TrafficStatus{StableRevision: "v1", CanaryRevision: "v2", Route: half})
			change(&s)
			return s
		}
	}
	parents := func(s *RolloutInput, status, reason string) {
		for _, u := range s.Routings[0].Routes {
			_ = unstructured.SetNestedSlice(u.Object, []any{map[string]any{"name": "gw"}}, "spec", "parentRefs")
			if status == "" {
				continue
			}
			_ = unstructured.SetNestedSlice(u.Object, []any{map[string]any{"parentRef": map[string]any{"name": "gw"}, "conditions": []any{
				map[string]any{"type": "Accepted", "status": status, "reason": reason, "message": "no", "observedGeneration": u.GetGeneration()},
			}}}, "status", "parents")
		}
		recent := metav1.NewMicroTime(noon.Add(-time.Second))
		s.Rollout.Status.CanaryStatus.Traffic.LastChangeTime = &recent
	}
	for name, c := range map[string]struct {
		seen func(*testing.T) RolloutInput
		want string
	}{
		"no such kind": {func(*testing.T) RolloutInput {
			s := atRest("20%")
			s.Objects.Workload, s.Unserved = nil, true
			return s
		}, "KindNotServed Deployment web"},
		"a kind without a driver": {func(*testing.T) RolloutInput {
			s := atRest("20%")
			s.Driver = nil
			return s
		}, "KindUnsupported Deployment web"},
		"no pods yet": {func(*testing.T) RolloutInput {
			s := atRest("20%")
			s.Workload = workload.State{Type: "deployment"}
			return s
		}, "FirstPods Deployment web"},
		"no steps": {func(*testing.T) RolloutInput {
			s := inStep(1, v1beta1.StepUpgrade, "20%", "100%")
			s.Rollout.Spec.Strategy.Canary.Steps = nil
			return s
		}, "NoSteps"},
		"an old BatchRelease that goes": {func(*testing.T) RolloutInput {
			s := inStep(1, v1beta1.StepUpgrade, "20%", "100%")
			s.Release.DeletionTimestamp = &metav1.Time{Time: noon}
			return s
		}, "BatchReleaseEnding BatchRelease demo"},
		"the first label": {func(*testing.T) RolloutInput {
			s := inStep(1, v1beta1.StepPaused, "20%", "100%")
			s.Rollout.DeletionTimestamp, s.Release, s.Workload.Engaged, s.Workload.Changing = &metav1.Time{Time: noon}, nil, false, true
			return s
		}, "PodsPending BatchRelease demo"},
		"what is done in a moment": {func(t *testing.T) RolloutInput {
			s := leading(t, v1beta1.StepPaused, halfway)
			s.Release = nil
			s.Rollout.Spec.Strategy.Canary.TrafficRoutings[0].Service = "api"
			return s
		}, "Working"},
		"a TrafficRouting that does not answer": {func(*testing.T) RolloutInput {
			s := inStep(1, v1beta1.StepTrafficRouting, "20%", "100%")
			s.Rollout.Spec.Strategy.Canary.TrafficRoutingRef = "front"
			s.Rollout.Status.CanaryStatus.RolloutHash = strategyHash(s.Rollout.Spec.Strategy)
			s.Shared = &v1alpha1.TrafficRouting{ObjectMeta: metav1.ObjectMeta{Name: "front", Finalizers: []string{v1beta1.FinalizerProgressingPrefix + "demo"}}}
			return s
		}, "TrafficRoutingPending TrafficRouting front"},
		"refused by its gateway":    {route(func(s *RolloutInput) { parents(s, "False", "NoMatchingParent") }), "RouteRefused HTTPRoute web"},
		"no answer of its gateway":  {route(func(s *RolloutInput) { parents(s, "", "") }), "RoutePending HTTPRoute web"},
		"a Service of other things": {route(func(s *RolloutInput) { s.Routings[0].Stable.Others = map[string]int32{"Deployment api": 2} }), "ServiceShared Service web"},
		"no such kind of route": {route(func(s *RolloutInput) {
			s.Routings[0].Routes, s.Routings[0].Unserved = nil, []string{"HTTPRoute"}
		}), "RouteKindNotServed HTTPRoute web"},
		"no script": {route(func(s *RolloutInput) {
			r := &s.Routings[0]
			r.Ref = v1beta1.TrafficRoutingRef{Service: "web", CustomNetworkRefs: []v1beta1.ObjectRef{{APIVersion: "example.com/v1", Kind: "Route", Name: "web"}}}
			r.Routers, r.Broken = traffic.Routers(r.Ref, r.Config)
			r.Routes = traffic.Objects{r.Routers[0].Refs()[0]: &unstructured.Unstructured{Object: map[string]any{"apiVersion": "example.com/v1", "kind": "Route", "metadata": map[string]any{"name": "web"}, "spec": map[string]any{}}}}
			s.Rollout.Spec.Strategy.Canary.TrafficRoutings[0] = r.Ref
			s.Rollout.Status.CanaryStatus.RolloutHash = strategyHash(s.Rollout.Spec.Strategy)
		}), "ScriptFailed Script lua.traffic.routing.Route.example.com"},
		"a fight": {func(t *testing.T) RolloutInput {
			s := leading(t, v1beta1.StepPaused, halfway)
			s.Rollout.Status.CanaryStatus.Traffic.DriftCorrections = maxDriftCorrections
			recent := metav1.NewMicroTime(noon.Add(-time.Second))
			s.Rollout.Status.CanaryStatus.Traffic.LastChangeTime = &recent
			s.Routings = drifted(t, s.Routings, noon)
			return s
		}, "RouteConflict HTTPRoute web"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := c.seen(t)
			d := Rollout(s)
			if got := blockedBy(d.Object.Status.Blockers); got != c.want {
				t.Errorf("got %q, want %q: %s", got, c.want, d.Object.Status.Message)
			}
		})
	}
}

// TestBlockersOfBatchReleases: the same of a BatchRelease, and its Rollout says it, too.
func TestBlockersOfBatchReleases(t *testing.T) {
	t.Parallel()
	pod := func(code v1beta1.BlockerCode, name string, due time.Time) workload.Blocked {
		return workload.Blocked{Code: code, Object: v1beta1.BlockerObject{Kind: "Pod", Name: name}, Message: "is not well", Due: due}
	}
	for name, c := range map[string]struct {
		change func(*BatchReleaseInput)
		want   string
	}{
		"another has the workload": {func(s *BatchReleaseInput) { s.Claimer = "other" }, "ClaimedElsewhere BatchRelease other"},
		"another template": {func(s *BatchReleaseInput) {
			s.Release.Status.Phase, s.Release.Status.UpdateRevision = v1beta1.PhaseProgressing, "v3"
		}, "TemplateChanged Deployment web"},
		"too many pods":         {func(s *BatchReleaseInput) { s.Workload.Updated = 7 }, "PodsExcess"},
		"no more pods come":     {func(s *BatchReleaseInput) { s.Workload.Ceiling, s.Workload.Updated = 1, 1 }, "SurgeLimit"},
		"pods are on their way": {func(*BatchReleaseInput) {}, "PodsPending"},
		"a pod takes its time": {func(s *BatchReleaseInput) {
			s.Workload.Blocked = []workload.Blocked{pod(v1beta1.BlockerNotReady, "a", noon.Add(time.Second))}
		}, "PodsPending"},
		"a pod has had its time": {func(s *BatchReleaseInput) {
			s.Workload.Blocked = []workload.Blocked{pod(v1beta1.BlockerNotReady, "a", noon)}
		}, "PodsPending, NotReady Pod a"},
		"each kind of trouble": {func(s *BatchReleaseInput) {
			s.Workload.Blocked = []workload.Blocked{pod(v1beta1.BlockerImagePull, "a", time.Time{}), pod(v1beta1.BlockerCrashLoop, "b", time.Time{}), pod(v1beta1.BlockerImagePull, "c", time.Time{})}
		}, "PodsPending, ImagePull Pod a, CrashLoop Pod b"},
		"a controller that sleeps": {func(s *BatchReleaseInput) { s.Release.Status.Phase, s.Workload.Blind = v1beta1.PhaseProgressing, true }, "WorkloadNotObserved Deployment web"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in := inStep(1, v1beta1.StepUpgrade, "20%", "100%")
			in.Release.Status = v1beta1.BatchReleaseStatus{}
			in.Workload.Updated, in.Workload.UpdatedReady = 1, 0
			in.Release.CreationTimestamp.Time = noon.Add(-time.Hour)
			s := BatchReleaseInput{Now: noon, Release: in.Release, Driver: in.Driver, Objects: in.Objects, Workload: in.Workload}
			c.change(&s)
			d := Release(s)
			if got := blockedBy(d.Object.Status.Blockers); got != c.want {
				t.Errorf("got %q, want %q: %s", got, c.want, d.Object.Status.Message)
			}
			if strings.HasPrefix(c.want, "PodsPending, ") {
				in.Release = d.Object
				said := strings.Replace(c.want, "PodsPending", "PodsPending BatchRelease demo", 1)
				if got := blockedBy(Rollout(in).Object.Status.Blockers); got != said {
					t.Errorf("the Rollout says %q, want %q", got, said)
				}
			}
		})
	}
}

// TestBlockersSince: since stays for as long as code and object do, and not beyond the state that they belong to.
func TestBlockersSince(t *testing.T) {
	t.Parallel()
	d := &Decision[*v1beta1.Rollout]{}
	raised := func(code v1beta1.BlockerCode, object string, until time.Time) blocker {
		return blocker{code: code, object: v1beta1.BlockerObject{Kind: "Pod", Name: object}, message: strings.Repeat("é", 400), until: until}
	}
	settle := func(seen *v1beta1.Rollout, now, began time.Time, found ...blocker) *v1beta1.Rollout {
		d.Object, d.blockers = seen.DeepCopy(), found
		d.settleBlockers(seen, now, began)
		return d.Object
	}
	first := settle(&v1beta1.Rollout{}, noon, time.Time{}, raised("A", "x", noon.Add(time.Minute)), raised("A", "x", time.Time{}), raised("B", "x", time.Time{}))
	later := noon.Add(10 * time.Second)
	second := settle(first, later, time.Time{}, raised("C", "x", time.Time{}), raised("A", "x", noon.Add(61*time.Second)), raised("A", "y", time.Time{}))
	if got := blockedBy(second.Status.Blockers); got != "A Pod x, C Pod x, A Pod y" {
		t.Errorf("the oldest is first: %s", got)
	}
	b := second.Status.Blockers
	if !b[0].Since.Time.Equal(noon) || !b[1].Since.Time.Equal(later) || !b[2].Since.Time.Equal(later) {
		t.Errorf("since is %v", b)
	}
	if !b[0].Until.Time.Equal(noon.Add(time.Minute)) {
		t.Errorf("an end that moves by a second is no news: %s", b[0].Until)
	}
	if n := len(b[0].Message); n > v1beta1.BlockerMessageLength || !strings.HasSuffix(b[0].Message, "é…") {
		t.Errorf("%d bytes: %q", n, b[0].Message)
	}
	third := settle(second, later.Add(time.Second), later.Add(time.Second), raised("A", "x", time.Time{}))
	if got := third.Status.Blockers[0].Since.Time; !got.Equal(later.Add(time.Second)) {
		t.Errorf("of the next step it is since %s", got)
	}
	var many []blocker
	for i := range 20 {
		many = append(many, raised(v1beta1.BlockerCode(string(rune('a'+i))), "x", time.Time{}))
	}
	if n := len(settle(third, later, time.Time{}, many...).Status.Blockers); n != v1beta1.MaxBlockers {
		t.Errorf("there are %d", n)
	}
}

// TestBlockersOfWrites: a write that is not taken is a blocker, beside others or alone.
func TestBlockersOfWrites(t *testing.T) {
	t.Parallel()
	o := Obstacle{Reason: v1beta1.ReasonWriteRefused, Message: "updating Deployment web is refused: no", Object: v1beta1.BlockerObject{Kind: "Deployment", Name: "web"}}
	s := inStep(1, v1beta1.StepPaused, "20%", "100%")
	s.Rollout.Status.Blockers = []v1beta1.Blocker{{Code: v1beta1.BlockerTimer, Since: metav1.NewTime(noon), Message: "of before"}}
	d := Rollout(s)
	d.Obstruct(s.Rollout, o, noon)
	if got := blockedBy(d.Object.Status.Blockers); got != "Approval, WriteRefused Deployment web" {
		t.Errorf("beside others: %s", got)
	}
	o.Reason = v1beta1.ReasonWriteReverted
	d = Rollout(s)
	d.Freeze(s.Rollout)
	d.Obstruct(s.Rollout, o, noon)
	if got := blockedBy(d.Object.Status.Blockers); got != "WriteReverted Deployment web" {
		t.Errorf("alone: %s", got)
	}
}

// TestAnalysisCodes: each result of an analysis that holds a release is a blocker of its own.
func TestAnalysisCodes(t *testing.T) {
	t.Parallel()
	seen := map[v1beta1.BlockerCode]v1beta1.AnalysisPhase{}
	for _, phase := range []v1beta1.AnalysisPhase{
		v1beta1.AnalysisRunning, v1beta1.AnalysisFailed, v1beta1.AnalysisInconclusive, v1beta1.AnalysisError, v1beta1.AnalysisNoData, v1beta1.AnalysisTooFewRequests,
	} {
		code := analysisCode(phase)
		if was, twice := seen[code]; twice {
			t.Errorf("%s is both %s and %s", code, was, phase)
		}
		seen[code] = phase
	}
	if seen[v1beta1.BlockerTooFewRequests] != v1beta1.AnalysisTooFewRequests {
		t.Errorf("got %v", seen)
	}
}
