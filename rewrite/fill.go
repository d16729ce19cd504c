package rewrite

import (
	"math"
	"slices"
)

// fill chooses by how many steps the channels of one value are multiplied.
type fill struct {
	r       ChannelRange
	negated []int
	gain    []float64 // what noise on a channel comes to behind the readers
	dense   []*denseReader
	steps   []int
	factor  []float64
	noise   float64 // the sum of gain by the square of the factor
	power   float64 // of all channels, as multiplied
}

// denseReader is a convolution whose weights of several channels share a row's
// scale.
type denseReader struct {
	in, rows int
	most     []float64 // the largest weight, by row and channel; 0 where the row reads none
	counts   float64   // by how much a row's square, times the power, counts
	// largest and second are the largest two of a row, each by the channel's factor,
	// at is where the first is.
	largest, second []float64
	at              []int
}

func newFill(r ChannelRange, convs []convWeights) *fill {
	n := len(r.Low)
	f := &fill{r: r, gain: make([]float64, n), steps: make([]int, n), factor: make([]float64, n)}
	f.r.Low, f.r.High = slices.Clone(r.Low), slices.Clone(r.High)
	for c := range n {
		if !r.Symmetric && -r.Low[c] > r.High[c] {
			f.r.Low[c], f.r.High[c] = -r.High[c], -r.Low[c]
			f.negated = append(f.negated, c)
		}
	}
	for _, c := range convs {
		squares := make([]float64, n)
		for i, x := range c.w {
			squares[c.InOf(i)] += float64(x) * float64(x)
		}
		signal := 0.0
		for k, s := range squares {
			signal += s * r.Power[k]
		}
		if signal == 0 {
			continue
		}
		for k, s := range squares {
			f.gain[k] += s / signal
		}
		if c.Groups == c.In {
			continue // each channel has a row of its own
		}
		d := &denseReader{
			in: n, rows: c.Out, most: make([]float64, n*c.Out), counts: 4 * float64(c.Kernel) / signal,
			largest: make([]float64, c.Out), second: make([]float64, c.Out), at: make([]int, c.Out),
		}
		for i, x := range c.w {
			at := c.OutOf(i)*n + c.InOf(i)
			d.most[at] = max(d.most[at], math.Abs(float64(x)))
		}
		f.dense = append(f.dense, d)
	}
	return f
}

func stepFactor(steps int) float64 { return math.Exp2(float64(steps) / octave) }

// Where the search begins: the lower end of the range by the upper one, and by which
// power of their ranges channels come to one.
var (
	lowerParts = [...]float64{0.02, 0.03, 0.05, 0.08, 0.12, 0.18, 0.25, 0.35, 0.5, 0.7, 1}
	powers     = [...]float64{1, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4}
)

// fillRounds is how often the channels are gone through.
const fillRounds = 4

// choose finds the steps, none of them below 0: the best of several beginnings, and
// from there channel by channel.
func (f *fill) choose() {
	best, least := slices.Clone(f.steps), math.Inf(1)
	for _, part := range lowerParts {
		for _, power := range powers {
			if len(f.dense) == 0 && power < 1 {
				break
			}
			f.begin(part, power)
			if v := f.cost(0, f.steps[0]); v < least {
				best, least = slices.Clone(f.steps), v
			}
		}
	}
	copy(f.steps, best)
	f.sums()
	for range fillRounds {
		before := least
		for c := range f.steps {
			if f.r.Low[c] == 0 && f.r.High[c] == 0 {
				continue // nothing is known of it
			}
			for _, d := range [...]int{-octave, -2, -1, 1, 2, octave} {
				k := f.steps[c] + d
				if k < 0 || k > mostSteps {
					continue
				}
				if v := f.cost(c, k); v < least*(1-1e-9) {
					least = v
					f.set(c, k)
				}
			}
		}
		if !(least < 0.999*before) {
			return
		}
	}
}

// begin brings the channels to one range, whose lower end is part of the upper one,
// or nearer to that by a power.
func (f *fill) begin(part, power float64) {
	size := make([]float64, len(f.steps))
	for c := range size {
		size[c] = math.Pow(max(f.r.High[c], -f.r.Low[c]/part), power)
	}
	top := slices.Max(size)
	for c, s := range size {
		f.steps[c] = 0
		if s > 0 && !math.IsInf(top/s, 0) {
			f.steps[c] = min(int(math.Floor(octave*math.Log2(top/s)+0.5)), mostSteps)
		}
	}
	f.sums()
}

// sums computes what the steps make of everything.
func (f *fill) sums() {
	f.noise, f.power = 0, 0
	for c, k := range f.steps {
		t := stepFactor(k)
		f.factor[c] = t
		f.noise += f.gain[c] / (t * t)
		f.power += f.r.Power[c] * t * t
	}
	for _, d := range f.dense {
		for o := range d.rows {
			d.scan(o, f.factor)
		}
	}
}

// scan finds the largest two weights of a row.
func (d *denseReader) scan(o int, factor []float64) {
	d.largest[o], d.second[o], d.at[o] = 0, 0, -1
	for c, m := range d.most[o*d.in : (o+1)*d.in] {
		switch v := m / factor[c]; {
		case v > d.largest[o]:
			d.largest[o], d.second[o], d.at[o] = v, d.largest[o], c
		case v > d.second[o]:
			d.second[o] = v
		}
	}
}

// cost is the noise, by that of 8 bits over a range of 1, were channel c to take k
// steps.
func (f *fill) cost(c, k int) float64 {
	t, was := stepFactor(k), f.factor[c]
	lo, hi := min(f.r.Low[c]*t, 0), max(f.r.High[c]*t, 0)
	for i, x := range f.factor {
		if i != c {
			lo, hi = min(lo, f.r.Low[i]*x), max(hi, f.r.High[i]*x)
		}
	}
	wide := hi - lo
	if f.r.Symmetric {
		wide = 2 * max(hi, -lo)
	}
	total := wide * wide * (f.noise + f.gain[c]*(1/(t*t)-1/(was*was)))
	power := f.power + f.r.Power[c]*(t*t-was*was)
	for _, d := range f.dense {
		squares := 0.0
		for o := range d.rows {
			m := d.largest[o]
			if d.at[o] == c {
				m = d.second[o]
			}
			m = max(m, d.most[o*d.in+c]/t)
			squares += m * m
		}
		total += squares * power * d.counts
	}
	return total
}

// set gives channel c k steps.
func (f *fill) set(c, k int) {
	t, was := stepFactor(k), f.factor[c]
	f.steps[c], f.factor[c] = k, t
	f.noise += f.gain[c] * (1/(t*t) - 1/(was*was))
	f.power += f.r.Power[c] * (t*t - was*was)
	for _, d := range f.dense {
		for o := range d.rows {
			if m := d.most[o*d.in+c]; d.at[o] == c || m/min(t, was) >= d.second[o] {
				d.scan(o, f.factor)
			}
		}
	}
}
