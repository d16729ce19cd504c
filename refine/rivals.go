package refine

import (
	"context"
	"math/bits"
	"slices"

	"narrow/calibrate"
	"narrow/calibrate/observe"
	"narrow/plan"
	"narrow/scheme"
)

// evidence is what samples tell of the values of a tensor: all samples, or all but those of
// one fold.
type evidence struct {
	lo, hi float64 // the smallest and the largest value, and 0
	all    *sided
	judged bool
	// choose are the values of all folds but one, judge those of that one; nil where there
	// are none, and where nothing is to be judged.
	choose, judge *sided
}

// values are those of all folds that v is of.
func (v *evidence) values() *sided {
	if v == nil {
		return nil
	}
	return v.all
}

// sided are values, and what to expect of more samples below and above.
type sided struct {
	values *observe.Sums
	tails  [2]tail
}

// none is the fold of no sample.
const none = -1

// A pooling puts what folds tell together, each set of them once.
type pooling struct {
	s *search
	// values and peaks are by set, with a bit for each fold; sums are of the values.
	values, peaks [1 << folds]*observe.Tally
	sums          [1 << folds]*observe.Sums
}

// pooled returns what a set of folds, which is not empty, tells, of one of p's kinds.
func (p *pooling) pooled(known *[1 << folds]*observe.Tally, kind func(*fold) *observe.Tally, set uint) *observe.Tally {
	if known[set] == nil {
		t := kind(&p.s.folds[bits.TrailingZeros(set)])
		if rest := set & (set - 1); rest != 0 {
			all := &observe.Tally{}
			all.Merge(p.pooled(known, kind, rest))
			all.Merge(t)
			t = all
		}
		known[set] = t
	}
	return known[set]
}

// sided returns the values of a set of folds, with what the peaks tell to expect; nil where
// there are none.
func (p *pooling) sided(set uint, peaks *observe.Tally) *sided {
	values := p.pooled(&p.values, func(f *fold) *observe.Tally { return &f.values }, set)
	if values.Empty() {
		return nil
	}
	if p.sums[set] == nil {
		p.sums[set] = values.Sums()
	}
	v := &sided{values: p.sums[set]}
	for i, side := range [...]float64{-1, 1} {
		v.tails[i] = tailOf(peaks, values, side)
	}
	return v
}

// evidence returns that of all folds but one; nil where there are no values.
func (p *pooling) evidence(without int, judged bool) *evidence {
	all := uint(1<<folds - 1)
	if without != none {
		all &^= 1 << without
	}
	peaks := p.pooled(&p.peaks, func(f *fold) *observe.Tally { return &f.peaks }, all)
	if peaks.Empty() {
		return nil
	}
	v := &evidence{all: p.sided(all, peaks), judged: judged}
	v.lo, v.hi, _ = p.s.extent(without)
	if judged {
		judge := all & -all // the first of them
		v.choose, v.judge = p.sided(all&^judge, peaks), p.sided(judge, peaks)
	}
	return v
}

// A rule makes a range out of evidence, the method's range e and the guide's, which may be
// no encoding, both as they are by the evidence.
type rule struct {
	of func(s *search, v *evidence, e, guide scheme.Encoding) scheme.Encoding
	// open says that ranges leave no room for what was not seen.
	open bool
	// least is how many samples it takes.
	least int
}

// rules are the rules that ranges are chosen by. The first one is safe: its ranges are no
// narrower than the method's and the guide's, and as much wider as what is to be expected of
// more samples asks for.
var rules = [...]rule{
	{of: func(s *search, v *evidence, e, guide scheme.Encoding) scheme.Encoding {
		e, _ = widened(e, s.safest(v, e))
		e, _ = widened(e, guide)
		return e
	}},
	// What costs least with what is to be expected of more samples, narrower or wider.
	{of: func(s *search, v *evidence, e, _ scheme.Encoding) scheme.Encoding {
		return s.cheapest(v, v.values(), e, 1, true)
	}},
	{open: true, of: func(_ *search, _ *evidence, e, guide scheme.Encoding) scheme.Encoding {
		e, _ = widened(e, guide)
		return e
	}},
	{open: true, least: plenty, of: func(_ *search, _ *evidence, e, _ scheme.Encoding) scheme.Encoding {
		return e
	}},
	// What costs least over these samples alone.
	{open: true, least: plenty, of: func(s *search, v *evidence, e, _ scheme.Encoding) scheme.Encoding {
		return s.reaching(v, s.cheapest(v, v.values(), e, 1, false), clippedLeast)
	}},
}

const (
	// clipping is what a square of the error of a clipped value counts for the safe
	// ranges.
	clipping = 2
	// clippedLeast is to what part of the values at hand a range reaches at least. A power
	// of two has no choice but a half.
	clippedLeast = 0.85
	// plenty is how many samples show what values are to be expected of others.
	plenty = 128
	// agreeing is from how many samples on folds are large enough to be asked for
	// agreement.
	agreeing = 16 * folds
	// mostWider is by how much a range is widened at most.
	mostWider = 2
)

// crossed is a calibration over all samples, and the same made without each fold of them.
type crossed struct {
	whole *calibrate.Calibrated
	parts [folds]*calibrate.Calibrated
	open  bool
}

// rivals returns c with ranges by each rule, of equal ones the first. A fix position, which
// has hardly a choice, is moved as far as large folds agree, and is the same for each. The
// guide's ranges are nil where the network is not scaled as the guide's is.
func (r *ranges) rivals(c, guide *calibrate.Calibrated) (out []crossed) {
	var used []rule
	for _, u := range rules {
		if c.Samples >= u.least {
			used = append(used, u)
		}
	}
	made := make([]crossed, len(used))
	for i, u := range used {
		made[i] = crossed{whole: c.Clone(), open: u.open}
		for f := range made[i].parts {
			made[i].parts[f] = c.Clone()
		}
	}
	guides := encodingsByName(guide)
	for _, t := range r.plan.Activations() {
		s := r.of(t)
		if s == nil || len(c.Encodings[t].Scale) != 1 {
			continue
		}
		own, of := c.Encodings[t], guides[t.Name]
		agree := own.FixPosition != nil && c.Samples >= agreeing
		pooling := &pooling{s: s}
		all := pooling.evidence(none, !agree)
		var parts [folds]*evidence
		for f := range parts {
			parts[f] = pooling.evidence(f, !agree)
		}
		for i, u := range used {
			whole := u.of(s, all, own, of)
			if agree {
				for _, v := range parts {
					whole = nearer(own, whole, u.of(s, v, own, of))
				}
			}
			whole = bounded(t, whole)
			made[i].whole.Encodings[t] = whole
			for f, v := range parts {
				e := whole
				if own.FixPosition == nil {
					e = bounded(t, u.of(s, v, s.held(f, own), s.held(f, of)))
				}
				made[i].parts[f].Encodings[t] = e
			}
		}
	}
	for _, x := range made {
		x.whole.Align()
		if slices.ContainsFunc(out, func(o crossed) bool { return r.alike(o.whole, x.whole) }) {
			continue
		}
		for _, p := range x.parts {
			p.Align()
		}
		out = append(out, x)
	}
	return out
}

// few returns c, calibrated on too few samples to choose by, with ranges no narrower than the
// guide's, or where its own are better beyond doubt with these. A fix position is made of few
// bits of what is seen, so the samples that it came from cannot judge it: it is widened.
func (r *ranges) few(ctx context.Context, j *jury, c, guide *calibrate.Calibrated) (*calibrate.Calibrated, error) {
	if guide == nil {
		return c, nil
	}
	wide, own, guides := c.Clone(), c.Clone(), encodingsByName(guide)
	for _, t := range r.plan.Activations() {
		e, ok := widened(c.Encodings[t], guides[t.Name])
		if !ok {
			continue
		}
		e = bounded(t, e)
		if wide.Encodings[t] = e; e.FixPosition != nil {
			own.Encodings[t] = e
		}
	}
	wide.Align()
	own.Align()
	if r.alike(wide, own) {
		return wide, nil
	}
	return j.ruled(ctx, c.Samples, []crossed{r.cross(wide), r.cross(own)})
}

// cross returns c, of any plan of the same network, with what its ranges would be without
// each fold: no wider than the values of the others.
func (r *ranges) cross(c *calibrate.Calibrated) crossed {
	out := crossed{whole: c}
	for f := range out.parts {
		out.parts[f] = c.Clone()
	}
	for _, t := range c.Plan.Activations() {
		by := r.by[t.Name]
		if len(by) == 0 {
			continue
		}
		for f, p := range out.parts {
			p.Encodings[t] = by[0].held(f, c.Encodings[t])
		}
	}
	for _, p := range out.parts {
		p.Align()
	}
	return out
}

func encodingsByName(c *calibrate.Calibrated) map[string]scheme.Encoding {
	out := map[string]scheme.Encoding{}
	if c != nil {
		for _, t := range c.Plan.Activations() {
			out[t.Name] = c.Encodings[t]
		}
	}
	return out
}

// alike reports whether all ranges are equal.
func (r *ranges) alike(a, b *calibrate.Calibrated) bool {
	return !slices.ContainsFunc(r.plan.Activations(), func(t *plan.Tensor) bool {
		x, y := a.Encodings[t], b.Encodings[t]
		return !slices.Equal(x.Scale, y.Scale) || !slices.Equal(x.ZeroPoint, y.ZeroPoint)
	})
}

// extent returns the smallest and the largest value of all folds but one, and 0, and
// whether there is any value.
func (s *search) extent(without int) (lo, hi float64, ok bool) {
	for i := range s.folds {
		if p := &s.folds[i].peaks; i != without && !p.Empty() {
			l, h := p.Extent()
			lo, hi, ok = min(lo, float64(l)), max(hi, float64(h)), true
		}
	}
	return lo, hi, ok
}

// held returns e as it would be without a fold: as much less beyond all values as the others
// reach less far, and else no wider than they are. A fix position stays.
func (s *search) held(without int, e scheme.Encoding) scheme.Encoding {
	least, most, ok := s.extent(without)
	if !ok || e.FixPosition != nil || len(e.Scale) != 1 {
		return e
	}
	from, to, _ := s.extent(none)
	end := func(e, part, whole float64) float64 {
		if whole > 0 && e > whole {
			return e * (part / whole)
		}
		return min(e, part)
	}
	lo, hi := ends(e)
	if s.t.Settings.Settings.Symmetry {
		hi = end(hi, max(most, -least), max(to, -from))
		return s.spanning(e, -hi, hi)
	}
	return s.spanning(e, -end(-lo, -least, -from), end(hi, most, to))
}

// reaching returns e, reaching to that part of the values at hand.
func (s *search) reaching(v *evidence, e scheme.Encoding, part float64) scheme.Encoding {
	if v == nil || e.FixPosition != nil || len(e.Scale) != 1 {
		return e
	}
	lo, hi := ends(e)
	return s.spanning(e, min(lo, part*v.lo), max(hi, part*v.hi))
}

// spanning returns e with other ends.
func (s *search) spanning(e scheme.Encoding, lo, hi float64) scheme.Encoding {
	from, to := ends(e)
	switch symmetric := s.t.Settings.Settings.Symmetry; {
	case to == hi && (from == lo || symmetric && -lo <= hi):
	case symmetric:
		scale := hi / float64(e.Max)
		if e.Min < 0 {
			scale = max(scale, lo/float64(e.Min))
		}
		e.Scale = []float32{max(float32(scale), 0x1p-126)}
	default:
		scale, zero := observe.Asymmetric(lo, hi, e.Max-e.Min)
		e.Scale, e.ZeroPoint = []float32{scale}, []int64{zero + e.Min}
	}
	return e
}

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

// safest returns what is cheapest on the values that choose, with what is expected of more
// samples, where on those that judge it costs less than e.
func (s *search) safest(v *evidence, e scheme.Encoding) scheme.Encoding {
	switch {
	case v == nil:
		return e
	case !v.judged:
		return s.cheapest(v, v.all, e, clipping, true)
	case v.judge == nil:
		return e
	}
	x := s.cheapest(v, v.choose, e, clipping, true)
	if judge := v.judge.costs(clipping, true); judge.of(x) >= judge.of(e) {
		return e
	}
	return x
}

// costs returns those over v, with a clipped square counting so much, and with what is
// expected of more samples or without.
func (v *sided) costs(clipping float64, more bool) *costs {
	c := &costs{values: v.values, clipping: clipping}
	if more {
		c.tails = v.tails
	}
	return c
}

// cheapest returns the encoding that costs least over values of the evidence: see
// [sided.costs].
func (s *search) cheapest(v *evidence, over *sided, e scheme.Encoding, clipping float64, more bool) scheme.Encoding {
	set := s.t.Settings.Settings
	if over == nil || set.BitWidth > searchBits || len(e.Scale) != 1 {
		return e
	}
	c := over.costs(clipping, more)
	found, least := e, c.of(e)
	try := func(x scheme.Encoding) bool {
		cost := c.below(x, least)
		if cost >= least {
			return false
		}
		found, least = x, cost
		return true
	}
	switch {
	case e.FixPosition != nil:
		for p := e.FixPosition[0] - 2; p <= e.FixPosition[0]+4; p++ {
			if p <= max(maxFix(set.BitWidth), e.FixPosition[0]) {
				try(withFix(e, []int{p}))
			}
		}
	case set.Symmetry:
		for _, part := range parts {
			try(s.spanning(e, part*v.lo, part*v.hi))
		}
	default:
		s.twoSided(v, e, try)
	}
	return found
}

// parts are the parts of the whole range that are tried.
var parts = [...]float64{1.6, 1.5, 1.4, 1.3, 1.2, 1.15, 1.1, 1.05, 1, 0.96, 0.92, 0.88, 0.84, 0.8, 0.76, 0.72, 0.68, 0.64, 0.6, 0.56, 0.52, 0.48, 0.44, 0.4, 0.35, 0.3, 0.25, 0.2}

// twoSided tries ranges with both ends of their own: one end after the other, twice where the
// other has moved.
func (s *search) twoSided(v *evidence, e scheme.Encoding, try func(scheme.Encoding) bool) {
	from, to := 1.0, 1.0
	at := func(from, to float64) bool { return try(s.spanning(e, v.lo*from, v.hi*to)) }
	at(1, 1)
	triedFrom, triedTo := 0.0, 0.0 // with which the other end was tried
	for range 2 {
		if v.hi > 0 && from != triedFrom {
			triedFrom = from
			for _, p := range parts {
				if at(from, p) {
					to = p
				}
			}
		}
		if v.lo < 0 && to != triedTo {
			triedTo = to
			for _, p := range parts {
				if at(p, to) {
					from = p
				}
			}
		}
	}
}

// nearer returns that of two fix positions which is nearer to e's, e where they lie on both
// sides of it.
func nearer(e, a, b scheme.Encoding) scheme.Encoding {
	x, y := a.FixPosition[0]-e.FixPosition[0], b.FixPosition[0]-e.FixPosition[0]
	switch {
	case x*y <= 0:
		return e
	case max(x, -x) < max(y, -y):
		return a
	}
	return b
}
