// SPDX-License-Identifier: Apache-2.0

package analysis

import "math"

// maxCount is more requests than any reading has. It keeps sums finite whatever a provider says.
const maxCount = 1e12

// Counts are requests of one side in one reading.
type Counts struct {
	// Total is how many requests were answered.
	Total float64 `json:"t"`
	// Bad is how many of them failed, or were slow; at most Total.
	Bad float64 `json:"b,omitempty"`
}

// Add is c and other together.
func (c Counts) Add(other Counts) Counts {
	return Counts{Total: c.Total + other.Total, Bad: c.Bad + other.Bad}
}

// Share is the share of bad requests, from 0 to 1; 0 where there are no requests.
func (c Counts) Share() float64 {
	if c = c.sane(); c.Total > 0 {
		return c.Bad / c.Total
	}
	return 0
}

// sane is c with numbers that can be added up: what is no count of requests is no request.
func (c Counts) sane() Counts {
	if !(c.Total > 0) || math.IsInf(c.Total, 1) {
		return Counts{}
	}
	c.Total = min(c.Total, maxCount)
	if !(c.Bad > 0) {
		c.Bad = 0
	}
	c.Bad = min(c.Bad, c.Total)
	return c
}
