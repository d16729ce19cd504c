package xmodel

import (
	"narrow/diag"
	"narrow/plan"
)

// Layer is what one operation of a network becomes in an .xmodel.
type Layer struct {
	// Name is the ONNX node's, Op its operator or the composite's.
	Name string `json:"name"`
	Op   string `json:"op"`
	// Becomes are the operators in the file, in order, constants left out; empty
	// where it is refused, or becomes part of its neighbours.
	Becomes []string `json:"becomes"`
	// Refused says why it cannot be written, Fix the way out; empty where it can.
	Refused diag.Text `json:"refused,omitzero"`
	Fix     diag.Text `json:"fix,omitzero"`
	// Notes are the limits of a known DPU that it may go beyond.
	Notes []diag.Text `json:"notes,omitempty"`
}

// Explain tells what each operation of a plan becomes in an .xmodel, in the
// network's order, before anything is calibrated, and what cannot be written at
// all. Which operators a certain DPU takes only its compiler knows.
func Explain(p *plan.Plan) ([]Layer, diag.List) {
	b := lower(source{plan: p, name: "Model"})
	after := map[string][]string{}
	if !b.list.HasErrors() {
		w := &network{nodes: b.nodes, outputs: b.outputs}
		w.layout()
		e := emit(w, b.name)
		of := map[*Op]*node{}
		for n, o := range e.raw {
			of[o] = n
		}
		var last *node
		for _, o := range e.g.Ops {
			if n := of[o]; n != nil {
				last = n
			}
			if last != nil && last.op != "const" && last.op != "data" && o.Type != "const" && o.Type != "stack" {
				after[last.label] = append(after[last.label], o.Type)
			}
		}
	}
	var layers []Layer
	for _, op := range p.Operations {
		l := Layer{Name: op.Node.Label(), Op: op.Op, Becomes: []string{}}
		if f, refused := b.reasons[op]; refused {
			l.Refused, l.Fix = f.why, f.fix
		} else if !b.list.HasErrors() {
			l.Becomes = append(l.Becomes, after[l.Name]...)
		} else {
			for _, n := range b.becomes[op] {
				l.Becomes = append(l.Becomes, n.op)
				if n.fix != nil {
					l.Becomes = append(l.Becomes, "fix")
				}
			}
		}
		for _, n := range b.becomes[op] {
			l.Notes = append(l.Notes, limits(n)...)
		}
		layers = append(layers, l)
	}
	return layers, b.list
}
