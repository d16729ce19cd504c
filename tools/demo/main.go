// Demo quantizes the bundled network with five strategies, calibrating on 200
// Fashion-MNIST training images and testing on all 10,000 test images, and
// prints one table. The exported models, their strategies and quant_info.json
// stay in ./demo.
//
//	go run ./tools/demo [-o demo] [-ort-lib PATH]
//
// It is an example of the library too: everything it does goes through package
// narrow.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"time"

	"narrow"
	"narrow/engine"
	"narrow/engine/ort"
	"narrow/evaluate"
	"narrow/internal/ortlib"
	"narrow/internal/progress"
	"narrow/internal/setup"
	"narrow/samples"
	"narrow/strategy"
)

const (
	modelFile  = "models/fashion_dscnn.onnx"
	calibCount = 200
	calibBatch = 20
	testBatch  = 100
)

// strategies are shown in this order. An empty file is no file: the defaults.
var strategies = []struct{ name, slug, file string }{
	{"int8 (the guide's int_config)", "int8", "examples/configs/int_config.json"},
	{"int8, weights per channel", "int8_per_channel", "tools/demo/strategies/int8_per_channel.json"},
	{"DPU default (powers of two)", "dpu", ""},
	{"bfloat16", "bfloat16", "examples/configs/bfloat16_config.json"},
	{"int4 weights, int8 activations", "int4_weights", "tools/demo/strategies/int4_weights.json"},
}

func main() {
	out := flag.String("o", "demo", "folder to write to")
	lib := flag.String("ort-lib", "", "ONNX Runtime library")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *out, *lib); err != nil {
		if errors.Is(err, context.Canceled) {
			err = errors.New("interrupted")
		}
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, out, lib string) error {
	path, err := ortlib.Find(lib)
	if err != nil {
		return err
	}
	runner, err := ort.Open(path)
	if err != nil {
		return err
	}
	root, err := ortlib.CacheRoot()
	if err != nil {
		return err
	}
	data := setup.DataDir(root)
	if _, err := os.Stat(data); err != nil {
		return fmt.Errorf("the images are not in %s: run `make setup`", data)
	}
	model, err := narrow.Open(ctx, modelFile)
	if err != nil {
		return err
	}
	open := func(part string, subset int) (*samples.Set, error) {
		return samples.Open(filepath.Join(data, part+"-images-idx3-ubyte.gz"), model.Inputs(), samples.Options{
			Labels:     filepath.Join(data, part+"-labels-idx1-ubyte.gz"),
			SubsetLen:  subset,
			Preprocess: samples.Preprocess{Preset: samples.Unit},
		})
	}
	calib, err := open("train", calibCount)
	if err != nil {
		return err
	}
	defer calib.Close()
	test, err := open("t10k", 0)
	if err != nil {
		return err
	}
	defer test.Close()

	d := &demo{model: model, engine: runner, calib: calib, test: test}
	d.bar = progress.New(os.Stderr, len(strategies)*(calib.Len()+test.Len()), func(s progress.Status) string {
		return fmt.Sprintf("five strategies, %d/%d samples", s.Done, s.Total)
	})
	rows, err := d.all(ctx, out)
	d.bar.Done()
	if err != nil {
		return err
	}
	return table(os.Stdout, rows, out)
}

type demo struct {
	model       *narrow.Model
	engine      engine.Runner
	calib, test *samples.Set
	bar         *progress.Bar
	done        int // samples, over all strategies so far
}

// row is a line of the table.
type row struct {
	name    string
	result  *evaluate.Result
	bytes   int64
	seconds float64
}

func (d *demo) all(ctx context.Context, out string) ([]row, error) {
	var rows []row
	for _, s := range strategies {
		r, err := d.quantize(ctx, s.name, s.file, filepath.Join(out, s.slug))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", s.name, err)
		}
		rows = append(rows, r)
	}
	return rows, nil
}

// quantize takes one strategy from its file, "" for the defaults, to the exported model.
func (d *demo) quantize(ctx context.Context, name, file, out string) (row, error) {
	start := time.Now()
	s, err := strategy.Default(), error(nil)
	if file != "" {
		s, err = strategy.Load(file)
	}
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("%w (run the demo in narrow's source folder)", err)
	}
	if err != nil {
		return row{}, err
	}
	planned, err := d.model.Plan(s, narrow.PlanOptions{})
	if err != nil {
		return row{}, err
	}
	shown := func(n int) { d.bar.Set(d.done + n) }
	hash, err := d.calib.Hash(ctx)
	if err != nil {
		return row{}, err
	}
	cal, err := planned.Calibrate(ctx, d.engine, d.calib.Batches(ctx, calibBatch), narrow.CalibrateOptions{Progress: shown, SamplesSHA256: hash})
	if err != nil {
		return row{}, err
	}
	d.done += d.calib.Len()
	labels := d.test.Labels()
	result, err := cal.Test(ctx, d.engine, d.test.Batches(ctx, testBatch), narrow.TestOptions{Labels: labels, Progress: shown})
	if err != nil {
		return row{}, err
	}
	d.done += d.test.Len()

	exported, err := cal.Export(narrow.ExportOptions{})
	if err != nil {
		return row{}, err
	}
	if err := os.MkdirAll(out, 0o777); err != nil {
		return row{}, err
	}
	path := filepath.Join(out, "model.onnx")
	if err := exported.Save(path); err != nil {
		return row{}, err
	}
	if err := cal.Save(out); err != nil {
		return row{}, err
	}
	fi, err := os.Stat(path)
	if err != nil {
		return row{}, err
	}
	return row{name, result, fi.Size(), time.Since(start).Seconds()}, nil
}

func table(w io.Writer, rows []row, out string) error {
	const head, line = "%-31s %12s %16s %10s %8s %10s %8s\n", "%-31s %10.2f %% %14.2f %% %8.2f %% %5.1f dB %7.0f kB %8.1f\n"
	var b strings.Builder
	fmt.Fprintf(&b, head, "strategy", "top-1 float", "top-1 quantized", "agreement", "SQNR", "file size", "seconds")
	for _, r := range rows {
		fmt.Fprintf(&b, line, r.name, 100*r.result.Float.Top1, 100*r.result.Quantized.Top1,
			100**r.result.Agreement, float64(r.result.SQNR), float64(r.bytes)/1000, r.seconds)
	}
	fmt.Fprintf(&b, "\nThe exported models and quant_info.json are in %s.\n", out)
	_, err := io.WriteString(w, b.String())
	return err
}
