package observe

import (
	"math"

	"narrow/diag"
	"narrow/internal/kernel"
	"narrow/scheme"
)

// tallyBins is how many bins a [Tally] has on either side of zero. At least half
// of them are in use.
const tallyBins = 4096

// A Tally is a histogram of the values of one tensor over any number of batches,
// in fixed memory. Its bins are as wide as a power of two, the smallest with which
// they reach over all values so far: where a larger value comes, neighbours are
// added up. Weights are integers. So it is the same whatever the order of the
// values and however they are shared among tallies that are then merged.
type Tally struct {
	extent   kernel.Extent
	exponent int
	zero     uint64
	bins     [2][]uint64 // of the negative and of the positive values
}

// Empty reports whether nothing was added.
func (t *Tally) Empty() bool { return t.bins[0] == nil }

// Extent returns the smallest and the largest value.
func (t *Tally) Extent() (lo, hi float32) { return t.extent.Min, t.extent.Max }

// reach makes the bins reach over e.
func (t *Tally) reach(e kernel.Extent) {
	if t.Empty() {
		t.extent = e
		t.bins[0], t.bins[1] = make([]uint64, tallyBins), make([]uint64, tallyBins)
		t.exponent = math.MinInt16 // fits to zeros alone
	} else {
		t.extent.Min, t.extent.Max = min(t.extent.Min, e.Min), max(t.extent.Max, e.Max)
	}
	limit := float64(t.extent.AbsMax())
	if limit == 0 {
		return
	}
	// limit < 2^(need+12): Frexp's fraction is below 1.
	_, exp := math.Frexp(limit)
	t.widen(exp - 12)
}

func (t *Tally) widen(need int) {
	if t.exponent == math.MinInt16 {
		t.exponent = need
	}
	for ; t.exponent < need; t.exponent++ {
		for _, b := range t.bins {
			for i := range tallyBins / 2 {
				b[i] = b[2*i] + b[2*i+1]
			}
			clear(b[tallyBins/2:])
		}
	}
}

// Reach readies t for values between lo and hi, which must be finite.
func (t *Tally) Reach(lo, hi float32) { t.reach(kernel.Extent{Min: lo, Max: hi, Finite: true}) }

// inverse returns 1 by the width of the bins.
func (t *Tally) inverse() float32 {
	if t.exponent == math.MinInt16 {
		return 0
	}
	return float32(math.Ldexp(1, -t.exponent))
}

// Add adds count values of x, from the first every step-th, with that weight.
// [Tally.Reach] must have been called with a range that holds them.
func (t *Tally) Add(x []float32, step, count int, weight uint64) {
	inverse := t.inverse()
	if math.IsInf(float64(inverse), 0) {
		t.addTiny(x, step, count, weight)
		return
	}
	neg, pos := t.bins[0], t.bins[1]
	for i := 0; count > 0; i, count = i+step, count-1 {
		switch v := x[i]; {
		case v > 0:
			pos[int(v*inverse)&(tallyBins-1)] += weight
		case v < 0:
			neg[int(-v*inverse)&(tallyBins-1)] += weight
		default:
			t.zero += weight
		}
	}
}

// addTiny is Add where the inverse of the bins' width is no float32.
func (t *Tally) addTiny(x []float32, step, count int, weight uint64) {
	for i := 0; count > 0; i, count = i+step, count-1 {
		v := math.Ldexp(float64(x[i]), -t.exponent)
		switch {
		case v > 0:
			t.bins[1][int(v)&(tallyBins-1)] += weight
		case v < 0:
			t.bins[0][int(-v)&(tallyBins-1)] += weight
		default:
			t.zero += weight
		}
	}
}

// Merge adds what o holds, which stays as it is.
func (t *Tally) Merge(o *Tally) {
	if o.Empty() {
		return
	}
	t.reach(o.extent)
	t.zero += o.zero
	wider := t.exponent - o.exponent
	for s, b := range o.bins {
		into := t.bins[s]
		if wider == 0 {
			into = into[:len(b)]
			for i, w := range b {
				into[i] += w
			}
			continue
		}
		for i, w := range b {
			into[i>>wider] += w
		}
	}
}

// Reset empties t and keeps its memory.
func (t *Tally) Reset() {
	if t.Empty() {
		return
	}
	clear(t.bins[0])
	clear(t.bins[1])
	t.zero, t.extent, t.exponent = 0, kernel.Extent{Finite: true}, math.MinInt16
}

// Each calls f with the middle of every bin that is not empty, from the most
// negative up, and its weight; zeros are a bin of their own.
func (t *Tally) Each(f func(v float64, weight uint64)) {
	if t.Empty() {
		return
	}
	for i := tallyBins - 1; i >= 0; i-- {
		if w := t.bins[0][i]; w > 0 {
			f(-math.Ldexp(float64(i)+0.5, t.exponent), w)
		}
	}
	if t.zero > 0 {
		f(0, t.zero)
	}
	for i, w := range t.bins[1] {
		if w > 0 {
			f(math.Ldexp(float64(i)+0.5, t.exponent), w)
		}
	}
}

// Beyond is [Tally.Each] for the bins that lie beyond a magnitude on one side of zero, and
// one or two before that.
func (t *Tally) Beyond(magnitude float64, negative bool, f func(v float64, weight uint64)) {
	if t.Empty() {
		return
	}
	from := max(int(min(math.Ldexp(magnitude, -t.exponent), tallyBins))-1, 0)
	if negative {
		for i := tallyBins - 1; i >= from; i-- {
			if w := t.bins[0][i]; w > 0 {
				f(-math.Ldexp(float64(i)+0.5, t.exponent), w)
			}
		}
		return
	}
	for i := from; i < tallyBins; i++ {
		if w := t.bins[1][i]; w > 0 {
			f(math.Ldexp(float64(i)+0.5, t.exponent), w)
		}
	}
}

// pooled is a tally of unweighted values as evidence of one batch of all samples.
type pooled struct{ t *Tally }

func (p pooled) extent() kernel.Extent { return p.t.extent }

func (p pooled) magnitudes(h *kernel.Histogram) {
	var neg kernel.Histogram
	p.signed(&neg, h)
	for i, c := range neg {
		h[i] += c
	}
}

// signed fills both histograms over [0, largest]: a bin of the tally goes to the
// bin that its middle lies in. Counts beyond 32 bits are divided by a power of
// two, rounded up.
func (p pooled) signed(neg, pos *kernel.Histogram) {
	var sums [2][kernel.HistogramBins]uint64
	limit := float64(p.t.extent.AbsMax())
	var most uint64
	add := func(side int, v float64, w uint64) {
		i := min(int(v/limit*kernel.HistogramBins), kernel.HistogramBins-1)
		sums[side][i] += w
		most = max(most, sums[side][i])
	}
	p.t.Each(func(v float64, w uint64) {
		if v < 0 {
			add(0, -v, w)
		} else {
			add(1, v, w)
		}
	})
	shift := uint(0)
	for most>>shift >= math.MaxUint32>>2 {
		shift++
	}
	for side, h := range []*kernel.Histogram{neg, pos} {
		for i, w := range sums[side] {
			h[i] = uint32((w + 1<<shift - 1) >> shift)
		}
	}
}

func (p pooled) diffs(int) int { panic("observe: diffs over a tally") }

var errNothingTallied = diag.Errorf("nothing was observed")

// EncodingOf returns the encoding that the method gives for the values of t, all
// together, as if they were one batch: maxmin, percentile, entropy or mse with a
// float scale for the whole tensor. batches is what the encoding tells of.
func (c Config) EncodingOf(t *Tally, batches int) (scheme.Encoding, error) {
	if c.perChannel() || c.Settings.ScaleType != scheme.FloatScale {
		return scheme.Encoding{}, diag.Errorf("tensor %q: a tally serves one float scale", c.Name)
	}
	if t.Empty() {
		return scheme.Encoding{}, diag.Errorf("tensor %q: %w", c.Name, errNothingTallied)
	}
	u, err := c.reduce(pooled{t})
	if err != nil {
		return scheme.Encoding{}, err
	}
	e := scheme.Encoding{Axis: -1, Batches: batches, Scale: []float32{usable(u.scale)}, ZeroPoint: []int64{u.zero}}
	e.Min, e.Max = c.Settings.Range()
	return e, nil
}

// Asymmetric returns the scale and zero point that map lo..hi, made to contain 0,
// to the integers 0..steps.
func Asymmetric(lo, hi float64, steps int64) (scale float32, zeroPoint int64) {
	u := asymmetricScale(lo, hi, steps)
	return usable(u.scale), u.zero
}
