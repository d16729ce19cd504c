package xmodel

import (
	"slices"

	"narrow/diag"
	"narrow/graph"
	"narrow/graph/op"
)

// factor returns the constant that a mean is multiplied by for the DPU: last
// is the Mul behind it, or the mean itself where there is none.
func (b *builder) factor(mean, last *graph.Node) (float32, bool) {
	if mean == last {
		return 1, true
	}
	for i := range last.Inputs {
		if data, _, _, ok := b.floats(last, i); ok && len(data) == 1 {
			return data[0], true
		}
	}
	b.refuse(unknownForm("mean"), cutFix())
	return 0, false
}

// mean turns averages: pooling, or a reduction.
func (b *builder) mean(n, last *graph.Node) {
	f, ok := b.factor(n, last)
	if !ok {
		return
	}
	x, value := b.at(n, 0), last.Outputs[0]
	if n.Is("ReduceMean") || n.Is("GlobalAveragePool") && len(x.shape) != 4 {
		b.reduceMean(n, x, value, f, n != last)
		return
	}
	p := &node{op: "avgpool2d", in: []*node{x}, images: true}
	var ws []op.Window
	var before, after []int64
	mode, include, global := "FLOOR", true, n.Is("GlobalAveragePool")
	lift := false
	if global {
		ws = []op.Window{{Kernel: x.shape[2], Stride: x.shape[2], Dilation: 1}, {Kernel: x.shape[3], Stride: x.shape[3], Dilation: 1}}
		before, after = []int64{0, 0}, []int64{0, 0}
	} else {
		if ws, before, after, mode, ok = b.poolWindow(n, x); !ok {
			return
		}
		padded := slices.ContainsFunc(append(slices.Clone(before), after...), func(p int64) bool { return p != 0 })
		include = !padded || n.Int("count_include_pad", 0) != 0
		lift = len(ws) == 1
	}
	out := b.shape(value)
	if lift {
		p.in[0] = b.lifted(x)
		ws, before, after = append([]op.Window{flat}, ws...), append([]int64{0}, before...), append([]int64{0}, after...)
		out = []int64{out[0], out[1], 1, out[2]}
	}
	w := windowOf(ws, before, after)
	p.attrs = attrsOf("kernel", w.kernel, "stride", w.stride, "pad", w.pad, "pad_mode", mode, "global", global,
		"count_include_pad", include, "count_include_invalid", true)
	p.shape = out
	b.ownInputs(p, n, 0)
	b.step(p, n.Outputs[0], "_i0")
	m := &node{op: "mul", in: []*node{p, b.scalar(f, "_i1")}, shape: out, follows: true}
	if lift {
		b.step2(m, value)
		b.lowered(m, value)
		return
	}
	b.add(m, value)
}

// poolWindow returns the windows of a pooling operator.
func (b *builder) poolWindow(n *graph.Node, x *node) (ws []op.Window, before, after []int64, mode string, ok bool) {
	space := len(x.shape) - 2
	if space < 1 || space > 2 {
		b.refuse(diag.Textf("XIR has no pooling over %d dimensions", space), cutFix())
		return
	}
	ws = op.Windows(n, op.Kernel(n, nil))
	mode = "FLOOR"
	for i, w := range ws {
		if w.Dilation != 1 {
			b.refuse(diag.Textf("its window is dilated, and XIR's pooling has no dilation"), cutFix())
			return
		}
		p, q := w.Pads(x.shape[2+i])
		if min(p, q) < 0 {
			b.refuse(negative(), cutFix())
			return
		}
		before, after = append(before, p), append(after, q)
		if w.Ceil && w.Auto == "NOTSET" {
			mode = "CEIL"
		}
	}
	if mode == "CEIL" {
		// XIR rounds up and nothing else; ONNX leaves out windows that begin in the padding.
		size := b.shape(n.Outputs[0])
		for i, w := range ws {
			reach := x.shape[2+i] + before[i] + after[i] - w.Kernel
			if size[2+i] != (reach+w.Stride-1)/w.Stride+1 {
				if size[2+i] != reach/w.Stride+1 {
					b.refuse(diag.Textf("ceil_mode gives a size that XIR has no pad_mode for"), diag.Textf("set ceil_mode to 0 in the model"))
					return
				}
				mode = "FLOOR"
			}
		}
		if mode == "FLOOR" {
			for i, w := range ws {
				if reach := x.shape[2+i] + before[i] + after[i] - w.Kernel; size[2+i] != reach/w.Stride+1 {
					b.refuse(diag.Textf("ceil_mode gives a size that XIR has no pad_mode for"), diag.Textf("set ceil_mode to 0 in the model"))
					return
				}
			}
		}
	}
	return ws, before, after, mode, true
}

// maxPool turns a MaxPool or GlobalMaxPool over one or two dimensions.
func (b *builder) maxPool(n *graph.Node) {
	x, value := b.at(n, 0), n.Outputs[0]
	if len(n.Outputs) > 1 && b.needed[n.Outputs[1]] {
		b.refuse(diag.Textf("the places of its maxima are read, and XIR's pooling does not tell them"), cutFix())
		return
	}
	var ws []op.Window
	var before, after []int64
	mode := "FLOOR"
	if n.Is("GlobalMaxPool") {
		if len(x.shape) > 4 {
			b.refuse(diag.Textf("XIR has no pooling over %d dimensions", len(x.shape)-2), cutFix())
			return
		}
		for _, s := range x.shape[2:] {
			ws = append(ws, op.Window{Kernel: s, Stride: s, Dilation: 1})
			before, after = append(before, 0), append(after, 0)
		}
	} else {
		var ok bool
		if ws, before, after, mode, ok = b.poolWindow(n, x); !ok {
			return
		}
	}
	w := windowOf(ws, before, after)
	p := &node{op: map[int]string{1: "maxpool1d", 2: "maxpool2d"}[len(ws)], in: []*node{x}, images: true,
		attrs: attrsOf("kernel", w.kernel, "stride", w.stride, "pad", w.pad, "pad_mode", mode, "global", false)}
	b.ownInputs(p, n, 0)
	b.add(p, value)
}

// axesOf returns the axes that a reduction runs over.
func (b *builder) axesOf(n *graph.Node, rank int) ([]int, bool) {
	list, given, ok := b.attrOrInput(n, "axes", 1)
	if !ok {
		b.refuse(computed(n.Input(1)), cutFix())
		return nil, false
	}
	if !given || len(list) == 0 {
		if n.Int("noop_with_empty_axes", 0) != 0 {
			return nil, true
		}
		for i := range rank {
			list = append(list, int64(i))
		}
	}
	axes := make([]int, len(list))
	for i, a := range list {
		if a < 0 {
			a += int64(rank)
		}
		axes[i] = int(a)
	}
	return axes, true
}

// reduceMean turns a mean over axes, times f where the DPU's differs.
func (b *builder) reduceMean(n *graph.Node, x *node, value string, f float32, scaled bool) {
	r := &node{op: "reduction_mean", in: []*node{x}}
	if n.Is("GlobalAveragePool") {
		for a := 2; a < len(x.shape); a++ {
			r.axes = append(r.axes, a)
		}
		r.keep = true
	} else {
		var ok bool
		if r.axes, ok = b.axesOf(n, len(x.shape)); !ok {
			return
		}
		r.keep = n.Int("keepdims", 1) != 0
	}
	r.follows = r.keep
	r.shape = b.shape(value)
	if !b.wholeRank(r.shape) {
		return
	}
	b.ownInputs(r, n, 0)
	if !scaled {
		b.add(r, value)
		return
	}
	b.step(r, n.Outputs[0], "_i0")
	b.add(&node{op: "mul", in: []*node{r, b.scalar(f, "_i1")}, follows: true}, value)
}

// wholeRank refuses results without axes, which XIR does not have.
func (b *builder) wholeRank(shape []int64) bool {
	if len(shape) == 0 {
		b.refuse(diag.Textf("its result has no axis, and XIR's tensors have one at least"), diag.Textf("keep the reduced axes (keepdim=True)"))
		return false
	}
	return true
}

// reduce turns a ReduceMax or ReduceSum.
func (b *builder) reduce(n *graph.Node, name string) {
	x := b.at(n, 0)
	axes, ok := b.axesOf(n, len(x.shape))
	if !ok {
		return
	}
	keep := n.Int("keepdims", 1) != 0
	r := &node{op: name, in: []*node{x}, axes: axes, keep: keep, follows: keep, shape: b.shape(n.Outputs[0])}
	if !b.wholeRank(r.shape) {
		return
	}
	b.ownInputs(r, n, 0)
	b.add(r, n.Outputs[0])
}
