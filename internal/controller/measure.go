// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"

	"kruise.io/rollouts/api/v1beta1"
	"kruise.io/rollouts/internal/analysis"
	"kruise.io/rollouts/internal/provider"
)

// Measurements makes the measurements that passes over Rollouts ask for, and keeps what came of them until it is judged.
type Measurements interface {
	// Want has measurements made when they are due. What was wanted before and is not among them is not made any more, and what
	// came of it is forgotten.
	Want(ro *v1beta1.Rollout, asks []analysis.Ask)
	// Of is what came of them so far, by their keys.
	Of(ro *v1beta1.Rollout) map[string]analysis.Measured
}

const (
	// measuredAtOnce is how many measurements are made at the same time, of all Rollouts.
	measuredAtOnce = 64
	// calledAtOnce is how many webhooks are called at the same time, of all Rollouts.
	calledAtOnce = 64
	// sharedFor is for how long an answer is that of equal questions, too: many Rollouts may ask the same.
	sharedFor = 2 * time.Second
	// gatheredFor is how long an answer waits for others of its Rollout, so that they are judged in one pass and stored by one write.
	gatheredFor = 2 * time.Second
	// measureLimit is the longest that one measurement can take, whatever a provider's own timeout says.
	measureLimit = 90 * time.Second
)

// Measurer makes measurements by asking providers. Its zero value is not usable: see NewMeasurer.
type Measurer struct {
	ask    func(context.Context, analysis.Ask) (any, []analysis.Series, error)
	pods   func(ctx context.Context, rollout types.NamespacedName) ([]analysis.Pod, error)                      // set by AddRollout
	jobs   func(ctx context.Context, rollout types.NamespacedName, ask analysis.Ask) (done, ok bool, err error) // likewise
	clock  clock.WithDelayedExecution
	ctx    context.Context
	news   chan event.TypedGenericEvent[*v1beta1.Rollout]
	slots  chan struct{}
	calls  chan struct{} // of webhooks: those that do not answer keep no metric from being measured
	shared singleflight.Group

	mu       sync.Mutex
	rollouts map[types.UID]*measuring
	recent   map[[sha256.Size]byte]analysis.Measured
}

// measuring is what is wanted of one Rollout.
type measuring struct {
	ro      *v1beta1.Rollout // its name, to wake it
	wanted  map[string]*wanted
	telling clock.Timer // wakes the Rollout; nil: nothing is to be told
}

// wanted is one measurement.
type wanted struct {
	due   time.Time
	timer clock.Timer
	done  *analysis.Measured
	pods  bool
	seen  analysis.PodsSeen // of the pods that are looked at
}

// NewMeasurer returns one that asks by a function, until ctx is done.
func NewMeasurer(ctx context.Context, clk clock.WithDelayedExecution, ask func(context.Context, analysis.Ask) (any, []analysis.Series, error)) *Measurer {
	return &Measurer{
		ask: ask, clock: clk, ctx: ctx, news: make(chan event.TypedGenericEvent[*v1beta1.Rollout], 1024), slots: make(chan struct{}, measuredAtOnce), calls: make(chan struct{}, calledAtOnce),
		rollouts: map[types.UID]*measuring{}, recent: map[[sha256.Size]byte]analysis.Measured{},
	}
}

// AskingBy asks by clients of providers.
func AskingBy(clients *provider.Clients) func(context.Context, analysis.Ask) (any, []analysis.Series, error) {
	return func(ctx context.Context, ask analysis.Ask) (any, []analysis.Series, error) {
		if ask.Hook != nil {
			return called(ctx, clients, *ask.Hook, ask.Namespace), nil, nil
		}
		if ask.Source != nil {
			var series []analysis.Series
			found, err := clients.Series(ctx, *ask.Source, ask.Query)
			for _, s := range found {
				series = append(series, analysis.Series{Labels: s.Labels, Value: s.Value})
			}
			return nil, series, err
		}
		secrets := map[string]provider.Secret{}
		for name, s := range ask.Secrets {
			secrets[name] = provider.Secret(s)
		}
		result, err := clients.Measure(ctx, provider.Ask{Provider: ask.Provider, Namespace: ask.Namespace, Secrets: secrets})
		return result, nil, err
	}
}

// Of implements Measurements.
func (m *Measurer) Of(ro *v1beta1.Rollout) map[string]analysis.Measured {
	m.mu.Lock()
	defer m.mu.Unlock()
	have := m.rollouts[ro.UID]
	if have == nil {
		return nil
	}
	done := map[string]analysis.Measured{}
	for key, w := range have.wanted {
		if w.done != nil {
			done[key] = *w.done
		}
	}
	return done
}

// Want implements Measurements.
func (m *Measurer) Want(ro *v1beta1.Rollout, asks []analysis.Ask) {
	m.mu.Lock()
	defer m.mu.Unlock()
	have := m.rollouts[ro.UID]
	if have == nil {
		if len(asks) == 0 {
			return
		}
		have = &measuring{ro: &v1beta1.Rollout{}, wanted: map[string]*wanted{}}
		have.ro.Namespace, have.ro.Name, have.ro.UID = ro.Namespace, ro.Name, ro.UID
		m.rollouts[ro.UID] = have
	}
	keep := map[string]bool{}
	for _, ask := range asks {
		keep[ask.Key] = true
		if have.wanted[ask.Key] != nil {
			continue
		}
		w := &wanted{due: ask.Due, pods: ask.Pods}
		have.wanted[ask.Key] = w
		do := m.make
		switch {
		case ask.Pods:
			do = m.look
		case ask.Provider.Job != nil:
			do = m.run
		}
		w.timer = m.clock.AfterFunc(max(0, ask.Due.Sub(m.clock.Now())), func() { go do(ro.UID, ask) })
	}
	for key, w := range have.wanted {
		if !keep[key] {
			w.timer.Stop()
			delete(have.wanted, key)
		}
	}
	if len(have.wanted) == 0 {
		if have.telling != nil {
			have.telling.Stop()
		}
		delete(m.rollouts, ro.UID)
	}
}

// make makes a measurement, and wakes its Rollout.
func (m *Measurer) make(uid types.UID, ask analysis.Ask) {
	slots, answering := m.slots, m.answer
	if ask.Hook != nil {
		slots, answering = m.calls, m.fresh // no call stands for another one
	}
	select {
	case slots <- struct{}{}:
		defer func() { <-slots }()
	case <-m.ctx.Done():
		return
	}
	answer := m.named(uid, &ask)
	if answer == nil {
		got := answering(ask)
		answer = &got
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	have := m.rollouts[uid]
	if have == nil || have.wanted[ask.Key] == nil {
		return // it is not wanted any more
	}
	m.done(uid, have, ask.Key, *answer)
}

// named puts the names of pods into a query that asks by them; nil: it can be asked now.
func (m *Measurer) named(uid types.UID, ask *analysis.Ask) *analysis.Measured {
	if !ask.ByPods {
		return nil
	}
	m.mu.Lock()
	have := m.rollouts[uid]
	m.mu.Unlock()
	if have == nil {
		return &analysis.Measured{}
	}
	ctx, cancel := context.WithTimeout(m.ctx, measureLimit)
	defer cancel()
	pods, err := m.pods(ctx, client.ObjectKeyFromObject(have.ro))
	if err != nil {
		return &analysis.Measured{Time: m.clock.Now(), Err: "reading pods: " + err.Error()}
	}
	ask.Query = analysis.WithPods(ask.Query, pods)
	return nil
}

// lookEvery is how often pods are looked at, and runEvery whether a Job is finished. Jobs are not watched: few clusters let the manager
// see them, and fewer metrics are Jobs.
const (
	lookEvery = 10 * time.Second
	runEvery  = 5 * time.Second
)

// look looks at the pods of a Rollout, and again later unless something speaks against them.
func (m *Measurer) look(uid types.UID, ask analysis.Ask) {
	m.again(uid, ask, lookEvery, func(ctx context.Context, w *wanted, rollout types.NamespacedName) *analysis.Measured {
		pods, err := m.pods(ctx, rollout)
		if err != nil {
			return nil
		}
		seen, outcome, message := analysis.PodSignals(w.seen, pods, m.clock.Now())
		if w.seen = seen; outcome != analysis.Failed {
			return nil
		}
		return &analysis.Measured{Result: message}
	})
}

// run runs a Job, and looks again until it is finished.
func (m *Measurer) run(uid types.UID, ask analysis.Ask) {
	m.again(uid, ask, runEvery, func(ctx context.Context, _ *wanted, rollout types.NamespacedName) *analysis.Measured {
		switch done, ok, err := m.jobs(ctx, rollout, ask); {
		case err != nil:
			return &analysis.Measured{Err: err.Error()}
		case done:
			return &analysis.Measured{Result: ok}
		default:
			return nil
		}
	})
}

// again tries until there is an answer, for as long as it is wanted; nil: there is none yet. What is wanted is its own while it tries.
func (m *Measurer) again(uid types.UID, ask analysis.Ask, every time.Duration, try func(context.Context, *wanted, types.NamespacedName) *analysis.Measured) {
	m.mu.Lock()
	have := m.rollouts[uid]
	if have == nil || have.wanted[ask.Key] == nil {
		m.mu.Unlock()
		return
	}
	w, rollout := have.wanted[ask.Key], client.ObjectKeyFromObject(have.ro)
	m.mu.Unlock()
	ctx, cancel := context.WithTimeout(m.ctx, measureLimit)
	defer cancel()
	answer := try(ctx, w, rollout)
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.ctx.Err() != nil || have.wanted[ask.Key] != w:
	case answer != nil:
		answer.Time = m.clock.Now()
		m.done(uid, have, ask.Key, *answer)
	default:
		w.due = m.clock.Now().Add(every)
		w.timer = m.clock.AfterFunc(every, func() { go m.again(uid, ask, every, try) })
	}
}

// done keeps an answer, and has its Rollout woken. It is called with the lock.
func (m *Measurer) done(uid types.UID, have *measuring, key string, answer analysis.Measured) {
	have.wanted[key].done = &answer
	wait := time.Duration(0)
	for _, w := range have.wanted {
		if w.done == nil && !w.pods && w.due.Sub(m.clock.Now()) < gatheredFor {
			wait = gatheredFor
		}
	}
	switch {
	case have.telling == nil:
		have.telling = m.clock.AfterFunc(wait, func() { go m.tell(uid) })
	case wait == 0 && have.telling.Stop(): // the last of those that were waited for
		have.telling = m.clock.AfterFunc(0, func() { go m.tell(uid) })
	}
}

// tell wakes a Rollout for what was measured.
func (m *Measurer) tell(uid types.UID) {
	m.mu.Lock()
	have := m.rollouts[uid]
	if have == nil {
		m.mu.Unlock()
		return
	}
	have.telling = nil
	m.mu.Unlock()
	select {
	case m.news <- event.TypedGenericEvent[*v1beta1.Rollout]{Object: have.ro}:
	case <-m.ctx.Done():
	}
}

// answer asks, or takes the answer of an equal question that was asked just now.
func (m *Measurer) answer(ask analysis.Ask) analysis.Measured {
	question := questionOf(ask)
	m.mu.Lock()
	now := m.clock.Now()
	for other, r := range m.recent {
		if now.Sub(r.Time) >= sharedFor {
			delete(m.recent, other)
		}
	}
	recent, found := m.recent[question]
	m.mu.Unlock()
	if found {
		return recent
	}
	got, _, _ := m.shared.Do(string(question[:]), func() (any, error) {
		r := m.fresh(ask)
		m.mu.Lock()
		m.recent[question] = r
		m.mu.Unlock()
		return r, nil
	})
	r, _ := got.(analysis.Measured)
	return r
}

// fresh asks.
func (m *Measurer) fresh(ask analysis.Ask) (r analysis.Measured) {
	ctx, cancel := context.WithTimeout(m.ctx, measureLimit)
	defer cancel()
	var err error
	if r.Result, r.Series, err = m.ask(ctx, ask); err != nil {
		r.Err = err.Error()
	}
	r.Time = m.clock.Now()
	return r
}

// questionOf is the same for asks that have the same answer at the same time.
func questionOf(ask analysis.Ask) [sha256.Size]byte {
	ask.Key, ask.Due = "", time.Time{}
	text, _ := json.Marshal(ask)
	return sha256.Sum256(text)
}
