package xmodel

import (
	"slices"

	"narrow/diag"
	"narrow/graph"
	"narrow/graph/op"
)

// lifted returns an operator of one dimension of space as one of two: x of [N,C,L] as
// [N,C,1,L]. In either order of the axes no value moves.
func (b *builder) lifted(x *node) *node {
	s := x.shape
	up := []int64{s[0], s[1], 1, s[2]}
	return b.step(&node{op: "reshape", in: []*node{x}, shape: up, target: up, follows: true}, x.value, "_lift")
}

// lowered gives value, which x computed with an axis too many, its shape.
func (b *builder) lowered(x *node, value string) {
	shape := b.shape(value)
	n := b.step(&node{op: "reshape", in: []*node{x}, shape: shape, target: shape, follows: true}, value, "_flat")
	n.inner, n.behind = false, x.fix != nil
	b.of[value] = n
}

// window is what XIR asks of a convolution or pooling: two numbers are
// [w,h], four are [left,right,top,bottom].
type window struct{ kernel, stride, dilation, pad []int32 }

// windowOf turns windows, one for each dimension of space in ONNX's order,
// into XIR's attributes. before and after are the paddings.
func windowOf(ws []op.Window, before, after []int64) window {
	var x window
	for i := len(ws) - 1; i >= 0; i-- {
		x.kernel = append(x.kernel, int32(ws[i].Kernel))
		x.stride = append(x.stride, int32(ws[i].Stride))
		x.dilation = append(x.dilation, int32(ws[i].Dilation))
		x.pad = append(x.pad, int32(before[i]), int32(after[i]))
	}
	return x
}

// flat is a window over no space, for a dimension that was added.
var flat = op.Window{Kernel: 1, Stride: 1, Dilation: 1}

// pads returns the paddings of windows over an input of shape.
func pads(ws []op.Window, shape []int64) (before, after []int64) {
	for i, w := range ws {
		p, q := w.Pads(shape[2+i])
		before, after = append(before, p), append(after, q)
	}
	return before, after
}

func (b *builder) weighted(n *graph.Node) (dims []int64, ok bool) {
	_, dims, _, ok = b.floats(n, 1)
	if !ok {
		b.refuse(computed(n.Input(1)), cutFix())
	}
	return dims, ok
}

// conv turns a Conv over one, two or three dimensions of space.
func (b *builder) conv(n *graph.Node) {
	dims, ok := b.weighted(n)
	if !ok {
		return
	}
	x := b.at(n, 0)
	space := len(dims) - 2
	if space < 1 || space > 3 {
		b.refuse(diag.Textf("XIR has no convolution over %d dimensions", space), cutFix())
		return
	}
	group := int64(op.Groups(n))
	out, in := dims[0], dims[1]*group
	ws := op.Windows(n, op.Kernel(n, dims))
	before, after := pads(ws, x.shape)
	if slices.Min(append(slices.Clone(before), after...)) < 0 {
		b.refuse(negative(), cutFix())
		return
	}
	depthwise := group > 1 && group == in && out%in == 0
	if space == 3 && group > 1 && !(depthwise && out == in) {
		b.refuse(diag.Textf("XIR has no convolution in groups over three dimensions"), cutFix())
		return
	}
	value, c := n.Outputs[0], &node{in: []*node{x}, images: true}
	lift := space == 1 && group > 1
	if lift {
		// XIR's conv1d knows no groups.
		c.in[0] = b.lifted(x)
		ws = append([]op.Window{flat}, ws...)
		before, after = append([]int64{0}, before...), append([]int64{0}, after...)
	}
	kernel := make([]int64, len(ws))
	for i, w := range ws {
		kernel[i] = w.Kernel
	}
	c.op = map[int]string{1: "conv1d", 2: "conv2d", 3: "conv3d"}[len(ws)]
	form := func(data []float32, _ []int64) ([]float32, []int64) {
		return ohwi(data, out, in/group, kernel, func(o, i int64) (int64, int64) { return o, i })
	}
	key := "ohwi"
	if depthwise {
		c.op = "depthwise-" + c.op
		key = "depthwise"
		times := out / in
		// Output channel k*times+q is channel k by filter q.
		form = func(data []float32, _ []int64) ([]float32, []int64) {
			re, d := ohwi(data, times, in, kernel, nil)
			size := count(kernel)
			for q := range times {
				for p := range size {
					for k := range in {
						re[(q*size+p)*in+k] = data[(k*times+q)*size+inSpace(p, kernel)]
					}
				}
			}
			return re, d
		}
	}
	b.convolve(c, n, windowOf(ws, before, after), key, form, group, in, out)
	if lift {
		c.shape = []int64{x.shape[0], out, 1, b.shape(value)[2]}
		b.step2(c, value)
		b.lowered(c, value)
		return
	}
	b.add(c, value)
}

// step2 appends an operator that computes value in another shape: its
// quantizer stands there.
func (b *builder) step2(n *node, value string) {
	n.label, n.value, n.name, n.fix = b.op.Node.Label(), value, b.op.Node.Label(), b.fixOf(value)
	b.nodes = append(b.nodes, n)
}

// ohwi puts weights of [O,I,space...] into the order [O,space...,I], space
// being [h,w], or [h,w,d] of ONNX's [d,h,w]. at, where it is set, picks the
// weights of an output and an input channel.
func ohwi(data []float32, out, in int64, kernel []int64, at func(o, i int64) (int64, int64)) ([]float32, []int64) {
	dims := append([]int64{out}, fileSpace(kernel)...)
	dims = append(dims, in)
	re := make([]float32, out*in*count(kernel))
	if at == nil {
		return re, dims
	}
	size := count(kernel)
	for o := range out {
		for p := range size {
			from := inSpace(p, kernel)
			for i := range in {
				so, si := at(o, i)
				re[(o*size+p)*in+i] = data[(so*in+si)*size+from]
			}
		}
	}
	return re, dims
}

// fileSpace returns the sizes of space in the file's order.
func fileSpace(kernel []int64) []int64 {
	if len(kernel) == 3 {
		return []int64{kernel[1], kernel[2], kernel[0]}
	}
	return kernel
}

// inSpace returns where the p-th place of space in the file's order lies in
// ONNX's.
func inSpace(p int64, kernel []int64) int64 {
	if len(kernel) != 3 {
		return p
	}
	d, h, w := kernel[0], kernel[1], kernel[2]
	y, x, z := p/(w*d), p/d%w, p%d
	return (z*h+y)*w + x
}

// convolve binds weights and bias and sets the attributes that all convolutions
// have.
func (b *builder) convolve(c *node, n *graph.Node, w window, key string, form func([]float32, []int64) ([]float32, []int64), group, in, out int64) {
	c.bound = append(c.bound, bound{"weights", b.constant(n, 1, key, form)})
	bias := b.constant(n, 2, "vector", func(data []float32, _ []int64) ([]float32, []int64) { return data, []int64{int64(len(data))} })
	if bias != nil {
		c.bound = append(c.bound, bound{"bias", bias})
	} else if n.Input(2) != "" {
		b.refuse(computed(n.Input(2)), cutFix())
	}
	c.attrs = attrsOf("kernel", w.kernel, "stride", w.stride, "dilation", w.dilation, "pad", w.pad, "pad_mode", "FLOOR",
		"group", int32(group), "in_dim", int32(in), "out_dim", int32(out), "bias_term", bias != nil)
	b.ownInputs(c, n, 0)
}

// convTranspose turns a ConvTranspose. XIR slides the kernel turned round over
// the spread input.
func (b *builder) convTranspose(n *graph.Node) {
	dims, ok := b.weighted(n)
	if !ok {
		return
	}
	x := b.at(n, 0)
	space := len(dims) - 2
	if space < 1 || space > 3 {
		b.refuse(diag.Textf("XIR has no convolution over %d dimensions", space), cutFix())
		return
	}
	group := int64(op.Groups(n))
	in, each := dims[0], dims[1]
	out := each * group
	ws := op.Windows(n, op.Kernel(n, dims))
	value := n.Outputs[0]
	size := b.shape(value)
	before, after := make([]int64, space), make([]int64, space)
	// A kernel grows by zeros where more rows come out than its own reach.
	grown := make([]int64, space)
	for i, w := range ws {
		whole := (x.shape[2+i]-1)*w.Stride + w.Extent()
		total := whole - size[2+i]
		switch w.Auto {
		case "SAME_UPPER":
			before[i] = max(total, 0) / 2
		case "SAME_LOWER":
			before[i] = max(total, 0) - max(total, 0)/2
		case "VALID":
		default:
			before[i] = w.Before
		}
		after[i] = total - before[i]
		if n.Ints("output_shape") != nil && w.Auto != "SAME_UPPER" {
			before[i] = max(total, 0) - max(total, 0)/2
			after[i] = total - before[i]
		}
		if after[i] < 0 {
			grown[i] = (w.Dilation - 1 - after[i]) / w.Dilation
			after[i] += grown[i] * w.Dilation
		}
		if before[i] < 0 {
			b.refuse(negative(), cutFix())
			return
		}
	}
	kernel := make([]int64, space)
	for i := range ws {
		kernel[i] = ws[i].Kernel
		ws[i].Kernel += grown[i]
	}
	c := &node{in: []*node{x}, images: true}
	lift := space == 1
	if lift {
		c.in[0] = b.lifted(x)
		ws, kernel = append([]op.Window{flat}, ws...), append([]int64{1}, kernel...)
		before, after = append([]int64{0}, before...), append([]int64{0}, after...)
	}
	file := make([]int64, len(ws))
	for i, w := range ws {
		file[i] = w.Kernel
	}
	area, fileArea := count(kernel), count(file)
	// turned returns the place in the kernel of ONNX that place p of the file's
	// kernel holds, -1 for a zero.
	turned := func(p int64) int64 {
		p = inSpace(p, file)
		at := int64(0)
		rest := fileArea
		for i := range file {
			rest /= file[i]
			k := file[i] - 1 - p/rest%file[i]
			if k >= kernel[i] {
				return -1
			}
			at = at*kernel[i] + k
		}
		return at
	}
	depthwise := group > 1 && group == in && each == 1
	c.op = map[int]string{2: "transposed-conv2d", 3: "transposed-conv3d"}[len(ws)]
	key, written := "turned", group
	form := func(data []float32, _ []int64) ([]float32, []int64) {
		re, d := ohwi(nil, out, in, file, nil)
		for o := range out {
			g := o / each
			for p := range fileArea {
				from := turned(p)
				if from < 0 {
					continue
				}
				// Input channels of other groups have the weight 0.
				for i := g * (in / group); i < (g+1)*(in/group); i++ {
					re[(o*fileArea+p)*in+i] = data[(i*each+o%each)*area+from]
				}
			}
		}
		return re, d
	}
	if depthwise {
		c.op = map[int]string{2: "transposed-depthwise-conv2d", 3: "transposed-depthwise-conv3d"}[len(ws)]
		form = func(data []float32, _ []int64) ([]float32, []int64) {
			re, d := ohwi(nil, 1, in, file, nil)
			for p := range fileArea {
				if from := turned(p); from >= 0 {
					for i := range in {
						re[p*in+i] = data[i*area+from]
					}
				}
			}
			return re, d
		}
	} else {
		written = 1
	}
	b.convolve(c, n, windowOf(ws, before, after), key, form, written, in, out)
	if lift {
		c.shape = []int64{x.shape[0], out, 1, size[2]}
		b.step2(c, value)
		b.lowered(c, value)
		return
	}
	b.add(c, value)
}
