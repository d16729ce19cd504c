package kernel

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// benchSizes: one channel plane that stays in the second-level cache, and an
// activation of a batch that does not. GB/s count the bytes read.
var benchSizes = []int{1 << 16, 1 << 23}

func benchData(n int) []float32 {
	r := rand.New(rand.NewPCG(5, 6))
	x := make([]float32, n)
	for i := range x {
		if v := float32(r.NormFloat64()); v > 0 { // as behind a ReLU
			x[i] = v
		}
	}
	return x
}

func bench(b *testing.B, name string, f func(l loops, dst, src []float32)) {
	for _, n := range benchSizes {
		src, dst := benchData(n), make([]float32, n)
		for _, l := range implementations() {
			b.Run(fmt.Sprintf("kernel=%s/impl=%s/n=%d", name, l.name, n), func(b *testing.B) {
				b.SetBytes(int64(4 * n))
				for b.Loop() {
					for i := range blocks(n) {
						lo, hi := block(i, n)
						f(l, dst[lo:hi], src[lo:hi])
					}
				}
			})
		}
	}
}

func BenchmarkCopy(b *testing.B) {
	for _, n := range benchSizes {
		src, dst := benchData(n), make([]float32, n)
		b.Run(fmt.Sprintf("kernel=copy/impl=go/n=%d", n), func(b *testing.B) {
			b.SetBytes(int64(4 * n))
			for b.Loop() {
				copy(dst, src)
			}
		})
	}
}

func BenchmarkMinMax(b *testing.B) {
	bench(b, "minmax", func(l loops, _, src []float32) { l.minMax(src) })
}

func BenchmarkFakeQuantize(b *testing.B) {
	for name, mode := range map[string]Round{"half_even": HalfEven, "half_up": HalfUp, "half_down": HalfDown, "std_round": StdRound} {
		a := Affine{Scale: 0.03, Lo: -128, Hi: 127, Round: mode}
		bench(b, "fakequantizeties_"+name, func(l loops, dst, src []float32) { l.fakeQuantizeTies(dst, src, a) })
		bench(b, "fakequantize_"+name, func(l loops, dst, src []float32) { l.fakeQuantize(dst, src, a) })
	}
}

func BenchmarkSquaredDiffs(b *testing.B) {
	bench(b, "squareddiffs5", func(l loops, _, src []float32) { l.squaredDiffs(src, 4, 5, -128, 127) })
}

func BenchmarkHistogram(b *testing.B) {
	var h Histogram
	bench(b, "histogram", func(l loops, _, src []float32) { l.absHistogram(&h, src, 6) })
}

func BenchmarkHalf(b *testing.B) {
	bench(b, "bfloat16", func(l loops, dst, src []float32) { l.roundBFloat16(dst, src) })
	bench(b, "float16", func(l loops, dst, src []float32) { l.roundFloat16(dst, src) })
}
