// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	rolloutsv1beta1 "kruise.io/rollouts/api/v1beta1"
)

// stepData is what the other version cannot hold of one step.
type stepData[Size, Match any] struct {
	// Index of the step, from 0.
	Index int `json:"index"`
	// Size of the step as it was, if the other version would change it.
	Size *Size `json:"size,omitempty"`
	// Matches of the step as they were, if the other version would change one of them.
	Matches []Match `json:"matches,omitempty"`
	// Analysis of the step, which only v1beta1 can hold. It stays with the step of this number.
	Analysis *rolloutsv1beta1.StepAnalysis `json:"analysis,omitempty"`
	// Webhooks of the step, likewise.
	Webhooks []rolloutsv1beta1.StepWebhook `json:"webhooks,omitempty"`
}

// gates are what decides about a step, and only v1beta1 can hold.
type gates struct {
	analysis *rolloutsv1beta1.StepAnalysis
	webhooks []rolloutsv1beta1.StepWebhook
}

// stepsData is what the other version cannot hold of a list of steps.
type stepsData[Size, Match any] struct {
	// Count is how many steps there were.
	Count int `json:"count,omitempty"`
	// Steps that would lose something.
	Steps []stepData[Size, Match] `json:"steps,omitempty"`
}

// stepForm is how a step is written in the version data was left by (Size, Match) and in the present one.
type stepForm[Size, Match, CurSize, CurMatch any] struct {
	size      func(Size) CurSize
	sizeBack  func(CurSize) Size
	match     func(Match) CurMatch
	matchBack func(CurMatch) Match
}

var (
	betaSteps  = stepForm[betaSize, rolloutsv1beta1.HttpRouteMatch, alphaSize, HttpRouteMatch]{sizeToAlpha, sizeToBeta, matchToAlpha, matchToBeta}
	alphaSteps = stepForm[alphaSize, HttpRouteMatch, betaSize, rolloutsv1beta1.HttpRouteMatch]{sizeToBeta, sizeToAlpha, matchToBeta, matchToAlpha}
)

// find returns what was kept of step number index of count, or nil. Where steps were added or removed, the data of a
// step may belong to the one at the same distance from the end; it does only if nothing of it was changed.
func (f stepForm[Size, Match, CurSize, CurMatch]) find(
	data stepsData[Size, Match], index, count int, size CurSize, matches []CurMatch,
) *stepData[Size, Match] {
	for _, at := range []int{index, index - (count - data.Count)} {
		for i := range data.Steps {
			kept := &data.Steps[i]
			if kept.Index == at && (count == data.Count || f.fits(kept, size, matches)) {
				return kept
			}
		}
	}
	return nil
}

// fits reports whether all that was kept of a step still is what it was converted to.
func (f stepForm[Size, Match, CurSize, CurMatch]) fits(kept *stepData[Size, Match], size CurSize, matches []CurMatch) bool {
	if kept.Size != nil && !unchanged(kept.Size, size, f.size) {
		return false
	}
	if kept.Matches == nil {
		return true
	}
	if len(kept.Matches) != len(matches) {
		return false
	}
	for i := range matches {
		if !unchanged(&kept.Matches[i], matches[i], f.match) {
			return false
		}
	}
	return true
}

// restore returns a step's size and matches as their original version has them.
func (f stepForm[Size, Match, CurSize, CurMatch]) restore(
	kept *stepData[Size, Match], size CurSize, matches []CurMatch,
) (Size, []Match) {
	if kept == nil {
		kept = &stepData[Size, Match]{}
	}
	var out []Match
	used := make([]bool, len(kept.Matches))
	for i, match := range matches {
		out = append(out, restored(f.pick(kept.Matches, used, i, match), match, f.match, f.matchBack))
	}
	return restored(kept.Size, size, f.size, f.sizeBack), out
}

// pick returns the kept match that cur was converted from: the one at its index, or else the first unused one.
func (f stepForm[Size, Match, CurSize, CurMatch]) pick(kept []Match, used []bool, index int, cur CurMatch) *Match {
	take := func(i int) *Match {
		if i >= len(kept) || used[i] || !unchanged(&kept[i], cur, f.match) {
			return nil
		}
		used[i] = true
		return &kept[i]
	}
	if match := take(index); match != nil {
		return match
	}
	for i := range kept {
		if match := take(i); match != nil {
			return match
		}
	}
	return nil
}

// keep adds to data what the present form of a step does not lead back to.
func (f stepForm[Size, Match, CurSize, CurMatch]) keep(
	data *stepsData[Size, Match], index, count int, size Size, matches []Match, curSize CurSize, curMatches []CurMatch,
	gates gates,
) {
	kept := stepData[Size, Match]{Index: index, Size: lost(size, curSize, f.sizeBack)}
	for i := range matches {
		if lost(matches[i], curMatches[i], f.matchBack) != nil {
			kept.Matches = matches
			break
		}
	}
	if kept.Size == nil && kept.Matches == nil && gates.analysis == nil && len(gates.webhooks) == 0 {
		return
	}
	kept.Analysis, kept.Webhooks = gates.analysis, gates.webhooks
	data.Count = count
	data.Steps = append(data.Steps, kept)
}

// gatesOf are those that were kept of the step at an index.
func (d stepsData[Size, Match]) gatesOf(index int) gates {
	for _, kept := range d.Steps {
		if kept.Index == index {
			return gates{kept.Analysis, kept.Webhooks}
		}
	}
	return gates{}
}

// stepsToBeta converts steps, restoring what v1beta1 left in kept and returning what v1beta1 cannot hold.
func stepsToBeta(in []CanaryStep, kept stepsData[betaSize, rolloutsv1beta1.HttpRouteMatch]) (
	out []rolloutsv1beta1.CanaryStep, data stepsData[alphaSize, HttpRouteMatch],
) {
	for i, step := range in {
		size := alphaSize{Weight: step.Weight, Replicas: step.Replicas}
		betaSize, matches := betaSteps.restore(betaSteps.find(kept, i, len(in), size, step.Matches), size, step.Matches)
		alphaSteps.keep(&data, i, len(in), size, step.Matches, betaSize, matches, gates{})
		decide := kept.gatesOf(i)
		out = append(out, rolloutsv1beta1.CanaryStep{
			TrafficRoutingStrategy: rolloutsv1beta1.TrafficRoutingStrategy{
				Traffic: betaSize.Traffic, RequestHeaderModifier: step.RequestHeaderModifier, Matches: matches,
			},
			Replicas: betaSize.Replicas,
			Pause:    step.Pause,
			Analysis: decide.analysis,
			Webhooks: decide.webhooks,
		})
	}
	return out, data
}

// stepsToAlpha converts steps, restoring what v1alpha1 left in kept and returning what v1alpha1 cannot hold.
func stepsToAlpha(in []rolloutsv1beta1.CanaryStep, kept stepsData[alphaSize, HttpRouteMatch]) (
	out []CanaryStep, data stepsData[betaSize, rolloutsv1beta1.HttpRouteMatch],
) {
	for i, step := range in {
		size := betaSize{Traffic: step.Traffic, Replicas: step.Replicas}
		alphaSize, matches := alphaSteps.restore(alphaSteps.find(kept, i, len(in), size, step.Matches), size, step.Matches)
		betaSteps.keep(&data, i, len(in), size, step.Matches, alphaSize, matches, gates{step.Analysis, step.Webhooks})
		out = append(out, CanaryStep{
			TrafficRoutingStrategy: TrafficRoutingStrategy{
				Weight: alphaSize.Weight, RequestHeaderModifier: step.RequestHeaderModifier, Matches: matches,
			},
			Replicas: alphaSize.Replicas,
			Pause:    step.Pause,
		})
	}
	return out, data
}
