// SPDX-License-Identifier: Apache-2.0

package stories

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"kruise.io/rollouts/test/scenario"
)

var update = flag.Bool("update", false, "write the transcripts anew")

// screen is how many lines a transcript may have.
const screen = 60

// TestStories plays every story and compares its transcript.
func TestStories(t *testing.T) {
	t.Parallel()
	stories, err := scenario.Load(scenarios)
	if err != nil {
		t.Fatal(err)
	}
	for _, story := range stories {
		t.Run(story.Name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t)
			transcript(t, s, story)
			if story.Records {
				s.records(t)
			}
			text := "# " + story.About + "\n" + strings.Join(s.lines, "\n") + "\n"
			golden := filepath.Join(scenarios, story.Name+".golden")
			if *update {
				if err := os.WriteFile(golden, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if string(want) != text {
				t.Errorf("got\n%s\nwant\n%s\n(go test ./test/stories -update writes it anew)", text, want)
			}
			if len(s.lines) >= screen {
				t.Errorf("%d lines are more than a screen", len(s.lines))
			}
			t.Logf("%d writes", s.WritesOfManager())
		})
	}
}

// transcript plays a story to its end, and checks that the user gets everything back.
func transcript(t *testing.T, s *stage, story *scenario.Story) {
	t.Helper()
	ctx := t.Context()
	s.outage = story.Outage
	if strings.Contains(string(story.Rollout), `"gracePeriodSeconds":0`) {
		s.plane.Lag = 0 // gateways that take up everything at once are what this asks for
	}
	play, err := scenario.Start(ctx, s, story, scenarios)
	if err != nil {
		t.Fatal(err)
	}
	if err := play.Run(ctx); err != nil {
		t.Errorf("%v\n%s", err, strings.Join(s.lines, "\n"))
	}
	if err := s.settle(ctx); err != nil {
		t.Error(err)
	}
	if difference, err := play.GivenBack(ctx); err != nil || difference != "" {
		t.Errorf("%s %v", difference, err)
	}
	checkQuiet(t, s)
}

// checkQuiet checks that no one writes to a settled world, not even a manager that has just started.
func checkQuiet(t *testing.T, s *stage) {
	t.Helper()
	before := len(s.Writes)
	s.Restart()
	if _, err := s.Round(t.Context()); err != nil {
		t.Error(err)
	}
	for _, write := range s.Writes[before:] {
		t.Errorf("a settled world gets a write: %s", write)
	}
}
