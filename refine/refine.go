// Package refine chooses the integers of weights and the ranges of activations
// over samples: what [scheme.High] adds to a calibration. A plan goes in, with the
// one that the guide's way makes of the same model, and a calibration comes out: of
// the first where that is nearer to the float network on samples that chose nothing,
// else of the second.
package refine

import (
	"context"
	"runtime"
	"runtime/debug"
	"slices"

	"narrow/calibrate"
	"narrow/diag"
	"narrow/engine"
	"narrow/graph"
	"narrow/internal/footprint"
	"narrow/internal/kernel"
	"narrow/plan"
	"narrow/scheme"
)

// Task says what to calibrate.
type Task struct {
	// Plan is to be calibrated, Guide what the guide's way makes of the same model.
	Plan, Guide *plan.Plan
	// Scaled says that channels of Plan's activations are scaled otherwise than Guide's.
	Scaled bool
	// Float is the network that results are compared with.
	Float *graph.Model
}

// Options say how to choose.
type Options struct {
	// Samples is how many samples take part, at most; 0 means [Samples].
	Samples int
	// Batch is how many samples are a batch of the guide's way where that runs over kept
	// samples; 0 means as many as the first batch has.
	Batch int
	// Checkpoint, when set, lets what passes resume: see [calibrate.Checkpoint], whose
	// rules hold. Choosing begins anew.
	Checkpoint *calibrate.Checkpoint
	// Progress, when set, is called while weights are chosen with how much is
	// done, of all.
	Progress func(done, all int)
}

// Samples is how many samples take part in choosing and judging, at most, unless
// told.
const Samples = 256

// plainHandicap is by how many dB a network has to be better without chosen weights.
const plainHandicap = 1

const (
	// fewest is how many samples there must be to choose by.
	fewest = 32
	// judges is how many samples compare whole networks, at most.
	judges = 128
	// wantBytes is how much memory the float network's outputs for them take; where one
	// sample's are large fewer compare, but at least leastJudges.
	wantBytes   = 64 << 20
	leastJudges = 16
	// rangeJudges is how many of them compare what was chosen with what was not.
	rangeJudges = 24
	// choosers is how many samples choose, at most.
	choosers = 64
	// tieSamples is over how many samples ties are counted.
	tieSamples = 64
	// layerJudges is how many of them compare layers, at most; a quarter of those
	// that choose is enough.
	layerJudges = 16
	// batch is how many samples run at once at most, whatever the batch size, and
	// batchBytes what their values at one place of the network take.
	batch      = 8
	batchBytes = 4 << 20
	// keptBytes is how much memory the samples that are kept take, at most, and
	// laneBytes what the network's values at one place take for all of them.
	keptBytes = 32 << 20
	laneBytes = 96 << 20
)

// Calibrate calibrates task.Plan over the samples in float propagation, and then
// chooses, from the front of the network to its back, what changes the outputs
// least: see [newRanges] for the ranges of activations, [refiner] for weights and
// biases. What was chosen is kept where it is better on samples that did not choose,
// layer by layer and for the network's worst output, against the guide's result too.
//
// The samples go by once. Its findings say where the result is not all of the above.
//
// The result does not depend on threads. It does not depend on batch size or the order of
// the samples either, but that the guide's does, which is compared with and may be kept.
func Calibrate(ctx context.Context, task Task, run engine.Runner, in engine.Batches, opts calibrate.Options, choice Options) (*calibrate.Calibrated, error) {
	keep := &calibrate.Keeper{Most: max(choice.most(), calibrate.KeptSamples)}
	found := newRanges(task.Plan, poolOf(opts), keep)
	opts.Propagate = calibrate.Float
	opts.Watch, opts.Elsewhere, opts.Keep = found.watch, found.pools, keep
	p, err := newPassing(choice.Checkpoint, found)
	if err != nil {
		return nil, err
	}
	heavy := footprint.Heavy(task.Plan.Model)
	if heavy {
		p.NoGuide = true // one network at a time: the guide's runs over what is kept
	}
	c, guide, err := task.calibrate(ctx, run, in, opts, p)
	if err != nil {
		return nil, err
	}
	if choice.Batch == 0 {
		choice.Batch = p.Batch
	}
	if c, err = choose(ctx, task, run, c, guide, found, opts, choice); heavy {
		freeMemory() // what choosing left behind
	}
	return c, err
}

func (o Options) most() int {
	if o.Samples == 0 {
		return Samples
	}
	return o.Samples
}

func poolOf(opts calibrate.Options) *kernel.Pool {
	threads := opts.Threads
	if threads <= 0 {
		threads = runtime.GOMAXPROCS(0)
	}
	return kernel.NewPool(threads)
}

// choose is what [Calibrate] does once the samples have passed: c is the calibration in
// float propagation, guide the guide's over all samples, nil where that is not at hand, found
// what was found of ranges. Where not all samples were kept, the guide's is that of the kept
// ones, in one run as after a merge.
func choose(ctx context.Context, task Task, run engine.Runner, c, guide *calibrate.Calibrated, found *ranges, opts calibrate.Options, choice Options) (*calibrate.Calibrated, error) {
	keep, pool := found.keep, found.pool
	opts.Source = c.Source
	if guide == nil || keep.InOrderSamples() != c.Samples {
		var err error
		if guide, err = task.guide(ctx, run, engine.Rebatch(keep.InOrder(), choice.Batch), opts); err != nil {
			return nil, err
		}
	}
	if err := found.pooled(c); err != nil {
		return nil, err
	}
	if err := holdBiases(c); err != nil {
		return nil, err
	}
	(&refiner{c: c, pool: pool}).holdAll()
	kept := keep.Kept(max(choice.most(), fewest), keptBytes)
	told := sameSamples(kept)
	c.Findings = append(c.Findings, told...)
	waiting := toJoin(keep.Waiting(len(kept)), choice.most()-len(kept))
	if !slices.ContainsFunc(task.Plan.Activations(), tied) {
		*keep = calibrate.Keeper{} // nothing is to be counted over them
	}
	freeMemory() // what observing left behind
	j := &jury{run: run, pool: pool, float: task.Float, batch: found.batch(), anyOrder: found.largest >= blocksFrom}
	defer j.close() //nolint:errcheck // nothing of it is needed any more
	var best *calibrate.Calibrated
	var few diag.List
	var err error
	if c.Samples < fewest {
		few = diag.List{{
			Severity: diag.Note, Code: "few-samples",
			Message: tooFew(c.Samples),
			Fix:     diag.Textf("give %d samples or more", fewest),
		}}
		c.Findings = append(c.Findings, few...)
		j.folds = inFolds(kept, fewest)
		if best, err = found.few(ctx, j, c, guide); err != nil {
			return nil, err
		}
	} else {
		choosing, judging := split(kept, found.room(), judges)
		byFold := inFolds(kept, rangeJudges/folds)
		kept, j.in = nil, judging
		alike := guide
		if task.Scaled {
			alike = nil
		}
		plain, err := j.crossRuled(ctx, byFold, c.Samples, found.rivals(c, alike))
		if err != nil {
			return nil, err
		}
		found.by = nil // room for what follows
		if footprint.Heavy(task.Plan.Model) {
			if err := j.close(); err != nil {
				return nil, err
			}
		}
		refined := plain.Clone()
		f := &refiner{c: refined, pool: pool, run: run, batch: j.batch, progress: choice.Progress}
		if err := f.refine(ctx, choosing, judging, waiting); err != nil {
			return nil, err
		}
		refined.Findings = append(refined.Findings, f.shared()...)
		if best, err = j.safest(ctx, rangeJudges, rival{refined, 0}, rival{plain, plainHandicap}); err != nil {
			return nil, err
		}
	}
	own := func() (*calibrate.Calibrated, error) {
		return best, calibrate.CountTies(ctx, run, keep, tieSamples, opts.Threads, best)
	}
	if guide == nil {
		return own()
	}
	var v verdict
	if few != nil {
		v, err = j.crossGain(ctx, found.cross(best), found.cross(guide))
	} else {
		v, err = j.settle(ctx, best, guide)
	}
	if err != nil {
		return nil, err
	}
	// Where quantizers stand is no matter of samples, so few have to speak against it beyond
	// doubt to lose.
	inDoubt := few != nil
	if v.better(inDoubt) {
		if !v.nearer(inDoubt) {
			best.Findings = append(best.Findings, diag.Finding{
				Severity: diag.Note, Code: "dead-parts",
				Message: diag.Textf("the result of --accuracy guide loses %v, whatever its SQNR: it is not taken", v.lost.text(task.Float)),
			})
		}
		return own()
	}
	text := diag.Textf("the result is that of --accuracy guide: on %d samples that chose nothing no other is clearly nearer to the float network", v.samples)
	if v.samples == 1 {
		text = diag.Textf("the result is that of --accuracy guide: on one sample that chose nothing no other is clearly nearer to the float network")
	}
	if v.nearer(inDoubt) {
		text = diag.Textf("the result is that of --accuracy guide: others lose %v", v.lost.text(task.Float))
	}
	if n := guide.Samples; n < c.Samples {
		text = diag.Textf("%v; it is calibrated on the %d samples of %d that were kept", text, n, c.Samples)
	}
	guide.Findings = append(slices.Concat(guide.Findings, told, few), diag.Finding{Severity: diag.Note, Code: calibrate.GuideKept, Message: text})
	return guide, nil
}

// tooFew tells that nothing is chosen over so few samples.
func tooFew(samples int) diag.Text {
	if samples == 1 {
		return diag.Textf("one sample is too few to choose weights and ranges by: they stay as calibrated")
	}
	return diag.Textf("%d samples are too few to choose weights and ranges by: they stay as calibrated", samples)
}

// sameSamples warns where all samples that were kept feed the same to the network,
// as a script does that saves one picture many times, or nothing but zeros. kept is
// by ascending digest.
func sameSamples(kept []calibrate.Kept) diag.List {
	if n := len(kept); n < 2 || kept[0].Digest != kept[n-1].Digest {
		return nil
	}
	return diag.List{{
		Severity: diag.Warning, Code: "same-samples",
		Message: diag.Textf("%d samples are all the same: ranges are those of a single one", len(kept)),
		Fix:     diag.Textf("look at how the samples were made; calibrate on some hundred unlike ones"),
	}}
}

// freeMemory gives memory back where the heap has much of it.
func freeMemory() {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	if m.HeapSys-m.HeapReleased > freeFrom {
		debug.FreeOSMemory()
	}
}

// freeFrom is how many bytes the heap has where that pays: it takes some milliseconds.
const freeFrom = 32 << 20

// tied reports whether ties of t are rounded otherwise than to even.
func tied(t *plan.Tensor) bool {
	s := t.Settings.Settings
	return s.Datatype == scheme.Int && s.RoundMode != scheme.HalfEven
}

// calibrate calibrates the plan and, as the batches come and in progressive propagation,
// the guide's, while the samples go by once. There is no guide's where it fails, nor where
// there are more samples than are kept.
func (t Task) calibrate(ctx context.Context, run engine.Runner, in engine.Batches, opts calibrate.Options, p *passing) (own, guide *calibrate.Calibrated, err error) {
	uses := []func(engine.Batches) error{func(in engine.Batches) (err error) {
		opts := opts
		opts.Checkpoint = p.own()
		own, err = calibrate.Calibrate(ctx, t.Plan, run, func(yield func(*engine.Batch, error) bool) {
			for b, err := range in {
				if p.Batch == 0 && err == nil {
					p.Batch = b.Count
				}
				if !yield(b, err) {
					return
				}
			}
		}, opts)
		p.passed = err == nil
		return err
	}}
	if t.Guide != nil && !p.NoGuide {
		uses = append(uses, func(in engine.Batches) (err error) {
			over := false
			opts := opts
			opts.Checkpoint = p.guide()
			guide, err = t.guide(ctx, run, func(yield func(*engine.Batch, error) bool) {
				for b, err := range in {
					if over = err == nil && b.First+b.Count > calibrate.KeptSamples; over || !yield(b, err) {
						return
					}
				}
			}, opts)
			if over {
				guide = nil
			}
			p.NoGuide = guide == nil && err == nil
			return err
		})
	}
	err = Together(in, uses...)
	return own, guide, err
}

// guide calibrates the guide's plan over samples; nil where it cannot be.
func (t Task) guide(ctx context.Context, run engine.Runner, in engine.Batches, opts calibrate.Options) (*calibrate.Calibrated, error) {
	if t.Guide == nil {
		return nil, nil
	}
	c, err := calibrate.Calibrate(ctx, t.Guide, run, in, calibrate.Options{
		Source: opts.Source, Propagate: calibrate.Progressive, Threads: opts.Threads, Thrifty: true, SkipInvalid: opts.SkipInvalid, Checkpoint: opts.Checkpoint,
	})
	if err != nil {
		return nil, ctx.Err() //nolint:nilerr // what the guide's way cannot calibrate is no rival
	}
	return c, nil
}

// refiner chooses the integers of weights and biases anew, layer by layer from
// the front, so that each layer's output in the quantized network, with what
// the layers before it already got wrong, comes nearest to the float network's
// in the mean square over the samples. The scales of weights come from a search too.
//
// Layers are Conv, Gemm, and MatMul with a constant whose weights are symmetric
// integers; others stay. Per layer, the second moments of its input's columns
// in the quantized network, and with what the float network's layer puts out, make
// this a least-squares problem: its solution (ridge regression towards the float
// weights) is rounded by the method of GPTQ (Frantar et al. 2022,
// arXiv:2210.17323), the bias being one more column whose input is 1.
type refiner struct {
	c        *calibrate.Calibrated
	pool     *kernel.Pool
	run      engine.Runner
	batch    int // how many samples run at once
	progress func(done, all int)
}

// refine goes through the layers. What judges does not choose; what waits joins those
// that choose at the layers from which on values are small enough.
func (f *refiner) refine(ctx context.Context, choosing, judging []*engine.Batch, waiting []calibrate.Waiting) error {
	layers := f.layers()
	if len(layers) == 0 {
		return nil
	}
	y, err := newRelay(f.c.Plan, f.run, f.pool)
	if err != nil {
		return err
	}
	in, spans, err := f.load(choosing, judging)
	if err != nil {
		return err
	}
	constants := map[string]*plan.Tensor{}
	for t, name := range y.sim.ConstantOf {
		constants[name] = t
	}
	quantized := &lane{hook: f.c.Quantizer(y.sim, nil), quantized: func(name string) (*graph.Tensor, error) {
		t := constants[name]
		if t == nil {
			return nil, nil
		}
		x, err := f.c.QuantizedConstant(f.pool, t)
		if err != nil {
			return nil, err
		}
		return graph.HoldFloats(t.Name, t.Constant.Dims, x), nil
	}}
	for _, b := range in {
		copied := map[string]engine.Tensor{}
		for v, t := range b {
			copied[v] = t
		}
		quantized.live = append(quantized.live, copied)
	}
	joins := f.joins(layers, choosing, waiting)
	float, err := newTargets(f.c.Plan, layers, joins, f.run, f.pool, in, spans)
	if err != nil {
		return err
	}
	for i, l := range layers {
		if n := joins[i]; n > 0 {
			if spans, err = f.join(ctx, y, quantized, float, spans, waiting[:n]); err != nil {
				return diag.Errorf("refining layer %s: %w", l.op.Node.Label(), err)
			}
			waiting = waiting[n:]
		}
		node := y.sim.NodeOf[l.form.node]
		put, err := float.of(ctx, i)
		if err != nil {
			return err
		}
		if err := y.run(ctx, quantized, y.stopBefore(l.op.Nodes)); err != nil {
			return diag.Errorf("refining layer %s: %w", l.op.Node.Label(), err)
		}
		drawn := l.form.columns(values(quantized, node.Inputs[0]), put, spans)
		if drawn == nil {
			continue
		}
		choose := f.layer
		if l.form.wide() {
			choose = f.blocks
		}
		if err := choose(ctx, l, drawn); err != nil {
			return diag.Errorf("refining layer %s: %w", l.op.Node.Label(), err)
		}
		if f.progress != nil {
			f.progress(i+1, len(layers))
		}
	}
	return nil
}

// values returns each batch's value of that name.
func values(l *lane, name string) []engine.Tensor {
	out := make([]engine.Tensor, len(l.live))
	for i, b := range l.live {
		out[i] = b[name]
	}
	return out
}

// layer is one layer to refine.
type layer struct {
	op   *plan.Operation
	form *weighted
}

// layers returns the layers to refine in topological order.
func (f *refiner) layers() []layer {
	var out []layer
	for _, op := range f.c.Plan.Operations {
		w := op.Weights
		if w == nil || !refines(w.Settings.Settings) || sharesConstants(op) {
			continue
		}
		form := weightedOf(w.Uses[0].Node, w.Constant, w.Uses[0].Input)
		if form == nil || op.Bias != nil && op.Bias.Constant.Len() != form.groups*form.rows {
			continue
		}
		out = append(out, layer{op, form})
	}
	return out
}

// sharesConstants reports whether another operation reads the weights or the bias of op too.
func sharesConstants(op *plan.Operation) bool {
	return len(op.Weights.Uses) != 1 || op.Bias != nil && len(op.Bias.Uses) != 1
}

// shared notes the operations whose weights would be chosen anew if no other read them too:
// what is best for one is not for the others.
func (f *refiner) shared() diag.List {
	n, first := 0, ""
	for _, op := range f.c.Plan.Operations {
		if w := op.Weights; w != nil && refines(w.Settings.Settings) && sharesConstants(op) {
			if n++; n == 1 {
				first = op.Node.Label()
			}
		}
	}
	if n == 0 {
		return nil
	}
	return diag.List{{
		Severity: diag.Note, Code: "weights-shared",
		Message: diag.Textf("%d operators such as %s share weights or a bias with others: these are rounded to nearest, not chosen over samples", n, first),
	}}
}

// refines reports whether weights of those settings gain by being chosen anew:
// wider ones are as good as float.
func refines(s scheme.Settings) bool {
	return s.Datatype == scheme.Int && s.Symmetry && s.Signed && s.BitWidth <= 16
}

// span tells which rows of a batch are samples to look at: the first count of
// them; the network takes rows at once. judges says that they judge.
type span struct {
	count, rows int
	judges      bool
}

// load makes batches of those that choose and of some of those that judge.
func (f *refiner) load(choosing, judging []*engine.Batch) (in []map[string]engine.Tensor, spans []span, err error) {
	for i, units := range [][]*engine.Batch{choosing, firstOf(judging, min(layerJudges, max(count(choosing)/4, 4)))} {
		for b, err := range engine.Fit(batches(units), f.c.Plan.Model, f.batch) {
			if err != nil {
				return nil, nil, err
			}
			in = append(in, b.Clone().Inputs)
			spans = append(spans, span{b.Count, b.Rows(), i > 0})
		}
	}
	if len(in) == 0 {
		return nil, nil, diag.Errorf("there are no samples to refine with")
	}
	return in, spans, nil
}

// firstOf returns the first units with at least n samples.
func firstOf(units []*engine.Batch, n int) []*engine.Batch {
	for i, b := range units {
		if n -= b.Count; n <= 0 {
			return units[:i+1]
		}
	}
	return units
}
