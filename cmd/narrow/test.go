package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"narrow"
	"narrow/diag"
	"narrow/engine"
	"narrow/evaluate"
	"narrow/export"
	"narrow/graph"
	"narrow/inspect"
	"narrow/internal/atomicfile"
	"narrow/internal/printable"
	"narrow/metric"
	"narrow/samples"
	"narrow/strategy"
)

// testFlags are the flags of test.
type testFlags struct {
	inputFlags
	config     string
	saveOutput string
	asExported bool
	exported   bool
	runtime    string
	asJSON     bool
	metric     metricFlags
	gates      gateFlags
	parts      partFlags
}

func newTestCommand(a *app) *cobra.Command {
	var f testFlags
	c := &cobra.Command{
		Use:   "test --model M --data D [--labels L]",
		Short: "Measure the accuracy of the float and the quantized network",
		Long: `test takes the strategy and the scales from quant_info.json in the output folder,
runs the float and the quantized network over the samples, and prints the
accuracy of both where there are labels, how far they agree, and the signal to
quantization noise ratio (SQNR) of the outputs.

With --exported, ONNX Runtime runs the exported model of the output folder
instead of the quantized network.

With --shard i/n it tests on the i-th of n parts of the samples and writes the
file of --save-result; test --from-results then tells what one test of all
samples tells.`,
		Example: `  narrow test --model resnet18.onnx --data val/ --preprocess imagenet \
    --resize 256 --crop 224 --min-top1 0.68`,
		Args: f.parts.args,
		RunE: func(c *cobra.Command, args []string) error {
			if err := f.checkParts(c, args); err != nil {
				return err
			}
			if err := f.check(); err != nil {
				return err
			}
			if err := errors.Join(f.memory.check(c), f.metric.check(c), f.gates.check(&f.metric)); err != nil {
				return err
			}
			if f.metric.set() && (f.parts.shard != "" || len(f.parts.from) > 0) {
				return usagef("--metric tells a number of all samples together, which those of parts do not add up to: test all in one run, or leave it out")
			}
			if f.exported && f.asExported {
				return usagef("--exported runs the exported model, --as-exported simulates it: give one of them")
			}
			form, err := export.ParseForm(f.runtime)
			switch {
			case err != nil:
				return usagef("--for is %q: it must be one of %s", f.runtime, diag.Commas(export.Forms()))
			case form != export.ORT && !f.exported:
				return usagef("--for says which exported model --exported runs: give both")
			}
			m, cal, err := a.loadCalibration(c.Context(), &f.inputFlags, f.config)
			if err != nil {
				return err
			}
			var set *samples.Set // nil where parts stand for it
			if f.data != "" {
				if set, err = a.openSamples(&f.inputFlags, m); err != nil {
					return err
				}
			}
			if err := a.commit(c.Context(), func() error { return errors.Join(checkOutput(f.saveOutput), f.parts.checkSave()) }); err != nil {
				return err
			}
			how := tested{asExported: f.asExported, metric: &f.metric}
			if f.exported {
				if how.model, err = a.openExported(c.Context(), cal, f.out, form); err != nil {
					return err
				}
			}
			if f.parts.shard != "" {
				return a.testPart(c.Context(), &f, cal, set, how)
			}
			var res *evaluate.Result
			if len(f.parts.from) > 0 {
				res, err = a.fromResults(&f, cal, how)
			} else {
				res, err = a.test(c.Context(), &f.inputFlags, cal, set, f.saveOutput, how)
			}
			if err != nil {
				return err
			}
			if set != nil {
				if err := a.lookForLosses(c.Context(), &f.inputFlags, cal); err != nil {
					return err
				}
				if err := a.adviseOn(c.Context(), &f.inputFlags, cal, res); err != nil {
					return err
				}
			}
			if f.asJSON {
				err = a.printJSON(res)
			} else {
				err = a.printResult(res)
			}
			return errors.Join(err, f.gates.verdict(a, c, f.model, res))
		},
	}
	f.addModel(c)
	configFlag(c, &f.config)
	f.addSamples(c)
	f.memory.add(c)
	f.addOut(c)
	f.addEngine(c)
	c.Flags().BoolVar(&f.asExported, "as-exported", false, "compute with biases as export stores them (int32 sums) rather than as calibrated")
	c.Flags().BoolVar(&f.exported, "exported", false, "run the exported model of the output folder rather than simulate it")
	c.Flags().StringVar(&f.runtime, "for", "ort", "which exported model --exported runs")
	f.metric.add(c)
	f.gates.add(c)
	f.parts.add(c, "results", "--save-result", "--from-results")
	c.Flags().StringVar(&f.saveOutput, "save-output", "", "write the quantized network's first output for all samples as one .npy")
	c.Flags().BoolVar(&f.asJSON, "json", false, "print one JSON document")
	return c
}

// loadCalibration reads the model and its calibration from the output folder.
// A strategy file that is named must be the one that was calibrated by.
func (a *app) loadCalibration(ctx context.Context, f *inputFlags, config string) (*narrow.Model, *narrow.Calibrated, error) {
	var s *strategy.Strategy
	if config != "" {
		var err error
		if s, err = a.loadConfig(config); err != nil {
			return nil, nil, err
		}
	}
	m, err := a.openModel(ctx, f)
	if err != nil {
		return nil, nil, err
	}
	atomicfile.Finish(f.out)
	c, err := narrow.Load(f.out, m, s)
	var mismatch *narrow.MismatchError
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil, diag.Errorf("there is no %s: run narrow calib first, or name its folder with -o", filepath.Join(f.out, export.QuantInfoFile))
	case errors.As(err, &mismatch) && mismatch.Of == "strategy":
		return nil, nil, &exitError{code: exitUsage, err: diag.Errorf("%w: leave --config-file out, or calibrate again", err)}
	case errors.As(err, &mismatch):
		return nil, nil, diag.Errorf("%w: calibrate this one, or name its folder with -o", err)
	case err != nil:
		return nil, nil, err
	}
	a.printFindings(a.stderr, c.Findings, nil)
	return m, c, nil
}

// tested says what stands for the quantized network.
type tested struct {
	// asExported simulates it with the biases that export stores.
	asExported bool
	// model is the exported model, which is run; nil simulates.
	model *narrow.Model
	// metric is the user's, if any.
	metric *metricFlags
}

// openExported reads the exported model in the folder dir, and says what runs it
// where that is not the runtime that it is for.
func (a *app) openExported(ctx context.Context, c *narrow.Calibrated, dir string, form export.Form) (*narrow.Model, error) {
	file := filepath.Join(dir, form.FileName(c.Model.Path))
	m, err := narrow.Open(ctx, file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, diag.Errorf("there is no %s: run narrow export --for %v first", file, form)
	}
	if err == nil && form != export.ORT {
		a.printFindings(a.stderr, diag.List{{Severity: diag.Note, Code: "other-runtime", Message: diag.Textf("ONNX Runtime runs this model, made for %v, which may compute some operators otherwise", form)}}, nil)
	}
	return m, err
}

// test runs the float and the quantized network over the samples.
func (a *app) test(ctx context.Context, f *inputFlags, c *narrow.Calibrated, set *samples.Set, saveOutput string, how tested) (res *evaluate.Result, err error) {
	m, err := how.metric.open(a, c.Model, set, 2)
	if err != nil {
		return nil, err
	}
	var measured *metric.Measuring
	if m != nil {
		defer func() { err = errors.Join(err, m.Close()) }()
		if measured, err = metric.Measure(ctx, m, metric.Set{Samples: set.Len(), Labels: set.Labels()}, 1); err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, measured.Close()) }()
	}
	runner, err := f.engine(a)
	if err != nil {
		return nil, err
	}
	opts := narrow.TestOptions{Threads: f.cores(), Exported: how.model, Labels: set.Labels()}
	if how.asExported {
		opts.AsExported = &narrow.ExportOptions{}
	}
	bar, progress := a.bar(diag.Textf("testing"), set.Len())
	defer bar.Done()
	opts.Progress = progress
	opts.Each = measured.Each()
	var failed error // of the network: it has nothing to do with the file being written
	watch := c.Result.WatchInputs()
	run := func(out func(int, []engine.Tensor) error) error {
		opts.Output = out
		in := watch.Batches(set.Batches(ctx, f.batch))
		var err error
		res, err = c.Test(ctx, runner, in, opts)
		return err
	}
	if saveOutput == "" {
		err = run(nil)
	} else {
		err = outputError(saveOutput, atomicfile.Write(filepath.Dir(saveOutput), atomicfile.File{Name: filepath.Base(saveOutput), Write: func(w io.Writer) error {
			npy := &outputWriter{w: w, total: set.Len()}
			if failed = run(npy.add); failed != nil {
				return failed
			}
			return npy.close()
		}}))
	}
	if failed != nil {
		err = failed
	}
	var unfit *evaluate.LabelsError
	if errors.As(err, &unfit) {
		return nil, &exitError{code: exitUsage, err: diag.Errorf("%s: %w", f.labels, unfit)}
	}
	if err != nil {
		return nil, err
	}
	if measured != nil {
		bar.Done()
		figures, err := a.endMeasuring(ctx, measured)
		if err != nil {
			return nil, err
		}
		res.Metric = figures[0]
	}
	a.printResultFindings(f, append(res.Findings(), inspect.OutputRanges(c, res)...))
	a.printFindings(a.stderr, watch.Findings(), nil)
	return res, nil
}

// printResultFindings prints what a result says of the samples in f.data and
// their labels.
func (a *app) printResultFindings(f *inputFlags, list diag.List) {
	for i := range list {
		list[i].Range.File = f.data
		if strings.HasPrefix(list[i].Code, "label") && f.labels != "" {
			list[i].Range.File = f.labels
		}
	}
	a.printFindings(a.stderr, list, nil)
}

// checkOutput makes sure, before the work, that --save-output can be written.
func checkOutput(file string) error {
	if file == "" {
		return nil
	}
	if st, err := os.Stat(file); err == nil && st.IsDir() {
		return diag.Errorf("--save-output %s: is a folder: name an .npy file in it", file)
	}
	return outputError(file, atomicfile.CheckDir(filepath.Dir(file)))
}

// outputError tells an error about the folder of --save-output as such.
func outputError(file string, err error) error {
	var dir *atomicfile.DirError
	if errors.As(err, &dir) {
		return diag.Errorf("--save-output %s: cannot be written: %s: %w: name another file", file, dir.Dir, dir.Err)
	}
	return err
}

// outputWriter writes a network's first output, batch by batch, as one .npy.
type outputWriter struct {
	w           io.Writer
	total, rows int
	npy         *samples.NPYWriter
}

func (o *outputWriter) add(_ int, outs []engine.Tensor) error {
	if len(outs) == 0 {
		return diag.Errorf("the network has no output to save")
	}
	t := outs[0]
	if o.npy == nil {
		if len(t.Shape) == 0 {
			return diag.Errorf("the network's first output has no axis for the samples: it cannot be saved as one array")
		}
		shape := append([]int64{int64(o.total)}, t.Shape[1:]...)
		var err error
		if o.npy, err = samples.NewNPYWriter(o.w, graph.DataType(t.Type), shape); err != nil {
			return err
		}
	}
	if o.rows += int(t.Shape[0]); o.rows > o.total {
		return o.unlike(diag.Textf("more rows than %d samples have", o.total))
	}
	if t.Floats != nil {
		return o.npy.WriteFloats(t.Floats)
	}
	return o.npy.WriteRaw(t.Raw)
}

func (o *outputWriter) close() error {
	switch {
	case o.npy == nil:
		return nil
	case o.rows < o.total:
		return o.unlike(diag.Textf("%d rows for %d samples", o.rows, o.total))
	}
	return o.npy.Close()
}

// unlike tells that the output has other rows than one for each sample.
func (o *outputWriter) unlike(rows diag.Text) error {
	return diag.Errorf("the network's first output has %s: it cannot be saved as one array; --metric hands over every batch as it is", rows)
}

// printResult writes the table of test.
func (a *app) printResult(r *evaluate.Result) error {
	var b strings.Builder
	row := func(label diag.Text, cells string) {
		head := a.lang.Sprint(label)
		fmt.Fprintf(&b, "%s%s%s\n", head, strings.Repeat(" ", max(1, 11-width(head))), cells)
	}
	row(diag.Textf("samples"), strconv.Itoa(r.Samples))
	if r.Float != nil && r.Quantized != nil {
		row(diag.Verbatim(""), "top-1    top-5")
		row(diag.Textf("float"), percent(r.Float.Top1)+"  "+percent(r.Float.Top5))
		row(diag.Textf("quantized"), percent(r.Quantized.Top1)+"  "+percent(r.Quantized.Top5))
	}
	none := nothingCompared(r.SQNR, r.Invalid, r.Samples)
	sqnr := decibel(r.SQNR)
	switch w := r.Worst(); {
	case none:
		sqnr = diag.Textf("undefined (no sample could be compared)")
	case w == nil:
		sqnr = diag.Textf("undefined (no output holds numbers to compare)")
	case len(r.Outputs) > 1 && !r.Exact:
		sqnr = diag.Textf("%s (%s, the worst of %d outputs)", sqnr, w.Name, len(r.Outputs))
	}
	if r.Agreement != nil || none && r.Classes() > 0 {
		row(diag.Textf("agreement"), agreed(r.Agreement))
	}
	row(diag.Verbatim("SQNR"), a.lang.Sprint(sqnr))
	if m := r.Metric; m != nil {
		row(diag.Verbatim(m.Name), a.lang.Sprint(metricRow(m)))
	}
	if len(r.Outputs) > 1 {
		b.WriteByte('\n')
		if err := a.outputTable(r).write(&b, columns(a.stdout)); err != nil {
			return err
		}
	}
	_, err := io.WriteString(a.stdout, printable.Text(b.String()))
	return err
}

// outputTable returns the table of outputs.
func (a *app) outputTable(r *evaluate.Result) table {
	number := func(x evaluate.Number, format string) string {
		if math.IsNaN(float64(x)) || math.IsInf(float64(x), 0) {
			return "-"
		}
		return fmt.Sprintf(format, float64(x))
	}
	rows := [][]string{a.heads(diag.Textf("output"), diag.Textf("shape"), diag.Verbatim("SQNR"), diag.Textf("cosine"), diag.Textf("largest error"), diag.Textf("agreement"))}
	for _, o := range r.Outputs {
		dims := make([]string, len(o.Shape))
		for i, d := range o.Shape {
			if dims[i] = strconv.FormatInt(d, 10); d < 0 {
				dims[i] = "?"
			}
		}
		sqnr, share := a.lang.Sprint(shortDecibel(o.SQNR)), o.Agreement
		if o.Equal != nil {
			sqnr, share = "-", o.Equal
		}
		rows = append(rows, []string{o.Name, strings.Join(dims, "x"), sqnr, number(o.Cosine, "%.5f"), number(o.MaxError, "%.4g"), strings.TrimSpace(agreed(share))})
	}
	return table{rows, func(i int) bool { return i >= 2 }}
}

// nothingCompared reports whether every sample was left out, so that SQNR is not
// defined.
func nothingCompared(sqnr evaluate.Decibel, invalid, samples int) bool {
	return math.IsNaN(float64(sqnr)) && invalid == samples
}

// agreed writes an agreement, a dash where there is none.
func agreed(x *float64) string {
	if x == nil {
		return "-"
	}
	return percent(*x)
}

func percent(x float64) string { return fmt.Sprintf("%5.2f %%", 100*x) }

func decibel(d evaluate.Decibel) diag.Text {
	if math.IsNaN(float64(d)) {
		return diag.Textf("undefined (the quantized network outputs NaN)")
	}
	if math.IsInf(float64(d), 1) {
		return diag.Textf("exact (no difference)")
	}
	return diag.Verbatim(fmt.Sprintf("%.2f dB", float64(d)))
}
