package plan

import (
	"slices"

	"narrow/graph"
	"narrow/scheme"
)

// Operation is one operation of the network as alignment and bias correction
// see it, with the quantizers around it.
type Operation struct {
	// Op is the ONNX operator or the composite's name, Node the node that
	// names it.
	Op   string
	Node *graph.Node
	// Nodes are its nodes in graph order, without joined functions.
	Nodes []*graph.Node
	// Quantizable says that an integer quantizer may stand behind it.
	Quantizable bool
	// Inputs are the quantizers of the values that enter it, in order, nil
	// where a value has none; a value that feeds only a Concat has the
	// Concat's.
	Inputs []*Tensor
	// Output is the quantizer that serves its result, or nil.
	Output *Tensor
	// Weights and Bias are its quantized constants, or nil.
	Weights, Bias *Tensor
	// In and Out name the values that enter and leave.
	In  []string
	Out string
	// FeedsConcat says that its result's quantizer is that of a Concat.
	FeedsConcat bool
	// Ends says that no activation function stands between it and Output.
	Ends bool
}

// operations lists the units with their quantizers, in topological order.
func (b *builder) operations() []*Operation {
	constant := map[Use]*Tensor{}
	own := map[Use]*Tensor{}
	for _, t := range b.p.Tensors {
		for _, u := range t.Uses {
			if t.Constant != nil {
				constant[u] = t
			} else {
				own[u] = t
			}
		}
	}
	var ops []*Operation
	for _, u := range b.flow.units {
		if u.main == nil {
			continue
		}
		op := &Operation{Op: u.op, Node: u.main, Nodes: u.nodes, Quantizable: u.quantizable() && u.main.Domain == "", In: u.ins, Out: u.outs[0]}
		for _, in := range u.ins {
			t := b.points[b.places[b.flow.producer[in]]]
			for _, n := range u.nodes {
				if i := slices.Index(n.Inputs, in); i >= 0 && own[Use{n, i}] != nil {
					t = own[Use{n, i}]
				}
			}
			op.Inputs = append(op.Inputs, t)
		}
		at := b.places[u]
		op.Output = b.points[at]
		op.Ends = at == u && op.Output != nil
		op.FeedsConcat = at != u && at.op == "Concat"
		for _, c := range b.constants(u) {
			t := constant[c.use]
			switch {
			case t == nil:
			case c.kind == scheme.Weights:
				op.Weights = t
			case c.kind == scheme.Bias:
				op.Bias = t
			}
		}
		ops = append(ops, op)
	}
	return ops
}

// Input returns the quantizer of the i-th value that enters, or nil.
func (o *Operation) Input(i int) *Tensor {
	if i < len(o.Inputs) {
		return o.Inputs[i]
	}
	return nil
}
