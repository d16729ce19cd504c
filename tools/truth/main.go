// Truth compares what a calibration is tested as with what is exported: for
// every strategy it calibrates, tests, exports, loads the exported file in ONNX
// Runtime with graph optimizations off and on, and prints how far the outputs
// are apart, in quantization steps.
//
//	go run ./tools/truth -model M -data D [-labels L] [-preprocess P ...] STRATEGY...
//
// A strategy is a file in vai_q_pytorch's format, or "default" for none. It is
// an example of the library too.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"narrow"
	"narrow/calibrate"
	"narrow/engine"
	"narrow/engine/ort"
	"narrow/evaluate"
	"narrow/export"
	"narrow/internal/ortlib"
	"narrow/samples"
	"narrow/strategy"
)

// options are the flags.
type options struct {
	model, data, labels string
	calib, test, batch  int
	propagate           string
	preset, mean, std   string
	resize, crop        string
	scale               float64
	bgr                 bool
	lib, out            string
	strategies          []string
	form                string
	exact, keepBias     bool
	calibrated          bool
	worst               bool
}

func main() {
	var o options
	flag.StringVar(&o.model, "model", "", "ONNX model")
	flag.StringVar(&o.data, "data", "", "samples")
	flag.StringVar(&o.labels, "labels", "", "labels")
	flag.IntVar(&o.calib, "calib", 32, "samples to calibrate on")
	flag.IntVar(&o.test, "test", 64, "samples to test on")
	flag.IntVar(&o.batch, "batch-size", 16, "samples that run at once")
	flag.StringVar(&o.propagate, "propagate", "progressive", "progressive, float, or both with a comma")
	flag.StringVar(&o.preset, "preprocess", "none", "preset for images: imagenet, pm1, unit or none")
	flag.StringVar(&o.mean, "mean", "", "mean to subtract")
	flag.StringVar(&o.std, "std", "", "standard deviation to divide by")
	flag.StringVar(&o.resize, "resize", "", "resize")
	flag.StringVar(&o.crop, "crop", "", "crop")
	flag.Float64Var(&o.scale, "scale", 0, "factor for pixels")
	flag.BoolVar(&o.bgr, "bgr", false, "channels in the order blue, green, red")
	flag.StringVar(&o.lib, "ort-lib", "", "ONNX Runtime library")
	flag.StringVar(&o.out, "o", "", "folder to keep the exported models in (default: none are kept)")
	flag.StringVar(&o.form, "for", "ort", "the runtime to export for, which ONNX Runtime stands for")
	flag.BoolVar(&o.exact, "exact-rounding", false, "export round modes exactly")
	flag.BoolVar(&o.keepBias, "keep-bias", false, "export biases as calibrated")
	flag.BoolVar(&o.calibrated, "calibrated", false, "test with biases as calibrated, not as exported")
	flag.BoolVar(&o.worst, "worst", false, "tell which output differs most")
	flag.Parse()
	o.strategies = flag.Args()
	if len(o.strategies) == 0 {
		o.strategies = []string{"default"}
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	held, err := o.run(ctx)
	if err != nil {
		fmt.Fprintln(os.Stderr, "truth:", err)
		os.Exit(1)
	}
	if !held {
		os.Exit(3)
	}
}

// run prints a line for every strategy, and reports whether all hold.
func (o *options) run(ctx context.Context) (bool, error) {
	path, err := ortlib.Find(o.lib)
	if err != nil {
		return false, err
	}
	runner, err := ort.Open(path)
	if err != nil {
		return false, err
	}
	m, err := narrow.Open(ctx, o.model)
	if err != nil {
		return false, err
	}
	if o.out == "" {
		if o.out, err = os.MkdirTemp("", "truth"); err != nil {
			return false, err
		}
		defer os.RemoveAll(o.out)
	}
	fmt.Printf("%s, ONNX Runtime %s\n%-28s %-6s %6s %6s %6s %7s %9s %9s %8s %7s\n", filepath.Base(o.model), runner.Version(),
		"strategy", "prop", "float", "quant", "export", "SQNR", "off", "on", "kB", "s")
	all := true
	for _, how := range strings.Split(o.propagate, ",") {
		p, err := calibrate.ParsePropagation(how)
		if err != nil {
			return false, err
		}
		for _, file := range o.strategies {
			name := strings.TrimSuffix(filepath.Base(file), ".json")
			r := &round{o: o, engine: runner, model: m, how: p, file: file, name: name}
			if err := r.run(ctx); err != nil {
				if ctx.Err() != nil {
					return false, errors.New("interrupted")
				}
				fmt.Printf("%-28s %-6.5s FAILS: %v\n", name, how, err)
				all = false
				continue
			}
			held := r.print(how)
			all = all && held
		}
	}
	return all, nil
}

// round is one strategy.
type round struct {
	o      *options
	engine *ort.Runner
	model  *narrow.Model
	how    calibrate.Propagation
	file   string
	name   string

	result   *evaluate.Result
	compared [2]comparison // optimizations off, on
	bytes    int64
	seconds  float64
	notes    []string
}

func (r *round) open(n int) (*samples.Set, error) {
	o := r.o
	pre := samples.Preprocess{Scale: o.scale, BGR: o.bgr}
	var err error
	if pre.Preset, err = samples.ParsePreset(o.preset); err != nil {
		return nil, err
	}
	if o.resize != "" {
		if pre.Resize, err = samples.ParseSize(o.resize); err != nil {
			return nil, err
		}
	}
	if o.crop != "" {
		if pre.Crop, err = samples.ParseSize(o.crop); err != nil {
			return nil, err
		}
	}
	if pre.Mean, err = numbers(o.mean); err != nil {
		return nil, err
	}
	if pre.Std, err = numbers(o.std); err != nil {
		return nil, err
	}
	return samples.Open(o.data, r.model.Inputs(), samples.Options{Labels: o.labels, SubsetLen: n, Preprocess: pre})
}

func numbers(s string) ([]float64, error) {
	var out []float64
	for part := range strings.SplitSeq(s, ",") {
		if part == "" {
			continue
		}
		v, err := strconv.ParseFloat(part, 64)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, nil
}

// run takes the strategy from its file to the comparison.
func (r *round) run(ctx context.Context) error {
	start := time.Now()
	s := strategy.Default()
	if r.file != "default" {
		var err error
		if s, err = strategy.Load(r.file); err != nil {
			return err
		}
	}
	planned, err := r.model.Plan(s, narrow.PlanOptions{Accuracy: narrow.Guide})
	if err != nil {
		return err
	}
	calib, err := r.open(r.o.calib)
	if err != nil {
		return err
	}
	defer calib.Close()
	test, err := r.open(r.o.test)
	if err != nil {
		return err
	}
	defer test.Close()
	hash, err := calib.Hash(ctx)
	if err != nil {
		return err
	}
	cal, err := planned.Calibrate(ctx, r.engine, calib.Batches(ctx, r.o.batch), narrow.CalibrateOptions{Propagate: r.how, SamplesSHA256: hash})
	if err != nil {
		return err
	}
	// What is tested and exported is what was kept.
	dir := filepath.Join(r.o.out, r.name+"-"+r.how.String())
	if err := cal.Save(dir); err != nil {
		return err
	}
	if cal, err = narrow.Load(dir, r.model, nil); err != nil {
		return err
	}
	form, err := export.ParseForm(r.o.form)
	if err != nil {
		return err
	}
	exportOptions := export.Options{For: form, ExactRounding: r.o.exact, KeepBias: r.o.keepBias}
	want := &outputs{}
	labels := test.Labels()
	testOptions := narrow.TestOptions{Labels: labels, Output: want.add}
	if !r.o.calibrated {
		testOptions.AsExported = &exportOptions
	}
	if r.result, err = cal.Test(ctx, r.engine, test.Batches(ctx, r.o.batch), testOptions); err != nil {
		return err
	}
	exported, err := cal.Export(exportOptions)
	if err != nil {
		return err
	}
	for _, f := range exported.Findings {
		if !strings.Contains(f.Message.String(), "half_even") {
			r.notes = append(r.notes, f.Message.String())
		}
	}
	file := filepath.Join(dir, "model.onnx")
	if err := exported.Save(file); err != nil {
		return err
	}
	fi, err := os.Stat(file)
	if err != nil {
		return err
	}
	r.bytes = fi.Size()
	steps := outputSteps(cal)
	for i := range r.compared {
		session, err := r.engine.LoadFile(ctx, file, ort.FileOptions{Unoptimized: i == 0})
		if err != nil {
			return fmt.Errorf("exported: %w", err)
		}
		c := newComparison(want, steps, labels.Classes)
		fixed := cmp.Or(test.FixedBatch(), engine.FixedBatch(r.model.Graph))
		batches := test.Batches(ctx, r.o.batch)
		if fixed > 0 && test.FixedBatch() == 0 {
			batches = engine.Rebatch(batches, fixed)
		}
		err = c.run(ctx, session, batches, fixed, cal.Plan.Model.Graph.Outputs)
		session.Close()
		if err != nil {
			return fmt.Errorf("exported: %w", err)
		}
		r.compared[i] = *c
	}
	r.seconds = time.Since(start).Seconds()
	return nil
}

// Shares that must hold.
const (
	mustAgree = 0.999
	topSlack  = 0.005
)

func (r *round) print(how string) bool {
	top := func(a *evaluate.Accuracy) string {
		if a == nil {
			return "-"
		}
		return fmt.Sprintf("%.2f", 100*a.Top1)
	}
	off, on := &r.compared[0], &r.compared[1]
	exported := "-"
	held := off.share() >= mustAgree && on.share() >= mustAgree
	if r.result.Quantized != nil {
		exported = fmt.Sprintf("%.2f", 100*on.top1())
		for _, c := range r.compared {
			if d := c.top1() - r.result.Quantized.Top1; d > topSlack || d < -topSlack {
				held = false
			}
		}
	}
	mark := ""
	if !held {
		mark = "  DIFFERS"
	}
	fmt.Printf("%-28s %-6.5s %6s %6s %6s %7.2f %8.3f%% %8.3f%% %8d %7.1f%s\n", r.name, how, top(r.result.Float), top(r.result.Quantized), exported,
		float64(r.result.SQNR), 100*off.share(), 100*on.share(), r.bytes/1000, r.seconds, mark)
	for _, n := range r.notes {
		fmt.Printf("    %s\n", n)
	}
	if r.o.worst || !held {
		fmt.Printf("    off: %v\n    on:  %v\n", off, on)
	}
	return held
}
