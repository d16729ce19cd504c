package kernel

import (
	"fmt"
	"math"
)

// Affine is how one tensor or channel maps to integers:
// q = clamp(round(x * (1/Scale)) + ZeroPoint, Lo, Hi), and back
// x = (q - ZeroPoint) * Scale. The reciprocal is rounded to float32 first, as
// the reference does; the ONNX operators divide.
type Affine struct {
	// Scale is positive and finite.
	Scale float32
	// ZeroPoint is in Lo..Hi.
	ZeroPoint int64
	// Lo and Hi are the smallest and the largest integer, at most 2^32-1 apart.
	Lo, Hi int64
	Round  Round
}

// Reciprocal returns 1/scale rounded to float32, the number that x is
// multiplied by.
func Reciprocal(scale float32) float32 { return 1 / scale }

// Scale32 returns the float32 that a scale found in float64 is kept as: the
// reciprocal, rounded to float32, of its reciprocal rounded to float32. That
// is what the reference multiplies by when it dequantizes; it differs from
// float32(scale) by at most one unit in the last place.
func Scale32(scale float64) float32 {
	inv := float32(1 / scale)
	if inv < minNormal || inv > 1/minNormal {
		return float32(scale)
	}
	return 1 / inv
}

// exactInt is the largest magnitude up to which float32 holds every integer.
const exactInt = 1 << 24

// narrow reports whether float32 arithmetic holds every integer of a, and
// whether scale and reciprocal are normal numbers: then the fast loops hold.
func (a Affine) narrow() bool {
	inv := Reciprocal(a.Scale)
	return a.Lo >= -exactInt && a.Hi <= exactInt && a.ZeroPoint >= -exactInt && a.ZeroPoint <= exactInt &&
		a.Scale >= minNormal && inv >= minNormal && !math.IsInf(float64(inv), 0)
}

const minNormal = 0x1p-126

// FakeQuantize sets dst to src quantized and dequantized by a. dst and src
// have one length and may be the same memory. NaN stays NaN, infinities clamp,
// negative zero becomes zero.
func (p *Pool) FakeQuantize(dst, src []float32, a Affine) {
	f := fakeQuantizeWide
	if a.narrow() {
		f = fakeQuantize
	}
	_ = dst[:len(src)]
	if len(src) <= blockLen {
		f(dst, src, a)
		return
	}
	p.Run(blocks(len(src)), func(b int) {
		lo, hi := block(b, len(src))
		f(dst[lo:hi], src[lo:hi], a)
	})
}

// FakeQuantize is [Pool.FakeQuantize] in the caller's goroutine.
func FakeQuantize(dst, src []float32, a Affine) { (*Pool)(nil).FakeQuantize(dst, src, a) }

// FakeQuantizeChannels is FakeQuantize with a[c] for channel c; len(a) is
// l.Channels.
func (p *Pool) FakeQuantizeChannels(dst, src []float32, l Layout, a []Affine) {
	if len(a) != l.Channels || len(src) != l.Len() {
		panic(fmt.Sprintf("kernel: %d channels and %d elements for layout %+v", len(a), len(src), l))
	}
	if l.Inner >= shortInner {
		p.Run(l.Outer*l.Channels, func(i int) {
			lo, hi := i*l.Inner, (i+1)*l.Inner
			FakeQuantize(dst[lo:hi], src[lo:hi], a[i%l.Channels])
		})
		return
	}
	loops := make([]func(dst, src []float32, a Affine), len(a))
	for c := range a {
		loops[c] = fakeQuantizeGo
		if !a[c].narrow() {
			loops[c] = fakeQuantizeWide
		}
	}
	p.Run(l.Outer, func(o int) {
		for c, f := range loops {
			lo := (o*l.Channels + c) * l.Inner
			f(dst[lo:lo+l.Inner], src[lo:lo+l.Inner], a[c])
		}
	})
}

// fakeQuantizeGo is the definition for narrow maps.
func fakeQuantizeGo(dst, src []float32, a Affine) {
	inv, scale := Reciprocal(a.Scale), a.Scale
	lo, hi, zp := float32(a.Lo), float32(a.Hi), float32(a.ZeroPoint)
	for i, x := range src {
		q := float32(a.Round.round(float32(x*inv))) + zp
		if q < lo {
			q = lo
		}
		if q > hi {
			q = hi
		}
		dst[i] = float32(q-zp) * scale
	}
}

// fakeQuantizeWide is the definition for the rest: integers beyond 2^24, and
// scales whose reciprocal float32 cannot hold well.
func fakeQuantizeWide(dst, src []float32, a Affine) {
	for i, x := range src {
		if x != x {
			dst[i] = x
			continue
		}
		dst[i] = float32(a.quantize(x)-a.ZeroPoint) * a.Scale
	}
}

// quantize returns the integer of x, which is not NaN.
func (a Affine) quantize(x float32) int64 {
	v := x * Reciprocal(a.Scale)
	if !a.narrow() {
		v = float32(float64(x) / float64(a.Scale))
	}
	// In float64 the sum is exact for all that is not clamped.
	q := a.Round.round(v) + float64(a.ZeroPoint)
	switch {
	case q < float64(a.Lo):
		return a.Lo
	case q > float64(a.Hi):
		return a.Hi
	}
	return int64(q)
}

// Integer is a type that quantized values are stored in.
type Integer interface {
	~int8 | ~uint8 | ~int16 | ~uint16 | ~int32 | ~uint32 | ~int64
}

// Quantize sets dst to the integers of src under a; T holds a.Lo..a.Hi. NaN
// becomes the zero point. Dequantizing gives the bits of FakeQuantize.
func Quantize[T Integer](dst []T, src []float32, a Affine) {
	for i, x := range src {
		if x != x {
			dst[i] = T(a.ZeroPoint)
			continue
		}
		dst[i] = T(a.quantize(x))
	}
}

// QuantizeChannels is Quantize with a[c] for channel c.
func QuantizeChannels[T Integer](dst []T, src []float32, l Layout, a []Affine) {
	for i := range l.Outer * l.Channels {
		lo, hi := i*l.Inner, (i+1)*l.Inner
		Quantize(dst[lo:hi], src[lo:hi], a[i%l.Channels])
	}
}

// Dequantize sets dst to the values of the integers src under a.
func Dequantize[T Integer](dst []float32, src []T, a Affine) {
	for i, q := range src {
		dst[i] = float32(int64(q)-a.ZeroPoint) * a.Scale
	}
}

// DequantizeChannels is Dequantize with a[c] for channel c.
func DequantizeChannels[T Integer](dst []float32, src []T, l Layout, a []Affine) {
	if l.Inner > 1 {
		for i := range l.Outer * l.Channels {
			lo, hi := i*l.Inner, (i+1)*l.Inner
			Dequantize(dst[lo:hi], src[lo:hi], a[i%l.Channels])
		}
		return
	}
	for o := range l.Outer {
		row := dst[o*l.Channels:][:l.Channels]
		for c, q := range src[o*l.Channels:][:l.Channels] {
			row[c] = float32(int64(q)-a[c].ZeroPoint) * a[c].Scale
		}
	}
}
