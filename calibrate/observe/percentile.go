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

// twoSided returns the range that leaves out (100-percentage)/2 percent at
// either end, in whole bins of 2048 over lo..hi.
func twoSided(h *kernel.Histogram, lo, hi float64, percentage float64) (from, to float64) {
	total := uint64(0)
	for _, c := range h {
		total += uint64(c)
	}
	cut := float64(total) * (1 - percentage/100) / 2
	width := (hi - lo) / kernel.HistogramBins
	first, last := 0, len(h)-1
	for below := float64(h[first]); below <= cut && first < last; below += float64(h[first]) {
		first++
	}
	for above := float64(h[last]); above <= cut && last > first; above += float64(h[last]) {
		last--
	}
	from, to = lo+float64(width*float64(first)), lo+float64(width*float64(last+1))
	if last == len(h)-1 {
		to = hi
	}
	return from, to
}
