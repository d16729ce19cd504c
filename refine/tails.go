package refine

import (
	"math"

	"narrow/calibrate/observe"
	"narrow/scheme"
)

// costs tell what an encoding costs a tensor: the sum of the squared differences that it
// makes to the values of a tally.
type costs struct {
	values *observe.Sums
	// tails are those below and above, and clipping is what a square of the error of a
	// clipped value counts: errors of clipping fall together on few samples, which are
	// then far off, and samples that were not seen have more of them.
	tails    [2]tail
	clipping float64
}

// A tail tells what values to expect of more samples on one side of zero: beyond start,
// which few samples exceed, what a bound clips costs a part of e less for every scale that the
// bound lies farther out, as with values of an exponential tail (peaks over a threshold:
// Pickands 1975, Statistical Inference Using Extreme Order Statistics).
type tail struct{ start, scale, cost float64 }

// tailSamples is how many samples exceed the start of a tail, at most, and tailShare
// which part of all.
const (
	tailSamples = 8
	tailShare   = 8
)

// tailOf fits a tail to the peaks of samples, and takes what it costs at its start from t.
func tailOf(peaks, t *observe.Tally, side float64) (out tail) {
	type bin struct{ v, n float64 }
	var bins []bin
	all := 0.0
	peaks.Each(func(v float64, n uint64) {
		if v*side > 0 {
			bins = append(bins, bin{v * side, float64(n)})
			all += float64(n)
		}
	})
	sum, seen := 0.0, 0.0
	for i := range bins {
		b := bins[i]
		if side > 0 {
			b = bins[len(bins)-1-i] // they ascend
		}
		if seen >= min(tailSamples, all/tailShare) {
			out.start, out.scale = b.v, sum/seen-b.v
			break
		}
		sum += b.v * b.n
		seen += b.n
	}
	if out.start == 0 {
		return tail{}
	}
	t.Each(func(v float64, w uint64) {
		if d := v*side - out.start; d > 0 {
			out.cost += float64(w) * float64(d*d)
		}
	})
	return out
}

// clipped is what a bound costs, which for the values at hand is seen.
func (t tail) clipped(bound, seen float64) float64 {
	if bound <= t.start || t.scale <= 0 {
		return seen
	}
	return max(seen, t.cost*math.Exp((t.start-bound)/t.scale))
}

// of is what e costs.
func (c *costs) of(e scheme.Encoding) float64 {
	scale, zero := float64(e.Scale[0]), e.ZeroPoint[0]
	var n, x, xx float64
	// errors are those of the values up to the next bound, where all become v.
	errors := func(v float64, count, sum, squares float64) float64 {
		e := squares - xx - float64(2*v*(sum-x)) + float64(float64(v*v)*(count-n))
		n, x, xx = count, sum, squares
		return max(e, 0)
	}
	below := func(v float64) (count, sum, squares float64) { return c.values.Below(v) }
	lo, hi := float64(e.Min-zero)*scale, float64(e.Max-zero)*scale
	count, sum, squares := below(lo - scale/2)
	under := errors(lo, count, sum, squares)
	within := 0.0
	for q := e.Min; q <= e.Max; q++ {
		v := float64(q-zero) * scale
		count, sum, squares = below(v + scale/2)
		within += errors(v, count, sum, squares)
	}
	count, sum, squares = c.values.All()
	over := errors(hi, count, sum, squares)
	return within + float64(c.clipping*(c.tails[0].clipped(-lo, under)+c.tails[1].clipped(hi, over)))
}
