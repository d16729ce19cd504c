package observe

import (
	"errors"
	"math"
	"sync"

	"narrow/diag"
	"narrow/internal/kernel"
	"narrow/scheme"
)

// Observer gathers what the batches of one tensor give. It may be used by one
// goroutine at a time.
//
// Merging is commutative and associative and equals observing all batches with
// one observer, for every method: what a batch gives depends on that batch
// only, and the statistic on the multiset of what all gave. Regrouping values
// into other batches changes the result, except for the method maxmin with the
// statistic max.
type Observer struct {
	cfg   Config
	state State
}

// New returns an observer that has seen nothing, or an error when the settings
// cannot be calibrated: an enum without a value, a bit width outside 2..32, a
// method or statistic that the scale type does not have. For datatypes other
// than int it observes finiteness only.
func New(cfg Config) (*Observer, error) {
	if err := check(&cfg); err != nil {
		return nil, diag.Errorf("tensor %q: %w", cfg.Name, err)
	}
	return &Observer{cfg: cfg}, nil
}

func check(cfg *Config) error {
	s := &cfg.Settings
	if s.Datatype < scheme.Int || s.Datatype > scheme.Float32 {
		return diag.Errorf("%v is no datatype", s.Datatype)
	}
	if s.Datatype != scheme.Int {
		return nil
	}
	if cfg.Kind == scheme.Bias {
		s.Symmetry = true // a bias has no zero point
	}
	if cfg.Kind == scheme.Weights || cfg.Kind == scheme.Bias {
		s.Statistic = scheme.Modal // calibrated once
	}
	switch {
	case s.BitWidth < 2 || s.BitWidth > 32:
		return diag.Errorf("bit width %d is not in 2..32", s.BitWidth)
	case s.RoundMode < scheme.HalfEven || s.RoundMode > scheme.StdRound:
		return diag.Errorf("%v is no round mode", s.RoundMode)
	case s.Statistic < scheme.Modal || s.Statistic > scheme.Median:
		return diag.Errorf("%v is no statistic", s.Statistic)
	case s.Method == scheme.Percentile && !(s.Percentage > 0 && s.Percentage <= 100):
		return diag.Errorf("percentage %v is not in (0, 100]", s.Percentage)
	case s.PerChannel && cfg.Axis < 0:
		return diag.Errorf("per_channel without a channel axis")
	}
	switch s.ScaleType {
	case scheme.FloatScale:
		if s.Method < scheme.MaxMin || s.Method > scheme.MSE {
			return diag.Errorf("method %v does not go with a float scale", s.Method)
		}
		if !s.Symmetry && (s.Method == scheme.Entropy || s.Method == scheme.MSE) {
			return diag.Errorf("method %v does not go with symmetry false", s.Method)
		}
	case scheme.PowerOfTwo:
		if s.Method != scheme.Diffs && s.Method != scheme.MaxMin {
			return diag.Errorf("method %v does not go with a poweroftwo scale", s.Method)
		}
		if !s.Symmetry || !s.Signed {
			return diag.Errorf("a poweroftwo scale goes with signed and symmetric only")
		}
		if s.Statistic == scheme.Mean || s.Statistic == scheme.Median {
			return diag.Errorf("statistic %v does not go with a poweroftwo scale", s.Statistic)
		}
	default:
		return diag.Errorf("%v is no scale type", s.ScaleType)
	}
	return nil
}

// Config returns what the observer was made with.
func (o *Observer) Config() Config { return o.cfg }

// Observe takes one batch x of that shape. An error is an [*InvalidError] for
// NaN or Inf, or a [*NegativeError]; the observer is then as before.
func (o *Observer) Observe(x []float32, shape []int64) error {
	units, err := o.cfg.measure(x, shape)
	if err != nil {
		return err
	}
	return o.add(units)
}

// ObserveSamples takes n samples that lie one after the other in x, each as a
// batch of its own: the same as n calls of Observe, whatever n is. shape is
// that of all of x, its first axis a multiple of n. Samples are shared among
// the pool's workers. The error of the first bad sample is returned, counted
// from the first of x, and the observer is then as before.
func (o *Observer) ObserveSamples(x []float32, shape []int64, n int) error {
	if n < 1 || len(shape) == 0 || shape[0]%int64(n) != 0 || len(x)%n != 0 {
		return diag.Errorf("tensor %q of shape %v does not hold %d samples", o.cfg.Name, shape, n)
	}
	one := append([]int64{shape[0] / int64(n)}, shape[1:]...)
	size := len(x) / n
	units, errs := make([][]unit, n), make([]error, n)
	cfg := o.cfg
	if n > 1 {
		cfg.Pool = nil
	}
	o.cfg.Pool.Run(n, func(i int) {
		units[i], errs[i] = cfg.measure(x[i*size:(i+1)*size], one)
	})
	for i, err := range errs {
		var bad *InvalidError
		if errors.As(err, &bad) {
			bad.Index, bad.Sample = bad.Index+i*size, bad.Sample+i*int(one[0])
		}
		if err != nil {
			return err
		}
	}
	for _, u := range units {
		if err := o.add(u); err != nil {
			return err
		}
	}
	return nil
}

func (o *Observer) add(units []unit) error {
	if err := o.state.add(units, o.cfg.Settings.Statistic); err != nil {
		return diag.Errorf("tensor %q: %w", o.cfg.Name, err)
	}
	return nil
}

// Batches returns how many batches were observed.
func (o *Observer) Batches() int { return o.state.batches }

// Merge adds what other saw, whose configuration must be the same but for the pool.
func (o *Observer) Merge(other *Observer) error {
	a, b := o.cfg, other.cfg
	a.Pool, b.Pool = nil, nil
	if a != b {
		return diag.Errorf("tensor %q: observers with different settings do not merge", o.cfg.Name)
	}
	if err := o.state.Merge(&other.state); err != nil {
		return diag.Errorf("tensor %q: %w", o.cfg.Name, err)
	}
	return nil
}

// Encoding returns the encoding of the statistic so far, or an error when
// nothing was observed. For datatypes other than int it is empty but for Axis -1
// and Batches.
func (o *Observer) Encoding() (scheme.Encoding, error) {
	e := scheme.Encoding{Axis: -1, Batches: o.state.batches}
	s := o.cfg.Settings
	if s.Datatype != scheme.Int {
		return e, nil
	}
	if o.cfg.perChannel() {
		e.Axis = o.cfg.Axis
	}
	if o.state.batches == 0 {
		return e, diag.Errorf("tensor %q was never observed", o.cfg.Name)
	}
	e.Min, e.Max = s.Range()
	smallestFix := s.ScaleType == scheme.PowerOfTwo && o.cfg.Target != scheme.CPU && o.cfg.Target != scheme.GPU
	for i := range o.state.channels {
		u := o.state.channels[i].statistic(smallestFix)
		u.scale = representable(u, e.Min, e.Max, s.ScaleType)
		e.Scale = append(e.Scale, usable(u.scale))
		e.ZeroPoint = append(e.ZeroPoint, u.zero)
		if s.ScaleType == scheme.PowerOfTwo {
			e.FixPosition = append(e.FixPosition, -math.Ilogb(u.scale))
		}
	}
	return e, nil
}

// measure returns what one batch gives, per channel.
func (c Config) measure(x []float32, shape []int64) ([]unit, error) {
	if !c.perChannel() {
		e := c.Pool.MinMax(x)
		if !e.Finite {
			return nil, invalid(c.Name, x, shape)
		}
		if c.Low != c.High {
			bounded := bounds.Get().(*[]float32)
			defer bounds.Put(bounded)
			*bounded = Bounded((*bounded)[:0], x, c.Low, c.High)
			x, e = *bounded, c.Pool.MinMax(*bounded)
		}
		u, err := c.reduce(&values{x: x, e: e, pool: c.Pool})
		return []unit{u}, err
	}
	if c.Axis >= len(shape) {
		return nil, diag.Errorf("tensor %q of shape %v has no axis %d", c.Name, shape, c.Axis)
	}
	l := kernel.NewLayout(shape, c.Axis)
	if l.Len() != len(x) {
		return nil, diag.Errorf("tensor %q of shape %v has %d elements", c.Name, shape, len(x))
	}
	extents := c.Pool.MinMaxChannels(x, l)
	for _, e := range extents {
		if !e.Finite {
			return nil, invalid(c.Name, x, shape)
		}
	}
	units, errs := make([]unit, l.Channels), make([]error, l.Channels)
	c.Pool.Run(l.Channels, func(ch int) {
		units[ch], errs[ch] = c.reduce(&values{x: gather(x, l, ch), e: extents[ch]})
	})
	return units, errors.Join(errs...)
}

// bounds spares an allocation per batch; its contents never matter.
var bounds = sync.Pool{New: func() any { return new([]float32) }}

// Bounded appends x to dst, with low and high for what lies beyond.
func Bounded(dst, x []float32, low, high float32) []float32 {
	for _, v := range x {
		dst = append(dst, min(max(v, low), high))
	}
	return dst
}

// gather returns channel ch of x in one piece.
func gather(x []float32, l kernel.Layout, ch int) []float32 {
	if l.Outer == 1 {
		return x[ch*l.Inner : (ch+1)*l.Inner]
	}
	out := make([]float32, 0, l.Outer*l.Inner)
	for o := range l.Outer {
		at := (o*l.Channels + ch) * l.Inner
		out = append(out, x[at:at+l.Inner]...)
	}
	return out
}

// evidence is what is known of one batch of one channel: its values, or a
// record of them.
type evidence interface {
	extent() kernel.Extent
	// magnitudes counts them over [0, largest]; only for extents that are not 0.
	magnitudes(h *kernel.Histogram)
	// signed is magnitudes with the negative values apart.
	signed(neg, pos *kernel.Histogram)
	// diffs is the fix position of the method diffs.
	diffs(bits int) int
}

// values are evidence at first hand.
type values struct {
	x    []float32
	e    kernel.Extent
	pool *kernel.Pool
}

func (v *values) extent() kernel.Extent          { return v.e }
func (v *values) magnitudes(h *kernel.Histogram) { v.pool.AbsHistogram(h, v.x, v.e.AbsMax()) }
func (v *values) signed(neg, pos *kernel.Histogram) {
	kernel.SignedHistogram(neg, pos, v.x, v.e.AbsMax())
}
func (v *values) diffs(bits int) int { return diffsFix(v.pool, v.x, v.e, bits) }

// reduce returns what a batch gives one channel.
func (c Config) reduce(ev evidence) (unit, error) {
	s, e := c.Settings, ev.extent()
	if s.Datatype != scheme.Int {
		return unit{}, nil
	}
	if s.Symmetry && !s.Signed && e.Min < 0 {
		return unit{}, &NegativeError{Tensor: c.Name, Min: e.Min, Max: e.Max}
	}
	if s.ScaleType == scheme.PowerOfTwo {
		if s.Method == scheme.Diffs && !c.GraphInput {
			return fixUnit(ev.diffs(s.BitWidth)), nil
		}
		return fixUnit(maxminFix(e, s.BitWidth)), nil
	}
	lo, hi := s.Range()
	limit := e.AbsMax()
	method := s.Method
	if limit == 0 {
		method = scheme.MaxMin
	}
	if method == scheme.MaxMin {
		if !s.Symmetry {
			return asymmetricScale(float64(e.Min), float64(e.Max), hi-lo), nil
		}
		return symmetricScale(limit, hi), nil
	}
	h := histograms.Get().(*[2]kernel.Histogram)
	defer histograms.Put(h)
	if !s.Symmetry {
		ev.signed(&h[0], &h[1])
		from, to := twoSided(&h[0], &h[1], e, limit, s.Percentage)
		return asymmetricScale(from, to, hi-lo), nil
	}
	ev.magnitudes(&h[0])
	switch method {
	case scheme.Entropy:
		levels := int64(1) << s.BitWidth
		if s.Signed {
			levels >>= 1
		}
		return symmetricScale(edge(limit, entropyBin(&h[0], levels)), hi), nil
	case scheme.MSE:
		return symmetricScale(mseCenter(&h[0], limit, hi, s.RoundMode), hi), nil
	}
	return symmetricScale(percentile(&h[0], limit, s.Percentage), hi), nil
}

// histograms spares an allocation per batch; its contents never matter.
var histograms = sync.Pool{New: func() any { return new([2]kernel.Histogram) }}
