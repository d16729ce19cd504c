package kernel

// Implementation names the loops that run on this machine.
func Implementation() string { return "go" }

func minMax(x []float32) (lo, hi float32, mag uint32)       { return minMaxGo(x) }
func absHistogram(h *Histogram, x []float32, limit float32) { absHistogramGo(h, x, limit) }
func fakeQuantize(dst, src []float32, a Affine)             { fakeQuantizeGo(dst, src, a) }
func roundBFloat16(dst, src []float32)                      { roundBFloat16Go(dst, src) }
func roundFloat16(dst, src []float32)                       { roundFloat16Go(dst, src) }
func squaredDiffs(x []float32, first, n int, lo, hi int64) [MaxDiffs]float64 {
	return squaredDiffsGo(x, first, n, lo, hi)
}
