package engine

import (
	"context"
	"maps"
	"slices"

	"narrow/diag"
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
// order, the sample as their first axis, cut to the samples that are real. axes
// tells the axis that counts samples for the outputs of which that is known
// (infer.Batches finds it); elsewhere sizes tell. An error of the hook comes
// back as it is.
func Outputs(ctx context.Context, s Session, b *Batch, hook Hook, order []*graph.Value, axes map[string]int) ([]Tensor, error) {
	out, err := Run(ctx, s, b.Inputs, hook)
	if err != nil {
		return nil, err
	}
	return inOrder(out, order, axes, b)
}

// LearnAxes returns axes with those of the other outputs that running s over one
// sample of b tells: where an output of the batch and one of the sample differ
// along one axis, which has the batch's length and 1. A network that does not
// take one sample tells nothing.
func LearnAxes(ctx context.Context, s Session, b *Batch, hook Hook, order []*graph.Value, axes map[string]int) (map[string]int, error) {
	unknown := slices.ContainsFunc(order, func(v *graph.Value) bool { _, ok := axes[v.Name]; return !ok })
	if !unknown || b.Size > 0 || b.Padded > 0 || b.Count < 2 {
		return axes, nil
	}
	all, err := Run(ctx, s, b.Inputs, hook)
	if err != nil {
		return nil, err
	}
	in := maps.Clone(b.Inputs)
	for name, t := range in {
		if !b.shared(name) {
			in[name] = t.rows(0, 1)
		}
	}
	one, err := Run(ctx, s, in, hook)
	if err != nil {
		return axes, ctx.Err() //nolint:nilerr // it takes no single sample
	}
	axes = maps.Clone(axes)
	if axes == nil {
		axes = map[string]int{}
	}
	for _, v := range order {
		x, y := all[v.Name].Shape, one[v.Name].Shape
		if _, known := axes[v.Name]; known || len(x) != len(y) {
			continue
		}
		differ := -1
		for i := range x {
			switch {
			case x[i] == y[i]:
			case differ >= 0, x[i] != int64(b.Count), y[i] != 1:
				differ = len(x)
			default:
				differ = i
			}
		}
		if differ >= 0 && differ < len(x) {
			axes[v.Name] = differ
		}
	}
	return axes, nil
}

// inOrder returns a run's outputs in the graph's order, without the rows that
// pad a batch.
func inOrder(out map[string]Tensor, order []*graph.Value, axes map[string]int, b *Batch) ([]Tensor, error) {
	ts := make([]Tensor, len(order))
	rows := b.Rows()
	for i, v := range order {
		t, ok := out[v.Name]
		if !ok {
			return nil, diag.Errorf("the engine did not return the output %q", v.Name)
		}
		axis, known := axes[v.Name]
		if !known {
			axis = -1
		}
		ts[i] = t.bySample(rows, b.Count, axis)
	}
	return ts, nil
}
