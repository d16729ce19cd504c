package narrow

import (
	"context"
	"fmt"

	"narrow/engine"
	"narrow/evaluate"
	"narrow/graph"
	"narrow/plan"
)

// TestOptions say how to test.
type TestOptions struct {
	// Threads is how many threads share the work; 0 means one per core.
	Threads int
	// Labels are the samples' classes, from the first sample of all; nil where
	// there are none.
	Labels []int
	// Constants are values to compute with in the place of a constant's
	// quantized ones, such as [Calibrated.StoredBiases].
	Constants map[*plan.Tensor][]float32
	// QuantizedOnly runs the quantized network alone: the result holds only what
	// that tells.
	QuantizedOnly bool
	// Output, when set, is called with the quantized network's outputs of every
	// batch: see [evaluate.Options].
	Output func(first int, outputs []engine.Tensor) error
	// Progress, when set, is called after every batch with the number of
	// samples done.
	Progress func(samples int)
}

func (o TestOptions) scoring() evaluate.Options {
	return evaluate.Options{Threads: o.Threads, Labels: o.Labels, Output: o.Output, Progress: o.Progress}
}

// Test compares the quantized with the float network, the model as it was read,
// over the batches. The quantized network computes with the biases as they were
// calibrated; with those of [Calibrated.StoredBiases] in opts.Constants it
// computes what the exported one does.
func (c *Calibrated) Test(ctx context.Context, run engine.Runner, in engine.Batches, opts TestOptions) (*evaluate.Result, error) {
	res, err := TestAll(ctx, run, in, []*Calibrated{c}, opts)
	if err != nil {
		return nil, err
	}
	return res[0], nil
}

// TestAll is [Calibrated.Test] for several calibrations of one model at once:
// the samples are read, and the float network runs, once for all. The results
// are those that each has alone. opts.Output gets the first one's outputs.
func TestAll(ctx context.Context, run engine.Runner, in engine.Batches, cs []*Calibrated, opts TestOptions) ([]*evaluate.Result, error) {
	var float *graph.Model
	networks := make([]engine.Network, len(cs))
	for i, c := range cs {
		var err error
		if networks[i], err = c.Result.Network(opts.Threads, opts.Constants); err != nil {
			return nil, fmt.Errorf("testing %s: %w", c.Model.Path, err)
		}
		if !opts.QuantizedOnly {
			float = cs[0].Model.Graph
		}
	}
	res, err := evaluate.Run(ctx, run, float, networks, in, opts.scoring())
	if err != nil {
		return nil, fmt.Errorf("testing %s: %w", cs[0].Model.Path, err)
	}
	return res, nil
}

// TestExported is [Calibrated.Test] with the exported model in the place of the
// quantized network: nothing is simulated, the engine runs x as any program would.
func (c *Calibrated) TestExported(ctx context.Context, run engine.Runner, x *Model, in engine.Batches, opts TestOptions) (*evaluate.Result, error) {
	res, err := evaluate.Run(ctx, run, c.Model.Graph, []engine.Network{{Model: x.Graph}}, in, opts.scoring())
	if err != nil {
		return nil, fmt.Errorf("testing %s: %w", x.Path, err)
	}
	return res[0], nil
}
