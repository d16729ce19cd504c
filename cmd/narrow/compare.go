package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"narrow"
	"narrow/compare"
	"narrow/diag"
	"narrow/evaluate"
	"narrow/export"
	"narrow/internal/printable"
	"narrow/internal/progress"
	"narrow/metric"
	"narrow/plan"
	"narrow/samples"
)

// compareFlags are the flags of compare.
type compareFlags struct {
	inputFlags
	test        testSetFlags
	propagate   string
	skipInvalid bool
	accuracy    accuracyFlags
	metric      metricFlags
	html        string
	asJSON      bool
}

func newCompareCommand(a *app) *cobra.Command {
	var f compareFlags
	c := &cobra.Command{
		Use:   "compare A.json B.json ... --model M --data D [--labels L]",
		Short: "Compare several strategies on one network",
		Long: `compare calibrates, tests and exports by each strategy file, as run does, and
prints one table, and what each strategy sets in another way than the first. It
writes no files but, with --html F, the same as a page.

The columns: top-1, top-5, agreement and SQNR as test prints them; the size of
the exported file; how long calibration took; the cost, which is bits of weights
times bits of activations over all multiply-adds, relative to float32; and the
multiply-adds of one sample by the formats of weights x activations.

With --propagate float, strategies that rewrite the network alike are calibrated
together in one run of the network.`,
		Example: `  narrow compare int8.json int4.json --model resnet18.onnx --data val/ \
    --preprocess imagenet --resize 256 --crop 224 --html compare.html`,
		Args: func(_ *cobra.Command, args []string) error { return checkFiles(args) },
		RunE: func(c *cobra.Command, files []string) error { return a.compare(c, &f, files) },
	}
	f.addModel(c)
	f.addSamples(c)
	f.test.add(c)
	f.addEngine(c)
	f.accuracy.add(c)
	f.metric.add(c)
	addPropagate(c, &f.propagate)
	c.Flags().BoolVar(&f.skipInvalid, "skip-invalid", false, "skip tensors that hold NaN or Inf, and count them")
	c.Flags().StringVar(&f.html, "html", "", "write the comparison as one self-contained HTML file too")
	_ = c.MarkFlagFilename("html", "html")
	c.Flags().BoolVar(&f.asJSON, "json", false, "print one JSON document")
	return c
}

// checkFiles refuses lists of strategy files that cannot be compared.
func checkFiles(files []string) error {
	if len(files) < 2 {
		return usagef("compare needs two strategy files or more: narrow compare A.json B.json")
	}
	for i, f := range files {
		if slices.Contains(files[:i], f) {
			return usagef("%s is named twice: give each strategy once", f)
		}
	}
	return nil
}

// compare is the command.
func (a *app) compare(c *cobra.Command, f *compareFlags, files []string) error {
	if err := f.required(c, "model", "data"); err != nil {
		return err
	}
	if err := f.checkNumbers(); err != nil {
		return err
	}
	if err := f.metric.check(c); err != nil {
		return err
	}
	if err := f.accuracy.check(a, c, &f.propagate); err != nil {
		return err
	}
	how, err := propagation(f.propagate)
	if err != nil {
		return err
	}
	entries, err := a.entries(c.Context(), f, files)
	if err != nil {
		return err
	}
	model := entries[0].Planned.Model
	set, err := a.openSamples(&f.inputFlags, model)
	if err != nil {
		return err
	}
	testSet, testing, err := a.openTestSet(f.inputFlags, &f.test, model)
	if err != nil {
		return err
	}
	engine, err := f.engine(a)
	if err != nil {
		return err
	}
	if err := a.commit(c.Context(), func() error { return checkHTML(f.html) }); err != nil {
		return err
	}
	m, err := f.metric.open(a, model, testSet, len(entries)+1)
	if err != nil {
		return err
	}
	if m != nil {
		defer m.Close()
	}
	bars := &stepBars{a: a, calib: set, test: testSet}
	defer bars.done()
	ctx := c.Context()
	res, err := compare.Run(ctx, engine, entries, set.Batches(ctx, f.batch), testSet.Batches(ctx, f.batch), compare.Options{
		Propagate: how, Threads: f.cores(), SkipInvalid: f.skipInvalid, RefineSamples: f.accuracy.samples, KeepIntegers: f.accuracy.keepIntegers,
		Labels: testSet.Labels(), Metric: m, Set: metric.Set{Samples: testSet.Len(), Labels: testSet.Labels()}, Export: export.Options{Strict: a.strict}, Progress: bars.step,
	})
	if err != nil {
		return err
	}
	bars.done()
	a.printResultFindings(testing, res.Findings)
	var all diag.List
	for _, s := range res.Strategies {
		list := slices.DeleteFunc(slices.Clone(s.Findings), func(f diag.Finding) bool { return f.Severity == diag.Note })
		if len(list) > 0 {
			fmt.Fprintln(a.stderr, a.lang.Sprint(diag.Textf("exporting %s:", s.Name)))
			a.printFindings(a.stderr, list, nil)
			all = append(all, list...)
		}
	}
	if f.html != "" {
		if err := a.writeHTML(c, f.html, files, entries, engine.Version(), res); err != nil {
			return err
		}
	}
	if f.asJSON {
		err = a.printJSON(res)
	} else {
		err = a.printComparison(res)
		if f.html != "" {
			err = errors.Join(err, a.say(diag.Textf("wrote %s", f.html)))
		}
	}
	return errors.Join(err, a.verdict(all))
}

// entries reads the strategy files and lays each over the model. The mistakes
// of all files are printed before any of them ends the command.
func (a *app) entries(ctx context.Context, f *compareFlags, files []string) ([]compare.Entry, error) {
	model, failed := a.openModel(ctx, &f.inputFlags)
	usage := false
	var entries []compare.Entry
	for i, name := range shortNames(files) {
		s, list, err := a.readConfig(files[i])
		if err == nil {
			a.printFindings(a.stderr, list, s.Source)
			if err = a.verdict(list); err == nil && model != nil {
				var p *narrow.Planned
				p, err = a.plan(model, s, f.accuracy.chosen, nothingMore)
				entries = append(entries, compare.Entry{Name: name, Planned: p})
			}
		}
		var told *exitError
		if errors.As(err, &told) {
			usage = true
			if err = told.err; err == nil {
				continue // printed
			}
		}
		failed = errors.Join(failed, err)
	}
	if usage {
		return nil, &exitError{code: exitUsage, err: failed}
	}
	return entries, failed
}

// shortNames returns the files without their folders, where that keeps them
// apart.
func shortNames(files []string) []string {
	short := make([]string, len(files))
	for i, f := range files {
		short[i] = filepath.Base(f)
		if slices.Contains(short[:i], short[i]) {
			return files
		}
	}
	return short
}

// stepBars shows a progress bar for each step of a comparison.
type stepBars struct {
	a           *app
	calib, test *samples.Set
	at          compare.Step
	bar         *progress.Bar
}

func (b *stepBars) step(s compare.Step) {
	if b.bar == nil || s.Stage != b.at.Stage || s.Strategy != b.at.Strategy {
		b.done()
		b.bar = b.barFor(s)
	}
	b.at = s
	done := s.Done
	if s.Stage == compare.Measuring {
		done = done * partsOfWork / max(s.All, 1)
	}
	b.bar.Set(done)
}

// barFor returns the bar of a step.
func (b *stepBars) barFor(s compare.Step) *progress.Bar {
	what, total := diag.Textf("testing"), b.test.Len()
	switch s.Stage {
	case compare.Calibrating:
		what, total = diag.Textf("calibrating"), b.calib.Len()
		if !strings.Contains(s.Strategy, ", ") {
			what = diag.Textf("calibrating %s", s.Strategy)
		}
	case compare.Measuring:
		bar, _ := b.a.shareBar(diag.Textf("running the metric"))
		return bar
	case compare.Refining:
		what, total = diag.Textf("refining %s", s.Strategy), s.All
	}
	return progress.New(b.a.stderr, total, b.a.samplesDone(what))
}

// done ends the bar that is shown.
func (b *stepBars) done() {
	if b.bar != nil {
		b.bar.Done()
		b.bar = nil
	}
}

// printComparison writes the table, and below what the strategies set otherwise.
func (a *app) printComparison(c *compare.Comparison) error {
	var b strings.Builder
	screen := columns(a.stdout)
	tables := []table{a.comparisonTable(c)}
	if !tables[0].fits(screen) {
		tables = tables[0].turned(screen)
	}
	for i, t := range tables {
		if i > 0 {
			b.WriteByte('\n')
		}
		if err := t.write(&b, screen); err != nil {
			return err
		}
	}
	for _, s := range c.Strategies[1:] {
		fmt.Fprintf(&b, "\n%s\n", a.lang.Sprint(diag.Textf("%s next to %s:", s.Name, c.Strategies[0].Name)))
		for _, words := range s.Differences.Words {
			fmt.Fprintf(&b, "  %s\n", a.lang.Sprint(words))
		}
	}
	fmt.Fprintln(&b)
	for _, n := range c.Notes() {
		fmt.Fprintln(&b, a.lang.Sprint(n))
	}
	_, err := io.WriteString(a.stdout, printable.Text(b.String()))
	return err
}

// comparisonTable returns the table of strategies.
func (a *app) comparisonTable(c *compare.Comparison) table {
	labelled := c.Float.Accuracy != nil
	accuracy := func(acc *evaluate.Accuracy) []string {
		if !labelled {
			return nil
		}
		return []string{percent(acc.Top1), percent(acc.Top5)}
	}
	pairs := c.Pairs()
	measured := c.Strategies[0].Metric
	head := a.heads(diag.Textf("strategy"))
	if labelled {
		head = append(head, "top-1", "top-5")
	}
	if measured != nil {
		head = append(head, measured.Name)
	}
	head = append(head, a.heads(diag.Textf("agreement"), diag.Verbatim("SQNR"), diag.Textf("size"), diag.Textf("calibration"), diag.Textf("cost"))...)
	for _, p := range pairs {
		head = append(head, fmt.Sprintf("%v x %v", p.Weights, p.Activations))
	}
	rows := [][]string{head}
	float := append([]string{"float32"}, accuracy(c.Float.Accuracy)...)
	if measured != nil {
		float = append(float, metricValue(measured.Float))
	}
	rows = append(rows, append(float, "", "", kilobytes(c.Float.Bytes), "", percent(1)))
	for _, s := range c.Strategies {
		size := kilobytes(s.Bytes)
		if s.Bytes == 0 {
			size = a.lang.Sprint(diag.Textf("none"))
		}
		row := append([]string{s.Name}, accuracy(s.Accuracy)...)
		if s.Metric != nil {
			row = append(row, metricValue(s.Metric.Quantized))
		}
		row = append(row, agreed(s.Agreement), a.lang.Sprint(shortDecibel(s.SQNR)), size, fmt.Sprintf("%.1f s", s.Seconds), percent(s.RelativeCost))
		for _, p := range pairs {
			row = append(row, millions(s.MACs(p)))
		}
		rows = append(rows, row)
	}
	return table{rows, func(i int) bool { return i > 0 }}
}

func kilobytes(n int64) string { return fmt.Sprintf("%.1f KB", float64(n)/1000) }

// shortDecibel is decibel in the width of a column.
func shortDecibel(d evaluate.Decibel) diag.Text {
	switch {
	case math.IsNaN(float64(d)):
		return diag.Textf("undefined")
	case math.IsInf(float64(d), 1):
		return diag.Textf("exact")
	}
	return decibel(d)
}

// millions writes a number of multiply-adds, nothing where there are none.
func millions(n int64) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("%.3f M", float64(n)/1e6)
}

// nothingMore: what cannot be exported stands in the table, without a size.
func nothingMore(*plan.Plan) diag.List { return nil }
