package engine

import (
	"context"
	"fmt"

	"narrow/graph"
)

// Network is a network and what its taps do.
type Network struct {
	Model *graph.Model
	// Hook is nil where the model holds no taps.
	Hook Hook
	// AnyOrder reports that the hook takes the elements of every tap in any
	// order: see [LoadOptions.AnyOrder].
	AnyOrder bool
}

// Load readies the network for running; nil outputs mean the graph's.
func (n Network) Load(ctx context.Context, r Runner, threads int, outputs []string) (Session, error) {
	o := LoadOptions{Threads: threads, Outputs: outputs}
	if n.AnyOrder {
		o.AnyOrder = func(int) bool { return true }
	}
	return r.Load(ctx, n.Model, o)
}

// Run runs s once. An error of the hook comes back as it is: it names the
// layer, the tensor and the sample, and the engine's names for taps around it
// would say nothing more.
func Run(ctx context.Context, s Session, in map[string]Tensor, hook Hook) (map[string]Tensor, error) {
	if hook == nil {
		return s.Run(ctx, in, nil)
	}
	var own error
	out, err := s.Run(ctx, in, func(tap int, dst, src []float32, shape []int64) error {
		if err := hook(tap, dst, src, shape); err != nil {
			own = err
			return err
		}
		return nil
	})
	if own != nil {
		return nil, own
	}
	return out, err
}

// Outputs runs s over a batch of [Fit] and returns its outputs in the given
// order, cut to the samples that are real. An error of the hook comes back as it
// is.
func Outputs(ctx context.Context, s Session, b *Batch, hook Hook, order []*graph.Value) ([]Tensor, error) {
	out, err := Run(ctx, s, b.Inputs, hook)
	if err != nil {
		return nil, err
	}
	return inOrder(out, order, b)
}

// inOrder returns a run's outputs in the graph's order, without the rows that
// pad a batch.
func inOrder(out map[string]Tensor, order []*graph.Value, b *Batch) ([]Tensor, error) {
	ts := make([]Tensor, len(order))
	rows := b.Rows()
	for i, v := range order {
		t, ok := out[v.Name]
		if !ok {
			return nil, fmt.Errorf("the engine did not return the output %q", v.Name)
		}
		ts[i] = t.bySample(rows, b.Count)
	}
	return ts, nil
}
