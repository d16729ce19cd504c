package inspect

import (
	"context"

	"narrow"
	"narrow/engine"
	"narrow/plan"
	"narrow/scheme"
)

// Advice is what to do next where little is left of a network.
type Advice struct {
	// Samples is how many the layers were ranked on.
	Samples int
	// Layers are those that cost most when quantized alone, three at most, the
	// costliest first.
	Layers []Advised
	// Rewrites is what the strategy's rewrites alone cost, where that is most of
	// it; no rule for a layer gives it back.
	Rewrites *Cost
	// High, PerChannel and WideBias say what is not in use and the target can do:
	// [narrow.High], a scale per channel of weights, biases of 32 bits.
	High, PerChannel, WideBias bool
}

// Advised is a layer with the rule that leaves it in float.
type Advised struct {
	LayerCost
	Rule string
}

// advisedLayers is how many layers an advice names, advisedOf how many of many are
// ranked one by one, lossyRewrites the SQNR in dB below which rewrites alone spoil a
// network.
const (
	advisedLayers = 3
	advisedOf     = 6
	lossyRewrites = 15
)

// Advise ranks the layers of c over the samples, of which few are enough, and
// tells what helps. The error names the model.
func Advise(ctx context.Context, c *narrow.Calibrated, run engine.Runner, in engine.Batches, opts SensitivityOptions) (*Advice, error) {
	if opts.Most == 0 {
		opts.Most = advisedOf
	}
	r, err := Sensitivity(ctx, c, run, in, opts)
	if err != nil {
		return nil, err
	}
	a := &Advice{Samples: r.Samples, High: MayGain(c)}
	for _, l := range r.Layers[:min(advisedLayers, len(r.Layers))] {
		a.Layers = append(a.Layers, Advised{l, Spare(c.Plan, c.Plan.Layers[l.Index])})
	}
	if r.Rewrites.SQNR < lossyRewrites {
		a.Rewrites = &r.Rewrites
	}
	if c.Plan.Strategy.Target == scheme.DPU {
		return a, nil
	}
	for _, t := range c.Plan.Tensors {
		s := t.Settings.Settings
		switch {
		case s.Datatype != scheme.Int:
		case t.Kind == scheme.Weights && !s.PerChannel && many(t):
			a.PerChannel = true
		case t.Kind == scheme.Bias && s.BitWidth < 32:
			a.WideBias = true
		}
	}
	return a, nil
}

// MayGain reports whether [narrow.High] may make c better: c is not of it, nor what it
// kept.
func MayGain(c *narrow.Calibrated) bool { return c.Accuracy != narrow.High && !c.Result.KeptGuide() }

// many reports whether weights have several output channels.
func many(t *plan.Tensor) bool { return len(t.Constant.Dims) > 1 }
