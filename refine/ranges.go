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
	// choose and judge hold the values, weighted by what their channel counts, of
	// samples that choose and of those that judge, peaks the largest and the smallest
	// value of every sample. all holds every value of every sample, where the method asks
	// for that.
	choose, judge, peaks observe.Tally
	all                  *observe.Tally
	// bounded is memory for the values of one sample, where only some count.
	bounded []float32
}

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
		into := &s.choose
		if r.keep.Tag(b.First+i) < judging {
			into = &s.judge
		}
		into.Reach(e.Min, e.Max)
		s.peaks.Reach(e.Min, e.Max)
		s.peaks.Add([]float32{e.Min, e.Max}, 1, 2, 1)
		s.some(into, mine, shape)
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

// variants returns c with other ranges: first the safe ones, none of which is narrower
// than the method's or the guide's, and which are as much wider as what is to be expected
// of more samples asks for; then, where samples are plenty, those that cost least over
// these samples. A sample whose values are clipped far can cost more than what all others
// gain by finer steps, and may not be among those that judge.
//
// The guide's ranges are nil where the network is not scaled as the guide's is.
func (r *ranges) variants(c, guide *calibrate.Calibrated) (out []rival) {
	variant := func(handicap float64, choose func(t *plan.Tensor, s *search, e scheme.Encoding) (scheme.Encoding, bool)) {
		v, differs := c.Clone(), false
		for _, t := range r.plan.Activations() {
			if s := r.of(t); s != nil {
				if e, ok := choose(t, s, c.Encodings[t]); ok {
					v.Encodings[t], differs = bounded(t, e), true
				}
			}
		}
		if differs {
			v.Align()
			out = append(out, rival{v, handicap})
		}
	}
	guides := map[string]scheme.Encoding{}
	if guide != nil {
		for _, t := range guide.Plan.Activations() {
			guides[t.Name] = guide.Encodings[t]
		}
	}
	variant(safeHandicap, func(t *plan.Tensor, s *search, e scheme.Encoding) (scheme.Encoding, bool) {
		wide, chosen := s.best(e, true)
		w, wider := e, false
		if chosen {
			w, wider = widened(e, wide)
		}
		w, more := widened(w, guides[t.Name])
		return w, wider || more
	})
	if len(out) == 0 || c.Samples >= plenty {
		out = append(out, rival{c, methodHandicap})
	}
	if c.Samples >= plenty {
		variant(clippedHandicap, func(_ *plan.Tensor, s *search, e scheme.Encoding) (scheme.Encoding, bool) {
			narrow, ok := s.best(e, false)
			if !ok {
				return e, false
			}
			return s.reaching(narrow, clippedLeast), true
		})
	}
	return out
}

// The handicaps of the method's ranges, and of those that clip what they can.
const (
	safeHandicap    = 0
	methodHandicap  = 0.25
	clippedHandicap = 0
)

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

// clippedLeast is to what part of the values at hand a range reaches at least. A power of
// two has no choice but a half.
const clippedLeast = 0.85

// reaching returns e, reaching to that part of the values of all samples.
func (s *search) reaching(e scheme.Encoding, part float64) scheme.Encoding {
	if e.FixPosition != nil {
		return e
	}
	from, to := s.extent()
	lo, hi := ends(e)
	low, high := min(lo, part*from), max(hi, part*to)
	switch {
	case low == lo && high == hi:
	case s.t.Settings.Settings.Symmetry:
		e.Scale = []float32{float32(max(high/float64(e.Max), low/float64(e.Min)))}
	default:
		scale, zero := observe.Asymmetric(low, high, e.Max-e.Min)
		e.Scale, e.ZeroPoint = []float32{scale}, []int64{zero + e.Min}
	}
	return e
}

// plenty is how many samples show what values are to be expected of others.
const plenty = 128

// mostWider is by how much a range is widened at most: see [ranges.variants].
const mostWider = 2

// widened returns e with the range of other added, as far as that goes.
func widened(e, other scheme.Encoding) (scheme.Encoding, bool) {
	if len(e.Scale) != 1 || len(other.Scale) != 1 || e.Min != other.Min || e.Max != other.Max || (e.FixPosition == nil) != (other.FixPosition == nil) {
		return e, false
	}
	if e.FixPosition != nil {
		if p := e.FixPosition[0]; other.FixPosition[0] < p {
			return withFix(e, []int{p - 1}), true
		}
		return e, false
	}
	lo, hi := ends(e)
	low, high := ends(other)
	low, high = max(min(lo, low), mostWider*lo), min(max(hi, high), mostWider*hi)
	if low == lo && high == hi {
		return e, false
	}
	if e.ZeroPoint[0] == 0 && other.ZeroPoint[0] == 0 {
		e.Scale = []float32{min(other.Scale[0], mostWider*e.Scale[0])}
		return e, true
	}
	scale, zero := observe.Asymmetric(low, high, e.Max-e.Min)
	e.Scale, e.ZeroPoint = []float32{scale}, []int64{zero + e.Min}
	return e, true
}

// ends returns the smallest and the largest value of an encoding.
func ends(e scheme.Encoding) (lo, hi float64) {
	s := float64(e.Scale[0])
	return float64(e.Min-e.ZeroPoint[0]) * s, float64(e.Max-e.ZeroPoint[0]) * s
}

// best returns the encoding that costs least on the samples that choose, where on
// those that judge it costs less than e. With more, values of more samples are expected.
func (s *search) best(e scheme.Encoding, more bool) (scheme.Encoding, bool) {
	set := s.t.Settings.Settings
	if s.choose.Empty() || s.judge.Empty() || set.BitWidth > searchBits || len(e.Scale) != 1 {
		return e, false
	}
	choose, judge := s.costs(&s.choose, more), s.costs(&s.judge, more)
	found, least := e, choose.of(e)
	try := func(c scheme.Encoding) bool {
		if v := choose.of(c); v < least {
			found, least = c, v
			return true
		}
		return false
	}
	switch {
	case e.FixPosition != nil:
		for p := e.FixPosition[0] - 2; p <= e.FixPosition[0]+4; p++ {
			if p <= max(maxFix(set.BitWidth), e.FixPosition[0]) {
				try(withFix(e, []int{p}))
			}
		}
	case set.Symmetry:
		lo, hi := s.extent()
		whole := max(hi, -lo) / float64(e.Max)
		for _, part := range parts {
			c := e
			c.Scale = []float32{max(float32(whole*part), 0x1p-126)}
			try(c)
		}
	default:
		s.twoSided(e, try)
	}
	if least == 0 {
		return e, false
	}
	if !(judge.of(found) < judge.of(e)) {
		return e, false
	}
	return found, true
}

// parts are the parts of the whole range that are tried.
var parts = [...]float64{1.6, 1.5, 1.4, 1.3, 1.2, 1.15, 1.1, 1.05, 1, 0.96, 0.92, 0.88, 0.84, 0.8, 0.76, 0.72, 0.68, 0.64, 0.6, 0.56, 0.52, 0.48, 0.44, 0.4, 0.35, 0.3, 0.25, 0.2}

// extent returns the smallest and the largest value of all samples.
func (s *search) extent() (lo, hi float64) {
	a, b := s.choose.Extent()
	c, d := s.judge.Extent()
	return float64(min(a, c, 0)), float64(max(b, d, 0))
}

// twoSided tries ranges with both ends of their own: one end after the other.
func (s *search) twoSided(e scheme.Encoding, try func(scheme.Encoding) bool) {
	lo, hi := s.extent()
	from, to := 1.0, 1.0
	encoding := func(from, to float64) scheme.Encoding {
		c := e
		scale, zero := observe.Asymmetric(lo*from, hi*to, e.Max-e.Min)
		c.Scale, c.ZeroPoint = []float32{scale}, []int64{zero + e.Min}
		return c
	}
	try(encoding(1, 1))
	for range 2 {
		if hi > 0 {
			for _, p := range parts {
				if try(encoding(from, p)) {
					to = p
				}
			}
		}
		if lo < 0 {
			for _, p := range parts {
				if try(encoding(p, to)) {
					from = p
				}
			}
		}
	}
}

// maxFix is the largest fix position of a bit width, as while calibrating.
func maxFix(bits int) int {
	if bits <= 8 {
		return 12
	}
	return 15
}
