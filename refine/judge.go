package refine

import (
	"context"
	"crypto/sha256"
	"errors"
	"math"
	"slices"

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
	folds   [][]*engine.Batch // instead of in, the samples by fold
	batch   int               // how many samples run at once
	samples int               // how many judge
	cut     []*engine.Batch   // as they run
	fold    []int             // of each batch
	values  []*graph.Value    // the outputs, and behind them what goes into their Softmax
	soft    []int             // by output: which of values that is, or 0
	want    [][]engine.Tensor // the float network's outputs, by batch, as far as it has run
	known   map[*calibrate.Calibrated][]errorsOf
	// limit is how many samples judge at most for now, where it is not 0.
	limit int
	// anyOrder says that taps may see blocks of channels; loaded ran last.
	anyOrder bool
	loaded   loaded
}

// loaded is a quantized network that stays loaded, for calibrations whose constants
// are the same.
type loaded struct {
	plan      *plan.Plan
	of        *calibrate.Calibrated
	constants [sha256.Size]byte // their digest
	taps      []plan.Tap
	reads     reads
	session   engine.Session
}

// blocksFrom is how many elements the largest value of a sample has where loading a
// network for channels in blocks, which takes twice as long, pays over so few samples.
const blocksFrom = 1 << 18

// errorsOf are the errors of one batch, by output.
type errorsOf []errorOf

// errorOf is the error of an output over some samples: the squares of each, or, where a
// Softmax makes the output, what went into that.
type errorOf struct {
	each   []squares
	logits *logits
	cuts   []cuts
}

// exact is the ratio in dB at which an output counts as equal.
const exact = 120

// A rival is a calibration, and by how many dB it has to be better than others, which are
// safer.
type rival struct {
	c        *calibrate.Calibrated
	handicap float64
}

// safest returns the rival that is best on the first samples, handicaps counted; of equals
// the first.
func (j *jury) safest(ctx context.Context, samples int, rivals ...rival) (*calibrate.Calibrated, error) {
	var best *calibrate.Calibrated
	var of []wrong
	most := math.Inf(-1)
	for _, r := range rivals {
		es, err := j.errors(ctx, r.c, samples)
		if err != nil {
			return nil, err
		}
		better := best == nil
		v := worst(es, -1) - r.handicap
		if !better {
			side, _ := spared(es, of)
			better = side > 0 || side == 0 && v > most
		}
		if better {
			best, of, most = r.c, es, v
		}
	}
	return best, nil
}

// crossRuled is [jury.ruled] over samples by fold, of which j takes over what is loaded.
func (j *jury) crossRuled(ctx context.Context, byFold [][]*engine.Batch, samples int, rivals []crossed) (*calibrate.Calibrated, error) {
	cross := &jury{run: j.run, pool: j.pool, float: j.float, folds: byFold, batch: j.batch, anyOrder: j.anyOrder}
	best, err := cross.ruled(ctx, samples, rivals)
	if err != nil {
		return nil, errors.Join(err, cross.close())
	}
	j.loaded = cross.loaded
	return best, nil
}

// ruled returns the calibration whose ranges are best where samples judge that had no part in
// them. Another has to be better than the best before it, beyond doubt unless it leaves room
// for what was not seen and samples are plenty; one that is open counts as if one more sample
// than there are had come and been clipped.
func (j *jury) ruled(ctx context.Context, samples int, rivals []crossed) (*calibrate.Calibrated, error) {
	if len(rivals) == 1 {
		return rivals[0].whole, nil
	}
	var of []wrong
	best := rivals[0]
	for i, r := range rivals {
		es, err := j.crossErrors(ctx, r)
		if err != nil {
			return nil, err
		}
		if i == 0 || surplus(es, of, r.open, best.open, samples) > 0 {
			best, of = r, es
		}
	}
	return best.whole, nil
}

// surplus returns by how many dB one of [jury.ruled] is better than the best before it, each
// of which is safer.
func surplus(es, of []wrong, open, before bool, samples int) float64 {
	v := gainOf(es, of)
	if v.side != 0 {
		return float64(v.side) * exact
	}
	gain := v.gain
	if open {
		gain -= unseen(worst(es, -1), samples)
	}
	if before {
		gain += unseen(worst(of, -1), samples)
	}
	if open || samples < plenty {
		gain -= v.doubt
	}
	return gain
}

// crossGain is [jury.gain] where the ranges of both are judged by samples that had no part in
// them.
func (j *jury) crossGain(ctx context.Context, c, other crossed) (verdict, error) {
	a, err := j.crossErrors(ctx, c)
	if err != nil {
		return verdict{}, err
	}
	b, err := j.crossErrors(ctx, other)
	if err != nil {
		return verdict{}, err
	}
	v := gainOf(a, b)
	v.samples = j.samples
	return v, nil
}

// clippedError is the error of an output, as a part of its signal, whose sample reaches far
// beyond a range somewhere in the network.
const clippedError = 0.03

// unseen returns by how many dB less a ratio is when one more sample than there are comes
// with [clippedError]: that the next one exceeds all of n has a chance of 1 in n+1.
func unseen(decibel float64, samples int) float64 {
	return 10 * math.Log10(1+clippedError/float64(samples+1)*math.Pow(10, decibel/10))
}

// score returns how near the outputs of c are to the float network's, in dB: see
// [worst].
func (j *jury) score(ctx context.Context, c *calibrate.Calibrated) (float64, error) {
	es, err := j.errors(ctx, c, math.MaxInt)
	return worst(es, -1), err
}

// A verdict is by how many dB a result is nearer to the float network than another, and how
// much of that may be chance: a part of its standard error, which each sample's part in it
// tells (the jackknife). What is chosen with care is better more often than not, so less than
// one is asked for.
type verdict struct {
	gain, doubt float64
	samples     int // how many judged
	// side is above 0 where the result keeps slices of an output alive that are dead in the
	// other, below where the other does, and then decides; lost are these slices.
	side int
	lost lost
}

// better reports whether the result is to be taken, inDoubt unless it is worse beyond
// doubt.
func (v verdict) better(inDoubt bool) bool {
	if v.side != 0 {
		return v.side > 0
	}
	return v.nearer(inDoubt)
}

// nearer is [verdict.better] where no slice decides.
func (v verdict) nearer(inDoubt bool) bool { return v.gain >= v.doubt || inDoubt && v.gain >= -v.doubt }

// gain compares c with other.
func (j *jury) gain(ctx context.Context, c, other *calibrate.Calibrated) (verdict, error) {
	a, err := j.errors(ctx, c, math.MaxInt)
	if err != nil {
		return verdict{}, err
	}
	b, err := j.errors(ctx, other, math.MaxInt)
	if err != nil {
		return verdict{}, err
	}
	return gainOf(a, b), nil
}

// gainOf is [jury.gain] of what was measured, of both in the same way.
func gainOf(a, b []wrong) (v verdict) {
	a, b = slices.Clone(a), slices.Clone(b)
	for o := range a {
		if (a[o].pairs == nil) != (b[o].pairs == nil) {
			a[o].pairs, b[o].pairs = nil, nil
		}
	}
	n := 0
	for _, e := range a {
		n = max(n, len(e.each))
	}
	if n == 0 {
		return v // no output is of numbers
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
	v.gain, v.doubt = worst(a, -1)-worst(b, -1), doubted*math.Sqrt(square*float64(n-1)/float64(n))
	v.side, v.lost = spared(a, b)
	return v
}

// doubted is which part of its standard error a gain has to be of.
const doubted = 0.5

// errors returns what c gets wrong on at least the first samples, by output.
func (j *jury) errors(ctx context.Context, c *calibrate.Calibrated, samples int) ([]wrong, error) {
	if j.limit > 0 {
		samples = min(samples, j.limit)
	}
	upto, err := j.prepare(ctx, samples)
	if err != nil {
		return nil, err
	}
	if from := len(j.known[c]); from < upto {
		more, err := j.measured(ctx, c, from, upto)
		if err != nil {
			return nil, err
		}
		j.known[c] = append(j.known[c], more...)
	}
	return j.summed(c, j.known[c][:upto])
}

// crossErrors returns what a calibration gets wrong, by output, each sample being run with
// what was made without it.
func (j *jury) crossErrors(ctx context.Context, c crossed) ([]wrong, error) {
	if _, err := j.prepare(ctx, math.MaxInt); err != nil {
		return nil, err
	}
	var all []errorsOf
	for from := 0; from < len(j.cut); {
		upto := from + 1
		for upto < len(j.cut) && j.fold[upto] == j.fold[from] {
			upto++
		}
		more, err := j.measured(ctx, c.parts[j.fold[from]], from, upto)
		if err != nil {
			return nil, err
		}
		all = append(all, more...)
		from = upto
	}
	return j.summed(c.whole, all)
}

// measured returns the errors of some batches.
func (j *jury) measured(ctx context.Context, c *calibrate.Calibrated, from, upto int) ([]errorsOf, error) {
	hook, err := j.load(ctx, c)
	if err != nil {
		return nil, err
	}
	return j.measuredBy(ctx, hook, from, upto)
}

// measuredBy returns the errors of some batches in the network that is loaded.
func (j *jury) measuredBy(ctx context.Context, hook engine.Hook, from, upto int) ([]errorsOf, error) {
	out := make([]errorsOf, upto-from)
	return out, j.outputs(ctx, j.loaded.session, hook, j.loaded.reads, from, upto, func(i int, got []engine.Tensor) {
		e := make(errorsOf, len(j.float.Graph.Outputs))
		for o := range e {
			e[o].each = squaresOf(j.want[i][o], got[o], j.cut[i].Count)
			if k := j.soft[o]; k > 0 {
				e[o].logits = logitsOf(j.want[i][k], got[k], j.cut[i].Count)
			} else {
				e[o].cuts = cutsOf(j.want[i][o], got[o])
			}
		}
		out[i-from] = e
	})
}

// summed puts the errors of batches together.
func (j *jury) summed(c *calibrate.Calibrated, batches []errorsOf) ([]wrong, error) {
	all := make([]wrong, len(j.float.Graph.Outputs))
	for o := range all {
		var l *logits
		for i, e := range batches {
			all[o].each = append(all[o].each, e[o].each...)
			if i == 0 {
				l = &logits{}
			}
			l = l.with(e[o].logits)
			all[o].cuts = merged(all[o].cuts, e[o].cuts, i == 0)
		}
		if l != nil {
			var err error
			if all[o].pairs, err = l.pairs(quantizerOf(c, j.float.Graph.Outputs[o].Name)); err != nil {
				return nil, err
			}
		}
	}
	return all, nil
}

// prepare runs the float network over at least the first samples, where it has not yet, and
// returns how many batches these are.
func (j *jury) prepare(ctx context.Context, samples int) (upto int, err error) {
	if j.known == nil {
		if err := j.gather(); err != nil {
			return 0, err
		}
	}
	for n := 0; upto < len(j.cut) && n < samples; upto++ {
		n += j.cut[upto].Count
	}
	if upto <= len(j.want) {
		return upto, nil
	}
	reads := j.reads(j.float)
	s, err := j.run.Load(ctx, j.float, engine.LoadOptions{Threads: 1, Outputs: reads.names, Unoptimized: footprint.Unoptimized(j.float)})
	if err != nil {
		return 0, err
	}
	defer s.Close()
	more := func(upto int) error {
		from := len(j.want)
		out := make([][]engine.Tensor, upto-from)
		if err := j.outputs(ctx, s, nil, reads, from, upto, func(i int, got []engine.Tensor) { out[i-from] = got }); err != nil {
			return err
		}
		j.want = append(j.want, out...)
		return nil
	}
	if len(j.want) == 0 {
		if err := more(1); err != nil {
			return 0, err
		}
		j.checkSoftmax()
		j.cut = j.cut[:j.room()]
		for _, b := range j.cut {
			j.samples += b.Count
		}
		upto = min(upto, len(j.cut))
	}
	return upto, more(upto)
}

// checkSoftmax forgets what goes into a Softmax where the outputs of the first batch are not
// made so.
func (j *jury) checkSoftmax() {
	for o, k := range j.soft {
		if k > 0 && !logitsOf(j.want[0][k], j.want[0][k], j.cut[0].Count).is(j.want[0][o].Floats) {
			j.soft[o] = 0
		}
	}
}

// gather cuts the samples as they run, and finds what is read of a network.
func (j *jury) gather() error {
	groups := j.folds
	if groups == nil {
		groups = [][]*engine.Batch{j.in}
	}
	for f, units := range groups {
		for b, err := range engine.Fit(batches(units), j.float, j.batch) {
			if err != nil {
				return err
			}
			j.cut, j.fold = append(j.cut, b.Clone()), append(j.fold, f)
		}
	}
	j.in, j.folds = nil, nil
	j.known = map[*calibrate.Calibrated][]errorsOf{}
	j.values = slices.Clone(j.float.Graph.Outputs)
	j.soft = make([]int, len(j.values))
	for o, v := range j.float.Graph.Outputs {
		if in := softmaxInput(j.float, v.Name); in != "" {
			j.soft[o] = len(j.values)
			j.values = append(j.values, &graph.Value{Name: in})
		}
	}
	return nil
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
	if l := &j.loaded; l.session != nil && sameConstants(l.of, c) {
		return c.Quantizer(&plan.Simulation{Taps: l.taps}, nil), nil
	}
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
		reads := j.reads(sim.Model)
		o := engine.LoadOptions{Threads: 1, Outputs: reads.names, Unoptimized: footprint.Unoptimized(c.Plan.Model)}
		if j.anyOrder {
			o.AnyOrder = func(int) bool { return true }
		}
		s, err := j.run.Load(ctx, sim.Model, o)
		if err != nil {
			return nil, err
		}
		j.loaded = loaded{c.Plan, c, sum, sim.Taps, reads, s}
	}
	return c.Quantizer(&plan.Simulation{Taps: j.loaded.taps}, nil), nil
}

// sameConstants reports whether a and b are of one plan, and made of the same constants in the
// same way. Others may come to the same.
func sameConstants(a, b *calibrate.Calibrated) bool {
	same := func(x, y []float32) bool { return len(x) == len(y) && (len(x) == 0 || &x[0] == &y[0]) }
	return a.Plan == b.Plan && !slices.ContainsFunc(a.Plan.Tensors, func(t *plan.Tensor) bool {
		x, y := a.Encodings[t], b.Encodings[t]
		return t.Constant != nil && !(slices.Equal(x.Scale, y.Scale) && slices.Equal(x.ZeroPoint, y.ZeroPoint) && slices.Equal(x.FixPosition, y.FixPosition) &&
			same(a.Bias[t], b.Bias[t]) && a.Weights[t] == b.Weights[t])
	})
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

// reads are what is read of a network that the jury runs: of its values those that the
// network has, and which they are.
type reads struct {
	order []*graph.Value
	names []string
	at    []int
}

// reads returns what is read of m; what goes into a Softmax is missing where m has none
// there.
func (j *jury) reads(m *graph.Model) (r reads) {
	for i, v := range j.values {
		if i >= len(j.soft) {
			o := slices.Index(j.soft, i)
			if o < 0 {
				continue // it proved to be no Softmax
			}
			v = &graph.Value{Name: softmaxInput(m, j.values[o].Name)}
		}
		if v.Name != "" {
			r.order, r.names, r.at = append(r.order, v), append(r.names, v.Name), append(r.at, i)
		}
	}
	return r
}

// outputs runs a network over some batches, each on one thread, and calls use with
// j.values for each.
func (j *jury) outputs(ctx context.Context, s engine.Session, hook engine.Hook, reads reads, from, upto int, use func(i int, out []engine.Tensor)) error {
	axes := infer.Batches(j.float).Outputs
	errs := make([]error, upto-from)
	j.pool.Run(len(errs), func(k int) {
		i := from + k
		got, err := engine.Outputs(ctx, s, j.cut[i], hook, reads.order, axes)
		if errs[k] = err; err == nil {
			out := make([]engine.Tensor, len(j.values))
			for at, t := range got {
				out[reads.at[at]] = t
			}
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

// wrong is what an output gets wrong: the squares of each sample, and where a Softmax
// makes it, of all pairs of samples, else of the slices of the output.
type wrong struct {
	each  []squares
	pairs *pairs
	cuts  []cuts
}

// worst returns how near outputs are to the float network's, in dB, of the worst one:
// half the ratio of signal to error over all samples, half the mean of every sample's
// own. The first is what matters, and hangs on few samples where these are few; the
// second is steady. Behind a Softmax it is the ratio over all pairs. One sample may be
// left out.
func worst(outputs []wrong, without int) float64 {
	least := math.Inf(1)
	for _, o := range outputs {
		if o.pairs != nil {
			least = min(least, o.pairs.without(without).decibel())
			continue
		}
		var all squares
		logs, n := 0.0, 0
		for i, e := range o.each {
			if i == without && len(o.each) > 1 {
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
