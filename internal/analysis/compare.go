// SPDX-License-Identifier: Apache-2.0

package analysis

import "math"

// Two hypotheses are tested at once:
//
//   - the canary's share of bad requests is at most the stable's plus the margin; when this is rejected, the canary is Worse;
//   - it is at least the stable's plus the margin; when this is rejected, the canary is NoWorse.
//
// Each is tested by an e-process: a product of factors whose mean is at most 1 while the hypothesis is true. Such a product ever
// reaches 1/a with a probability of at most a (Ville's inequality), however often one looks and whenever one stops, which is what
// a test that is looked at every ten seconds of a release needs. The factor of one block of requests is the likelihood of an
// alternative (p1, q1), made of the blocks before this one, over that of the null point (t+d, t) on the line between the two
// hypotheses which is nearest to it. Its mean is A(p)^n B(q)^N, with A and B linear in the true shares p and q, and both 1 at the
// null point; the logarithm of that is concave, and its slope at the null point is the slope of the divergence that t minimises
// along the line. So it is at most 0 wherever the hypothesis is true.
//
// Only the shares of each block have to satisfy the hypothesis, which may differ from those of the block before: an outage that
// hits both sides alike raises no alarm. What it assumes is that the requests of a block are independent, given the shares; see
// Test.Inflation.

// alternatives is how much worse than the stable a canary may be: 2, 4, ... 128 margins. Of each there is one product, and what is
// judged is their mean, so that small differences are found at all and large ones at once.
const alternatives = 7

// Where an alternative may be: away from 0 and 1, where one request would decide everything.
const (
	lowestShare   = 1e-4
	highestShare  = 0.99
	highestCanary = 0.98
	highestStable = 0.97 // and the margin below it
	edgeOfNull    = 1e-9
	bisections    = 30
)

// Half a bad request in fifty is where an estimate begins, so that the first block has one too.
const (
	priorBad   = 0.5
	priorTotal = 50
)

// hedged is how much of a product is risked on a block that is larger than all before it together. What the alternatives are made of
// is a guess then, which begins at one percent of bad requests; where it is far off, as for the share of slow requests, a block
// of thousands would cost more than the blocks of half an hour can make up for. The mean of "a tenth stays what it was, and the
// rest is multiplied" is at most 1 where that of the factor is, and no more than nine tenths are lost.
const hedged = 0.9

// maxLog keeps the logarithms finite: nothing is more certain than this.
const maxLog = 1e15

// Comparison is all that has to be remembered of a comparison of two sides, whatever its duration. The zero value is one that has
// seen nothing. Its 16 numbers are of constant size, and are what a status stores.
type Comparison struct {
	// Worse are the logarithms of the products against "within the margin", one for each alternative.
	Worse [alternatives]float64 `json:"w,omitzero"`
	// NoWorse is the logarithm of the product against "beyond the margin".
	NoWorse float64 `json:"n,omitempty"`
	// CanaryTotal and so on are the requests of blocks that were judged.
	CanaryTotal float64 `json:"ct,omitempty"`
	CanaryBad   float64 `json:"cb,omitempty"`
	StableTotal float64 `json:"st,omitempty"`
	StableBad   float64 `json:"sb,omitempty"`
	// PendingCanaryTotal and so on are requests that wait for the other side to have one.
	PendingCanaryTotal float64 `json:"pct,omitempty"`
	PendingCanaryBad   float64 `json:"pcb,omitempty"`
	PendingStableTotal float64 `json:"pst,omitempty"`
	PendingStableBad   float64 `json:"psb,omitempty"`
}

// Numbers are the numbers of c in a fixed order, for a status that stores them as a list.
func (c Comparison) Numbers() [16]float64 {
	var n [16]float64
	copy(n[:], c.Worse[:])
	copy(n[alternatives:], []float64{
		c.NoWorse, c.CanaryTotal, c.CanaryBad, c.StableTotal, c.StableBad,
		c.PendingCanaryTotal, c.PendingCanaryBad, c.PendingStableTotal, c.PendingStableBad,
	})
	return n
}

// ComparisonOf is the comparison with the given Numbers. Any other list, one that is too long or short or holds what no comparison
// comes to, is one that has seen nothing: what cannot be read is measured again, and decides nothing.
func ComparisonOf(n []float64) Comparison {
	var c Comparison
	if len(n) != len(c.Numbers()) {
		return c
	}
	copy(c.Worse[:], n)
	rest := n[alternatives:]
	c.NoWorse = rest[0]
	c.setSums(Counts{rest[1], rest[2]}, Counts{rest[3], rest[4]})
	c.setPending(Counts{rest[5], rest[6]}, Counts{rest[7], rest[8]})
	if !c.plausible() {
		return Comparison{}
	}
	return c
}

// plausible reports whether c is what a comparison can come to.
func (c Comparison) plausible() bool {
	for _, l := range append(c.Worse[:], c.NoWorse) {
		if !(math.Abs(l) <= maxLog) {
			return false
		}
	}
	canary, stable := c.Sums()
	pendingCanary, pendingStable := c.pending()
	for _, s := range []Counts{canary, stable, pendingCanary, pendingStable} {
		if !(s.Bad >= 0 && s.Bad <= s.Total && s.Total <= maxLog) {
			return false
		}
	}
	return true
}

// Sums are the requests of either side that were judged.
func (c Comparison) Sums() (canary, stable Counts) {
	return Counts{c.CanaryTotal, c.CanaryBad}, Counts{c.StableTotal, c.StableBad}
}

func (c *Comparison) setSums(canary, stable Counts) {
	c.CanaryTotal, c.CanaryBad, c.StableTotal, c.StableBad = canary.Total, canary.Bad, stable.Total, stable.Bad
}

func (c Comparison) pending() (canary, stable Counts) {
	return Counts{c.PendingCanaryTotal, c.PendingCanaryBad}, Counts{c.PendingStableTotal, c.PendingStableBad}
}

func (c *Comparison) setPending(canary, stable Counts) {
	c.PendingCanaryTotal, c.PendingCanaryBad = canary.Total, canary.Bad
	c.PendingStableTotal, c.PendingStableBad = stable.Total, stable.Bad
}

// Seed is c with requests of the stable that are known and not judged, such as those a histogram's boundary was chosen by. They
// only say where the alternatives are, so that the first block is judged by more than a guess.
func (c Comparison) Seed(stable Counts) Comparison {
	canary, sums := c.Sums()
	c.setSums(canary, capped(sums.Add(stable.sane())))
	return c
}

// Add is c with what was new in one reading. A side with no request waits for the next reading, and both are judged together then.
// Counts that are none (negative, NaN, infinite) are no request, and more bad requests than requests are all of them.
func (c Comparison) Add(t Test, canary, stable Counts) Comparison {
	if !c.plausible() {
		c = Comparison{}
	}
	t = t.orDefaults()
	pendingCanary, pendingStable := c.pending()
	canary, stable = capped(pendingCanary.Add(canary.sane())), capped(pendingStable.Add(stable.sane()))
	if canary.Total == 0 || stable.Total == 0 {
		c.setPending(canary, stable)
		return c
	}
	c.setPending(Counts{}, Counts{})
	c.judge(t, canary, stable)
	canarySum, stableSum := c.Sums()
	c.setSums(capped(canarySum.Add(canary)), capped(stableSum.Add(stable)))
	return c
}

// judge multiplies the products by their factors of one block. The alternatives come from the blocks before it only: that is what
// makes the mean of the factors at most 1.
func (c *Comparison) judge(t Test, canary, stable Counts) {
	d := t.Margin
	block := block{canary: divided(canary, t.Inflation), stable: divided(stable, t.Inflation), margin: d}
	pastCanary, pastStable := c.Sums()
	// Whether to hedge may depend on how many requests there are, as the alternatives may: never on how many of them are bad.
	risk := 1.0
	if canary.Total+stable.Total > pastCanary.Total+pastStable.Total {
		risk = hedged
	}
	q := min(estimate(pastStable), highestStable-d)
	for j := range c.Worse {
		p := min(q+d*math.Pow(2, float64(j+1)), highestCanary)
		c.Worse[j] = clamped(c.Worse[j]+risked(block.growth(p, q), risk), maxLog)
	}
	both := estimate(pastCanary.Add(pastStable))
	c.NoWorse = clamped(c.NoWorse+risked(block.growth(both, both), risk), maxLog)
}

// estimate is the share of bad requests that was seen so far.
func estimate(past Counts) float64 {
	return min(max((past.Bad+priorBad)/(past.Total+priorTotal), lowestShare), highestShare)
}

// block is what is judged at once.
type block struct {
	canary, stable Counts
	margin         float64
}

// growth is the logarithm of the factor of a block: how much likelier it is with the alternative (p, q) than with the null point
// that is nearest to it.
func (b block) growth(p, q float64) float64 {
	t := b.null(p, q)
	return likelier(b.canary, p, t+b.margin) + likelier(b.stable, q, t)
}

// risked is the logarithm of the factor with which a product grows that risks only a part of itself on one of growth.
func risked(growth, part float64) float64 {
	if part == 1 {
		return growth
	}
	if growth > 0 { // exp would overflow
		return growth + math.Log(part+(1-part)*math.Exp(-growth))
	}
	return math.Log(part*math.Exp(growth) + 1 - part)
}

// likelier is the logarithm of how much likelier counts are if the share of bad requests is p than if it is null.
func likelier(c Counts, p, null float64) float64 {
	return c.Bad*math.Log(p/null) + (c.Total-c.Bad)*math.Log((1-p)/(1-null))
}

// null is the stable's share t of the point (t+margin, t) which the alternative (p, q) diverges least from. The slope of the
// divergence falls along the line, and is 0 between the two places where one of its terms is.
func (b block) null(p, q float64) float64 {
	d := b.margin
	low, high := min(q, p-d), max(q, p-d)
	low, high = max(low, edgeOfNull), min(high, 1-d-edgeOfNull)
	for range bisections {
		t := (low + high) / 2
		if b.canary.Total*(p-t-d)/((t+d)*(1-t-d))+b.stable.Total*(q-t)/(t*(1-t)) > 0 {
			low = t
		} else {
			high = t
		}
	}
	return min(max((low+high)/2, edgeOfNull), 1-d-edgeOfNull)
}

func divided(c Counts, by float64) Counts { return Counts{Total: c.Total / by, Bad: c.Bad / by} }

// capped keeps sums where adding to them stays finite, and their share what it was.
func capped(c Counts) Counts {
	if c.Total <= maxLog {
		return c
	}
	return Counts{Total: maxLog, Bad: min(c.Bad/c.Total, 1) * maxLog}
}

func clamped(x, limit float64) float64 { return min(max(x, -limit), limit) }
