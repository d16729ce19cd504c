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
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"narrow"
	"narrow/diag"
	"narrow/internal/atomicfile"
	"narrow/internal/printable"
	"narrow/samples"
	"narrow/scheme"
	"narrow/search"
)

// searchFlags are the flags of search.
type searchFlags struct {
	inputFlags
	test          testSetFlags
	target        string
	maxDrop       float64
	budget        time.Duration
	propagate     string
	searchSamples int
	jobs          int
	accuracy      accuracyFlags
	metric        metricFlags
	minSQNR       float64
	minMetric     float64
	least         *float64 // of the metric
	file          string
	restart       bool
	force         bool
	html          string
	asJSON        bool
}

func newSearchCommand(a *app) *cobra.Command {
	var f searchFlags
	c := &cobra.Command{
		Use:   "search --model M --data D [--labels L | --metric C | --min-sqnr DB] [--max-drop 0.01] [--target T]",
		Short: "Find the cheapest strategy that keeps the accuracy",
		Long: `search tries strategies for a network and writes the file of the cheapest one
whose top-1 is at most --max-drop below the float network's on the test samples.
Without labels the metric is one of your own (--metric), or the SQNR (--min-sqnr).
Cost is the bits of weights times those of activations over all multiply-adds,
relative to float32.

It calibrates on the first --subset-len samples of --data (200, at most half)
and tests on the others, or on --test-data with --test-labels. Strategies are
compared on two thirds of the test samples; the rest only confirms the result.

Beside the strategy file F.json it writes F.provenance.json (what the strategy
promises and the command that shows it) and F.search.json, every trial so far;
with --html P a page of the curve, accuracy against cost, each point a strategy.
The same command resumes from there, also after Ctrl-C or a --budget, and ends as
if it had never stopped.`,
		Example: `  narrow search --model resnet18.onnx --data val/ --preprocess imagenet \
    --resize 256 --crop 224 --target CPU --max-drop 0.005 --budget 30m`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error { return a.search(c, &f) },
	}
	f.addModel(c)
	f.addSamples(c)
	f.test.add(c)
	f.addEngine(c)
	fl := c.Flags()
	fl.Lookup("seed").Usage = "seed of --shuffle and of which test samples are searched on"
	fl.Lookup("subset-len").Usage = "calibrate on at most this many samples (default: 200, at most half of --data where it is tested on too)"
	fl.Lookup("test-data").Usage = "test on these samples (default: on those of --data that do not calibrate)"
	fl.Lookup("test-skip").Usage = "skip this many samples, and test on those after them (default: those that calibrate)"
	fl.StringVar(&f.target, "target", "DPU", "device that the network is for")
	fl.Float64Var(&f.maxDrop, "max-drop", 0.01, "how far top-1, or --metric in its own units, may be below the float network's: 0.01 is one point")
	f.metric.add(c)
	fl.Float64Var(&f.minSQNR, "min-sqnr", 0, "search by the worst output's SQNR, which needs no labels: at least so many dB")
	fl.Float64Var(&f.minMetric, "min-metric", 0, "what --metric must be at least (at most with --lower-is-better), instead of --max-drop")
	fl.IntVar(&f.jobs, "jobs", 1, "trials that run at once, where memory allows; the result does not depend on it")
	f.accuracy.add(c)
	fl.DurationVar(&f.budget, "budget", 0, "start no trial after this time, such as 10m (default: none)")
	addPropagate(c, &f.propagate)
	fl.IntVar(&f.searchSamples, "search-samples", search.SearchSamples, "compare strategies on at most this many test samples")
	fl.StringVarP(&f.file, "output", "o", "strategy.json", "strategy file to write")
	fl.BoolVar(&f.restart, "restart", false, "start anew, instead of resuming an earlier search")
	fl.BoolVar(&f.force, "force", false, "overwrite a strategy file that no search wrote")
	fl.StringVar(&f.html, "html", "", "write the search, its curve and the strategies it tried, as one self-contained HTML file too")
	_ = c.MarkFlagFilename("html", "html")
	fl.BoolVar(&f.asJSON, "json", false, "print one JSON document")
	return c
}

// check refuses flags that cannot be meant and returns the device.
func (f *searchFlags) check(c *cobra.Command) (scheme.Target, error) {
	if err := errors.Join(f.checkNumbers(), f.metric.check(c)); err != nil {
		return 0, err
	}
	set := c.Flags().Changed
	finite := func(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }
	switch {
	case set("min-sqnr") && f.metric.set():
		return 0, usagef("--min-sqnr searches by the SQNR, --metric by something else: give one of them (--metric sqnr --min-metric %v is the same as --min-sqnr)", f.minSQNR)
	case set("min-metric") && !f.metric.set():
		return 0, usagef("--min-metric limits what a --metric tells: give one")
	case (set("min-metric") || set("min-sqnr")) && set("max-drop"):
		return 0, usagef("--max-drop limits the drop from the float network, --min-metric and --min-sqnr the value itself: give one of them")
	case !finite(f.minSQNR) || !finite(f.minMetric):
		return 0, usagef("--min-sqnr and --min-metric take finite numbers")
	case set("min-sqnr"):
		f.metric.command, f.least = "sqnr", &f.minSQNR
	case set("min-metric"):
		f.least = &f.minMetric
	}
	if f.jobs < 1 {
		return 0, usagef("--jobs is %d: give 1 or more", f.jobs)
	}
	var t scheme.Target
	switch {
	case t.UnmarshalText([]byte(strings.ToUpper(f.target))) != nil:
		return 0, usagef("--target takes one of %s, not %q", diag.Commas(scheme.TargetNames()), f.target)
	case f.metric.set() && !(f.maxDrop >= 0 && finite(f.maxDrop)):
		return 0, usagef("--max-drop is %v: give 0 or more, in the units of --metric", f.maxDrop)
	case !f.metric.set() && !(f.maxDrop >= 0 && f.maxDrop < 1):
		return 0, usagef("--max-drop is %v: give a share of the samples, 0 or more and below 1 (0.01 is one point)", f.maxDrop)
	case f.budget < 0:
		return 0, usagef("--budget is %v: give a time such as 10m", f.budget)
	case f.searchSamples < 1:
		return 0, usagef("--search-samples is %d: give 1 or more", f.searchSamples)
	case f.file == "" || f.file == "-":
		return 0, usagef("--output is %q: name a file", f.file)
	case f.test.skip < 0:
		return 0, usagef("--test-skip is %d: give 0 or more", f.test.skip)
	}
	return t, nil
}

// beside returns the file with another ending.
func (f *searchFlags) beside(ending string) string {
	return strings.TrimSuffix(f.file, ".json") + ending
}

// searchJob is a search ready to run.
type searchJob struct {
	a           *app
	f           *searchFlags
	key         search.Key
	model       *narrow.Model
	calibration *samples.Set
	test        *samples.Set
	provenance  search.Provenance
	known       []search.Trial
	metric      string // what the metric is called; "" for top-1
	lower       bool   // a lower metric is better
	floatValue  *float64
	trials      int
}

// search is the command.
func (a *app) search(c *cobra.Command, f *searchFlags) error {
	start := time.Now()
	if err := f.required(c, "model", "data"); err != nil {
		return err
	}
	target, err := f.check(c)
	if err != nil {
		return err
	}
	if err := f.accuracy.check(a, c, &f.propagate); err != nil {
		return err
	}
	how, err := propagation(f.propagate)
	if err != nil {
		return err
	}
	j := &searchJob{a: a, f: f}
	if j.model, err = a.openModel(c.Context(), &f.inputFlags); err != nil {
		return err
	}
	if err := j.openSamples(); err != nil {
		return err
	}
	engine, err := f.engine(a)
	if err != nil {
		return err
	}
	ctx := c.Context()
	if err := a.commit(ctx, j.checkFiles); err != nil {
		return err
	}
	if err := a.commit(ctx, func() error { return checkHTML(f.html) }); err != nil {
		return err
	}
	if err := j.identify(ctx, c, target); err != nil {
		return err
	}
	if err := j.resume(); err != nil {
		return err
	}
	// What is to be said of the samples is said now: a search may take hours, or end
	// without a result because of it.
	a.printFindings(a.stderr, a.later, nil)
	a.later = nil
	space := search.SpaceFor(target)
	judge, err := f.metric.open(a, j.model, j.test, 2+f.jobs)
	if err != nil {
		return err
	}
	if judge != nil {
		space.Spares = true
		defer judge.Close()
	}
	jobs := j.jobs()
	network, err := search.NewNetwork(ctx, j.model, engine, search.Samples{
		Calibration: j.calibration.Batches(ctx, f.batch), Test: j.test.Batches(ctx, f.batch),
		Labels: j.test.Labels(), Judge: judge, Accuracy: f.accuracy.chosen, SearchSamples: f.searchSamples, Seed: f.seed,
	}, space, narrow.CalibrateOptions{Propagate: how, Threads: max(1, f.cores()/jobs), RefineSamples: f.accuracy.samples, KeepIntegers: f.accuracy.keepIntegers})
	if err != nil {
		return err
	}
	p := &j.provenance
	p.Searched, p.HeldOut = network.Split()
	a.note(diag.Textf("%s: %s calibrate; of %s, %d are searched on and %d held out; the float network's %s",
		f.model, count(p.Calibration.Samples, "sample"), count(p.Test.Samples, "test sample"), p.Searched, p.HeldOut, j.floatText(network)))
	if fl := network.Float(); fl != nil {
		j.lower, j.floatValue = judge.LowerIsBetter(), fl.Value
		if j.metric = fl.Name; fl.Value == nil && f.least == nil {
			return usagef("the float network has no value of %s, so that there is no drop to limit: give --min-metric", fl.Name)
		}
	}
	if names := network.Nameless(); len(names) > 0 {
		a.note(diag.Textf("%s cannot be named by a rule and keep what the network has: %s", count(len(names), "layer"), printable.Text(strings.Join(names, ", "))))
	}
	if n := len(j.known); n > 0 {
		a.note(diag.Textf("%s: resuming with %s", f.beside(".search.json"), count(n, "known trial")))
	}
	j.trials = len(j.known)
	budget := f.budget
	if budget > 0 {
		budget = max(budget-time.Since(start), 1) // what came before counts
	}
	out, err := search.Run(ctx, space, network, search.Options{
		MaxDrop: f.maxDrop, Least: f.least, Metric: j.metric, Jobs: jobs, Budget: budget, Known: j.known,
		Trial: func(t search.Trial, all []search.Trial, left time.Duration) error {
			j.printTrial(a.stderr, t, left)
			j.trials = len(all)
			return j.save(ctx, all)
		},
		Found: func(found *search.Found) error { return j.write(ctx, found, j.trials, false) },
	})
	if err != nil {
		if ctx.Err() != nil {
			a.note(diag.Textf("%s holds what was tried; the same command resumes from there", f.beside(".search.json")))
		}
		return err
	}
	if f.html != "" {
		if err := j.writeSearchPage(c, engine.Version(), network.Top1(), out); err != nil {
			return err
		}
	}
	return j.finish(ctx, out)
}

// openSamples opens the samples to calibrate and to test on, apart from one
// another.
func (j *searchJob) openSamples() error {
	f := j.f
	own := f.test.data == "" // one set for both
	if f.subset == 0 || own {
		n, err := j.total()
		if err != nil {
			return err
		}
		if f.subset == 0 {
			f.subset = search.CalibrationSamples(n, own)
		}
		if left := n - max(f.subset, f.test.skip); own && left <= 0 {
			return usagef("%s holds %s, none of which are left to test on: calibrate on fewer with --subset-len, or name others with --test-data", f.data, count(n, "sample"))
		}
	}
	switch same := own || filepath.Clean(f.test.data) == filepath.Clean(f.data); {
	case own && f.test.skip == 0:
		f.test.skip = f.subset
	case same && (f.test.skip < f.subset || f.shuffle && !own):
		return usagef("the first %d samples calibrate and would be tested on too: leave --test-skip and --test-data out, or name other samples", f.subset)
	}
	var err error
	if j.calibration, err = j.a.openSamples(&f.inputFlags, j.model); err != nil {
		return err
	}
	var testing *inputFlags
	if j.test, testing, err = j.a.openTestSet(f.inputFlags, &f.test, j.model); err != nil {
		return err
	}
	if j.test.Labels().Classes == nil && !f.metric.set() {
		return usagef("%s has no labels, and top-1 cannot be told without: give --labels, or --test-labels with --test-data; or search by --metric or --min-sqnr, which need none", testing.data)
	}
	j.provenance.Calibration = search.Dataset{Path: f.data, Samples: j.calibration.Len()}
	j.provenance.Test = search.Dataset{Path: testing.data, Labels: testing.labels, Samples: j.test.Len()}
	return nil
}

// total returns how many samples --data holds. It notes no findings: what is to
// be said of the samples is said of those that calibrate.
func (j *searchJob) total() (int, error) {
	pre, err := j.f.preprocessing()
	if err != nil {
		return 0, err
	}
	all, err := samples.Open(j.f.data, j.model.Inputs(), samples.Options{Labels: j.f.labels, Preprocess: pre})
	if err != nil {
		return 0, err
	}
	defer all.Close()
	return all.Len(), nil
}

// identify gathers what the results depend on, and the command that repeats
// them.
func (j *searchJob) identify(ctx context.Context, c *cobra.Command, target scheme.Target) error {
	f := j.f
	j.key = search.Key{
		Version: narrow.Version(), ModelSHA256: j.model.SHA256, LabelsSHA256: search.LabelsSHA256(j.test.Labels().Classes),
		Target: target.String(), MaxDrop: f.maxDrop, Seed: f.seed, SearchSamples: f.searchSamples, BatchSize: f.batch, Propagate: f.propagate,
	}
	if f.metric.set() {
		j.key.Metric, j.key.MetricName, j.key.LowerIsBetter, j.key.Least = f.metric.command, f.metric.name, f.metric.lower, f.least
	}
	if f.accuracy.chosen == narrow.High {
		j.key.Accuracy = f.accuracy.chosen.String()
	}
	var err error
	if j.key.CalibrationSHA256, err = j.calibration.Hash(ctx); err != nil {
		return err
	}
	if j.key.TestSHA256, err = j.test.Hash(ctx); err != nil {
		return err
	}
	p := &j.provenance
	p.Format, p.Search, p.Model, p.Command = search.ProvenanceFormat, j.key, f.model, j.command(c)
	return nil
}

// command returns the run that shows what the strategy promises. What changes no
// number (threads, the library's place) is left out.
func (j *searchJob) command(c *cobra.Command) string {
	run := newRunCommand(j.a).Flags()
	args := []string{"narrow", "run"}
	add := func(name, value string) { args = append(args, "--"+name, shellWord(value)) }
	c.Flags().Visit(func(f *pflag.Flag) {
		switch f.Name {
		case "subset-len", "test-skip", "threads", "ort-lib", "json", "jobs", "accuracy", "min-sqnr", "max-drop", "min-metric":
			return
		}
		if run.Lookup(f.Name) == nil {
			return
		}
		if f.Value.Type() == "bool" {
			args = append(args, "--"+f.Name+"="+f.Value.String())
			return
		}
		add(f.Name, f.Value.String())
	})
	add("subset-len", strconv.Itoa(j.f.subset))
	if j.f.test.skip > 0 {
		add("test-skip", strconv.Itoa(j.f.test.skip))
	}
	add("config-file", j.f.file)
	add("accuracy", j.f.accuracy.chosen.String())
	switch f := j.f; {
	case f.metric.set() && c.Flags().Lookup("metric").Changed:
		if f.least != nil {
			add("min-metric", strconv.FormatFloat(*f.least, 'g', -1, 64))
		}
	case f.least != nil:
		add("metric", "sqnr")
		add("min-metric", strconv.FormatFloat(*f.least, 'g', -1, 64))
	}
	return strings.Join(args, " ")
}

// plainWord is what a shell takes as it is.
var plainWord = regexp.MustCompile(`^[A-Za-z0-9_@%+=:,./-]+$`)

// shellWord quotes a word for a shell.
func shellWord(s string) string {
	if plainWord.MatchString(s) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// checkFiles makes sure, before the work, that the files can be written and that
// no strategy is lost that somebody else wrote.
func (j *searchJob) checkFiles() error {
	f := j.f
	if err := atomicfile.CheckDir(filepath.Dir(f.file)); err != nil {
		return err
	}
	var err error
	if j.a.file, err = atomicfile.HoldFile(f.file); err != nil {
		return err
	}
	former, err := os.ReadFile(f.file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return diag.Errorf("strategy file: %w", err)
	}
	// Where there is no provenance, data is empty and of nothing.
	data, _ := os.ReadFile(f.beside(".provenance.json"))
	if !f.force && !search.Vouches(data, former) {
		return diag.Errorf("%s exists already, and no search wrote it as it is: name another file with -o, or add --force to overwrite it", f.file)
	}
	return nil
}

// resume reads the trials of an earlier run of the same search.
func (j *searchJob) resume() error {
	name := j.f.beside(".search.json")
	data, err := os.ReadFile(name)
	if j.f.restart || errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return diag.Errorf("reading the trials so far: %w", err)
	}
	log, err := search.ReadLog(data)
	if err != nil {
		return diag.Errorf("%s: %w: begin anew with --restart", name, err)
	}
	if differ := j.key.Differ(log.Key); len(differ) > 0 {
		return usagef("%s is of another search (%s): name another file with -o, or begin anew with --restart", name, strings.Join(differ, "; "))
	}
	j.known = log.Trials
	return nil
}

// save keeps the trials so far.
func (j *searchJob) save(ctx context.Context, trials []search.Trial) error {
	data, err := (&search.Log{Key: j.key, Trials: trials}).Encode()
	if err != nil {
		return err
	}
	return j.writeFiles(ctx, map[string][]byte{j.f.beside(".search.json"): data})
}

// write writes the strategy and its provenance.
func (j *searchJob) write(ctx context.Context, found *search.Found, trials int, complete bool) error {
	text := found.Strategy.Format()
	p := &j.provenance
	p.Why = nil
	for _, why := range found.Why {
		p.Why = append(p.Why, why.String())
	}
	p.StrategySHA256, p.Words, p.Cost, p.Promise = search.FileSHA256(text), found.Words.String(), found.Cost, found.Promise
	p.Trials, p.Complete = trials, complete
	data, err := p.Encode()
	if err != nil {
		return err
	}
	return j.writeFiles(ctx, map[string][]byte{j.f.file: text, j.f.beside(".provenance.json"): data})
}

func (j *searchJob) writeFiles(ctx context.Context, files map[string][]byte) error {
	var list []atomicfile.File
	for name, data := range files {
		list = append(list, atomicfile.Bytes(filepath.Base(name), data))
	}
	return j.a.commit(ctx, func() error { return atomicfile.Write(filepath.Dir(j.f.file), list...) })
}

// finish writes and tells what came out.
func (j *searchJob) finish(ctx context.Context, out *search.Outcome) error {
	if err := j.save(ctx, out.Trials); err != nil {
		return err
	}
	goOn := diag.Verbatim("")
	if !out.Complete {
		goOn = diag.Textf("; the budget ended the search: the same command resumes it")
	}
	if out.Best == nil {
		switch f := j.f; {
		case f.least != nil:
			return diag.Errorf("%s reached %s %v%s", noneOf(len(out.Trials)), j.metric, *f.least, goOn)
		case f.metric.set():
			return diag.Errorf("%s came within %v of the float network's %s%s", noneOf(len(out.Trials)), f.maxDrop, j.metric, goOn)
		}
		return diag.Errorf("%s came within %s of the float network's top-1%s", noneOf(len(out.Trials)), points(j.f.maxDrop), goOn)
	}
	if err := j.write(ctx, out.Best, len(out.Trials), out.Complete); err != nil {
		return err
	}
	if j.f.asJSON {
		return j.a.printJSON(&j.provenance)
	}
	return j.print(j.a.stdout, out.Best, goOn)
}

func noneOf(trials int) diag.Text {
	if trials == 0 {
		return diag.Textf("no strategy was tried, and none")
	}
	return diag.Textf("none of %v", count(trials, "trial"))
}

// print writes the result for people.
func (j *searchJob) print(w io.Writer, found *search.Found, goOn diag.Text) error {
	p := &j.provenance
	var b strings.Builder
	line := func(head diag.Text, text string) {
		h := j.a.lang.Sprint(head)
		fmt.Fprintf(&b, "%s%s%s\n", h, strings.Repeat(" ", max(1, 11-width(h))), text)
	}
	row := func(head, text diag.Text) { line(head, j.a.lang.Sprint(text)) }
	row(diag.Textf("found"), found.Words)
	row(diag.Textf("cost"), diag.Textf("%.2f %% of float32 (int8 throughout: %.2f %%)", 100*p.Cost, 100.0/16))
	for i, why := range found.Why {
		head := diag.Verbatim("")
		if i == 0 {
			head = diag.Textf("why")
		}
		row(head, why)
	}
	if v := p.Promise.All.Value; v != nil {
		row(diag.Verbatim(j.metric), diag.Textf("%s on %s", valueText(v), count(p.Promise.Samples, "test sample")))
	} else {
		row(diag.Verbatim("top-1"), diag.Textf("float %s, quantized %s on %s", percent(p.Promise.Float), percent(p.Promise.Quantized), count(p.Promise.Samples, "test sample")))
		row(diag.Textf("drop"), diag.Textf("%s", dropped(p.Promise.All)))
	}
	if h := p.Promise.HeldOut; h != nil {
		text := dropped(*h)
		if h.Value != nil {
			text = valueText(h.Value)
		}
		row(diag.Textf("held out"), diag.Textf("%s on the %d samples that were not searched on", text, h.Samples))
	}
	if p.Promise.HeldOut == nil {
		row(diag.Textf("held out"), diag.Textf("none: %s make one batch, and were searched on", count(p.Promise.Samples, "test sample")))
	}
	// Where the networks disagree on no sample, one more that they do is the least
	// that can be told.
	if e := max(p.Promise.All.StdErr(), 1/float64(max(p.Promise.Samples, 1))); p.Promise.All.Value == nil && j.f.maxDrop > 0 && e > j.f.maxDrop {
		row(diag.Verbatim(""), diag.Textf("so few samples do not tell %s from none: more would", points(j.f.maxDrop)))
	}
	row(diag.Textf("trials"), diag.Textf("%d%s", p.Trials, goOn))
	row(diag.Textf("wrote"), diag.Textf("%s and %s", j.f.file, j.f.beside(".provenance.json")))
	if j.f.html != "" {
		row(diag.Verbatim(""), diag.Textf("%s", j.f.html))
	}
	line(diag.Textf("again by"), p.Command) // whole, however long its words
	_, err := io.WriteString(w, b.String())
	return err
}

// printTrial writes one trial in a line.
func (j *searchJob) printTrial(w io.Writer, t search.Trial, left time.Duration) {
	result := diag.Verbatim("")
	switch {
	case t.Confirm != nil && t.Confirm.All.Value != nil:
		result = diag.Textf("%s %s of %d", j.metric, valueText(t.Confirm.All.Value), t.Confirm.Samples)
	case t.Score != nil && t.Score.Value != nil:
		result = diag.Textf("%s %s", j.metric, valueText(t.Score.Value))
	case t.Score != nil && t.Score.Failed != "":
		result = t.Score.Failure()
	case t.Phase == search.Confirm:
		result = diag.Textf("drop %s of %d", dropped(t.Confirm.All), t.Confirm.Samples)
	case t.Phase != search.Rank:
		_, q := t.Score.Top1()
		result = diag.Textf("top-1 %s, drop %s", percent(q), dropped(*t.Score))
		if t.Score.Stopped {
			result = diag.Textf("%s, stopped after %d", result, t.Score.Samples)
		}
	}
	pad := func(s string, n int) string { return s + strings.Repeat(" ", max(0, n-width(s))) }
	line := j.a.lang.Sprint(diag.Textf("%s cost %s  %s %s; about %s left", fmt.Sprintf("%3d %-7s", t.Number, t.Phase), fmt.Sprintf("%6.2f %%", 100*t.Cost),
		pad(j.a.lang.Sprint(result), 46), t.Tried(), shortTime(left)))
	if n := columns(w); n > 0 {
		line = shorten(line, n)
	}
	fmt.Fprintln(w, line)
}

// valueText writes a metric's value, and the drop where there is one.
func valueText(v *search.Value) diag.Text {
	t := diag.Verbatim(metricValue(&v.Quantized))
	if v.Float != nil {
		drop := *v.Float - v.Quantized
		if v.LowerIsBetter {
			drop = -drop
		}
		t = diag.Textf("%s (float %s, drop %s)", t, metricValue(v.Float), metricValue(&drop))
	}
	return t
}

// floatText says what the float network's accuracy is.
func (j *searchJob) floatText(n *search.Network) diag.Text {
	f := n.Float()
	switch {
	case f == nil:
		return diag.Textf("top-1 is %s", strings.TrimSpace(percent(n.Top1())))
	case f.Value == nil:
		return diag.Textf("outputs are what %s compares with", f.Name)
	}
	return diag.Textf("%s is %s", f.Name, metricValue(f.Value))
}

// jobs returns how many trials run at once: those asked for, as far as memory goes.
func (j *searchJob) jobs() int {
	if j.f.jobs == 1 {
		return 1
	}
	free, ok := availableMemory()
	need, err := j.a.estimate(&j.f.inputFlags, j.model, j.calibration)
	if !ok || err != nil || need <= 0 {
		return j.f.jobs
	}
	n := int(max(1, min(int64(j.f.jobs), free/need)))
	if n < j.f.jobs {
		fmt.Fprintln(j.a.stderr, j.a.lang.Sprint(diag.Textf("--jobs %d: %d at once, since each is estimated to take %s and %s are free", j.f.jobs, n, megabytes(need), megabytes(free))))
	}
	return n
}

// points writes a share as points of top-1.
func points(share float64) diag.Text {
	if share == 0.01 {
		return diag.Textf("1 point")
	}
	return diag.Textf("%.4g points", 100*share)
}

// dropped writes a drop with its standard error.
func dropped(s search.Score) diag.Text {
	return diag.Textf("%.2f ± %.2f points", 100*s.Drop(), 100*s.StdErr())
}
