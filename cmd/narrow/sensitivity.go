package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"narrow"
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
	config string
	by     string
	asJSON bool
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
			return printRanking(a.stdout, r, cal)
		},
	}
	f.addModel(c)
	configFlag(c, &f.config)
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
	p, err := a.plan(m, s, narrow.Guide, export.CheckOpset)
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
	bar, progress := a.bar("calib", set.Len())
	defer bar.Done()
	cal, err := p.Calibrate(c.Context(), engine, set.Batches(c.Context(), f.batch), narrow.CalibrateOptions{Threads: f.cores(), Progress: progress})
	return cal, set, err
}

// sensitivity ranks the layers.
func (a *app) sensitivity(ctx context.Context, f *sensitivityFlags, c *narrow.Calibrated, set *samples.Set) (*inspect.Ranking, error) {
	engine, err := f.engine(a)
	if err != nil {
		return nil, err
	}
	const whole = 1000
	bar, progress := a.bar("rank", whole)
	defer bar.Done()
	r, err := inspect.Sensitivity(ctx, c, engine, set.Batches(ctx, f.batch), inspect.SensitivityOptions{
		Threads: f.cores(), Labels: set.Labels(), Progress: func(done, all int) { progress(done * whole / all) },
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
func printRanking(w io.Writer, r *inspect.Ranking, c *narrow.Calibrated) error {
	var b strings.Builder
	none := nothingCompared(r.All.SQNR, r.Invalid, r.Samples)
	if len(r.Layers) == 0 {
		b.WriteString("Nothing is quantized.\n")
	} else {
		fmt.Fprintf(&b, "What quantizing one layer alone costs, over %d samples, worst first:\n\n", r.Samples)
		if err := printTable(&b, rankingTable(r)); err != nil {
			return err
		}
	}
	fmt.Fprintf(&b, "\nall layers together  %s\n", costText(r.All, none))
	if !unchanged(r.Rewrites) {
		fmt.Fprintf(&b, "rewrites alone       %s\n", costText(r.Rewrites, none))
		if n := c.Rewrites.Count("convert-relu6-to-relu"); n > 0 && r.Rewrites.SQNR < 30 {
			fmt.Fprintf(&b, "\nReLU6 became ReLU in %s, which no datatype gives back: set include_cle and\n"+
				"convert_relu6_to_relu to false, or calibrate with --accuracy high, which equalizes through ReLU6.\n", places(n))
		}
	}
	if len(r.Layers) > 0 && !none {
		fmt.Fprintf(&b, "\nTo leave a layer in float, name it in layer_quantize_config of the strategy file:\n  %s\n", inspect.Spare(c.Plan, c.Plan.Layers[r.Layers[0].Index]))
	}
	_, err := io.WriteString(w, printable.Text(b.String()))
	return err
}

// rankingTable returns the cells, the head first.
func rankingTable(r *inspect.Ranking) [][]string {
	head := []string{"", "LAYER", "TYPE", "WEIGHTS", "RESULT", "NETWORK SQNR"}
	first := len(head) - 1 // of the columns with numbers
	if r.Float != nil {
		head = append(head, "TOP-1 LOST")
	}
	rows := [][]string{append(head, "OWN SQNR")}
	for i, l := range r.Layers {
		weights, own := "-", "-"
		if l.Weights != "" {
			weights = l.Weights
		}
		if l.Own != nil {
			own = shortDecibel(l.Own.SQNR)
		}
		row := []string{fmt.Sprint(i + 1), l.Name, l.Op, weights, l.Activation, shortDecibel(l.SQNR)}
		if l.Drop != nil {
			row = append(row, lostPoints(*l.Drop))
		}
		rows = append(rows, append(row, own))
	}
	return alignRight(rows, func(i int) bool { return i == 0 || i >= first })
}

// costText says what a whole network costs; none: nothing could be compared.
func costText(c inspect.Cost, none bool) string {
	s := "SQNR " + shortDecibel(c.SQNR)
	if c.Output != "" {
		s += fmt.Sprintf(" (%s, the worst output)", c.Output)
	}
	if c.Agreement != nil || none {
		s += ", agreement " + strings.TrimSpace(agreed(c.Agreement))
	}
	if c.Drop != nil {
		s += fmt.Sprintf(", top-1 %s (%s points lost)", strings.TrimSpace(percent(*c.Top1)), lostPoints(*c.Drop))
	}
	return s
}

// unchanged reports whether two networks differ by no more than the order of sums.
func unchanged(c inspect.Cost) bool { return c.SQNR > 100 }

// lostPoints writes a share as percentage points.
func lostPoints(x float64) string { return fmt.Sprintf("%.2f", 100*x+0) }

// alignRight puts the columns to the right for which right holds.
func alignRight(rows [][]string, right func(column int) bool) [][]string {
	widths := map[int]int{}
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], width(clean(cell)))
		}
	}
	for _, row := range rows {
		for i, cell := range row {
			if right(i) {
				row[i] = strings.Repeat(" ", widths[i]-width(clean(cell))) + cell
			}
		}
	}
	return rows
}

func places(n int) string {
	if n == 1 {
		return "1 place"
	}
	return fmt.Sprintf("%d places", n)
}
