package observe

import (
	"narrow/diag"
	"narrow/internal/kernel"
	"narrow/scheme"
)

// Affines returns the map to integers of each channel of e (one, per tensor),
// for settings whose datatype is int.
func Affines(s scheme.Settings, e scheme.Encoding) []kernel.Affine {
	out := make([]kernel.Affine, len(e.Scale))
	for i := range out {
		out[i] = kernel.Affine{Scale: e.Scale[i], ZeroPoint: e.ZeroPoint[i], Lo: e.Min, Hi: e.Max, Round: kernel.Round(s.RoundMode)}
	}
	return out
}

// Apply sets dst to src as it is after being stored with settings s and
// encoding e and read back: fake-quantized for int, rounded for bfloat16 and
// float16, copied for float32. dst and src have one length and may be the same
// memory; shape is that of both. The result does not depend on pool, which may
// be nil.
func Apply(pool *kernel.Pool, dst, src []float32, s scheme.Settings, e scheme.Encoding, shape []int64) error {
	if len(dst) != len(src) {
		return diag.Errorf("%d values do not go into %d", len(src), len(dst))
	}
	switch s.Datatype {
	case scheme.BFloat16:
		pool.RoundBFloat16(dst, src)
	case scheme.Float16:
		pool.RoundFloat16(dst, src)
	case scheme.Float32:
		copy(dst, src)
	case scheme.Int:
		a := Affines(s, e)
		if len(a) == 0 || len(e.ZeroPoint) != len(a) {
			return diag.Errorf("the encoding has %d scales and %d zero points", len(a), len(e.ZeroPoint))
		}
		if e.Axis < 0 {
			pool.FakeQuantize(dst, src, a[0])
			return nil
		}
		l, err := layout(shape, e, len(src))
		if err != nil {
			return err
		}
		pool.FakeQuantizeChannels(dst, src, l, a)
	default:
		return diag.Errorf("%v is no datatype", s.Datatype)
	}
	return nil
}

// Audits reports whether [ApplyTies] counts anything under settings s and
// encoding e: an integer map for the whole tensor that rounds otherwise than
// half_even.
func Audits(s scheme.Settings, e scheme.Encoding) bool {
	return s.Datatype == scheme.Int && s.RoundMode != scheme.HalfEven && e.Axis < 0 && len(e.Scale) == 1 && len(e.ZeroPoint) == 1
}

// ApplyTies is [Apply] where [Audits], and returns on how many elements
// rounding ties to even would have given another integer.
func ApplyTies(pool *kernel.Pool, dst, src []float32, s scheme.Settings, e scheme.Encoding) int64 {
	return pool.FakeQuantizeTies(dst, src, Affines(s, e)[0])
}

// Ties is the count of [ApplyTies] alone: x is only read.
func Ties(pool *kernel.Pool, x []float32, s scheme.Settings, e scheme.Encoding) int64 {
	return pool.Ties(x, Affines(s, e)[0])
}

// Quantize returns the integers of src under e, which belongs to settings s
// with the datatype int. T holds e.Min..e.Max. Dequantizing them, (q - zero
// point) * scale in float32, gives the bits of [Apply].
func Quantize[T kernel.Integer](src []float32, s scheme.Settings, e scheme.Encoding, shape []int64) ([]T, error) {
	a, dst := Affines(s, e), make([]T, len(src))
	if s.Datatype != scheme.Int || len(a) == 0 {
		return nil, diag.Errorf("datatype %v with %d scales has no integers", s.Datatype, len(a))
	}
	l := kernel.Layout{Outer: 1, Channels: 1, Inner: len(src)}
	if e.Axis >= 0 {
		var err error
		if l, err = layout(shape, e, len(src)); err != nil {
			return nil, err
		}
	}
	kernel.QuantizeChannels(dst, src, l, a)
	return dst, nil
}

func layout(shape []int64, e scheme.Encoding, n int) (kernel.Layout, error) {
	l := kernel.NewLayout(shape, e.Axis)
	if e.Axis >= len(shape) || l.Channels != len(e.Scale) || l.Len() != n {
		return l, diag.Errorf("shape %v with %d elements does not fit %d scales along axis %d", shape, n, len(e.Scale), e.Axis)
	}
	return l, nil
}
