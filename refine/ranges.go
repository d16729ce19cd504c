package refine

import (
	"narrow/calibrate"
	"narrow/calibrate/observe"
	"narrow/diag"
	"narrow/engine"
	"narrow/internal/kernel"
	"narrow/plan"
	"narrow/scheme"
)

// elementsEach is how many elements of a tensor one sample gives at most to the
// search for its range.
const elementsEach = 1 << 11

// searchBits is up to how many bits ranges are searched: finer steps than the
// bins of a tally show lose nothing worth searching for.
const searchBits = 10

// ranges searches the ranges of inputs and activations while samples pass.
type ranges struct {
	plan *plan.Plan
	pool *kernel.Pool
	keep *calibrate.Keeper
	by   map[string][]*search // by value
	// largest is the most elements that one sample has at one place.
	largest int64
}

// search is the search for the range of one tensor.
type search struct {
	t        *plan.Tensor
	channels channels
	weights  []uint64
	// folds hold what the samples tell, in parts: a sample's digest says which.
	folds [folds]fold
	// all holds every value of every sample, where the method asks for that.
	all *observe.Tally
	// bounded is memory for the values of one sample, where only some count.
	bounded []float32
}

// folds is into how many parts the samples are divided, so that each part judges what
// the others choose.
const folds = 4

// fold is what a part of the samples tells of a tensor: some values, weighted by what
// their channel counts, and the largest and the smallest value of every sample.
type fold struct{ values, peaks observe.Tally }

// foldOf returns the part of a sample by the last byte of its digest.
func foldOf(tag byte) int { return int(tag) * folds / 256 }

// newRanges returns the search for the activations of p.
func newRanges(p *plan.Plan, pool *kernel.Pool, k *calibrate.Keeper) *ranges {
	r := &ranges{plan: p, pool: pool, keep: k, by: map[string][]*search{}}
	counts := importance(p)
	for _, t := range p.Activations() {
		s := t.Settings.Settings
		if s.Datatype != scheme.Int {
			continue
		}
		one := &search{t: t, channels: counts[t]}
		if len(one.channels.weight) > 0 {
			one.weights = one.channels.integers()
		}
		if s.ScaleType == scheme.FloatScale && (s.Method != scheme.MaxMin || !s.Symmetry && s.Statistic == scheme.Max) {
			one.all = &observe.Tally{}
		}
		if one.all != nil || s.BitWidth <= searchBits {
			r.by[t.Name] = append(r.by[t.Name], one)
		}
	}
	return r
}

// watch takes the values of some samples.
func (r *ranges) watch(value string, b *engine.Batch, x []float32, shape []int64, n int) {
	r.largest = max(r.largest, int64(len(x)/n))
	for _, s := range r.by[value] {
		r.add(s, b, x, shape, n)
	}
}

func (r *ranges) add(s *search, b *engine.Batch, x []float32, shape []int64, n int) {
	per := len(x) / n
	for i := range n {
		mine := x[i*per : (i+1)*per]
		e := r.pool.MinMax(mine)
		if !e.Finite {
			continue // skipped, or the calibration stops anyway
		}
		if s.t.Bounded() {
			s.bounded = observe.Bounded(s.bounded[:0], mine, s.t.Low, s.t.High)
			mine, e = s.bounded, r.pool.MinMax(s.bounded)
		}
		if s.all != nil {
			s.all.Reach(e.Min, e.Max)
			if s.t.Settings.Settings.Method != scheme.MaxMin {
				s.all.Add(mine, 1, len(mine), 1)
			}
		}
		if s.t.Settings.Settings.BitWidth > searchBits {
			continue
		}
		into := &s.folds[foldOf(r.keep.Tag(b.First+i))]
		into.values.Reach(e.Min, e.Max)
		into.peaks.Reach(e.Min, e.Max)
		into.peaks.Add([]float32{e.Min, e.Max}, 1, 2, 1)
		s.some(&into.values, mine, shape)
	}
}

// some adds elements of one sample, of every channel alike many.
func (s *search) some(into *observe.Tally, x []float32, shape []int64) {
	count, inner := len(s.weights), 1
	axis := s.channels.axis
	if axis < 0 {
		axis = len(shape) - 1
	}
	if count == 0 || axis < 1 || axis >= len(shape) || int(shape[axis]) != count {
		step := (len(x) + elementsEach - 1) / elementsEach
		into.Add(x, step, (len(x)+step-1)/step, 1)
		return
	}
	for _, d := range shape[axis+1:] {
		inner *= int(d)
	}
	outer := len(x) / (count * inner)
	if inner == 1 {
		// Channels lie side by side: rows in their place.
		step := (len(x) + elementsEach - 1) / elementsEach
		rows := (outer + step - 1) / step
		for c, w := range s.weights {
			into.Add(x[c:], step*count, rows, w)
		}
		return
	}
	step := (len(x) + elementsEach - 1) / elementsEach
	step |= 1 // not a part of the usual widths
	for o := range outer {
		for c, w := range s.weights {
			plane := x[(o*count+c)*inner:][:inner]
			from := c % min(step, inner)
			into.Add(plane[from:], step, (inner-from+step-1)/step, w)
		}
	}
}

// room returns how many samples may choose, so that their values at one place of
// the network, twice, stay within bounds.
func (r *ranges) room() int {
	return max(min(int(laneBytes/max(8*3*r.largest, 1)), choosers), fewest/2)
}

// batch returns how many samples run at once.
func (r *ranges) batch() int {
	return max(min(int(batchBytes/max(4*r.largest, 1)), batch), 1)
}

// pooled gives the tensors of c the ranges of the method over all samples together,
// where it goes by a histogram, or by the largest of two-sided ranges: the scale of
// one sample and the zero point of another cover neither.
func (r *ranges) pooled(c *calibrate.Calibrated) error {
	for _, t := range r.plan.Activations() {
		s := r.of(t)
		if s == nil || s.all == nil || s.all.Empty() {
			continue
		}
		cfg := observe.Config{Name: t.Name, Settings: t.Settings.Settings, Kind: t.Kind, Axis: -1, Target: r.plan.Strategy.Target}
		e, err := cfg.EncodingOf(s.all, c.Encodings[t].Batches)
		if err != nil {
			return diag.Errorf("layer %s: %w", t.Layer.Name, err)
		}
		c.Encodings[t] = e
	}
	c.Align()
	return nil
}

// pools reports whether [ranges.pooled] finds the encoding of t.
func (r *ranges) pools(t *plan.Tensor) bool {
	s := r.of(t)
	return s != nil && s.all != nil
}

// of returns the search for t, or nil.
func (r *ranges) of(t *plan.Tensor) *search {
	for _, s := range r.by[t.Name] {
		if s.t == t {
			return s
		}
	}
	return nil
}

// bounded is e without what lies beyond the values of t that count.
func bounded(t *plan.Tensor, e scheme.Encoding) scheme.Encoding {
	if !t.Bounded() || e.FixPosition != nil || len(e.Scale) != 1 {
		return e
	}
	lo, hi := ends(e)
	low, high := max(lo, float64(t.Low)), min(hi, float64(t.High))
	switch {
	case low == lo && high == hi:
	case t.Settings.Settings.Symmetry:
		if s := float32(max(high/float64(e.Max), low/float64(e.Min))); s < e.Scale[0] {
			e.Scale = []float32{s}
		}
	default:
		scale, zero := observe.Asymmetric(low, high, e.Max-e.Min)
		e.Scale, e.ZeroPoint = []float32{scale}, []int64{zero + e.Min}
	}
	return e
}

// maxFix is the largest fix position of a bit width, as while calibrating.
func maxFix(bits int) int {
	if bits <= 8 {
		return 12
	}
	return 15
}
