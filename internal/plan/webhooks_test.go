// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kruise.io/rollouts/api/v1beta1"
	"kruise.io/rollouts/internal/analysis"
)

// atHook is a view of a release of v2 that has just come to a webhook of step 2 of 3.
func atHook(h v1beta1.StepWebhook) RolloutInput {
	state := v1beta1.StepBeforeUpgrade
	if h.When == v1beta1.WebhookAfter {
		state = v1beta1.StepMetricsAnalysis
	}
	s := inStep(2, state, "20%", "50%", "100%")
	h.Name, h.URL = "check", "https://gate.example.com/check"
	s.Rollout.Spec.Strategy.Canary.Steps[1].Webhooks = []v1beta1.StepWebhook{h}
	s.Rollout.Status.CanaryStatus.RolloutHash = strategyHash(s.Rollout.Spec.Strategy)
	return s
}

// asksHook is the call that a decision asks for; nil: none.
func asksHook(d Decision[*v1beta1.Rollout]) *analysis.Ask {
	for i := range d.Asks {
		if d.Asks[i].Hook != nil {
			return &d.Asks[i]
		}
	}
	return nil
}

// answer has the webhook answer what was asked for, at the time it was due.
func answer(t *testing.T, s RolloutInput, a analysis.HookAnswer) (RolloutInput, Decision[*v1beta1.Rollout]) {
	t.Helper()
	d := lookAt(t, s)
	ask := asksHook(d)
	if ask == nil {
		t.Fatalf("nothing is asked: %s", d.Object.Status.Message)
	}
	s.Rollout = d.Object
	if s.Now.Before(ask.Due) {
		s.Now = ask.Due
	}
	s.Measured = map[string]analysis.Measured{ask.Key: {Time: s.Now, Result: a}}
	d = lookAt(t, s)
	s.Rollout, s.Measured = d.Object, nil
	return s, d
}

// TestHookAnswered: what follows from the answers of a webhook, one after the other: its phase, and when it is asked next.
func TestHookAnswered(t *testing.T) {
	t.Parallel()
	type said = analysis.HookAnswer
	const allowed, refused, notYet, failed = analysis.HookAllowed, analysis.HookRefused, analysis.HookNotYet, analysis.HookFailed
	none := int32(0)
	for name, c := range map[string]struct {
		hook  v1beta1.StepWebhook
		says  []said
		phase v1beta1.WebhookPhase
		next  time.Duration // after the last answer; 0: it is not asked any more
	}{
		"allowed":                            {says: []said{{Outcome: allowed}}, phase: v1beta1.WebhookSuccessful},
		"refused":                            {says: []said{{Outcome: refused}}, phase: v1beta1.WebhookRefused, next: time.Minute},
		"refused, and allowed":               {says: []said{{Outcome: refused}, {Outcome: allowed}}, phase: v1beta1.WebhookSuccessful},
		"refused, and not yet":               {says: []said{{Outcome: refused}, {Outcome: notYet, RetryAfter: time.Hour}}, phase: v1beta1.WebhookRefused, next: time.Minute},
		"refused, and down":                  {says: []said{{Outcome: refused}, {Outcome: failed}}, phase: v1beta1.WebhookRefused, next: time.Minute},
		"refused, and it only is told":       {hook: v1beta1.StepWebhook{OnFailure: v1beta1.ActionContinue}, says: []said{{Outcome: refused}}, phase: v1beta1.WebhookRefused},
		"refused, and it aborts":             {hook: v1beta1.StepWebhook{OnFailure: v1beta1.ActionAbort}, says: []said{{Outcome: refused}}, phase: v1beta1.WebhookRefused},
		"not yet":                            {says: []said{{Outcome: notYet}}, phase: v1beta1.WebhookWaiting, next: 10 * time.Second},
		"not yet, and says when":             {says: []said{{Outcome: notYet, RetryAfter: 90 * time.Second}}, phase: v1beta1.WebhookWaiting, next: 90 * time.Second},
		"not yet, and too soon":              {says: []said{{Outcome: notYet, RetryAfter: time.Second}}, phase: v1beta1.WebhookWaiting, next: 5 * time.Second},
		"not yet, and too late":              {says: []said{{Outcome: notYet, RetryAfter: time.Hour}}, phase: v1beta1.WebhookWaiting, next: 5 * time.Minute},
		"not yet for the last time":          {hook: v1beta1.StepWebhook{WaitAtMost: "15s"}, says: []said{{Outcome: notYet}, {Outcome: notYet}}, phase: v1beta1.WebhookWaiting, next: 5 * time.Second},
		"not yet for too long":               {hook: v1beta1.StepWebhook{WaitAtMost: "15s"}, says: []said{{Outcome: notYet}, {Outcome: notYet}, {Outcome: notYet}}, phase: v1beta1.WebhookFailed, next: time.Minute},
		"down":                               {says: []said{{Outcome: failed}}, phase: v1beta1.WebhookRunning, next: 5 * time.Second},
		"down, and says for how long":        {says: []said{{Outcome: failed, RetryAfter: 42 * time.Second}}, phase: v1beta1.WebhookRunning, next: 42 * time.Second},
		"down again":                         {says: []said{{Outcome: failed}, {Outcome: failed}}, phase: v1beta1.WebhookRunning, next: 10 * time.Second},
		"down, once more than may be":        {says: []said{{Outcome: failed}, {Outcome: failed}, {Outcome: failed}, {Outcome: failed}}, phase: v1beta1.WebhookFailed, next: time.Minute},
		"down, and back":                     {says: []said{{Outcome: failed}, {Outcome: failed}, {Outcome: failed}, {Outcome: notYet}, {Outcome: failed}}, phase: v1beta1.WebhookWaiting, next: 5 * time.Second},
		"down, without repeats":              {hook: v1beta1.StepWebhook{Retries: &none}, says: []said{{Outcome: failed}}, phase: v1beta1.WebhookFailed, next: time.Minute},
		"down for long, and then it refuses": {hook: v1beta1.StepWebhook{Retries: &none}, says: []said{{Outcome: failed}, {Outcome: refused}}, phase: v1beta1.WebhookRefused, next: time.Minute},
		"down for very long":                 {hook: v1beta1.StepWebhook{Retries: new(int32(10))}, says: slicesOf(said{Outcome: failed}, 9), phase: v1beta1.WebhookRunning, next: time.Minute},
		"no answer of ours":                  {hook: v1beta1.StepWebhook{Retries: &none}, says: []said{{}}, phase: v1beta1.WebhookFailed, next: time.Minute},
		"times that nobody can read":         {hook: v1beta1.StepWebhook{WaitAtMost: "soon", Timeout: "-1s"}, says: []said{{Outcome: notYet}}, phase: v1beta1.WebhookWaiting, next: 10 * time.Second},
	} {
		for _, when := range []v1beta1.WebhookTime{v1beta1.WebhookBefore, v1beta1.WebhookAfter} {
			t.Run(name+" "+string(when), func(t *testing.T) {
				t.Parallel()
				c.hook.When = when
				s := atHook(c.hook)
				var d Decision[*v1beta1.Rollout]
				for _, a := range c.says {
					s, d = answer(t, s, a)
				}
				// A webhook that let the step pass goes with it.
				if letsPass := c.next == 0 && c.hook.OnFailure != v1beta1.ActionAbort; letsPass != (asksHook(d) == nil && d.Object.Status.CanaryStatus.CurrentStepState != s0(when)) {
					t.Fatalf("it is in state %s: %s", d.Object.Status.CanaryStatus.CurrentStepState, d.Object.Status.Message)
				}
				st := d.Object.Status.Webhooks[0]
				if st.Phase != c.phase || int(st.Attempts) != len(c.says) {
					t.Errorf("it is %s after %d attempts, want %s", st.Phase, st.Attempts, c.phase)
				}
				if (st.CompletionTime != nil) != (c.phase != v1beta1.WebhookRunning && c.phase != v1beta1.WebhookWaiting) {
					t.Errorf("it is %s since %v", st.Phase, st.CompletionTime)
				}
				if next := asksHook(d); c.next == 0 != (next == nil) || next != nil && next.Due.Sub(s.Now) != c.next {
					t.Errorf("it is asked again at %+v, want after %s", next, c.next)
				}
			})
		}
	}
}

// s0 is the state in which a webhook is asked.
func s0(when v1beta1.WebhookTime) v1beta1.CanaryStepState {
	if when == v1beta1.WebhookAfter {
		return v1beta1.StepMetricsAnalysis
	}
	return v1beta1.StepBeforeUpgrade
}

func slicesOf[T any](one T, n int) []T {
	all := make([]T, n)
	for i := range all {
		all[i] = one
	}
	return all
}

// TestHookIsSent: what a webhook is sent, and that a pass, a restart and another attempt ask by the same id.
func TestHookIsSent(t *testing.T) {
	t.Parallel()
	s := atHook(v1beta1.StepWebhook{
		When: v1beta1.WebhookBefore, Headers: []v1beta1.MetricHeader{{Key: "X-Team", Value: "shop"}}, SecretRef: &v1beta1.WebhookSecret{Name: "gate", Key: "hmac"}, Timeout: "1m",
	})
	s.Rollout.Spec.Strategy.Canary.Steps[1].Traffic = new("50%")
	s.Rollout.Status.CanaryStatus.RolloutHash = strategyHash(s.Rollout.Spec.Strategy)
	first := lookAt(t, s)
	ask := asksHook(first)
	if ask == nil || ask.Hook.Secret == nil || *ask.Hook.Secret != (analysis.Secret{Namespace: "default", Name: "gate", Key: "hmac"}) || ask.Hook.Timeout != 30*time.Second || ask.Namespace != "default" {
		t.Fatalf("asked is %+v", ask)
	}
	body := map[string]any{}
	if err := json.Unmarshal(ask.Hook.Body, &body); err != nil {
		t.Fatal(err)
	}
	for field, want := range map[string]any{
		"version": "1", "id": "ro-v2-2-check-Before", "event": "before", "webhook": "check", "namespace": "default", "name": "demo", "uid": "ro", "revision": "v2", "stableRevision": "v1",
		"step": 2.0, "steps": 3.0, "replicas": "50%", "traffic": "50%", "attempt": 1.0, "time": "2026-01-01T12:00:00Z",
	} {
		if body[field] != want {
			t.Errorf("%s is %v, want %v", field, body[field], want)
		}
	}
	s.Rollout = first.Object
	s.Now = s.Now.Add(time.Minute) // the manager was away: its measurements are forgotten
	if again := asksHook(lookAt(t, s)); again == nil || again.Key != ask.Key || string(again.Hook.Body) != string(ask.Hook.Body) {
		t.Errorf("asked again is %+v, first it was %+v", again, ask)
	}
	s, _ = answer(t, s, analysis.HookAnswer{Outcome: analysis.HookNotYet})
	if next := asksHook(lookAt(t, s)); next == nil || next.Key == ask.Key || next.Hook.ID != ask.Hook.ID || !strings.Contains(string(next.Hook.Body), `"attempt":2`) {
		t.Errorf("the next is %+v, first it was %+v", next, ask)
	}
}

// TestHookForged: what a client has written of a webhook, and no pass would, is put right, and the webhook is asked again.
func TestHookForged(t *testing.T) {
	t.Parallel()
	start, late := metav1.NewTime(noon), metav1.NewTime(noon.AddDate(99, 0, 0))
	next, never := metav1.NewMicroTime(noon), metav1.NewMicroTime(noon.AddDate(99, 0, 0))
	const least, most = -1 << 31, 1<<31 - 1
	for name, st := range map[string]v1beta1.WebhookStatus{
		"nothing":                       {},
		"a phase that is none":          {Phase: "Done", StartTime: &start},
		"running":                       {Phase: v1beta1.WebhookRunning},
		"running, without a next call":  {Phase: v1beta1.WebhookRunning, StartTime: &start},
		"waiting":                       {Phase: v1beta1.WebhookWaiting},
		"waiting, with a next call":     {Phase: v1beta1.WebhookWaiting, NextTime: &next},
		"waiting for ever":              {Phase: v1beta1.WebhookWaiting, StartTime: &start, NextTime: &never},
		"begun late":                    {Phase: v1beta1.WebhookWaiting, StartTime: &late, NextTime: &next},
		"refused":                       {Phase: v1beta1.WebhookRefused},
		"refused, without a next call":  {Phase: v1beta1.WebhookRefused, StartTime: &start},
		"refused for ever":              {Phase: v1beta1.WebhookRefused, StartTime: &start, NextTime: &never},
		"failed":                        {Phase: v1beta1.WebhookFailed, NextTime: &next},
		"fewer failures than none":      {Phase: v1beta1.WebhookRunning, Failures: least, Attempts: least, NextTime: &next},
		"failures that are few":         {Phase: v1beta1.WebhookRunning, Failures: -9, NextTime: &next},
		"more failures than there were": {Phase: v1beta1.WebhookRunning, Failures: most, Attempts: most, NextTime: &next},
	} {
		for _, when := range []v1beta1.WebhookTime{v1beta1.WebhookBefore, v1beta1.WebhookAfter} {
			for _, outcome := range []analysis.HookOutcome{analysis.HookAllowed, analysis.HookRefused, analysis.HookNotYet, analysis.HookFailed} {
				s := atHook(v1beta1.StepWebhook{When: when})
				st.Name, st.When, st.Step, st.Revision = "check", when, 2, "v2"
				s.Rollout.Status.Webhooks = []v1beta1.WebhookStatus{st}
				s, d := answer(t, s, analysis.HookAnswer{Outcome: outcome})
				if s.Now.After(noon.Add(retryAfterMost)) {
					t.Errorf("%s %s: it was asked at %s", name, when, s.Now)
				}
				if got := d.Object.Status.Webhooks; outcome != analysis.HookAllowed && (got[0].StartTime == nil || got[0].Attempts < 1 || got[0].Failures < 0) {
					t.Errorf("%s %s: after %s it is %+v", name, when, outcome, got)
				}
			}
		}
	}
}

// TestHookUntil: the blocker of a webhook says until when it is waited for.
func TestHookUntil(t *testing.T) {
	t.Parallel()
	s := atHook(v1beta1.StepWebhook{When: v1beta1.WebhookBefore})
	until := func(d Decision[*v1beta1.Rollout]) time.Duration {
		b := d.Object.Status.Blockers
		if len(b) != 1 || b[0].Until == nil {
			t.Fatalf("it waits for %+v", b)
		}
		return b[0].Until.Sub(s.Now)
	}
	if got := until(lookAt(t, s)); got != hookWaitAtMost {
		t.Errorf("during the first call %s", got)
	}
	s, d := answer(t, s, analysis.HookAnswer{Outcome: analysis.HookNotYet})
	if got := until(d); got != hookNotYet {
		t.Errorf("after not yet %s", got)
	}
	s, d = answer(t, s, analysis.HookAnswer{Outcome: analysis.HookRefused})
	if got := until(d); got != hookHeld {
		t.Errorf("after a refusal %s", got)
	}
}

// TestHookAborts: an abort is in the status before the annotation asks for it.
func TestHookAborts(t *testing.T) {
	t.Parallel()
	s := atHook(v1beta1.StepWebhook{When: v1beta1.WebhookAfter, OnFailure: v1beta1.ActionAbort})
	s, d := answer(t, s, analysis.HookAnswer{Outcome: analysis.HookRefused, Message: "no"})
	if d.Object.Annotations[v1beta1.AnnotationAbort] != "" || !strings.Contains(d.Object.Status.Message, "aborting the release: webhook check refused step 2: no") {
		t.Fatalf("%v %s", d.Object.Annotations, d.Object.Status.Message)
	}
	d = lookAt(t, s)
	if d.Object.Annotations[v1beta1.AnnotationAbort] != "v2" || d.Object.Annotations[v1beta1.AnnotationEditedBy] != webhookUser {
		t.Errorf("the annotations are %v", d.Object.Annotations)
	}
	s.Rollout = d.Object
	if d = lookAt(t, s); reasonOf(d.Object) != v1beta1.ReasonAborted {
		t.Errorf("the reason is %s", reasonOf(d.Object))
	}
}

// TestHookBesideAWayBack: no roll-back, abort, disabling or deletion waits for a webhook, and none is asked any more.
func TestHookBesideAWayBack(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*RolloutInput){
		"rolled back": func(s *RolloutInput) { s.Workload.Update = "v1" },
		"aborted": func(s *RolloutInput) {
			metav1.SetMetaDataAnnotation(&s.Rollout.ObjectMeta, v1beta1.AnnotationAbort, "v2")
		},
		"superseded": func(s *RolloutInput) { s.Workload.Update = "v3" },
		"disabled":   func(s *RolloutInput) { s.Rollout.Spec.Disabled = true },
		"deleted":    func(s *RolloutInput) { s.Rollout.DeletionTimestamp = &metav1.Time{Time: noon} },
		"paused":     func(s *RolloutInput) { s.Rollout.Spec.Strategy.Paused = true },
		"in batches, back": func(s *RolloutInput) {
			s.Rollout.Annotations = map[string]string{v1beta1.AnnotationRollbackInBatch: "true"}
			s.Rollout.Status.CanaryStatus.StableRevision = "v2"
		},
	} {
		s := atHook(v1beta1.StepWebhook{When: v1beta1.WebhookBefore})
		s.Rollout = lookAt(t, s).Object
		change(&s)
		d := lookAt(t, s)
		if ask := asksHook(d); ask != nil || strings.Contains(d.Object.Status.Message, "webhook") {
			t.Errorf("%s: asked is %+v: %s", name, ask, d.Object.Status.Message)
		}
	}
}

// TestApprovalByAnnotation: an approval counts for the step and the revision that it names, where that asks for one; it is on record
// before the annotation goes, and one that approves nothing goes with a word why.
func TestApprovalByAnnotation(t *testing.T) {
	t.Parallel()
	held := func() RolloutInput {
		s := atHook(v1beta1.StepWebhook{When: v1beta1.WebhookBefore})
		start := metav1.NewTime(noon)
		next := metav1.NewMicroTime(noon.Add(time.Minute))
		s.Rollout.Status.Webhooks = []v1beta1.WebhookStatus{{
			Name: "check", When: v1beta1.WebhookBefore, Step: 2, Revision: "v2", Phase: v1beta1.WebhookRefused, Message: "no", Attempts: 1, StartTime: &start, NextTime: &next, CompletionTime: &start,
		}}
		return s
	}
	waiting := func() RolloutInput {
		s := held()
		s.Rollout.Status.Webhooks[0].Phase, s.Rollout.Status.Webhooks[0].CompletionTime = v1beta1.WebhookWaiting, nil
		return s
	}
	paused := func() RolloutInput { return inStep(2, v1beta1.StepPaused, "20%", "50%", "100%") }
	analysed := func() RolloutInput {
		s := inStep(2, v1beta1.StepMetricsAnalysis, "20%", "50%", "100%")
		s.Rollout.Spec.Strategy.Canary.Steps[1].Analysis = &v1beta1.StepAnalysis{Analysis: v1beta1.Analysis{Templates: []v1beta1.AnalysisTemplateRef{{TemplateName: "a"}}}}
		s.Rollout.Status.CanaryStatus.RolloutHash = strategyHash(s.Rollout.Spec.Strategy)
		start := metav1.NewTime(noon)
		s.Rollout.Status.Analysis = &v1beta1.AnalysisStatus{Step: &v1beta1.AnalysisRun{Phase: v1beta1.AnalysisFailed, Step: 2, Revision: "v2", StartTime: &start, CompletionTime: &start}}
		return s
	}
	for name, c := range map[string]struct {
		at    func() RolloutInput
		value string
		event EventReason // of what is said; "": nothing is refused
	}{
		"of a refused hook":       {held, "v2/2", ""},
		"of a pause":              {paused, "v2/2", ""},
		"of an analysis":          {analysed, "v2/2", ""},
		"of another step":         {held, "v2/1", EventApprovalIgnored},
		"of a step to come":       {paused, "v2/3", EventApprovalIgnored},
		"of another revision":     {paused, "v1/2", EventApprovalIgnored},
		"of nothing":              {paused, "yes", EventApprovalIgnored},
		"of a hook that is asked": {waiting, "v2/2", EventApprovedTooEarly},
		"of a step that is under way": {func() RolloutInput {
			s := inStep(2, v1beta1.StepUpgrade, "20%", "50%", "100%")
			s.Release.Status.CanaryStatus.CurrentBatch = 0
			return s
		}, "v2/2", EventApprovedTooEarly},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := c.at()
			s.Rollout.Status.Release = &v1beta1.ReleaseStatus{Number: 1, From: "v1", To: "v2"}
			s.Rollout.Annotations = map[string]string{v1beta1.AnnotationApprove: c.value, v1beta1.AnnotationApprovedBy: "jane", v1beta1.AnnotationEditedBy: "joe"}
			d := lookAt(t, s)
			if a := d.Object.Status.Approval; a == nil || a.Value != c.value || a.User != "jane" || d.Object.Annotations[v1beta1.AnnotationApprove] == "" {
				t.Fatalf("on record is %+v, the annotations are %v", a, d.Object.Annotations)
			}
			by := false
			for _, e := range d.Object.Status.Release.Timeline {
				by = by || e.User == "jane" && (e.Type == v1beta1.StepApproved || e.Type == v1beta1.StepAnswered)
			}
			said := EventReason("")
			for _, e := range d.Events {
				if e.Reason == EventApprovalIgnored || e.Reason == EventApprovedTooEarly {
					said = e.Reason
				}
			}
			if by != (c.event == "") || said != c.event {
				t.Errorf("approved by jane: %t; the event is %q, want %q; the message %q", by, said, c.event, d.Object.Status.Message)
			}
			s.Rollout = d.Object
			d = lookAt(t, s)
			for _, key := range []string{v1beta1.AnnotationApprove, v1beta1.AnnotationApprovedBy} {
				if _, there := d.Object.Annotations[key]; there {
					t.Errorf("%s stays", key)
				}
			}
			for _, e := range d.Events {
				if e.Reason == EventApprovalIgnored || e.Reason == EventApprovedTooEarly {
					t.Errorf("it is said again: %s", e.Message)
				}
			}
			if d.Object.Annotations[v1beta1.AnnotationEditedBy] != "joe" {
				t.Errorf("the annotations are %v", d.Object.Annotations)
			}
		})
	}
}

// TestSkipIsSigned: who skips an analysis is who wrote that, and not who paused the release after; a wrong request goes with a word why.
func TestSkipIsSigned(t *testing.T) {
	t.Parallel()
	for value, said := range map[string]bool{"v2/1": false, "v2/2": true, "v9/1": true} {
		s := inStep(1, v1beta1.StepMetricsAnalysis, "20%", "100%")
		s.Rollout.Spec.Strategy.Canary.Steps[0].Analysis = &v1beta1.StepAnalysis{Analysis: v1beta1.Analysis{Templates: []v1beta1.AnalysisTemplateRef{{TemplateName: "a"}}}}
		s.Rollout.Status.CanaryStatus.RolloutHash = strategyHash(s.Rollout.Spec.Strategy)
		s.Rollout.Status.Release = &v1beta1.ReleaseStatus{Number: 1, From: "v1", To: "v2"}
		s.Rollout.Annotations = map[string]string{v1beta1.AnnotationSkipAnalysis: value, v1beta1.AnnotationApprovedBy: "jane", v1beta1.AnnotationEditedBy: "joe"}
		d := lookAt(t, s)
		warned := false
		for _, e := range d.Events {
			warned = warned || e.Reason == EventApprovalIgnored
		}
		if warned != said || (approver(d.Object.Status.Release, 1) == "jane") == said {
			t.Errorf("%s: warned %t, approved by %q", value, warned, approver(d.Object.Status.Release, 1))
		}
	}
}
