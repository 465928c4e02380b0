// SPDX-License-Identifier: Apache-2.0

package analysis

import (
	"fmt"
	"math"
	"strings"
)

// Latency is judged as errors are, by one share: that of requests slower than a boundary of the histogram. It is chosen once, from
// the stable's requests. Nothing is interpolated in buckets, which gateways have few and coarse ones of.

// DefaultQuantile is the share of requests that the boundary should have at or below it.
const DefaultQuantile = 0.9

// RequestsForBoundary is how many of the stable's requests a boundary is chosen from at least.
const RequestsForBoundary = 200

// Shares of requests at or below a boundary that tells something: with nearly all requests on one side of it, one that is twice
// as slow as another is still on the same side.
const (
	leastBelow = 0.5
	mostBelow  = 0.995
)

// maxBuckets is more than any histogram has that people set the boundaries of.
const maxBuckets = 200

// Bucket is one of a histogram, cumulative as Prometheus has them.
type Bucket struct {
	// UpTo is its upper boundary, in the unit of the histogram; +Inf for the one that all requests are in.
	UpTo float64
	// Count is how many requests took at most that long.
	Count float64
}

// Histogram are buckets, in the order of their boundaries.
type Histogram []Bucket

// total is how many requests there are; not ok where the histogram does not say.
func (h Histogram) total() (n float64, ok bool) {
	if len(h) == 0 || !math.IsInf(h[len(h)-1].UpTo, 1) {
		return 0, false
	}
	return h[len(h)-1].Count, true
}

// Slower are the requests of h, and as bad ones those slower than boundary. It is an error where h has no such boundary.
func (h Histogram) Slower(boundary float64) (Counts, error) {
	total, ok := h.total()
	if !ok {
		return Counts{}, fmt.Errorf("has no bucket for all requests (le=\"+Inf\"); it has %s", h)
	}
	for _, b := range h {
		if b.UpTo == boundary {
			// Buckets of one histogram are not always read at the same moment.
			return Counts{Total: total, Bad: total - b.Count}.sane(), nil
		}
	}
	return Counts{}, fmt.Errorf("has no boundary at %g; it has %s", boundary, h)
}

// Boundary is the choice of a boundary.
type Boundary struct {
	// At is the boundary, in the unit of the histogram.
	At float64
	// Seed is what is known of the stable by then, for Comparison.Seed: as many requests as a choice takes, of which as many are
	// slow as were seen.
	Seed Counts
}

// ChooseBoundary chooses the boundary at or below which the share of the stable's requests is nearest to quantile (0 or what is no
// share: 0.9), and between 0.5 and 0.995; of two that are equally near the lower one. The stable's cumulative counters will do: a
// boundary that was right last week may find less, and promises as much.
//
// Where more than that are within the lowest boundary, it is that one: a fast service tells no more to a gateway with coarse buckets.
//
// The outcome is Successful where there is one; TooFewRequests below RequestsForBoundary; NoData where no boundary has such a
// share, with the buckets in the message; Error for what is no histogram.
func ChooseBoundary(stable Histogram, quantile float64) (Boundary, Outcome, string) {
	if !(quantile > 0 && quantile < 1) {
		quantile = DefaultQuantile
	}
	total, ok := stable.total()
	switch {
	case len(stable) == 0:
		return Boundary{}, NoData, "the stable has no histogram"
	case !ok:
		return Boundary{}, Error, fmt.Sprintf("the stable's histogram has no bucket for all requests (le=\"+Inf\"); it has %s", stable)
	case !(total >= RequestsForBoundary):
		return Boundary{}, TooFewRequests, fmt.Sprintf("%.0f of the %d requests to the stable that show what is slow", total, RequestsForBoundary)
	}
	best, nearest := Boundary{}, math.Inf(1)
	for _, b := range stable[:len(stable)-1] {
		below := b.Count / total
		if below < leastBelow || below > mostBelow || math.Abs(below-quantile) >= nearest {
			continue
		}
		nearest = math.Abs(below - quantile)
		best = Boundary{At: b.UpTo, Seed: Counts{Total: RequestsForBoundary, Bad: RequestsForBoundary * (1 - below)}}
	}
	if lowest := stable[0]; math.IsInf(nearest, 1) && len(stable) > 1 && lowest.Count/total > mostBelow {
		// Nearly all are within the lowest boundary: beyond that one is slow, as far as this histogram can tell. A new version that is
		// slower below it is as fast for the gateway.
		return Boundary{At: lowest.UpTo, Seed: Counts{Total: RequestsForBoundary, Bad: RequestsForBoundary * (1 - lowest.Count/total)}}, Successful, ""
	}
	if math.IsInf(nearest, 1) {
		return Boundary{}, NoData, fmt.Sprintf("no bucket of the stable's histogram ends between %g and %g of its requests: %s", leastBelow, mostBelow, stable)
	}
	return best, Successful, ""
}

// shownBuckets is how many buckets a message names.
const shownBuckets = 12

// String is h as messages show it: each boundary and how many requests took at most that long.
func (h Histogram) String() string {
	if len(h) == 0 {
		return "no buckets"
	}
	var parts []string
	for i, b := range h {
		if i == shownBuckets {
			parts = append(parts, fmt.Sprintf("and %d more", len(h)-i))
			break
		}
		parts = append(parts, fmt.Sprintf("%g: %g", b.UpTo, b.Count))
	}
	return strings.Join(parts, ", ")
}
