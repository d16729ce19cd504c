package observe

import (
	"narrow/internal/kernel"
)

// edge returns the lower edge of bin i of 2048 over [0, limit], in the float32
// arithmetic of torch.linspace.
func edge(limit float32, i int) float32 {
	const n = kernel.HistogramBins
	step := limit / n
	if i < (n+1)/2 {
		return float32(step * float32(i))
	}
	return limit - float32(step*float32(n-i))
}

// percentileBin returns the first bin at which the running share of h reaches
// share (0..1), or 2048 where rounding keeps it below. The running sum is that of the
// reference, share by share in float64.
func percentileBin(h *kernel.Histogram, share float64) int {
	total := 0.0
	for _, c := range h {
		total += float64(c)
	}
	sum := 0.0
	for i, c := range h {
		sum += float64(c) / total
		if sum >= share {
			return i
		}
	}
	return len(h)
}

// percentile returns the magnitude below which a share of percentage percent
// lies, as a lower edge of a bin.
func percentile(h *kernel.Histogram, limit float32, percentage float64) float32 {
	return edge(limit, percentileBin(h, percentage/100))
}

// twoSided returns the range that leaves out at most (100-percentage)/2 percent
// at either end, in whole bins. neg and pos are the histograms of the
// magnitudes of negative and other values over [0, limit], e their extent.
func twoSided(neg, pos *kernel.Histogram, e kernel.Extent, limit float32, percentage float64) (lo, hi float64) {
	const n = kernel.HistogramBins
	// Bin i of all 4096, from the most negative up.
	count := func(i int) float64 {
		if i < n {
			return float64(neg[n-1-i])
		}
		return float64(pos[i-n])
	}
	at := func(i int) float64 { // lower edge of bin i
		if i < n {
			return -float64(edge(limit, n-i))
		}
		return float64(edge(limit, i-n))
	}
	total := 0.0
	for i := range 2 * n {
		total += count(i)
	}
	cut := float64(total*(100-percentage)) / 200
	first, last := 0, 2*n-1
	for out := count(first); out <= cut && first < last; out += count(first) {
		first++
	}
	for out := count(last); out <= cut && last > first; out += count(last) {
		last--
	}
	return max(at(first), float64(e.Min)), min(at(last+1), float64(e.Max))
}
