package inspect

import (
	"math"

	"narrow/calibrate/observe"
	"narrow/evaluate"
	"narrow/internal/kernel"
	"narrow/scheme"
)

// blockLen is how many values one unit of work holds: as many as package
// kernel takes at once.
const blockLen = 1 << 15

// pairs compares values with their reference. Pairs in which one is not finite
// are left out.
type pairs struct {
	sums    kernel.ErrorSums
	invalid int64
}

// add compares some more.
func (p *pairs) add(pool *kernel.Pool, ref, test []float32) {
	parts := make([]pairs, blocks(len(ref)))
	pool.Run(len(parts), func(i int) {
		lo, hi := i*blockLen, min((i+1)*blockLen, len(ref))
		parts[i] = compare(ref[lo:hi], test[lo:hi])
	})
	for _, o := range parts {
		p.join(o)
	}
}

func (p *pairs) join(o pairs) { p.sums, p.invalid = p.sums.Join(o.sums), p.invalid+o.invalid }

func blocks(n int) int { return (n + blockLen - 1) / blockLen }

// compare compares one block.
func compare(ref, test []float32) pairs {
	if kernel.MinMax(ref).Finite && kernel.MinMax(test).Finite {
		return pairs{sums: (*kernel.Pool)(nil).Errors(ref, test)}
	}
	var r, t []float32
	for i := range ref {
		if finite(ref[i]) && finite(test[i]) {
			r, t = append(r, ref[i]), append(t, test[i])
		}
	}
	return pairs{(*kernel.Pool)(nil).Errors(r, t), int64(len(ref) - len(r))}
}

func finite(x float32) bool { return x-x == 0 }

// error returns what the pairs tell, or nil where there were none.
func (p pairs) error() *Error {
	if p.sums.N == 0 {
		return nil
	}
	if p.sums.DiffSquares == 0 {
		return &Error{SQNR: infinite(), Cosine: 1}
	}
	q := observe.Quality{Sums: p.sums}
	return &Error{SQNR: evaluate.Decibel(q.SQNR()), Cosine: q.Cosine(), MSE: q.MSE(), MaxDiff: p.sums.MaxDiff}
}

// quantizer stores values and reads them back.
type quantizer struct {
	s scheme.Settings
	e scheme.Encoding
}

// apply quantizes elements of a tensor with one scale.
func (q quantizer) apply(dst, src []float32) error {
	return observe.Apply(nil, dst, src, q.s, q.e, nil)
}

// grids returns where the integers lie, per channel or one for the tensor; nil
// for float types.
func (q quantizer) grids() []Grid {
	if q.s.Datatype != scheme.Int {
		return nil
	}
	gs := make([]Grid, len(q.e.Scale))
	for i, s := range q.e.Scale {
		zero := q.e.ZeroPoint[i]
		gs[i] = Grid{Step: float64(s), Low: float64(q.e.Min-zero) * float64(s), High: float64(q.e.Max-zero) * float64(s)}
	}
	return gs
}

// stats are what a tensor's float values tell.
type stats struct {
	own                                pairs
	elements, invalid, clipped, zeroed int64
	min, max                           float32
	count                              counter
}

// add takes some more values x; test puts those from index at on, stored and
// read back, into dst. grid is nil for float types.
func (s *stats) add(pool *kernel.Pool, x []float32, grid *Grid, test func(at int, dst, x []float32) error) error {
	x, test = s.sound(pool, x, test)
	if len(x) == 0 {
		return nil
	}
	e := pool.MinMax(x)
	if s.elements == 0 {
		s.min, s.max = e.Min, e.Max
	}
	s.min, s.max = min(s.min, e.Min), max(s.max, e.Max)
	s.elements += int64(len(x))
	s.count.widen(e.AbsMax())
	type part struct {
		own             pairs
		clipped, zeroed int64
		err             error
	}
	parts := make([]part, blocks(len(x)))
	pool.Run(len(parts), func(i int) {
		p := &parts[i]
		lo, hi := i*blockLen, min((i+1)*blockLen, len(x))
		x, stored := x[lo:hi], make([]float32, hi-lo)
		if p.err = test(lo, stored, x); p.err != nil {
			return
		}
		s.count.add(x)
		p.own = compare(x, stored)
		p.clipped, p.zeroed = clipped(x, stored, grid), zeroed(x, stored)
	})
	for _, p := range parts {
		if p.err != nil {
			return p.err
		}
		s.own.join(p.own)
		s.clipped += p.clipped
		s.zeroed += p.zeroed
	}
	return nil
}

// sound returns x without what cannot be counted.
func (s *stats) sound(pool *kernel.Pool, x []float32, test func(int, []float32, []float32) error) ([]float32, func(int, []float32, []float32) error) {
	if e := pool.MinMax(x); e.Finite && e.AbsMax() < most {
		return x, test
	}
	var good []float32
	var from []int
	for i, v := range x {
		if v > -most && v < most {
			good, from = append(good, v), append(from, i)
		}
	}
	s.invalid += int64(len(x) - len(good))
	return good, func(at int, dst, x []float32) error {
		for i := range x {
			j := from[at+i]
			if err := test(j, dst[i:i+1], x[i:i+1]); err != nil {
				return err
			}
		}
		return nil
	}
}

// clipped counts the values more than half a step beyond the grid; without
// one, those stored as infinite.
func clipped(x, stored []float32, grid *Grid) int64 {
	n := int64(0)
	if grid == nil {
		if !kernel.MinMax(stored).Finite {
			for _, v := range stored {
				if !finite(v) {
					n++
				}
			}
		}
		return n
	}
	low, high := grid.Low-grid.Step/2, grid.High+grid.Step/2
	if e := kernel.MinMax(x); float64(e.Min) >= low && float64(e.Max) <= high {
		return 0
	}
	for _, v := range x {
		if f := float64(v); f < low || f > high {
			n++
		}
	}
	return n
}

// zeroed counts the values that are not 0 and are stored as 0.
func zeroed(x, stored []float32) int64 {
	n := uint64(0)
	for i, v := range stored {
		n += isZero(v) &^ isZero(x[i]) // without a jump: which of them are 0 is hard to predict
	}
	return int64(n)
}

// isZero returns 1 for a zero of either sign, else 0.
func isZero(x float32) uint64 { return (uint64(math.Float32bits(x)<<1) - 1) >> 63 }

// into writes the statistics into t.
func (s *stats) into(t *Tensor) {
	t.Elements, t.Invalid, t.Min, t.Max = s.elements, s.invalid, s.min, s.max
	if s.elements > 0 {
		t.Clipped = float64(s.clipped) / float64(s.elements)
		t.Zeroed = float64(s.zeroed) / float64(s.elements)
	}
	t.Own = Error{SQNR: infinite(), Cosine: 1}
	if e := s.own.error(); e != nil {
		t.Own = *e
	}
	t.Histogram = s.count.histogram()
}
