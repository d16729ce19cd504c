package calibrate

import (
	"encoding/binary"
	"math"

	"narrow/calibrate/observe"
	"narrow/diag"
	"narrow/internal/kernel"
	"narrow/plan"
	"narrow/scheme"
)

// Integers are what weights are stored as, in C order. They take a byte each where they fit.
type Integers struct {
	bytes []int8
	words []int16
}

// NewIntegers returns those of a tensor's values under an encoding of at most 16 bits, signed.
func NewIntegers(t *plan.Tensor, x []float32, e scheme.Encoding) (*Integers, error) {
	s, dims := t.Settings.Settings, t.Constant.Dims
	var i Integers
	var err error
	switch {
	case e.Min < math.MinInt16 || e.Max > math.MaxInt16:
		err = diag.Errorf("integers from %d to %d take more than 16 bits", e.Min, e.Max)
	case e.Min < math.MinInt8 || e.Max > math.MaxInt8:
		i.words, err = observe.Quantize[int16](x, s, e, dims)
	default:
		i.bytes, err = observe.Quantize[int8](x, s, e, dims)
	}
	return &i, err
}

// ReadIntegers is the reverse of [Integers.Append] for integers of that size in bytes, which
// is 1 or 2.
func ReadIntegers(b []byte, size int) *Integers {
	if size == 1 {
		i := &Integers{bytes: make([]int8, len(b))}
		for k, v := range b {
			i.bytes[k] = int8(v)
		}
		return i
	}
	i := &Integers{words: make([]int16, len(b)/2)}
	for k := range i.words {
		i.words[k] = int16(binary.LittleEndian.Uint16(b[2*k:]))
	}
	return i
}

// Append appends them to b, little-endian, in so many bytes each, 1 or 2.
func (i *Integers) Append(b []byte, size int) []byte {
	for k := range i.Len() {
		if q := i.At(k); size == 1 {
			b = append(b, byte(q))
		} else {
			b = binary.LittleEndian.AppendUint16(b, uint16(q))
		}
	}
	return b
}

// Len is how many they are.
func (i *Integers) Len() int { return len(i.bytes) + len(i.words) }

// At returns one of them.
func (i *Integers) At(k int) int64 {
	if i.bytes != nil {
		return int64(i.bytes[k])
	}
	return int64(i.words[k])
}

// Floats returns the values that they stand for.
func (i *Integers) Floats(t *plan.Tensor, e scheme.Encoding) ([]float32, error) {
	l := kernel.NewLayout(t.Constant.Dims, e.Axis)
	as := observe.Affines(t.Settings.Settings, e)
	if i.Len() != l.Len() || l.Channels != len(as) {
		return nil, diag.Errorf("%d integers with %d scales along axis %d do not fit the shape %v", i.Len(), len(as), e.Axis, t.Constant.Dims)
	}
	x := make([]float32, l.Len())
	if i.bytes != nil {
		kernel.DequantizeChannels(x, i.bytes, l, as)
	} else {
		kernel.DequantizeChannels(x, i.words, l, as)
	}
	return x, nil
}
