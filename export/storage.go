package export

import (
	"encoding/binary"

	"narrow/graph"
	"narrow/internal/kernel"
	"narrow/scheme"
)

// storage is how integers of a tensor are stored.
type storage struct {
	typ graph.DataType
	// lo and hi are the type's smallest and largest integer.
	lo, hi int64
}

// storages are the types that QuantizeLinear puts out, narrow ones first, with
// the first opset that has them.
func storages() []struct {
	storage
	opset int64
} {
	return []struct {
		storage
		opset int64
	}{
		{storage{graph.Int4, -8, 7}, 21},
		{storage{graph.Uint4, 0, 15}, 21},
		{storage{graph.Int8, -128, 127}, 10},
		{storage{graph.Uint8, 0, 255}, 10},
		{storage{graph.Int16, -1 << 15, 1<<15 - 1}, 21},
		{storage{graph.Uint16, 0, 1<<16 - 1}, 21},
	}
}

// storageFor returns the narrowest type of at least so many bits that an opset
// dequantizes from and that holds lo..hi; ok is false where there is none.
// Activations take no less than 8 bits: ONNX Runtime (1.30 at least) stops at a
// QuantizeLinear to 4 bits.
func storageFor(lo, hi, opset int64, least int) (s storage, ok bool) {
	for _, c := range storages() {
		if c.opset <= opset && c.holds(lo, hi) && c.typ.Bits() >= least {
			return c.storage, true
		}
	}
	return storage{}, false
}

// opsetFor returns the first opset in which the narrowest type for lo..hi
// of at least so many bits exists; ok is false where no opset has one.
func opsetFor(lo, hi int64, least int) (opset int64, ok bool) {
	for _, c := range storages() {
		if c.holds(lo, hi) && c.typ.Bits() >= least {
			return c.opset, true
		}
	}
	return 10, false
}

// holds reports whether s stores all of lo..hi, signed as they are.
func (s storage) holds(lo, hi int64) bool { return s.lo <= lo && hi <= s.hi && (lo < 0) == (s.lo < 0) }

// pack stores integers as typ, which must hold them.
func pack(name string, typ graph.DataType, dims []int64, q []int64) *graph.Tensor {
	var raw []byte
	switch typ.Bits() {
	case 4:
		// Two a byte, the first in the low half.
		raw = make([]byte, (len(q)+1)/2)
		for i, v := range q {
			raw[i/2] |= byte(v&15) << (4 * (i % 2))
		}
	case 8:
		raw = make([]byte, len(q))
		for i, v := range q {
			raw[i] = byte(v)
		}
	case 16:
		raw = make([]byte, 2*len(q))
		for i, v := range q {
			binary.LittleEndian.PutUint16(raw[2*i:], uint16(v))
		}
	case 32:
		raw = make([]byte, 4*len(q))
		for i, v := range q {
			binary.LittleEndian.PutUint32(raw[4*i:], uint32(v))
		}
	}
	return &graph.Tensor{Name: name, Type: typ, Dims: dims, Raw: raw}
}

// affines returns the maps of e's channels.
func affines(e scheme.Encoding, mode scheme.RoundMode) []kernel.Affine {
	as := make([]kernel.Affine, len(e.Scale))
	for i := range as {
		as[i] = kernel.Affine{Scale: e.Scale[i], ZeroPoint: e.ZeroPoint[i], Lo: e.Min, Hi: e.Max, Round: kernel.Round(mode)}
	}
	return as
}
