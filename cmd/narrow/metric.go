package main

import (
	"context"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"narrow"
	"narrow/diag"
	"narrow/evaluate"
	"narrow/metric"
	"narrow/samples"
)

// metricFlags name a metric of the user's.
type metricFlags struct {
	command string
	name    string
	lower   bool

	words []string // of the command; nil for a built-in one, or none
}

func (f *metricFlags) add(c *cobra.Command) {
	c.Flags().StringVar(&f.command, "metric", "", "tell accuracy by this command, which gets a folder with all outputs as its last argument and prints a JSON object of numbers; or by top1, top5, sqnr, cosine, iou or mse")
	c.Flags().StringVar(&f.name, "metric-name", "", "the number of --metric that counts (default: the first one)")
	c.Flags().BoolVar(&f.lower, "lower-is-better", false, "a lower --metric is better")
}

// set reports whether there is a metric; nil is none.
func (f *metricFlags) set() bool { return f != nil && f.command != "" }

// builtin reports whether it is one that needs no command.
func (f *metricFlags) builtin() bool { return slices.Contains(metric.Builtins(), f.command) }

// check refuses flags that mean nothing, before any work.
func (f *metricFlags) check(c *cobra.Command) error {
	switch {
	case !f.set() && c.Flags().Changed("metric"):
		return usagef("--metric is empty: give a command, or one of %s", diag.Commas(metric.Builtins()))
	case !f.set() && (f.name != "" || f.lower):
		return usagef("--metric-name and --lower-is-better say how to read a --metric: give one")
	case !f.set():
		return nil
	case f.builtin():
		if f.name != "" || f.lower {
			return usagef("--metric %s tells one number, and which way is better: leave --metric-name and --lower-is-better out (a program of that name is ./%s)", f.command, f.command)
		}
		return nil
	}
	var err error
	if f.words, err = metric.Split(f.command); err != nil {
		return usagef("--metric %q: %w", f.command, err)
	}
	// What it needs is made again once the network is known.
	probe, err := metric.NewCommand(f.words, metric.CommandOptions{})
	if err != nil {
		return usagef("--metric: %w: name one that there is, or one of %s", err, diag.Commas(metric.Builtins()))
	}
	return probe.Close()
}

// open returns the metric for a network and samples; nil where none is asked for.
// networks is how many networks' outputs are kept at once.
func (f *metricFlags) open(a *app, m *narrow.Model, set *samples.Set, networks int) (metric.Metric, error) {
	switch {
	case !f.set():
		return nil, nil
	case f.builtin():
		b, err := metric.NewBuiltin(f.command, m.Graph.Graph.Outputs, set.Labels())
		if err != nil {
			return nil, usagef("--metric: %w", err)
		}
		return b, nil
	}
	var names []string
	for _, o := range m.Graph.Graph.Outputs {
		names = append(names, o.Name)
	}
	return metric.NewCommand(f.words, metric.CommandOptions{
		Outputs: names, Name: f.name, LowerIsBetter: f.lower, Stderr: a.stderr, Networks: networks,
		Large: func(bytes int64, dir string) {
			a.printFindings(a.stderr, diag.List{{
				Severity: diag.Note, Code: "metric-size",
				Message: diag.Textf("the outputs for --metric take %.1f GB in %s while it runs", float64(bytes)/1e9, dir),
				Fix:     diag.Textf("where that is too much, name another folder by the environment variable TMPDIR, or test on fewer samples"),
			}}, nil)
		},
	})
}

// endMeasuring ends r under a bar.
func (a *app) endMeasuring(ctx context.Context, r *metric.Measuring) ([]*evaluate.Metric, error) {
	bar, progress := a.shareBar(diag.Textf("running the metric"))
	defer bar.Done()
	return r.End(ctx, func(done int) { progress(done, r.Networks()) })
}

// metricValue writes a value of a metric, a dash where there is none.
func metricValue(v *float64) string {
	if v == nil {
		return "-"
	}
	return strconv.FormatFloat(*v, 'g', 6, 64)
}

// metricRow says what a metric tells of both networks.
func metricRow(m *evaluate.Metric) diag.Text {
	took := time.Duration(m.Seconds * float64(time.Second)).Round(100 * time.Millisecond)
	if m.Float == nil {
		return diag.Textf("%s of the quantized network (it took %v)", metricValue(m.Quantized), took)
	}
	return diag.Textf("float %s, quantized %s, drop %s (it took %v)", metricValue(m.Float), metricValue(m.Quantized), metricValue(m.Drop), took)
}
