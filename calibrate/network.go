package calibrate

import (
	"context"

	"narrow/diag"
	"narrow/engine"
	"narrow/graph"
	"narrow/internal/footprint"
	"narrow/plan"
)

// network is the simulated network of a calibration and what its taps do.
type network struct {
	c     *calibration
	model *graph.Model
	taps  []plan.Tap
	// block tells how many channels lie together at a tap, 1 for C order.
	block func(tap int) int
}

// loadedNetwork is what a network was built for.
type loadedNetwork struct {
	// rows is how many samples its first batch had.
	rows int
	// twice are the operations that run twice.
	twice []*plan.Operation
}

// network builds the network that the next batches run through: constants
// quantized (in progressive propagation), with the operations whose bias is
// still being corrected running twice. rows is how many samples a batch has.
// With again it is the one of c.loaded, biases and all.
func (c *calibration) network(rows int, again bool) (*network, error) {
	if !again {
		c.loaded = loadedNetwork{rows, c.bias.active()}
		c.bias.bake()
	}
	o := plan.SimulationOptions{Compare: c.loaded.twice}
	switch c.opts.Propagate {
	case Progressive:
		var err error
		if o.Replace, err = c.out.QuantizedConstants(c.pool); err != nil {
			return nil, err
		}
		o.CompareSamples = compareSamples(rows)
		c.bias.baked(o.Replace)
	case Float:
		// The network stays float; side versions, with quantized weights, have
		// only layers whose input means are of no known form.
		o.Other = map[*plan.Tensor]*graph.Tensor{}
		for _, op := range o.Compare {
			x, err := c.out.QuantizedConstant(c.pool, op.Weights)
			if err != nil {
				return nil, err
			}
			o.Other[op.Weights] = graph.HoldFloats(op.Weights.Name, op.Weights.Constant.Dims, x)
		}
	}
	p := c.plan
	if c.float != nil {
		p = c.float.watched
	}
	s, err := p.Simulation(o)
	if err != nil {
		return nil, diag.Errorf("building the network to calibrate: %w", err)
	}
	return &network{c: c, model: s.Model, taps: s.Taps}, nil
}

// load readies the network.
func (n *network) load(ctx context.Context, r engine.Runner) (engine.Session, error) {
	o := engine.LoadOptions{Threads: n.c.opts.Threads, Outputs: []string{}, AnyOrder: n.anyOrder, InBlocks: n.inBlocks}
	m := n.c.plan.Model
	if n.c.float != nil || n.c.opts.Thrifty {
		o.Threads = footprint.Threads(m, o.Threads)
	}
	o.Unoptimized = n.c.float != nil && footprint.Unoptimized(m)
	s, err := r.Load(ctx, n.model, o)
	if err != nil {
		return nil, err
	}
	n.block = func(int) int { return 1 }
	if b, ok := s.(engine.Blocked); ok {
		n.block = b.Block
	}
	return s, nil
}

// inBlocks reports whether a tap takes channels in blocks: where results are
// compared channel by channel.
func (n *network) inBlocks(tap int) bool {
	t := n.taps[tap]
	if n.c.opts.Propagate != Progressive {
		return false
	}
	return t.Role == plan.Compare || n.c.bias.endOf(t.Tensor) != nil
}

// anyOrder reports whether a tap treats all elements alike.
func (n *network) anyOrder(tap int) bool {
	t := n.taps[tap]
	return t.Role == plan.Quantize && n.c.opts.Propagate == Progressive && n.c.bias.endOf(t.Tensor) == nil
}

func (n *network) hook(tap int, b *engine.Batch, dst, src []float32, shape []int64) error {
	t := n.taps[tap]
	if t.Role == plan.Compare {
		n.c.bias.compare(t.Operation, b, dst, src, shape, n.block(tap))
		return nil
	}
	if n.c.float != nil {
		for _, c := range n.c.joined {
			if err := c.float.tap(t.Tensor, b, dst, src, shape); err != nil {
				return err
			}
		}
		return n.c.float.tap(t.Tensor, b, dst, src, shape)
	}
	if err := n.c.tap(t.Tensor, b, dst, src, shape); err != nil {
		return err
	}
	if op := n.c.bias.endOf(t.Tensor); op != nil {
		n.c.bias.judgeEnd(op, dst, shape, n.block(tap))
	}
	return nil
}
