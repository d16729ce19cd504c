package export

import (
	"narrow/calibrate"
	"narrow/diag"
	"narrow/plan"
)

// StoredBiases returns the values of the biases that [QDQ] stores otherwise
// than they were calibrated: rounded to the int32 sums that integer kernels add
// them to. Whoever wants to know beforehand what the exported network computes
// computes with these. The map is empty, not nil, where there are none.
func StoredBiases(in *calibrate.Calibrated, opts Options) (map[*plan.Tensor][]float32, error) {
	q := newQDQ(in, opts)
	q.stored = map[*plan.Tensor][]float32{}
	if err := q.run(); err != nil {
		return nil, diag.Errorf("export qdq: %w", err)
	}
	return q.stored, nil
}
