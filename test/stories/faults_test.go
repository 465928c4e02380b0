// SPDX-License-Identifier: Apache-2.0

package stories

import (
	"fmt"
	"hash/fnv"
	"os"
	"slices"
	"testing"

	"kruise.io/rollouts/internal/sim/world"
	"kruise.io/rollouts/test/scenario"
)

// soak reports whether everything is tried that there is to try: SOAK=1, as make soak sets it.
func soak() bool { return os.Getenv("SOAK") != "" }

// samples is how many writes of a story fail where not all of them do.
const samples = 3

// TestEveryWriteMayFail plays every story with one write of the manager failing, each in turn: lost on its way there, or
// with its answer lost on the way back. The story goes on, and ends as it does without.
func TestEveryWriteMayFail(t *testing.T) {
	t.Parallel()
	stories, err := scenario.Load(scenarios)
	if err != nil {
		t.Fatal(err)
	}
	for _, story := range stories {
		t.Run(story.Name, func(t *testing.T) {
			t.Parallel()
			plain := newStage(t)
			transcript(t, plain, story)
			want := end(t, plain)
			for _, fault := range faults(story.Name, plain.WritesOfManager()) {
				t.Run(fmt.Sprintf("write %d arrived=%v", fault.Write, fault.Arrived), func(t *testing.T) {
					t.Parallel()
					s := newStage(t)
					s.Fault = fault
					transcript(t, s, story)
					if got := end(t, s); got != want {
						t.Errorf("it ends as\n%s\nand without the fault as\n%s", got, want)
					}
				})
			}
		})
	}
}

// faults lists the faults of a story with n writes: all, or a few that depend on its name.
func faults(name string, n int) []world.Fault {
	var all []world.Fault
	for k := 1; k <= n; k++ {
		all = append(all, world.Fault{Write: k}, world.Fault{Write: k, Arrived: true})
	}
	if soak() || len(all) <= samples {
		return all
	}
	h := fnv.New32a()
	_, _ = h.Write([]byte(name))
	var few []world.Fault
	for i := range samples {
		few = append(few, all[(int(h.Sum32()%1000)+i*len(all)/samples)%len(all)])
	}
	return slices.Compact(few)
}

// end is everything there is to see at the end of a story.
func end(t *testing.T, s *stage) string {
	t.Helper()
	sight, err := scenario.See(t.Context(), s.User, world.Namespace)
	if err != nil {
		t.Fatal(err)
	}
	return sight.String()
}
