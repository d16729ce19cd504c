package compare

import (
	"context"
	"os"
	"path/filepath"
	"time"

	"narrow"
	"narrow/calibrate"
	"narrow/cost"
	"narrow/diag"
	"narrow/engine"
	"narrow/evaluate"
	"narrow/export"
	"narrow/graph"
	"narrow/graph/onnx"
	"narrow/internal/scratch"
	"narrow/metric"
)

// Format is the format of a [Comparison] in JSON.
const Format = "narrow.compare/1"

// Entry is one strategy laid over the network.
type Entry struct {
	// Name is what the strategy is called, such as its file.
	Name    string
	Planned *narrow.Planned
}

// Options say how to compare.
type Options struct {
	// Propagate, Threads and SkipInvalid are those of [calibrate.Options].
	Propagate   calibrate.Propagation
	Threads     int
	SkipInvalid bool
	// RefineSamples is on how many samples weights are refined, for entries that
	// were planned for [narrow.High]; 0 means its own number.
	RefineSamples int
	// KeepIntegers is that of [narrow.CalibrateOptions].
	KeepIntegers bool
	// Labels are the classes of the samples to test on.
	Labels engine.Labels
	// Metric, when set, tells figures of the float network and of every strategy's.
	// Set is what it is told of the samples to test on.
	Metric metric.Metric
	Set    metric.Set
	// Export says how to export.
	Export export.Options
	// Progress, when set, is called as work proceeds.
	Progress func(Step)
}

// Step is a piece of the work.
type Step struct {
	Stage Stage
	// Strategy is whose turn it is, "" where all are tested at once. While
	// calibrating it may be several names, of those that may be served.
	Strategy string
	// Done are samples; when refining, layers out of All.
	Done, All int
}

// Stage is a sort of work. The zero value is invalid.
type Stage int

// The stages, in order; the first two may come several times.
const (
	Calibrating Stage = iota + 1
	Refining
	Testing
	// Measuring is when the metric is told, of one network after the other.
	Measuring
)

// Comparison is what several strategies come to.
type Comparison struct {
	Format  string `json:"format"`
	Version string `json:"version"`
	Model   struct {
		Path   string `json:"path"`
		SHA256 string `json:"sha256"`
	} `json:"model"`
	// Accuracy is the level that the network was resolved for.
	Accuracy string `json:"accuracy"`
	// Propagate is what layers saw while calibrating.
	Propagate string `json:"propagate"`
	// Calibrated and Tested are how many samples there were of each.
	Calibrated int `json:"calibration_samples"`
	Tested     int `json:"test_samples"`
	// Invalid counts the samples that are left out: see [evaluate.Result].
	Invalid int `json:"invalid,omitempty"`
	// Classes is how many classes the first classification among the outputs
	// tells apart, 0 where there is none.
	Classes int `json:"classes,omitempty"`
	// Findings are what of the tests is not to be taken at its word.
	Findings diag.List `json:"-"`
	// Float is the network without quantization.
	Float Float `json:"float"`
	// Strategies are in the order given.
	Strategies []Row `json:"strategies"`
}

// Float is the float network.
type Float struct {
	// Accuracy is nil where there are no labels.
	Accuracy *evaluate.Accuracy `json:"accuracy,omitempty"`
	// Bytes is the size of the network as a file, MACs are its multiply-adds for
	// one sample.
	Bytes int64 `json:"bytes"`
	MACs  int64 `json:"macs"`
}

// Row is one strategy.
type Row struct {
	Name           string `json:"name"`
	StrategySHA256 string `json:"strategy_sha256"`
	// Tensors is how many tensors are quantized.
	Tensors int `json:"tensors"`
	// Differences are next to the first strategy; nil for that.
	Differences *Difference `json:"differences,omitempty"`
	// Accuracy is nil where there are no labels; Agreement, SQNR and what is told
	// of each output are with the float network: see [evaluate.Result].
	Accuracy  *evaluate.Accuracy `json:"accuracy,omitempty"`
	Agreement *float64           `json:"agreement"`
	SQNR      evaluate.Decibel   `json:"sqnr_db"`
	Exact     bool               `json:"exact,omitempty"`
	// Metric is what Options.Metric tells.
	Metric  *evaluate.Metric  `json:"metric,omitempty"`
	Outputs []evaluate.Output `json:"outputs"`
	// Bytes is the size of the exported file, with its data file if it has one,
	// and Opset its operator set; 0 where the strategy cannot be exported, and
	// Findings say why.
	Bytes int64 `json:"bytes"`
	Opset int64 `json:"opset"`
	// Findings are what the export could not hold.
	Findings diag.List `json:"findings,omitempty"`
	// Cost are multiply-adds by bit widths and the size of weights and biases,
	// RelativeCost is [cost.Cost.Relative].
	Cost         *cost.Cost `json:"cost"`
	RelativeCost float64    `json:"relative_cost"`
	// Seconds is how long calibration took: the run, whoever else it served, and
	// refinement.
	Seconds float64 `json:"calibration_seconds"`
	// Run counts the runs of the network over the calibration samples from 1;
	// strategies of one run were calibrated together.
	Run int `json:"calibration_run"`
	// Invalid counts the tensors that calibration skipped since they held
	// NaN or Inf.
	Invalid int `json:"invalid,omitempty"`
}

// Run calibrates, tests and exports every entry. All entries must be of one
// model; calib and test may be the same samples, and are gone through several
// times. Nothing is kept of what is exported. Errors name the strategy.
//
// With [calibrate.Float] propagation, strategies that rewrite the network alike
// observe in one run.
func Run(ctx context.Context, runner engine.Runner, entries []Entry, calib, test engine.Batches, opts Options) (*Comparison, error) {
	if len(entries) == 0 {
		return nil, diag.Errorf("there is no strategy to compare")
	}
	model := entries[0].Planned.Model
	for _, e := range entries {
		if e.Planned.Model != model {
			return nil, diag.Errorf("%s is planned for another model than %s: plan all for one", e.Name, entries[0].Name)
		}
	}
	if opts.Propagate == 0 {
		opts.Propagate = calibrate.Progressive
	}
	c := &comparer{engine: runner, entries: entries, samples: calib, opts: opts}
	if c.opts.Progress == nil {
		c.opts.Progress = func(Step) {}
	}
	out := &Comparison{Format: Format, Version: narrow.Version(), Accuracy: entries[0].Planned.Accuracy.String(), Propagate: opts.Propagate.String()}
	out.Model.Path, out.Model.SHA256 = model.Path, model.SHA256

	done, err := c.calibrate(ctx)
	if err != nil {
		return nil, err
	}
	inputs, err := SampleShapes(model, test)
	if err != nil {
		return nil, err
	}
	var results []*narrow.Calibrated
	diffs := Differences(entries)
	for i, d := range done {
		row := Row{
			Name: entries[i].Name, StrategySHA256: d.Plan.Strategy.SHA256(), Tensors: len(d.Plan.Tensors), Differences: diffs[i],
			Cost: cost.Of(d.Plan, inputs), Seconds: d.seconds, Run: d.run, Invalid: d.Result.Invalid,
		}
		row.RelativeCost = row.Cost.Relative()
		if err := row.export(d.Calibrated, opts.Export); err != nil {
			return nil, diag.Errorf("%s: %w", row.Name, err)
		}
		out.Strategies = append(out.Strategies, row)
		results = append(results, d.Calibrated)
	}
	out.Calibrated = done[0].Result.Samples
	out.Float.MACs = out.Strategies[0].Cost.MACs
	if out.Float.Bytes, err = sizeOf(model.Graph); err != nil {
		return nil, err
	}
	networks := make([]engine.Network, len(results))
	for i, c := range results {
		if networks[i], err = c.Result.Network(opts.Threads, nil); err != nil {
			return nil, diag.Errorf("testing %s: %w", model.Path, err)
		}
	}
	measured, err := c.measure(ctx, len(networks))
	if err != nil {
		return nil, err
	}
	defer measured.Close()
	tested, err := evaluate.Run(ctx, runner, model.Graph, networks, test, evaluate.Options{
		Threads: opts.Threads, Labels: opts.Labels, Each: measured.Each(),
		Progress: func(n int) { c.opts.Progress(Step{Stage: Testing, Done: n}) },
	})
	if err != nil {
		return nil, diag.Errorf("testing %s: %w", model.Path, err)
	}
	for i, t := range tested {
		row := &out.Strategies[i]
		row.Accuracy, row.Agreement, row.SQNR, row.Exact, row.Outputs = t.Quantized, t.Agreement, t.SQNR, t.Exact, t.Outputs
	}
	figures, err := measured.End(ctx, func(done int) { c.opts.Progress(Step{Stage: Measuring, Done: done, All: len(results) + 1}) })
	if err != nil {
		return nil, diag.Errorf("testing %s: %w", model.Path, err)
	}
	for i, f := range figures {
		out.Strategies[i].Metric = f
	}
	out.Tested, out.Invalid, out.Float.Accuracy = tested[0].Samples, tested[0].Invalid, tested[0].Float
	out.Classes, out.Findings = tested[0].Classes(), tested[0].Findings()
	return out, nil
}

// measure begins with what the metric is given; nil without one.
func (c *comparer) measure(ctx context.Context, networks int) (*metric.Measuring, error) {
	if c.opts.Metric == nil {
		return nil, nil
	}
	return metric.Measure(ctx, c.opts.Metric, c.opts.Set, networks)
}

// export tells the size of the exported network.
func (r *Row) export(c *narrow.Calibrated, opts export.Options) error {
	x, err := c.Export(opts)
	if list, ok := diag.AsFindings(err); ok {
		r.Findings = list
		return nil
	}
	if err != nil {
		return err
	}
	r.Findings, r.Opset = x.Findings, x.Graph.Opsets[""]
	r.Bytes, err = sizeOf(x.Graph)
	return err
}

// sizeOf writes a network where nobody sees it and returns what it takes.
func sizeOf(m *graph.Model) (int64, error) {
	scratch, err := scratch.New()
	if err != nil {
		return 0, diag.Errorf("exporting: %w", err)
	}
	defer func() { _ = scratch.Remove() }() // what stays, the next run clears away
	dir := filepath.Join(scratch.Path, "exported")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return 0, diag.Errorf("exporting: %w", err)
	}
	if err := onnx.Save(m, filepath.Join(dir, "model.onnx")); err != nil {
		return 0, diag.Errorf("exporting: %w", err)
	}
	files, err := os.ReadDir(dir)
	if err != nil {
		return 0, diag.Errorf("exporting: %w", err)
	}
	var n int64
	for _, f := range files {
		info, err := f.Info()
		if err != nil {
			return 0, diag.Errorf("exporting: %w", err)
		}
		n += info.Size()
	}
	return n, nil
}

// SampleShapes returns the shapes that one sample gives the network's inputs,
// where the model leaves more open than the batch; else nil. It takes the first
// of in, if any.
func SampleShapes(m *narrow.Model, in engine.Batches) (map[string][]graph.Dim, error) {
	open := false
	for _, s := range m.Inputs() {
		for _, d := range s.Dims[min(1, len(s.Dims)):] {
			open = open || d < 0
		}
		open = open || s.Dims == nil
	}
	if !open {
		return nil, nil
	}
	for b, err := range in {
		if err != nil {
			return nil, err
		}
		return b.SampleShapes(), nil
	}
	return nil, nil
}

// seconds returns how long it is since start.
func seconds(start time.Time) float64 { return time.Since(start).Seconds() }
