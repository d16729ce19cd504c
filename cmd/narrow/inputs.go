package main

import (
	"context"
	"errors"
	"math"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"narrow"
	"narrow/calibrate"
	"narrow/diag"
	"narrow/engine"
	"narrow/engine/ort"
	"narrow/internal/ortlib"
	"narrow/samples"
)

// inputFlags are the flags about model, samples and engine that several
// commands share.
type inputFlags struct {
	model, data, labels string
	out                 string
	subset, batch       int
	skip                int // samples skipped: --test-skip of run
	shuffle             bool
	seed                uint64
	preprocess          string
	resize, crop        string
	mean, std           string
	scale               float64
	bgr                 bool
	ortLib              string
	threads             int
	memory              memoryFlags
}

func (f *inputFlags) addModel(c *cobra.Command) {
	c.Flags().StringVar(&f.model, "model", "", "the ONNX model to quantize")
	_ = c.MarkFlagFilename("model", "onnx")
}

func (f *inputFlags) addOut(c *cobra.Command) {
	c.Flags().StringVarP(&f.out, "output-dir", "o", "quantize_result", "folder of the results")
	_ = c.MarkFlagDirname("output-dir")
}

func (f *inputFlags) addEngine(c *cobra.Command) {
	c.Flags().StringVar(&f.ortLib, "ort-lib", "", "ONNX Runtime's shared library, or its folder (default: NARROW_ORT_LIB, then beside narrow, the cache, the system)")
	c.Flags().IntVar(&f.threads, "threads", 0, "threads that share the work (default: one per core)")
}

func (f *inputFlags) addSamples(c *cobra.Command) {
	fl := c.Flags()
	fl.StringVar(&f.data, "data", "", "samples: a folder of images, or an .npy, .npz or IDX file")
	fl.StringVar(&f.labels, "labels", "", "labels: an .npy or IDX file, or a CSV with the columns file,class (images in class folders need none)")
	fl.IntVar(&f.subset, "subset-len", 0, "use at most this many samples (default: all)")
	fl.IntVar(&f.batch, "batch-size", 16, "samples that run at once")
	fl.BoolVar(&f.shuffle, "shuffle", false, "draw the samples in a random order")
	fl.Uint64Var(&f.seed, "seed", 0, "seed of --shuffle")
	fl.StringVar(&f.preprocess, "preprocess", "", "preset for images and uint8 arrays (default: none)")
	fl.StringVar(&f.resize, "resize", "", "resize the shorter side (256), or to height x width (240x320); none does without the preset's")
	fl.StringVar(&f.crop, "crop", "", "crop the centre: 224 or 240x320; none does without the preset's")
	fl.StringVar(&f.mean, "mean", "", "mean to subtract: one number, or one per channel")
	fl.StringVar(&f.std, "std", "", "standard deviation to divide by: one number, or one per channel")
	fl.Float64Var(&f.scale, "scale", 0, "factor for pixels, before mean and std, such as 0.00392157")
	fl.BoolVar(&f.bgr, "bgr", false, "channels in the order blue, green, red")
}

// required refuses a command line that leaves one of the named flags out.
func (f *inputFlags) required(c *cobra.Command, names ...string) error {
	var missing []string
	for _, n := range names {
		if !c.Flags().Changed(n) || c.Flags().Lookup(n).Value.String() == "" {
			missing = append(missing, "--"+n)
		}
	}
	if len(missing) > 0 {
		return usagef("%s needs %s", c.CommandPath(), diag.And(missing))
	}
	return nil
}

// preprocessing reads the flags about preprocessing.
func (f *inputFlags) preprocessing() (samples.Preprocess, error) {
	p := samples.Preprocess{Scale: f.scale, BGR: f.bgr}
	var err error
	wrong := func(flag string, err error) error { return usagef("--%s: %w", flag, err) }
	if f.preprocess != "" {
		if p.Preset, err = samples.ParsePreset(f.preprocess); err != nil {
			return p, wrong("preprocess", err)
		}
	}
	if f.resize != "" {
		if p.Resize, err = samples.ParseSize(f.resize); err != nil {
			return p, wrong("resize", err)
		}
	}
	if f.crop != "" {
		if p.Crop, err = samples.ParseSize(f.crop); err != nil {
			return p, wrong("crop", err)
		}
	}
	if p.Mean, err = parseNumbers(f.mean); err != nil {
		return p, wrong("mean", err)
	}
	if p.Std, err = parseNumbers(f.std); err != nil {
		return p, wrong("std", err)
	}
	finite := func(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }
	switch {
	case !finite(p.Scale):
		return p, usagef("--scale is %v: give a finite number", p.Scale)
	case slices.Contains(p.Std, 0):
		return p, usagef("--std is %s: nothing can be divided by 0", f.std)
	}
	for _, v := range append(slices.Clone(p.Mean), p.Std...) {
		if !finite(v) {
			return p, usagef("--mean and --std: give finite numbers, not %v", v)
		}
	}
	return p, nil
}

func parseNumbers(s string) ([]float64, error) {
	if s == "" {
		return nil, nil
	}
	var out []float64
	for _, part := range strings.Split(s, ",") {
		v, err := strconv.ParseFloat(strings.TrimSpace(part), 64)
		if err != nil {
			return nil, diag.Errorf("%q is no number: write numbers with commas between", part)
		}
		out = append(out, v)
	}
	return out, nil
}

// checkOut refuses -o "".
func (f *inputFlags) checkOut() error {
	if f.out == "" {
		return usagef("--output-dir is empty: name a folder, . for this one")
	}
	return nil
}

// check refuses flags that cannot be meant.
func (f *inputFlags) check() error {
	if err := f.checkOut(); err != nil {
		return err
	}
	return f.checkNumbers()
}

// checkNumbers refuses counts that cannot be meant.
func (f *inputFlags) checkNumbers() error {
	switch {
	case f.batch < 1:
		return usagef("--batch-size is %d: give 1 or more", f.batch)
	case f.subset < 0:
		return usagef("--subset-len is %d: give 1 or more, or leave it out for all", f.subset)
	case f.threads < 0:
		return usagef("--threads is %d: give 1 or more, or leave it out for one per core", f.threads)
	}
	return nil
}

// open reads the samples for a model.
func (a *app) openSamples(f *inputFlags, m *narrow.Model) (*samples.Set, error) {
	pre, err := f.preprocessing()
	if err != nil {
		return nil, err
	}
	workers := f.threads
	if f.memory.limit > 0 {
		workers = memoryReaders
	}
	set, err := samples.Open(f.data, m.Inputs(), samples.Options{
		Labels: f.labels, SubsetLen: f.subset, Skip: f.skip, Shuffle: f.shuffle, Seed: f.seed, Preprocess: pre, Workers: workers,
	})
	if err != nil {
		return nil, err
	}
	a.opened = append(a.opened, set)
	if err := a.chooseBatch(f, m, set); err != nil {
		return nil, err
	}
	if !a.sampled[f.data] { // run opens them twice
		a.later = append(a.later, set.Findings()...)
	}
	if a.sampled == nil {
		a.sampled = map[string]bool{}
	}
	a.sampled[f.data] = true
	return set, nil
}

// openModel reads the model, and computes the constants that its nodes make.
func (a *app) openModel(ctx context.Context, f *inputFlags) (*narrow.Model, error) {
	m, err := narrow.Open(ctx, f.model)
	if err != nil {
		return nil, err
	}
	return m, m.Fold(ctx, func() (engine.Runner, error) { return f.engine(a) })
}

// engine opens ONNX Runtime.
func (f *inputFlags) engine(a *app) (*watchedEngine, error) {
	path, err := ortlib.Find(f.ortLib)
	if err != nil {
		var nf *ortlib.NotFoundError
		if errors.As(err, &nf) && f.ortLib != "" {
			return nil, &exitError{code: exitUsage, err: err}
		}
		return nil, err
	}
	a.step(diag.Textf("loading ONNX Runtime from %s", path))
	a.record.Node(libraryNode)
	r, err := ort.Open(path)
	if err != nil {
		return nil, err
	}
	a.record.Node("")
	return &watchedEngine{Runner: r, a: a}, nil
}

// cores returns how many threads will share the work.
func (f *inputFlags) cores() int {
	if f.threads > 0 {
		return f.threads
	}
	return runtime.GOMAXPROCS(0)
}

// propagation reads --propagate.
func propagation(s string) (calibrate.Propagation, error) {
	if s == "" {
		return 0, nil
	}
	p, err := calibrate.ParsePropagation(s)
	if err != nil {
		return 0, usagef("--propagate: %w", err)
	}
	return p, nil
}
