// SPDX-License-Identifier: Apache-2.0

package analysis

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"slices"
	"time"
)

// How long things are remembered, in seconds.
const (
	minute     = 60
	flapWindow = 5 * minute
	oomWindow  = 10 * minute
	// troublePause is how long a container may seem well between two crashes or pulls: a crash loop is running now and then.
	troublePause = minute
)

// maxFlaps is how many flaps of a pod decide.
const maxFlaps = 3

// PodsSeen is what has to be remembered of pods between two looks: about 60 bytes a pod, of at most 50 pods of each side. Times are
// seconds since 1970. The zero value has seen nothing; what pods did before the first look does not count.
type PodsSeen struct {
	Started int64 `json:"a,omitempty"`
	At      int64 `json:"t,omitempty"`
	// Minute is when the minutes began that are not judged yet.
	Minute int64              `json:"m,omitempty"`
	Pods   map[string]PodSeen `json:"p,omitempty"` // by a hash of the UID
	// Restarts and Flaps compare minutes of pods: a bad one is a minute in which a pod restarted, or stopped being ready.
	Restarts Comparison `json:"r,omitzero"`
	Flaps    Comparison `json:"f,omitzero"`
}

// PodSeen is what is remembered of one pod.
type PodSeen struct {
	New      bool  `json:"n,omitempty"`
	Ready    bool  `json:"y,omitempty"`
	Restarts int32 `json:"r,omitempty"`
	// Gained and Flapped are restarts and flaps of the minutes that are not judged yet.
	Gained  int32 `json:"g,omitempty"`
	Flapped int32 `json:"d,omitempty"`
	// Total are all restarts since the first look.
	Total int32 `json:"w,omitempty"`
	// FlapTimes are when it stopped being ready, of the last five minutes, three at most.
	FlapTimes []int64 `json:"l,omitempty"`
	// OOM is when it was last killed for memory.
	OOM int64 `json:"o,omitempty"`
	// Kind is the trouble it has, Since when, and when it was last seen.
	Kind  Kind  `json:"k,omitempty"`
	Since int64 `json:"s,omitempty"`
	Last  int64 `json:"e,omitempty"`
}

// looked is a pod that counts, with what is remembered of it.
type looked struct {
	Pod
	seen PodSeen
}

// tooFarAhead is by how many seconds a status may be ahead of the clock; what is further is not the time of a look.
const tooFarAhead = 60 * minute

// look takes in pods, and gives those that count. A clock that was turned back stands still until it is where it was.
func (s PodsSeen) look(pods []Pod, now int64) (PodsSeen, []looked) {
	now = max(now, 1)
	first := s.Started <= 0 || s.At > now+tooFarAhead
	if first {
		s = PodsSeen{Started: now, Minute: now}
	}
	now = max(now, s.At)
	before := s.Pods
	s.Pods = map[string]PodSeen{}
	var counting []looked
	for _, p := range chosen(pods, before) {
		key := podKey(p)
		last, known := before[key]
		look := s.At
		if !known {
			look = now
			last = PodSeen{New: p.New, Ready: p.Ready, Restarts: p.Restarts}
			if !first && !p.Created.Before(time.Unix(s.Started, 0)) {
				last = PodSeen{New: p.New} // all that it ever did is of this run
			}
		}
		next := last.next(p, look, now, s.Started)
		s.Pods[key] = next
		if !p.Away {
			counting = append(counting, looked{p, next})
		}
	}
	s.At = now
	s.judge(counting)
	return s, counting
}

// chosen are at most 50 pods of each side: those that are known, then by name, so that it is the same ones every time.
func chosen(pods []Pod, known map[string]PodSeen) []Pod {
	place := func(p Pod) int {
		if _, ok := known[podKey(p)]; ok {
			return 0
		}
		return 1
	}
	sorted := slices.SortedFunc(slices.Values(pods), func(a, b Pod) int {
		return cmp.Or(place(a)-place(b), cmp.Compare(a.Name, b.Name), cmp.Compare(a.UID, b.UID))
	})
	var taken []Pod
	var n [2]int
	for _, p := range sorted {
		side := 0
		if p.New {
			side = 1
		}
		if n[side]++; n[side] <= maxPods {
			taken = append(taken, p)
		}
	}
	return taken
}

func podKey(p Pod) string {
	hash := fnv.New32a()
	_, _ = hash.Write([]byte(p.UID))
	return fmt.Sprintf("%08x", hash.Sum32())
}

// next is what is remembered of a pod after a look at now, with the look before it at last.
func (s PodSeen) next(p Pod, last, now, started int64) PodSeen {
	if p.Away {
		// Followed, and not counted: it may be back, with its node.
		return PodSeen{New: p.New, Ready: p.Ready, Restarts: p.Restarts}
	}
	if gained := p.Restarts - s.Restarts; gained > 0 && p.Restarted.Container != "" {
		s.Gained += gained
		s.Total += gained
	}
	s.Restarts = p.Restarts
	s.FlapTimes = slices.DeleteFunc(slices.Clone(s.FlapTimes), func(t int64) bool { return t <= now-flapWindow })
	// One that is ready again may have flapped between two looks.
	if s.Ready && (!p.Ready || p.ReadySince.Unix() > last) {
		s.Flapped++
		s.FlapTimes = append(s.FlapTimes, now)
		s.FlapTimes = s.FlapTimes[max(len(s.FlapTimes)-maxFlaps, 0):]
	}
	s.Ready = p.Ready
	if killed := p.OutOfMemory.At.Unix(); p.OutOfMemory.Container != "" && killed >= started {
		s.OOM = killed
	}
	if s.OOM <= now-oomWindow {
		s.OOM = 0
	}
	return s.inTrouble(p.Trouble.Kind, now)
}

func (s PodSeen) inTrouble(kind Kind, now int64) PodSeen {
	switch {
	case kind != "" && kind != s.Kind:
		s.Kind, s.Since, s.Last = kind, now, now
	case kind != "":
		s.Last = now
	case s.Kind != "" && now-s.Last >= troublePause:
		s.Kind, s.Since, s.Last = "", 0, 0
	}
	return s
}

// What is asked of minutes of pods: fewer of them do, as each is that of a whole pod.
var (
	restartTest = Test{Margin: 0.02, MinRequests: 5}
	flapTest    = Test{Margin: 0.05, MinRequests: 5}
)

// judge adds the minutes that are over to the comparisons.
func (s *PodsSeen) judge(counting []looked) {
	minutes := (s.At - s.Minute) / minute
	if minutes <= 0 {
		return
	}
	s.Minute += minutes * minute
	var restarts, flaps [2]Counts
	for i, p := range counting {
		side := 0
		if p.New {
			side = 1
		}
		restarts[side] = restarts[side].Add(Counts{float64(minutes), float64(min(int64(p.seen.Gained), minutes))})
		flaps[side] = flaps[side].Add(Counts{float64(minutes), float64(min(int64(p.seen.Flapped), minutes))})
		seen := p.seen
		seen.Gained, seen.Flapped = 0, 0
		counting[i].seen, s.Pods[podKey(p.Pod)] = seen, seen
	}
	s.Restarts = s.Restarts.Add(restartTest, restarts[1], restarts[0])
	s.Flaps = s.Flaps.Add(flapTest, flaps[1], flaps[0])
}
