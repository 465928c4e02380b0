// SPDX-License-Identifier: Apache-2.0

package analysis

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/rollouts/api/v1beta1"
)

// patience is how long tests wait for the next thing to happen.
const patience = 2 * time.Minute

// entry is what a Rollout was from a time on.
type entry struct {
	at     time.Time
	status v1beta1.RolloutStatus
}

// run is the analysis of the present step; without one it is empty.
func (e entry) run() v1beta1.AnalysisRun {
	if a := e.status.Analysis; a != nil && a.Step != nil {
		return *a.Step
	}
	return v1beta1.AnalysisRun{}
}

// background is the analysis beside the steps; without one it is empty.
func (e entry) background() v1beta1.AnalysisRun {
	if a := e.status.Analysis; a != nil && a.Background != nil {
		return *a.Background
	}
	return v1beta1.AnalysisRun{}
}

// metric is how far a metric of the present step is.
func (e entry) metric(name string) v1beta1.MetricStatus {
	for _, m := range e.run().Metrics {
		if m.Name == name {
			return m
		}
	}
	return v1beta1.MetricStatus{}
}

// in reports whether a release is in a state of a step.
func (e entry) in(step int32, state v1beta1.CanaryStepState) bool {
	s := e.status
	return s.Phase == v1beta1.PhaseProgressing && s.CurrentStepIndex == step && s.CurrentStepState == state
}

// reason is why a release goes on or does not.
func (e entry) reason() string {
	for _, c := range e.status.Conditions {
		if c.Type == v1beta1.ConditionProgressing {
			return c.Reason
		}
	}
	return ""
}

// succeeded is the status of the condition; empty while there is none.
func (e entry) succeeded() string {
	for _, c := range e.status.Conditions {
		if c.Type == v1beta1.ConditionSucceeded {
			return string(c.Status)
		}
	}
	return ""
}

func (e entry) String() string {
	s := fmt.Sprintf("%s %d %s %s", e.status.Phase, e.status.CurrentStepIndex, e.status.CurrentStepState, e.reason())
	if run := e.run(); run.Phase != "" {
		s += fmt.Sprintf(", analysis of step %d %s", run.Step, run.Phase)
		for _, m := range run.Metrics {
			s += fmt.Sprintf(", %s %s %s (%d good, %d bad, %d without data, %d errors)", m.Name, m.Phase, m.Value, m.Successful, m.Failed, m.NoData, m.Error)
		}
	}
	if e.status.Message != "" {
		s += ": " + e.status.Message
	}
	return s
}

// journal is what a Rollout's status has been.
type journal struct {
	mu      sync.Mutex
	entries []entry
	more    chan struct{} // closed with the next entry
	read    int           // entries that until is past
}

// keepJournal writes down what becomes of a Rollout.
func keepJournal(t *testing.T, namespace string) *journal {
	t.Helper()
	j := &journal{more: make(chan struct{})}
	again := time.NewTicker(20 * time.Millisecond)
	t.Cleanup(again.Stop)
	go func() {
		// The API server ends watches whenever a new manager has told it of itself, by whom Rollouts are converted.
		for {
			if w, err := user.Watch(t.Context(), &v1beta1.RolloutList{}, client.InNamespace(namespace)); err == nil {
				j.follow(w)
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
func (j *journal) follow(w watch.Interface) {
	defer w.Stop()
	for event := range w.ResultChan() {
		ro, ok := event.Object.(*v1beta1.Rollout)
		if !ok {
			return
		}
		j.add(entry{time.Now(), ro.Status})
	}
}

// add adds an entry, if it is another than the last.
func (j *journal) add(e entry) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if n := len(j.entries); n > 0 && j.entries[n-1].String() == e.String() {
		return
	}
	j.entries = append(j.entries, e)
	close(j.more)
	j.more = make(chan struct{})
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
		more, last := j.more, entry{}
		if n := len(j.entries); n > 0 {
			last = j.entries[n-1]
		}
		j.mu.Unlock()
		select {
		case <-more:
		case <-late.C:
			t.Fatalf("not %s after %s: it is %s", what, patience, last)
		case <-t.Context().Done():
			t.Fatalf("not %s before the test ended", what)
		}
	}
}

// since returns what was written down from a moment on.
func (j *journal) since(from time.Time) []entry {
	j.mu.Lock()
	defer j.mu.Unlock()
	var all []entry
	for _, e := range j.entries {
		if !e.at.Before(from) {
			all = append(all, e)
		}
	}
	return all
}
