// SPDX-License-Identifier: Apache-2.0

package analysis

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// buckets are the samples of one histogram with Traefik's boundaries.
func buckets(side Side, instance string, counts ...float64) []Sample {
	les := []string{"0.1", "0.3", "1.2", "5", "+Inf"}
	var samples []Sample
	for i, n := range counts {
		samples = append(samples, Sample{Side: side, Instance: instance, Le: les[i], Value: n})
	}
	return samples
}

func TestChooseBoundary(t *testing.T) {
	for _, c := range []struct {
		name     string
		counts   []float64
		quantile float64
		at, bad  float64
		outcome  Outcome
		message  string
	}{
		{name: "nearest to 0.9", counts: []float64{810, 920, 990, 1000, 1000}, at: .3, bad: 16, outcome: Successful},
		{name: "nearest to what is asked for", counts: []float64{810, 920, 990, 1000, 1000}, quantile: .5, at: .1, bad: 38, outcome: Successful},
		{name: "asked for nonsense", counts: []float64{810, 920, 990, 1000, 1000}, quantile: math.NaN(), at: .3, bad: 16, outcome: Successful},
		{name: "asked for more than there is", counts: []float64{810, 920, 990, 1000, 1000}, quantile: .9999, at: 1.2, bad: 2, outcome: Successful},
		{name: "of two equally near ones the lower", counts: []float64{500, 500, 1000, 1000, 1000}, at: .1, bad: 100, outcome: Successful},
		{
			name: "all are fast", counts: []float64{1000, 1000, 1000, 1000, 1000},
			at: .1, outcome: Successful,
		},
		{name: "all are slow", counts: []float64{0, 0, 0, 499, 1000}, outcome: NoData, message: "ends between 0.5 and 0.995"},
		{name: "too few", counts: []float64{150, 180, 199, 199, 199}, outcome: TooFewRequests, message: "199 of the 200"},
		{name: "as many as it takes", counts: []float64{150, 180, 200, 200, 200}, at: .3, bad: 20, outcome: Successful},
		{name: "none", outcome: NoData, message: "no histogram"},
		{name: "no bucket for all", counts: []float64{150, 180, 200, 200}, outcome: Error, message: `le="+Inf"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			h, err := HistogramOf(append(buckets(Stable, "a", c.counts...), buckets(Canary, "a", 0, 0, 0, 0, 1e6)...), Stable)
			if err != nil {
				t.Fatal(err)
			}
			got, outcome, message := ChooseBoundary(h, c.quantile)
			if got.At != c.at || math.Abs(got.Seed.Bad-c.bad) > 1e-9 || outcome != c.outcome || !strings.Contains(message, c.message) {
				t.Errorf("got %+v, %s, %q", got, outcome, message)
			}
		})
	}
}

// TestChosenBoundaryTellsSomething: whatever the histogram, a boundary that is chosen is one of its own, and has between 0.5 and
// 0.995 of the requests at or below it, or is the lowest one, which nearly all of them are within.
func TestChosenBoundaryTellsSomething(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var samples []Sample
		for range rapid.IntRange(0, 8).Draw(t, "buckets") {
			samples = append(samples, Sample{
				Side: Stable, Le: rapid.SampledFrom([]string{"0.1", "0.10", "1e3", "-1", "+Inf", "Inf"}).Draw(t, "le"), Value: anyNumber().Draw(t, "count"),
			})
		}
		h, err := HistogramOf(samples, Stable)
		if err != nil {
			t.Fatal(err)
		}
		b, outcome, _ := ChooseBoundary(h, anyNumber().Draw(t, "quantile"))
		if outcome != Successful {
			return
		}
		c, err := h.Slower(b.At)
		if err != nil {
			t.Fatal(err)
		}
		if below := 1 - c.Share(); c.Total < maxCount && (below < leastBelow-1e-9 || below > mostBelow+1e-9 && b.At != h[0].UpTo) {
			t.Fatalf("%v of the requests are at or below %v: %v", below, b.At, h)
		}
	})
}

func TestReadSlow(t *testing.T) {
	for _, c := range []struct {
		name    string
		samples [][]Sample
		want    Reading
		err     string
	}{
		{name: "none", want: Reading{}},
		{
			name:    "both sides and two instances",
			samples: [][]Sample{buckets(Stable, "a", 80, 90, 100, 100, 100), buckets(Canary, "a", 5, 8, 10, 10, 10), buckets(Stable, "b", 1, 1, 1, 1, 3)},
			want: Reading{
				"a": {Stable: Counts{100, 10}, HasStable: true, Canary: Counts{10, 2}, HasCanary: true},
				"b": {Stable: Counts{3, 2}, HasStable: true},
			},
		},
		{name: "buckets of different moments", samples: [][]Sample{buckets(Stable, "a", 80, 101, 101, 101, 100)}, want: Reading{"a": {Stable: Counts{100, 0}, HasStable: true}}},
		{
			name: "another boundary on one side",
			samples: [][]Sample{buckets(Stable, "a", 80, 90, 100, 100, 100), {
				{Side: Canary, Instance: "a", Le: "0.25", Value: 1},
				{Side: Canary, Instance: "a", Le: "+Inf", Value: 1},
			}},
			err: `the canary's histogram of "a" has no boundary at 0.3; it has 0.25: 1, +Inf: 1`,
		},
		{name: "no bucket for all", samples: [][]Sample{buckets(Stable, "a", 80, 90)}, err: `le="+Inf"`},
		{name: "no bucket", samples: [][]Sample{requests(Stable, "a", 5, 1)}, err: "no boundary of a bucket"},
		{name: "not a number", samples: [][]Sample{{{Side: Stable, Le: "NaN"}}}, err: "no boundary of a bucket"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var all []Sample
			for _, s := range c.samples {
				all = append(all, s...)
			}
			got, err := ReadSlow(all, .3)
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) {
					t.Errorf("got %v, want %q", err, c.err)
				}
				return
			}
			if err != nil || fmt.Sprint(got) != fmt.Sprint(c.want) {
				t.Errorf("got %v, %v, want %v", got, err, c.want)
			}
		})
	}
}

func TestHistogramIsBounded(t *testing.T) {
	var samples []Sample
	for i := range maxBuckets + 1 {
		samples = append(samples, Sample{Side: Stable, Le: fmt.Sprint(i), Value: 1})
	}
	if h, err := HistogramOf(samples, Stable); err == nil {
		t.Errorf("%d buckets", len(h))
	}
	h, err := HistogramOf(samples[:maxBuckets], Stable)
	if err != nil || len(h.String()) > 200 {
		t.Errorf("%v: a message of %d bytes", err, len(h.String()))
	}
}
