package kernel

//go:generate sh -c "cd ../asmgen && go run . -out ../kernel/loops_amd64.s -stubs ../kernel/loops_amd64.go -pkg kernel"

// loops is one implementation of the inner loops over a block.
type loops struct {
	name         string
	minMax       func(x []float32) (lo, hi float32, mag uint32)
	absHistogram func(h *Histogram, x []float32, limit float32)
	// histogramIndex sets index[i] to the bin of x[i], of which there are 1024 at most.
	histogramIndex func(index *[1024]uint32, x []float32, limit float32)
	fakeQuantize   func(dst, src []float32, a Affine)
	// fakeQuantizeTies also counts where rounding ties to even differs; src has
	// less than 2^31 elements.
	fakeQuantizeTies func(dst, src []float32, a Affine) int
	squaredDiffs     func(x []float32, first, n int, lo, hi int64) [MaxDiffs]float64
	roundBFloat16    func(dst, src []float32)
	roundFloat16     func(dst, src []float32)
	// products is [Products] without its checks.
	products func(c, x, y []float64, ld, panel, stride, rows, lo, hi, cols int)
	// dot is the part of [Dot] over a multiple of 16 elements, of which there are some.
	dot func(x, y []float64, sums *[16]float64)
}

// plain is the definition of all others.
func plain() loops {
	return loops{"go", minMaxGo, absHistogramGo, histogramIndexGo, fakeQuantizeGo, fakeQuantizeTiesGo, squaredDiffsGo, roundBFloat16Go, roundFloat16Go, productsGo, dotGo}
}

// active is the last, fastest implementation that this machine can run.
var active = func() loops {
	all := implementations()
	return all[len(all)-1]
}()

// Implementation names the loops that run on this machine: go, avx2 or avx512.
func Implementation() string { return active.name }

func minMax(x []float32) (lo, hi float32, mag uint32)       { return active.minMax(x) }
func absHistogram(h *Histogram, x []float32, limit float32) { active.absHistogram(h, x, limit) }
func fakeQuantize(dst, src []float32, a Affine)             { active.fakeQuantize(dst, src, a) }
func fakeQuantizeTies(dst, src []float32, a Affine) int     { return active.fakeQuantizeTies(dst, src, a) }
func roundBFloat16(dst, src []float32)                      { active.roundBFloat16(dst, src) }
func roundFloat16(dst, src []float32)                       { active.roundFloat16(dst, src) }
func squaredDiffs(x []float32, first, n int, lo, hi int64) [MaxDiffs]float64 {
	return active.squaredDiffs(x, first, n, lo, hi)
}
