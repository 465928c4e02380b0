// SPDX-License-Identifier: Apache-2.0

// Package stories plays the scenarios in the simulated world.
package stories

import (
	"context"
	"errors"
	"fmt"
	"path"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/rollouts/api/v1beta1"
	"kruise.io/rollouts/internal/analysis"
	"kruise.io/rollouts/internal/controller"
	"kruise.io/rollouts/internal/sim"
	"kruise.io/rollouts/internal/sim/world"
	"kruise.io/rollouts/test/scenario"
)

// scenarios is where the stories are.
const scenarios = "../scenarios"

// stage is a simulated world with someone who writes down what happens.
type stage struct {
	*world.World
	lines  []string
	last   string
	plane  sim.DataPlane
	rights *ledger
	outage bool // the story takes away what answers requests
	// metrics are what Prometheus answers, by query; one that is not there has no data.
	metrics map[string]any
	// hooks are what webhooks answer, by their names in the URL; one that is not there allows every step.
	hooks map[string]analysis.HookAnswer
}

func newStage(t *testing.T) *stage {
	t.Helper()
	w, err := world.New(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s := &stage{World: w, plane: sim.DataPlane{Lag: 3 * time.Second}} // the default grace period
	s.rights = &ledger{rights: installed(t), used: map[sim.Permission]int{}}
	w.Authorize = s.rights.ask
	t.Cleanup(func() {
		if !s.rights.expected {
			for _, refused := range s.rights.refused {
				t.Errorf("the chart's roles do not let the manager do what it does: %s", sim.Cannot(refused))
			}
		}
	})
	w.Say = func(what string) {
		if strings.HasPrefix(what, "warning") || strings.Contains(what, "Warning") {
			s.lines = append(s.lines, "    "+s.mask(what))
		}
	}
	w.Looked = s.note
	s.metrics, s.hooks = map[string]any{}, map[string]analysis.HookAnswer{}
	w.Answer = func(ask analysis.Ask) analysis.HookAnswer {
		if answer, ok := s.hooks[path.Base(ask.Hook.URL)]; ok {
			return answer
		}
		return analysis.HookAnswer{Outcome: analysis.HookAllowed}
	}
	w.Measure = func(ask analysis.Ask) (any, error) {
		if s.metrics["down"] != nil {
			return nil, errors.New("refused: prometheus:9090")
		}
		if value, ok := s.metrics[ask.Provider.Prometheus.Query]; ok {
			return []any{value}, nil
		}
		return []any{}, nil
	}
	w.Watch = func(write world.Write) {
		if trouble := w.Trespass(write); trouble != "" {
			t.Error(trouble)
		}
		if ro, ok := write.After.(*v1beta1.Rollout); ok && write.Who == controller.FieldManager && write.Verb != "create" {
			if trouble := scenario.Unexplained(ro, w.Clock.Now()); trouble != "" {
				t.Errorf("after %s: %s", write, trouble)
			}
		}
		lost, err := s.plane.Look(t.Context(), w.User, world.Namespace, w.Clock.Now())
		if err != nil || lost != "" && !s.outage {
			t.Errorf("after %s: %s %v\n%s", write, lost, err, strings.Join(s.lines, "\n"))
		}
	}
	return s
}

var podName = regexp.MustCompile(`web-[a-z0-9]+-[0-9]{5}`)

func (s *stage) mask(text string) string { return podName.ReplaceAllString(text, "web-...") }

func (s *stage) Client() client.Client { return s.User }
func (s *stage) Namespace() string     { return world.Namespace }

// note writes down what there is to see where it is news.
func (s *stage) note(ctx context.Context) {
	sight, err := scenario.See(ctx, s.User, world.Namespace)
	if err != nil {
		s.lines = append(s.lines, err.Error())
		return
	}
	if line := sight.String(); line != s.last {
		s.last = line
		s.lines = append(s.lines, fmt.Sprintf("  %4s %s", s.Clock.Now().Sub(world.Start).Round(time.Second), s.mask(line)))
	}
}

func (s *stage) Until(ctx context.Context, limit time.Duration, done func() bool) error {
	return s.World.Until(ctx, limit, done)
}

func (s *stage) Pass(ctx context.Context, d time.Duration) error {
	return s.World.Pass(ctx, d)
}

func (s *stage) Do(_ context.Context, what string) error {
	if metric, ok := strings.CutPrefix(what, "metric "); ok { // metric errors: 0.01
		name, text, _ := strings.Cut(metric, ": ")
		value, err := strconv.ParseFloat(text, 64)
		s.metrics[name] = value
		return err
	}
	if hook, ok := strings.CutPrefix(what, "hook "); ok { // hook check answers: 403 not on Fridays
		name, text, _ := strings.Cut(hook, " answers: ")
		code, message, _ := strings.Cut(text, " ")
		answer, err := answerOf(code, message)
		s.hooks[name] = answer
		return err
	}
	switch what {
	case "pods crash":
		s.PodTrouble = "pod web-1, container main: CrashLoopBackOff, exit code 1; 1 of 1 new pods, 0 of 4 old ones"
	case "stop Prometheus":
		s.metrics["down"] = true
	case "start Prometheus":
		delete(s.metrics, "down")
	case "restart the manager":
		s.Restart()
	case "keep workloads paused":
		s.KeepPaused = true
		s.Restart()
	case "stop the manager", "start the manager":
		s.Frozen = what == "stop the manager"
	case "lose admission", "mend admission":
		s.AdmissionDown = what == "lose admission"
	default:
		return fmt.Errorf("how does one do that: %q", what)
	}
	return nil
}

// answerOf is what an answer with a status code means.
func answerOf(code, message string) (analysis.HookAnswer, error) {
	answer := analysis.HookAnswer{Message: message}
	switch n, err := strconv.Atoi(code); {
	case err != nil:
		return answer, fmt.Errorf("which code is %q: %w", code, err)
	case n == 202:
		answer.Outcome = analysis.HookNotYet
	case n < 300:
		answer.Outcome = analysis.HookAllowed
	case n >= 500 || n == 429:
		answer.Outcome, answer.Message = analysis.HookFailed, fmt.Sprintf("status %d from gate.example.com", n)
	default:
		answer.Outcome = analysis.HookRefused
	}
	return answer, nil
}

func (s *stage) Playing(step scenario.Step) {
	if step.Until == nil {
		s.lines = append(s.lines, "> "+step.String())
		s.last = ""
	}
}

// Note writes down what a story finds.
func (s *stage) Note(line string) { s.lines = append(s.lines, s.mask(line)) }

// settle lets everything come to rest at the end of a story.
func (s *stage) settle(ctx context.Context) error {
	return s.World.Pass(ctx, 30*time.Second)
}
