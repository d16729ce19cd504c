//go:build !noasm

package kernel

import (
	"math"

	"golang.org/x/sys/cpu"
)

// implementations returns what this machine can run, slowest first.
func implementations() []loops {
	out := []loops{plain()}
	// Go's feature bits include the operating system's leave to use the
	// registers; F16C has no bit of its own and came before AVX2 everywhere.
	if cpu.X86.HasAVX2 && cpu.X86.HasFMA {
		out = append(out, vectors{
			name: "avx2", width: 8,
			minMax: minMaxAVX2,
			fakeQuantize: [...]fakeQuantizeLoop{
				HalfEven: fakeQuantizeHalfEvenAVX2, HalfUp: fakeQuantizeHalfUpAVX2,
				HalfDown: fakeQuantizeHalfDownAVX2, StdRound: fakeQuantizeStdRoundAVX2,
			},
			fakeQuantizeTies: [...]fakeQuantizeTiesLoop{
				HalfUp: fakeQuantizeTiesHalfUpAVX2, HalfDown: fakeQuantizeTiesHalfDownAVX2, StdRound: fakeQuantizeTiesStdRoundAVX2,
			},
			squaredDiffs: squaredDiffsAVX2, histogramIndex: histogramIndexAVX2,
			roundBFloat16: roundBFloat16AVX2, roundFloat16: roundFloat16AVX2,
			productTile: productTileAVX2, tileColumns: 4, dot: dotAVX2,
		}.loops())
	}
	if cpu.X86.HasAVX512F && cpu.X86.HasAVX512DQ && cpu.X86.HasAVX512VL && cpu.X86.HasAVX512BW {
		out = append(out, vectors{
			name: "avx512", width: 16,
			minMax: minMaxAVX512,
			fakeQuantize: [...]fakeQuantizeLoop{
				HalfEven: fakeQuantizeHalfEvenAVX512, HalfUp: fakeQuantizeHalfUpAVX512,
				HalfDown: fakeQuantizeHalfDownAVX512, StdRound: fakeQuantizeStdRoundAVX512,
			},
			fakeQuantizeTies: [...]fakeQuantizeTiesLoop{
				HalfUp: fakeQuantizeTiesHalfUpAVX512, HalfDown: fakeQuantizeTiesHalfDownAVX512, StdRound: fakeQuantizeTiesStdRoundAVX512,
			},
			squaredDiffs: squaredDiffsAVX512, histogramIndex: histogramIndexAVX512,
			roundBFloat16: roundBFloat16AVX512, roundFloat16: roundFloat16AVX512,
			productTile: productTileAVX512, tileColumns: 16, dot: dotAVX512,
		}.loops())
	}
	return out
}

type fakeQuantizeLoop = func(dst, src *float32, n int, inv, scale, lo, hi, zp float32)

type fakeQuantizeTiesLoop = func(dst, src *float32, n int, inv, scale, lo, hi, zp float32, ties *uint32)

// vectors are the assembly loops of one instruction set, each over a multiple
// of width elements.
type vectors struct {
	name         string
	width        int
	minMax       func(x *float32, n int, lo, hi *float32, mag *uint32)
	fakeQuantize [StdRound + 1]fakeQuantizeLoop
	// fakeQuantizeTies has no loop for HalfEven, which does not differ from itself.
	fakeQuantizeTies [StdRound + 1]fakeQuantizeTiesLoop
	squaredDiffs     func(x *float32, n int, amp *[5]float32, lo, hi float32, sums *[5][8]float64)
	histogramIndex   func(index *uint32, x *float32, n int, limit float32)
	roundBFloat16    func(dst, src *float32, n int)
	roundFloat16     func(dst, src *float32, n int)
	// productTile takes two columns of x and tileColumns of y.
	productTile func(c, x, y *float64, ld, stride, rows int)
	tileColumns int
	dot         func(x, y *float64, n int, sums *[16]float64)
}

// whole returns the multiple of width up to n.
func (v vectors) whole(n int) int { return n &^ (v.width - 1) }

// loops gives each assembly loop a plain one for the rest.
func (v vectors) loops() loops {
	return loops{v.name, v.minMaxAll, v.histogramAll, v.histogramIndexAll, v.fakeQuantizeAll, v.fakeQuantizeTiesAll, v.squaredDiffsAll,
		v.halfAll(v.roundBFloat16, roundBFloat16Go), v.halfAll(v.roundFloat16, roundFloat16Go), v.productsAll, v.dotAll}
}

func (v vectors) minMaxAll(x []float32) (lo, hi float32, mag uint32) {
	n := v.whole(len(x))
	if n == 0 {
		return minMaxGo(x)
	}
	var los, his [16]float32
	var mags [16]uint32
	v.minMax(&x[0], n, &los[0], &his[0], &mags[0])
	lo, hi, mag = minMaxGo(x[n-1:])
	for i := range v.width {
		lo, hi, mag = min(lo, los[i]), max(hi, his[i]), max(mag, mags[i])
	}
	return lo, hi, mag
}

func (v vectors) fakeQuantizeAll(dst, src []float32, a Affine) {
	n := v.whole(len(src))
	if n > 0 {
		v.fakeQuantize[a.Round](&dst[0], &src[0], n, Reciprocal(a.Scale), a.Scale, float32(a.Lo), float32(a.Hi), float32(a.ZeroPoint))
	}
	fakeQuantizeGo(dst[n:], src[n:], a)
}

func (v vectors) fakeQuantizeTiesAll(dst, src []float32, a Affine) int {
	if a.Round == HalfEven {
		v.fakeQuantizeAll(dst, src, a)
		return 0
	}
	n := v.whole(len(src))
	ties := 0
	if n > 0 {
		var lanes [16]uint32
		v.fakeQuantizeTies[a.Round](&dst[0], &src[0], n, Reciprocal(a.Scale), a.Scale, float32(a.Lo), float32(a.Hi), float32(a.ZeroPoint), &lanes[0])
		for _, t := range lanes {
			ties += int(t)
		}
	}
	return ties + fakeQuantizeTiesGo(dst[n:], src[n:], a)
}

func (v vectors) squaredDiffsAll(x []float32, first, k int, lo, hi int64) [MaxDiffs]float64 {
	n := v.whole(len(x))
	if k != MaxDiffs || n == 0 || first+MaxDiffs-1 > 126 {
		return squaredDiffsGo(x, first, k, lo, hi)
	}
	var amp [MaxDiffs]float32
	for c := range amp {
		amp[c] = float32(math.Ldexp(1, first+c))
	}
	var l laneSums
	v.squaredDiffs(&x[0], n, &amp, float32(lo), float32(hi), (*[MaxDiffs][lanes]float64)(&l))
	l.add(x, n, first, k, float32(lo), float32(hi))
	return l.total(first)
}

func (v vectors) histogramAll(h *Histogram, x []float32, limit float32) {
	// Indices come in pieces that stay in the first-level cache.
	var index [1024]uint32
	var parts [4]Histogram
	for len(x) >= v.width {
		n := v.whole(min(len(x), len(index)))
		v.histogramIndex(&index[0], &x[0], n, limit)
		countBins(&parts[0][0], &index[0], n)
		x = x[n:]
	}
	for i := range h {
		h[i] += parts[0][i] + parts[1][i] + parts[2][i] + parts[3][i]
	}
	absHistogramGo(h, x, limit)
}

func (v vectors) histogramIndexAll(index *[1024]uint32, x []float32, limit float32) {
	n := v.whole(len(x))
	if n > 0 {
		v.histogramIndex(&index[0], &x[0], n, limit)
	}
	for i := n; i < len(x); i++ {
		index[i] = uint32(bin(x[i], limit))
	}
}

func (v vectors) halfAll(fast func(dst, src *float32, n int), rest func(dst, src []float32)) func(dst, src []float32) {
	return func(dst, src []float32) {
		n := v.whole(len(src))
		if n > 0 {
			fast(&dst[0], &src[0], n)
		}
		rest(dst[n:], src[n:])
	}
}

// productsAll goes through a stripe of y's columns with all of x's: the stripe
// stays in the first-level cache.
func (v vectors) productsAll(c, x, y []float64, ld, panel, stride, rows, lo, hi, cols int) {
	for j := 0; j < cols; j += v.tileColumns {
		for i := lo; i < hi; i += 2 {
			v.productTile(&c[i*ld+j], &x[inPanels(i, panel)], &y[inPanels(j, panel)], ld, stride, rows)
		}
	}
}

func (v vectors) dotAll(x, y []float64, sums *[16]float64) { v.dot(&x[0], &y[0], len(x), sums) }

// dotBlocks calls active.dot by name, so that the sums stay on the stack.
func dotBlocks(x, y []float64, sums *[16]float64) {
	switch active.name {
	case "avx512":
		dotAVX512(&x[0], &y[0], len(x), sums)
	case "avx2":
		dotAVX2(&x[0], &y[0], len(x), sums)
	default:
		dotGo(x, y, sums)
	}
}
