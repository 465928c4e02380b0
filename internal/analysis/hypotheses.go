// SPDX-License-Identifier: Apache-2.0

package analysis

import "math"

// What a Test uses where a field is 0 or makes no sense.
const (
	// DefaultErrorMargin is by how much the canary's share of failed requests may be above the stable's.
	DefaultErrorMargin = 0.005
	// DefaultLatencyMargin is the same for the share of slow requests.
	DefaultLatencyMargin = 0.05
	// DefaultAlpha is the probability of a false alarm in a whole release.
	DefaultAlpha = 0.01
	// DefaultBeta is the probability that a version that is worse by the margin is ever called no worse.
	DefaultBeta = 0.05
	// DefaultMinRequests is how many requests each side needs before anything is said.
	DefaultMinRequests = 50
)

// Margins outside of these leave no room between the two hypotheses, or beyond them.
const (
	minMargin = 1e-5
	maxMargin = 0.5
)

// Test is what a comparison is asked to decide, and how sure it has to be. Fields that are 0 have their defaults.
type Test struct {
	// Margin is by how much the canary's share of bad requests may be above the stable's, as a share: 0.005 is half a percent
	// of all requests. Kept within 0.00001 and 0.5; 0: 0.005.
	Margin float64
	// Alpha is how likely Worse may be said, ever, of a canary that is within the margin; between 0 and 1; 0: 0.01.
	Alpha float64
	// Beta is how likely NoWorse may be said, ever, of a canary that is beyond the margin; between 0 and 1; 0: 0.05.
	Beta float64
	// MinRequests is how many requests each side needs before anything is said; 0: 50.
	MinRequests float64
	// Inflation divides all counts before they are judged, for traffic whose requests do not fail independently of each other
	// (retries, one bad client): 2 judges two requests as one. At least 1; 0: 1.
	Inflation float64
}

// orDefaults is t with every field in its range, so that what is computed with it is defined.
func (t Test) orDefaults() Test {
	t.Margin = min(max(orDefault(t.Margin, DefaultErrorMargin), minMargin), maxMargin)
	t.Alpha = probability(t.Alpha, DefaultAlpha)
	t.Beta = probability(t.Beta, DefaultBeta)
	t.MinRequests = orDefault(t.MinRequests, DefaultMinRequests)
	t.Inflation = max(orDefault(t.Inflation, 1), 1)
	return t
}

// orDefault is x, or other where x is no positive number.
func orDefault(x, other float64) float64 {
	if !(x > 0) || math.IsInf(x, 1) {
		return other
	}
	return x
}

func probability(x, other float64) float64 {
	if x = orDefault(x, other); x >= 1 {
		return other
	}
	return x
}
