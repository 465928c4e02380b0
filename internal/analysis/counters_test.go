// SPDX-License-Identifier: Apache-2.0

package analysis

import (
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"testing"

	"pgregory.net/rapid"
)

// requests are two samples: the requests of one side at one instance, and how many of them failed.
func requests(side Side, instance string, total, bad float64) []Sample {
	return []Sample{
		{Side: side, Instance: instance, Value: total - bad},
		{Side: side, Instance: instance, Value: bad, Bad: true},
	}
}

func together(samples ...[]Sample) Reading {
	var all []Sample
	for _, s := range samples {
		all = append(all, s...)
	}
	return ReadRequests(all)
}

func TestNext(t *testing.T) {
	both := together(requests(Stable, "a", 1000, 5), requests(Canary, "a", 100, 1))
	for _, c := range []struct {
		name          string
		births        Births
		before        []Reading
		now           Reading
		canary        Counts
		stable        Counts
		first, empty  bool
		canaryInPlace Counts // of instance a, afterwards
	}{
		{name: "nothing before", now: both, first: true, canaryInPlace: Counts{100, 1}},
		{name: "nothing before, of pods", births: WithInstance, now: both, first: true, canaryInPlace: Counts{100, 1}},
		{name: "no side has any", now: Reading{}, empty: true},
		{
			name: "no side has any any more", before: []Reading{both}, now: Reading{},
			empty: true, canaryInPlace: Counts{100, 1},
		},
		{
			name: "both counted", before: []Reading{both},
			now:    together(requests(Stable, "a", 1090, 7), requests(Canary, "a", 110, 1)),
			canary: Counts{10, 0}, stable: Counts{90, 2}, canaryInPlace: Counts{110, 1},
		},
		{
			name: "nothing counted is no absence of data", before: []Reading{both}, now: both, canaryInPlace: Counts{100, 1},
		},
		{
			name: "the canary's is born with its first request", before: []Reading{together(requests(Stable, "a", 1000, 5))},
			now:    together(requests(Stable, "a", 1000, 5), requests(Canary, "a", 3, 3)),
			canary: Counts{3, 3}, canaryInPlace: Counts{3, 3},
		},
		{
			name: "one of two started over", before: []Reading{together(requests(Canary, "a", 100, 1), requests(Canary, "b", 100, 1))},
			now:    together(requests(Canary, "a", 4, 2), requests(Canary, "b", 110, 1)),
			canary: Counts{14, 2}, canaryInPlace: Counts{4, 2},
		},
		{
			name: "one side is gone for a while, and is back", before: []Reading{both, together(requests(Stable, "a", 1000, 5))},
			now:    together(requests(Stable, "a", 1000, 5), requests(Canary, "a", 120, 2)),
			canary: Counts{20, 1}, canaryInPlace: Counts{120, 2},
		},
		{
			name: "an instance is gone for a while, and is back", before: []Reading{both, together(requests(Stable, "b", 7, 7))},
			now:    together(requests(Canary, "a", 120, 2)),
			canary: Counts{20, 1}, canaryInPlace: Counts{120, 2},
		},
		{
			name: "an instance no one knew may be old", before: []Reading{both},
			now:           together(requests(Canary, "a", 100, 1), requests(Canary, "b", 1e6, 1e6)),
			canaryInPlace: Counts{100, 1},
		},
		{
			name: "a pod no one knew is new", births: WithInstance, before: []Reading{both},
			now:    together(requests(Canary, "a", 100, 1), requests(Canary, "b", 9, 8)),
			canary: Counts{9, 8}, canaryInPlace: Counts{100, 1},
		},
		{
			name: "bad ones fall by themselves", before: []Reading{both},
			now:    together(requests(Canary, "a", 110, 0)),
			canary: Counts{10, 0}, canaryInPlace: Counts{110, 0},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			var kept Kept
			for _, before := range c.before {
				_, kept = kept.Next(before, c.births)
			}
			fresh, kept := kept.Next(c.now, c.births)
			want := Fresh{Canary: c.canary, Stable: c.stable, First: c.first, Empty: c.empty}
			if fresh != want {
				t.Errorf("got %+v, want %+v", fresh, want)
			}
			if got := kept[hashOf("a")].Canary; got != c.canaryInPlace {
				t.Errorf("kept %+v, want %+v", got, c.canaryInPlace)
			}
		})
	}
}

func hashOf(instance string) string {
	for key := range (Reading{instance: {HasCanary: true}}).hashed() {
		return key
	}
	return ""
}

// TestNothingIsLostOrCountedTwice plays instances that answer, start over and cannot be read for a while: what is new in all readings
// together is what the instances counted and was there to be read.
func TestNothingIsLostOrCountedTwice(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		type instance struct{ counter, read float64 }
		instances := make([]instance, 3)
		var kept Kept
		var got, want float64
		read := func(hidden int) {
			r := Reading{}
			for i := range instances {
				if i == hidden {
					continue
				}
				in := &instances[i]
				r[fmt.Sprint("gateway-", i)] = Sides{}.with(Stable, Counts{Total: in.counter})
				if in.counter < in.read { // started over since
					want += in.counter
				} else {
					want += in.counter - in.read
				}
				in.read = in.counter
			}
			var fresh Fresh
			fresh, kept = kept.Next(r, AnyTime)
			got += fresh.Stable.Total
			// It travels through a status.
			text, err := json.Marshal(kept)
			if err != nil {
				t.Fatal(err)
			}
			kept = nil
			if err := json.Unmarshal(text, &kept); err != nil {
				t.Fatal(err)
			}
		}
		read(-1)
		for range rapid.IntRange(1, 30).Draw(t, "readings") {
			for i := range instances {
				if rapid.IntRange(0, 9).Draw(t, "restart") == 0 {
					instances[i].counter = 0
				}
				instances[i].counter += float64(rapid.IntRange(0, 100).Draw(t, "requests"))
			}
			read(rapid.IntRange(-3, 2).Draw(t, "hidden"))
		}
		if got != want {
			t.Fatalf("got %v, want %v", got, want)
		}
	})
}

// TestKeptIsBounded: however many instances come and go, what is kept is of limited size, and known instances keep their place.
func TestKeptIsBounded(t *testing.T) {
	many := func(from, to int) Reading {
		r := Reading{}
		for i := from; i < to; i++ {
			r[fmt.Sprintf("gateway-%d.%060d", i, 0)] = Sides{}.with(Stable, Counts{Total: 1e6, Bad: 12345}).with(Canary, Counts{Total: 1e6, Bad: 12345})
		}
		return r
	}
	var kept Kept
	fresh, kept := kept.Next(many(0, 100), AnyTime)
	if len(kept) != maxInstances || fresh.LeftOut != 100-maxInstances {
		t.Fatalf("%d kept, %d left out", len(kept), fresh.LeftOut)
	}
	before := kept
	if _, kept = kept.Next(many(0, 200), AnyTime); !reflect.DeepEqual(kept, before) {
		t.Error("others have taken the place of instances that are still there")
	}
	if _, kept = kept.Next(many(200, 210), AnyTime); len(kept) != maxInstances {
		t.Errorf("%d kept", len(kept))
	}
	for instance := range many(200, 210) {
		if _, ok := kept[hashOf(instance)]; !ok {
			t.Errorf("%s got no place, although others are gone", instance)
		}
	}
	text, err := json.Marshal(kept)
	if err != nil || len(text) > 5000 {
		t.Errorf("%d bytes, %v", len(text), err)
	}
	kept["one more"], kept["and one"] = Last{}, Last{}
	for i := range 100 {
		kept[fmt.Sprint(i)] = Last{}
	}
	if fresh, kept = kept.Next(many(0, 1), AnyTime); !fresh.First || len(kept) != 1 {
		t.Errorf("what was not written here is used: %+v, %d kept", fresh, len(kept))
	}
}

// TestNextIsTotal: counters and statuses that make no sense give counts that make sense.
func TestNextIsTotal(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		kept := Kept{hashOf("a"): {Canary: anyCounts().Draw(t, "kept canary"), Stable: anyCounts().Draw(t, "kept stable")}}
		for range 3 {
			var samples []Sample
			for range rapid.IntRange(0, 4).Draw(t, "samples") {
				samples = append(samples, Sample{
					Side:     rapid.SampledFrom([]Side{Canary, Stable, "other"}).Draw(t, "side"),
					Instance: rapid.SampledFrom([]string{"a", "b", ""}).Draw(t, "instance"),
					Bad:      rapid.Bool().Draw(t, "bad"),
					Value:    anyNumber().Draw(t, "value"),
				})
			}
			var fresh Fresh
			fresh, kept = kept.Next(ReadRequests(samples), Births(rapid.Bool().Draw(t, "births")))
			for _, c := range []Counts{fresh.Canary, fresh.Stable} {
				if c != c.sane() {
					t.Fatalf("no counts: %+v", fresh)
				}
			}
		}
	})
}

func TestReadRequestsLeavesOutWhatIsNoCounter(t *testing.T) {
	r := ReadRequests([]Sample{
		{Side: Canary, Instance: "a", Value: math.NaN()},
		{Side: Canary, Instance: "a", Value: -1},
		{Side: Canary, Instance: "a", Value: math.Inf(1)},
		{Side: "neither", Instance: "a", Value: 5},
	})
	if len(r) != 0 {
		t.Errorf("%+v", r)
	}
}
