// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"
	clocktesting "k8s.io/utils/clock/testing"

	"kruise.io/rollouts/api/v1beta1"
	"kruise.io/rollouts/internal/analysis"
)

// bench is a Measurer with a clock that only tests turn, and a provider that counts.
type bench struct {
	*Measurer
	clock *clocktesting.FakeClock
	asked atomic.Int32
	fail  atomic.Bool
	hold  chan struct{} // a provider that does not answer; nil: it does
}

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{clock: clocktesting.NewFakeClock(time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC))}
	b.Measurer = NewMeasurer(t.Context(), b.clock, func(ctx context.Context, ask analysis.Ask) (any, []analysis.Series, error) {
		b.asked.Add(1)
		if b.hold != nil {
			select {
			case <-b.hold:
			case <-ctx.Done():
				return nil, nil, ctx.Err()
			}
		}
		if b.fail.Load() {
			return nil, nil, errors.New("refused")
		}
		return ask.Provider.Prometheus.Query, nil, nil
	})
	return b
}

func rolloutNamed(name string) *v1beta1.Rollout {
	ro := &v1beta1.Rollout{}
	ro.Namespace, ro.Name, ro.UID = "ns", name, types.UID(name)
	return ro
}

func (b *bench) asks(key, query string, in time.Duration) analysis.Ask {
	return analysis.Ask{Key: key, Due: b.clock.Now().Add(in), Provider: v1beta1.MetricProvider{Prometheus: &v1beta1.PrometheusMetric{Query: query}}}
}

// woken is the next Rollout that is woken, while the clock goes on.
func (b *bench) woken(t *testing.T) string {
	t.Helper()
	for {
		select {
		case e := <-b.news:
			return e.Object.Name
		case <-t.Context().Done():
			t.Fatal("nobody is woken")
		case <-time.After(time.Millisecond):
			b.clock.Step(100 * time.Millisecond)
		}
	}
}

// quiet fails where somebody is woken within some time of the clock.
func (b *bench) quiet(t *testing.T, d time.Duration) {
	t.Helper()
	for range 20 {
		b.clock.Step(d / 20)
		select {
		case e := <-b.news:
			t.Fatalf("%s is woken", e.Object.Name)
		case <-time.After(time.Millisecond):
		}
	}
}

// TestMeasurer: a measurement is made when it is due, and kept until it is judged.
func TestMeasurer(t *testing.T) {
	t.Parallel()
	b, ro := newBench(t), rolloutNamed("web")
	ask := b.asks("a", "up", 10*time.Second)
	b.Want(ro, []analysis.Ask{ask})
	b.quiet(t, 9*time.Second)
	if len(b.Of(ro)) != 0 || b.asked.Load() != 0 {
		t.Fatalf("too early: %v", b.Of(ro))
	}
	if name := b.woken(t); name != "web" {
		t.Fatalf("%s is woken", name)
	}
	for range 2 { // a pass that loses a race judges it again
		if got := b.Of(ro)["a"]; got.Result != "up" || got.Err != "" || got.Time.Before(ask.Due) {
			t.Errorf("got %+v", got)
		}
		b.Want(ro, []analysis.Ask{ask})
	}
	b.Want(ro, []analysis.Ask{b.asks("b", "up", time.Hour)})
	if len(b.Of(ro)) != 0 {
		t.Errorf("what is judged is kept: %v", b.Of(ro))
	}
	b.Want(ro, nil)
	b.quiet(t, 2*time.Hour)
	if n := b.asked.Load(); n != 1 {
		t.Errorf("it was asked %d times", n)
	}
}

// TestMeasurerErrors: that a provider does not answer is an answer.
func TestMeasurerErrors(t *testing.T) {
	t.Parallel()
	b, ro := newBench(t), rolloutNamed("web")
	b.fail.Store(true)
	b.Want(ro, []analysis.Ask{b.asks("a", "up", 0)})
	b.woken(t)
	if got := b.Of(ro)["a"]; got.Err != "refused" {
		t.Errorf("got %+v", got)
	}
}

// TestMeasurerGathers: metrics of one Rollout that are due together are judged in one pass.
func TestMeasurerGathers(t *testing.T) {
	t.Parallel()
	b, ro := newBench(t), rolloutNamed("web")
	b.Want(ro, []analysis.Ask{b.asks("a", "1", time.Second), b.asks("b", "2", 1500*time.Millisecond), b.asks("c", "3", time.Hour)})
	b.woken(t)
	if got := b.Of(ro); len(got) != 2 {
		t.Errorf("got %v", got)
	}
	b.quiet(t, time.Minute)
}

// TestMeasurerSharesAnswers: Rollouts that ask the same at the same time cost one question.
func TestMeasurerSharesAnswers(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for _, name := range []string{"a", "b", "c", "d"} {
		b.Want(rolloutNamed(name), []analysis.Ask{b.asks("k", "up", time.Second)})
	}
	for range 4 {
		b.woken(t)
	}
	if n := b.asked.Load(); n != 1 {
		t.Errorf("it was asked %d times", n)
	}
}

// TestMeasurerWaitsForNobody: a provider that hangs keeps no other Rollout waiting.
func TestMeasurerWaitsForNobody(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.hold = make(chan struct{})
	b.Want(rolloutNamed("slow"), []analysis.Ask{b.asks("k", "slow", 0)})
	for b.asked.Load() == 0 {
		b.clock.Step(time.Millisecond)
	}
	done := make(chan struct{})
	go func() { // neither reading nor wanting waits
		b.Want(rolloutNamed("web"), []analysis.Ask{b.asks("k", "up", 0)})
		b.Of(rolloutNamed("slow"))
		close(done)
	}()
	select {
	case <-done:
	case <-t.Context().Done():
		t.Fatal("a pass waits for a provider")
	}
	close(b.hold)
	b.woken(t)
	b.woken(t)
}

// TestMeasurerLooksAtPods: pods are looked at until something speaks against them, and nobody is woken before.
func TestMeasurerLooksAtPods(t *testing.T) {
	t.Parallel()
	b, ro := newBench(t), rolloutNamed("web")
	looks, bad := atomic.Int32{}, atomic.Bool{}
	b.pods = func(context.Context, types.NamespacedName) ([]analysis.Pod, error) {
		looks.Add(1)
		p := analysis.Pod{UID: "1", Name: "web-1", New: true}
		if bad.Load() {
			p.Trouble = analysis.Trouble{Kind: analysis.ImageTrouble, Container: "main", Reason: "InvalidImageName", Final: true}
		}
		return []analysis.Pod{p}, nil
	}
	ask := analysis.Ask{Key: "pods/v2", Due: b.clock.Now(), Pods: true}
	b.Want(ro, []analysis.Ask{ask})
	for looks.Load() < 5 {
		b.quiet(t, 10*time.Second)
		b.Want(ro, []analysis.Ask{ask})
	}
	bad.Store(true)
	if b.woken(t); b.Of(ro)["pods/v2"].Result == nil {
		t.Errorf("got %+v", b.Of(ro))
	}
}

// TestMeasurerNamesPods: a query by pods is asked with the names that they have at that moment, and not where they cannot be read.
func TestMeasurerNamesPods(t *testing.T) {
	t.Parallel()
	b, ro := newBench(t), rolloutNamed("web")
	var asked atomic.Value
	b.ask = func(_ context.Context, ask analysis.Ask) (any, []analysis.Series, error) {
		asked.Store(ask.Query)
		return nil, nil, nil
	}
	var refused error
	b.pods = func(context.Context, types.NamespacedName) ([]analysis.Pod, error) {
		return []analysis.Pod{{Name: "old-1", Ready: true}, {Name: "new.2", New: true}, {Name: "new-1", New: true, Ready: true}}, refused
	}
	ask := func(key string) analysis.Measured {
		b.Want(ro, []analysis.Ask{{Key: key, Due: b.clock.Now(), Source: &v1beta1.PrometheusSource{}, Query: `a{pod=~"` + analysis.CanaryPods + `"} or b{pod=~"` + analysis.StablePods + `"}`, ByPods: true}})
		b.woken(t)
		return b.Of(ro)[key]
	}
	if m := ask("1"); m.Err != "" || asked.Load() != `a{pod=~"new-1|new\\.2"} or b{pod=~"old-1"}` {
		t.Errorf("asked %q: %+v", asked.Load(), m)
	}
	refused = errors.New("no")
	if m := ask("2"); m.Err != "reading pods: no" {
		t.Errorf("got %+v", m)
	}
}
