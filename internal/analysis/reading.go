// SPDX-License-Identifier: Apache-2.0

package analysis

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
)

// Side is one of the two versions that are compared.
type Side string

// The sides.
const (
	Canary Side = "canary"
	Stable Side = "stable"
)

// Sample is a counter of requests as a provider has it: all requests since the start of whoever counts them.
type Sample struct {
	// Side is the version that answered.
	Side Side
	// Instance is who counts: a replica of the gateway, or a pod. Counters of one instance start over together.
	Instance string
	// Bad: these requests failed. One instance may have several samples, of one code each.
	Bad bool
	// Included: another sample counts these requests, too, so they add to the bad ones and not to all of them.
	Included bool
	// Le is the upper boundary of a bucket of a histogram, as its label has it; "": this is no bucket.
	Le string
	// Value is the counter.
	Value float64
}

// usable reports whether s is a counter at all.
func (s Sample) usable() bool {
	return s.Value >= 0 && !math.IsInf(s.Value, 1) && (s.Side == Canary || s.Side == Stable)
}

// Reading is what all counters stood at, by instance.
type Reading map[string]Sides

// Sides are the counters of one instance.
type Sides struct {
	Canary, Stable Counts
	// HasCanary and HasStable: there is such a counter. A gateway's counter is born with the first request it counts.
	HasCanary, HasStable bool
}

func (s Sides) with(side Side, c Counts) Sides {
	if side == Canary {
		s.Canary, s.HasCanary = s.Canary.Add(c), true
	} else {
		s.Stable, s.HasStable = s.Stable.Add(c), true
	}
	return s
}

// ReadRequests is the reading of counters of requests by code. Samples that are no counters are left out.
func ReadRequests(samples []Sample) Reading {
	r := Reading{}
	for _, s := range samples {
		if !s.usable() {
			continue
		}
		c := Counts{Total: s.Value}
		if s.Bad {
			c.Bad = s.Value
		}
		if s.Included {
			c.Total = 0
		}
		r[s.Instance] = r[s.Instance].with(s.Side, c)
	}
	return r
}

// ReadSlow is the reading of the buckets of a histogram in which requests slower than boundary are the bad ones. It is an error
// where an instance has no such boundary, or does not count requests that are slower than all boundaries: what is slow would be
// something else on either side.
func ReadSlow(samples []Sample, boundary float64) (Reading, error) {
	histograms := map[[2]string]Histogram{}
	for _, s := range samples {
		if !s.usable() {
			continue
		}
		key := [2]string{s.Instance, string(s.Side)}
		h, err := histograms[key].with(s.Le, s.Value)
		if err != nil {
			return nil, err
		}
		histograms[key] = h
	}
	r := Reading{}
	// In order, so that of two errors the same one is shown every time.
	for _, key := range slices.SortedFunc(maps.Keys(histograms), func(a, b [2]string) int { return slices.Compare(a[:], b[:]) }) {
		instance, side := key[0], Side(key[1])
		c, err := histograms[key].Slower(boundary)
		if err != nil {
			return nil, fmt.Errorf("the %s's histogram of %.60q %w", side, instance, err)
		}
		r[instance] = r[instance].with(side, c)
	}
	return r, nil
}

// HistogramOf adds up one side's buckets of all instances.
func HistogramOf(samples []Sample, side Side) (Histogram, error) {
	var h Histogram
	for _, s := range samples {
		if s.Side != side || !s.usable() {
			continue
		}
		var err error
		if h, err = h.with(s.Le, s.Value); err != nil {
			return nil, err
		}
	}
	return h, nil
}

// with is h with a bucket of the given label added.
func (h Histogram) with(le string, count float64) (Histogram, error) {
	upTo, err := strconv.ParseFloat(le, 64)
	if err != nil || math.IsNaN(upTo) {
		return nil, fmt.Errorf("%.60q is no boundary of a bucket", le)
	}
	i, found := slices.BinarySearchFunc(h, upTo, func(b Bucket, upTo float64) int {
		switch {
		case b.UpTo < upTo:
			return -1
		case b.UpTo > upTo:
			return 1
		default:
			return 0
		}
	})
	if found {
		h[i].Count += count
		return h, nil
	}
	if len(h) >= maxBuckets {
		return nil, fmt.Errorf("a histogram has more than %d buckets", maxBuckets)
	}
	return slices.Insert(h, i, Bucket{UpTo: upTo, Count: count}), nil
}
