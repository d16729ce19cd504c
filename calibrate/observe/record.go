package observe

import (
	"encoding/binary"
	"math"

	"narrow/diag"
	"narrow/internal/kernel"
)

// A Record is all that any settings can ask of one batch of one tensor (per
// tensor, not per channel): its extent, the histograms of its magnitudes, and
// the fix position that diffs finds for each bit width. An observer that is
// given the record finds what it would have found in the values, bit for bit.
// Its size does not depend on the number of values: 16 KiB in memory, and at
// most 20 KiB encoded, mostly about 3.
type Record struct {
	e        kernel.Extent
	neg, pos kernel.Histogram
	fix      [maxBits + 1]int8 // by bit width
}

const minBits, maxBits = 2, 32

// NewRecord returns the record of one batch x of the tensor name. An
// [*InvalidError] says that it holds NaN or Inf. It reads x some fifteen times:
// most bit widths need a search of their own.
func NewRecord(pool *kernel.Pool, name string, x []float32, shape []int64) (*Record, error) {
	r := &Record{e: pool.MinMax(x)}
	if !r.e.Finite {
		return nil, invalid(name, x, shape)
	}
	if limit := r.e.AbsMax(); limit > 0 {
		kernel.SignedHistogram(&r.neg, &r.pos, x, limit)
	}
	for bits := minBits; bits <= maxBits; bits++ {
		r.fix[bits] = int8(diffsFix(pool, x, r.e, bits))
	}
	return r, nil
}

func (r *Record) extent() kernel.Extent { return r.e }

func (r *Record) magnitudes(h *kernel.Histogram) {
	for i := range h {
		h[i] = r.neg[i] + r.pos[i]
	}
}

func (r *Record) signed(neg, pos *kernel.Histogram) { *neg, *pos = r.neg, r.pos }

func (r *Record) diffs(bits int) int { return int(r.fix[bits]) }

// ObserveRecord is Observe of the batch that r records. An observer with a
// scale per channel refuses it.
func (o *Observer) ObserveRecord(r *Record) error {
	if o.cfg.perChannel() {
		return diag.Errorf("tensor %q: a record holds no channels", o.cfg.Name)
	}
	if o.cfg.Low != o.cfg.High {
		return diag.Errorf("tensor %q: a record holds values beyond those that count", o.cfg.Name)
	}
	u, err := o.cfg.reduce(r)
	if err != nil {
		return err
	}
	return o.add([]unit{u})
}

// AppendBinary appends the record's encoding to b: the extent as two float32,
// the fix positions as bytes, and both histograms as varints, where a zero is
// followed by how many more zeros there are.
func (r *Record) AppendBinary(b []byte) ([]byte, error) {
	b = binary.LittleEndian.AppendUint32(b, math.Float32bits(r.e.Min))
	b = binary.LittleEndian.AppendUint32(b, math.Float32bits(r.e.Max))
	for _, p := range r.fix[minBits:] {
		b = append(b, byte(p))
	}
	for _, h := range []*kernel.Histogram{&r.neg, &r.pos} {
		for i := 0; i < len(h); i++ {
			b = binary.AppendUvarint(b, uint64(h[i]))
			if h[i] == 0 {
				run := 0
				for i+1 < len(h) && h[i+1] == 0 {
					run, i = run+1, i+1
				}
				b = binary.AppendUvarint(b, uint64(run))
			}
		}
	}
	return b, nil
}

var errRecord = diag.Errorf("damaged statistics record")

// DecodeRecord reads a record that AppendBinary wrote from the start of b and
// returns what follows it.
func DecodeRecord(b []byte) (r *Record, rest []byte, err error) {
	const head = 8 + maxBits - minBits + 1
	if len(b) < head {
		return nil, nil, errRecord
	}
	r = &Record{e: kernel.Extent{
		Min:    math.Float32frombits(binary.LittleEndian.Uint32(b)),
		Max:    math.Float32frombits(binary.LittleEndian.Uint32(b[4:])),
		Finite: true,
	}}
	if e := kernel.MinMax([]float32{r.e.Min, r.e.Max}); !e.Finite || r.e.Min > r.e.Max {
		return nil, nil, errRecord
	}
	for i, p := range b[8:head] {
		if int8(p) < minFix || int(int8(p)) > maxFix(maxBits) {
			return nil, nil, errRecord
		}
		r.fix[minBits+i] = int8(p)
	}
	b = b[head:]
	next := func(limit uint64) (v uint64, ok bool) {
		v, n := binary.Uvarint(b)
		if n <= 0 || v > limit {
			return 0, false
		}
		b = b[n:]
		return v, true
	}
	for _, h := range []*kernel.Histogram{&r.neg, &r.pos} {
		for i := 0; i < len(h); i++ {
			c, ok := next(math.MaxUint32)
			if !ok {
				return nil, nil, errRecord
			}
			h[i] = uint32(c)
			if c == 0 {
				run, ok := next(uint64(len(h) - i - 1))
				if !ok {
					return nil, nil, errRecord
				}
				i += int(run)
			}
		}
	}
	return r, b, nil
}
