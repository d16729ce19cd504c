package calibrate

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"time"

	"narrow/calibrate/observe"
	"narrow/diag"
	"narrow/engine"
	"narrow/graph"
	"narrow/internal/kernel"
	"narrow/plan"
	"narrow/scheme"
)

// Propagation says what a layer sees while calibrating. The zero value is
// invalid.
type Propagation int

const (
	// Progressive hands every tensor on quantized with the statistic so far,
	// as vai_q_pytorch does. The unit of observation is the batch.
	Progressive Propagation = iota + 1
	// Float hands float values on. The unit of observation is the sample, so
	// the scales do not depend on how the samples are cut into batches.
	Float
)

// String returns "progressive" or "float".
func (p Propagation) String() string {
	switch p {
	case Progressive:
		return "progressive"
	case Float:
		return "float"
	}
	return fmt.Sprintf("Propagation(%d)", int(p))
}

// ParsePropagation reads "progressive" or "float".
func ParsePropagation(s string) (Propagation, error) {
	switch s {
	case "progressive":
		return Progressive, nil
	case "float":
		return Float, nil
	}
	return 0, diag.Errorf("propagation is %q: it must be progressive or float", s)
}

// Source says what a calibration is of. It stays with the result.
type Source struct {
	// ModelPath is the model's file as it was given; ModelSHA256 the SHA-256
	// of its bytes in hex.
	ModelPath, ModelSHA256 string
	// SamplesSHA256 is over the samples' elements, in hex; "" where nobody told it.
	SamplesSHA256 string
	// Version is narrow's version.
	Version string
}

// Options say how to calibrate.
type Options struct {
	Source Source
	// Propagate is Progressive unless set.
	Propagate Propagation
	// Threads is how many threads share the work; 0 means one per core.
	Threads int
	// Thrifty lets the engine run a small network on one thread, which takes less of the
	// processor and sometimes longer; the result is the same. Float propagation always does.
	Thrifty bool
	// SkipInvalid skips tensors that hold NaN or Inf in a batch, and
	// counts them, where they would otherwise be an error.
	SkipInvalid bool
	// SaveStats, when set, keeps statistics for other strategies; for [Float]
	// only.
	SaveStats *SaveStats
	// Checkpoint, when set, keeps what a calibration knows, to resume from there.
	Checkpoint *Checkpoint
	// Keep, when set, keeps samples in float propagation, and ties are not counted:
	// that is left to the caller, by [CountTies].
	Keep *Keeper
	// Progress, when set, is called after every batch with the number of
	// samples done.
	Progress func(samples int)
	// Watch, when set, is called in float propagation with the values of some samples,
	// n from the first of b, of everything that is observed.
	Watch func(value string, b *engine.Batch, x []float32, shape []int64, n int)
	// Elsewhere, when set, reports of which tensors the caller finds the encoding, from
	// what Watch saw: they are observed in the cheapest way.
	Elsewhere func(*plan.Tensor) bool
}

func (o Options) threads() int {
	if o.Threads > 0 {
		return o.Threads
	}
	return runtime.GOMAXPROCS(0)
}

// GuideKept is the code of the finding that says that high accuracy was asked for, and
// that the guide's result, which this is, is as good.
const GuideKept = "guide-kept"

// KeptGuide reports whether a finding of c has that code.
func (c *Calibrated) KeptGuide() bool {
	return slices.ContainsFunc(c.Findings, func(f diag.Finding) bool { return f.Code == GuideKept })
}

// Calibrated is a plan with an encoding for every tensor: what exporters take.
// [Calibrate] makes it, and package export reads a saved one.
type Calibrated struct {
	Source
	Plan *plan.Plan
	// Encodings has one entry per tensor of the plan.
	Encodings map[*plan.Tensor]scheme.Encoding
	// Bias holds the corrected float values of the biases that bias correction
	// changed.
	Bias map[*plan.Tensor][]float32
	// Weights holds the weights that package refine chose, which go with their
	// encodings.
	Weights map[*plan.Tensor]*Integers
	// Aligned tells, for tensors whose scale alignment changed, why.
	Aligned map[*plan.Tensor]string
	// Ties counts, for the inputs and activations whose round mode is not
	// half_even, where that would have given another integer; see [Ties] for the
	// samples.
	Ties      map[*plan.Tensor]Ties
	Samples   int
	Batches   int
	Propagate Propagation
	// Reasons tell, for a calibration that was saved, where each tensor's
	// settings came from; nil means that the plan tells.
	Reasons map[*plan.Tensor][]string
	// Invalid counts the tensors that were skipped since they held NaN or
	// Inf, over all batches.
	Invalid int
	// Equalization is what was decided of it over samples; nil where nothing was.
	Equalization *Equalization
	// Findings say what is to be known of the result.
	Findings diag.List
}

// Clone returns a copy whose encodings, weights and biases can be chosen anew.
func (c *Calibrated) Clone() *Calibrated {
	o := *c
	o.Encodings, o.Bias, o.Weights = maps.Clone(c.Encodings), maps.Clone(c.Bias), maps.Clone(c.Weights)
	o.Aligned, o.Ties, o.Findings = maps.Clone(c.Aligned), maps.Clone(c.Ties), slices.Clone(c.Findings)
	return &o
}

// calibration is the state of one run of Calibrate.
type calibration struct {
	plan *plan.Plan
	opts Options
	pool *kernel.Pool
	out  *Calibrated
	obs  map[*plan.Tensor]*observe.Observer
	bias *corrector
	// loaded is the network that runs.
	loaded loadedNetwork
	// float is nil but in float propagation, where keep keeps samples.
	float *floatRun
	keep  *Keeper
	// joined are the calibrations that observe what this one's taps see, in float
	// propagation.
	joined []*calibration
	// empty are the tensors that came without elements.
	empty map[*plan.Tensor]bool
}

// Calibrate runs the plan's network over the batches and returns the encodings
// of all tensors. Errors name the tensor and the sample.
func Calibrate(ctx context.Context, p *plan.Plan, r engine.Runner, in engine.Batches, opts Options) (*Calibrated, error) {
	c, err := newCalibration(p, opts)
	if err != nil {
		return nil, err
	}
	if s := opts.SaveStats; s != nil {
		if c.float == nil {
			return nil, diag.Errorf("statistics are of float values: propagate float")
		}
		if opts.Checkpoint != nil {
			return nil, diag.Errorf("a calibration that keeps statistics cannot resume from a checkpoint, which holds none: leave one of them out")
		}
		c.float.stats = newStatsWriter(s, c.float.watched.Tensors)
		c.float.gatherAll()
	}
	if err := c.run(ctx, r, in); err != nil {
		return nil, err
	}
	if err := c.finish(); err != nil {
		return nil, err
	}
	if err := c.ties(ctx, r); err != nil {
		return nil, err
	}
	if c.float != nil && c.float.stats != nil {
		if err := c.float.stats.finish(c.float); err != nil {
			return nil, err
		}
	}
	return c.out, nil
}

// newCalibration observes the constants.
func newCalibration(p *plan.Plan, opts Options) (*calibration, error) {
	if opts.Propagate == 0 {
		opts.Propagate = Progressive
	}
	c := &calibration{
		plan: p, opts: opts, pool: kernel.NewPool(opts.threads()),
		out: &Calibrated{
			Source: opts.Source, Plan: p, Propagate: opts.Propagate,
			Encodings: map[*plan.Tensor]scheme.Encoding{}, Bias: map[*plan.Tensor][]float32{}, Aligned: map[*plan.Tensor]string{},
			Weights: map[*plan.Tensor]*Integers{}, Ties: map[*plan.Tensor]Ties{},
		},
		obs: map[*plan.Tensor]*observe.Observer{}, empty: map[*plan.Tensor]bool{},
	}
	if err := c.observers(); err != nil {
		return nil, err
	}
	if err := c.constants(); err != nil {
		return nil, err
	}
	if opts.Propagate == Float {
		c.float, c.keep = newFloatRun(c), opts.Keep
		if c.keep == nil {
			c.keep = &Keeper{}
		}
	}
	var err error
	if c.bias, err = newCorrector(c); err != nil {
		return nil, err
	}
	return c, nil
}

// observers makes one observer per integer tensor.
func (c *calibration) observers() error {
	for _, t := range c.plan.Tensors {
		if t.Settings.Settings.Datatype != scheme.Int {
			continue
		}
		s := t.Settings.Settings
		if t.Axis < 0 {
			s.PerChannel = false // per_channel is for weights alone
		}
		if c.opts.Elsewhere != nil && c.opts.Elsewhere(t) {
			s.Method = scheme.MaxMin
		}
		o, err := observe.New(observe.Config{
			Name: t.Name, Settings: s, Kind: t.Kind, GraphInput: t.NetworkInput, Axis: t.Axis, Low: t.Low, High: t.High, Target: c.plan.Strategy.Target, Pool: c.pool,
		})
		if err != nil {
			return diag.Errorf("layer %s: %w", t.Layer.Name, err)
		}
		c.obs[t] = o
	}
	return nil
}

// constants observes weights and biases, once.
func (c *calibration) constants() error {
	var refused error
	var layers []string // of constants that are not finite
	refuse := func(t *plan.Tensor, err error) {
		if refused == nil {
			refused = err
		}
		if !slices.Contains(layers, t.Layer.Name) {
			layers = append(layers, t.Layer.Name)
		}
	}
	for _, t := range c.plan.Tensors {
		if t.Constant == nil {
			continue
		}
		x, err := t.Constant.Floats()
		if err != nil {
			return diag.Errorf("layer %s: %w", t.Layer.Name, err)
		}
		o := c.obs[t]
		if o == nil {
			if !c.pool.MinMax(x).Finite {
				refuse(t, diag.Errorf("layer %s: tensor %q (%v) holds NaN or Inf: repair the model", t.Layer.Name, t.Name, t.Kind))
			}
			c.out.Encodings[t] = scheme.Encoding{Axis: -1, Batches: 1}
			continue
		}
		var bad *observe.InvalidError
		switch err := o.Observe(x, t.Constant.Dims); {
		case errors.As(err, &bad):
			refuse(t, diag.Errorf("layer %s: tensor %q (%v) holds %v in element %d: repair the model", t.Layer.Name, t.Name, t.Kind, bad.Value, bad.Index))
			continue
		case err != nil:
			return diag.Errorf("layer %s: %v: %w", t.Layer.Name, t.Kind, err)
		}
		if c.out.Encodings[t], err = o.Encoding(); err != nil {
			return diag.Errorf("layer %s: %w", t.Layer.Name, err)
		}
	}
	if len(layers) > 1 {
		return diag.Errorf("%w; constants of other layers hold NaN or Inf too: %s", refused, strings.Join(layers[1:], ", "))
	}
	return refused
}

// QuantizedConstants returns the weights and biases as quantization leaves
// them, dequantized: what the simulated network computes with.
func (c *Calibrated) QuantizedConstants(pool *kernel.Pool) (map[*plan.Tensor]*graph.Tensor, error) {
	out := map[*plan.Tensor]*graph.Tensor{}
	for _, t := range c.Plan.Tensors {
		if t.Constant == nil {
			continue
		}
		x, err := c.QuantizedConstant(pool, t)
		if err != nil {
			return nil, err
		}
		out[t] = graph.HoldFloats(t.Name, t.Constant.Dims, x)
	}
	return out, nil
}

// QuantizedConstant returns one constant of [Calibrated.QuantizedConstants].
func (c *Calibrated) QuantizedConstant(pool *kernel.Pool, t *plan.Tensor) ([]float32, error) {
	x, err := c.FloatConstant(t)
	if err != nil || c.Weights[t] != nil {
		return x, err
	}
	if err := observe.Apply(pool, x, x, t.Settings.Settings, c.Encodings[t], t.Constant.Dims); err != nil {
		return nil, diag.Errorf("layer %s: %v %q: %w", t.Layer.Name, t.Kind, t.Name, err)
	}
	return x, nil
}

// FloatConstant returns a copy of a constant's float values, with bias
// correction and refinement applied.
func (c *Calibrated) FloatConstant(t *plan.Tensor) ([]float32, error) {
	if x := c.Bias[t]; x != nil {
		return slices.Clone(x), nil
	}
	if i := c.Weights[t]; i != nil {
		x, err := i.Floats(t, c.Encodings[t])
		if err != nil {
			return nil, diag.Errorf("layer %s: %v %q: %w", t.Layer.Name, t.Kind, t.Name, err)
		}
		return x, nil
	}
	x, err := t.Constant.Floats()
	if err != nil {
		return nil, diag.Errorf("layer %s: %w", t.Layer.Name, err)
	}
	return x, nil
}

// floatChunk is how many samples run at once in float propagation, whatever
// the batch size: an engine may sum in another order for another batch size,
// and the scales must not show it.
const floatChunk = 8

func (c *calibration) run(ctx context.Context, r engine.Runner, in engine.Batches) error {
	size := 0
	if c.opts.Propagate == Float {
		size = floatChunk
	}
	var n *network
	var session engine.Session
	defer func() {
		if session != nil {
			session.Close()
		}
	}()
	load := func(rows int, settled []*correction) error {
		var err error
		if session != nil {
			if err := session.Close(); err != nil {
				return err
			}
			session = nil
		}
		// What is loaded again is what was loaded before, when these had not
		// settled yet: other layouts would give other last bits.
		for _, l := range settled {
			l.stopped = false
		}
		if n, err = c.network(rows, settled != nil); err != nil {
			return err
		}
		session, err = n.load(ctx, r)
		for _, l := range settled {
			l.stopped = true
		}
		return err
	}
	k := &keeper{c: c, last: time.Now()}
	var settled []*correction // not nil: the network is to be loaded as it was
	done := 0
	if p := c.opts.Checkpoint; p != nil && p.State != nil {
		var err error
		if settled, err = c.restore(p.State); err != nil {
			return err
		}
		settled, done = append([]*correction{}, settled...), c.out.Samples
	}
	if c.keep != nil {
		if done == 0 {
			c.keep.reset()
		}
		in = c.keep.watch(in)
	}
	for b, err := range engine.Fit(in, c.plan.Model, size) {
		if err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if b.First+b.Count <= done {
			continue
		}
		if done > 0 && b.First != c.out.Samples {
			return diag.Errorf("a batch begins at sample %d where %d are done", b.First, c.out.Samples)
		}
		switch again := c.bias.settled(len(c.loaded.twice)); {
		case n == nil && settled != nil && !again:
			err = load(c.loaded.rows, settled)
		case n == nil || again:
			err = load(b.Count, nil)
		}
		if err != nil {
			return err
		}
		if _, err := engine.Run(ctx, session, b.Inputs, func(tap int, dst, src []float32, shape []int64) error {
			return n.hook(tap, b, dst, src, shape)
		}); err != nil {
			return c.traced(ctx, r, b, err)
		}
		c.out.Samples += b.Count
		c.out.Batches++
		if err := k.keep(false); err != nil {
			return err
		}
		if c.opts.Progress != nil {
			c.opts.Progress(c.out.Samples)
		}
	}
	if c.out.Samples == 0 {
		return diag.Errorf("there are no samples to calibrate with")
	}
	return k.keep(true)
}

// tap observes and quantizes one tensor of one batch, in progressive
// propagation.
func (c *calibration) tap(t *plan.Tensor, b *engine.Batch, dst, src []float32, shape []int64) error {
	if len(src) == 0 {
		c.empty[t] = true
		return nil
	}
	err := c.observe(t, b, src, shape)
	var bad *observe.InvalidError
	switch {
	case errors.As(err, &bad):
		if !c.opts.SkipInvalid {
			return &NotFiniteError{Layer: t.Layer.Name, Tensor: t.Name, Sample: b.Name(bad.Sample), Value: bad.Value}
		}
		c.out.Invalid++
		copy(dst, src)
		return nil
	case err != nil:
		return diag.Errorf("layer %s, batch from sample %s: %w", t.Layer.Name, b.Name(0), err)
	}
	var e scheme.Encoding
	if o := c.obs[t]; o != nil {
		if e, err = o.Encoding(); err != nil {
			return err
		}
	}
	if n := c.audit(t, b, dst, src, shape, e); n > 0 {
		dst, src = dst[n:], src[n:] // the rows that pad a batch
		if len(src) == 0 {
			return nil
		}
	}
	return observe.Apply(c.pool, dst, src, t.Settings.Settings, e, shape)
}

func (c *calibration) observe(t *plan.Tensor, b *engine.Batch, x []float32, shape []int64) error {
	o := c.obs[t]
	if o == nil {
		if !c.pool.MinMax(x).Finite {
			i := kernel.FirstNonFinite(x)
			return &observe.InvalidError{Tensor: t.Name, Index: i, Value: x[i], Sample: i * max(b.Count, 1) / len(x)}
		}
		return nil
	}
	return o.Observe(x, shape)
}

// finish takes the encodings of inputs and activations and aligns scales.
func (c *calibration) finish() error {
	var first error
	var never []string // layers without one finite sample
	for _, t := range c.plan.Activations() {
		o := c.obs[t]
		if o == nil {
			c.out.Encodings[t] = scheme.Encoding{Axis: -1, Batches: c.out.Batches}
			continue
		}
		if c.empty[t] && o.Batches() == 0 {
			// It holds no elements in any sample: any scale serves.
			if err := o.Observe([]float32{0}, []int64{1}); err != nil {
				return diag.Errorf("layer %s: %w", t.Layer.Name, err)
			}
		}
		e, err := o.Encoding()
		if err != nil {
			if first == nil {
				first = err
			}
			if !slices.Contains(never, t.Layer.Name) {
				never = append(never, t.Layer.Name)
			}
			continue
		}
		c.out.Encodings[t] = e
	}
	switch {
	case len(never) == 1:
		return diag.Errorf("layer %s: %w: it holds NaN or Inf in every sample; leave the layer in float with the layer rule %s", never[0], first, floatRule(never))
	case len(never) > 1:
		return diag.Errorf("layer %s: %w: it holds NaN or Inf in every sample, and so do %d other layers; leave them all in float with the layer rule %s", never[0], first, len(never)-1, floatRule(never))
	}
	if err := c.bias.finish(c.out.Bias); err != nil {
		return err
	}
	c.out.align()
	return nil
}

// ties counts them in float propagation, over the samples that were kept, unless the
// caller does; for those joined too.
func (c *calibration) ties(ctx context.Context, run engine.Runner) error {
	if c.float == nil || c.opts.Keep != nil {
		return nil
	}
	all := []*Calibrated{c.out}
	for _, j := range c.joined {
		all = append(all, j.out)
	}
	return CountTies(ctx, run, c.keep, KeptSamples, c.opts.Threads, all...)
}

// BiasCorrection returns, by layer name, what bias correction takes from each
// element of the layer's bias.
func (c *Calibrated) BiasCorrection() (map[string][]float32, error) {
	out := map[string][]float32{}
	for t, now := range c.Bias {
		float, err := t.Constant.Floats()
		if err != nil {
			return nil, err
		}
		corr := make([]float32, len(float))
		for i := range corr {
			corr[i] = float[i] - now[i]
		}
		out[t.Layer.Name] = corr
	}
	return out, nil
}
