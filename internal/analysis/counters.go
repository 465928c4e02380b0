// SPDX-License-Identifier: Apache-2.0

package analysis

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
)

// What is asked for are counters, not rates: the requests between two readings are their difference, however far the readings are
// apart, so nothing is lost or counted twice where a manager starts again. Differences are taken for each instance, before sums:
// otherwise the restart of one of five gateways looks as if the counters of all five had started over.

// maxInstances is of how many instances the counters are kept. All of them go into a status. Requests that other instances answer
// are a sample of the same traffic, for both sides alike, so that leaving them out costs time and no promise.
const maxInstances = 64

// Kept is where the counters stood when they were last read, by a hash of the instance's name: about 50 bytes an instance, and at
// most 64 of them. It is all that is remembered of counters. nil: they were never read, or it was lost.
type Kept map[string]Last

// Last are the counters of one instance.
type Last struct {
	Canary Counts `json:"c,omitzero"`
	Stable Counts `json:"s,omitzero"`
}

// Births says what a counter stood at before it was first seen.
type Births bool

const (
	// AnyTime: an instance that was not seen before may have counted for weeks, such as a gateway whose target was down. Its counters
	// are new from then on. Only what a known instance begins to count is new as a whole.
	AnyTime Births = false
	// WithInstance: instances are pods of this release, and begin at 0 while it is watched.
	WithInstance Births = true
)

// Fresh is what is new in a reading.
type Fresh struct {
	Canary, Stable Counts
	// First: there was nothing to compare with, so nothing is new yet.
	First bool
	// Empty: neither side has a counter. That is no data, and not 0 requests.
	Empty bool
	// LeftOut is how many instances have counters that are not looked at, because there are too many.
	LeftOut int
}

// Next says what is new in a reading, and what has to be kept until the next.
//
// A counter that is lower than before started over, and all of it is new. A counter that is not there counted nothing: a gateway's
// is born with the first request. Where neither side has one the reading is worth nothing, and what was kept stays.
func (k Kept) Next(now Reading, births Births) (Fresh, Kept) {
	if now.empty() {
		return Fresh{Empty: true}, k
	}
	if len(k) > maxInstances { // not written here
		k = nil
	}
	fresh := Fresh{First: k == nil}
	next := Kept{}
	maps.Copy(next, k)
	current := now.hashed()
	for _, instance := range inOrder(current, k) {
		sides := current[instance]
		last, known := k[instance]
		if !known {
			if !next.makeRoom(current) {
				fresh.LeftOut++
				continue
			}
			if fresh.First || births == AnyTime {
				next[instance] = last.after(sides)
				continue
			}
		}
		if sides.HasCanary {
			fresh.Canary = fresh.Canary.Add(since(last.Canary, sides.Canary))
		}
		if sides.HasStable {
			fresh.Stable = fresh.Stable.Add(since(last.Stable, sides.Stable))
		}
		next[instance] = last.after(sides)
	}
	fresh.Canary, fresh.Stable = fresh.Canary.sane(), fresh.Stable.sane()
	return fresh, next
}

// empty reports whether neither side has a counter.
func (r Reading) empty() bool {
	for _, s := range r {
		if s.HasCanary || s.HasStable {
			return false
		}
	}
	return true
}

// hashed is r by short names of one length.
func (r Reading) hashed() Reading {
	short := Reading{}
	for instance, s := range r {
		hash := fnv.New32a()
		_, _ = hash.Write([]byte(instance))
		key := fmt.Sprintf("%08x", hash.Sum32())
		// Two instances of one hash are one whose counters are added up.
		if s.HasCanary {
			short[key] = short[key].with(Canary, s.Canary.sane())
		}
		if s.HasStable {
			short[key] = short[key].with(Stable, s.Stable.sane())
		}
	}
	return short
}

// inOrder are the instances of r: known ones first, which must not lose their place to others.
func inOrder(r Reading, known Kept) []string {
	return slices.SortedFunc(maps.Keys(r), func(a, b string) int {
		_, knowsA := known[a]
		_, knowsB := known[b]
		switch {
		case knowsA && !knowsB:
			return -1
		case knowsB && !knowsA:
			return 1
		default:
			return cmp.Compare(a, b)
		}
	})
}

// makeRoom reports whether there is room for one more instance, and makes it by forgetting one that is gone. As long as there is
// room, those that are gone stay: a target that could not be read for a while comes back with its counters.
func (k Kept) makeRoom(now Reading) bool {
	if len(k) < maxInstances {
		return true
	}
	for _, instance := range slices.Sorted(maps.Keys(k)) {
		if _, here := now[instance]; !here {
			delete(k, instance)
			return true
		}
	}
	return false
}

// after is l after a reading: a counter that is not there stays where it was.
func (l Last) after(s Sides) Last {
	if s.HasCanary {
		l.Canary = s.Canary
	}
	if s.HasStable {
		l.Stable = s.Stable
	}
	return l
}

// since is what was counted between last and now. The counter of all requests says whether they started over. That of bad ones may
// fall by itself: the slow ones are a difference of two buckets, which are not always read at the same moment.
func since(last, now Counts) Counts {
	last = last.sane() // a status may hold anything
	if now.Total < last.Total {
		return now
	}
	return Counts{Total: now.Total - last.Total, Bad: now.Bad - last.Bad}.sane()
}
