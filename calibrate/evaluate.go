package calibrate

import (
	"context"

	"narrow/engine"
	"narrow/graph"
)

// Evaluate runs the float network m over the batches and returns its accuracy
// in [Result.Float], where there are labels. opts.Output gets m's outputs.
func Evaluate(ctx context.Context, r engine.Runner, m *graph.Model, in engine.Batches, opts TestOptions) (*Result, error) {
	session, err := r.Load(ctx, m, engine.LoadOptions{Threads: opts.Threads})
	if err != nil {
		return nil, err
	}
	defer session.Close()
	res, err := opts.score(ctx, in, m, 1, func(b *engine.Batch) (f []engine.Tensor, qs [][]engine.Tensor, err error) {
		if f, err = engine.Outputs(ctx, session, b, nil, m.Graph.Outputs); err == nil && opts.Output != nil {
			err = opts.Output(b.First, f)
		}
		return f, [][]engine.Tensor{f}, err
	})
	if err != nil {
		return nil, err
	}
	res[0].Quantized = nil
	return res[0], nil
}

// Compare runs the networks float and other over the batches, which have the same
// inputs and outputs, such as a model and what it was exported as. other is what
// [Result.Quantized] tells of, and opts.Output gets its outputs. opts.Float and
// opts.Constants do not count.
func Compare(ctx context.Context, r engine.Runner, float, other *graph.Model, in engine.Batches, opts TestOptions) (*Result, error) {
	var sessions [2]engine.Session
	for i, m := range []*graph.Model{float, other} {
		s, err := r.Load(ctx, m, engine.LoadOptions{Threads: opts.Threads})
		if err != nil {
			return nil, err
		}
		defer s.Close()
		sessions[i] = s
	}
	res, err := opts.against(ctx, in, float, sessions[0], sessions[1:], []engine.Hook{nil})
	if err != nil {
		return nil, err
	}
	return res[0], nil
}
