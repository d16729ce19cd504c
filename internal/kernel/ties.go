package kernel

import "sync/atomic"

// FakeQuantizeTies is [Pool.FakeQuantize], and returns on how many elements
// rounding ties to even would have given another integer. NaN counts as no
// difference.
func (p *Pool) FakeQuantizeTies(dst, src []float32, a Affine) int64 {
	f := fakeQuantizeTies
	switch {
	case a.Round == HalfEven:
		p.FakeQuantize(dst, src, a)
		return 0
	case !a.narrow():
		f = fakeQuantizeTiesWide
	}
	_ = dst[:len(src)]
	var ties atomic.Int64
	p.Run(blocks(len(src)), func(b int) {
		lo, hi := block(b, len(src))
		ties.Add(int64(f(dst[lo:hi], src[lo:hi], a)))
	})
	return ties.Load()
}

// Ties is the count of [Pool.FakeQuantizeTies] alone: x is only read.
func (p *Pool) Ties(x []float32, a Affine) int64 {
	if a.Round == HalfEven {
		return 0
	}
	f := fakeQuantizeTies
	if !a.narrow() {
		f = fakeQuantizeTiesWide
	}
	var ties atomic.Int64
	p.Run(blocks(len(x)), func(b int) {
		var scratch [1024]float32 // stays in the first-level cache
		lo, hi := block(b, len(x))
		n := 0
		for ; lo < hi; lo += len(scratch) {
			part := x[lo:min(lo+len(scratch), hi)]
			n += f(scratch[:len(part)], part, a)
		}
		ties.Add(int64(n))
	})
	return ties.Load()
}

// even is a with ties rounded to even.
func (a Affine) even() Affine {
	a.Round = HalfEven
	return a
}

// fakeQuantizeTiesGo is the definition for narrow maps.
func fakeQuantizeTiesGo(dst, src []float32, a Affine) int {
	inv := Reciprocal(a.Scale)
	lo, hi, zp := float32(a.Lo), float32(a.Hi), float32(a.ZeroPoint)
	integer := func(r Round, x float32) float32 {
		return min(max(float32(r.round(float32(x*inv)))+zp, lo), hi)
	}
	n := 0
	for _, x := range src {
		if q, even := integer(a.Round, x), integer(HalfEven, x); q < even || q > even {
			n++
		}
	}
	fakeQuantizeGo(dst, src, a)
	return n
}

// fakeQuantizeTiesWide is the definition for the rest.
func fakeQuantizeTiesWide(dst, src []float32, a Affine) int {
	n := 0
	for _, x := range src {
		if x == x && a.quantize(x) != a.even().quantize(x) {
			n++
		}
	}
	fakeQuantizeWide(dst, src, a)
	return n
}
