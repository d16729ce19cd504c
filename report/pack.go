package report

import (
	"encoding/base64"
	"encoding/binary"
	"math"
	"strconv"

	"narrow/diag"
)

// Number is a measured number; JSON has null where it is not finite, and else
// [digits] of its digits.
type Number float64

// digits are as many as a page may show: of a cosine, all nines that float32 tells.
const digits = 9

// MarshalJSON writes the number or null.
func (n Number) MarshalJSON() ([]byte, error) {
	f := float64(n)
	if math.IsInf(f, 0) || math.IsNaN(f) {
		return []byte("null"), nil
	}
	return strconv.AppendFloat(nil, f, 'g', digits, 64), nil
}

// Floats are numbers that JSON holds as base64 of little-endian float32: a
// third of the size of decimals, and the page reads them at once.
type Floats []float32

// MarshalJSON writes the string.
func (f Floats) MarshalJSON() ([]byte, error) {
	b := make([]byte, 0, 4*len(f))
	for _, v := range f {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
	}
	return quoted(b), nil
}

// Counts are numbers of 0 or more that JSON holds as base64 of varints (base
// 128, low bits first).
type Counts []int64

// MarshalJSON writes the string. A negative count is an error.
func (c Counts) MarshalJSON() ([]byte, error) {
	var b []byte
	for i, v := range c {
		if v < 0 {
			return nil, diag.Errorf("count %d is %d: counts are 0 or more", i, v)
		}
		b = binary.AppendUvarint(b, uint64(v))
	}
	return quoted(b), nil
}

func quoted(b []byte) []byte {
	out := append(make([]byte, 0, base64.StdEncoding.EncodedLen(len(b))+2), '"')
	out = base64.StdEncoding.AppendEncode(out, b)
	return append(out, '"')
}
