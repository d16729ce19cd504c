package refine

import (
	"math"
	"slices"

	"narrow/calibrate"
	"narrow/calibrate/observe"
	"narrow/diag"
	"narrow/engine"
	"narrow/graph"
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

// ways are how errors of a value are counted: by its channels, and all alike.
const ways = 2

// search is the search for the range of one tensor.
type search struct {
	t        *plan.Tensor
	channels channels
	weights  []uint64
	// choose and judge hold the values, weighted by what their channel counts, of
	// samples that choose and of those that judge. all holds every value of every
	// sample, where the method asks for that.
	choose, judge [ways]observe.Tally
	all           *observe.Tally
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
		for way := range into {
			into[way].Reach(e.Min, e.Max)
		}
		s.some(into, mine, shape)
	}
}

// some adds elements of one sample, of every channel alike many.
func (s *search) some(into *[ways]observe.Tally, x []float32, shape []int64) {
	add := func(x []float32, step, n int, weight uint64) {
		observe.AddTo(&into[0], &into[1], x, step, n, weight, 1)
	}
	count, inner := len(s.weights), 1
	axis := s.channels.axis
	if axis < 0 {
		axis = len(shape) - 1
	}
	if count == 0 || axis < 1 || axis >= len(shape) || int(shape[axis]) != count {
		step := (len(x) + elementsEach - 1) / elementsEach
		add(x, step, (len(x)+step-1)/step, 1)
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
			add(x[c:], step*count, rows, w)
		}
		return
	}
	step := (len(x) + elementsEach - 1) / elementsEach
	step |= 1 // not a part of the usual widths
	for o := range outer {
		for c, w := range s.weights {
			plane := x[(o*count+c)*inner:][:inner]
			from := c % min(step, inner)
			add(plane[from:], step, (inner-from+step-1)/step, w)
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

// plainly is the way that counts all errors alike.
const plainly = 1

// variants returns c with the ranges that cost least: by the layers that read them,
// by the values themselves, and by that at the network's outputs alone, where it is
// what counts.
func (r *ranges) variants(c *calibrate.Calibrated) []*calibrate.Calibrated {
	var out []*calibrate.Calibrated
	outputs, differ := c.Clone(), false
	for _, t := range r.plan.Activations() {
		if s := r.of(t); s != nil && slices.ContainsFunc(r.plan.Model.Graph.Outputs, func(v *graph.Value) bool { return v.Name == t.Name }) {
			if e, ok := s.best(plainly, c.Encodings[t]); ok {
				outputs.Encodings[t], differ = e, true
			}
		}
	}
	for way := range ways {
		v, differs := c.Clone(), false
		for _, t := range r.plan.Activations() {
			s := r.of(t)
			if s == nil {
				continue
			}
			if e, ok := s.best(way, c.Encodings[t]); ok {
				v.Encodings[t], differs = e, true
			}
		}
		if differs {
			v.Align()
			out = append(out, v)
		}
	}
	if differ {
		outputs.Align()
		out = append(out, outputs)
	}
	return out
}

// best returns the encoding that costs least on the samples that choose, where on
// those that judge it costs less than e.
func (s *search) best(way int, e scheme.Encoding) (scheme.Encoding, bool) {
	set := s.t.Settings.Settings
	choose, judge := &s.choose[way], &s.judge[way]
	if choose.Empty() || judge.Empty() || set.BitWidth > searchBits || len(e.Scale) != 1 {
		return e, false
	}
	found, least := e, cost(choose, e)
	try := func(c scheme.Encoding) bool {
		if v := cost(choose, c); v < least {
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
	return found, cost(judge, found) < cost(judge, e)
}

// parts are the parts of the whole range that are tried.
var parts = [...]float64{1, 0.96, 0.92, 0.88, 0.84, 0.8, 0.76, 0.72, 0.68, 0.64, 0.6, 0.56, 0.52, 0.48, 0.44, 0.4, 0.35, 0.3, 0.25, 0.2}

// extent returns the smallest and the largest value of all samples.
func (s *search) extent() (lo, hi float64) {
	a, b := s.choose[0].Extent()
	c, d := s.judge[0].Extent()
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

// cost is the sum of the squared differences that e makes to the values of t.
func cost(t *observe.Tally, e scheme.Encoding) float64 {
	scale, zero, lo, hi := float64(e.Scale[0]), float64(e.ZeroPoint[0]), float64(e.Min), float64(e.Max)
	sum := 0.0
	t.Each(func(v float64, w uint64) {
		// The round mode does not matter: a bin is no tie.
		q := min(max(math.RoundToEven(v/scale)+zero, lo), hi)
		d := v - float64((q-zero)*scale)
		sum += float64(float64(w) * float64(d*d))
	})
	return sum
}

// maxFix is the largest fix position of a bit width, as while calibrating.
func maxFix(bits int) int {
	if bits <= 8 {
		return 12
	}
	return 15
}
