package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime/pprof"
	"slices"
	"syscall"
	"time"

	"narrow"
	"narrow/engine"
	"narrow/engine/ort"
	"narrow/evaluate"
	"narrow/export"
	"narrow/internal/ortlib"
	"narrow/internal/scratch"
	"narrow/samples"
	"narrow/strategy"
)

const (
	calibBatch = 16
	testBatch  = 50
)

// measured is one row.
type measured struct {
	Calibrated, Tested int
	Float, Top1        float64
	// Lost is how much less the quantized network's top-1 is, LostError the
	// standard error of that: samples that both get right or wrong do not count.
	Lost, LostError float64
	Agreement, SQNR float64
	// Integers is how many convolutions and matrix products the export computes
	// in integers, of Weighted.
	Integers, Weighted int
	Seconds            float64 // of the processor
	Megabytes          float64
}

func (m measured) cells() []string {
	return []string{
		percent(m.Float), percent(m.Top1), fmt.Sprintf("%.1f ± %.1f", 100*m.Lost, 100*m.LostError), percent(m.Agreement),
		decibel(m.SQNR), fmt.Sprintf("%d of %d", m.Integers, m.Weighted), fmt.Sprintf("%.2f s", m.Seconds), fmt.Sprintf("%.0f MB", m.Megabytes),
	}
}

// engine opens ONNX Runtime.
func (o options) engine() (*ort.Runner, error) {
	path, err := ortlib.Find(o.lib)
	if err != nil {
		return nil, err
	}
	return ort.Open(path)
}

// alone measures one row and prints it.
func (o options) alone(ctx context.Context) error {
	runner, err := o.engine()
	if err != nil {
		return err
	}
	at := slices.IndexFunc(networks, func(n network) bool { return slices.Contains(o.networks, n.name) })
	row := slices.IndexFunc(strategies, func(s row) bool { return slices.Contains(o.rows, s.name) })
	if at < 0 || row < 0 {
		return errors.New("name one network and one row")
	}
	m, err := o.measure(ctx, runner, networks[at], strategies[row])
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(m)
}

func (o options) measure(ctx context.Context, runner *ort.Runner, n network, s row) (*measured, error) {
	model, err := narrow.Open(ctx, filepath.Join(o.models, n.model))
	if err != nil {
		return nil, err
	}
	calib, test, err := n.sets(o, model)
	if err != nil {
		return nil, err
	}
	defer calib.Close()
	defer test.Close()
	if o.profile != "" {
		f, err := os.Create(o.profile)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		if err := pprof.StartCPUProfile(f); err != nil {
			return nil, err
		}
	}
	before, err := usage()
	if err != nil {
		return nil, err
	}
	switch o.way {
	case narrow.Guide.String():
		s.accuracy = narrow.Guide
	case narrow.High.String():
		s.accuracy = narrow.High
	}
	var c *narrow.Calibrated
	for range o.repeat {
		if c, err = s.calibrate(ctx, runner, model, calib); err != nil {
			return nil, err
		}
	}
	after, err := usage()
	if err != nil {
		return nil, err
	}
	if o.profile != "" {
		pprof.StopCPUProfile()
	}
	m := &measured{
		Calibrated: calib.Len(), Tested: test.Len(),
		Seconds: (after.cpu - before.cpu).Seconds() / float64(o.repeat), Megabytes: float64(after.memory) / 1e6,
	}
	if o.way != "" {
		return m, nil
	}
	if m.Integers, m.Weighted, err = inIntegers(ctx, runner, c); err != nil {
		return nil, err
	}
	return m, m.test(ctx, runner, c, test)
}

// sets opens the samples that calibrate and those that test.
func (n network) sets(o options, model *narrow.Model) (calib, test *samples.Set, err error) {
	if calib, err = n.open(o, model, n.calib, "", samples.Options{SubsetLen: o.calib}); err != nil {
		return nil, nil, err
	}
	rest := samples.Options{SubsetLen: o.test}
	if n.calib == n.test {
		rest.Skip = o.calib
	}
	if test, err = n.open(o, model, n.test, n.labels, rest); err != nil {
		calib.Close()
		return nil, nil, err
	}
	return calib, test, nil
}

// open opens samples of a network. Lists that are sorted are shuffled.
func (n network) open(o options, model *narrow.Model, file, labels string, opts samples.Options) (*samples.Set, error) {
	opts.Preprocess, opts.Shuffle, opts.Seed = n.preprocess, n.sorted, o.seed
	if labels != "" {
		opts.Labels = filepath.Join(o.data, labels)
	}
	return samples.Open(filepath.Join(o.data, file), model.Inputs(), opts)
}

func (s row) calibrate(ctx context.Context, runner engine.Runner, model *narrow.Model, set *samples.Set) (*narrow.Calibrated, error) {
	file := "strategies/" + s.file
	src, err := files.ReadFile(file)
	if err != nil {
		return nil, err
	}
	parsed, _ := strategy.Parse("tools/accuracy/"+file, src)
	planned, err := model.Plan(parsed, narrow.PlanOptions{Accuracy: s.accuracy})
	if err != nil {
		return nil, err
	}
	return planned.Calibrate(ctx, runner, set.Batches(ctx, calibBatch), narrow.CalibrateOptions{})
}

// test fills in what the test samples tell.
func (m *measured) test(ctx context.Context, runner engine.Runner, c *narrow.Calibrated, set *samples.Set) error {
	labels := set.Labels()
	var right [2][]bool // by sample: does the float network, does the quantized one hit the label
	hits := func(i int) func(first int, outs []engine.Tensor) error {
		return func(first int, outs []engine.Tensor) error {
			x := outs[0].Floats
			per := len(x) / int(outs[0].Shape[0])
			for k := range int(outs[0].Shape[0]) {
				row := x[k*per : (k+1)*per]
				right[i] = append(right[i], slices.Index(row, slices.Max(row)) == labels.Classes[first+k])
			}
			return nil
		}
	}
	res, err := c.Test(ctx, runner, set.Batches(ctx, testBatch), narrow.TestOptions{Labels: labels, Output: hits(1)})
	if err != nil {
		return err
	}
	if _, err := evaluate.Float(ctx, runner, c.Model.Graph, set.Batches(ctx, testBatch), evaluate.Options{Output: hits(0)}); err != nil {
		return err
	}
	m.Float, m.Top1, m.Agreement, m.SQNR = res.Float.Top1, res.Quantized.Top1, *res.Agreement, float64(res.SQNR)
	if math.IsInf(m.SQNR, 0) {
		m.SQNR = 999 // JSON has no infinity
	}
	m.Lost = m.Float - m.Top1
	var differ float64
	for i, f := range right[0] {
		if f != right[1][i] {
			differ++
		}
	}
	count := float64(len(right[0]))
	m.LostError = math.Sqrt((differ/count - m.Lost*m.Lost) / count)
	return nil
}

// inIntegers counts the convolutions and matrix products with constant weights
// of c's export, and those that ONNX Runtime computes in integers on this machine.
func inIntegers(ctx context.Context, runner *ort.Runner, c *narrow.Calibrated) (in, all int, err error) {
	x, err := c.Export(narrow.ExportOptions{})
	if err != nil {
		return 0, 0, err
	}
	dir, err := scratch.New()
	if err != nil {
		return 0, 0, err
	}
	defer dir.Remove()
	file := filepath.Join(dir.Path, "exported.onnx")
	if err := x.Save(file); err != nil {
		return 0, 0, err
	}
	exported, err := narrow.Open(ctx, file)
	if err != nil {
		return 0, 0, err
	}
	optimized, err := runner.Optimized(ctx, file, dir.Path)
	if err != nil {
		return 0, 0, err
	}
	for _, e := range export.Executions(exported.Graph, optimized) {
		all++
		if e.Integer {
			in++
		}
	}
	return in, all, nil
}

type used struct {
	cpu    time.Duration
	memory int64
}

// usage returns the processor time and the largest memory of this process.
func usage() (used, error) {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return used{}, fmt.Errorf("asking for the processor time: %w", err)
	}
	return used{time.Duration(u.Utime.Nano() + u.Stime.Nano()), u.Maxrss * 1024}, nil
}

func percent(x float64) string { return fmt.Sprintf("%.1f %%", 100*x) }

func decibel(d float64) string {
	if d == 999 {
		return "exact"
	}
	return fmt.Sprintf("%.1f dB", d)
}
