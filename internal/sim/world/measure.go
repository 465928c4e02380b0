// SPDX-License-Identifier: Apache-2.0

package world

import (
	"errors"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"kruise.io/rollouts/api/v1beta1"
	"kruise.io/rollouts/internal/analysis"
)

// measurements make measurements when they are due by the world's clock. They are of the manager's memory: a restart forgets them.
type measurements struct {
	world *World
	of    map[types.UID]map[string]*measurement
}

type measurement struct {
	ask  analysis.Ask
	done *analysis.Measured
}

// Want implements controller.Measurements.
func (m *measurements) Want(ro *v1beta1.Rollout, asks []analysis.Ask) {
	have, next := m.of[ro.UID], map[string]*measurement{}
	for _, ask := range asks {
		if next[ask.Key] = have[ask.Key]; next[ask.Key] == nil {
			next[ask.Key] = &measurement{ask: ask}
		}
	}
	m.of[ro.UID] = next
}

// Of implements controller.Measurements.
func (m *measurements) Of(ro *v1beta1.Rollout) map[string]analysis.Measured {
	done := map[string]analysis.Measured{}
	for key, have := range m.of[ro.UID] {
		if have.done != nil {
			done[key] = *have.done
		}
	}
	return done
}

// make makes what is due.
func (m *measurements) make() {
	now := m.world.Clock.Now()
	for _, of := range m.of {
		for _, have := range of {
			if have.done != nil || have.ask.Due.After(now) {
				continue
			}
			if have.ask.Pods { // kubelets here have no troubles but those that a story names
				if m.world.PodTrouble != "" {
					have.done = &analysis.Measured{Time: now, Result: m.world.PodTrouble}
				}
				continue
			}
			if have.ask.Hook != nil {
				answer := analysis.HookAnswer{Outcome: analysis.HookFailed, Message: errNoProvider.Error()}
				if m.world.Answer != nil {
					answer = m.world.Answer(have.ask)
				}
				have.done = &analysis.Measured{Time: now, Result: answer}
				continue
			}
			r := &analysis.Measured{Time: now, Err: errNoProvider.Error()}
			if m.world.Measure != nil {
				result, err := m.world.Measure(have.ask)
				if r.Result, r.Err = result, ""; err != nil {
					r.Err = err.Error()
				}
			}
			have.done = r
		}
	}
}

var errNoProvider = errors.New("the provider does not answer")

// next is when the next measurement is due; zero: none is.
func (m *measurements) next() (next time.Time) {
	for _, of := range m.of {
		for _, have := range of {
			if have.done == nil && !have.ask.Pods && (next.IsZero() || have.ask.Due.Before(next)) {
				next = have.ask.Due
			}
		}
	}
	return next
}
