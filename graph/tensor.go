package graph

import (
	"encoding/binary"
	"fmt"
	"math"
	"unsafe"

	"narrow/diag"
)

// DataType is the type of a tensor's elements, numbered as ONNX numbers it.
type DataType int32

// The element types that narrow names; others pass through by number.
const (
	Undefined      DataType = 0
	Float32        DataType = 1
	Uint8          DataType = 2
	Int8           DataType = 3
	Uint16         DataType = 4
	Int16          DataType = 5
	Int32          DataType = 6
	Int64          DataType = 7
	String         DataType = 8
	Bool           DataType = 9
	Float16        DataType = 10
	Float64        DataType = 11
	Uint32         DataType = 12
	Uint64         DataType = 13
	Complex64      DataType = 14
	Complex128     DataType = 15
	BFloat16       DataType = 16
	Float8E4M3FN   DataType = 17
	Float8E4M3FNUZ DataType = 18
	Float8E5M2     DataType = 19
	Float8E5M2FNUZ DataType = 20
	Uint4          DataType = 21
	Int4           DataType = 22
	Float4E2M1     DataType = 23
	Float8E8M0     DataType = 24
	Uint2          DataType = 25
	Int2           DataType = 26
)

var typeNames = map[DataType]string{
	Undefined: "undefined", Float32: "float32", Uint8: "uint8", Int8: "int8", Uint16: "uint16", Int16: "int16",
	Int32: "int32", Int64: "int64", String: "string", Bool: "bool", Float16: "float16", Float64: "float64",
	Uint32: "uint32", Uint64: "uint64", BFloat16: "bfloat16", Uint4: "uint4", Int4: "int4",
	Complex64: "complex64", Complex128: "complex128", Float8E4M3FN: "float8e4m3fn", Float8E4M3FNUZ: "float8e4m3fnuz",
	Float8E5M2: "float8e5m2", Float8E5M2FNUZ: "float8e5m2fnuz", Float4E2M1: "float4e2m1", Float8E8M0: "float8e8m0",
	Uint2: "uint2", Int2: "int2",
}

// String returns the type's name as in numpy.
func (t DataType) String() string {
	if s, ok := typeNames[t]; ok {
		return s
	}
	return fmt.Sprintf("type %d", int32(t))
}

// Known reports whether t is a data type that ONNX defines.
func (t DataType) Known() bool {
	_, ok := typeNames[t]
	return ok && t != Undefined
}

// Bits returns the size of one element in bits, or 0 where that is not fixed.
func (t DataType) Bits() int {
	switch t {
	case Uint2, Int2:
		return 2
	case Uint4, Int4, Float4E2M1:
		return 4
	case Uint8, Int8, Bool, Float8E4M3FN, Float8E4M3FNUZ, Float8E5M2, Float8E5M2FNUZ, Float8E8M0:
		return 8
	case Uint16, Int16, Float16, BFloat16:
		return 16
	case Float32, Int32, Uint32:
		return 32
	case Float64, Int64, Uint64, Complex64:
		return 64
	case Complex128:
		return 128
	}
	return 0
}

// Tensor is a constant: little-endian elements in C order. A tensor is never
// written into after it was made; whoever changes one makes a new one.
type Tensor struct {
	Name string
	Type DataType
	// Dims has no entry for a scalar.
	Dims []int64
	// Raw holds the elements, little-endian; 4-bit types are packed two a byte
	// and 2-bit types four a byte, lowest bits first. Nil for types that have no fixed size: those stay in Source.
	Raw []byte
	// Source is what the tensor was decoded from, for the encoder's use.
	Source any
}

// Len returns the number of elements.
func (t *Tensor) Len() int {
	n := 1
	for _, d := range t.Dims {
		n *= int(d)
	}
	return n
}

// ByteSize returns how many bytes n elements of type t take, or an error where
// the type has no fixed size. It does not overflow for any n that a slice can
// have.
func (t DataType) ByteSize(n int) (int, error) {
	bits := t.Bits()
	if bits == 0 {
		return 0, diag.Errorf("elements of type %v have no fixed size", t)
	}
	if bits >= 8 {
		return n * (bits / 8), nil
	}
	per := 8 / bits
	return n/per + (n%per+per-1)/per, nil
}

// NewFloats returns a float32 tensor.
func NewFloats(name string, dims []int64, values []float32) *Tensor {
	raw := make([]byte, 4*len(values))
	if littleEndian {
		copy(raw, bytesOf(values))
	} else {
		for i, v := range values {
			binary.LittleEndian.PutUint32(raw[4*i:], math.Float32bits(v))
		}
	}
	return &Tensor{Name: name, Type: Float32, Dims: dims, Raw: raw}
}

// HoldFloats is [NewFloats] in the memory of values, which must not be written into any more.
func HoldFloats(name string, dims []int64, values []float32) *Tensor {
	if !littleEndian {
		return NewFloats(name, dims, values)
	}
	return &Tensor{Name: name, Type: Float32, Dims: dims, Raw: bytesOf(values)}
}

// littleEndian reports whether this machine holds numbers as tensors do.
var littleEndian = binary.NativeEndian.Uint16([]byte{1, 0}) == 1

// bytesOf views values as bytes.
func bytesOf(values []float32) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(values))), 4*len(values))
}

// NewInts returns an int64 tensor.
func NewInts(name string, dims []int64, values []int64) *Tensor {
	raw := make([]byte, 8*len(values))
	for i, v := range values {
		binary.LittleEndian.PutUint64(raw[8*i:], uint64(v))
	}
	return &Tensor{Name: name, Type: Int64, Dims: dims, Raw: raw}
}

// Floats returns a fresh copy of the elements of a float32 tensor, or an error
// that names the tensor and its type.
func (t *Tensor) Floats() ([]float32, error) {
	if t.Type != Float32 {
		return nil, diag.Errorf("tensor %q holds %v, not float32", t.Name, t.Type)
	}
	if len(t.Raw) != 4*t.Len() {
		return nil, diag.Errorf("tensor %q of shape %v has %d bytes, not %d", t.Name, t.Dims, len(t.Raw), 4*t.Len())
	}
	out := make([]float32, t.Len())
	if littleEndian {
		copy(bytesOf(out), t.Raw)
		return out, nil
	}
	for i := range out {
		out[i] = math.Float32frombits(binary.LittleEndian.Uint32(t.Raw[4*i:]))
	}
	return out, nil
}

// Float returns one element of a float32 tensor.
func (t *Tensor) Float(i int) float32 {
	return math.Float32frombits(binary.LittleEndian.Uint32(t.Raw[4*i:]))
}

// Int64s returns the elements of an integer or boolean tensor, widened.
func (t *Tensor) Int64s() ([]int64, error) {
	size := t.Type.Bits() / 8
	if size == 0 || len(t.Raw) != size*t.Len() {
		return nil, diag.Errorf("tensor %q of type %v and shape %v has %d bytes", t.Name, t.Type, t.Dims, len(t.Raw))
	}
	out := make([]int64, t.Len())
	for i := range out {
		b := t.Raw[size*i:]
		switch t.Type {
		case Int64, Uint64:
			out[i] = int64(binary.LittleEndian.Uint64(b))
		case Int32:
			out[i] = int64(int32(binary.LittleEndian.Uint32(b)))
		case Uint32:
			out[i] = int64(binary.LittleEndian.Uint32(b))
		case Int16:
			out[i] = int64(int16(binary.LittleEndian.Uint16(b)))
		case Uint16:
			out[i] = int64(binary.LittleEndian.Uint16(b))
		case Int8:
			out[i] = int64(int8(b[0]))
		case Uint8, Bool:
			out[i] = int64(b[0])
		default:
			return nil, diag.Errorf("tensor %q holds %v, not integers", t.Name, t.Type)
		}
	}
	return out, nil
}
