// SPDX-License-Identifier: Apache-2.0

package analysis

import (
	"encoding/json"
	"math"
	"testing"

	"pgregory.net/rapid"
)

// strange are the numbers that providers and statuses can hold, and that no count is.
var strange = []float64{0, -1, 1, 50, 1e-300, 1e12, 1e300, math.MaxFloat64, math.Inf(1), math.Inf(-1), math.NaN()}

func anyNumber() *rapid.Generator[float64] {
	return rapid.OneOf(rapid.SampledFrom(strange), rapid.Float64())
}

func anyCounts() *rapid.Generator[Counts] {
	return rapid.Custom(func(t *rapid.T) Counts {
		return Counts{Total: anyNumber().Draw(t, "total"), Bad: anyNumber().Draw(t, "bad")}
	})
}

func anyTest() *rapid.Generator[Test] {
	return rapid.Custom(func(t *rapid.T) Test {
		return Test{
			Margin: anyNumber().Draw(t, "margin"), Alpha: anyNumber().Draw(t, "alpha"), Beta: anyNumber().Draw(t, "beta"),
			MinRequests: anyNumber().Draw(t, "min"), Inflation: anyNumber().Draw(t, "inflation"),
		}
	})
}

// TestComparisonIsTotal draws counts, tests and states that make no sense: what comes of them is always a state with an answer, and
// one that goes on working.
func TestComparisonIsTotal(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := Comparison{}
		if rapid.Bool().Draw(t, "stored") {
			c = ComparisonOf(rapid.SliceOfN(anyNumber(), 15, 17).Draw(t, "numbers"))
		}
		test := anyTest().Draw(t, "test")
		for range rapid.IntRange(1, 8).Draw(t, "readings") {
			c = c.Add(test, anyCounts().Draw(t, "canary"), anyCounts().Draw(t, "stable"))
			if !c.plausible() {
				t.Fatalf("not a state: %+v", c)
			}
			switch c.Answer(test) {
			case KeepWatching, Worse, NoWorse:
			default:
				t.Fatalf("no answer: %q", c.Answer(test))
			}
		}
	})
}

// TestStrangeCountsDoNotPoison: after readings that make no sense, a canary that fails is found as it is without them.
func TestStrangeCountsDoNotPoison(t *testing.T) {
	for _, n := range strange {
		c := Comparison{}
		if !(n > 0) || math.IsInf(n, 1) {
			c = c.Add(Test{}, Counts{n, 1}, Counts{n, n})
			c = c.Add(Test{}, Counts{n, n}, Counts{100, n})
			c = c.Add(Test{}, Counts{100, math.NaN()}, Counts{n, n})
		}
		for range 10 {
			c = c.Add(Test{}, Counts{100, 30}, Counts{900, 5})
		}
		if got := c.Answer(Test{}); got != Worse {
			t.Errorf("after %g: %s", n, got)
		}
	}
}

// TestMoreBadThanRequests: all of them are bad then, and no more.
func TestMoreBadThanRequests(t *testing.T) {
	if c := (Comparison{}).Add(Test{}, Counts{10, 11}, Counts{10, 2}); c.CanaryBad != 10 {
		t.Errorf("%+v", c)
	}
}

// TestComparisonIsStored: a state survives JSON and a list of numbers, and goes on where it was.
func TestComparisonIsStored(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var c Comparison
		for range rapid.IntRange(0, 20).Draw(t, "readings") {
			c = c.Add(Test{}, anyCounts().Draw(t, "canary"), anyCounts().Draw(t, "stable"))
		}
		numbers := c.Numbers()
		if got := ComparisonOf(numbers[:]); got != c {
			t.Fatalf("by numbers: got %+v, want %+v", got, c)
		}
		text, err := json.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		var got Comparison
		if err := json.Unmarshal(text, &got); err != nil || got != c {
			t.Fatalf("by JSON: got %+v, want %+v, %v", got, c, err)
		}
	})
}

func TestNothingSeenIsStoredAsNothing(t *testing.T) {
	if text, err := json.Marshal(Comparison{}); err != nil || string(text) != "{}" {
		t.Errorf("%s, %v", text, err)
	}
}

func TestNumbersOfNoComparison(t *testing.T) {
	good := Comparison{}.Add(Test{}, Counts{100, 1}, Counts{100, 1}).Numbers()
	for name, spoil := range map[string]func(n []float64) []float64{
		"none":               func([]float64) []float64 { return nil },
		"one short":          func(n []float64) []float64 { return n[1:] },
		"one more":           func(n []float64) []float64 { return append(n, 0) },
		"log is NaN":         func(n []float64) []float64 { n[3] = math.NaN(); return n },
		"log is infinite":    func(n []float64) []float64 { n[0] = math.Inf(1); return n },
		"sum is negative":    func(n []float64) []float64 { n[8] = -1; return n },
		"more bad than all":  func(n []float64) []float64 { n[9] = 101; return n },
		"pending is NaN":     func(n []float64) []float64 { n[15] = math.NaN(); return n },
		"pending all is NaN": func(n []float64) []float64 { n[14] = math.NaN(); return n },
	} {
		numbers := good
		if got := ComparisonOf(spoil(numbers[:])); got != (Comparison{}) {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

// TestPendingIsJudgedTogether: readings in which one side has no request are one block with the next in which it has.
func TestPendingIsJudgedTogether(t *testing.T) {
	apart := Comparison{}.
		Add(Test{}, Counts{3, 1}, Counts{}).
		Add(Test{}, Counts{4, 0}, Counts{}).
		Add(Test{}, Counts{}, Counts{70, 2})
	together := Comparison{}.Add(Test{}, Counts{7, 1}, Counts{70, 2})
	if apart != together {
		t.Errorf("got %+v, want %+v", apart, together)
	}
	waiting := Comparison{}.Add(Test{}, Counts{60, 60}, Counts{})
	if canary, stable := waiting.Seen(); canary != (Counts{60, 60}) || stable != (Counts{}) {
		t.Errorf("seen %v, %v", canary, stable)
	}
	if got := waiting.TooFew(Test{}); got != (Few{Stable: true}) {
		t.Errorf("too few: %+v", got)
	}
}

func TestAnswer(t *testing.T) {
	for _, c := range []struct {
		name           string
		test           Test
		canary, stable Counts // of each reading
		readings       int
		want           Answer
		few            Few
	}{
		{"nothing", Test{}, Counts{}, Counts{}, 5, KeepWatching, Few{true, true}},
		{"all fail, too few of the canary", Test{}, Counts{49, 49}, Counts{1000, 5}, 1, KeepWatching, Few{Canary: true}},
		{"all fail, enough", Test{}, Counts{50, 50}, Counts{1000, 5}, 1, Worse, Few{}},
		{"all fail, too few of the stable", Test{}, Counts{1000, 1000}, Counts{49, 0}, 1, KeepWatching, Few{Stable: true}},
		{"fewer are asked for", Test{MinRequests: 5}, Counts{5, 5}, Counts{100, 0}, 1, Worse, Few{}},
		{"equal and many", Test{}, Counts{1000, 5}, Counts{9000, 45}, 5, NoWorse, Few{}},
		{"better", Test{}, Counts{1000, 0}, Counts{9000, 900}, 2, NoWorse, Few{}},
		{"both fail in half", Test{Margin: .05}, Counts{1000, 500}, Counts{9000, 4500}, 20, NoWorse, Few{}},
		{"both fail in all", Test{}, Counts{100, 100}, Counts{900, 900}, 100, NoWorse, Few{}},
		{"equal and few", Test{}, Counts{60, 0}, Counts{540, 3}, 1, KeepWatching, Few{}},
		{"a wider margin allows it", Test{Margin: .05}, Counts{1000, 20}, Counts{9000, 45}, 5, NoWorse, Few{}},
		{"the usual margin does not", Test{}, Counts{1000, 20}, Counts{9000, 45}, 5, Worse, Few{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var have Comparison
			for range c.readings {
				have = have.Add(c.test, c.canary, c.stable)
			}
			if got := have.Answer(c.test); got != c.want {
				t.Errorf("got %s, want %s: %+v", got, c.want, have)
			}
			if got := have.TooFew(c.test); got != c.few {
				t.Errorf("too few: got %+v, want %+v", got, c.few)
			}
		})
	}
}

// TestInflation: two requests that always share their fate are judged as one.
func TestInflation(t *testing.T) {
	once := Comparison{}.Add(Test{}, Counts{100, 10}, Counts{900, 5})
	twice := Comparison{}.Add(Test{Inflation: 2}, Counts{200, 20}, Counts{1800, 10})
	if once.Worse != twice.Worse || once.NoWorse != twice.NoWorse {
		t.Errorf("got %+v, want %+v", twice, once)
	}
	if canary, _ := twice.Seen(); canary.Total != 200 {
		t.Errorf("requests are shown as they were: %v", canary)
	}
}

// TestFactorMeansAtMostOne is what the promises rest on, computed and not drawn: over all outcomes of a small block, the mean of
// each factor is at most 1 wherever its hypothesis is true, whatever the past.
func TestFactorMeansAtMostOne(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := rapid.SampledFrom([]float64{.005, .02, .05, .3}).Draw(t, "margin")
		// A past of 10 is less than some of the blocks are: a part of the products is risked then.
		past := Counts{Total: rapid.SampledFrom([]float64{10, 1000}).Draw(t, "past")}
		past.Bad = past.Total * float64(rapid.IntRange(0, 10).Draw(t, "past bad in ten")) / 10
		start := Comparison{}.Seed(past)
		n, m := rapid.IntRange(1, 6).Draw(t, "canary"), rapid.IntRange(1, 12).Draw(t, "stable")
		q := rapid.Float64Range(0, 1-d).Draw(t, "stable share")
		// At the margin both hypotheses are true; on one side of it only one is.
		p := rapid.SampledFrom([]float64{0, q / 2, q, q + d, (1 + q + d) / 2, 1}).Draw(t, "canary share")
		var meanWorse [alternatives]float64
		var meanNoWorse float64
		for k := range n + 1 {
			for l := range m + 1 {
				c := start.Add(Test{Margin: d}, Counts{float64(n), float64(k)}, Counts{float64(m), float64(l)})
				weight := binomial(n, k, p) * binomial(m, l, q)
				for j := range meanWorse {
					meanWorse[j] += weight * math.Exp(c.Worse[j])
				}
				meanNoWorse += weight * math.Exp(c.NoWorse)
			}
		}
		const rounding = 1e-6
		for j, mean := range meanWorse {
			if p <= q+d && mean > 1+rounding {
				t.Fatalf("alternative %d: the mean is %v", j, mean)
			}
		}
		if p >= q+d && meanNoWorse > 1+rounding {
			t.Fatalf("no worse: the mean is %v", meanNoWorse)
		}
	})
}

// TestFirstBlockIsNoRuin: where the share of bad requests is far from what estimates begin at, the first block of a busy service costs
// each product nine tenths of itself, and no more.
func TestFirstBlockIsNoRuin(t *testing.T) {
	c := Comparison{}.Add(Test{Margin: .05}, Counts{5000, 1000}, Counts{45000, 9000})
	for i, l := range append(c.Worse[:], c.NoWorse) {
		if l < math.Log(.1)-1e-9 {
			t.Errorf("product %d fell to exp(%v)", i, l)
		}
	}
}

func binomial(n, k int, p float64) float64 {
	c := 1.0
	for i := range k {
		c = c * float64(n-i) / float64(i+1)
	}
	return c * math.Pow(p, float64(k)) * math.Pow(1-p, float64(n-k))
}

// TestSeed: what is known of the stable beforehand says where the alternatives are, and is judged by nothing.
func TestSeed(t *testing.T) {
	c := Comparison{}.Seed(Counts{200, 40})
	if c.Worse != (Comparison{}).Worse || c.NoWorse != 0 {
		t.Errorf("judged: %+v", c)
	}
	if _, stable := c.Sums(); stable != (Counts{200, 40}) {
		t.Errorf("not summed up: %+v", c)
	}
	if (Comparison{}).Seed(Counts{math.NaN(), 1}) != (Comparison{}) {
		t.Error("what is no count is a seed")
	}
}

func TestShare(t *testing.T) {
	for _, c := range []struct {
		counts Counts
		want   float64
	}{
		{Counts{}, 0}, {Counts{200, 1}, .005}, {Counts{1, 2}, 1}, {Counts{math.NaN(), 1}, 0}, {Counts{10, -1}, 0},
	} {
		if got := c.counts.Share(); got != c.want {
			t.Errorf("%v: got %v, want %v", c.counts, got, c.want)
		}
	}
}
