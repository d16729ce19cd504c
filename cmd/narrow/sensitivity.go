package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"narrow"
	"narrow/diag"
	"narrow/export"
	"narrow/inspect"
	"narrow/internal/printable"
	"narrow/samples"
)

// sensitivitySamples is how many samples sensitivity looks at unless told: the
// network runs over them once for each layer.
const sensitivitySamples = 64

// sensitivityFlags are the flags of sensitivity.
type sensitivityFlags struct {
	inputFlags
	config   string
	by       string
	metric   metricFlags
	accuracy accuracyFlags
	asJSON   bool
}

func newSensitivityCommand(a *app) *cobra.Command {
	var f sensitivityFlags
	c := &cobra.Command{
		Use:   "sensitivity --model M --data D [--labels L] [--config-file F]",
		Short: "Rank the layers by what quantizing each alone costs",
		Long: fmt.Sprintf(`sensitivity quantizes one layer after the other, keeps all others in float, and
ranks the layers by what that does to the network's output over the samples: the
signal to quantization noise ratio (SQNR) and, with labels, the top-1 accuracy
lost. A layer's own SQNR is that of its own output. Layers are named as
layer_name in a rule of the strategy file takes it.

With --config-file it calibrates on the samples first, and writes nothing;
without, or with -o too, it takes the calibration in the output folder. It looks
at %d samples, unless --subset-len says otherwise.`, sensitivitySamples),
		Example: `  narrow sensitivity --model resnet18.onnx --data val/ --preprocess imagenet \
    --resize 256 --crop 224`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := f.required(c, "model", "data"); err != nil {
				return err
			}
			if err := f.check(); err != nil {
				return err
			}
			if f.by != "sqnr" && f.by != "top-1" {
				return usagef("--by is %q: it takes sqnr or top-1", f.by)
			}
			if err := f.metric.check(c); err != nil {
				return err
			}
			if f.metric.set() && c.Flags().Changed("by") {
				return usagef("--metric ranks the layers by what it tells: leave --by out")
			}
			propagate := ""
			if err := f.accuracy.check(a, c, &propagate); err != nil {
				return err
			}
			if f.subset == 0 {
				f.subset = sensitivitySamples
			}
			cal, set, err := a.calibrationOf(c, &f)
			if err != nil {
				return err
			}
			if f.by == "top-1" && set.Labels().Classes == nil {
				return usagef("--by top-1 needs labels: give --labels, or images in class folders")
			}
			r, err := a.sensitivity(c.Context(), &f, cal, set)
			if err != nil {
				return err
			}
			if f.asJSON {
				return a.printJSON(r)
			}
			return a.printRanking(r, cal)
		},
	}
	f.addModel(c)
	configFlag(c, &f.config)
	f.accuracy.add(c)
	f.metric.add(c)
	f.addSamples(c)
	f.addOut(c)
	f.addEngine(c)
	c.Flags().StringVar(&f.by, "by", "sqnr", "rank by sqnr or, with labels, by top-1 (where that is equal, by sqnr)")
	c.Flags().BoolVar(&f.asJSON, "json", false, "print one JSON document")
	return c
}

// calibrationOf calibrates by the strategy file where one is named and no
// folder is; else it reads the calibration in the folder. It opens the samples too.
func (a *app) calibrationOf(c *cobra.Command, f *sensitivityFlags) (*narrow.Calibrated, *samples.Set, error) {
	if f.config == "" || c.Flags().Changed("output-dir") {
		if c.Flags().Changed("accuracy") {
			return nil, nil, usagef("--accuracy is of the calibration, which is read from a folder here: leave it out, or calibrate by --config-file alone")
		}
		m, cal, err := a.loadCalibration(c.Context(), &f.inputFlags, f.config)
		if err != nil {
			return nil, nil, err
		}
		set, err := a.openSamples(&f.inputFlags, m)
		return cal, set, err
	}
	s, err := a.loadConfig(f.config)
	if err != nil {
		return nil, nil, err
	}
	m, err := a.openModel(c.Context(), &f.inputFlags)
	if err != nil {
		return nil, nil, err
	}
	p, err := a.plan(m, s, f.accuracy.chosen, export.CheckOpset)
	if err != nil {
		return nil, nil, err
	}
	set, err := a.openSamples(&f.inputFlags, m)
	if err != nil {
		return nil, nil, err
	}
	engine, err := f.engine(a)
	if err != nil {
		return nil, nil, err
	}
	bar, progress := a.bar(diag.Textf("calibrating"), set.Len())
	defer bar.Done()
	cal, err := p.Calibrate(c.Context(), engine, set.Batches(c.Context(), f.batch), narrow.CalibrateOptions{Threads: f.cores(), RefineSamples: f.accuracy.samples, KeepIntegers: f.accuracy.keepIntegers, Progress: progress})
	return cal, set, err
}

// sensitivity ranks the layers.
func (a *app) sensitivity(ctx context.Context, f *sensitivityFlags, c *narrow.Calibrated, set *samples.Set) (ranking *inspect.Ranking, err error) {
	m, err := f.metric.open(a, c.Model, set, 2)
	if err != nil {
		return nil, err
	}
	if m != nil {
		defer func() { err = errors.Join(err, m.Close()) }()
	}
	engine, err := f.engine(a)
	if err != nil {
		return nil, err
	}
	bar, progress := a.shareBar(diag.Textf("ranking layers"))
	defer bar.Done()
	r, err := inspect.Sensitivity(ctx, c, engine, set.Batches(ctx, f.batch), inspect.SensitivityOptions{
		Threads: f.cores(), Labels: set.Labels(), Metric: m, Progress: progress,
	})
	if err != nil {
		return nil, err
	}
	bar.Done()
	if f.by == "top-1" {
		r.ByTop1()
	}
	a.printResultFindings(&f.inputFlags, r.Findings)
	return r, nil
}

// printRanking writes the table and what to do with it.
func (a *app) printRanking(r *inspect.Ranking, c *narrow.Calibrated) error {
	var b strings.Builder
	say := func(t diag.Text) { b.WriteString(a.lang.Sprint(t) + "\n") }
	none := nothingCompared(r.All.SQNR, r.Invalid, r.Samples)
	if len(r.Layers) == 0 {
		say(diag.Textf("Nothing is quantized."))
	} else {
		say(diag.Textf("What quantizing one layer alone costs, over %d samples, worst first:", r.Samples))
		b.WriteByte('\n')
		if err := a.rankingTable(r).write(&b, columns(a.stdout)); err != nil {
			return err
		}
	}
	b.WriteByte('\n')
	say(diag.Textf("all layers together  %s", costText(r.All, none, r.MetricName)))
	if !unchanged(r.Rewrites) {
		say(diag.Textf("rewrites alone       %s", costText(r.Rewrites, none, r.MetricName)))
		if n := c.Rewrites.Count("convert-relu6-to-relu"); n > 0 && r.Rewrites.SQNR < 30 {
			b.WriteByte('\n')
			if inspect.MayGain(c) {
				say(diag.Textf("ReLU6 became ReLU in %s, which no datatype gives back: set include_cle and\n"+
					"convert_relu6_to_relu to false, or calibrate with --accuracy high, which equalizes through ReLU6.", count(n, "place")))
			} else {
				say(diag.Textf("ReLU6 became ReLU in %s, which no datatype gives back: set include_cle and\n"+
					"convert_relu6_to_relu to false.", count(n, "place")))
			}
		}
	}
	if len(r.Layers) > 0 && !none {
		b.WriteByte('\n')
		say(diag.Textf("To keep a layer in float, name it in layer_quantize_config of the strategy file:"))
		fmt.Fprintf(&b, "  %s\n", inspect.Spare(c.Plan, c.Plan.Layers[r.Layers[0].Index]))
	}
	_, err := io.WriteString(a.stdout, printable.Text(b.String()))
	return err
}

// rankingTable returns the table of layers.
func (a *app) rankingTable(r *inspect.Ranking) table {
	head := a.heads(diag.Verbatim(""), diag.Textf("LAYER"), diag.Textf("TYPE"), diag.Textf("WEIGHTS"), diag.Textf("RESULT"), diag.Textf("NETWORK SQNR"))
	first := len(head) - 1 // of the columns with numbers
	if r.Float != nil {
		head = append(head, a.heads(diag.Textf("TOP-1 LOST"))...)
	}
	if r.MetricName != "" {
		head = append(head, strings.ToUpper(r.MetricName))
	}
	rows := [][]string{append(head, a.heads(diag.Textf("OWN SQNR"))...)}
	for i, l := range r.Layers {
		weights, own := "-", "-"
		if l.Weights != "" {
			weights = l.Weights
		}
		if l.Own != nil {
			own = a.lang.Sprint(shortDecibel(l.Own.SQNR))
		}
		row := []string{fmt.Sprint(i + 1), l.Name, l.Op, weights, l.Activation, a.lang.Sprint(shortDecibel(l.SQNR))}
		if l.Drop != nil {
			row = append(row, lostPoints(*l.Drop))
		}
		if l.Metric != nil {
			row = append(row, metricValue(l.Metric))
		}
		rows = append(rows, append(row, own))
	}
	return table{rows, func(i int) bool { return i == 0 || i >= first }}
}

// costText says what a whole network costs; none: nothing could be compared; name
// is the metric's.
func costText(c inspect.Cost, none bool, name string) diag.Text {
	parts := []diag.Text{diag.Textf("%s %s", diag.Verbatim("SQNR"), shortDecibel(c.SQNR))}
	if c.Output != "" {
		parts[0] = diag.Textf("SQNR %s (%s, the worst output)", shortDecibel(c.SQNR), c.Output)
	}
	if c.Agreement != nil || none {
		parts = append(parts, diag.Textf("agreement %s", strings.TrimSpace(agreed(c.Agreement))))
	}
	if c.Drop != nil {
		parts = append(parts, diag.Textf("top-1 %s (%s points lost)", strings.TrimSpace(percent(*c.Top1)), lostPoints(*c.Drop)))
	}
	if c.Metric != nil {
		parts = append(parts, diag.Verbatim(name+" "+metricValue(c.Metric)))
	}
	return diag.Commas(parts)
}

// unchanged reports whether two networks differ by no more than the order of sums.
func unchanged(c inspect.Cost) bool { return c.SQNR > 100 }

// lostPoints writes a share as percentage points.
func lostPoints(x float64) string { return fmt.Sprintf("%.2f", 100*x+0) }
