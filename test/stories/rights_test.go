// SPDX-License-Identifier: Apache-2.0

package stories

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/rollouts/api/v1alpha1"
	"kruise.io/rollouts/api/v1beta1"
	"kruise.io/rollouts/internal/sim"
)

// manifest is what is installed, and needed the permissions that tales need.
const (
	manifest = "../../config/install.yaml"
	needed   = "../rights.golden"
)

// installed are the manager's rights as the chart has them.
func installed(t *testing.T) sim.Rights {
	t.Helper()
	read, err := readInstalled()
	if err != nil {
		t.Fatal(err)
	}
	return read
}

var readInstalled = sync.OnceValues(func() (sim.Rights, error) {
	text, err := os.ReadFile(manifest)
	if err != nil {
		return nil, err
	}
	return sim.ReadRights(text)
})

// ledger is the API server's authorizer: it knows what the manager may do, and keeps what it did with that.
type ledger struct {
	rights   sim.Rights
	expected bool // that something is refused
	mu       sync.Mutex
	used     map[sim.Permission]int
	refused  []sim.Request
}

func (l *ledger) ask(q sim.Request) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	p, ok := l.rights.Grants(q)
	if ok {
		l.used[p]++
	} else {
		l.refused = append(l.refused, q)
	}
	return ok
}

// unknown is a field that our types do not have.
const unknown = "fieldOfTomorrow"

// strict is a stage on which everything is asked for: the cluster is newer than our types, so that copies are made of what is read
// past the cache.
func strict(t *testing.T) *stage {
	t.Helper()
	s := newStage(t)
	s.Newer(func(_ string, o map[string]any) {
		if spec, ok := o["spec"].(map[string]any); ok {
			spec[unknown] = "x"
		}
	})
	return s
}

// TestRights plays tales with the chart's roles, and then again without each of the permissions that they used: nothing is refused
// at first, and whatever is taken away is missed, and said to be missing where people look.
func TestRights(t *testing.T) {
	t.Parallel()
	needs := map[sim.Permission][]string{} // the tales that use it
	writes := map[string]int{}
	mu := sync.Mutex{}
	t.Run("all", func(t *testing.T) {
		for name, play := range tales() {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				s := strict(t)
				if err := play(t.Context(), s); err != nil {
					t.Fatal(err)
				}
				mu.Lock()
				defer mu.Unlock()
				writes[name] = s.WritesOfManager()
				for p := range s.rights.used {
					needs[p] = append(needs[p], name)
				}
			})
		}
	})
	t.Run("known", func(t *testing.T) { golden(t, slices.SortedFunc(maps.Keys(needs), sim.Permission.Compare)) })
	for p, names := range needs {
		soft := p.Verb == "get" || p.Resource == "rollouthistories" // those who do not check the record do not miss it
		slices.SortFunc(names, func(a, b string) int {
			if x, y := strings.Contains(a, "record"), strings.Contains(b, "record"); soft && x != y {
				return map[bool]int{true: -1, false: 1}[x]
			}
			return cmp.Or(writes[a]-writes[b], cmp.Compare(a, b))
		})
		t.Run("without "+p.String(), func(t *testing.T) {
			t.Parallel()
			without(t, p, names[0])
		})
	}
}

// without plays a tale without a permission that it needs.
func without(t *testing.T, p sim.Permission, name string) {
	s := strict(t)
	s.rights.rights, s.rights.expected = s.rights.rights.Without(p), true
	err := tales()[name](t.Context(), s)
	if len(s.rights.refused) == 0 {
		t.Fatalf("the tale of %s has nothing refused", name)
	}
	if err == nil {
		t.Errorf("the tale of %s ends well all the same", name)
	}
	words := sim.Cannot(s.rights.refused[0])
	said := s.saying(t.Context(), words)
	if said == "" {
		t.Errorf("nothing says %q\n%v\n%s", words, err, strings.Join(s.lines, "\n"))
	}
	t.Logf("%s: %s", name, said)
}

// saying is where people read some words: in the status of a Rollout, and else in that of what it asked, or in an event; "": nowhere.
func (s *stage) saying(ctx context.Context, words string) string {
	for _, list := range []client.ObjectList{&v1beta1.RolloutList{}, &v1beta1.BatchReleaseList{}, &v1alpha1.TrafficRoutingList{}} {
		if err := s.List(ctx, list); err != nil {
			return ""
		}
		text, _ := json.Marshal(list)
		if quoted, _ := json.Marshal(words); strings.Contains(string(text), strings.Trim(string(quoted), `"`)) {
			return fmt.Sprintf("%T", list)
		}
	}
	for _, line := range s.lines {
		if strings.Contains(line, words) {
			return strings.TrimSpace(line)
		}
	}
	return ""
}

// golden compares the permissions that tales use with those that are known to be.
func golden(t *testing.T, used []sim.Permission) {
	t.Helper()
	text := strings.Builder{}
	text.WriteString("# What the manager needs in simulated releases; each was taken away once. Written by go test ./test/stories -run TestRights -update\n")
	for _, p := range used {
		text.WriteString(p.String() + "\n")
	}
	if *update {
		if err := os.WriteFile(needed, []byte(text.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(needed)
	if err != nil {
		t.Fatal(err)
	}
	if string(want) != text.String() {
		t.Errorf("got\n%s\nwant\n%s\n(go test ./test/stories -run TestRights -update writes it anew)", text.String(), want)
	}
}
