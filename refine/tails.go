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
	t.Beyond(out.start, side < 0, func(v float64, w uint64) {
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
func (c *costs) of(e scheme.Encoding) float64 { return c.below(e, math.Inf(1)) }

// below is what e costs where that is less than a limit, else something that is no less.
func (c *costs) below(e scheme.Encoding, limit float64) float64 {
	scale, zero := float64(e.Scale[0]), e.ZeroPoint[0]
	// errors are those of the values between two bounds, where all become v.
	errors := func(v float64, from, to observe.Sum) float64 {
		e := to.Squares - from.Squares - float64(2*v*(to.Sum-from.Sum)) + float64(float64(v*v)*(to.Count-from.Count))
		return max(e, 0)
	}
	lo, hi := float64(e.Min-zero)*scale, float64(e.Max-zero)*scale
	from := c.values.Below(lo - scale/2)
	under, over := errors(lo, observe.Sum{}, from), errors(hi, c.values.Below(hi+scale/2), c.values.All())
	clipped := float64(c.clipping * (c.tails[0].clipped(-lo, under) + c.tails[1].clipped(hi, over)))
	// Beyond what values reach nothing is added, nor where all is clipped that lies there.
	least, most := c.values.Reach()
	first, last := e.Min, e.Max
	if q := math.Floor(least/scale) - 1 + float64(zero); q > float64(first) {
		first = int64(min(q, float64(last)))
	}
	if q := math.Ceil(most/scale) + 1 + float64(zero); q < float64(last) {
		last = int64(max(q, float64(first)))
	}
	within := 0.0
	for q := first; q <= last && within+clipped < limit; q++ {
		v := float64(q-zero) * scale
		to := c.values.Below(v + scale/2)
		within += errors(v, from, to)
		from = to
	}
	return within + clipped
}
