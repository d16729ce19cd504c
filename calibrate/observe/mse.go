package observe

import (
	"math"

	"narrow/internal/kernel"
	"narrow/scheme"
)

// center returns the centre of bin i.
func center(limit float32, i int) float32 { return (edge(limit, i+1) + edge(limit, i)) / 2 }

// mseCenter returns the bin centre that, as clipping range, gives the smallest mean squared
// error between the bins' centres and their quantized selves, weighted by
// count; the smallest on a tie. hi is the largest integer.
func mseCenter(h *kernel.Histogram, limit float32, hi int64, mode scheme.RoundMode) float32 {
	const n = kernel.HistogramBins
	var centers [n]float32
	for i := range centers {
		centers[i] = center(limit, i)
	}
	best, bestAt := math.Inf(1), searchStart
	for i := searchStart; i < n; i += searchStride {
		if e := mseBrute(h, &centers, centers[i], hi, mode); e < best {
			best, bestAt = e, i
		}
	}
	return centers[bestAt]
}

// mseBrute is the definition: the sum of count*(centre-quantized)^2 for the clipping
// range amax. Rounding is in float32 as in the reference, the sum in float64.
func mseBrute(h *kernel.Histogram, centers *[kernel.HistogramBins]float32, amax float32, hi int64, mode scheme.RoundMode) float64 {
	amp := float32(hi) / amax
	sum := 0.0
	for j, c := range h {
		if c == 0 {
			continue
		}
		q := min(roundPositive(float32(centers[j]*amp), mode), float32(hi))
		d := float64(centers[j]) - float64(q/amp)
		sum += float64(float64(c) * float64(d*d))
	}
	return sum
}

// roundPositive rounds a number that is not negative.
func roundPositive(v float32, mode scheme.RoundMode) float32 {
	x := float64(v)
	switch mode {
	case scheme.HalfDown:
		return float32(math.Ceil(x - 0.5))
	case scheme.HalfUp, scheme.StdRound:
		return float32(math.Floor(x + 0.5))
	}
	return float32(math.RoundToEven(x))
}
