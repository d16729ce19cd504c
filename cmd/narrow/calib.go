package main

import (
	"context"
	"errors"
	"io"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"narrow"
	"narrow/calibrate"
	"narrow/diag"
	"narrow/engine"
	"narrow/export"
	"narrow/inspect"
	"narrow/plan"
	"narrow/samples"
	"narrow/strategy"
)

// calibFlags are the flags of calib and run.
type calibFlags struct {
	inputFlags
	config      string
	propagate   string
	skipInvalid bool
	asJSON      bool
	accuracy    accuracyFlags
	stats       statsFlags
	checkpoint  checkpointFlags
	shards      shardFlags // of calib alone
}

func (f *calibFlags) add(c *cobra.Command) {
	f.addModel(c)
	configFlag(c, &f.config)
	f.addSamples(c)
	f.addOut(c)
	f.addEngine(c)
	addPropagate(c, &f.propagate)
	c.Flags().BoolVar(&f.skipInvalid, "skip-invalid", false, "skip tensors that hold NaN or Inf, and count them")
	f.accuracy.add(c)
	f.stats.add(c)
	f.checkpoint.add(c)
	f.memory.add(c)
	c.Flags().BoolVar(&f.asJSON, "json", false, "print one JSON document")
}

func newCalibCommand(a *app) *cobra.Command {
	var f calibFlags
	c := &cobra.Command{
		Use:   "calib --model M --data D [--config-file F]",
		Short: "Find the scales: run samples through the network",
		Long: `calib checks the strategy file as lint does, runs the samples through the
network, and writes quant_info.json, bias_corr.json, ties.json and the listing
<Model>.py into the output folder.

With --checkpoint F, a calibration that was killed resumes where it was, with the
same result.

With --save-stats F it also keeps the statistics of every value that a strategy
could quantize. calib --from-stats F --config-file G then finds the scales of
another strategy for the same model without running it: those that
--propagate float finds. Strategies that rewrite the model in another way
(include_cle, convert_relu6_to_relu, convert_silu_to_hswish) need statistics of
their own.

With --shard i/n it calibrates on the i-th of n parts of the samples, with
--propagate float, and keeps what it observed in the file of --save-shard, on any
machine. calib --from-shards then makes of the files of all parts the same bytes
as one run over all samples: see docs/clusters.md.`,
		Example: `  narrow calib --model resnet18.onnx --data calib/ --preprocess imagenet \
    --resize 256 --crop 224 --config-file strategy.json`,
		Args: f.shards.args,
		RunE: func(c *cobra.Command, args []string) error {
			if err := f.shards.check(c, args, &f.propagate); err != nil {
				return err
			}
			job, err := a.prepare(c, &f)
			if err != nil {
				return err
			}
			if f.shards.shard != "" {
				return job.shard(c.Context())
			}
			done, err := job.calibrate(c.Context())
			if err != nil {
				return err
			}
			switch {
			case job.kept != nil:
				in, n := job.kept.Some(inspect.WarningSamples)
				if err := a.lossesOver(c.Context(), &f.inputFlags, done, job.engine, in, n); err != nil {
					return err
				}
			case f.stats.from == "" && len(f.shards.from) == 0:
				if err := a.lookForLosses(c.Context(), &f.inputFlags, done); err != nil {
					return err
				}
			}
			files, err := export.Files(done.Result)
			if err != nil {
				return err
			}
			if err := a.write(c.Context(), results{files: files}); err != nil {
				return err
			}
			f.checkpoint.remove()
			sum := job.summary(done)
			if f.asJSON {
				return a.printJSON(sum)
			}
			return job.print(sum)
		},
	}
	f.add(c)
	f.shards.add(c)
	return c
}

// calibJob is a calibration ready to run.
type calibJob struct {
	a       *app
	f       *calibFlags
	how     calibrate.Propagation
	model   *narrow.Model
	planned *narrow.Planned
	set     *samples.Set
	engine  *watchedEngine
	seconds float64
	// shards are what --from-shards names, kept the samples that came with them.
	shards *calibrate.Shard
	kept   *calibrate.Keeper
}

// prepare checks everything that can be checked before the long work: flags,
// strategy, model, rules, samples, engine, output folder.
func (a *app) prepare(c *cobra.Command, f *calibFlags) (*calibJob, error) {
	needs := []string{"model", "data"}
	if (f.stats.from != "" || len(f.shards.from) > 0) && c.Name() == "calib" {
		needs = needs[:1]
	}
	if err := f.required(c, needs...); err != nil {
		return nil, err
	}
	if err := f.check(); err != nil {
		return nil, err
	}
	if err := f.accuracy.check(a, c, &f.propagate,
		guideOnly{f.stats.from != "", "--from-stats", diag.Textf("which runs samples through the network")},
		guideOnly{f.shards.noKeep, "--no-keep-samples", diag.Textf("which chooses over them")},
	); err != nil {
		return nil, err
	}
	if err := f.stats.check(c, &f.propagate); err != nil {
		return nil, err
	}
	if err := f.checkpoint.check(c, &f.stats); err != nil {
		return nil, err
	}
	if err := f.memory.check(c); err != nil {
		return nil, err
	}
	job := &calibJob{a: a, f: f}
	var err error
	if job.how, err = propagation(f.propagate); err != nil {
		return nil, err
	}
	if err := job.openShards(); err != nil {
		return nil, err
	}
	f.memory.float, f.memory.high = job.how == calibrate.Float, f.accuracy.chosen == narrow.High
	f.memory.floatAsked = f.memory.float && (!f.memory.high || c.Flags().Changed("propagate") || f.stats.save != "" || f.shards.shard != "")
	s, err := a.loadConfig(f.config)
	if err != nil {
		return nil, err
	}
	if job.model, err = a.openModel(c.Context(), &f.inputFlags); err != nil {
		return nil, err
	}
	if f.memory.limit > 0 && f.memory.high { // which may end with guide
		if err := job.openSamples(); err != nil {
			return nil, err
		}
	}
	if job.planned, err = a.plan(job.model, s, f.accuracy.chosen, export.CheckOpset); err != nil {
		return nil, err
	}
	if f.data != "" && job.set == nil {
		if err := job.openSamples(); err != nil {
			return nil, err
		}
	}
	if err := f.stats.checkSize(job); err != nil {
		return nil, err
	}
	if f.stats.from == "" {
		if job.engine, err = f.engine(a); err != nil {
			return nil, err
		}
	}
	for _, check := range []func() error{f.stats.checkSave, f.checkpoint.checkFile, f.shards.checkSave} {
		if err := a.commit(c.Context(), check); err != nil {
			return nil, err
		}
	}
	if f.shards.shard != "" {
		return job, nil // writes nothing there
	}
	return job, a.hold(c.Context(), f.out)
}

// openSamples opens the samples. Where --max-memory leaves too little for high accuracy,
// guide is taken.
func (j *calibJob) openSamples() (err error) {
	f := j.f
	if j.set, err = j.a.openSamples(&f.inputFlags, j.model); err != nil {
		return err
	}
	if f.memory.besides == 0 {
		return nil
	}
	f.accuracy.takeGuide(j.a, diag.Textf("high takes %s (estimated), more than --max-memory %s", megabytes(f.memory.besides), f.memory.text))
	if !f.memory.floatAsked {
		f.propagate, j.how = calibrate.Progressive.String(), calibrate.Progressive
	}
	return nil
}

// plan plans the quantization of m and prints the findings, but for those of
// the strategy alone, which have been printed. check looks for more.
func (a *app) plan(m *narrow.Model, s *strategy.Strategy, acc narrow.Accuracy, check func(*plan.Plan) diag.List) (*narrow.Planned, error) {
	p, err := m.Plan(s, narrow.PlanOptions{Accuracy: acc})
	list, ok := diag.AsFindings(err)
	switch {
	case err == nil:
		list = append(slices.Clone(p.Findings), check(p.Plan)...)
	case !ok:
		return nil, err
	}
	list = slices.Clone(list[len(s.Findings):])
	list.Sort()
	a.printFindings(a.stderr, list, s.Source)
	return p, a.verdict(list)
}

// calibrate runs the samples through the network.
func (j *calibJob) calibrate(ctx context.Context) (*narrow.Calibrated, error) {
	hash := ""
	if j.set != nil {
		var err error
		if hash, err = j.set.Hash(ctx); err != nil {
			return nil, err
		}
	}
	if j.shards != nil {
		return j.fromShards(ctx)
	}
	if j.f.stats.from != "" {
		start := time.Now()
		c, err := j.fromStats(hash)
		j.seconds = time.Since(start).Seconds()
		return c, err
	}
	if j.a.lean && j.f.accuracy.chosen == narrow.High && j.f.memory.limit == 0 {
		allowGarbage(choosingGarbage)
	}
	bar, set := j.a.bar(diag.Textf("calibrating"), j.set.Len())
	defer func() { bar.Done() }()
	start := time.Now()
	opts := narrow.CalibrateOptions{
		Propagate: j.how, Threads: j.f.cores(), SkipInvalid: j.f.skipInvalid, Progress: set, SamplesSHA256: hash,
		RefineSamples: j.f.accuracy.samples, KeepIntegers: j.f.accuracy.keepIntegers, Checkpoint: j.checkpoint(ctx),
	}
	if j.set.Len() > calibrate.KeptSamples { // else it is all, which is then kept from one pass to the next
		opts.Some = j.some(ctx)
	}
	var refining func(done, all int) // the second bar begins when the first is done
	opts.RefineProgress = func(n, all int) {
		if refining == nil {
			bar.Done()
			bar, refining = j.a.shareBar(diag.Textf("refining"))
		}
		refining(n, all)
	}
	var c *narrow.Calibrated
	err := j.savingStats(ctx, func(save io.Writer) error {
		opts.SaveStats = save
		var err error
		c, err = j.planned.Calibrate(ctx, j.engine, j.set.Batches(ctx, j.f.batch), opts)
		return err
	})
	if err != nil {
		return nil, usageOfMismatch(err)
	}
	j.seconds = time.Since(start).Seconds()
	bar.Done()
	j.a.printFindings(j.a.stderr, c.Result.Findings, nil)
	j.planned = c.Planned
	return c, nil
}

// some are the samples over which high decides on the network, in shards as in one run.
func (j *calibJob) some(ctx context.Context) engine.Batches {
	return j.set.Spread(ctx, j.f.batch, calibrate.KeptSamples)
}

// usageOfMismatch makes a mistake of the command line of an error that says that two
// things do not belong together; others stay as they are.
func usageOfMismatch(err error) error {
	var mismatch *narrow.MismatchError
	if errors.As(err, &mismatch) {
		return &exitError{code: exitUsage, err: err}
	}
	return err
}

// calibSummary is the JSON document of calib.
type calibSummary struct {
	Samples   int     `json:"samples"`
	Batches   int     `json:"batches"`
	Tensors   int     `json:"tensors"`
	Invalid   int     `json:"invalid"`
	Propagate string  `json:"propagate"`
	Seconds   float64 `json:"seconds"`
	QuantInfo string  `json:"quant_info"`
}

func (j *calibJob) summary(c *narrow.Calibrated) calibSummary {
	return calibSummary{
		Samples: c.Result.Samples, Batches: c.Result.Batches, Tensors: len(c.Plan.Tensors), Invalid: c.Result.Invalid,
		Propagate: c.Result.Propagate.String(), Seconds: j.seconds, QuantInfo: filepath.Join(j.f.out, export.QuantInfoFile),
	}
}

func (j *calibJob) print(s calibSummary) error {
	batches := diag.Textf("1 batch")
	if s.Batches != 1 {
		batches = diag.Textf("%d batches", s.Batches)
	}
	t := diag.Textf("calibrated %s on %s in %s (%.1f s)", count(s.Tensors, "tensor"), count(s.Samples, "sample"), batches, s.Seconds)
	if s.Invalid > 0 {
		t = diag.Textf("%s; %d tensors with NaN or Inf were skipped", t, s.Invalid)
	}
	lines := []diag.Text{t, diag.Textf("wrote %s", s.QuantInfo)}
	if j.f.stats.save != "" {
		lines = append(lines, diag.Textf("wrote %s, statistics for --from-stats", j.f.stats.save))
	}
	return j.a.say(lines...)
}
