package plan

import (
	"narrow/diag"
	"narrow/graph"
	"narrow/graph/infer"
	"narrow/scheme"
)

// Watch returns p with other tensors: one input or activation for every value
// that a quantizer may hold under some strategy, and for every value that
// enters a layer with an integer form, in topological order and without
// settings. They depend on Model only, so that what is observed there serves
// any strategy. A value that is quantized only because a rule lists the kind
// input for a function inside a layer is not among them.
func (p *Plan) Watch() *Plan {
	w := *p
	w.Tensors = nil
	types := infer.Types(p.Model)
	f := newFlow(p.Model.Graph, types, lookOf(p.Options, p.Strategy.Target))
	layers := map[string]*Layer{} // by values that leave them or their nodes
	for _, l := range p.Layers {
		if l.Node == nil {
			layers[l.Name] = l
		}
		for _, n := range l.Nodes {
			for _, o := range n.Outputs {
				layers[o] = l
			}
		}
	}
	wanted := map[string]bool{}
	f.watch(wanted)
	if f.look.high {
		// Whether functions join, and whether a join is spared, is open.
		for _, l := range []look{{high: true}, {high: true, join: true}} {
			w := newFlow(p.Model.Graph, types, l)
			w.watch(wanted)
			w.freeJoins = map[*unit]bool{}
			for _, u := range w.units {
				w.freeJoins[u] = isJoin(u)
			}
			w.watch(wanted)
		}
	}
	watch := func(name, op string, n *graph.Node) {
		if !wanted[name] {
			return
		}
		t := &Tensor{Name: name, Kind: scheme.Activation, Layer: layers[name], Axis: -1, Where: diag.Textf("watched for any strategy")}
		if n == nil {
			t.Kind, t.NetworkInput = scheme.Input, true
		}
		if t.Layer == nil {
			t.Layer = &Layer{Name: name, Op: op, Node: n, Output: name}
		}
		w.Tensors = append(w.Tensors, t)
	}
	for _, v := range p.Model.Graph.Inputs {
		watch(v.Name, opInput, nil)
	}
	for _, n := range p.Model.Graph.Nodes {
		for _, o := range n.Outputs {
			watch(o, n.OpType, n)
		}
	}
	return &w
}

// watch adds the values that a quantizer may hold to wanted.
func (f *flow) watch(wanted map[string]bool) {
	for _, u := range f.units {
		if at := f.point(u); at != nil && len(at.outs) > 0 && (at.main == nil || at.main.Domain == "" && len(at.main.Subgraphs()) == 0) {
			wanted[at.outs[0]] = true
		}
		if u.main != nil && u.main.Domain == "" && u.quantizable() && u == u.group.units[0] {
			for _, in := range u.ins {
				wanted[in] = true
			}
		}
	}
}
