package rewrite

import (
	"fmt"
	"slices"

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
			if n.Is("Split") {
				return w.foldSplit(n)
			}
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
	most := max(size, 1024)
	if 8*most > w.foldRoom {
		return nil, "the constants that were computed before take enough memory"
	}
	t, err := op(evaluation{n: n, args: args, opset: w.opset(), most: most})
	if err != nil {
		return nil, err.Error()
	}
	w.foldRoom -= len(t.Raw)
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

// foldSplit computes Split of a constant: each part is a Slice.
func (w *work) foldSplit(n *graph.Node) *site {
	t := w.ix.Constant[n.Input(0)]
	if t == nil || t.Raw == nil || t.Type.Bits() < 8 || w.dead(n) || slices.ContainsFunc(n.Outputs, w.ix.IsOutput) {
		return nil
	}
	axis, err := axisOf(n.Int("axis", 0), len(t.Dims))
	if err != nil {
		return refuse("%s", err)
	}
	sizes := n.Ints("split")
	if w.opset() >= 13 && n.Input(1) != "" {
		var ok bool
		if sizes, ok = w.ints(n.Input(1)); !ok {
			return nil
		}
	}
	if sizes == nil { // equal parts, the last one smaller
		count := int64(len(n.Outputs))
		each := (t.Dims[axis] + count - 1) / count
		for i := range count {
			sizes = append(sizes, min(each, max(t.Dims[axis]-i*each, 0)))
		}
	}
	var sum int64
	for _, k := range sizes {
		sum += k
	}
	if want, err := t.Type.ByteSize(t.Len()); err != nil || want != len(t.Raw) {
		return refuse("%q of shape %v has %d bytes", n.Input(0), t.Dims, len(t.Raw))
	}
	negative := slices.ContainsFunc(sizes, func(k int64) bool { return k < 0 })
	if len(sizes) != len(n.Outputs) || sum != t.Dims[axis] || negative {
		return refuse("parts of %v do not make up axis %d of %v", sizes, axis, t.Dims)
	}
	return &site{apply: func() string {
		steps, from := strides(t.Dims), 0
		outputs := n.Outputs
		w.remove(n)
		for i, out := range outputs {
			dims := slices.Clone(t.Dims)
			dims[axis] = sizes[i]
			part := pick(t, dims, from*steps[axis], steps)
			from += int(sizes[i])
			if out != "" {
				w.setInitializer(&graph.Tensor{Name: out, Type: part.Type, Dims: dims, Raw: part.Raw})
			}
		}
		return fmt.Sprintf("Split computed: %d parts of %v", len(outputs), t.Dims)
	}}
}
