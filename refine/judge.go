package refine

import (
	"context"
	"crypto/sha256"
	"errors"
	"math"

	"narrow/calibrate"
	"narrow/diag"
	"narrow/engine"
	"narrow/graph"
	"narrow/graph/infer"
	"narrow/internal/footprint"
	"narrow/internal/kernel"
	"narrow/plan"
)

// jury compares whole networks with the float one, on samples that chose nothing.
type jury struct {
	run     engine.Runner
	pool    *kernel.Pool
	float   *graph.Model
	in      []*engine.Batch
	batch   int               // how many samples run at once
	samples int               // how many judge
	cut     []*engine.Batch   // as they run
	want    [][]engine.Tensor // the float network's outputs, by batch
	known   map[*calibrate.Calibrated][]errorsOf
	// anyOrder says that taps may see blocks of channels; loaded ran last.
	anyOrder bool
	loaded   loaded
}

// loaded is a quantized network that stays loaded, for calibrations whose constants
// are the same.
type loaded struct {
	plan      *plan.Plan
	constants [sha256.Size]byte // their digest
	taps      []plan.Tap
	session   engine.Session
}

// blocksFrom is how many elements the largest value of a sample has where loading a
// network for channels in blocks, which takes twice as long, pays over so few samples.
const blocksFrom = 1 << 18

// errorsOf are the errors of one batch, by output.
type errorsOf [][]squares

// exact is the ratio in dB at which an output counts as equal.
const exact = 120

// best returns the calibration whose worst output is nearest to the float network's
// on the first samples; of equals the first.
func (j *jury) best(ctx context.Context, samples int, cs ...*calibrate.Calibrated) (*calibrate.Calibrated, error) {
	var best *calibrate.Calibrated
	most := math.Inf(-1)
	for _, c := range cs {
		es, err := j.errors(ctx, c, samples)
		if err != nil {
			return nil, err
		}
		if v := worst(es, -1); best == nil || v > most {
			best, most = c, v
		}
	}
	return best, nil
}

// score returns how near the outputs of c are to the float network's, in dB: see
// [worst].
func (j *jury) score(ctx context.Context, c *calibrate.Calibrated) (float64, error) {
	es, err := j.errors(ctx, c, math.MaxInt)
	return worst(es, -1), err
}

// gain returns by how many dB c is nearer to the float network than other, and how much
// of that may be chance: its standard error, which each sample's part in it tells (the
// jackknife), and more than that where samples are few: they tell the error itself
// badly, and what they have seen of ranges makes up more of what they judge. The factor
// is what it took for small networks of several kinds not to lose on other samples.
func (j *jury) gain(ctx context.Context, c, other *calibrate.Calibrated) (gain, doubt float64, err error) {
	a, err := j.errors(ctx, c, math.MaxInt)
	if err != nil {
		return 0, 0, err
	}
	b, err := j.errors(ctx, other, math.MaxInt)
	if err != nil {
		return 0, 0, err
	}
	n := 0
	for _, e := range a {
		n = max(n, len(e))
	}
	if n == 0 {
		return 0, 0, nil // no output is of numbers
	}
	without := make([]float64, n)
	mean, square := 0.0, 0.0
	for i := range without {
		without[i] = worst(a, i) - worst(b, i)
		mean += without[i] / float64(n)
	}
	for _, d := range without {
		square += float64((d - mean) * (d - mean))
	}
	se := math.Sqrt(square * float64(n-1) / float64(n))
	return worst(a, -1) - worst(b, -1), (1 + 26/float64(n)) * se, nil
}

// errors returns what c gets wrong on at least the first samples, by output.
func (j *jury) errors(ctx context.Context, c *calibrate.Calibrated, samples int) ([][]squares, error) {
	if err := j.prepare(ctx); err != nil {
		return nil, err
	}
	upto := 0
	for n := 0; upto < len(j.cut) && n < samples; upto++ {
		n += j.cut[upto].Count
	}
	if from := len(j.known[c]); from < upto {
		hook, err := j.load(ctx, c)
		if err != nil {
			return nil, err
		}
		more := make([]errorsOf, upto-from)
		if err := j.outputs(ctx, j.loaded.session, hook, from, upto, func(i int, got []engine.Tensor) {
			e := make(errorsOf, len(got))
			for o, t := range got {
				e[o] = squaresOf(j.want[i][o], t, j.cut[i].Count)
			}
			more[i-from] = e
		}); err != nil {
			return nil, err
		}
		j.known[c] = append(j.known[c], more...)
	}
	all := make([][]squares, len(j.float.Graph.Outputs))
	for _, e := range j.known[c][:upto] {
		for o, s := range e {
			all[o] = append(all[o], s...)
		}
	}
	return all, nil
}

// prepare runs the float network, once.
func (j *jury) prepare(ctx context.Context) error {
	if j.want != nil {
		return nil
	}
	for b, err := range engine.Fit(batches(j.in), j.float, j.batch) {
		if err != nil {
			return err
		}
		j.cut = append(j.cut, b.Clone())
	}
	j.in = nil
	j.known = map[*calibrate.Calibrated][]errorsOf{}
	s, err := j.run.Load(ctx, j.float, engine.LoadOptions{Threads: 1, Unoptimized: footprint.Unoptimized(j.float)})
	if err != nil {
		return err
	}
	defer s.Close()
	j.want = make([][]engine.Tensor, len(j.cut))
	keep := func(i int, out []engine.Tensor) { j.want[i] = out }
	if err := j.outputs(ctx, s, nil, 0, min(1, len(j.cut)), keep); err != nil {
		return err
	}
	j.cut = j.cut[:j.room()]
	j.want = j.want[:len(j.cut)]
	for _, b := range j.cut {
		j.samples += b.Count
	}
	return j.outputs(ctx, s, nil, min(1, len(j.cut)), len(j.cut), keep)
}

// room returns how many batches judge, so that the float network's outputs, of which the
// first batch's are there, stay within bounds.
func (j *jury) room() int {
	n, bytes := 0, 0
	for i, b := range j.cut {
		if i == 0 {
			for _, t := range j.want[0] {
				bytes += 4 * len(t.Floats)
			}
			bytes /= max(b.Count, 1)
		}
		if n >= leastJudges && n*bytes > wantBytes {
			return i
		}
		n += b.Count
	}
	return len(j.cut)
}

// load loads the quantized network of c, where it is not there already, and returns what
// its taps do.
func (j *jury) load(ctx context.Context, c *calibrate.Calibrated) (engine.Hook, error) {
	constants, err := c.QuantizedConstants(j.pool)
	if err != nil {
		return nil, err
	}
	digest := sha256.New()
	for _, t := range c.Plan.Tensors {
		if x := constants[t]; x != nil {
			digest.Write(x.Raw)
		}
	}
	var sum [sha256.Size]byte
	digest.Sum(sum[:0])
	if l := &j.loaded; l.session == nil || l.plan != c.Plan || l.constants != sum {
		if err := j.close(); err != nil {
			return nil, err
		}
		sim, err := c.Plan.Simulation(plan.SimulationOptions{Replace: constants})
		if err != nil {
			return nil, diag.Errorf("building the quantized network: %w", err)
		}
		o := engine.LoadOptions{Threads: 1, Unoptimized: footprint.Unoptimized(c.Plan.Model)}
		if j.anyOrder {
			o.AnyOrder = func(int) bool { return true }
		}
		s, err := j.run.Load(ctx, sim.Model, o)
		if err != nil {
			return nil, err
		}
		j.loaded = loaded{c.Plan, sum, sim.Taps, s}
	}
	return c.Quantizer(&plan.Simulation{Taps: j.loaded.taps}, nil), nil
}

// close unloads what stayed loaded.
func (j *jury) close() error {
	s := j.loaded.session
	j.loaded = loaded{}
	if s == nil {
		return nil
	}
	return s.Close()
}

// outputs runs a network over some batches, each on one thread, and calls use with the
// outputs for each.
func (j *jury) outputs(ctx context.Context, s engine.Session, hook engine.Hook, from, upto int, use func(i int, out []engine.Tensor)) error {
	axes := infer.Batches(j.float).Outputs
	errs := make([]error, upto-from)
	j.pool.Run(len(errs), func(k int) {
		i := from + k
		out, err := engine.Outputs(ctx, s, j.cut[i], hook, j.float.Graph.Outputs, axes)
		if errs[k] = err; err == nil {
			use(i, out)
		}
	})
	return errors.Join(errs...)
}

// squares are the sums of the squares of one sample's values and of their errors.
type squares struct{ signal, noise float64 }

// squaresOf returns those of each sample of an output; none where it is not of
// floats or the float network's own is invalid.
func squaresOf(want, got engine.Tensor, count int) []squares {
	if want.Type != graph.Float32 || len(want.Floats) == 0 {
		return nil
	}
	if len(got.Floats) != len(want.Floats) {
		return []squares{{1, math.NaN()}} // never as good as any other
	}
	if len(want.Floats)%count != 0 {
		count = 1
	}
	per := len(want.Floats) / count
	var out []squares
	for i := range count {
		var e squares
		for k, v := range want.Floats[i*per : (i+1)*per] {
			d := float64(v) - float64(got.Floats[i*per+k])
			e.signal += float64(float64(v) * float64(v))
			e.noise += float64(d * d)
		}
		if !math.IsNaN(e.signal) && !math.IsInf(e.signal, 0) {
			out = append(out, e)
		}
	}
	return out
}

// worst returns how near outputs are to the float network's, in dB, of the worst one:
// half the ratio of signal to error over all samples, half the mean of every sample's
// own. The first is what matters, and hangs on few samples where these are few; the
// second is steady. One sample may be left out.
func worst(outputs [][]squares, without int) float64 {
	least := math.Inf(1)
	for _, es := range outputs {
		var all squares
		logs, n := 0.0, 0
		for i, e := range es {
			if i == without && len(es) > 1 {
				continue
			}
			all.signal += e.signal
			all.noise += e.noise
			logs += e.decibel()
			n++
		}
		if n > 0 {
			least = min(least, (all.decibel()+logs/float64(n))/2)
		}
	}
	return least
}

// decibel returns signal to noise in dB, within bounds.
func (e squares) decibel() float64 {
	switch {
	case math.IsNaN(e.noise):
		return -exact
	case e.noise == 0:
		return exact
	}
	return min(max(10*math.Log10(e.signal/e.noise), -exact), exact)
}
