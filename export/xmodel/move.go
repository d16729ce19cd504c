package xmodel

import (
	"fmt"
	"math"
	"slices"

	"narrow/diag"
	"narrow/graph"
)

// concat turns a Concat.
func (b *builder) concat(n *graph.Node) {
	shape := b.shape(n.Outputs[0])
	axis := n.Int("axis", 0)
	if axis < 0 {
		axis += int64(len(shape))
	}
	c := &node{op: "concat", axis: int(axis), follows: true, shape: shape}
	all := make([]int, 0, len(n.Inputs))
	for i := range n.Inputs {
		_, dims, _, _ := b.floats(n, i)
		in := b.operand(n, i, dims)
		if in == nil {
			b.refuse(noKind(n.Input(i)), cutFix())
			return
		}
		if count(in.shape) == 0 {
			continue
		}
		c.in = append(c.in, in)
		all = append(all, i)
	}
	b.ownInputs(c, n, all...)
	b.add(c, n.Outputs[0])
}

// reshape turns the operators that tell the same values in another shape.
func (b *builder) reshape(n *graph.Node) {
	x, value := b.at(n, 0), n.Outputs[0]
	shape := b.shape(value)
	if len(shape) == 0 {
		b.wholeRank(shape)
		return
	}
	r := &node{op: "reshape", in: []*node{x}, shape: shape, target: shape}
	if n.Is("Reshape") {
		if to, ok := b.ints(n.Input(1)); ok && len(to) == len(shape) {
			r.target = slices.Clone(to)
			for i, d := range to {
				if d != -1 {
					r.target[i] = shape[i]
				}
			}
		}
		r.follows = len(x.shape) == len(shape)
	}
	b.ownInputs(r, n, 0)
	b.add(r, value)
}

// transpose turns a Transpose.
func (b *builder) transpose(n *graph.Node) {
	x := b.at(n, 0)
	perm := make([]int, len(x.shape))
	for i := range perm {
		perm[i] = len(perm) - 1 - i
	}
	for i, p := range n.Ints("perm") {
		perm[i] = int(p)
	}
	t := &node{op: "transpose", in: []*node{x}, perm: perm}
	b.ownInputs(t, n, 0)
	b.add(t, n.Outputs[0])
}

// whole returns a span of everything for each axis.
func whole(rank int) []span { return slices.Repeat([]span{{0, openEnd, 1}}, rank) }

// slice turns a Slice, together with slices before it that nobody else reads.
func (b *builder) slice(n *graph.Node) {
	x := b.at(n, 0)
	starts, _, ok1 := b.attrOrInput(n, "starts", 1)
	ends, _, ok2 := b.attrOrInput(n, "ends", 2)
	axes, given, ok3 := b.attrOrInput(n, "axes", 3)
	steps, ok4 := []int64(nil), true
	if n.Input(4) != "" {
		steps, ok4 = b.ints(n.Input(4))
	}
	if !ok1 || !ok2 || !ok3 || !ok4 {
		b.refuse(computed(n.Input(1)), cutFix())
		return
	}
	if !given {
		for i := range starts {
			axes = append(axes, int64(i))
		}
	}
	s := &node{op: "strided_slice", in: []*node{x}, cuts: whole(len(x.shape)), follows: true}
	for i, a := range axes {
		if a < 0 {
			a += int64(len(x.shape))
		}
		size := x.shape[a]
		c := span{begin: starts[i], end: ends[i], step: 1}
		if steps != nil {
			c.step = steps[i]
		}
		if c.step < 1 {
			b.refuse(diag.Textf("it goes backwards (step %d), and the DPU's compiler is not known to take that", c.step), cutFix())
			return
		}
		if c.begin < 0 {
			c.begin += size
		}
		if c.begin = max(c.begin, 0); c.begin >= size {
			b.refuse(diag.Textf("its result is empty"), diag.Text{})
			return
		}
		if c.end < 0 {
			c.end += size
		}
		if c.end >= math.MaxInt32 {
			c.end = openEnd
		}
		s.cuts[a] = c
	}
	if b.mergeable(x, s) {
		s.in, s.cuts = x.in, merged(x.cuts, s.cuts)
		b.nodes = slices.DeleteFunc(b.nodes, func(o *node) bool { return o == x })
	}
	b.ownInputs(s, n, 0)
	b.add(s, n.Outputs[0])
}

// mergeable reports whether slice x, which s reads, can be one with s: torch.onnx writes
// a slice of several axes as several.
func (b *builder) mergeable(x, s *node) bool {
	if x.op != "strided_slice" || x.fix != nil || x.inner || len(b.ix.Consumers[x.value]) != 1 || b.ix.IsOutput(x.value) {
		return false
	}
	for a := range s.cuts {
		if all := (span{0, openEnd, 1}); x.cuts[a] != all && s.cuts[a] != all {
			return false
		}
	}
	return true
}

func merged(a, b []span) []span {
	out := slices.Clone(a)
	for i, c := range b {
		if all := (span{0, openEnd, 1}); c != all {
			out[i] = c
		}
	}
	return out
}

// split turns a Split into a slice for each part.
func (b *builder) split(n *graph.Node) {
	x := b.at(n, 0)
	axis := n.Int("axis", 0)
	if axis < 0 {
		axis += int64(len(x.shape))
	}
	at := int64(0)
	for i, o := range n.Outputs {
		shape := b.shape(o)
		if o == "" || shape == nil {
			b.refuse(computed(n.Input(1)), cutFix())
			return
		}
		cuts := whole(len(x.shape))
		cuts[axis] = span{at, at + shape[axis], 1}
		at += shape[axis]
		if !b.needed[o] {
			continue
		}
		s := &node{op: "strided_slice", in: []*node{x}, cuts: cuts, follows: true}
		if i > 0 {
			s.name = fmt.Sprintf("%s_%d", n.Label(), i)
		}
		b.ownInputs(s, n, 0)
		b.add(s, o)
	}
}

// gather turns a Gather of one element, or of a run of them, along an axis.
func (b *builder) gather(n *graph.Node) {
	x, value := b.at(n, 0), n.Outputs[0]
	index, ok := b.ints(n.Input(1))
	if x == nil || !ok || len(index) == 0 {
		b.refuse(computed(n.Input(1)), cutFix())
		return
	}
	axis := n.Int("axis", 0)
	if axis < 0 {
		axis += int64(len(x.shape))
	}
	for i := range index {
		if index[i] < 0 {
			index[i] += x.shape[axis]
		}
		if index[i] != index[0]+int64(i) {
			b.refuse(diag.Textf("Gather of places that are no run has no operator in XIR"), cutFix())
			return
		}
	}
	cuts := whole(len(x.shape))
	cuts[axis] = span{index[0], index[0] + int64(len(index)), 1}
	cut := slices.Clone(x.shape)
	cut[axis] = int64(len(index))
	shape := b.shape(value)
	s := &node{op: "strided_slice", in: []*node{x}, cuts: cuts, follows: true, shape: cut}
	b.ownInputs(s, n, 0)
	if slices.Equal(shape, cut) {
		b.add(s, value)
		return
	}
	if len(shape) == 0 {
		b.wholeRank(shape)
		return
	}
	b.step(s, value, "_slice")
	b.add(&node{op: "reshape", in: []*node{s}, target: shape}, value)
}

// pad turns a Pad.
func (b *builder) pad(n *graph.Node) {
	x := b.at(n, 0)
	list, _, ok := b.attrOrInput(n, "pads", 1)
	axes := make([]int64, len(x.shape))
	for i := range axes {
		axes[i] = int64(i)
	}
	okAxes := true
	if n.Input(3) != "" {
		axes, okAxes = b.ints(n.Input(3))
	}
	if !ok || !okAxes || len(list) != 2*len(axes) {
		b.refuse(computed(n.Input(1)), cutFix())
		return
	}
	p := &node{op: "pad", in: []*node{x}, pads: make([][2]int64, len(x.shape)), follows: true}
	most := int64(0)
	for i, a := range axes {
		if a < 0 {
			a += int64(len(x.shape))
		}
		p.pads[a] = [2]int64{list[i], list[i+len(axes)]}
		most = max(most, list[i], list[i+len(axes)])
		if min(list[i], list[i+len(axes)]) < 0 {
			b.refuse(diag.Textf("it cuts off (a width below 0), which XIR's pad does not"), diag.Textf("write it as a slice"))
			return
		}
	}
	value := n.Float("value", 0)
	if n.Input(2) != "" {
		data, _, _, ok := b.floats(n, 2)
		if !ok || len(data) != 1 {
			b.refuse(computed(n.Input(2)), cutFix())
			return
		}
		value = data[0]
	}
	mode := ""
	switch m := n.Str("mode", "constant"); m {
	case "constant":
		mode, p.padValue = "CONSTANT", value
	case "reflect":
		mode = "REFLECT"
	case "edge":
		if most > 1 {
			b.refuse(diag.Textf("it repeats the edge %d times, and XIR only once", most), diag.Textf("pad by 1, or by reflection"))
			return
		}
		mode = "SYMMETRIC" // repeating the edge once is the same
	default:
		b.refuse(diag.Textf("the mode %s has no word in XIR", m), cutFix())
		return
	}
	p.attrs = attrsOf("mode", mode)
	b.ownInputs(p, n, 0)
	b.add(p, n.Outputs[0])
}

// copies turns an Expand or Tile into concats of the same value; where all who
// read it stretch values themselves, nothing is needed.
func (b *builder) copies(n *graph.Node) {
	x, value := b.at(n, 0), n.Outputs[0]
	shape := b.shape(value)
	from := append(slices.Repeat([]int64{1}, len(shape)-len(x.shape)), x.shape...)
	if slices.Equal(from, x.shape) && slices.Equal(from, shape) {
		b.of[value] = x
		return
	}
	if n.Is("Expand") && b.fixAt[value] == nil && !b.ix.IsOutput(value) && b.stretches(value, shape) {
		b.of[value] = x
		return
	}
	times := int64(1)
	for i := range shape {
		times = max(times, shape[i]/max(from[i], 1))
	}
	const most = 64
	if times > most {
		b.refuse(diag.Textf("%s to %d times the size has no operator in XIR", n.OpType, times), cutFix())
		return
	}
	if len(from) != len(x.shape) {
		x = b.step(&node{op: "reshape", in: []*node{x}, shape: from, target: from}, "", "_rank")
	}
	var last []int
	for i := range shape {
		if shape[i] != from[i] {
			last = append(last, i)
		}
	}
	for k, i := range last {
		from = slices.Clone(from)
		in := slices.Repeat([]*node{x}, int(shape[i]/from[i]))
		from[i] = shape[i]
		c := &node{op: "concat", in: in, axis: i, shape: from, follows: true}
		if k == len(last)-1 {
			b.add(c, value)
		} else {
			x = b.step(c, "", "_copies")
		}
	}
}

// stretches reports whether everyone who reads value is a binary operator whose
// other operand already has the shape that value is stretched to.
func (b *builder) stretches(value string, shape []int64) bool {
	for _, r := range b.ix.Consumers[value] {
		if !r.Is("Add", "Sub", "Mul", "Div") || r.Input(0) == r.Input(1) {
			return false
		}
		other := r.Input(0)
		if other == value {
			other = r.Input(1)
		}
		if !slices.Equal(b.shape(other), shape) {
			return false
		}
	}
	return true
}

// shuffle is a pixel shuffle: in to out by scale, up or down.
type shuffle struct {
	in, out string
	scale   int64
	up      bool
}

func (b *builder) pixelShuffle(s *shuffle) {
	b.add(&node{op: "pixel-shuffle", in: []*node{b.of[s.in]}, images: true,
		attrs: attrsOf("scale", int32(s.scale), "upscale", s.up)}, s.out)
}

// depthSpace turns a DepthToSpace or SpaceToDepth. XIR's has torch's order of
// the channels: channel c of the image is made of channels c*s*s to (c+1)*s*s-1.
func (b *builder) depthSpace(n *graph.Node) {
	x, value := b.at(n, 0), n.Outputs[0]
	s := n.Int("blocksize", 1)
	up := n.Is("DepthToSpace")
	image := x.shape[1]
	if up {
		image = b.shape(value)[1]
	}
	if image == 1 || up && n.Str("mode", "DCR") == "CRD" {
		b.pixelShuffle(&shuffle{n.Input(0), value, s, up})
		b.ownInputs(b.of[value], n, 0)
		return
	}
	// In ONNX's other order the blocks' places count first.
	c, h, w := x.shape[1], x.shape[2], x.shape[3]
	apart, perm := []int64{1, s, s, c / (s * s), h, w}, []int{0, 3, 4, 1, 5, 2}
	if !up {
		apart, perm = []int64{1, c, h / s, s, w / s, s}, []int{0, 3, 5, 1, 2, 4}
	}
	r := b.step(&node{op: "reshape", in: []*node{x}, shape: apart, target: apart}, "", "_apart")
	b.ownInputs(r, n, 0)
	t := b.step(&node{op: "transpose", in: []*node{r}, perm: perm, shape: permuted(apart, perm)}, "", "_turn")
	b.add(&node{op: "reshape", in: []*node{t}, target: b.shape(value)}, value)
}

// findShuffles finds pixel shuffles that are spelled as a transpose of six axes
// between reshapes, as torch.onnx does, and marks their nodes to be skipped.
func (b *builder) findShuffles() map[*graph.Node]*shuffle {
	found := map[*graph.Node]*shuffle{}
	for _, t := range b.m.Graph.Nodes {
		if !t.Is("Transpose") {
			continue
		}
		var up bool
		switch perm := t.Ints("perm"); {
		case slices.Equal(perm, []int64{0, 1, 3, 5, 2, 4}):
		case slices.Equal(perm, []int64{0, 1, 4, 2, 5, 3}):
			up = true
		default:
			continue
		}
		if s, nodes := b.shuffleAround(t, up); s != nil {
			for _, n := range nodes {
				b.skip[n] = true
			}
			found[nodes[len(nodes)-1]] = s
		}
	}
	return found
}

// shuffleAround returns the pixel shuffle around transpose t, and its nodes.
func (b *builder) shuffleAround(t *graph.Node, up bool) (*shuffle, []*graph.Node) {
	d := b.shape(t.Input(0))
	if len(d) != 6 || d[0] != 1 {
		return nil, nil
	}
	var s int64
	var in, out []int64
	if up { // [N,C,s,s,H,W]
		s = d[2]
		in, out = []int64{1, d[1] * s * s, d[4], d[5]}, []int64{1, d[1], d[4] * s, d[5] * s}
		if d[3] != s {
			return nil, nil
		}
	} else { // [N,C,H,s,W,s]
		s = d[3]
		in, out = []int64{1, d[1], d[2] * s, d[4] * s}, []int64{1, d[1] * s * s, d[2], d[4]}
		if d[5] != s {
			return nil, nil
		}
	}
	reshapes := func(n *graph.Node) bool { return n != nil && n.Is("Reshape", "Squeeze", "Unsqueeze", "Flatten") }
	// alone reports whether the value is between two nodes and nowhere else.
	alone := func(v string) bool {
		return len(b.ix.Consumers[v]) == 1 && !b.ix.IsOutput(v) && b.fixAt[v] == nil
	}
	nodes := []*graph.Node{t}
	from := t.Input(0)
	for !slices.Equal(b.shape(from), in) {
		p := b.ix.Producer[from]
		if !reshapes(p) || !alone(from) {
			return nil, nil
		}
		nodes = append([]*graph.Node{p}, nodes...)
		from = p.Input(0)
	}
	to := t.Outputs[0]
	for !slices.Equal(b.shape(to), out) {
		if !alone(to) {
			return nil, nil
		}
		c := b.ix.Consumers[to][0]
		if !reshapes(c) || c.Input(0) != to {
			return nil, nil
		}
		nodes = append(nodes, c)
		to = c.Outputs[0]
	}
	return &shuffle{from, to, s, up}, nodes
}
