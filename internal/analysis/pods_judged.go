// SPDX-License-Identifier: Apache-2.0

package analysis

import (
	"fmt"
	"time"
)

// troubleLasts is for how many seconds a container has to be in trouble before it speaks against its version.
const troubleLasts = minute

// oomMargin is by how much the share of new pods that ran out of memory may be above that of the old ones, and oomPods how many it
// takes.
const (
	oomMargin = 0.10
	oomPods   = 2
)

// finding is what one signal says. "" says nothing.
type finding struct {
	outcome Outcome
	message string
}

// PodSignals judges a version by its pods, without any provider: images that cannot be pulled, containers that cannot be made, crash
// loops, pods killed for memory, restarts and lost readiness, each next to the pods of the version before. It takes what was seen
// until now and gives what has to be kept until the next look, which should come every ten seconds or so.
//
// The outcome is Failed, with the pod, the container and the counts in the message; Inconclusive where old pods are as bad as new
// ones, which then speaks of the cluster rather than of the version; else Successful, which means that nothing speaks against it.
// Failures found by a comparison promise what Test says; the other ones are fixed rules. Pods that are Away never count.
func PodSignals(seen PodsSeen, pods []Pod, now time.Time) (PodsSeen, Outcome, string) {
	seen, counting := seen.look(pods, now.Unix())
	found := finding{outcome: Successful}
	for _, signal := range []func(PodsSeen, []looked) finding{
		inTrouble(ImageTrouble), inTrouble(ConfigTrouble), inTrouble(CrashTrouble), killed, flapping, restartingAgain, restarting, losingReadiness,
	} {
		f := signal(seen, counting)
		if f.outcome == Failed {
			return seen, Failed, shortened(f.message, maxMessage)
		}
		if f.outcome == Inconclusive && found.outcome == Successful {
			found = f
		}
	}
	return seen, found.outcome, shortened(found.message, maxMessage)
}

// tally is how many pods of a side something is true of.
type tally struct{ hit, of int }

func (t tally) share() float64 { return float64(t.hit) / float64(max(t.of, 1)) }

func (t tally) String() string { return fmt.Sprintf("%d of %d", t.hit, t.of) }

// count counts pods by side, and gives the first new one that it is true of.
func count(pods []looked, is func(looked) bool) (young, old tally, first looked) {
	for _, p := range pods {
		side := &old
		if p.New {
			side = &young
		}
		side.of++
		if !is(p) {
			continue
		}
		if side.hit++; p.New && side.hit == 1 {
			first = p
		}
	}
	return young, old, first
}

// against is Failed, or Inconclusive where the old pods are as bad.
func against(young, old tally, what string) finding {
	message := fmt.Sprintf("%s; %s new pods, %s old ones", what, young, old)
	if old.hit > 0 && old.share() >= young.share() {
		return finding{Inconclusive, message}
	}
	return finding{Failed, message}
}

// inTrouble is about one kind of trouble that lasts in a new pod. Old pods have as much of it as is seen of them at all.
func inTrouble(kind Kind) func(PodsSeen, []looked) finding {
	return func(_ PodsSeen, pods []looked) finding {
		lasting, _, first := count(pods, func(p looked) bool {
			return p.seen.Kind == kind && (p.seen.Last-p.seen.Since >= troubleLasts || p.Trouble.Final && p.Trouble.Kind == kind)
		})
		if lasting.hit == 0 {
			return finding{}
		}
		_, old, _ := count(pods, func(p looked) bool { return p.seen.Kind == kind })
		return against(lasting, old, first.inTrouble(kind))
	}
}

// inTrouble is what a message says of a pod's trouble.
func (l looked) inTrouble(kind Kind) string {
	text := "pod " + l.Name
	switch {
	case l.Trouble.Kind == kind:
		text += fmt.Sprintf(", container %s: %s", l.Trouble.Container, l.Trouble.Reason)
	case kind == CrashTrouble && l.Restarted.Container != "": // it runs for a moment
		text += fmt.Sprintf(", container %s: crashes", l.Restarted.Container)
	default:
		text += fmt.Sprintf(": %s trouble", kind)
	}
	if kind == CrashTrouble && l.Restarted.Container != "" {
		text += fmt.Sprintf(", exit code %d", l.Restarted.ExitCode)
	}
	return text
}

// killed is about pods that ran out of memory.
func killed(_ PodsSeen, pods []looked) finding {
	young, old, first := count(pods, func(p looked) bool { return p.seen.OOM != 0 })
	switch {
	case young.hit < oomPods:
		return finding{}
	case young.share() > old.share()+oomMargin:
		return finding{Failed, fmt.Sprintf("pod %s, container %s: %s; %s new pods, %s old ones in ten minutes",
			first.Name, first.OutOfMemory.Container, outOfMemory, young, old)}
	case old.hit > 0:
		return finding{Inconclusive, fmt.Sprintf("%s: %s new pods, %s old ones in ten minutes", outOfMemory, young, old)}
	default:
		return finding{}
	}
}

// flapping is about one new pod that stops being ready again and again.
func flapping(_ PodsSeen, pods []looked) finding {
	young, old, first := count(pods, func(p looked) bool { return len(p.seen.FlapTimes) >= maxFlaps })
	_, oldOnce, _ := count(pods, func(p looked) bool { return len(p.seen.FlapTimes) > 0 })
	text := fmt.Sprintf("pod %s stopped being ready %d times in five minutes", first.Name, len(first.seen.FlapTimes))
	switch {
	case young.hit == 0:
		return finding{}
	case oldOnce.hit == 0 || old.hit > 0 && old.share() >= young.share():
		return against(young, old, text)
	default:
		return finding{} // old pods flap, too, and less: the comparison decides
	}
}

// restartsAgain is how often a new pod has to fail and be restarted for it alone to decide.
const restartsAgain = 2

// restartingAgain is about a new pod that was restarted more than once, while no old one was at all: with one pod of a canary the
// comparison would take minutes.
func restartingAgain(_ PodsSeen, pods []looked) finding {
	young, _, first := count(pods, func(p looked) bool { return p.seen.Total >= restartsAgain })
	_, old, _ := count(pods, func(p looked) bool { return p.seen.Total > 0 })
	if young.hit == 0 || old.hit > 0 {
		return finding{}
	}
	e := first.Restarted
	return against(young, old, fmt.Sprintf("pod %s, container %s: restarted %d times, %s, exit code %d", first.Name, e.Container, first.seen.Total, e.Reason, e.ExitCode))
}

// restarting is about restarts, pod by pod and minute by minute.
func restarting(seen PodsSeen, pods []looked) finding {
	_, _, last := count(pods, func(p looked) bool { return p.Restarts > 0 && p.Restarted.Container != "" })
	what := "restarts"
	if e := last.Restarted; e.Container != "" {
		what = fmt.Sprintf("restarts, such as of pod %s, container %s: %s, exit code %d", last.Name, e.Container, e.Reason, e.ExitCode)
	}
	return compared(seen.Restarts, restartTest, what)
}

// losingReadiness is about pods that stop being ready, minute by minute.
func losingReadiness(seen PodsSeen, pods []looked) finding {
	what := "lost readiness"
	if _, _, first := count(pods, func(p looked) bool { return len(p.seen.FlapTimes) > 0 }); first.Name != "" {
		what += ", such as of pod " + first.Name
	}
	return compared(seen.Flaps, flapTest, what)
}

func compared(c Comparison, t Test, what string) finding {
	if c.Answer(t) != Worse {
		return finding{}
	}
	young, old := c.Seen()
	return finding{Failed, fmt.Sprintf("%s; in %g of %g minutes of new pods, %g of %g of old ones", what, young.Bad, young.Total, old.Bad, old.Total)}
}
