package calibrate

import (
	"context"
	"errors"
	"fmt"

	"narrow/calibrate/observe"
	"narrow/engine"
	"narrow/graph"
	"narrow/internal/kernel"
	"narrow/plan"
	"narrow/scheme"
)

// TestOptions say how to test.
type TestOptions struct {
	// Threads is how many threads share the work; 0 means one per core.
	Threads int
	// Float is the network to compare with; nil runs the quantized one alone,
	// and the result then holds only what that tells.
	Float *graph.Model
	// Constants are values to compute with in the place of a constant's
	// quantized ones, such as biases in the form that an export stores.
	Constants map[*plan.Tensor][]float32
	// Labels are the samples' classes, from the first sample of all; nil where
	// there are none.
	Labels []int
	// Output, when set, is called with the quantized network's outputs of
	// every batch, in the graph's order, cut to the samples that are real. The
	// first axis is the sample; where an output has no such axis, it gets one.
	Output func(first int, outputs []engine.Tensor) error
	// Progress, when set, is called after every batch with the number of
	// samples done.
	Progress func(samples int)
}

// Test runs the float and the quantized network over the batches.
func (c *Calibrated) Test(ctx context.Context, r engine.Runner, in engine.Batches, opts TestOptions) (*Result, error) {
	res, err := TestAll(ctx, r, in, []*Calibrated{c}, opts)
	if err != nil {
		return nil, err
	}
	return res[0], nil
}

// TestAll is [Calibrated.Test] for several calibrations of one model at once:
// the samples are read, and the float network runs, once for all. The results
// are those that each has alone. opts.Output gets the first one's outputs.
func TestAll(ctx context.Context, r engine.Runner, in engine.Batches, cs []*Calibrated, opts TestOptions) ([]*Result, error) {
	if len(cs) == 0 {
		return nil, errors.New("there is no calibration to test")
	}
	pool := kernel.NewPool(Options{Threads: opts.Threads}.threads())
	quantized, hooks := make([]engine.Session, len(cs)), make([]engine.Hook, len(cs))
	for i, c := range cs {
		sim, err := c.Simulation(pool, opts.Constants)
		if err != nil {
			return nil, err
		}
		if quantized[i], err = r.Load(ctx, sim.Model, engine.LoadOptions{Threads: opts.Threads, AnyOrder: func(int) bool { return true }}); err != nil {
			return nil, err
		}
		defer quantized[i].Close()
		hooks[i] = c.Quantizer(sim, pool)
	}
	var float engine.Session
	if opts.Float != nil {
		var err error
		if float, err = r.Load(ctx, opts.Float, engine.LoadOptions{Threads: opts.Threads}); err != nil {
			return nil, err
		}
		defer float.Close()
	}
	return opts.against(ctx, in, cs[0].Plan.Model, float, quantized, hooks)
}

// against scores the sessions of quantized networks, each with its hook, against
// that of the float one, nil where none is to run. m says how the batches are cut
// and which outputs there are; o.Output gets the first network's.
func (o TestOptions) against(ctx context.Context, in engine.Batches, m *graph.Model, float engine.Session, quantized []engine.Session, hooks []engine.Hook) ([]*Result, error) {
	res, err := o.score(ctx, in, m, len(quantized), func(b *engine.Batch) (f []engine.Tensor, qs [][]engine.Tensor, err error) {
		for i, s := range quantized {
			q, err := engine.Outputs(ctx, s, b, hooks[i], m.Graph.Outputs)
			if err != nil {
				return nil, nil, err
			}
			qs = append(qs, q)
		}
		if o.Output != nil {
			if err := o.Output(b.First, qs[0]); err != nil {
				return nil, nil, err
			}
		}
		if float != nil {
			f, err = engine.Outputs(ctx, float, b, nil, m.Graph.Outputs)
		}
		return f, qs, err
	})
	if err == nil && float == nil {
		for _, r := range res {
			r.Float = nil
		}
	}
	return res, err
}

// score runs run over the batches, cut as the model m needs them, and adds up
// the outputs that it returns: the float network's, nil where none runs, and
// those of n quantized ones.
func (o TestOptions) score(ctx context.Context, in engine.Batches, m *graph.Model, n int, run func(*engine.Batch) (f []engine.Tensor, qs [][]engine.Tensor, err error)) ([]*Result, error) {
	scores := make([]scorer, n)
	for i := range scores {
		scores[i].labels = o.Labels
	}
	samples := 0
	for b, err := range engine.Fit(in, m, 0) {
		if err != nil {
			return nil, err
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if o.Labels != nil && b.First+b.Count > len(o.Labels) {
			return nil, fmt.Errorf("there are %d labels, but at least %d samples", len(o.Labels), b.First+b.Count)
		}
		f, qs, err := run(b)
		if err != nil {
			return nil, err
		}
		for i, q := range qs {
			if f == nil {
				scores[i].add(b.First, b.Count, q, q)
			} else {
				scores[i].add(b.First, b.Count, f, q)
			}
		}
		samples += b.Count
		if o.Progress != nil {
			o.Progress(samples)
		}
	}
	if samples == 0 {
		return nil, errors.New("there are no samples to test with")
	}
	res := make([]*Result, n)
	for i := range scores {
		res[i] = scores[i].result()
	}
	return res, nil
}

// Simulation returns the quantized network as it is tested: constants
// quantized but for those given, a tap at every quantized input and activation.
func (c *Calibrated) Simulation(pool *kernel.Pool, constants map[*plan.Tensor][]float32) (*plan.Simulation, error) {
	replace, err := c.QuantizedConstants(pool)
	if err != nil {
		return nil, err
	}
	for t, x := range constants {
		replace[t] = graph.NewFloats(t.Name, t.Constant.Dims, x)
	}
	sim, err := c.Plan.Simulation(plan.SimulationOptions{Replace: replace})
	if err != nil {
		return nil, fmt.Errorf("building the quantized network: %w", err)
	}
	return sim, nil
}

// Quantizer quantizes at every tap of sim, which [Calibrated.Simulation] made.
func (c *Calibrated) Quantizer(sim *plan.Simulation, pool *kernel.Pool) engine.Hook {
	type quantizer struct {
		s scheme.Settings
		e scheme.Encoding
		t *plan.Tensor
	}
	qs := make([]quantizer, len(sim.Taps))
	for i, t := range sim.Taps {
		qs[i] = quantizer{t.Tensor.Settings.Settings, c.Encodings[t.Tensor], t.Tensor}
	}
	return func(tap int, dst, src []float32, shape []int64) error {
		q := &qs[tap]
		if err := observe.Apply(pool, dst, src, q.s, q.e, shape); err != nil {
			return fmt.Errorf("layer %s: tensor %q: %w", q.t.Layer.Name, q.t.Name, err)
		}
		return nil
	}
}
