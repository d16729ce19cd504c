package calibrate

import (
	"context"
	"errors"

	"narrow/graph"
)

// Evaluate runs the float network m over the batches and returns its accuracy
// in [Result.Float], where there are labels.
func Evaluate(ctx context.Context, r Runner, m *graph.Model, in Batches, opts TestOptions) (*Result, error) {
	session, err := r.Load(ctx, m, LoadOptions{Threads: opts.Threads})
	if err != nil {
		return nil, err
	}
	defer session.Close()
	score := &scorer{labels: opts.Labels}
	for b, err := range fit(in, m, 0) {
		if err != nil {
			return nil, err
		}
		out, err := session.Run(ctx, b.Inputs, nil)
		if err != nil {
			return nil, err
		}
		ts, err := inOrder(out, m.Graph.Outputs, b)
		if err != nil {
			return nil, err
		}
		score.add(b.First, b.Count, ts, ts)
		if opts.Progress != nil {
			opts.Progress(score.n)
		}
	}
	if score.n == 0 {
		return nil, errors.New("there are no samples to evaluate with")
	}
	res := score.result()
	res.Quantized = nil
	return res, nil
}
