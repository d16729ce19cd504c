package main

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"narrow"
	"narrow/compare"
	"narrow/cost"
	"narrow/diag"
	"narrow/evaluate"
	"narrow/export"
	"narrow/graph"
	"narrow/inspect"
	"narrow/internal/atomicfile"
	"narrow/report"
	"narrow/strategy"
)

// reportFile is the page's name in the output folder.
const reportFile = "report.html"

// reportSummary is the JSON document of report.
type reportSummary struct {
	File  string `json:"file"`
	Bytes int    `json:"bytes"`
	// Samples is how many the errors of tensors and layers were measured on.
	Samples int `json:"samples"`
	// Test is null without samples.
	Test *evaluate.Result `json:"test"`
}

// measureFlags say on how many samples a report measures.
type measureFlags struct{ samples int }

func (f *measureFlags) add(c *cobra.Command) {
	c.Flags().IntVar(&f.samples, "report-samples", 64, "measure the errors of tensors and layers on at most this many samples, 0 for all")
}

func (f *measureFlags) check() error {
	if f.samples < 0 {
		return usagef("--report-samples is %d: give 1 or more, or 0 for all", f.samples)
	}
	return nil
}

func newReportCommand(a *app) *cobra.Command {
	var f inputFlags
	var m measureFlags
	var config string
	var asJSON bool
	c := &cobra.Command{
		Use:   "report [-o quantize_result] [--data D [--labels L]] [--config-file F]",
		Short: "Show a calibration as one HTML file",
		Long: `report reads the calibration in the output folder and writes report.html there:
the accuracy, the error of every layer and tensor with histograms and grids, the
settings with the line that each comes from, warnings, and how to repeat the
result. The file needs nothing else and connects to nothing.

Accuracy and errors come from samples: without --data the report shows only what
the folder holds. The model is the one that quant_info.json names, unless
--model says where it is now. With --config-file the report shows the strategy
file as it was written, which the folder does not keep.`,
		Example: `  narrow report --data val/ --preprocess imagenet --resize 256 --crop 224`,
		Args:    noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := f.check(); err != nil {
				return err
			}
			if err := m.check(); err != nil {
				return err
			}
			if f.data == "" && f.labels != "" {
				return usagef("--labels needs --data")
			}
			sum, err := a.report(c, &f, &m, config)
			if err != nil {
				return err
			}
			if asJSON {
				return a.printJSON(sum)
			}
			return a.printReport(sum)
		},
	}
	f.addModel(c)
	configFlag(c, &config)
	f.addSamples(c)
	f.addOut(c)
	f.addEngine(c)
	m.add(c)
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON document")
	return c
}

func (a *app) printReport(s reportSummary) error {
	return a.say(diag.Textf("wrote %s (%.1f KB)", s.File, float64(s.Bytes)/1000))
}

// report is the command.
func (a *app) report(c *cobra.Command, f *inputFlags, m *measureFlags, config string) (reportSummary, error) {
	ctx := c.Context()
	var own *strategy.Strategy
	if config != "" {
		var err error
		if own, err = a.loadConfig(config); err != nil {
			return reportSummary{}, err
		}
	}
	if f.model == "" {
		var err error
		if f.model, err = calibratedModel(f.out); err != nil {
			return reportSummary{}, err
		}
	}
	_, done, err := a.loadCalibration(ctx, f, "")
	if err != nil {
		return reportSummary{}, err
	}
	if own != nil && own.SHA256() != done.Plan.Strategy.SHA256() {
		return reportSummary{}, usagef("the calibration in %s was made by another strategy than %s: name the file that it was made by, or leave --config-file out", f.out, config)
	}
	a.printFindings(a.stderr, done.Result.Findings, nil)
	page := reportPage{done: done, strategy: own, command: commandLine(c)}
	if f.data != "" {
		set, err := a.openSamples(f, done.Model)
		if err != nil {
			return reportSummary{}, err
		}
		if page.test, err = a.test(ctx, f, done, set, "", tested{}); err != nil {
			return reportSummary{}, err
		}
		if err := a.measure(ctx, f, m, &page); err != nil {
			return reportSummary{}, err
		}
	}
	if err := a.hold(ctx, f.out); err != nil {
		return reportSummary{}, err
	}
	data, err := a.render(&page, f.out)
	if err != nil {
		return reportSummary{}, err
	}
	if err := a.write(ctx, results{files: map[string][]byte{reportFile: data}}); err != nil {
		return reportSummary{}, err
	}
	sum := reportSummary{File: filepath.Join(f.out, reportFile), Bytes: len(data), Test: page.test}
	if page.measured != nil {
		sum.Samples = page.measured.Samples
	}
	return sum, nil
}

// calibratedModel returns the path of the model that a calibration is of.
func calibratedModel(dir string) (string, error) {
	atomicfile.Finish(dir)
	file := filepath.Join(dir, export.QuantInfoFile)
	data, err := readFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return "", diag.Errorf("there is no %s: run narrow calib first, or name its folder with -o", file)
	}
	if err != nil {
		return "", diag.Errorf("%s: %w", file, err)
	}
	q, err := export.ReadQuantInfo(file, data)
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(q.Model.Path); err != nil {
		return "", diag.Errorf("%s is of the model %s, which is not there: name its file with --model", file, q.Model.Path)
	}
	return q.Model.Path, nil
}

// reportPage is what a report is made of.
type reportPage struct {
	done     *narrow.Calibrated
	strategy *strategy.Strategy
	test     *evaluate.Result
	measured *inspect.Result
	command  []string
	engine   string
	// inputs are the shapes that samples give the network's inputs.
	inputs map[string][]graph.Dim
}

// measure finds the errors of tensors and layers on some of the samples that
// f names.
func (a *app) measure(ctx context.Context, f *inputFlags, m *measureFlags, page *reportPage) error {
	some := *f
	if m.samples > 0 && (some.subset == 0 || some.subset > m.samples) {
		some.subset = m.samples
		if some.skip == 0 && !some.shuffle && f.subset == 0 {
			// The first samples of class folders are all of one class.
			some.shuffle, some.seed = true, 0
		}
	}
	set, err := a.openSamples(&some, page.done.Model)
	if err != nil {
		return err
	}
	engine, err := f.engine(a)
	if err != nil {
		return err
	}
	page.engine = engine.Version()
	if page.inputs, err = compare.SampleShapes(page.done.Model, set.Batches(ctx, f.batch)); err != nil {
		return err
	}
	bar, progress := a.bar(diag.Textf("measuring"), set.Len())
	defer bar.Done()
	page.measured, err = inspect.Measure(ctx, page.done, engine, set.Batches(ctx, f.batch), inspect.Options{Threads: f.cores(), Progress: progress})
	return err
}

// pageOfRun returns the page for the end of run; where the errors cannot be
// measured, that is no reason to lose the rest.
func (a *app) pageOfRun(c *cobra.Command, f *inputFlags, m *measureFlags, done *narrow.Calibrated, test *evaluate.Result) (*reportPage, error) {
	page := &reportPage{done: done, test: test, command: commandLine(c)}
	err := a.measure(c.Context(), f, m, page)
	if err != nil && c.Context().Err() == nil {
		a.printFindings(a.stderr, diag.List{{
			Severity: diag.Warning, Code: "not-measured", Range: diag.Range{File: f.data},
			Message: diag.Textf("the report lacks the errors of layers and tensors: %s", err),
		}}, nil)
		return page, nil
	}
	return page, err
}

// render returns the page, with the findings so far and the sizes of the files
// that folder holds.
func (a *app) render(p *reportPage, folder string) ([]byte, error) {
	in := report.Input{
		Calibrated: p.done, Strategy: p.strategy, Test: p.test, Measured: p.measured,
		Cost: cost.Of(p.done.Plan, p.inputs), Files: networkFiles(p.done, folder),
		Findings: append(append(diag.List{}, a.told...), a.later...), Commands: [][]string{p.command},
	}
	in.Facts = []report.Fact{{Name: report.FactCommit, Value: currentVersion().Commit}, {Name: report.FactEngine, Value: p.engine}}
	d, err := report.New(in)
	if err != nil {
		return nil, err
	}
	d.Shorten(shortPaths(append(slices.Clone(p.command), p.done.Model.Path)))
	var b bytes.Buffer
	if err := report.Write(&b, d); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// networkFiles returns the files of the network and their sizes: the float one,
// and what was exported of it into folder.
func networkFiles(c *narrow.Calibrated, folder string) []report.File {
	var out []report.File
	add := func(file string) {
		// One that is not there, or has a size that nobody can tell, is left out.
		if n, err := sizeWithData(file); err == nil && n > 0 {
			out = append(out, report.File{Name: filepath.Base(file), Bytes: n})
		}
	}
	add(c.Model.Path)
	for _, name := range export.Forms() {
		if form, err := export.ParseForm(name); err == nil {
			add(filepath.Join(folder, form.FileName(c.Model.Path)))
		}
	}
	xmodels, _ := filepath.Glob(filepath.Join(folder, "*_int.xmodel"))
	for _, file := range xmodels {
		add(file)
	}
	return out
}

// commandLine returns the command line in a form that does not depend on where
// the results go and on how the work is shared, since they do not either.
func commandLine(c *cobra.Command) []string {
	args := strings.Fields(c.CommandPath())
	c.Flags().Visit(func(f *pflag.Flag) {
		switch f.Name {
		case "threads", "json", "ort-lib", "html":
		case "output-dir":
			if c.Name() == "report" { // there it says what is read
				args = append(args, "-o", f.Value.String())
			}
		default:
			if f.Value.Type() == "bool" {
				args = append(args, "--"+f.Name+map[string]string{"false": "=false"}[f.Value.String()])
			} else {
				args = append(args, "--"+f.Name, f.Value.String())
			}
		}
	})
	return args
}
