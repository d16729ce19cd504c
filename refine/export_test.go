package refine

import (
	"context"

	"narrow/calibrate"
	"narrow/engine"
	"narrow/graph"
	"narrow/internal/kernel"
)

// Scores is [jury.score] of calibrations by one jury over all samples of in.
func Scores(ctx context.Context, run engine.Runner, float *graph.Model, in engine.Batches, cs ...*calibrate.Calibrated) ([]float64, error) {
	j := &jury{run: run, pool: kernel.NewPool(2), float: float, batch: batch}
	defer j.close() //nolint:errcheck // of a test
	for b, err := range in {
		if err != nil {
			return nil, err
		}
		j.in = append(j.in, b.Clone())
	}
	var scores []float64
	for _, c := range cs {
		s, err := j.score(ctx, c)
		if err != nil {
			return nil, err
		}
		scores = append(scores, s)
	}
	return scores, nil
}
