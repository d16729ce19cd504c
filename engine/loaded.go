package engine

import (
	"context"

	"narrow/diag"
)

// Loaded is a network that stays loaded, to run batch by batch. It may be used by
// several goroutines at once.
type Loaded struct {
	session Session
	network Network
}

// Keep loads the network to run it batch by batch. threads share the work; 0
// means one per core.
func (n Network) Keep(ctx context.Context, r Runner, threads int) (*Loaded, error) {
	s, err := n.Load(ctx, r, threads, nil)
	if err != nil {
		return nil, err
	}
	return &Loaded{session: s, network: n}, nil
}

// Run runs the network over a batch and returns its outputs in the graph's
// order, in the network's own shapes. Where the network fixes how many samples
// it takes, the batch is cut and padded, and the first axis of the outputs is the
// batch's sample.
func (l *Loaded) Run(ctx context.Context, b *Batch) ([]Tensor, error) {
	m := l.network.Model
	if n := FixedBatch(m); n == 0 || n == b.Count {
		out, err := Run(ctx, l.session, b.Inputs, l.network.Hook)
		if err != nil {
			return nil, err
		}
		ts := make([]Tensor, len(m.Graph.Outputs))
		for i, v := range m.Graph.Outputs {
			var ok bool
			if ts[i], ok = out[v.Name]; !ok {
				return nil, diag.Errorf("the engine did not return the output %q", v.Name)
			}
		}
		return ts, nil
	}
	one := func(yield func(*Batch, error) bool) { yield(b, nil) }
	all := make([]Tensor, len(m.Graph.Outputs))
	for part, err := range Fit(one, m, 0) {
		if err != nil {
			return nil, err
		}
		out, err := Outputs(ctx, l.session, part, l.network.Hook, m.Graph.Outputs, nil)
		if err != nil {
			return nil, err
		}
		for i, t := range out {
			all[i] = all[i].push(t)
		}
	}
	return all, nil
}

// Close frees the network.
func (l *Loaded) Close() error { return l.session.Close() }
