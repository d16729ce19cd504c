package kernel

import (
	"math"
	"testing"
)

// TestTies: which elements half_even quantizes to another integer, by hand.
func TestTies(t *testing.T) {
	inf, nan := float32(math.Inf(1)), float32(math.NaN())
	x := []float32{
		0.5, 1.5, 2.5, -0.5, -1.5, -2.5, // ties
		0.49999997, 2.4999998, 3, // none
		126.5, 127.5, 128.5, -127.5, -128.5, -129.5, // at the ends of int8
		inf, -inf, nan,
	}
	for _, tt := range []struct {
		round Round
		want  int64
	}{
		{HalfEven, 0},
		{HalfUp, 5},   // 0.5, 2.5, -1.5, 126.5, -127.5; 128.5 and -129.5 clamp
		{HalfDown, 3}, // 1.5, -1.5, -127.5; 127.5 clamps
		{StdRound, 5}, // 0.5, 2.5, -0.5, -2.5, 126.5; 128.5 and -128.5 clamp
	} {
		a := Affine{Scale: 1, Lo: -128, Hi: 127, Round: tt.round}
		want := tt.want
		pool := NewPool(2)
		if got := pool.Ties(x, a); got != want {
			t.Errorf("round %d: %d ties, want %d", tt.round, got, want)
		}
		// Many blocks, and a map beyond float32.
		long := make([]float32, 0, 70000)
		for len(long)+len(x) <= cap(long) {
			long = append(long, x...)
		}
		times := int64(len(long) / len(x))
		dst, plain := make([]float32, len(long)), make([]float32, len(long))
		if got := pool.FakeQuantizeTies(dst, long, a); got != want*times {
			t.Errorf("round %d: %d ties in blocks, want %d", tt.round, got, want*times)
		}
		FakeQuantize(plain, long, a)
		for i := range plain {
			if !same(dst[i], plain[i]) {
				t.Fatalf("round %d: %v gives %v, want %v", tt.round, long[i], dst[i], plain[i])
			}
		}
		wide := a
		wide.Lo, wide.Hi = -1<<31, 1<<31-1
		q32, e32 := make([]int32, len(x)), make([]int32, len(x))
		Quantize(q32, x, wide)
		Quantize(e32, x, wide.even())
		want = 0
		for i := range q32 {
			if q32[i] != e32[i] {
				want++
			}
		}
		if got := pool.FakeQuantizeTies(dst[:len(x)], x, wide); got != want || (want == 0) != (tt.round == HalfEven) {
			t.Errorf("round %d, 32 bits: %d ties, want %d", tt.round, got, want)
		}
	}
}
