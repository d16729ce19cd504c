package samples

import (
	"encoding/binary"
	"math"

	"narrow/diag"
	"narrow/graph"
)

// get reads element i of little-endian raw as a float64, exact for all types
// but 64-bit integers, which getInt reads.
func get(raw []byte, t graph.DataType, i int) float64 {
	switch t {
	case graph.Float32:
		return float64(math.Float32frombits(binary.LittleEndian.Uint32(raw[4*i:])))
	case graph.Float64:
		return math.Float64frombits(binary.LittleEndian.Uint64(raw[8*i:]))
	case graph.Float16:
		return float64(graph.FromHalf(binary.LittleEndian.Uint16(raw[2*i:])))
	}
	v, neg := getInt(raw, t, i)
	if neg {
		return float64(int64(v))
	}
	return float64(v)
}

// getInt reads element i of an integer type; with neg, v is an int64's bits.
func getInt(raw []byte, t graph.DataType, i int) (v uint64, neg bool) {
	var s int64
	switch t {
	case graph.Uint8, graph.Bool:
		return uint64(raw[i]), false
	case graph.Uint16:
		return uint64(binary.LittleEndian.Uint16(raw[2*i:])), false
	case graph.Uint32:
		return uint64(binary.LittleEndian.Uint32(raw[4*i:])), false
	case graph.Uint64:
		return binary.LittleEndian.Uint64(raw[8*i:]), false
	case graph.Int8:
		s = int64(int8(raw[i]))
	case graph.Int16:
		s = int64(int16(binary.LittleEndian.Uint16(raw[2*i:])))
	case graph.Int32:
		s = int64(int32(binary.LittleEndian.Uint32(raw[4*i:])))
	case graph.Int64:
		s = int64(binary.LittleEndian.Uint64(raw[8*i:]))
	}
	return uint64(s), s < 0
}

// fits reports whether an integer lies in the range of t.
func fits(v uint64, neg bool, t graph.DataType) bool {
	bits := 8 * sizeOf(t)
	switch t {
	case graph.Uint8, graph.Uint16, graph.Uint32, graph.Uint64:
		return !neg && (bits == 64 || v>>bits == 0)
	}
	if neg {
		return int64(v) >= -1<<(bits-1)
	}
	return v>>(bits-1) == 0
}

// toFloats converts float elements to float32, rounding to nearest even.
func toFloats(dst []float32, raw []byte, t graph.DataType) {
	if t == graph.Float32 {
		for i := range dst {
			dst[i] = math.Float32frombits(binary.LittleEndian.Uint32(raw[4*i:]))
		}
		return
	}
	for i := range dst {
		dst[i] = float32(get(raw, t, i))
	}
}

// putFloats writes float32 values as float16 or float64.
func putFloats(dst []byte, t graph.DataType, v []float32) {
	for i, x := range v {
		putFloat(dst, t, i, float64(x))
	}
}

func putFloat(dst []byte, t graph.DataType, i int, x float64) {
	if t == graph.Float64 {
		binary.LittleEndian.PutUint64(dst[8*i:], math.Float64bits(x))
		return
	}
	binary.LittleEndian.PutUint16(dst[2*i:], toHalf(x))
}

// toInts converts integers, or tells the first that does not fit.
func toInts(dst []byte, to graph.DataType, raw []byte, from graph.DataType) error {
	if to == from {
		copy(dst, raw)
		return nil
	}
	width := sizeOf(to)
	var b [8]byte
	for i := range len(dst) / width {
		v, neg := getInt(raw, from, i)
		if !fits(v, neg, to) {
			return diag.Errorf("element %d is %v, out of %s's range", i, get(raw, from, i), to)
		}
		binary.LittleEndian.PutUint64(b[:], v)
		copy(dst[i*width:], b[:width])
	}
	return nil
}

// toHalf rounds to the nearest float16, ties to even.
func toHalf(x float64) uint16 {
	b := math.Float64bits(x)
	sign := uint16(b>>48) & 0x8000
	abs := math.Abs(x)
	switch {
	case x != x:
		return sign | 0x7e00
	case abs >= 65520: // halfway between the largest float16 and the next step
		return sign | 0x7c00
	case abs < 1.0/(1<<14): // subnormal: steps of 2^-24, and rounding up to 2^-14 carries into the exponent
		return sign | uint16(math.RoundToEven(abs*(1<<24)))
	}
	frac, exp := math.Frexp(abs) // abs = frac * 2^exp, frac in [0.5, 1)
	m := math.RoundToEven(frac * (1 << 11))
	return sign | uint16(int(m)-1<<10+(exp+14)<<10)
}
