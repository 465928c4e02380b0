// SPDX-License-Identifier: Apache-2.0

package analysis

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"kruise.io/rollouts/api/v1beta1"
	"kruise.io/rollouts/sandbox/internal/agent"
)

// What is wrong with versions, as annotations of their pods.
var (
	nothing = "{}"
	failing = fmt.Sprintf("{%q: %q}", agent.ErrorPercentAnnotation, "20")
	// One request in fifty is what nobody notices by looking.
	failingNowAndThen = fmt.Sprintf("{%q: %q}", agent.ErrorPercentAnnotation, "2")

	slow = fmt.Sprintf("{%q: %q}", agent.LatencyAnnotation, slowLatency)
	// A pod of the first step has twelve requests per second.
	crashing = fmt.Sprintf("{%q: %q}", agent.CrashAfterRequestsAnnotation, "25")
)

// How versions are judged: by the queries of a template, and by what the product knows of gateways. Margins are wider than the defaults,
// so that a test need not wait for thousands of requests, and so is the time for which they are watched shorter.
const (
	byTemplate = "templates: [{templateName: requests}]"
	byCompare  = `compare: {errors: "5%", slow: "10%"}, for: 20s`
	byRate     = `successRate: "99.9%", for: 1m`
)

// TestReleases releases a good version, which goes through all its steps with nobody looking on, and bad ones, which are
// taken back with nobody looking on.
func TestReleases(t *testing.T) {
	for name, test := range map[string]struct{ analysis, annotations, metric string }{
		"good, by template":                 {byTemplate, nothing, ""},
		"good, by comparison":               {byCompare, nothing, ""},
		"fails a fifth, by template":        {byTemplate, failing, "errors"},
		"fails a fifth, by comparison":      {byCompare, failing, "compare-errors"},
		"fails one in fifty, by its rate":   {byRate, failingNowAndThen, "success-rate"},
		"three times slower, by template":   {byTemplate, slow, "latency"},
		"three times slower, by comparison": {byCompare, slow, "compare-latency"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newShop(t, prometheus, test.analysis, "pods: {}")
			defer s.check()
			s.release(test.annotations)
			if test.metric != "" {
				s.aborts(test.metric)
				return
			}
			s.passes(1)
			s.passes(2)
			s.completes()
		})
	}
	t.Run("fails a fifth, in the background", func(t *testing.T) {
		t.Parallel()
		s := newShop(t, prometheus, "", `compare: {errors: "5%", slow: "10%"}, onFailure: abort`)
		defer s.check()
		s.release(failing)
		begun := s.journal.until(s.t, "in the pause of step 1", func(e entry) bool { return e.in(1, v1beta1.StepPaused) })
		s.abortsFor(entry.background, "metric compare-errors failed", begun)
	})
	// While v2 has no ready pod all requests go to v1, and Traefik forgets what it has counted of v2: it is its pods that tell.
	t.Run("crashes under load", func(t *testing.T) {
		t.Parallel()
		s := newShop(t, prometheus, byCompare, "pods: {}, onFailure: abort")
		s.crashes = true
		defer s.check()
		s.release(crashing)
		begun := s.journal.until(s.t, "in the analysis of step 1", func(e entry) bool { return e.in(1, v1beta1.StepMetricsAnalysis) })
		s.abortsFor(entry.background, "pods failed: ", begun)
	})
	t.Run("Prometheus killed", func(t *testing.T) {
		t.Parallel()
		own, err := cluster.StartPrometheus(t.Context()) // nobody else's
		if err != nil {
			t.Fatal(err)
		}
		s := newShop(t, own, byTemplate, "pods: {}")
		defer s.check()
		s.release(nothing)
		s.journal.until(t, "measured in step 1", func(e entry) bool { return e.in(1, v1beta1.StepMetricsAnalysis) && e.metric("errors").Count > 0 })
		s.note("> kill Prometheus")
		killed := time.Now()
		if err := own.Kill(); err != nil {
			t.Fatal(err)
		}
		e := s.journal.until(t, "without an answer of Prometheus", func(e entry) bool { return e.run().Phase == v1beta1.AnalysisError })
		s.note("it has stopped, %s after Prometheus was killed", e.at.Sub(killed).Round(100*time.Millisecond))
		if !e.in(1, v1beta1.StepMetricsAnalysis) || !strings.Contains(e.status.Message, "analysis cannot be measured: metric ") {
			t.Errorf("it says nothing of a Prometheus that is gone: %s", e)
		}
		s.note("> start Prometheus")
		if err := own.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		started := time.Now()
		s.note("Prometheus has started")
		e = s.journal.until(t, "measured again", func(e entry) bool { return e.run().Phase == v1beta1.AnalysisRunning })
		s.note("it goes on, %s after Prometheus was there", e.at.Sub(started).Round(100*time.Millisecond))
		s.passes(1)
		s.passes(2)
		s.completes()
		if err := own.Kill(); err != nil {
			t.Error(err)
		}
	})
}

// TestCrashes kills the manager while two analyses run. The next one goes on where they were: it knows that one of them has
// been measured, and that of the other all but one of the failures that it may have are used up.
func TestCrashes(t *testing.T) {
	shops := map[string]*shop{}
	for name, version := range map[string]string{"good": nothing, "failing": failing} {
		s := newShop(t, prometheus, byTemplate+`, args: [{name: failures, value: "1"}]`, "pods: {}")
		defer func() { s.on(t).check() }()
		s.release(version)
		shops[name] = s
	}
	before := map[string]entry{}
	for name, s := range shops {
		before[name] = s.journal.until(t, "measured in step 1", func(e entry) bool { return e.in(1, v1beta1.StepMetricsAnalysis) && e.metric("errors").Count > 0 })
	}
	for _, s := range shops {
		s.note("> kill the manager")
	}
	if err := manager.crash(t.Context()); err != nil {
		t.Fatal(err)
	}
	for name, s := range shops {
		s.note("another manager is ready")
		was := before[name].run()
		e := s.journal.until(t, "measured again", func(e entry) bool { return e.metric("errors").Count > before[name].metric("errors").Count })
		if run := e.run(); !run.StartTime.Equal(was.StartTime) || run.Hash != was.Hash {
			t.Errorf("%s: the analysis began anew: %s, was %s", name, e, before[name])
		}
	}
	t.Run("releases", func(t *testing.T) {
		t.Run("good", func(t *testing.T) {
			t.Parallel()
			s := shops["good"].on(t)
			s.passes(1)
			s.passes(2)
			s.completes()
		})
		t.Run("failing", func(t *testing.T) {
			t.Parallel()
			s := shops["failing"].on(t)
			s.abortsFor(entry.run, "metric errors failed", before["failing"])
		})
	})
}

// passes waits until the analysis of a step is over, and the release has gone on by itself.
func (s *shop) passes(step int32) {
	s.t.Helper()
	e := s.journal.until(s.t, fmt.Sprintf("past step %d", step), func(e entry) bool {
		return e.status.CurrentStepIndex > step || e.reason() == v1beta1.ReasonAborted
	})
	if e.status.CurrentStepIndex != step+1 {
		s.t.Fatalf("it has not gone on from step %d: %s", step, e)
	}
}

// completes waits for the end of a release, with all pods and all requests at v2.
func (s *shop) completes() {
	s.t.Helper()
	e := s.journal.until(s.t, "over", func(e entry) bool { return e.status.Phase == v1beta1.PhaseHealthy && e.succeeded() != "" })
	if e.succeeded() != "True" {
		s.t.Errorf("it has not succeeded: %s", e)
	}
	s.pods("v2")
	s.only("v2")
}

// aborts waits until the analysis of the first step has failed by a metric, and v2 is gone.
func (s *shop) aborts(metric string) {
	s.t.Helper()
	s.abortsFor(entry.run, "metric "+metric+" failed", s.journal.until(s.t, "in the analysis of step 1", func(e entry) bool { return e.in(1, v1beta1.StepMetricsAnalysis) }))
}

// abortsFor does what aborts does, of an analysis that has begun already, and for any reason.
func (s *shop) abortsFor(of func(entry) v1beta1.AnalysisRun, why string, begun entry) {
	s.t.Helper()
	failed := s.journal.until(s.t, "aborted", func(e entry) bool { return e.reason() == v1beta1.ReasonAborted })
	back := s.journal.until(s.t, "back at the stable version", func(e entry) bool {
		return e.reason() == v1beta1.ReasonAborted && e.succeeded() == "False"
	})
	if run := of(back); run.Phase != v1beta1.AnalysisFailed || !strings.Contains(run.Message, why) {
		s.t.Errorf("the analysis does not say %q: %s", why, back)
	}
	if !strings.Contains(back.status.Message, why) {
		s.t.Errorf("the release does not say why it was aborted: %s", back)
	}
	s.pods("v1")
	s.only("v1")
	all, new := s.asked(begun.at)
	afterwards, late := s.asked(failed.at)
	gone := s.gone(failed.at)
	during := 100 * float64(new-late) / float64(all-afterwards)
	s.note("aborted %s after the step had its requests, the last of them came %s and the end %s later; %d requests came to v2, %.1f %% meanwhile",
		rounded(failed.at.Sub(begun.at)), rounded(gone), rounded(back.at.Sub(failed.at)), new, during)
	// The gateway takes turns: shares are exact but for rounds that it begins anew, with the heavier side.
	if during > exposed+1 {
		s.t.Errorf("%.1f %% of the requests came to v2, and %d %% were to", during, exposed)
	}
}

// gone is how long after a moment the last request was sent that came to v2.
func (s *shop) gone(since time.Time) time.Duration {
	const step = 50 * time.Millisecond
	at := time.Now()
	for ; at.After(since); at = at.Add(-step) {
		if _, new := s.asked(at); new > 0 {
			return at.Add(step).Sub(since)
		}
	}
	return 0
}

func rounded(d time.Duration) time.Duration { return d.Round(50 * time.Millisecond) }

// only waits until a version answers all requests, and sees that it stays so for a second.
func (s *shop) only(version string) {
	s.t.Helper()
	var since time.Time
	s.eventually(func(context.Context) error {
		if since.IsZero() {
			since = time.Now()
		}
		all, new := s.asked(since)
		if new > 0 && version != "v2" || new < all && version == "v2" {
			since = time.Time{}
		}
		if since.IsZero() || all < rate {
			return fmt.Errorf("of %d requests, %d came to v2", all, new)
		}
		return nil
	})
}

// on is the shop in another test.
func (s *shop) on(t *testing.T) *shop {
	s.t = t
	return s
}
