package kernel

// HistogramBins is how many bins the histogram methods count in.
const HistogramBins = 2048

// Histogram counts magnitudes in bins of equal width over [0, max].
type Histogram [HistogramBins]uint32

// AbsHistogram counts |x| for every element of x into h, whose former contents
// are lost. Bin of |x| is floor(|x|/limit * 2048), the division in float32, the
// last bin holding limit itself: as torch.histc with min 0 and max limit. limit is
// positive and not exceeded; all elements are finite.
func (p *Pool) AbsHistogram(h *Histogram, x []float32, limit float32) {
	*h = Histogram{}
	n := blocks(len(x))
	if n <= histogramBlocks || p == nil || p.workers <= 1 {
		absHistogram(h, x, limit)
		return
	}
	// Counts are integers: any grouping gives the same sums. Longer runs than
	// one block amortize the clearing and adding of the parts.
	n = (n + histogramBlocks - 1) / histogramBlocks
	parts := make([]Histogram, n)
	p.Run(n, func(b int) {
		lo, hi := b*histogramBlocks*blockLen, min((b+1)*histogramBlocks*blockLen, len(x))
		absHistogram(&parts[b], x[lo:hi], limit)
	})
	for i := range parts {
		for j, c := range parts[i] {
			h[j] += c
		}
	}
}

const histogramBlocks = 8

// AbsHistogram is [Pool.AbsHistogram] in the caller's goroutine.
func AbsHistogram(h *Histogram, x []float32, limit float32) { (*Pool)(nil).AbsHistogram(h, x, limit) }

// absHistogramGo adds to h.
func absHistogramGo(h *Histogram, x []float32, limit float32) {
	for _, v := range x {
		if v < 0 {
			v = -v
		}
		h[min(int(v/limit*HistogramBins), HistogramBins-1)]++
	}
}

// RangeHistogram counts x in 2048 bins of equal width over [lo, hi], lo < hi,
// in float64; every element lies there.
func RangeHistogram(h *Histogram, x []float32, lo, hi float32) {
	*h = Histogram{}
	base, width := float64(lo), float64(hi)-float64(lo)
	for _, v := range x {
		h[min(int((float64(v)-base)/width*HistogramBins), HistogramBins-1)]++
	}
}
