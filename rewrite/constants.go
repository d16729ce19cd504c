package rewrite

import (
	"fmt"

	"narrow/graph"
)

// FoldConstants computes what does not depend on the network's inputs: the
// chains in front of weights (Transpose, Reshape, Cast, Mul by a constant) and
// the small computations of shapes.
func FoldConstants() Rule {
	return Rule{
		Name: "fold-constants", Exact: true,
		Doc: "Replaces nodes whose operands are all constant (or only shapes that the model fixes) by their result, " +
			"where that is not larger than what they read.",
		find: func(w *work, n *graph.Node) *site {
			if len(n.Outputs) != 1 || n.Domain != "" || n.Is("Constant") || w.dead(n) {
				return nil
			}
			out := n.Outputs[0]
			if w.ix.IsOutput(out) {
				return nil
			}
			t, reason := w.evaluate(n)
			if reason != "" {
				return refuse("%s", reason)
			}
			if t == nil {
				return nil
			}
			return &site{apply: func() string {
				w.remove(n)
				// The value's name may be in use as a type in the file only.
				w.setInitializer(&graph.Tensor{Name: out, Type: t.Type, Dims: t.Dims, Raw: t.Raw})
				return fmt.Sprintf("%s computed: %v%v", n.OpType, t.Type, t.Dims)
			}}
		},
	}
}

// evaluate returns the result of n where its operands are constant, nil where
// they are not, or the reason why a constant result cannot be had.
func (w *work) evaluate(n *graph.Node) (*graph.Tensor, string) {
	if n.Is("Shape") {
		return w.shapeOf(n)
	}
	if n.Is("Gather") {
		if t := w.gatherShape(n); t != nil {
			return t, ""
		}
	}
	op, known := foldable[n.OpType]
	if !known {
		return nil, ""
	}
	args := make([]*graph.Tensor, len(n.Inputs))
	size := 16
	for i, v := range n.Inputs {
		if v == "" {
			continue
		}
		t := w.ix.Constant[v]
		if t == nil {
			return nil, ""
		}
		if t.Raw == nil || t.Type.Bits() < 8 {
			return nil, fmt.Sprintf("%q is of type %v", v, t.Type)
		}
		if want, err := t.Type.ByteSize(t.Len()); err != nil || want != len(t.Raw) {
			return nil, fmt.Sprintf("%q of shape %v has %d bytes", v, t.Dims, len(t.Raw))
		}
		args[i] = t
		size += t.Len()
	}
	if len(args) == 0 || args[0] == nil {
		return nil, ""
	}
	t, err := op(evaluation{n: n, args: args, opset: w.opset(), most: max(size, 1024)})
	if err != nil {
		return nil, err.Error()
	}
	return t, ""
}

// shapeOf computes Shape where the dimensions are known.
func (w *work) shapeOf(n *graph.Node) (*graph.Tensor, string) {
	dims, ok := w.static(n.Input(0))
	if !ok {
		return nil, ""
	}
	from, to := clampRange(n.Int("start", 0), n.Int("end", int64(len(dims))), len(dims))
	return graph.NewInts("", []int64{int64(to - from)}, dims[from:to]), ""
}

func clampRange(start, end int64, n int) (from, to int) {
	fix := func(i int64) int {
		if i < 0 {
			i += int64(n)
		}
		return int(min(max(i, 0), int64(n)))
	}
	from, to = fix(start), fix(end)
	return from, max(from, to)
}

// gatherShape computes Gather of known dimensions out of a Shape that has
// unknown ones too.
func (w *work) gatherShape(n *graph.Node) *graph.Tensor {
	p := w.ix.Producer[n.Input(0)]
	if p == nil || !p.Is("Shape") || p.Attr("start") != nil || p.Attr("end") != nil || n.Int("axis", 0) != 0 {
		return nil
	}
	at, ok := w.ints(n.Input(1))
	dims := w.shapes[p.Input(0)]
	if !ok || dims == nil {
		return nil
	}
	out := make([]int64, len(at))
	for i, k := range at {
		if k < 0 {
			k += int64(len(dims))
		}
		if k < 0 || k >= int64(len(dims)) || dims[k].Size < 0 {
			return nil
		}
		out[i] = dims[k].Size
	}
	return graph.NewInts("", w.ix.Constant[n.Input(1)].Dims, out)
}
