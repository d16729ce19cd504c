package observe

import (
	"math"

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
// tie. levels is how many integers the magnitudes map to.
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
	bins := *h
	bins[0] = bins[1]
	for i, c := range bins {
		v := float64(c)
		count[i+1], filled[i+1], plogp[i+1] = count[i]+v, filled[i], plogp[i]
		if c > 0 {
			filled[i+1]++
			plogp[i+1] += float64(v * math.Log(v))
		}
	}
	total := count[n]
	best, bestAt := math.Inf(1), n
	for i := searchStart; i <= n; i += searchStride {
		outliers := total - count[i]
		last := float64(bins[i-1])
		if last == 0 && outliers > 0 {
			continue // infinite: the quantized distribution has nothing there
		}
		// sum of p*ln(p) - p*ln(q), both not yet divided by their totals.
		sum := plogp[i]
		if outliers > 0 {
			p := last + outliers
			sum += float64(p*math.Log(p)) - float64(last*math.Log(last))
		}
		cells := min(levels, n)
		from := 0
		for c := int64(1); c <= cells; c++ {
			to := int((c*int64(i) + cells - 1) / cells) // bins b with b*cells/i < c
			s := count[to] - count[from]
			if s > 0 {
				logq := math.Log(s / (filled[to] - filled[from]))
				if to == i {
					s += outliers
				}
				sum -= float64(s * logq)
			}
			from = to
		}
		kl := sum/total - math.Log(total) + math.Log(count[i])
		if kl <= best {
			best, bestAt = kl, i
		}
	}
	return bestAt
}
