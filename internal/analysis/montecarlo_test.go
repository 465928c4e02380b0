// SPDX-License-Identifier: Apache-2.0

package analysis

import (
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sync/errgroup"
)

var monteCarlo = flag.String("montecarlo", "", "full: play the whole table of TestMonteCarlo, 2,000 runs a cell, and print it (some minutes)")

// Each run of a cell is half an hour of a release, read every ten seconds, in which the canary gets a tenth of the requests.
const (
	readings  = 180
	everySecs = 10
	perMinute = 6
	never     = math.MaxInt
)

// shares are the shares of bad requests of both sides in one reading.
type shares func(reading int) (canary, stable float64)

// scene is a row of the table: what is so of both versions.
type scene struct {
	name   string
	shares shares
	margin float64
	// tolerated is the error share above which a check with a fixed threshold fails; 0: the row is not about errors.
	tolerated float64
	// stablePerCanary is how many requests the stable gets for one of the canary's.
	stablePerCanary float64
	// seeded: the stable's first 200 requests are known before, which a histogram's boundary was chosen by.
	seeded bool
}

// run is one run: when each of the ways first raised its alarm, and when ours first said "no worse"; in seconds, or never.
type run struct{ worse, noWorse, limit3, fifth int }

func constant(canary, stable float64) shares {
	return func(int) (float64, float64) { return canary, stable }
}

// outage is a version that is as good as the other, and five minutes in which everything fails more often.
func outage(normal, bad float64) shares {
	return func(reading int) (float64, float64) {
		if reading >= 30 && reading < 60 {
			return bad, bad
		}
		return normal, normal
	}
}

// slower are the shares of requests slower than 0.1 s where the stable has 19 % of them, its latency is log-normal with a sigma of
// 0.7, and the canary takes times as long.
func slower(times float64) shares {
	const z, sigma = 0.8779, 0.7
	above := func(times float64) float64 { return math.Erfc((z-math.Log(times)/sigma)/math.Sqrt2) / 2 }
	return constant(above(times), above(1))
}

var (
	equalHalf     = scene{name: "equal, 0.5 % errors", shares: constant(.005, .005), margin: .005, tolerated: .01, stablePerCanary: 9}
	equalTwo      = scene{name: "equal, 2 % errors", shares: constant(.02, .02), margin: .005, tolerated: .01, stablePerCanary: 9}
	equalOutage   = scene{name: "equal, both 5 % for 5 min", shares: outage(.005, .05), margin: .005, tolerated: .01, stablePerCanary: 9}
	margin        = scene{name: "+0.5 %, the margin", shares: constant(.01, .005), margin: .005, tolerated: .01, stablePerCanary: 9}
	marginRare    = scene{name: "+0.5 % on 0.05 %, the margin", shares: constant(.0055, .0005), margin: .005, tolerated: .01, stablePerCanary: 9}
	marginOften   = scene{name: "+0.5 % on 5 %, the margin", shares: constant(.055, .05), margin: .005, tolerated: .01, stablePerCanary: 9}
	plusOne       = scene{name: "+1 %", shares: constant(.015, .005), margin: .005, tolerated: .01, stablePerCanary: 9}
	plusTwo       = scene{name: "+2 %", shares: constant(.025, .005), margin: .005, tolerated: .01, stablePerCanary: 9}
	plusTwoEven   = scene{name: "+2 %, as many to the stable", shares: constant(.025, .005), margin: .005, tolerated: .01, stablePerCanary: 1}
	plusTen       = scene{name: "+10 %", shares: constant(.105, .005), margin: .005, tolerated: .01, stablePerCanary: 9}
	latencyEqual  = scene{name: "latency equal", shares: slower(1), margin: .05, stablePerCanary: 9}
	latencyLittle = scene{name: "latency 1.3x", shares: slower(1.3), margin: .05, stablePerCanary: 9}
	latencyMuch   = scene{name: "latency 3x", shares: slower(3), margin: .05, stablePerCanary: 9}
)

func seeded(s scene) scene {
	s.name += ", seeded"
	s.seeded = true
	return s
}

// play is one run of s with that many requests a second for the canary.
func (s scene) play(r *rand.Rand, perSecond float64, wholly bool) run {
	test := Test{Margin: s.margin}
	var c Comparison
	if s.seeded {
		_, q := s.shares(0)
		bad := poisson(r, 200*q)
		c = c.Seed(Counts{Total: bad + poisson(r, 200*(1-q)), Bad: bad})
	}
	result := run{never, never, never, never}
	var minute Counts
	failed := 0
	for i := range readings {
		p, q := s.shares(i)
		canary, stable := arrivals(r, perSecond*everySecs, p), arrivals(r, perSecond*everySecs*s.stablePerCanary, q)
		now := (i + 1) * everySecs
		if result.worse == never || result.noWorse == never {
			c = c.Add(test, canary, stable)
			switch c.Answer(test) {
			case Worse:
				result.worse = min(result.worse, now)
			case NoWorse:
				result.noWorse = min(result.noWorse, now)
			case KeepWatching:
			}
		}
		if minute = minute.Add(canary); (i+1)%perMinute == 0 {
			failed, minute = failed+fixedCheck(minute, s.tolerated), Counts{}
			if failed == 4 {
				result.limit3 = min(result.limit3, now)
			}
			if failed == 5 {
				result.fifth = min(result.fifth, now)
			}
		}
		if !wholly && result.worse != never {
			break
		}
	}
	return result
}

// fixedCheck is 1 where a check of one minute's requests with a fixed threshold fails. A failure limit of 3 ends a release at the
// fourth such minute, the other tool's threshold at the fifth, counted over the whole release.
func fixedCheck(c Counts, tolerated float64) int {
	if tolerated > 0 && c.Total > 0 && c.Bad/c.Total > tolerated {
		return 1
	}
	return 0
}

// arrivals are the requests of one reading. Good and bad ones arrive independently of each other.
func arrivals(r *rand.Rand, mean, bad float64) Counts {
	b := poisson(r, mean*bad)
	return Counts{Total: b + poisson(r, mean*(1-bad)), Bad: b}
}

// poisson draws a Poisson number: by multiplying uniform ones while the mean is small, and from the nearest normal distribution
// where it is not, whose error is far below that of a thousand runs.
func poisson(r *rand.Rand, mean float64) float64 {
	if mean > 60 {
		return max(math.Round(mean+math.Sqrt(mean)*r.NormFloat64()), 0)
	}
	n, limit := 0.0, math.Exp(-mean)
	for u := r.Float64(); u > limit; u *= r.Float64() {
		n++
	}
	return n
}

// cell is what n runs of a scene came to.
type cell struct{ runs []run }

func (s scene) repeat(n int, perSecond float64, wholly bool) cell {
	c := cell{runs: make([]run, n)}
	var workers errgroup.Group
	workers.SetLimit(runtime.GOMAXPROCS(0))
	const chunk = 50
	for from := 0; from < n; from += chunk {
		workers.Go(func() error {
			for i := from; i < min(from+chunk, n); i++ {
				c.runs[i] = s.play(rand.New(rand.NewPCG(uint64(perSecond*10), uint64(i))), perSecond, wholly)
			}
			return nil
		})
	}
	_ = workers.Wait()
	return c
}

// of gives the share of runs in which something happened, and the median of when, in seconds.
func (c cell) of(when func(run) int) (share float64, median int) {
	var times []int
	for _, r := range c.runs {
		if t := when(r); t != never {
			times = append(times, t)
		}
	}
	if len(times) == 0 {
		return 0, 0
	}
	slices.Sort(times)
	return float64(len(times)) / float64(len(c.runs)), times[len(times)/2]
}

func worse(r run) int   { return r.worse }
func noWorse(r run) int { return r.noWorse }
func limit3(r run) int  { return r.limit3 }
func fifth(r run) int   { return r.fifth }

// upTo is the highest share that n runs may show where the true one is at most promised: three standard errors above it.
func upTo(promised float64, n int) float64 {
	return promised + 3*math.Sqrt(promised*(1-promised)/float64(n))
}

// TestMonteCarlo holds the judge to what is promised of it: how often it is wrong, and how soon it is right. Next to it are the two
// usual ways with a fixed threshold, of which the first rows show why there is a comparison at all.
func TestMonteCarlo(t *testing.T) {
	n := 1000
	for _, row := range []struct {
		scene     scene
		perSecond float64
		// alarms is how often Worse may be said at most; found, how often it has to be at least.
		alarms, found float64
		// median is after how many seconds a worse canary is found; within a fifth.
		median int
		// passed is how often NoWorse may be said at most; good, how often it has to be at least, and after how many seconds.
		passed float64
		good   float64
		soon   int
		// cry is how often a failure limit of 3, and a fifth failed check, end a good release at least.
		cry3, cry5 float64
	}{
		{scene: equalHalf, perSecond: 2, alarms: .005, passed: 1, good: .8, soon: 730, cry3: .45, cry5: .25},
		{scene: equalOutage, perSecond: 10, alarms: .005, passed: 1, cry3: .99, cry5: .9},
		{scene: margin, perSecond: 2, alarms: .01, passed: .05},
		{scene: marginOften, perSecond: 10, alarms: .01, passed: .05},
		{scene: plusTwo, perSecond: 2, alarms: 1, found: .98, median: 400, passed: .05},
		{scene: plusTwo, perSecond: 10, alarms: 1, found: 1, median: 90, passed: .05},
		{scene: plusTwo, perSecond: 50, alarms: 1, found: 1, median: 20, passed: .05},
		{scene: plusTen, perSecond: .5, alarms: 1, found: 1, median: 120, passed: .05},
		{scene: plusTen, perSecond: 2, alarms: 1, found: 1, median: 30, passed: .05},
		{scene: latencyEqual, perSecond: 10, alarms: .005, passed: 1},
		{scene: latencyMuch, perSecond: 2, alarms: 1, found: 1, median: 30, passed: .05},
	} {
		t.Run(fmt.Sprintf("%s at %g a second", row.scene.name, row.perSecond), func(t *testing.T) {
			c := row.scene.repeat(n, row.perSecond, row.found == 0)
			alarms, median := c.of(worse)
			if alarms > upTo(row.alarms, n) || alarms < row.found {
				t.Errorf("worse in %.1f %% of the runs, want %.1f to %.1f %%", 100*alarms, 100*row.found, 100*row.alarms)
			}
			if row.median > 0 && math.Abs(float64(median-row.median)) > .2*float64(row.median) {
				t.Errorf("worse after %d s, want %d", median, row.median)
			}
			passed, soon := c.of(noWorse)
			if passed > upTo(row.passed, n) || passed < row.good {
				t.Errorf("no worse in %.1f %% of the runs, want %.1f to %.1f %%", 100*passed, 100*row.good, 100*row.passed)
			}
			if row.soon > 0 && math.Abs(float64(soon-row.soon)) > .2*float64(row.soon) {
				t.Errorf("no worse after %d s, want %d", soon, row.soon)
			}
			if cry, _ := c.of(limit3); cry < row.cry3 {
				t.Errorf("a failure limit of 3 ends %.1f %% of good releases; the model of it is expected to end %.1f %%", 100*cry, 100*row.cry3)
			}
			if cry, _ := c.of(fifth); cry < row.cry5 {
				t.Errorf("the fifth failed check ends %.1f %% of good releases; the model of it is expected to end %.1f %%", 100*cry, 100*row.cry5)
			}
		})
	}
}

// TestMonteCarloTable prints the whole table, in Markdown: share of the runs and median seconds.
func TestMonteCarloTable(t *testing.T) {
	if *monteCarlo != "full" {
		t.Skip("a table to read; -montecarlo=full")
	}
	rates := []float64{.5, 2, 10, 50}
	var out strings.Builder
	fmt.Fprintf(&out, "| canary requests a second | | 0.5 | 2 | 10 | 50 |\n|---|---|---|---|---|---|\n")
	for _, s := range []scene{
		equalHalf, equalTwo, equalOutage, margin, marginRare, marginOften, plusOne, plusTwo, plusTwoEven, plusTen,
		latencyEqual, latencyLittle, latencyMuch, seeded(latencyEqual), seeded(latencyLittle), seeded(latencyMuch),
	} {
		n := 2000
		if strings.Contains(s.name, "margin") {
			n = 10000
		}
		var lines [4][]string
		for _, rate := range rates {
			c := s.repeat(n, rate, true)
			for i, when := range []func(run) int{worse, noWorse, limit3, fifth} {
				share, median := c.of(when)
				text := "0"
				if share > 0 {
					text = fmt.Sprintf("%.3g %%, %d s", 100*share, median)
				}
				lines[i] = append(lines[i], text)
			}
		}
		for i, name := range []string{"worse", "no worse", "failure limit 3", "fifth failed check"} {
			if i > 1 && s.tolerated == 0 {
				break
			}
			fmt.Fprintf(&out, "| %s | %s | %s |\n", s.name, name, strings.Join(lines[i], " | "))
		}
	}
	t.Log("\n" + out.String())
}
