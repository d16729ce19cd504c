package export

import (
	"slices"

	"narrow/graph"
	"narrow/graph/op"
)

// afterMove returns pairs behind n where it moves quantized values on to an
// operator that could compute in integers. The pairs are of the encoding that
// the values have, so that they change no number; ONNX Runtime (1.30 at least)
// carries a DequantizeLinear over Reshape, Transpose, Squeeze, Unsqueeze and Slice
// of operator sets before 21 by itself, over nothing else.
func (q *qdq) afterMove(l *links, n *graph.Node) []*graph.Node {
	if n.Domain != "" || q.opts.ExactRounding || !(q.form.everywhere && q.movesOnly(l, n) || q.form.fuse && carries(n, q.opset)) {
		return nil
	}
	t := q.carried[n.Input(0)]
	if t == nil {
		t = q.source(l.producedBy, n.Input(0))
	}
	p, ok := q.pairs[t]
	if !ok || p.st.typ.Bits() != 8 {
		return nil
	}
	var pairs []*graph.Node
	for _, value := range n.Outputs {
		var readers []*graph.Node
		for _, r := range q.m.Graph.Nodes {
			if slices.Contains(r.Inputs, value) && q.tensor[r] == nil && r.Domain == "" && (q.form.everywhere || fusable(r) || r.Is("Softmax", "Sigmoid", "LeakyRelu")) {
				readers = append(readers, r)
			}
		}
		if len(readers) == 0 {
			continue
		}
		out := q.fresh(value + "_pair")
		for _, r := range readers {
			for i, in := range r.Inputs {
				if in == value {
					r.Inputs[i] = out
				}
			}
		}
		pair := q.pair(ruleFuse, t, p.e, p.st, p.e.Scale[0], 0, value, out)
		l.producer[out], l.readers[out] = n, len(readers)
		q.carried[out] = t
		pairs = append(pairs, pair...)
	}
	return pairs
}

// beforeBodies returns pairs behind n where it moves quantized values on to the body of
// a Loop, If or Scan. ONNX Runtime (1.30 at least) carries a DequantizeLinear over n, and
// ends its process where it then looks for the input of the node that a body reads by name.
func (q *qdq) beforeBodies(l *links, n *graph.Node) []*graph.Node {
	if n.Domain != "" || !n.Is("Reshape", "Transpose", "Squeeze", "Unsqueeze", "Slice", "MaxPool") {
		return nil
	}
	t := q.source(l.producedBy, n.Input(0))
	p, ok := q.pairs[t]
	if !ok {
		return nil
	}
	value := n.Outputs[0]
	var readers []*graph.Node
	for _, r := range q.m.Graph.Nodes {
		if len(r.Subgraphs()) > 0 && slices.Contains(graph.Reads(&graph.Node{Attrs: r.Attrs}), value) {
			readers = append(readers, r)
		}
	}
	if len(readers) == 0 {
		return nil
	}
	out := q.fresh(value + "_body")
	for _, r := range readers {
		readInstead(r, value, out)
	}
	return q.pair(ruleFuse, t, p.e, p.st, p.e.Scale[0], 0, value, out)
}

// readInstead makes the bodies of n read another value.
func readInstead(n *graph.Node, value, other string) {
	for _, body := range n.Subgraphs() {
		if !slices.Contains(graph.Reads(&graph.Node{Attrs: []*graph.Attr{{Kind: graph.AttrGraph, Graph: body}}}), value) {
			continue // it has its own value of that name
		}
		for _, x := range body.Nodes {
			for i, in := range x.Inputs {
				if in == value {
					x.Inputs[i] = other
				}
			}
			readInstead(x, value, other)
		}
		for _, o := range body.Outputs {
			if o.Name == value {
				o.Name = other
			}
		}
	}
}

// movesOnly reports whether n puts out nothing but values of its first input and zeros.
func (q *qdq) movesOnly(l *links, n *graph.Node) bool {
	if n.OpType == "Pad" {
		if n.Str("mode", "constant") != "constant" || n.Input(2) == "" {
			return n.Float("value", 0) == 0
		}
		c := l.constant[n.Input(2)]
		if c == nil {
			return false
		}
		v, err := c.Floats()
		return err == nil && !slices.ContainsFunc(v, func(x float32) bool { return x != 0 })
	}
	return op.Moves(n) && !n.Is("Identity", "Dropout") || n.Is("MaxPool", "Gather")
}

// carries reports whether n moves values only, and ONNX Runtime computes it on
// integers but does not carry a DequantizeLinear over it by itself.
func carries(n *graph.Node, opset int64) bool {
	switch n.OpType {
	case "Flatten", "Gather", "GatherElements", "Expand", "Tile", "Split":
		return true
	case "Reshape", "Transpose", "Squeeze", "Unsqueeze", "Slice":
		return opset >= 21
	}
	return false
}
