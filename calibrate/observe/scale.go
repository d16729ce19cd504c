package observe

import (
	"math"

	"narrow/internal/kernel"
	"narrow/scheme"
)

// unit is what one batch gave for one channel: scale and zero point before any
// statistic. A scale of zero means that all was zero.
type unit struct {
	scale float64
	zero  int64
}

const (
	// zeroScale is the scale of a tensor that is zero throughout, that of the
	// reference.
	zeroScale = 0x1p-18
	// minScale is the smallest normal float32: its reciprocal is finite.
	minScale = 0x1p-126
	// zeroFix is the fix position of a tensor that is zero throughout.
	zeroFix = 18
	// diffsScope is how many fix positions diffs compares.
	diffsScope = 5
	// minFix keeps a scale in float32.
	minFix = -126
)

// usable returns the float32 scale that a tensor is quantized with.
func usable(scale float64) float32 {
	switch {
	case scale <= 0:
		return zeroScale
	case scale < minScale:
		return minScale
	}
	return kernel.Scale32(scale)
}

// representable returns u's scale, or the largest smaller one with which every
// integer from lo to hi stands for a finite float32. Values near the largest
// float32, such as masks, would become infinite otherwise.
func representable(u unit, lo, hi int64, t scheme.ScaleType) float64 {
	most := float32(max(u.zero-lo, lo-u.zero, hi-u.zero, u.zero-hi))
	finite := func(scale float64) bool { return !math.IsInf(float64(usable(scale)*most), 0) }
	switch {
	case finite(u.scale):
		return u.scale
	case t == scheme.PowerOfTwo:
		scale := u.scale
		for !finite(scale) {
			scale /= 2
		}
		return scale
	}
	scale := math.MaxFloat32 / float32(most)
	for !finite(float64(scale)) {
		scale = math.Nextafter32(scale, 0)
	}
	return float64(scale)
}

// symmetricScale is the scale that maps limit to the largest integer.
func symmetricScale(limit float32, hi int64) unit {
	return unit{scale: float64(limit) / float64(hi)}
}

// asymmetricScale is scale and zero point that map lo..hi, made to contain 0,
// to the integers 0..steps.
func asymmetricScale(lo, hi float64, steps int64) unit {
	lo, hi = min(lo, 0), max(hi, 0)
	u := unit{scale: (hi - lo) / float64(steps)}
	z := math.RoundToEven(-lo / float64(usable(u.scale)))
	u.zero = int64(min(max(z, 0), float64(steps)))
	return u
}

// maxFix is the largest fix position of a bit width.
func maxFix(bits int) int {
	if bits <= 8 {
		return 12
	}
	return 15
}

// rangeFix returns the largest fix position that clips nothing of e at that bit
// width, before any cap, in the float32 arithmetic of the reference (whose
// logarithm may round up to an integer just below one).
func rangeFix(e kernel.Extent, bits int) int {
	half := math.Ldexp(1, bits-1)
	lo, hi := float32(-half-0.5), float32(half-0.5)
	step := max(e.Min/lo, e.Max/hi)
	if step <= 0 {
		return zeroFix
	}
	p := math.Floor(float64(float32(math.Log2(float64(1 / step)))))
	// A denormal step has an infinite reciprocal.
	return int(min(max(p, minFix), -minFix))
}

// maxminFix returns the fix position of the method maxmin.
func maxminFix(e kernel.Extent, bits int) int { return min(rangeFix(e, bits), maxFix(bits)) }

// diffsFix returns the fix position of the method diffs: of the five from
// maxmin's up, the one with the smallest sum of squared differences, the
// smallest on a tie. Like the reference it estimates with all of the integers,
// whether or not the range is to be narrow.
func diffsFix(pool *kernel.Pool, x []float32, e kernel.Extent, bits int) int {
	p, limit := rangeFix(e, bits), maxFix(bits)
	if p >= limit { // nothing left to choose
		return limit
	}
	half := int64(1) << (bits - 1)
	best := 0
	sums := pool.SquaredDiffs(x, p, diffsScope, -half, half-1)
	for i, d := range sums {
		if d < sums[best] {
			best = i
		}
	}
	return min(p+best, limit)
}

// fixUnit is the unit of a fix position.
func fixUnit(p int) unit { return unit{scale: math.Ldexp(1, -p)} }
