package inspect

import (
	"context"

	"narrow"
	"narrow/calibrate/observe"
	"narrow/diag"
	"narrow/engine"
	"narrow/graph"
	"narrow/internal/kernel"
	"narrow/plan"
)

// alone is the float network with a twin of each layer beside it: the layer's
// nodes again, quantized, reading the float values. So one pass tells what each
// layer's quantization does to its own output, with nothing wrong before.
type alone struct {
	c     *narrow.Calibrated
	pool  *kernel.Pool
	model *graph.Model
	// tensors is what each tap quantizes, layers which layer's output it
	// compares: nil and -1 where it does the other.
	tensors []*plan.Tensor
	layers  []int
	errors  []pairs // by layer

	fresh func(string) string
}

// newAlone builds the network for the layers of the plan that have tensors.
func newAlone(c *narrow.Calibrated, pool *kernel.Pool, constants map[*plan.Tensor]*graph.Tensor) *alone {
	p := c.Plan
	a := &alone{c: c, pool: pool, model: p.Model.Clone(), errors: make([]pairs, len(p.Layers))}
	a.fresh = graph.Fresh(a.model.Graph)
	if a.model.Opsets == nil {
		a.model.Opsets = map[string]int64{}
	}
	a.model.Opsets[graph.TapDomain] = 1
	tensors := byLayer(p)
	for i, l := range p.Layers {
		if len(tensors[l]) > 0 && l.Output != "" {
			a.twin(i, l, tensors[l], constants)
		}
	}
	return a
}

// byLayer returns the plan's tensors by the layer whose settings apply.
func byLayer(p *plan.Plan) map[*plan.Layer][]*plan.Tensor {
	m := map[*plan.Layer][]*plan.Tensor{}
	for _, t := range p.Tensors {
		m[t.Layer] = append(m[t.Layer], t)
	}
	return m
}

// twin adds the quantized twin of layer l, which has the tensors ts.
func (a *alone) twin(i int, l *plan.Layer, ts []*plan.Tensor, constants map[*plan.Tensor]*graph.Tensor) {
	g := a.model.Graph
	reads := map[plan.Use]string{}      // what an input of a node reads instead
	behind := map[string]*plan.Tensor{} // the quantizers of the layer's own values
	for _, t := range ts {
		switch {
		case t.Constant != nil:
			stored := *constants[t]
			stored.Name = a.fresh(t.Name + ".alone")
			g.Initializers = append(g.Initializers, &stored)
			for _, u := range t.Uses {
				reads[u] = stored.Name
			}
		case t.Uses != nil:
			entering := a.quantize(t, t.Name)
			for _, u := range t.Uses {
				reads[u] = entering
			}
		default:
			behind[t.Name] = t
		}
	}
	twins := map[string]string{}
	if t := behind[l.Output]; l.Node == nil && t != nil {
		twins[l.Output] = a.quantize(t, l.Output) // a network input
	}
	for _, n := range l.Nodes {
		c := n.Clone()
		c.Name = a.fresh(n.Label() + ".alone")
		for j, in := range n.Inputs {
			if own := twins[in]; own != "" {
				c.Inputs[j] = own
			}
			if other := reads[plan.Use{Node: n, Input: j}]; other != "" {
				c.Inputs[j] = other
			}
		}
		g.Nodes = append(g.Nodes, c)
		for j, out := range n.Outputs {
			if out == "" {
				continue
			}
			c.Outputs[j] = a.fresh(out + ".alone")
			twins[out] = c.Outputs[j]
			if t := behind[out]; t != nil {
				twins[out] = a.quantize(t, c.Outputs[j])
			}
		}
	}
	if twins[l.Output] == "" {
		return // nothing of the layer comes before its output
	}
	a.tap(l.Output, nil, i, twins[l.Output], l.Output)
}

// quantize adds a tap that quantizes the value in as t, and returns its output.
func (a *alone) quantize(t *plan.Tensor, in string) string { return a.tap(t.Name, t, -1, in) }

func (a *alone) tap(name string, t *plan.Tensor, layer int, in ...string) string {
	out := a.fresh(name + ".tapped")
	a.model.Graph.Nodes = append(a.model.Graph.Nodes, &graph.Node{
		Name: a.fresh("narrow.tap." + name), Domain: graph.TapDomain, OpType: graph.TapOp, Inputs: in, Outputs: []string{out},
	})
	a.tensors, a.layers = append(a.tensors, t), append(a.layers, layer)
	return out
}

// run runs the network over the batches.
func (a *alone) run(ctx context.Context, run engine.Runner, batches []*engine.Batch, threads int) error {
	if len(a.tensors) == 0 {
		return nil
	}
	s, err := run.Load(ctx, a.model, engine.LoadOptions{
		Threads: threads, Outputs: []string{}, AnyOrder: func(tap int) bool { return a.tensors[tap] != nil },
	})
	if err != nil {
		return err
	}
	defer s.Close()
	for _, b := range batches {
		var reference []float32
		if _, err := s.Run(ctx, b.Inputs, func(tap int, dst, src []float32, shape []int64) error {
			if t := a.tensors[tap]; t != nil {
				if err := observe.Apply(a.pool, dst, src, t.Settings.Settings, a.c.Result.Encodings[t], shape); err != nil {
					return diag.Errorf("layer %s: %v %q: %w", t.Layer.Name, t.Kind, t.Name, err)
				}
				return nil
			}
			if dst == nil {
				reference = src
				return nil
			}
			if !engine.SameMemory(dst, src) {
				copy(dst, src)
			}
			ref, _, _ := b.Samples(reference, shape)
			got, _, _ := b.Samples(src, shape)
			a.errors[a.layers[tap]].add(a.pool, ref, got)
			return nil
		}); err != nil {
			return err
		}
	}
	return nil
}
