package calibrate

import (
	"encoding/binary"
	"maps"
	"math"
	"slices"

	"narrow/diag"
	"narrow/engine"
	"narrow/graph"
)

// stored is a batch in little memory: where a channel of floats takes few values, as
// that of a picture of bytes does however it is scaled, they are kept as bytes.
type stored struct {
	// head is the batch without the floats that inputs hold.
	head   *engine.Batch
	inputs map[string][]storedFloats // by input and channel
	// raw is how many bytes the batch takes as it is.
	raw int
}

// storedFloats are those of one channel.
type storedFloats struct {
	// values are the floats themselves, or what at refers to, where that is set.
	values []float32
	at     []byte
}

// size is how many bytes the batch takes.
func (s *stored) size() (n int) {
	for _, t := range s.head.Inputs {
		n += 4*len(t.Floats) + len(t.Raw)
		for _, v := range t.Strings {
			n += len(v)
		}
	}
	for _, parts := range s.inputs {
		for _, p := range parts {
			n += 4*len(p.values) + len(p.at)
		}
	}
	return n
}

// store copies b.
func store(b *engine.Batch) stored {
	s := stored{inputs: map[string][]storedFloats{}}
	head := *b
	head.Names, head.Inputs = slices.Clone(b.Names), map[string]engine.Tensor{}
	for name, t := range b.Inputs {
		s.raw += 4*len(t.Floats) + len(t.Raw)
		if len(t.Floats) == 0 {
			head.Inputs[name] = t.Clone()
			continue
		}
		for _, part := range channelsOf(t) {
			s.inputs[name] = append(s.inputs[name], storeFloats(part))
		}
		head.Inputs[name] = engine.Tensor{Type: t.Type, Shape: slices.Clone(t.Shape)}
	}
	s.head = &head
	return s
}

// channelsOf returns the planes of an array of the shape [N, C, ...], one after the
// other, or all of it where there are none, or very many.
func channelsOf(t engine.Tensor) [][]float32 {
	n := 1
	if len(t.Shape) > 2 {
		n = int(t.Shape[0] * t.Shape[1])
	}
	if n < 1 || n > 64 || len(t.Floats)%n != 0 {
		n = 1
	}
	per := len(t.Floats) / n
	out := make([][]float32, n)
	for i := range out {
		out[i] = t.Floats[i*per : (i+1)*per]
	}
	return out
}

// storeFloats keeps x as bytes where it has at most 256 values, bit by bit.
func storeFloats(x []float32) storedFloats {
	const slots = 1024
	var table [slots]struct {
		used  bool
		bits  uint32
		value byte
	}
	var p storedFloats
	if len(x) < slots {
		return storedFloats{values: slices.Clone(x)}
	}
	p.at = make([]byte, len(x))
	for i, v := range x {
		bits := math.Float32bits(v)
		h := bits * 0x9e3779b1 >> 22
		for table[h].used && table[h].bits != bits {
			h = (h + 1) % slots
		}
		if e := &table[h]; !e.used {
			if len(p.values) == 256 {
				return storedFloats{values: slices.Clone(x)}
			}
			e.used, e.bits, e.value = true, bits, byte(len(p.values))
			p.values = append(p.values, v)
		}
		p.at[i] = table[h].value
	}
	return p
}

func (p *storedFloats) appendTo(x []float32) []float32 {
	if p.at == nil {
		return append(x, p.values...)
	}
	for _, i := range p.at {
		x = append(x, p.values[i])
	}
	return x
}

// batch returns a copy of the batch as it was.
func (s *stored) batch() *engine.Batch {
	b := s.head.Clone()
	for name, parts := range s.inputs {
		t := b.Inputs[name]
		t.Floats = make([]float32, 0, t.Len())
		for i := range parts {
			t.Floats = parts[i].appendTo(t.Floats)
		}
		b.Inputs[name] = t
	}
	return b
}

var errStored = diag.Errorf("damaged sample")

// appendBinary appends the batch's encoding.
func (s *stored) appendBinary(b []byte) []byte {
	h := s.head
	for _, n := range []int{h.First, h.Count, h.Size, h.Padded, len(h.Names)} {
		b = binary.AppendUvarint(b, uint64(n))
	}
	for _, name := range h.Names {
		b = appendString(b, name)
	}
	shared := h.Shared
	b = append(b, flag(shared != nil))
	b = binary.AppendUvarint(b, uint64(len(h.Inputs)))
	for _, name := range slices.Sorted(maps.Keys(h.Inputs)) {
		t := h.Inputs[name]
		b = appendString(b, name)
		b = append(b, flag(shared[name]))
		b = binary.AppendUvarint(b, uint64(t.Type))
		b = binary.AppendUvarint(b, uint64(len(t.Shape)))
		for _, d := range t.Shape {
			b = binary.AppendUvarint(b, uint64(d))
		}
		b = appendString(b, string(t.Raw))
		b = binary.AppendUvarint(b, uint64(len(t.Strings)))
		for _, v := range t.Strings {
			b = appendString(b, v)
		}
		b = binary.AppendUvarint(b, uint64(len(s.inputs[name])))
		for _, p := range s.inputs[name] {
			b = append(b, flag(p.at != nil))
			b = binary.AppendUvarint(b, uint64(len(p.values)))
			for _, v := range p.values {
				b = binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
			}
			if p.at != nil {
				b = appendString(b, string(p.at))
			}
		}
	}
	return b
}

func flag(set bool) byte {
	if set {
		return 1
	}
	return 0
}

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// string takes what appendString wrote.
func (r *cursor) string() string { return string(r.take(r.uint())) }

// count takes a number of things of which each takes a byte or more.
func (r *cursor) count() int {
	n := r.uint()
	if n > len(r.b) {
		r.bad, r.b = true, nil
		return 0
	}
	return n
}

// stored takes what appendBinary wrote.
func (r *cursor) stored() (stored, error) {
	h := &engine.Batch{First: r.uint(), Count: r.uint(), Size: r.uint(), Padded: r.uint()}
	s := stored{head: h, inputs: map[string][]storedFloats{}}
	for n := r.count(); n > 0 && !r.bad; n-- {
		h.Names = append(h.Names, r.string())
	}
	if r.byte() == 1 {
		h.Shared = map[string]bool{}
	}
	h.Inputs = map[string]engine.Tensor{}
	for n := r.count(); n > 0 && !r.bad; n-- {
		name := r.string()
		if r.byte() == 1 && h.Shared != nil {
			h.Shared[name] = true
		}
		t := engine.Tensor{Type: graph.DataType(r.uint()), Shape: []int64{}}
		for d := r.count(); d > 0 && !r.bad; d-- {
			t.Shape = append(t.Shape, int64(r.uint()))
		}
		if raw := r.take(r.uint()); len(raw) > 0 {
			t.Raw = slices.Clone(raw)
		}
		for k := r.count(); k > 0 && !r.bad; k-- {
			t.Strings = append(t.Strings, r.string())
		}
		floats := 0
		for k := r.count(); k > 0 && !r.bad; k-- {
			p := r.floats()
			s.inputs[name] = append(s.inputs[name], p)
			floats += max(len(p.at), len(p.values)*int(1-flag(p.at != nil)))
		}
		elements := 1
		for _, d := range t.Shape {
			if elements *= int(d); elements > math.MaxInt32 {
				return stored{}, errStored
			}
		}
		if t.Type == graph.Float32 && floats != elements || t.Type != graph.Float32 && floats > 0 ||
			t.Type != graph.Float32 && t.Type != graph.String && len(t.Raw) != (elements*t.Type.Bits()+7)/8 || t.Type == graph.String && len(t.Strings) != elements {
			r.bad = true
		}
		s.raw += 4*floats + len(t.Raw)
		h.Inputs[name] = t
	}
	if r.bad || h.Count < 1 || h.Count > 1<<20 || h.Size < 0 || h.Padded != 0 && h.Padded < h.Count {
		return stored{}, errStored
	}
	for name, t := range h.Inputs {
		if h.Shared == nil && len(t.Shape) > 0 || h.Shared != nil && !h.Shared[name] {
			if len(t.Shape) == 0 {
				return stored{}, errStored
			}
		}
	}
	return s, nil
}

func (r *cursor) floats() storedFloats {
	byIndex := r.byte() == 1
	raw := r.take(4 * r.count())
	p := storedFloats{values: make([]float32, len(raw)/4)}
	for i := range p.values {
		p.values[i] = math.Float32frombits(binary.LittleEndian.Uint32(raw[4*i:]))
	}
	if byIndex {
		p.at = slices.Clone(r.take(r.uint()))
		for _, i := range p.at {
			if int(i) >= len(p.values) {
				r.bad = true
			}
		}
		if p.at == nil {
			p.at = []byte{}
		}
	}
	return p
}
