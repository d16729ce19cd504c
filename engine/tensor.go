package engine

import (
	"encoding/binary"
	"math"
	"slices"

	"narrow/graph"
)

// Tensor is a value that enters or leaves a run, in C order.
type Tensor struct {
	Type graph.DataType
	// Shape has no entry for a scalar; every dimension is >= 0.
	Shape []int64
	// Floats holds the elements when Type is [graph.Float32].
	Floats []float32
	// Raw holds the elements of every other type of fixed size, little-endian.
	Raw []byte
	// Strings holds the elements when Type is [graph.String].
	Strings []string
}

// Len returns the number of elements that the shape tells.
func (t Tensor) Len() int {
	n := 1
	for _, d := range t.Shape {
		n *= int(d)
	}
	return n
}

// Float32s returns the elements of a tensor of a float type, widened or rounded
// to float32, which share t's memory where they are float32 already; ok is
// false for other types.
func (t Tensor) Float32s() (x []float32, ok bool) {
	var get func(b []byte) float32
	size := t.Type.Bits() / 8
	switch t.Type {
	case graph.Float32:
		return t.Floats, true
	case graph.Float64:
		get = func(b []byte) float32 { return float32(math.Float64frombits(binary.LittleEndian.Uint64(b))) }
	case graph.BFloat16:
		get = func(b []byte) float32 { return math.Float32frombits(uint32(binary.LittleEndian.Uint16(b)) << 16) }
	case graph.Float16:
		get = func(b []byte) float32 { return graph.FromHalf(binary.LittleEndian.Uint16(b)) }
	default:
		return nil, false
	}
	x = make([]float32, len(t.Raw)/size)
	for i := range x {
		x[i] = get(t.Raw[i*size:])
	}
	return x, true
}

// Clone returns a copy in memory of its own.
func (t Tensor) Clone() Tensor {
	t.Shape, t.Floats, t.Raw, t.Strings = slices.Clone(t.Shape), slices.Clone(t.Floats), slices.Clone(t.Raw), slices.Clone(t.Strings)
	return t
}

// rows returns samples [from, to) of t, sharing its memory.
func (t Tensor) rows(from, to int) Tensor {
	per := 1
	for _, d := range t.Shape[1:] {
		per *= int(d)
	}
	out := Tensor{Type: t.Type, Shape: slices.Clone(t.Shape)}
	out.Shape[0] = int64(to - from)
	switch {
	case t.Floats != nil:
		out.Floats = t.Floats[from*per : to*per]
	case t.Strings != nil:
		out.Strings = t.Strings[from*per : to*per]
	default:
		size := per * t.Type.Bits() / 8
		out.Raw = t.Raw[from*size : to*size]
	}
	return out
}

// push appends u's samples to t, copying them.
func (t Tensor) push(u Tensor) Tensor {
	if t.Type == graph.Undefined {
		if len(u.Shape) == 0 {
			return Tensor{Type: u.Type, Shape: []int64{}, Floats: slices.Clone(u.Floats), Raw: slices.Clone(u.Raw), Strings: slices.Clone(u.Strings)}
		}
		t = Tensor{Type: u.Type, Shape: slices.Clone(u.Shape)}
		t.Shape[0] = 0
	}
	t.Floats = append(t.Floats, u.Floats...)
	t.Raw = append(t.Raw, u.Raw...)
	t.Strings = append(t.Strings, u.Strings...)
	t.Shape[0] += u.Shape[0]
	return t
}

// bySample returns an output of a run of rows samples, with the sample as its
// first axis, cut to the first count of them. axis is the one that counts
// samples, -1 where that is not known. An output that does not divide into
// samples stays as it is.
func (t Tensor) bySample(rows, count, axis int) Tensor {
	if axis < 0 && rows > 1 && len(t.Shape) > 0 && int(t.Shape[0])%rows != 0 {
		if k := slices.Index(t.Shape, int64(rows)); k > 0 && !slices.Contains(t.Shape[k+1:], int64(rows)) {
			axis = k
		}
	}
	if axis > 0 && axis < len(t.Shape) && int(t.Shape[axis]) == rows {
		t = t.toFront(axis)
	}
	switch {
	case len(t.Shape) > 0 && int(t.Shape[0]) == rows:
	case rows == 1:
		t.Shape = append([]int64{1}, t.Shape...)
	case len(t.Shape) > 0 && t.Shape[0] > 0 && int(t.Shape[0])%rows == 0:
		// Several rows a sample, such as the windows of an image.
		t.Shape = append([]int64{int64(rows), t.Shape[0] / int64(rows)}, t.Shape[1:]...)
	default:
		return t
	}
	if count < rows {
		t = t.rows(0, count)
	}
	return t
}

// toFront returns t with an axis moved to the front.
func (t Tensor) toFront(axis int) Tensor {
	outer, n, inner := 1, int(t.Shape[axis]), 1
	for _, d := range t.Shape[:axis] {
		outer *= int(d)
	}
	for _, d := range t.Shape[axis+1:] {
		inner *= int(d)
	}
	out := Tensor{Type: t.Type, Shape: append([]int64{t.Shape[axis]}, slices.Delete(slices.Clone(t.Shape), axis, axis+1)...)}
	switch bits := t.Type.Bits(); {
	case t.Floats != nil:
		out.Floats = transposed(t.Floats, outer, n, inner)
	case t.Strings != nil:
		out.Strings = transposed(t.Strings, outer, n, inner)
	case bits%8 == 0:
		out.Raw = transposed(t.Raw, outer, n, inner*bits/8)
	default:
		return t // elements share bytes
	}
	return out
}

// transposed swaps the first two of three axes.
func transposed[T any](x []T, outer, n, inner int) []T {
	out := make([]T, 0, len(x))
	for i := range n {
		for o := range outer {
			at := (o*n + i) * inner
			out = append(out, x[at:at+inner]...)
		}
	}
	return out
}
