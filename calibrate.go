package narrow

import (
	"context"
	"errors"
	"io"
	"math"
	"slices"
	"time"

	"narrow/calibrate"
	"narrow/diag"
	"narrow/engine"
	"narrow/plan"
	"narrow/refine"
	"narrow/rewrite"
	"narrow/scheme"
)

// CalibrateOptions say how to calibrate.
type CalibrateOptions struct {
	// Propagate is what a layer sees while calibrating. Unless set it is
	// [calibrate.Progressive] for [Guide] and [calibrate.Float] for [High], which
	// takes no other.
	Propagate calibrate.Propagation
	// Threads is how many threads share the work; 0 means one per core.
	Threads int
	// SkipInvalid skips tensors that hold NaN or Inf in a batch, and counts
	// them, where they would otherwise be an error.
	SkipInvalid bool
	// SamplesSHA256 is the hash of the samples, to be kept with the result: see
	// [samples.Set.Hash].
	SamplesSHA256 string
	// RefineSamples is over how many samples, at most, [High] chooses weights
	// and ranges; 0 means its own number.
	RefineSamples int
	// KeepIntegers, for [High] and the CPU, keeps functions such as SiLU and HardSwish
	// apart from the layers before them, so that these run in integers, also where the
	// network is nearer to the float one when they are quantized together.
	KeepIntegers bool
	// Some, when set, yields the samples over which [High] decides on equalization and
	// functions before it calibrates, such as [samples.Set.Spread] gives; all where it is
	// nil.
	Some engine.Batches
	// Checkpoint, when set, keeps what a calibration knows in a file, to resume
	// from there. It does not go with SaveStats.
	Checkpoint *Checkpoint
	// SaveStats, when set, gets the statistics of every value that a strategy
	// could quantize, for FromStats; for [calibrate.Float] only. Those of [High] are of
	// what [Guide] makes of the network.
	SaveStats io.Writer
	// FromStats, when set, stands for runner and samples, which may be nil: the
	// network does not run. The result is what [calibrate.Float] finds on the
	// samples that the statistics are of, but for [calibrate.Calibrated.Ties].
	// They must be of the same model under the same rewrites, and of samples of
	// that SamplesSHA256 unless it is "".
	FromStats *calibrate.Stats
	// FromShards, when set, stands for the samples, which may be nil: what shards of
	// them observed, merged to all samples (see [Planned.Shard]). The result is what
	// [calibrate.Float] finds on these, bit for bit; where [High] takes the guide's
	// result, that of batches of BatchSize, 0 meaning 16.
	FromShards *calibrate.Shard
	BatchSize  int
	// Progress, when set, is called after every batch with the number of
	// samples done; RefineProgress for [High] after that, with how much is done,
	// of all.
	Progress       func(samples int)
	RefineProgress func(done, all int)
}

// Checkpoint keeps a calibration in a file while it runs. A calibration that
// finds the file resumes from it, to the same bytes.
type Checkpoint struct {
	File string
	// Every is how often it is kept: after the first batch that ends so long
	// after the last time, and after the last batch of all.
	Every time.Duration
	// BatchSize is how many samples a batch holds, Engine the name and version of
	// what runs networks: a checkpoint of others is refused.
	BatchSize int
	Engine    string
	// From, when set, yields the batches from a sample on, which is the first of
	// one of them. Where it is not set, batches that are done are read and
	// skipped.
	From func(sample int) engine.Batches
	// Resumed, when set, is called with the number of samples that a checkpoint
	// knows already.
	Resumed func(samples int)
	// Write, when set, calls write, which writes the file.
	Write func(write func() error) error
}

// Calibrated is a planned model with an encoding for every tensor. Only
// [Planned.Calibrate], [CalibrateTogether] and [Load] make one.
type Calibrated struct {
	*Planned
	// Result holds the encodings.
	Result *calibrate.Calibrated
}

// Calibrate runs the batches through the network and finds the scales; for
// [High] it may go through them twice. An error names the layer, the tensor and
// the sample; a [*MismatchError] says that a checkpoint or statistics are of
// something else.
func (p *Planned) Calibrate(ctx context.Context, run engine.Runner, in engine.Batches, opts CalibrateOptions) (*Calibrated, error) {
	c, err := p.calibrate(ctx, run, in, opts)
	var mismatch *MismatchError
	if errors.As(err, &mismatch) {
		return nil, err
	}
	if err != nil {
		return nil, diag.Errorf("calibrating %s: %w", p.Model.Path, err)
	}
	return c, nil
}

func (p *Planned) calibrate(ctx context.Context, run engine.Runner, in engine.Batches, opts CalibrateOptions) (*Calibrated, error) {
	o, err := p.options(opts)
	if err != nil {
		return nil, err
	}
	if err := p.complete(ctx, run); err != nil {
		return nil, err
	}
	if s := opts.FromStats; s != nil {
		own, err := p.statsInfo(opts.SamplesSHA256)
		if err != nil {
			return nil, err
		}
		if err := s.Info.Match(own); err != nil {
			return nil, err
		}
		o.Source.SamplesSHA256 = s.Info.SamplesSHA256
		c, err := calibrate.CalibrateStats(p.Plan, s, o)
		if err != nil {
			return nil, err
		}
		return &Calibrated{Planned: p, Result: c}, nil
	}
	if s := opts.FromShards; s != nil {
		return p.merged(ctx, run, s, o, opts)
	}
	rest := in
	if opts.Checkpoint != nil {
		if o.Checkpoint, rest, err = p.checkpoint(opts, in, o); err != nil {
			return nil, err
		}
	}
	if p.Accuracy == High {
		return p.high(ctx, run, in, rest, o, opts)
	}
	if o.SaveStats, err = p.saveStats(opts); err != nil {
		return nil, err
	}
	c, err := calibrate.Calibrate(ctx, p.Plan, run, rest, o)
	if err != nil {
		return nil, err
	}
	return &Calibrated{Planned: p, Result: c}, nil
}

// options are opts for package calibrate, without what a file keeps.
func (p *Planned) options(opts CalibrateOptions) (calibrate.Options, error) {
	o := calibrate.Options{
		Source:    calibrate.Source{ModelPath: p.Model.Path, ModelSHA256: p.Model.SHA256, SamplesSHA256: opts.SamplesSHA256, Version: Version()},
		Propagate: opts.Propagate, Threads: opts.Threads, SkipInvalid: opts.SkipInvalid, Progress: opts.Progress,
	}
	switch {
	case p.Accuracy == High && o.Propagate == calibrate.Progressive:
		return o, diag.Errorf("progressive propagation is a part of the guide's way: propagate float, or plan for that")
	case p.Accuracy == High && opts.FromStats != nil:
		return o, diag.Errorf("statistics hold no samples to choose weights over: calibrate on samples, or plan for the guide's way")
	case opts.FromShards != nil && o.Propagate == calibrate.Progressive:
		return o, errProgressiveShards
	case p.Accuracy == High || opts.FromStats != nil || opts.FromShards != nil:
		o.Propagate = calibrate.Float
	}
	return o, nil
}

// replayed is how many bytes samples take at most that are kept from one pass to the
// next: 400 pictures of 224x224.
const replayed = 64 << 20

// high does what [High] asks for. The result is of another plan where the guide's
// way is the better one. Rest are the batches behind what a checkpoint knows, of in.
func (p *Planned) high(ctx context.Context, run engine.Runner, in, rest engine.Batches, o calibrate.Options, opts CalibrateOptions) (*Calibrated, error) {
	guide, err := p.Model.Plan(p.Plan.Strategy, PlanOptions{Accuracy: Guide})
	if err != nil {
		return nil, err
	}
	keep := o.Checkpoint
	o.Checkpoint = nil
	some := opts.Some
	switch {
	case some == nil && keep == nil:
		some, rest = calibrate.Replay(rest, replayed)
	case some == nil:
		some = in
	}
	p, d, known, err := p.decidedOr(keep, func() (*Planned, refine.Joined, error) {
		return p.decide(ctx, run, some, o, opts.KeepIntegers)
	})
	if err != nil {
		return nil, err
	}
	choice := refineOptions(opts)
	choice.Checkpoint = keepDecided(keep, d, known)
	var c *calibrate.Calibrated
	uses := []func(engine.Batches) error{func(in engine.Batches) (err error) {
		c, err = refine.Calibrate(ctx, refine.Task{Plan: p.Plan, Guide: guide.Plan, Float: p.Model.Graph, Scaled: p.scaledChannels()}, run, in, o, choice)
		return err
	}}
	if opts.SaveStats != nil { // which serve the guide's way
		if keep != nil {
			return nil, diag.Errorf("a calibration that keeps statistics cannot resume from a checkpoint, which holds none: leave one of them out")
		}
		of := o
		if of.SaveStats, err = guide.saveStats(opts); err != nil {
			return nil, err
		}
		of.Progress = nil
		uses = append(uses, func(in engine.Batches) error {
			_, err := calibrate.Calibrate(ctx, guide.Plan, run, in, of)
			return err
		})
	}
	if err := refine.Together(rest, uses...); err != nil {
		return nil, err
	}
	return p.chosen(c, guide, d.Joined), nil
}

// saveStats is what keeps statistics of p's network, nil where none are asked for.
func (p *Planned) saveStats(opts CalibrateOptions) (*calibrate.SaveStats, error) {
	if opts.SaveStats == nil {
		return nil, nil
	}
	info, err := p.statsInfo(opts.SamplesSHA256)
	if err != nil {
		return nil, err
	}
	return &calibrate.SaveStats{W: opts.SaveStats, Info: info}, nil
}

func refineOptions(opts CalibrateOptions) refine.Options {
	return refine.Options{Samples: opts.RefineSamples, Batch: opts.BatchSize, Progress: opts.RefineProgress}
}

// decide is p as equalization and functions are best on samples, and what joining
// functions brings, zero where they are not joined. keepIntegers is
// [CalibrateOptions.KeepIntegers].
func (p *Planned) decide(ctx context.Context, run engine.Runner, some engine.Batches, o calibrate.Options, keepIntegers bool) (*Planned, refine.Joined, error) {
	known, err := p.first(ctx, run, some, o)
	if err != nil {
		return nil, refine.Joined{}, err
	}
	if p, err = p.equalized(known); err != nil {
		return nil, refine.Joined{}, err
	}
	if p, err = p.scaled(ctx, run, known.few, o); err != nil {
		return nil, refine.Joined{}, err
	}
	if keepIntegers && p.Plan.Strategy.Target == scheme.CPU {
		return p, refine.Joined{}, nil
	}
	return p.functions(ctx, run, known.few, o)
}

// chosen is the calibration c, of p's plan or of the guide's.
func (p *Planned) chosen(c *calibrate.Calibrated, guide *Planned, told refine.Joined) *Calibrated {
	if c.Plan == guide.Plan {
		p = guide
	} else if told.Gain > 0 {
		c.Findings = append(c.Findings, p.joined(told))
	}
	c.Equalization = p.decided.equalization
	return &Calibrated{Planned: p, Result: c}
}

// joined notes that functions are joined, and what that brings.
func (p *Planned) joined(told refine.Joined) diag.Finding {
	quantized := map[string]bool{}
	for _, o := range p.Plan.Operations {
		quantized[o.Out] = o.Output != nil
	}
	var functions []string
	apart := 0
	for _, x := range p.Plan.Joints() {
		switch {
		case !slices.Contains(p.decided.functions.Apart, x.Function):
			functions = append(functions, x.Function)
		case quantized[x.Function]: // what leaves the network unquantized is no matter of joining
			apart++
		}
	}
	f := diag.Finding{
		Severity: diag.Note, Code: "functions-joined",
		Message: diag.Textf("functions such as %s are quantized together with the layers before them, which brings %.1f dB; ONNX Runtime computes these layers in float", functions[0], told.Gain),
		Fix:     diag.Textf("--keep-integers keeps them apart, without these dB: the layers then run in integers"),
	}
	if apart > 0 {
		f.Message = diag.Textf("%d of %d functions, such as %s, are quantized together with the layers before them, which brings %.1f dB; ONNX Runtime computes these layers in float; the other functions would bring %.1f dB more",
			len(functions), len(functions)+apart, functions[0], told.Gain, told.Left)
	}
	return f
}

// first is what [High] has to know of the samples before it plans.
type first struct {
	// plain is the plan that equalizes nothing, nil where the strategy does not ask for
	// it; largest are the largest elements of its ReLU6's channels.
	plain   *Planned
	largest map[string][]float32
	few     []*engine.Batch
}

// first goes through the samples, where it has to.
func (p *Planned) first(ctx context.Context, run engine.Runner, in engine.Batches, o calibrate.Options) (*first, error) {
	f := &first{}
	var uses []func(engine.Batches) error
	if p.Plan.Strategy.IncludeCLE {
		var err error
		if f.plain, err = p.Model.plan(p.Plan.Strategy, High, decided{equalization: &calibrate.Equalization{None: true}}); err != nil {
			return nil, err
		}
		values, err := rewrite.Relu6Values(f.plain.Plan.Model)
		if err != nil {
			return nil, err
		}
		if len(values) > 0 {
			uses = append(uses, func(in engine.Batches) (err error) {
				f.largest, err = refine.Largest(ctx, run, f.plain.Plan, values, in, o.Threads)
				return err
			})
		}
	}
	if p.scales() || p.Plan.Strategy.Target != scheme.DPU && len(p.Plan.JoinedFunctions()) > 0 {
		uses = append(uses, func(in engine.Batches) (err error) {
			f.few, err = refine.Few(in)
			return err
		})
	}
	if len(uses) == 0 {
		return f, nil
	}
	return f, refine.Together(in, uses...)
}

// equalized decides what equalization may do.
func (p *Planned) equalized(f *first) (*Planned, error) {
	plain := f.plain
	if plain == nil {
		return p, nil
	}
	s := p.Plan.Strategy
	how := &calibrate.Equalization{Largest: f.largest}
	through, err := p.Model.plan(s, High, decided{equalization: how})
	if err != nil {
		return nil, err
	}
	gains, err := refine.Gains(plain.Plan, through.Plan)
	if err != nil || !gains {
		return plain, err
	}
	return through, nil
}

// scales reports whether channels of activations may be scaled. For the DPU they are
// not: a power of two as scale gains by it only where it halves a range.
func (p *Planned) scales() bool {
	return p.Plan.Strategy.IncludeCLE && p.Plan.Strategy.Target != scheme.DPU
}

// scaled is p with the channels of activations scaled where that is better on the
// samples: see [refine.Scales].
func (p *Planned) scaled(ctx context.Context, run engine.Runner, few []*engine.Batch, o calibrate.Options) (*Planned, error) {
	if !p.scales() {
		return p, nil
	}
	var other *Planned
	steps, err := refine.Scales(ctx, refine.Task{Plan: p.Plan, Float: p.Model.Graph}, run, few, o, func(steps map[string][]int) (*plan.Plan, error) {
		how := *p.decided.equalization
		how.Steps = steps
		var err error
		if other, err = p.Model.plan(p.Plan.Strategy, High, decided{&how, p.decided.functions}); err != nil {
			return nil, err
		}
		return other.Plan, nil
	})
	if err != nil || steps == nil {
		return p, err
	}
	return other, nil
}

// scaledChannels reports whether channels of p's activations are scaled.
func (p *Planned) scaledChannels() bool {
	return p.decided.equalization != nil && len(p.decided.equalization.Steps) > 0
}

// functions is p with what is best for the functions behind its weighted
// operators on the samples, and what that brings where they are joined: see
// [refine.Functions].
func (p *Planned) functions(ctx context.Context, run engine.Runner, few []*engine.Batch, o calibrate.Options) (*Planned, refine.Joined, error) {
	target := p.Plan.Strategy.Target
	if target == scheme.DPU {
		return p, refine.Joined{}, nil
	}
	least, enough := 0.0, math.Inf(1)
	if target == scheme.CPU {
		least, enough = refine.JoinGain, refine.JoinBelow
	}
	made := map[*plan.Plan]*Planned{}
	chosen, told, err := refine.Functions(ctx, refine.Task{Plan: p.Plan, Float: p.Model.Graph}, least, enough, run, few, o, func(ranges map[string]rewrite.ChannelRange, join bool, apart []string) (*plan.Plan, error) {
		scales, err := rewrite.ChooseFunctionScales(p.Plan.Model, ranges)
		if err != nil {
			return nil, err
		}
		d := decided{p.decided.equalization, plan.Functions{Join: join && target == scheme.CPU, Apart: apart, Steps: scales.Steps, Negated: scales.Negated}}
		other, err := p.Model.plan(p.Plan.Strategy, High, d)
		if err != nil {
			return nil, err
		}
		made[other.Plan] = other
		return other.Plan, nil
	})
	if err != nil || chosen == nil {
		return p, refine.Joined{}, err
	}
	if target != scheme.CPU || !chosen.Options.Functions.Join {
		told = refine.Joined{}
	}
	return made[chosen], told, nil
}

// checkpoint reads the file of a checkpoint, if there is one, and returns what
// keeps it and the batches to resume with.
func (p *Planned) checkpoint(opts CalibrateOptions, in engine.Batches, o calibrate.Options) (*calibrate.Checkpoint, engine.Batches, error) {
	k := opts.Checkpoint
	network, err := p.networkSHA256()
	if err != nil {
		return nil, nil, err
	}
	propagate := o.Propagate
	if propagate == 0 {
		propagate = calibrate.Progressive
	}
	file := &calibrate.CheckpointFile{CheckpointOf: calibrate.CheckpointOf{
		Version: Version(), Engine: k.Engine, ModelPath: p.Model.Path, ModelSHA256: p.Model.SHA256, NetworkSHA256: network,
		StrategySHA256: p.Plan.Strategy.SHA256(), SamplesSHA256: o.Source.SamplesSHA256, BatchSize: k.BatchSize,
		Propagate: propagate.String(), SkipInvalid: o.SkipInvalid, Accuracy: p.Accuracy.String(),
	}}
	if p.Accuracy == High {
		file.RefineSamples, file.KeepIntegers = opts.RefineSamples, opts.KeepIntegers
	}
	if err := file.Read(k.File); err != nil {
		return nil, nil, err
	}
	keep := &calibrate.Checkpoint{State: file.State, Every: k.Every, Save: func(samples int, state []byte) error {
		file.Samples, file.State = samples, state
		write := func() error { return file.Write(k.File) }
		if k.Write != nil {
			return k.Write(write)
		}
		return write()
	}}
	if file.State == nil {
		return keep, in, nil
	}
	if k.Resumed != nil {
		k.Resumed(file.Samples)
	}
	if k.From != nil && k.BatchSize > 0 {
		in = k.From(file.Samples / (8 * k.BatchSize) * (8 * k.BatchSize)) // see calibrate.Checkpoint
	}
	return keep, in, nil
}

// statsInfo says what statistics of p's network are of.
func (p *Planned) statsInfo(samplesSHA256 string) (calibrate.StatsInfo, error) {
	network, err := p.networkSHA256()
	if err != nil {
		return calibrate.StatsInfo{}, err
	}
	s := p.Plan.Strategy
	return calibrate.StatsInfo{
		Version: Version(), ModelPath: p.Model.Path, ModelSHA256: p.Model.SHA256, NetworkSHA256: network,
		Switches: map[string]bool{
			"include_cle":            s.IncludeCLE,
			"convert_relu6_to_relu":  s.ConvertReLU6,
			"convert_silu_to_hswish": s.ConvertSiLU,
			"--accuracy high":        p.Accuracy == High,
		},
		SamplesSHA256: samplesSHA256,
	}, nil
}

// CalibrateTogether is [Planned.Calibrate] in float propagation for several
// strategies at once, with the same results: the network runs once for all that
// rewrite it as the first one does. What cannot take part is nil in the result:
// strategies of another network, those planned for [High], which choose for
// themselves, and those that [calibrate.CalibrateTogether] leaves out. All must be of one model; nothing is kept in files.
func CalibrateTogether(ctx context.Context, run engine.Runner, ps []*Planned, in engine.Batches, opts CalibrateOptions) ([]*Calibrated, error) {
	if len(ps) == 0 {
		return nil, diag.Errorf("there is no strategy to calibrate by")
	}
	if opts.Checkpoint != nil || opts.SaveStats != nil || opts.FromStats != nil {
		return nil, diag.Errorf("several strategies keep neither a checkpoint nor statistics: calibrate them one by one for that")
	}
	if ps[0].Accuracy == High {
		c, err := ps[0].Calibrate(ctx, run, in, opts)
		if err != nil {
			return nil, err
		}
		out := make([]*Calibrated, len(ps))
		out[0] = c
		return out, nil
	}
	var alike []int
	var plans []*plan.Plan
	network := ""
	for i, p := range ps {
		if p.Model != ps[0].Model {
			return nil, diag.Errorf("models %s and %s cannot be calibrated together: give strategies of one model", ps[0].Model.Path, p.Model.Path)
		}
		if err := p.complete(ctx, run); err != nil {
			return nil, err
		}
		sum, err := p.networkSHA256()
		if err != nil {
			return nil, err
		}
		if i == 0 {
			network = sum
		}
		if sum == network && p.Accuracy != High {
			alike, plans = append(alike, i), append(plans, p.Plan)
		}
	}
	o, err := ps[0].options(opts)
	if err != nil {
		return nil, diag.Errorf("calibrating %s: %w", ps[0].Model.Path, err)
	}
	done, err := calibrate.CalibrateTogether(ctx, plans, run, in, o)
	if err != nil {
		return nil, diag.Errorf("calibrating %s: %w", ps[0].Model.Path, err)
	}
	out := make([]*Calibrated, len(ps))
	for k, i := range alike {
		if done[k] != nil {
			out[i] = &Calibrated{Planned: ps[i], Result: done[k]}
		}
	}
	return out, nil
}
