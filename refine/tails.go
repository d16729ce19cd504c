package refine

import (
	"math"

	"narrow/calibrate/observe"
	"narrow/scheme"
)

// costs tell what an encoding costs a tensor: the sum of the squared differences that it
// makes to the values of a tally.
type costs struct {
	values []bin
	// tails are those below and above, and clipping is what a square of the error of a
	// clipped value counts: errors of clipping fall together on few samples, which are
	// then far off, and samples that were not seen have more of them.
	tails    [2]tail
	clipping float64
}

// bin is a value and how much it counts.
type bin struct{ v, w float64 }

// binsOf returns those of a tally, ascending.
func binsOf(t *observe.Tally) []bin {
	var bins []bin
	t.Each(func(v float64, w uint64) { bins = append(bins, bin{v, float64(w)}) })
	return bins
}

// clipping is [costs.clipping] where values of more samples are expected.
const clipping = 2

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

// costs returns those over t, with values of more samples or without.
func (s *search) costs(t *observe.Tally, more bool) costs {
	c := costs{values: binsOf(t), clipping: 1}
	if more {
		c.clipping = clipping
		for i, side := range [...]float64{-1, 1} {
			c.tails[i] = tailOf(binsOf(&s.peaks), c.values, side)
		}
	}
	return c
}

// tailOf fits a tail to the peaks of samples, and takes what it costs at its start from
// the values.
func tailOf(peaks, values []bin, side float64) (out tail) {
	var bins []bin
	all := 0.0
	for _, b := range peaks {
		if b.v*side > 0 {
			bins = append(bins, bin{b.v * side, b.w})
			all += b.w
		}
	}
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
		sum += b.v * b.w
		seen += b.w
	}
	if out.start == 0 {
		return tail{}
	}
	for _, b := range values {
		if d := b.v*side - out.start; d > 0 {
			out.cost += b.w * float64(d*d)
		}
	}
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
	scale, zero, lo, hi := float64(e.Scale[0]), float64(e.ZeroPoint[0]), float64(e.Min), float64(e.Max)
	var sum, below, above float64
	for _, b := range c.values {
		// The round mode does not matter: a bin is no tie.
		switch r := math.RoundToEven(b.v/scale) + zero; {
		case r < lo:
			d := b.v - float64((lo-zero)*scale)
			below += float64(b.w * float64(d*d))
		case r > hi:
			d := b.v - float64((hi-zero)*scale)
			above += float64(b.w * float64(d*d))
		default:
			d := b.v - float64((r-zero)*scale)
			sum += float64(b.w * float64(d*d))
		}
	}
	below, above = c.tails[0].clipped((zero-lo)*scale, below), c.tails[1].clipped((hi-zero)*scale, above)
	return sum + float64(c.clipping*(below+above))
}
