// SPDX-License-Identifier: Apache-2.0

package view

import (
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
	gatewayv1beta1 "sigs.k8s.io/gateway-api/apis/v1beta1"

	rolloutsv1beta1 "kruise.io/rollouts/api/v1beta1"
)

var update = flag.Bool("update", false, "write the golden files")

// seen are worlds to draw, by the name of their golden files.
func seen() map[string]Seen {
	old, updating := set(1, hash1, 9, 9), set(2, hash2, 1, 1)
	paused := Seen{
		Now: noon, Rollout: rollout(), Deployment: deployment("version-2"), ReplicaSets: []*appsv1.ReplicaSet{old, updating},
		Pods: append(podsOf(old, 9, ""), podsOf(updating, 1, "1")...),
	}

	stuck := paused
	stuck.Rollout = rollout(state(rolloutsv1beta1.StepUpgrade), func(ro *rolloutsv1beta1.Rollout) {
		ro.Status.CanaryStatus.CanaryReadyReplicas = 0
		ro.Status.Message = "Rollout is in step(1/3), and upgrade workload to new version"
	})
	stuck.ReplicaSets = []*appsv1.ReplicaSet{set(1, hash1, 9, 9), set(2, hash2, 1, 0)}
	bad := podsOf(updating, 1, "1")
	bad[0].Status = corev1.PodStatus{Phase: corev1.PodPending, ContainerStatuses: []corev1.ContainerStatus{{
		RestartCount: 3, State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ImagePullBackOff", Message: `Back-off pulling image "busybox:1.28.3"`}},
	}}}
	stuck.Pods = append(podsOf(old, 2, ""), bad...)

	timed := paused
	timed.Pods = nil
	timed.Rollout = rollout(func(ro *rolloutsv1beta1.Rollout) {
		ro.Generation = 3 // not seen by the controller yet
		steps := ro.Spec.Strategy.Canary.Steps
		steps[0].Pause.Duration, steps[0].Traffic = ptr.To[int32](90), new("5%")
		steps[1].Pause.Duration = ptr.To[int32](0)
		steps[1].Matches = []rolloutsv1beta1.HttpRouteMatch{{
			Path:    &gatewayv1beta1.HTTPPathMatch{Value: new("/v2")},
			Headers: []gatewayv1beta1.HTTPHeaderMatch{{Name: "user", Value: "beta"}},
		}, {QueryParams: []gatewayv1beta1.HTTPQueryParamMatch{{Name: "v", Value: "2"}}}, {}}
	})

	done := paused
	done.Rollout = rollout(healthy(metav1.ConditionTrue))
	done.Deployment = deployment("version-2")
	done.ReplicaSets = []*appsv1.ReplicaSet{set(1, hash1, 0, 0), set(2, hash2, 10, 10)}
	done.Pods = podsOf(updating, 10, "3")

	cancelled := paused
	cancelled.Rollout = rollout(healthy(metav1.ConditionFalse), state(rolloutsv1beta1.StepCompleted))
	cancelled.Deployment = deployment("version-1")
	cancelled.ReplicaSets = []*appsv1.ReplicaSet{set(3, hash1, 10, 10), set(2, hash2, 0, 0)}
	cancelled.Pods = nil

	held := paused
	held.Rollout = rollout(func(ro *rolloutsv1beta1.Rollout) { ro.Spec.Strategy.Paused = true })
	held.Pods = nil

	other := Seen{Now: noon, Rollout: rollout(func(ro *rolloutsv1beta1.Rollout) {
		ro.Spec.WorkloadRef.Kind = "CloneSet"
		ro.Spec.Strategy = rolloutsv1beta1.RolloutStrategy{BlueGreen: &rolloutsv1beta1.BlueGreenStrategy{
			Steps: []rolloutsv1beta1.CanaryStep{{Replicas: new(intstr.Parse("nonsense"))}},
		}}
		ro.Status.BlueGreenStatus = &rolloutsv1beta1.BlueGreenStatus{
			CommonStatus:    rolloutsv1beta1.CommonStatus{StableRevision: hash1, CurrentStepIndex: 4, CurrentStepState: rolloutsv1beta1.StepPaused},
			UpdatedRevision: hash2,
		}
		ro.Status.CanaryStatus = nil
	}), Pods: append(podsOf(old, 1, ""), podsOf(updating, 1, "1")...)}
	for _, p := range other.Pods {
		p.Labels[appsv1.ControllerRevisionHashLabelKey] = p.Labels[appsv1.DefaultDeploymentUniqueLabelKey]
		delete(p.Labels, appsv1.DefaultDeploymentUniqueLabelKey)
	}

	measured := paused
	measured.Pods = nil
	measured.Rollout = rollout(state(rolloutsv1beta1.StepMetricsAnalysis), func(ro *rolloutsv1beta1.Rollout) {
		ro.Status.Message = "Rollout is in step(1/3): analysis failed: metric errors failed: [0.2]: failureCondition holds: result[0] > 0.05; abort the release, or approve the step to go on all the same"
		at := func(phases ...rolloutsv1beta1.AnalysisPhase) (all []rolloutsv1beta1.Measurement) {
			for _, phase := range phases {
				all = append(all, rolloutsv1beta1.Measurement{Phase: phase})
			}
			return all
		}
		ro.Status.Analysis = &rolloutsv1beta1.AnalysisStatus{
			Step: &rolloutsv1beta1.AnalysisRun{Phase: rolloutsv1beta1.AnalysisFailed, Step: 1, Revision: hash2, Requests: &rolloutsv1beta1.RequestCounts{Canary: 12, Stable: 108, CanaryShare: "10%", WantedShare: "5%"}, Metrics: []rolloutsv1beta1.MetricStatus{
				{Name: "errors", Phase: rolloutsv1beta1.AnalysisFailed, Value: "[0.2]", Message: "[0.2]: failureCondition holds: result[0] > 0.05", Count: 3, Measurements: at("Successful", "Successful", "Failed")},
				{Name: "compare-errors", Phase: rolloutsv1beta1.AnalysisRunning, Value: "0.4% / 0.5%", Message: "12 requests to the new version and 108 to the stable one; each needs 50", Count: 2, Measurements: at("Running", "Running")},
			}},
			Background: &rolloutsv1beta1.AnalysisRun{Phase: rolloutsv1beta1.AnalysisRunning, Step: 1, Metrics: []rolloutsv1beta1.MetricStatus{
				{Name: "load", DryRun: true, Phase: rolloutsv1beta1.AnalysisNoData, NoData: 5, Message: "the provider has an empty list", Measurements: at("Error", "NoData")},
			}},
		}
	})

	hooked := paused
	hooked.Pods = nil
	hooked.Rollout = rollout(state(rolloutsv1beta1.StepBeforeUpgrade), func(ro *rolloutsv1beta1.Rollout) {
		ro.Status.Message = "Rollout is in step(1/3): webhook check refused step 1: not on Fridays; the release goes on when the webhook allows the step, or when you approve the step (rollouts.kruise.io/approve: " + hash2 + "/1)"
		(*ro.Spec.Strategy.Canary).Steps[0].Webhooks = []rolloutsv1beta1.StepWebhook{
			{Name: "ticket", When: rolloutsv1beta1.WebhookBefore}, {Name: "check", When: rolloutsv1beta1.WebhookBefore}, {Name: "smoke", When: rolloutsv1beta1.WebhookAfter},
		}
		ro.Status.Webhooks = []rolloutsv1beta1.WebhookStatus{
			{Name: "ticket", When: rolloutsv1beta1.WebhookBefore, Step: 1, Revision: hash2, Phase: rolloutsv1beta1.WebhookSuccessful, Attempts: 1},
			{Name: "check", When: rolloutsv1beta1.WebhookBefore, Step: 1, Revision: hash2, Phase: rolloutsv1beta1.WebhookRefused, Message: "not on Fridays", Attempts: 3},
		}
	})

	return map[string]Seen{
		"measured": measured, "hooked": hooked,
		"paused": paused, "stuck": stuck, "timed": timed, "done": done, "cancelled": cancelled, "held": held, "other": other,
		"empty": {Rollout: &rolloutsv1beta1.Rollout{}},
	}
}

func TestText(t *testing.T) {
	for name, s := range seen() {
		t.Run(name, func(t *testing.T) {
			r := Of(s)
			golden(t, name+".tree", r.Tree(Style{}))
			golden(t, name+".describe", r.Describe(Style{}, false))
			golden(t, name+".describe-all", r.Describe(Style{Color: true}, true))
		})
	}
}

func TestHistory(t *testing.T) {
	got := History(seen()["done"])
	if len(got) != 2 || got[0].Number != 1 || got[0].Role != Old || got[1].Hash != hash2 || got[1].Role != Stable || got[1].Ready != 10 {
		t.Errorf("got %+v", got)
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s (go test ./internal/view -update writes it anew):\ngot\n%s\nwant\n%s", name, got, want)
	}
}

func TestAwaiting(t *testing.T) {
	for name, c := range map[string]struct {
		rollout *rolloutsv1beta1.Rollout
		want    *Awaiting
	}{
		"approval": {rollout(), &Awaiting{
			For: "approval", Command: "kubectl kruise rollout approve rollout/rollouts-demo -n default", Since: &noon,
		}},
		"nothing":              {rollout(healthy(metav1.ConditionTrue)), nil},
		"the controller":       {rollout(state(rolloutsv1beta1.StepReady)), nil},
		"the end":              {rollout(reason(rolloutsv1beta1.ReasonFinalising)), &Awaiting{For: "the workload to be restored", Since: &noon}},
		"the stable version":   {rollout(reason(rolloutsv1beta1.ReasonCancelling)), &Awaiting{For: "all pods to be at the stable version", Since: &noon}},
		"pods":                 {rollout(state(rolloutsv1beta1.StepUpgrade)), &Awaiting{For: "pods of the new version: 1 of 1 ready", Since: &noon}},
		"a status without end": {&rolloutsv1beta1.Rollout{Status: rolloutsv1beta1.RolloutStatus{Phase: rolloutsv1beta1.PhaseProgressing}}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			got := Of(Seen{Rollout: c.rollout}).Awaiting
			if (got == nil) != (c.want == nil) || got != nil && (got.For != c.want.For || got.Command != c.want.Command || !same(got.Since, c.want.Since)) {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
		})
	}
}

func same(a, b *time.Time) bool { return a == b || a != nil && b != nil && a.Equal(*b) }

func TestOutcome(t *testing.T) {
	lag := func(ro *rolloutsv1beta1.Rollout) { ro.Generation++ }
	for name, c := range map[string]struct {
		rollout *rolloutsv1beta1.Rollout
		want    Outcome
	}{
		"running":                    {rollout(), ""},
		"done":                       {rollout(healthy(metav1.ConditionTrue)), Succeeded},
		"done, of an older spec":     {rollout(healthy(metav1.ConditionTrue), lag), ""},
		"rolled back":                {rollout(healthy(metav1.ConditionFalse)), Cancelled},
		"never released":             {rollout(func(ro *rolloutsv1beta1.Rollout) { ro.Status.Phase, ro.Status.Conditions = "Healthy", nil }), Succeeded},
		"disabled":                   {rollout(func(ro *rolloutsv1beta1.Rollout) { ro.Status.Phase = "Disabled" }), Disabled},
		"of an unknown phase, empty": {&rolloutsv1beta1.Rollout{}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			if got := Of(Seen{Rollout: c.rollout}).Outcome; got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}
