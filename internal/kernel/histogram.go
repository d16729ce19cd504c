package kernel

import "math"

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
		h[bin(v, limit)]++
	}
}

// SignedHistogram is AbsHistogram with the negative elements counted apart: the
// two together are what AbsHistogram counts.
func SignedHistogram(neg, pos *Histogram, x []float32, limit float32) {
	*neg, *pos = Histogram{}, Histogram{}
	var index [1024]uint32
	for len(x) > 0 {
		part := x[:min(len(x), len(index))]
		active.histogramIndex(&index, part, limit)
		for i, v := range part {
			if v < 0 {
				neg[index[i]%HistogramBins]++
			} else {
				pos[index[i]%HistogramBins]++
			}
		}
		x = x[len(part):]
	}
}

// histogramIndexGo sets the first len(x) entries of index, at most 1024, to the
// bins of x.
func histogramIndexGo(index *[1024]uint32, x []float32, limit float32) {
	for i, v := range x {
		index[i] = uint32(bin(v, limit))
	}
}

// bin returns the bin of |v|.
func bin(v, limit float32) int {
	v = math.Float32frombits(math.Float32bits(v) & absBits)
	return min(int(v/limit*HistogramBins), HistogramBins-1)
}
