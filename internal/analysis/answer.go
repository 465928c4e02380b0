// SPDX-License-Identifier: Apache-2.0

package analysis

import "math"

// Answer is what a comparison says at one moment.
type Answer string

// The answers.
const (
	// KeepWatching: neither hypothesis is rejected yet, or there are too few requests.
	KeepWatching Answer = "keepWatching"
	// Worse: the canary is worse than the stable by more than the margin.
	Worse Answer = "worse"
	// NoWorse: the canary is worse than the stable by less than the margin, or not at all.
	NoWorse Answer = "noWorse"
)

// Answer is what c says now. Both promises, Test.Alpha and Test.Beta, hold for a release as a whole: an answer that was given once
// may be kept, although a later one may be KeepWatching again. Where both hypotheses are rejected it is Worse.
func (c Comparison) Answer(t Test) Answer {
	t = t.orDefaults()
	switch tooFew := c.TooFew(t); {
	case tooFew.Any() || !c.plausible():
		return KeepWatching
	case c.logWorse() >= -math.Log(t.Alpha):
		return Worse
	case c.NoWorse >= -math.Log(t.Beta):
		return NoWorse
	default:
		return KeepWatching
	}
}

// logWorse is the logarithm of the mean of the products against "within the margin".
func (c Comparison) logWorse() float64 {
	highest, sum := c.Worse[0], 0.0
	for _, l := range c.Worse {
		highest = max(highest, l)
	}
	for _, l := range c.Worse {
		sum += math.Exp(l - highest)
	}
	return highest + math.Log(sum/alternatives)
}

// Few says which sides have fewer requests than Test.MinRequests.
type Few struct{ Canary, Stable bool }

// Any reports whether one of the sides has too few.
func (f Few) Any() bool { return f.Canary || f.Stable }

// TooFew says which sides have too few requests for an answer. Requests that wait for the other side count.
func (c Comparison) TooFew(t Test) Few {
	t = t.orDefaults()
	canary, stable := c.Seen()
	return Few{Canary: !(canary.Total >= t.MinRequests), Stable: !(stable.Total >= t.MinRequests)}
}

// Seen are all requests that c was given, those that are not judged yet too: what a person is shown.
func (c Comparison) Seen() (canary, stable Counts) {
	canary, stable = c.Sums()
	pendingCanary, pendingStable := c.pending()
	return canary.Add(pendingCanary), stable.Add(pendingStable)
}
