package inspect

import (
	"fmt"
	"slices"

	"narrow/plan"
	"narrow/scheme"
)

// result returns what was measured.
func (m *measurement) result() *Result {
	p := m.c.Plan
	r := &Result{Samples: m.samples, Reference: m.reference, Layers: make([]Layer, len(p.Layers)), Tensors: make([]Tensor, len(p.Tensors))}
	index := map[*plan.Layer]int{}
	for i, l := range p.Layers {
		index[l] = i
		d := describe(p, l)
		r.Layers[i] = Layer{
			Name: l.Name, Op: l.Op, Module: d.module, Output: l.Output, Weights: d.weights, Activation: d.activation,
			Error: m.layers[i].error(), Tensors: []int{},
		}
	}
	for i, t := range p.Tensors {
		s := &m.tensors[i]
		out := Tensor{
			Name: t.Name, Kind: t.Kind, Layer: t.Layer.Name, LayerIndex: index[t.Layer], Datatype: datatype(t.Settings.Settings),
			Accumulated: s.accumulated.error(), Axis: t.Axis, Channels: s.channels,
		}
		s.into(&out)
		if g := m.quantizer(i).grids(); g != nil && t.Axis < 0 {
			out.Grid = &g[0]
		}
		r.Tensors[i] = out
		l := &r.Layers[out.LayerIndex]
		l.Tensors = append(l.Tensors, i)
	}
	return r
}

// description is what a layer is called and stored as.
type description struct{ module, weights, activation string }

func describe(p *plan.Plan, l *plan.Layer) description {
	d := description{activation: float32Name}
	if l.Node != nil {
		if e := p.Names.Entry(l.Node); e != nil {
			d.module = e.Module
		}
	}
	for _, t := range p.Tensors {
		switch {
		case t.Layer != l:
		case t.Kind == scheme.Weights && d.weights == "":
			d.weights = datatype(t.Settings.Settings)
		case t.Kind == scheme.Input && l.Node == nil:
			d.activation = datatype(t.Settings.Settings)
		}
	}
	for _, t := range p.FloatTensors {
		if t.Layer == l && t.Kind == scheme.Weights && d.weights == "" {
			d.weights = float32Name
		}
	}
	// The quantizer that serves a layer may be another's, such as a Concat's.
	for _, op := range p.Operations {
		if op.Output != nil && slices.Contains(l.Nodes, op.Node) {
			d.activation = datatype(op.Output.Settings.Settings)
		}
	}
	return d
}

const float32Name = "float32"

// datatype is what settings store, such as int8 or bfloat16.
func datatype(s scheme.Settings) string {
	if s.Datatype == scheme.Int {
		return fmt.Sprintf("int%d", s.BitWidth)
	}
	return s.Datatype.String()
}
