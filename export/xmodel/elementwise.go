package xmodel

import (
	"math"
	"slices"

	"narrow/diag"
	"narrow/graph"
	"narrow/plan"
)

// unary turns a function of one value.
func (b *builder) unary(n *graph.Node, name string, attrs ...Attr) *node {
	u := &node{op: name, in: []*node{b.at(n, 0)}, attrs: attrs, follows: true}
	b.ownInputs(u, n, 0)
	return b.add(u, n.Outputs[0])
}

// bounds returns a Clip's bounds, infinite where it has none.
func (b *builder) bounds(n *graph.Node) (lo, hi float64, ok bool) {
	lo, hi = math.Inf(-1), math.Inf(1)
	for i, to := range []*float64{&lo, &hi} {
		if a := n.Attr([]string{"min", "max"}[i]); a != nil {
			*to = float64(a.Float)
		} else if n.Input(1+i) != "" {
			data, _, _, found := b.floats(n, 1+i)
			if !found || len(data) != 1 {
				return 0, 0, false
			}
			*to = float64(data[0])
		}
		if math.Abs(*to) >= math.MaxFloat32 {
			*to = math.Inf(int(math.Copysign(1, *to)))
		}
	}
	return lo, hi, true
}

// clip turns a Clip that is a ReLU6 or a ReLU.
func (b *builder) clip(n *graph.Node) {
	lo, hi, ok := b.bounds(n)
	switch {
	case !ok:
		b.refuse(computed(n.Input(1)), cutFix())
	case lo == 0 && hi == 6:
		b.unary(n, "relu6")
	case lo == 0 && math.IsInf(hi, 1):
		b.unary(n, "relu")
	default:
		b.refuse(diag.Textf("it clips to %v and %v, and XIR has ReLU and ReLU6 only", lo, hi),
			diag.Textf("train the network with ReLU6 in its place, or cut the model there"))
	}
}

// boundedRelu turns a ReLU6 whose bound equalization scaled for each channel.
func (b *builder) boundedRelu(o *plan.Operation, n *graph.Node) {
	first := o.Nodes[0]
	x := b.at(first, 0)
	shape := b.shape(n.Outputs[0])
	i := 1 - slices.Index(n.Inputs, first.Outputs[0])
	bound := b.operand(n, i, shape)
	if len(o.Nodes) != 2 || !first.Is("Relu") || !n.Is("Min") || bound == nil {
		b.refuse(unknownForm("Clip"), cutFix())
		return
	}
	r := b.step(&node{op: "relu", in: []*node{x}, shape: shape, follows: true}, first.Outputs[0], "_i0")
	b.ownInputs(r, first, 0)
	b.add(&node{op: "min", in: []*node{r, bound}, follows: true}, n.Outputs[0])
	b.warn(n.Label(), diag.Textf("ReLU6 with a bound for each channel becomes relu and min, and the compiler may leave min to the CPU"),
		diag.Textf("set convert_relu6_to_relu to true in the strategy and calibrate again"))
}

// prelu turns a PRelu with one slope, or one for each channel.
func (b *builder) prelu(n *graph.Node) {
	x := b.at(n, 0)
	_, dims, _, ok := b.floats(n, 1)
	if !ok {
		b.refuse(computed(n.Input(1)), cutFix())
		return
	}
	size := count(dims)
	if size > 1 {
		full := append(slices.Repeat([]int64{1}, max(0, len(x.shape)-len(dims))), dims...)
		if len(full) < 2 || full[1] != size {
			b.refuse(diag.Textf("its slopes are not one for each channel"), cutFix())
			return
		}
	}
	w := b.constant(n, 1, "vector", func(data []float32, _ []int64) ([]float32, []int64) { return data, []int64{int64(len(data))} })
	p := &node{op: "prelu", in: []*node{x}, bound: []bound{{"weight", w}}, attrs: attrsOf("num_parameters", int32(size)),
		follows: true, images: size > 1 && len(x.shape) > 2}
	b.ownInputs(p, n, 0)
	b.add(p, n.Outputs[0])
}

// softmax turns a Softmax over one axis.
func (b *builder) softmax(n *graph.Node) {
	x := b.at(n, 0)
	rank := len(x.shape)
	def := int64(-1)
	if b.m.Opsets[""] < 13 {
		def = 1
	}
	axis := n.Int("axis", def)
	if axis < 0 {
		axis += int64(rank)
	}
	if b.m.Opsets[""] < 13 && count(x.shape[axis:]) != x.shape[axis] {
		// Before operator set 13 it runs over all axes from axis on.
		b.refuse(diag.Textf("it runs over several axes at once, and XIR's softmax over one"), diag.Textf("export the model with operator set 13 or later"))
		return
	}
	s := &node{op: "softmax", in: []*node{x}, axis: int(axis), follows: true}
	b.ownInputs(s, n, 0)
	b.add(s, n.Outputs[0])
}

// binary turns an operator of two values, one of which may be constant.
func (b *builder) binary(n *graph.Node, name string) {
	shape := b.shape(n.Outputs[0])
	n2 := &node{op: name, follows: true}
	for i := range 2 {
		in := b.operand(n, i, shape)
		if in == nil {
			b.refuse(noKind(n.Input(i)), cutFix())
			return
		}
		n2.in = append(n2.in, in)
	}
	if !b.wholeRank(shape) {
		return
	}
	b.ownInputs(n2, n, 0, 1)
	b.add(n2, n.Outputs[0])
}

// sum turns a Sum of several values into additions.
func (b *builder) sum(n *graph.Node) {
	value := n.Outputs[0]
	shape := b.shape(value)
	acc := b.operand(n, 0, shape)
	if len(n.Inputs) == 1 {
		b.of[value] = acc
		return
	}
	for i := 1; i < len(n.Inputs); i++ {
		in := b.operand(n, i, shape)
		if acc == nil || in == nil {
			b.refuse(noKind(n.Input(i)), cutFix())
			return
		}
		a := &node{op: "add", in: []*node{acc, in}, follows: true, shape: shape}
		if i == 1 {
			b.ownInputs(a, n, 0, 1)
		} else if t := b.own[plan.Use{Node: n, Input: i}]; t != nil {
			a.pre = map[int]*fix{1: b.fixFor(t)}
		}
		if i == len(n.Inputs)-1 {
			b.add(a, value)
			return
		}
		acc = b.step(a, "", "_sum")
	}
}

// extreme turns a Max or Min of two values, which XIR has, but vai_q_pytorch does
// not write.
func (b *builder) extreme(n *graph.Node) {
	if len(n.Inputs) != 2 {
		b.refuse(diag.Textf("%s of %d values has no operator in XIR", n.OpType, len(n.Inputs)), cutFix())
		return
	}
	name := map[string]string{"Max": "max", "Min": "min"}[n.OpType]
	b.binary(n, name)
	b.warn(n.Label(), diag.Textf("XIR has %s, but vai_q_pytorch never writes it: the compiler may leave it to the CPU", name), diag.Text{})
}

// pow turns a square.
func (b *builder) pow(n *graph.Node) {
	x := b.at(n, 0)
	data, _, _, ok := b.floats(n, 1)
	if x == nil || !ok || len(data) != 1 || data[0] != 2 {
		b.refuse(diag.Textf("Pow has no operator in XIR, but for squares"), cutFix())
		return
	}
	b.add(&node{op: "mul", in: []*node{x, x}, follows: true}, n.Outputs[0])
}

// reciprocal turns 1/x into a division.
func (b *builder) reciprocal(n *graph.Node) {
	shape := b.shape(n.Outputs[0])
	top := &node{op: "const", label: n.Label(), name: n.Label() + "_one", shape: shape, stored: []int64{1}, data: []float32{1}, inner: true}
	d := &node{op: "div", in: []*node{top, b.at(n, 0)}, follows: true}
	if t := b.own[plan.Use{Node: n, Input: 0}]; t != nil {
		d.pre = map[int]*fix{1: b.fixFor(t)}
	}
	b.add(d, n.Outputs[0])
}

// batchNorm turns a BatchNormalization that stayed, which NormalizeBatchNorm
// made a multiplication and an addition.
func (b *builder) batchNorm(n *graph.Node) {
	x := b.at(n, 0)
	mean, _, _, okMean := b.floats(n, 3)
	variance, _, _, okVar := b.floats(n, 4)
	plain := okMean && okVar && n.Float("epsilon", 1e-5) == 0 &&
		!slices.ContainsFunc(mean, func(v float32) bool { return v != 0 }) && !slices.ContainsFunc(variance, func(v float32) bool { return v != 1 })
	vector := func(data []float32, _ []int64) ([]float32, []int64) { return data, []int64{int64(len(data))} }
	scale, bias := b.constant(n, 1, "vector", vector), b.constant(n, 2, "vector", vector)
	if !plain || scale == nil || bias == nil {
		b.refuse(diag.Textf("it is no multiplication and addition of constants"), diag.Textf("export the model in eval mode"))
		return
	}
	s := &node{op: "scale", in: []*node{x}, bound: []bound{{"scale", scale}, {"bias", bias}}, attrs: attrsOf("axis", int32(-1)),
		images: len(x.shape) > 2, follows: len(x.shape) == 2}
	b.ownInputs(s, n, 0)
	b.add(s, n.Outputs[0])
}

// hardFactor makes the DPU's 2731/16384 of XIR's 1/6.
const hardFactor = 6 * 2731.0 / 16384

// hardSigmoid turns the nodes that DeviceArithmetic writes for a HardSigmoid.
func (b *builder) hardSigmoid(o *plan.Operation, n *graph.Node) {
	x := b.of[o.In[0]]
	if x == nil || len(o.In) != 1 {
		b.refuse(unknownForm("HardSigmoid"), cutFix())
		return
	}
	h := b.step(&node{op: "hard-sigmoid", in: []*node{x}, shape: x.shape, follows: true}, "", "_i0")
	b.ownInputs(h, o.Nodes[0], 0)
	b.add(&node{op: "mul", in: []*node{h, b.scalar(hardFactor, "_i1")}, follows: true}, n.Outputs[0])
}

// gate is how the DPU rounds HardSwish's gate, whatever the width of its
// result: DeviceArithmetic simulates it.
var gate = &fix{bits: 8, point: 7}

// hardSwish turns the nodes that DeviceArithmetic writes for a HardSwish.
func (b *builder) hardSwish(o *plan.Operation, n *graph.Node) {
	x := b.of[o.In[0]]
	if x == nil || len(o.In) != 1 {
		b.refuse(unknownForm("HardSwish"), cutFix())
		return
	}
	h := b.step(&node{op: "hard-sigmoid", in: []*node{x}, shape: x.shape, follows: true}, "", "_i0")
	b.ownInputs(h, o.Nodes[0], 0)
	m := b.step(&node{op: "mul", in: []*node{h, b.scalar(hardFactor, "_i1")}, shape: x.shape, follows: true}, "", "_mul")
	m.fix = gate
	p := &node{op: "mul", in: []*node{m, x}, follows: true}
	if t := b.own[plan.Use{Node: n, Input: slices.Index(n.Inputs, o.In[0])}]; t != nil {
		p.pre = map[int]*fix{1: b.fixFor(t)}
	}
	b.add(p, n.Outputs[0])
}
