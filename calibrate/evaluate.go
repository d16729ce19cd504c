package calibrate

import (
	"context"

	"narrow/graph"
)

// Evaluate runs the float network m over the batches and returns its accuracy
// in [Result.Float], where there are labels. opts.Output gets m's outputs.
func Evaluate(ctx context.Context, r Runner, m *graph.Model, in Batches, opts TestOptions) (*Result, error) {
	session, err := r.Load(ctx, m, LoadOptions{Threads: opts.Threads})
	if err != nil {
		return nil, err
	}
	defer session.Close()
	res, err := opts.score(ctx, in, m, 1, func(b *Batch) (f []Tensor, qs [][]Tensor, err error) {
		if f, err = outputsOf(ctx, session, b, nil, m.Graph.Outputs); err == nil && opts.Output != nil {
			err = opts.Output(b.First, f)
		}
		return f, [][]Tensor{f}, err
	})
	if err != nil {
		return nil, err
	}
	res[0].Quantized = nil
	return res[0], nil
}
