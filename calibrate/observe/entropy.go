package observe

import (
	"math"
	"math/bits"

	"narrow/internal/kernel"
)

// The search of mse and entropy tries the bins 1536, 1552, ... as in the reference.
const (
	searchStart  = 1536
	searchStride = 16
)

// entropyBin returns the bin whose lower edge is the clipping range with the
// smallest Kullback-Leibler divergence between the magnitudes, those beyond it put
// in the last bin, and their quantized distribution; the last such bin on a
// tie. levels is how many integers the magnitudes map to,
// a power of two.
//
// Algorithm: Migacz, 8-bit inference with TensorRT (2017), in the reference's
// form: bin 0 is given bin 1's count, and the quantized distribution is not
// smoothed. A divergence needs a logarithm per quantization cell rather than
// per bin, as the rest are prefix sums.
func entropyBin(h *kernel.Histogram, levels int64) int {
	const n = kernel.HistogramBins
	// Counts, bins that are not empty, and sum of c*ln(c), below each bin.
	var count, filled [n + 1]float64
	var plogp [n + 1]float64
	counts := *h
	counts[0] = counts[1]
	for i, c := range counts {
		v := float64(c)
		count[i+1], filled[i+1], plogp[i+1] = count[i]+v, filled[i], plogp[i]
		if c > 0 {
			filled[i+1]++
			plogp[i+1] += float64(v * math.Log(v))
		}
	}
	total := count[n]
	// Above 2048 levels every bin has a cell of its own; both are powers of two.
	shift := bits.TrailingZeros64(uint64(min(levels, n)))
	best, bestAt := math.Inf(1), n
	for i := searchStart; i <= n; i += searchStride {
		outliers := total - count[i]
		last := float64(counts[i-1])
		if last == 0 && outliers > 0 {
			continue // infinite: the quantized distribution has nothing there
		}
		// sum of p*ln(p) - p*ln(q), neither divided by its total yet; q is the same
		// for all bins of a cell that are not empty.
		sum, logq, from := 0.0, 0.0, 0
		for c := 1; c <= 1<<shift; c++ {
			to := (c*i + 1<<shift - 1) >> shift // the bins b with b*cells/i < c
			if f := filled[to] - filled[from]; f > 1 {
				s := count[to] - count[from]
				logq = math.Log(s / f)
				sum += plogp[to] - plogp[from] - float64(s*logq)
			} else if to == i {
				logq = math.Log(count[to] - count[from])
			}
			from = to
		}
		if outliers > 0 {
			p := last + outliers
			sum += float64(p*math.Log(p)) - float64(last*math.Log(last)) - float64(outliers*logq)
		}
		kl := sum/total - math.Log(total) + math.Log(count[i])
		if kl <= best {
			best, bestAt = kl, i
		}
	}
	return bestAt
}
