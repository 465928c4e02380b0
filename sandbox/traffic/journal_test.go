// SPDX-License-Identifier: Apache-2.0

package traffic

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/rollouts/api/v1beta1"
)

// gone is the phase of a Rollout that does not exist any more.
const gone v1beta1.RolloutPhase = "gone"

// entry is where a Rollout was from a time on.
type entry struct {
	at         time.Time
	phase      v1beta1.RolloutPhase
	step       int32
	state      v1beta1.CanaryStepState
	finalising v1beta1.FinalisingStepType
	succeeded  string // status of the condition; empty while there is none
}

func (e entry) String() string {
	s := fmt.Sprintf("%s %d %s", e.phase, e.step, e.state)
	if e.finalising != v1beta1.FinalisingNone {
		s += " " + string(e.finalising)
	}
	return s
}

// paused reports whether a release waits at a step.
func (e entry) paused(step int32) bool {
	return e.phase == v1beta1.PhaseProgressing && e.state == v1beta1.StepPaused && e.step == step
}

// over reports whether a release is over, well or not.
func (e entry) over() bool { return e.phase == v1beta1.PhaseHealthy && e.succeeded != "" }

func entryOf(at time.Time, ro *v1beta1.Rollout) entry {
	e := entry{at: at, phase: ro.Status.Phase, step: ro.Status.CurrentStepIndex, state: ro.Status.CurrentStepState}
	if c := ro.Status.CanaryStatus; c != nil {
		e.finalising = c.FinalisingStep
	}
	for _, c := range ro.Status.Conditions {
		if c.Type == v1beta1.ConditionSucceeded {
			e.succeeded = string(c.Status)
		}
	}
	return e
}

// journal is what a Rollout's status has been.
type journal struct {
	mu      sync.Mutex
	entries []entry
	more    chan struct{} // closed with the next entry
	read    int           // entries that until is past
}

// keepJournal writes down what becomes of a Rollout; tell, if any, is called with each entry.
func keepJournal(t *testing.T, c client.WithWatch, namespace string, tell func(entry)) *journal {
	t.Helper()
	j := &journal{more: make(chan struct{})}
	again := time.NewTicker(20 * time.Millisecond)
	t.Cleanup(again.Stop)
	go func() {
		// The API server ends watches whenever a new manager has told it of itself, by whom Rollouts are converted.
		for {
			if w, err := c.Watch(t.Context(), &v1beta1.RolloutList{}, client.InNamespace(namespace)); err == nil {
				j.follow(w, tell)
			}
			select {
			case <-again.C:
			case <-t.Context().Done():
				return
			}
		}
	}()
	return j
}

// follow writes down what a watch shows, until it ends.
func (j *journal) follow(w watch.Interface, tell func(entry)) {
	defer w.Stop()
	for event := range w.ResultChan() {
		ro, ok := event.Object.(*v1beta1.Rollout)
		if !ok {
			return
		}
		if ro.Name != "web" {
			continue // a neighbour's
		}
		e := entryOf(time.Now(), ro)
		if event.Type == watch.Deleted {
			e = entry{at: e.at, phase: gone}
		}
		if j.add(e) && tell != nil {
			tell(e)
		}
	}
}

// add adds an entry, if it is another than the last.
func (j *journal) add(e entry) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	if n := len(j.entries); n > 0 {
		last := j.entries[n-1]
		if last.at = e.at; last == e {
			return false
		}
	}
	j.entries = append(j.entries, e)
	close(j.more)
	j.more = make(chan struct{})
	return true
}

// until waits for the next entry of a kind, and skips those before it.
func (j *journal) until(t *testing.T, what string, is func(entry) bool) entry {
	t.Helper()
	late := time.NewTimer(patience)
	defer late.Stop()
	for {
		j.mu.Lock()
		for j.read < len(j.entries) {
			e := j.entries[j.read]
			j.read++
			if is(e) {
				j.mu.Unlock()
				return e
			}
		}
		more := j.more
		j.mu.Unlock()
		select {
		case <-more:
		case <-late.C:
			t.Fatalf("not %s after %s: it is %s", what, patience, j.last())
		case <-t.Context().Done():
			t.Fatalf("not %s before the test ended", what)
		}
	}
}

// last is the present.
func (j *journal) last() entry {
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.entries) == 0 {
		return entry{}
	}
	return j.entries[len(j.entries)-1]
}

// during returns what held at some time from one moment to another.
func (j *journal) during(from, to time.Time) []entry {
	j.mu.Lock()
	defer j.mu.Unlock()
	var all []entry
	for i, e := range j.entries {
		if (i+1 == len(j.entries) || j.entries[i+1].at.After(from)) && !e.at.After(to) {
			all = append(all, e)
		}
	}
	return all
}
