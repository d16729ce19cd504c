package metric

import (
	"context"
	"errors"

	"narrow/diag"
	"narrow/engine"
	"narrow/evaluate"
)

// Measuring gives the outputs of a float network and of some quantized ones to a
// metric, as they come. Nil measures nothing.
type Measuring struct {
	metric Metric
	float  Run
	tested []Run
}

// Measure begins with the float network and so many quantized ones.
func Measure(ctx context.Context, m Metric, set Set, tested int) (*Measuring, error) {
	r := &Measuring{metric: m}
	var err error
	if r.float, err = m.Begin(ctx, set, true); err != nil {
		return nil, err
	}
	for range tested {
		run, err := m.Begin(ctx, set, false)
		if err != nil {
			return nil, errors.Join(err, r.Close())
		}
		r.tested = append(r.tested, run)
	}
	return r, nil
}

// Networks is how many networks there are, the float one included.
func (r *Measuring) Networks() int { return len(r.tested) + 1 }

// Each is for [evaluate.Options]: it takes the outputs of a batch.
func (r *Measuring) Each() func(b *engine.Batch, float []engine.Tensor, tested [][]engine.Tensor) error {
	if r == nil {
		return nil
	}
	return func(b *engine.Batch, float []engine.Tensor, tested [][]engine.Tensor) error {
		if err := r.float.Add(b, nil, float); err != nil {
			return err
		}
		for i, run := range r.tested {
			if err := run.Add(b, float, tested[i]); err != nil {
				return err
			}
		}
		return nil
	}
}

// End has the metric told for all networks, and returns it for every quantized one.
// Progress is called before the first network and after each with how many are
// done.
func (r *Measuring) End(ctx context.Context, progress func(done int)) ([]*evaluate.Metric, error) {
	if r == nil {
		return nil, nil
	}
	progress(0)
	float, err := r.float.End(ctx)
	if err != nil {
		return nil, diag.Errorf("%w, on the float network", err)
	}
	progress(1)
	var out []*evaluate.Metric
	for i, run := range r.tested {
		q, err := run.End(ctx)
		if err == nil {
			var m *evaluate.Metric
			m, err = Result(r.metric, float, q)
			out = append(out, m)
		}
		if err != nil {
			return nil, diag.Errorf("%w, on the quantized network", err)
		}
		progress(i + 2)
	}
	return out, nil
}

// Close lets go of what there is of the networks.
func (r *Measuring) Close() error {
	if r == nil {
		return nil
	}
	err := r.float.Close()
	for _, run := range r.tested {
		err = errors.Join(err, run.Close())
	}
	return err
}
