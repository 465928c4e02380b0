// SPDX-License-Identifier: Apache-2.0

package workload

import (
	"fmt"
	"testing"
)

// world is a Deployment in a batch, as far as the gate decides about it: what there is, what the native controller may
// do, and what the gate was last seen to see. Counts are pods asked for; every old pod is ready.
type world struct {
	New, Ready, Old    int32 // new pods, of them ready, old pods
	Surge, Unavailable int32 // what the Deployment says at the moment
	SeenReady, SeenOld int32 // what the gate sees: never more progress than there is
}

// batch is one batch of a release within the user's limits.
type batch struct{ Replicas, Surge, Unavailable, Want int32 }

// look lets the gate decide from what it sees.
func (b batch) look(w world) world {
	w.Surge, w.Unavailable = gate{
		Replicas: b.Replicas, Surge: b.Surge, Unavailable: b.Unavailable, Want: b.Want, NewReady: w.SeenReady, Old: w.SeenOld,
		Given: w.Unavailable,
	}.open()
	return w
}

// next lists every way in which one thing happens: the native controller adds or removes one pod as its rules allow
// while no new pod counts as available, a pod becomes ready, the gate's view catches up in part, the gate decides.
func (b batch) next(w world) []world {
	var all []world
	if w.New+w.Old < b.Replicas+w.Surge && w.New < b.Replicas {
		up := w
		up.New++
		all = append(all, up)
	}
	if w.Old > b.Replicas-w.Unavailable {
		down := w
		down.Old--
		all = append(all, down)
	}
	if w.Ready < w.New {
		ready := w
		ready.Ready++
		all = append(all, ready)
	}
	if w.SeenReady < w.Ready {
		seen := w
		seen.SeenReady++
		all = append(all, seen)
	}
	if w.SeenOld > w.Old {
		seen := w
		seen.SeenOld--
		all = append(all, seen)
	}
	return append(all, b.look(w))
}

// settled runs the world to its end when every pod gets ready and everything is seen.
func (b batch) settled(w world) world {
	for {
		was := w
		w.Ready, w.SeenReady, w.SeenOld = w.New, w.New, w.Old
		w = b.look(w)
		w.New = min(max(w.New, b.Replicas+w.Surge-w.Old), b.Replicas)
		w.Old = min(w.Old, max(0, b.Replicas-w.Unavailable))
		if w == was {
			return w
		}
	}
}

// broken says which promise a world breaks.
func (b batch) broken(start, w world) string {
	floor := min(start.Ready+start.Old, b.Replicas-b.Unavailable)
	switch {
	case w.New > b.Want:
		return "more new pods than asked for"
	case w.New+w.Old > b.Replicas+b.Surge:
		return "more pods than maxSurge allows"
	case w.Ready+w.Old < floor:
		return "fewer ready pods than maxUnavailable allows"
	case w.Surge < 0 || w.Unavailable < 0 || w.Unavailable > b.Replicas:
		return "a limit out of range"
	}
	if end := b.settled(w); end.New != b.Want || end.Old != b.Replicas-b.Want {
		return fmt.Sprintf("never gets there: ends as %+v", end)
	}
	return ""
}

// explore visits every world that can follow from start, and returns the way to the first broken one.
func (b batch) explore(start world) (visited int, way []world, broken string) {
	from := map[world]world{start: start}
	queue := []world{start}
	for len(queue) > 0 {
		w := queue[0]
		queue = queue[1:]
		if why := b.broken(start, w); why != "" {
			way := []world{w}
			for w != start {
				w = from[w]
				way = append([]world{w}, way...)
			}
			return len(from), way, why
		}
		for _, n := range b.next(w) {
			if _, known := from[n]; !known {
				from[n] = w
				queue = append(queue, n)
			}
		}
	}
	return len(from), nil, ""
}

// TestGateEveryInterleaving checks every batch of up to six pods, in every order in which things can happen.
func TestGateEveryInterleaving(t *testing.T) {
	t.Parallel()
	worlds, batches := 0, 0
	for replicas := int32(1); replicas <= 6; replicas++ {
		for surge := int32(0); surge <= replicas; surge++ {
			for unavailable := int32(0); unavailable <= replicas; unavailable++ {
				if surge == 0 && unavailable == 0 {
					continue // refused by the API server, and resolved to one unavailable pod by the native controller
				}
				for want := int32(1); want <= replicas; want++ {
					for created := int32(0); created <= want; created++ {
						for ready := int32(0); ready <= created; ready++ {
							b := batch{Replicas: replicas, Surge: surge, Unavailable: unavailable, Want: want}
							old := replicas - created
							start := b.look(world{New: created, Ready: ready, Old: old, SeenReady: ready, SeenOld: old})
							n, way, broken := b.explore(start)
							worlds += n
							batches++
							if broken != "" {
								t.Fatalf("%+v: %s:\n%s", b, broken, lines(way))
							}
						}
					}
				}
			}
		}
	}
	if batches < 1000 {
		t.Errorf("only %d batches in %d worlds were looked at", batches, worlds)
	}
	t.Logf("%d batches, %d worlds", batches, worlds)
}

// TestGateScaledInFlight checks that a batch whose size or Deployment grows or shrinks on the way still ends as asked
// for, from wherever it was.
func TestGateScaledInFlight(t *testing.T) {
	t.Parallel()
	for before := int32(1); before <= 5; before++ {
		for replicas := int32(1); replicas <= 5; replicas++ {
			for created := int32(0); created <= min(before, replicas); created++ {
				for want := created; want <= replicas; want++ {
					for surge := int32(0); surge <= 2; surge++ {
						b := batch{Replicas: replicas, Surge: surge, Unavailable: 1, Want: want}
						// Whatever was there is spread over the sets by the native controller, which keeps the sum.
						w := b.look(world{New: created, Ready: created, Old: replicas - created, SeenReady: created, SeenOld: replicas - created})
						if _, way, broken := b.explore(w); broken != "" {
							t.Fatalf("%+v: %s:\n%s", b, broken, lines(way))
						}
					}
				}
			}
		}
	}
}

// TestGateFailingPods checks that ready pods that fail again never let a batch grow beyond its size, even where the
// gate sees the failure before it sees which old pods are gone.
func TestGateFailingPods(t *testing.T) {
	t.Parallel()
	type failing struct {
		world
		left int // failures still to come
	}
	for replicas := int32(1); replicas <= 5; replicas++ {
		for surge := int32(0); surge <= 2; surge++ {
			for unavailable := int32(0); unavailable <= 2; unavailable++ {
				if surge == 0 && unavailable == 0 {
					continue
				}
				for want := int32(1); want <= replicas; want++ {
					b := batch{Replicas: replicas, Surge: surge, Unavailable: unavailable, Want: want}
					start := failing{b.look(world{Old: replicas, SeenOld: replicas}), 2}
					known := map[failing]bool{start: true}
					for queue := []failing{start}; len(queue) > 0; {
						w := queue[0]
						queue = queue[1:]
						if w.New > want || w.New+w.Old > replicas+surge {
							t.Fatalf("%+v: %+v", b, w)
						}
						all := []failing{}
						for _, n := range b.next(w.world) {
							all = append(all, failing{n, w.left})
						}
						if w.left > 0 && w.Ready > 0 {
							f := w
							f.left--
							f.Ready--
							f.SeenReady = min(f.SeenReady, f.Ready)
							all = append(all, f)
						}
						for _, n := range all {
							if !known[n] {
								known[n] = true
								queue = append(queue, n)
							}
						}
					}
				}
			}
		}
	}
}

func lines(way []world) string {
	text := ""
	for _, w := range way {
		text += fmt.Sprintf("  %+v\n", w)
	}
	return text
}
