package xmodel

import (
	"fmt"
	"slices"
)

// network is the operators between lowering and the file. Its methods change
// it; what is no longer read stays in nodes until the file is made.
type network struct {
	nodes   []*node
	outputs []*node
}

// layout turns images round to [N,H,W,C] as vai_q_pytorch does: from every
// operator that exists on images alone up to what feeds it and down to what
// reads it, as far as operators follow; where they do not, a transpose goes
// between. Outputs are not turned back.
//
// Source: vai_q_pytorch 3.5, DevGraphOptimizer.layout_tranform and the passes
// around it.
func (w *network) layout() {
	w.transposedFactors()
	w.turnUp()
	w.turnDown()
	w.convert()
	w.tidyTransposes()
	w.reduceTransposed()
	w.foldPads()
	w.reshapeTransposes()
	w.reorderWeights()
	w.mergeReshapes()
}

// canFollow reports whether n can take any order of its axes.
func canFollow(n *node) bool {
	if imageOrder(len(n.shape)) == nil {
		return false
	}
	switch {
	case n.op == "data":
		return true
	case n.images || !n.follows:
		return false
	case n.op == "reshape" && len(n.in[0].shape) == len(n.shape):
		return keepsMemory(n)
	}
	return true
}

// lifts reports whether n only adds or drops an axis of space.
func lifts(n *node) bool { return n.op == "reshape" && n.follows && len(n.in[0].shape) != len(n.shape) }

// keepsMemory reports whether turning the result of a reshape round gives the
// same elements in the same order as turning its input round.
func keepsMemory(n *node) bool {
	from, to := n.in[0].shape, n.shape
	order := imageOrder(len(to))
	if slices.Equal(from, to) {
		return true
	}
	const most = 1 << 22
	size := count(from)
	if size > most {
		return false
	}
	index := make([]float32, size)
	for i := range index {
		index[i] = float32(i)
	}
	return slices.Equal(permuteFloats(index, from, order), permuteFloats(index, to, order))
}

// goesWith reports whether p, which n reads, turns round where n does: not
// values of another rank, which n stretches.
func goesWith(p, n *node) bool { return len(p.shape) == len(n.shape) || lifts(n) || lifts(p) }

func (w *network) turnUp() {
	for _, start := range w.nodes {
		if !start.images {
			continue
		}
		start.order = imageOrder(len(start.shape))
		queue := []*node{start}
		for len(queue) > 0 {
			n := queue[0]
			queue = queue[1:]
			for _, p := range n.in {
				if p.order == nil && p.op != "const" && goesWith(p, n) && canFollow(p) {
					p.order = imageOrder(len(p.shape))
					queue = append(queue, p)
				}
			}
		}
	}
}

func (w *network) turnDown() {
	read := readers(w.nodes)
	seen := map[*node]bool{}
	for _, start := range w.nodes {
		if start.order == nil || seen[start] {
			continue
		}
		seen[start] = true
		queue := []*node{start}
		for len(queue) > 0 {
			n := queue[0]
			queue = queue[1:]
			for _, r := range read[n] {
				switch {
				case seen[r] || r.images:
				case r.order != nil:
				case goesWith(n, r) && canFollow(r):
					r.order = imageOrder(len(r.shape))
				}
				if r.order != nil && !seen[r] && !r.images {
					seen[r] = true
					queue = append(queue, r)
				}
			}
		}
	}
}

// convert puts transposes where a value lies otherwise than who reads it needs it.
func (w *network) convert() {
	var nodes []*node
	for _, n := range w.nodes {
		for i, p := range n.in {
			var need []int
			if n.order != nil {
				need = imageOrder(len(p.shape))
				if !goesWith(p, n) {
					need = n.order
				}
			}
			if p.op == "const" {
				if need != nil && len(p.shape) == len(n.order) {
					p.order = need
				}
				continue
			}
			kind := "swim"
			if p.order != nil && !slices.Equal(p.order, need) {
				kind = "sink"
				p = between(p, p.shape, nil, fmt.Sprintf("_sink_transpose_%d", i))
				nodes = append(nodes, p)
			}
			if n.order != nil && !goesWith(p, n) {
				up := append(slices.Repeat([]int64{1}, len(n.shape)-len(p.shape)), p.shape...)
				p = &node{op: "reshape", label: p.label, name: p.name + "_rank", in: []*node{p}, shape: up, target: up, value: p.value, behind: p.behind || p.fix != nil, inner: true}
				nodes = append(nodes, p)
			}
			if need != nil && !slices.Equal(p.order, need) {
				p = between(p, p.shape, need, fmt.Sprintf("_%s_transpose_%d", kind, i))
				nodes = append(nodes, p)
			}
			n.in[i] = p
		}
		nodes = append(nodes, n)
	}
	w.nodes = nodes
}

// between returns the transpose that brings p into order.
func between(p *node, shape []int64, order []int, suffix string) *node {
	perm := order
	switch {
	case order == nil:
		perm = fromOrder(p.order)
	case p.order != nil:
		perm = compose(fromOrder(p.order), order)
	}
	return &node{op: "transpose", label: p.label, name: p.name + suffix, in: []*node{p}, shape: shape, order: order, perm: perm, value: p.value, behind: p.behind || p.fix != nil}
}

func (w *network) isOutput(n *node) bool { return slices.Contains(w.outputs, n) }

// replace lets everyone who reads old read new.
func (w *network) replace(old, new *node) {
	for _, n := range w.nodes {
		for i := range n.in {
			if n.in[i] == old {
				n.in[i] = new
			}
		}
	}
	for i := range w.outputs {
		if w.outputs[i] == old {
			w.outputs[i] = new
		}
	}
	w.nodes = slices.DeleteFunc(w.nodes, func(n *node) bool { return n == old })
}

// givesFix lets n, which only moves the values of its one input, go without
// its quantizer: the input takes it, or has the same. It reports whether that
// is possible.
func (w *network) givesFix(n *node, read map[*node][]*node) bool {
	if n.fix == nil {
		return true
	}
	p := n.in[0]
	switch {
	case n.pre[0] != nil:
		return false
	case same(p.fix, n.fix):
	case p.fix == nil && p.op != "const" && len(read[p]) == 1 && !w.isOutput(p):
		p.fix = n.fix
	default:
		return false
	}
	n.fix = nil
	return true
}

// transposedFactors lets a matmul read the value in front of a transpose of its
// second factor's last two axes.
func (w *network) transposedFactors() {
	read := readers(w.nodes)
	for _, m := range slices.Clone(w.nodes) {
		if m.op != "matmul" || m.in[1].op != "transpose" || m.pre[1] != nil || m.in[0] == m.in[1] {
			continue
		}
		t := m.in[1]
		r := len(t.perm)
		want := imageless(r)
		want[r-2], want[r-1] = r-1, r-2
		if !slices.Equal(t.perm, want) || len(read[t]) != 1 || w.isOutput(t) || t.pre != nil || !w.givesFix(t, read) {
			continue
		}
		m.in[1] = t.in[0]
		w.nodes = slices.DeleteFunc(w.nodes, func(n *node) bool { return n == t })
		m.attrs = attrsOf("transpose_a", false, "transpose_b", true)
		read = readers(w.nodes)
	}
}

// imageless is the order that changes nothing.
func imageless(r int) []int {
	out := make([]int, r)
	for i := range out {
		out[i] = i
	}
	return out
}

// tidyTransposes multiplies neighbouring transposes, drops those that change
// nothing, and makes one of siblings.
func (w *network) tidyTransposes() {
	for changed := true; changed; {
		changed = false
		read := readers(w.nodes)
		for _, t := range slices.Clone(w.nodes) {
			if t.op != "transpose" || t.pre != nil {
				continue
			}
			if p := t.in[0]; p.op == "transpose" && p.pre == nil && (len(read[p]) == 1 && !w.isOutput(p) || p.fix == nil) && w.givesFix(p, read) {
				t.perm = compose(p.perm, t.perm)
				t.in[0] = p.in[0]
				if len(read[p]) == 1 && !w.isOutput(p) {
					w.nodes = slices.DeleteFunc(w.nodes, func(n *node) bool { return n == p })
				}
				changed = true
				break
			}
			if identity(t.perm) && w.givesFix(t, read) {
				w.replace(t, t.in[0])
				changed = true
				break
			}
		}
	}
	read := readers(w.nodes)
	for _, n := range slices.Clone(w.nodes) {
		ts := read[n]
		if len(ts) < 2 || w.isOutput(n) {
			continue
		}
		if slices.ContainsFunc(ts, func(t *node) bool {
			return t.op != "transpose" || t.pre != nil || !slices.Equal(t.perm, ts[0].perm) || (t.fix == nil) != (ts[0].fix == nil) || t.fix != nil && !same(t.fix, ts[0].fix)
		}) {
			continue
		}
		for _, t := range ts[1:] {
			w.replace(t, ts[0])
		}
	}
}

// reduceTransposed lets a mean that drops its axes run in front of a transpose
// that changes nothing about the rest.
func (w *network) reduceTransposed() {
	read := readers(w.nodes)
	for _, m := range slices.Clone(w.nodes) {
		if m.op != "reduction_mean" || m.keep || m.in[0].op != "transpose" || m.pre != nil {
			continue
		}
		t := m.in[0]
		var rest, axes []int
		for i, p := range t.perm {
			if slices.Contains(m.axes, i) {
				axes = append(axes, p)
			} else {
				rest = append(rest, p)
			}
		}
		if !slices.IsSorted(rest) || len(read[t]) != 1 || w.isOutput(t) || t.pre != nil || !w.givesFix(t, read) {
			continue
		}
		m.in[0], m.axes = t.in[0], axes
		w.nodes = slices.DeleteFunc(w.nodes, func(n *node) bool { return n == t })
	}
}

// foldPads adds zero paddings of equal sides to the convolutions that read them.
func (w *network) foldPads() {
	read := readers(w.nodes)
	for _, p := range slices.Clone(w.nodes) {
		if p.op != "pad" || p.padValue != 0 || len(p.shape) != 4 || p.pre != nil || w.isOutput(p) || len(read[p]) == 0 ||
			slices.ContainsFunc(p.attrs, func(a Attr) bool { return a.Name == "mode" && a.Value != "CONSTANT" }) {
			continue
		}
		equal := p.pads[0] == [2]int64{} && p.pads[1] == [2]int64{} && p.pads[2][0] == p.pads[2][1] && p.pads[3][0] == p.pads[3][1]
		if !equal || slices.ContainsFunc(read[p], func(c *node) bool {
			return c.op != "conv2d" && c.op != "depthwise-conv2d" || c.pre != nil
		}) || !w.givesFix(p, read) {
			continue
		}
		for _, c := range read[p] {
			for i, a := range c.attrs {
				if a.Name == "pad" {
					old := a.Value.([]int32)
					h, wd := int32(p.pads[2][0]), int32(p.pads[3][0])
					c.attrs[i].Value = []int32{old[0] + wd, old[1] + wd, old[2] + h, old[3] + h}
				}
			}
		}
		w.replace(p, p.in[0])
	}
}

// reshapeTransposes turns transposes that move no data into reshapes.
func (w *network) reshapeTransposes() {
	for _, t := range w.nodes {
		if t.op != "transpose" {
			continue
		}
		from := t.in[0].dims()
		var axes []int
		for _, p := range t.perm {
			if from[p] > 1 {
				axes = append(axes, p)
			}
		}
		if slices.IsSorted(axes) {
			t.op, t.target = "reshape", t.shape
		}
	}
}

// reorderWeights drops a transpose [N,H,W,C] to [N,C,H,W] that a reshape to one
// row and a matmul by weights follow, and reorders the weights' columns instead.
func (w *network) reorderWeights() {
	read := readers(w.nodes)
	for _, m := range slices.Clone(w.nodes) {
		if m.op != "matmul" || m.in[1].op != "const" || m.pre != nil || !slices.ContainsFunc(m.attrs, func(a Attr) bool { return a.Name == "transpose_b" && a.Value == true }) {
			continue
		}
		r := m.in[0]
		if r.op != "reshape" || r.order != nil || len(read[r]) != 1 || r.pre != nil || len(r.shape) < 2 || w.isOutput(r) {
			continue
		}
		t := r.in[0]
		if t.op != "transpose" || !slices.Equal(t.perm, []int{0, 3, 1, 2}) || t.order != nil || len(read[t]) != 1 || t.pre != nil || w.isOutput(t) {
			continue
		}
		rank := len(r.shape)
		old := m.in[1]
		c, h, wd := t.shape[1], t.shape[2], t.shape[3]
		if r.shape[rank-2] != t.shape[0] || count(r.shape[:rank-2]) > 1 || old.shape[1] != c*h*wd || !w.givesFix(t, read) {
			continue
		}
		fresh := *old
		fresh.data = permuteFloats(old.data, []int64{old.shape[0], c, h, wd}, []int{0, 2, 3, 1})
		m.in[1] = &fresh
		r.from = &origin{t.value, t.behind, t.shape, []int{0, 2, 3, 1}}
		r.in[0] = t.in[0]
		w.nodes = slices.DeleteFunc(w.nodes, func(n *node) bool { return n == t })
	}
}

// mergeReshapes makes one of two reshapes in a row.
func (w *network) mergeReshapes() {
	for changed := true; changed; {
		changed = false
		read := readers(w.nodes)
		for _, r := range slices.Clone(w.nodes) {
			if r.op != "reshape" || r.in[0].op != "reshape" || r.pre != nil {
				continue
			}
			p := r.in[0]
			if p.pre != nil || w.isOutput(p) || len(read[p]) > 1 && p.fix != nil || !w.givesFix(p, read) {
				continue
			}
			r.in[0] = p.in[0]
			if len(read[p]) == 1 {
				w.nodes = slices.DeleteFunc(w.nodes, func(n *node) bool { return n == p })
			}
			changed = true
			break
		}
	}
}
