package evaluate

import (
	"context"

	"narrow/diag"
	"narrow/engine"
	"narrow/graph"
	"narrow/graph/infer"
)

// Options say how to run and what to score by.
type Options struct {
	// Threads is how many threads share the work; 0 means one per core.
	Threads int
	// Labels are the samples' classes.
	Labels engine.Labels
	// Output, when set, is called with the first tested network's outputs of
	// every batch, in the graph's order, cut to the samples that are real. The
	// first axis is the sample; where an output has no such axis, it gets one.
	Output func(first int, outputs []engine.Tensor) error
	// Each, when set, is called with every batch and the float network's and every
	// tested network's outputs for it, as Output gets them; float is nil where that
	// network does not run. They are valid until Each returns.
	Each func(b *engine.Batch, float []engine.Tensor, tested [][]engine.Tensor) error
	// Progress, when set, is called after every batch with the number of
	// samples done.
	Progress func(samples int)

	// outputs gets those of every batch, scored the score at the end, which then keeps
	// each batch's sums.
	outputs func(float []engine.Tensor, tested [][]engine.Tensor)
	scored  func(*Score)
}

// Run runs the float network and those to test over the batches and returns a
// result for each of these: the samples are read, and the float network runs,
// once for all. All have the same inputs and outputs. Without a float network
// (nil) a result holds only what the tested one tells.
func Run(ctx context.Context, r engine.Runner, float *graph.Model, tested []engine.Network, in engine.Batches, opts Options) ([]*Result, error) {
	if len(tested) == 0 {
		return nil, diag.Errorf("there is no network to test")
	}
	m := tested[0].Model
	sessions := make([]engine.Session, len(tested))
	for i, n := range tested {
		var err error
		if sessions[i], err = n.Load(ctx, r, opts.Threads, nil); err != nil {
			return nil, err
		}
		defer sessions[i].Close()
	}
	var reference engine.Session
	if float != nil {
		var err error
		if reference, err = r.Load(ctx, float, engine.LoadOptions{Threads: opts.Threads}); err != nil {
			return nil, err
		}
		defer reference.Close()
		m = float
	}
	scores := make([]*Score, len(tested))
	for i := range scores {
		scores[i] = NewScore(m.Graph.Outputs, opts.Labels)
		scores[i].logs = opts.scored != nil
	}
	axes := infer.Batches(m).Outputs
	learned := false
	err := opts.each(ctx, in, m, func(b *engine.Batch) error {
		if !learned {
			learned = true
			s, hook := sessions[0], tested[0].Hook
			if reference != nil {
				s, hook = reference, nil
			}
			var err error
			if axes, err = engine.LearnAxes(ctx, s, b, hook, m.Graph.Outputs, axes); err != nil {
				return err
			}
		}
		outs := make([][]engine.Tensor, len(tested))
		for i, s := range sessions {
			var err error
			if outs[i], err = engine.Outputs(ctx, s, b, tested[i].Hook, m.Graph.Outputs, axes); err != nil {
				return err
			}
		}
		if opts.Output != nil {
			if err := opts.Output(b.First, outs[0]); err != nil {
				return err
			}
		}
		var want []engine.Tensor
		if reference != nil {
			var err error
			if want, err = engine.Outputs(ctx, reference, b, nil, m.Graph.Outputs, axes); err != nil {
				return err
			}
		}
		if opts.outputs != nil {
			opts.outputs(want, outs)
		}
		if opts.Each != nil {
			if err := opts.Each(b, want, outs); err != nil {
				return err
			}
		}
		for i, s := range scores {
			ref := want
			if reference == nil {
				ref = outs[i]
			}
			if err := s.Add(b.First, b.Count, ref, outs[i]); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if opts.scored != nil {
		opts.scored(scores[0])
	}
	res := make([]*Result, len(scores))
	ix := graph.NewIndex(m.Graph)
	for i, s := range scores {
		res[i] = s.Result()
		for k, v := range m.Graph.Outputs {
			if n := ranker(ix, v.Name); n != nil && k < len(res[i].Outputs) {
				res[i].Outputs[k].ranker = n.Label()
			}
		}
		if reference == nil {
			res[i].forget()
		}
	}
	return res, nil
}

// forget leaves out what is of a float network that did not run.
func (r *Result) forget() {
	r.Float = nil
	for i := range r.Outputs {
		r.Outputs[i].Float = nil
	}
}

// Float runs the float network m alone over the batches and returns its
// accuracy in [Result.Float], where there are labels. opts.Output gets m's
// outputs.
func Float(ctx context.Context, r engine.Runner, m *graph.Model, in engine.Batches, opts Options) (*Result, error) {
	res, err := Run(ctx, r, nil, []engine.Network{{Model: m}}, in, opts)
	if err != nil {
		return nil, err
	}
	res[0].Float, res[0].Quantized = res[0].Quantized, nil
	for i := range res[0].Outputs {
		o := &res[0].Outputs[i]
		o.Float, o.Quantized = o.Quantized, nil
	}
	return res[0], nil
}

// each calls run for each of the batches, cut as the model m needs them.
func (o Options) each(ctx context.Context, in engine.Batches, m *graph.Model, run func(*engine.Batch) error) error {
	samples := 0
	for b, err := range engine.Fit(in, m, 0) {
		if err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := run(b); err != nil {
			return err
		}
		samples += b.Count
		if o.Progress != nil {
			o.Progress(samples)
		}
	}
	if samples == 0 {
		return diag.Errorf("there are no samples to test with")
	}
	return nil
}
