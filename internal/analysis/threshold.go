// SPDX-License-Identifier: Apache-2.0

package analysis

import "math"

// A threshold tests, as a comparison does, whether the share of bad requests of one version is above a limit: each factor of a
// product is a version whose share is a multiple of the limit, and while the share is within it, the mean of the products stays
// at most 1. So it reaches 1/alpha with probability at most alpha, however often one looks.
type threshold struct {
	Above [alternatives]float64 `json:"a,omitzero"` // logarithms of the products, one for each multiple
	Total float64               `json:"t,omitempty"`
	Bad   float64               `json:"b,omitempty"`
}

// multiples of the limit that are tested for. Small ones find a version that is a little worse, after many requests; large ones
// one that is broken, at once.
var multiples = [alternatives]float64{1.25, 1.5, 2, 4, 8, 16, 64}

// lowestLimit is the least share that is tested: below it every single bad request would be an alarm.
const lowestLimit = 1e-4

// add takes requests into account.
func (s threshold) add(limit float64, c Counts) threshold {
	c = c.sane()
	limit = min(max(limit, lowestLimit), highestShare)
	for i, multiple := range multiples {
		worse := min(limit*multiple, (1+limit)/2)
		s.Above[i] += c.Bad*math.Log(worse/limit) + (c.Total-c.Bad)*math.Log((1-worse)/(1-limit))
		s.Above[i] = min(max(s.Above[i], -maxLog), maxLog)
	}
	sum := capped(Counts{s.Total, s.Bad}.Add(c))
	s.Total, s.Bad = sum.Total, sum.Bad
	return s
}

// exceeded reports whether the share is above the limit, but for a probability of alpha.
func (s threshold) exceeded(alpha float64) bool {
	return Comparison{Worse: s.Above}.logWorse() >= -math.Log(alpha)
}

// within reports whether the share was within the limit so far.
func (s threshold) within(limit float64) bool { return s.Total > 0 && s.Bad/s.Total <= limit }
