package main

import (
	"context"
	"fmt"
	"math"

	"narrow"
	"narrow/diag"
	"narrow/engine"
	"narrow/evaluate"
	"narrow/inspect"
)

// some opens a few of the samples that f names, of all classes where nothing
// says which.
func (a *app) some(f *inputFlags, m *narrow.Model) (engine.Batches, int, error) {
	few := *f
	if few.subset == 0 || few.subset > inspect.WarningSamples {
		if few.subset == 0 && few.skip == 0 && !few.shuffle {
			few.shuffle, few.seed = true, 0
		}
		few.subset = inspect.WarningSamples
	}
	set, err := a.openSamples(&few, m)
	if err != nil {
		return nil, 0, err
	}
	return set.Batches(context.Background(), f.batch), set.Len(), nil
}

// lookForLosses tells, at the end, which values quantization destroys. A network
// that cannot be looked at so has no warnings; with a limit on memory nothing is
// looked at.
func (a *app) lookForLosses(ctx context.Context, f *inputFlags, c *narrow.Calibrated) error {
	if f.memory.limit > 0 {
		return nil
	}
	runner, err := f.engine(a)
	if err != nil {
		return err
	}
	in, n, err := a.some(f, c.Model)
	if err != nil {
		return err
	}
	return a.lossesOver(ctx, f, c, runner, in, n)
}

// lossesOver is lookForLosses over n samples.
func (a *app) lossesOver(ctx context.Context, f *inputFlags, c *narrow.Calibrated, runner engine.Runner, in engine.Batches, n int) error {
	bar, progress := a.bar(diag.Textf("looking for losses"), n)
	defer bar.Done()
	list, err := inspect.Warnings(ctx, c, runner, in, inspect.Options{Threads: f.cores(), Progress: progress})
	if err != nil {
		return ctx.Err()
	}
	a.later = append(a.later, list...)
	return nil
}

// adviseOn tells, at the end, what to do about a network of which little is
// left.
func (a *app) adviseOn(ctx context.Context, f *inputFlags, c *narrow.Calibrated, r *evaluate.Result) error {
	if !r.Collapsed() || f.memory.limit > 0 {
		return nil
	}
	runner, err := f.engine(a)
	if err != nil {
		return err
	}
	in, _, err := a.some(f, c.Model)
	if err != nil {
		return err
	}
	bar, progress := a.shareBar(diag.Textf("ranking layers"))
	defer bar.Done()
	advice, err := inspect.Advise(ctx, c, runner, in, inspect.SensitivityOptions{
		Threads: f.cores(), Progress: progress,
	})
	if err != nil {
		return ctx.Err()
	}
	a.later = append(a.later, collapse(r, advice)...)
	return nil
}

// collapse says that little is left of a network, and what to do next.
func collapse(r *evaluate.Result, advice *inspect.Advice) diag.List {
	message := diag.Textf("little is left of the network: SQNR %s", shortDecibel(r.SQNR))
	if r.Agreement != nil {
		message = diag.Textf("little is left of the network: SQNR %s, agreement %s", shortDecibel(r.SQNR), agreedShort(*r.Agreement))
	}
	var ways []diag.Text
	if advice.High {
		ways = append(ways, diag.Textf("calibrate with --accuracy high"))
	}
	if advice.PerChannel {
		ways = append(ways, diag.Textf("a scale per channel of the weights (per_channel true)"))
	}
	if advice.WideBias {
		ways = append(ways, diag.Textf("biases of 32 bits (bit_width 32 for bias)"))
	}
	if len(advice.Layers) > 0 {
		ways = append(ways, diag.Textf("leave in float what costs most, as below"))
	}
	list := diag.List{{Severity: diag.Warning, Code: "collapse", Message: message, Fix: diag.Commas(ways)}}
	if w := advice.Rewrites; w != nil {
		fix := diag.Textf("set include_cle, convert_relu6_to_relu and convert_silu_to_hswish to false")
		if advice.High {
			fix = diag.Textf("%v, or calibrate with --accuracy high", fix)
		}
		list = append(list, diag.Finding{
			Severity: diag.Note, Code: "costly-rewrites",
			Message: diag.Textf("the strategy's rewrites alone leave %s, before anything is quantized", shortDecibel(w.SQNR)),
			Fix:     fix,
		})
	}
	for i, l := range advice.Layers {
		if l.Exact || math.IsInf(float64(l.SQNR), 1) {
			continue
		}
		list = append(list, diag.Finding{
			Severity: diag.Note, Code: "costliest-layer",
			Message: diag.Textf("costliest layers, %d of %d (over %d samples): with %s alone quantized the network has %s", i+1, len(advice.Layers), advice.Samples, l.Name, shortDecibel(l.SQNR)),
			Fix:     diag.Textf("leave it in float, by layer_quantize_config: %s", l.Rule),
		})
	}
	return list
}

func agreedShort(x float64) string { return fmt.Sprintf("%.2f %%", 100*x) }
