package observe

import (
	"encoding/binary"
	"math"

	"narrow/diag"
	"narrow/internal/kernel"
)

var errTally = diag.Errorf("damaged tally")

// AppendBinary appends the tally's encoding: its extent, the bins' width, the zeros,
// and both sides' bins as varints, where a zero is followed by how many more there are.
func (t *Tally) AppendBinary(b []byte) ([]byte, error) {
	if t.Empty() {
		return append(b, 0), nil
	}
	b = append(b, 1)
	b = binary.LittleEndian.AppendUint32(b, math.Float32bits(t.extent.Min))
	b = binary.LittleEndian.AppendUint32(b, math.Float32bits(t.extent.Max))
	b = binary.AppendVarint(b, int64(t.exponent))
	b = binary.AppendUvarint(b, t.zero)
	for _, bins := range t.bins {
		for i := 0; i < len(bins); i++ {
			b = binary.AppendUvarint(b, bins[i])
			if bins[i] == 0 {
				run := 0
				for i+1 < len(bins) && bins[i+1] == 0 {
					run, i = run+1, i+1
				}
				b = binary.AppendUvarint(b, uint64(run))
			}
		}
	}
	return b, nil
}

// DecodeTally reads a tally that AppendBinary wrote from the start of b and returns
// what follows it.
func DecodeTally(b []byte) (t *Tally, rest []byte, err error) {
	r := &reader{b: b}
	switch r.byte() {
	case 0:
		if r.bad {
			return nil, nil, errTally
		}
		return &Tally{}, r.b, nil
	case 1:
	default:
		return nil, nil, errTally
	}
	if len(r.b) < 8 {
		return nil, nil, errTally
	}
	lo, hi := math.Float32frombits(binary.LittleEndian.Uint32(r.b)), math.Float32frombits(binary.LittleEndian.Uint32(r.b[4:]))
	r.b = r.b[8:]
	if e := kernel.MinMax([]float32{lo, hi}); !e.Finite || lo > hi {
		return nil, nil, errTally
	}
	t = &Tally{}
	t.Reach(lo, hi)
	if exponent := r.int(); exponent != int64(t.exponent) {
		return nil, nil, errTally
	}
	t.zero = r.uint(math.MaxUint64)
	for _, bins := range t.bins {
		for i := 0; i < len(bins); i++ {
			if bins[i] = r.uint(math.MaxUint64); bins[i] == 0 {
				i += int(r.uint(uint64(len(bins) - i - 1)))
			}
		}
	}
	if r.bad {
		return nil, nil, errTally
	}
	return t, r.b, nil
}
