// Package refine chooses the integers of weights and the ranges of activations
// over samples: what [scheme.High] adds to a calibration. A [calibrate.Calibrated]
// goes in and the same comes out, nearer to the float network.
package refine

import (
	"context"
	"errors"
	"fmt"
	"runtime"

	"narrow/calibrate"
	"narrow/engine"
	"narrow/graph"
	"narrow/internal/kernel"
	"narrow/plan"
	"narrow/scheme"
)

// Options say how to refine.
type Options struct {
	// Threads is how many threads share the work; 0 means one per core.
	Threads int
	// Samples is how many samples are looked at, at most; 0 means
	// [Samples]. The network's values at one place, for all of them, are
	// held in memory.
	Samples int
	// Progress, when set, is called with the number of layers done and in all.
	Progress func(done, all int)
}

// Samples is how many samples [Refine] looks at unless told.
const Samples = 256

// batch is how many samples run at once, whatever the batch size.
const batch = 16

// Refine chooses the integers of c's weights and biases anew, layer by layer from
// the front, so that each layer's output in the quantized network, with what
// the layers before it already got wrong, comes nearest to the float network's
// in the mean square over the samples. The scales come from a search too: those of
// inputs and activations, if symmetric, change their own values least in the
// mean square, those of weights the layer's output.
//
// Layers are Conv, Gemm, and MatMul with a constant whose weights are symmetric
// integers; others stay. Per layer, the second moments of its input's columns
// in the quantized network, and with those of the float network, make this a
// least-squares problem: its solution (ridge regression towards the float
// weights) is rounded by the method of GPTQ (Frantar et al. 2022,
// arXiv:2210.17323), the bias being one more column whose input is 1.
//
// The result does not depend on threads or batch size.
func Refine(ctx context.Context, c *calibrate.Calibrated, run engine.Runner, in engine.Batches, opts Options) error {
	f := &refiner{c: c, pool: kernel.NewPool(opts.threads())}
	layers := f.layers()
	if len(layers) == 0 {
		return nil
	}
	y, err := newRelay(c.Plan, run, opts.Threads)
	if err != nil {
		return err
	}
	limit := opts.Samples
	if limit == 0 {
		limit = Samples
	}
	batches, spans, err := f.load(in, limit)
	if err != nil {
		return err
	}
	if err := f.ranges(ctx, run, batches, spans, opts.Threads); err != nil {
		return err
	}
	names := map[*plan.Tensor]string{}
	for _, t := range c.Plan.Tensors {
		if t.Constant != nil {
			names[t] = y.sim.ConstantOf[t]
		}
	}
	constants, err := c.QuantizedConstants(f.pool)
	if err != nil {
		return err
	}
	float := &lane{live: batches}
	quantized := &lane{replace: map[string]*graph.Tensor{}, hook: c.Quantizer(y.sim, f.pool)}
	for t, x := range constants {
		quantized.replace[names[t]] = x
	}
	for _, b := range batches {
		copied := map[string]engine.Tensor{}
		for v, t := range b {
			copied[v] = t
		}
		quantized.live = append(quantized.live, copied)
	}
	for i, l := range layers {
		if err := y.run(ctx, y.stopBefore(l.op.Nodes), float, quantized); err != nil {
			return fmt.Errorf("refining layer %s: %w", l.op.Node.Label(), err)
		}
		input := y.sim.NodeOf[l.form.node].Inputs[0]
		m := l.form.measure(ctx, f.pool, values(quantized, input), values(float, input), spans, uint64(i))
		if err := ctx.Err(); err != nil {
			return err
		}
		if m == nil {
			continue
		}
		if err := f.refine(l, m); err != nil {
			return fmt.Errorf("refining layer %s: %w", l.op.Node.Label(), err)
		}
		for _, t := range []*plan.Tensor{l.op.Weights, l.op.Bias} {
			if t == nil {
				continue
			}
			x, err := c.QuantizedConstant(f.pool, t)
			if err != nil {
				return err
			}
			quantized.replace[names[t]] = graph.NewFloats(t.Name, t.Constant.Dims, x)
		}
		if opts.Progress != nil {
			opts.Progress(i+1, len(layers))
		}
	}
	return nil
}

// values returns each batch's value of that name.
func values(l *lane, name string) []engine.Tensor {
	out := make([]engine.Tensor, len(l.live))
	for i, b := range l.live {
		out[i] = b[name]
	}
	return out
}

// refiner is the state of one run of Refine.
type refiner struct {
	c    *calibrate.Calibrated
	pool *kernel.Pool
}

// layer is one layer to refine.
type layer struct {
	op   *plan.Operation
	form *weighted
}

// layers returns the layers to refine in topological order.
func (f *refiner) layers() []layer {
	var out []layer
	for _, op := range f.c.Plan.Operations {
		w := op.Weights
		if w == nil || !refines(w.Settings.Settings) || len(w.Uses) != 1 || op.Bias != nil && len(op.Bias.Uses) != 1 {
			continue
		}
		form := weightedOf(w.Uses[0].Node, w.Constant, w.Uses[0].Input)
		if form == nil || op.Bias != nil && op.Bias.Constant.Len() != form.groups*form.rows {
			continue
		}
		out = append(out, layer{op, form})
	}
	return out
}

// refines reports whether weights of those settings gain by being chosen anew:
// wider ones are as good as float.
func refines(s scheme.Settings) bool {
	return s.Datatype == scheme.Int && s.Symmetry && s.Signed && s.BitWidth <= 16
}

func (o Options) threads() int {
	if o.Threads > 0 {
		return o.Threads
	}
	return runtime.GOMAXPROCS(0)
}

// span tells which rows of a batch are samples to look at: the first count of
// them; the network takes rows at once.
type span struct{ count, rows int }

// of returns how many of a tensor's n elements, from the first, belong to
// samples to look at.
func (s span) of(n int, shape []int64) int {
	if s.rows > s.count && len(shape) > 0 && int(shape[0])%s.rows == 0 {
		return n / s.rows * s.count
	}
	return n
}

// load copies the samples.
func (f *refiner) load(in engine.Batches, limit int) (batches []map[string]engine.Tensor, spans []span, err error) {
	n := 0
	for b, err := range engine.Fit(in, f.c.Plan.Model, batch) {
		if err != nil {
			return nil, nil, err
		}
		kept := map[string]engine.Tensor{}
		for v, t := range b.Inputs {
			kept[v] = t.Clone() // a batch is valid until the next
		}
		s := span{count: min(b.Count, limit-n), rows: b.Rows()}
		batches, spans = append(batches, kept), append(spans, s)
		if n += s.count; n >= limit {
			break
		}
	}
	if n == 0 {
		return nil, nil, errors.New("there are no samples to refine with")
	}
	return batches, spans, nil
}
