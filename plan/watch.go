package plan

import (
	"narrow/diag"
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
	f := newFlow(p.Model.Graph, infer.Types(p.Model))
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
	for _, u := range f.units {
		if at := f.point(u); at != nil && len(at.outs) > 0 && (at.main == nil || at.main.Domain == "" && len(at.main.Subgraphs()) == 0) {
			wanted[at.outs[0]] = true
		}
		if u.main != nil && u.main.Domain == "" && quantizable[u.op] && u == u.group.units[0] {
			for _, in := range u.ins {
				wanted[in] = true
			}
		}
	}
	for _, u := range f.units {
		for _, o := range u.outs {
			if !wanted[o] {
				continue
			}
			t := &Tensor{Name: o, Kind: scheme.Activation, Layer: layers[o], Axis: -1, Where: diag.Textf("watched for any strategy")}
			if u.op == opInput {
				t.Kind, t.NetworkInput = scheme.Input, true
			}
			if t.Layer == nil {
				t.Layer = &Layer{Name: o, Op: u.op, Node: u.main, Output: o}
			}
			w.Tensors = append(w.Tensors, t)
		}
	}
	return &w
}
