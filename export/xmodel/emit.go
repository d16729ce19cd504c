package xmodel

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strings"
)

// emitter makes the file's operators of the network's.
type emitter struct {
	g    *Graph
	made map[*node]*Op // what readers of a node read
	raw  map[*node]*Op // the operator itself, in front of its fix
	used map[string]bool
}

// args are the arguments of each operator's definition, in its order; of
// operators that are not named here there is one, input.
var args = map[string][]string{
	"data": {}, "const": {},
	"conv1d": {"input", "weights", "bias"}, "conv2d": {"input", "weights", "bias"}, "conv3d": {"input", "weights", "bias"},
	"depthwise-conv2d": {"input", "weights", "bias"}, "depthwise-conv3d": {"input", "weights", "bias"},
	"transposed-conv2d": {"input", "weights", "bias"}, "transposed-conv3d": {"input", "weights", "bias"},
	"transposed-depthwise-conv2d": {"input", "weights", "bias"}, "transposed-depthwise-conv3d": {"input", "weights", "bias"},
	"scale": {"input", "scale", "bias"}, "prelu": {"input", "weight"}, "matmul": {"input", "bias"},
	"reshape": {"input", "shape"}, "resize": {"input", "size"},
}

// emit makes the graph of a network that layout brought into order.
func emit(w *network, name string) *emitter {
	e := &emitter{g: &Graph{Name: name}, made: map[*node]*Op{}, raw: map[*node]*Op{}, used: map[string]bool{}}
	for _, n := range w.nodes {
		if n.op == "data" {
			e.op(n)
		}
	}
	for _, n := range w.outputs {
		e.op(n)
	}
	return e
}

// name makes a name of XIR's out of the network's: letters, digits and
// underscores, behind the class name.
func (e *emitter) name(s string) string {
	plain := strings.Trim(strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z' {
			return r
		}
		return '_'
	}, s), "_")
	name := e.g.Name + "__" + plain
	for i := 1; e.used[name] || e.used[name+"_fix"]; i++ {
		name = fmt.Sprintf("%s__%s_%d", e.g.Name, plain, i)
	}
	e.used[name], e.used[name+"_fix"] = true, true
	return name
}

// op makes n and what it reads, and returns what readers of n read.
func (e *emitter) op(n *node) *Op {
	if o := e.made[n]; o != nil {
		return o
	}
	var in []*Op
	for _, p := range n.in {
		in = append(in, e.op(p))
	}
	bound := map[string]*Op{}
	for _, b := range n.bound {
		bound[b.arg] = e.op(b.c)
	}
	o := &Op{Name: e.name(n.name), Type: n.op, Dims: n.dims()}
	for i := range in {
		if f := n.pre[i]; f != nil {
			in[i] = e.fix(in[i], f, fmt.Sprintf("%s_pre_fix_i%d", o.Name, i))
		}
	}
	for _, a := range n.attrs {
		o.setAttr(a.Name, a.Value)
	}
	e.shaped(n, o, bound)
	names, ok := args[n.op]
	if !ok {
		names = []string{"input"}
	}
	for _, a := range names {
		arg := Arg{Name: a}
		if a == "input" {
			arg.Ops = in
		} else if c := bound[a]; c != nil {
			arg.Ops = []*Op{c}
		}
		o.Args = append(o.Args, arg)
	}
	e.g.Ops = append(e.g.Ops, o)
	e.raw[n] = o
	if n.fix != nil {
		o = e.fix(o, n.fix, o.Name+"_fix")
	}
	e.made[n] = o
	return o
}

// fix appends a quantizer behind an operator.
func (e *emitter) fix(in *Op, f *fix, name string) *Op {
	o := &Op{Name: name, Type: "fix", Dims: in.Dims, Args: []Arg{{Name: "input", Ops: []*Op{in}}}}
	o.setAttr("bit_width", f.bits)
	o.setAttr("fix_point", f.point)
	o.setAttr("if_signed", true)
	o.setAttr("round_mode", "DPU_ROUND")
	e.g.Ops = append(e.g.Ops, o)
	return o
}

// shaped sets the attributes that depend on the order of the axes, and makes
// the operators that shapes are told by.
func (e *emitter) shaped(n *node, o *Op, bound map[string]*Op) {
	switch n.op {
	case "data":
		o.setAttr("shape", int32s(o.Dims))
		o.setAttr("data_type", "FLOAT32")
	case "const":
		data := stretched(n.data, n.stored, n.shape)
		data = permuteFloats(data, n.shape, n.order)
		o.setAttr("shape", int32s(o.Dims))
		o.setAttr("data_type", "float32")
		o.setAttr("data", bytesOf(data))
	case "concat", "softmax":
		o.setAttr("axis", int32(place(n.axis, n.order)))
	case "reduction_max", "reduction_sum", "reduction_mean":
		axes := make([]int32, len(n.axes))
		for i, a := range n.axes {
			axes[i] = int32(place(a, n.order))
		}
		o.setAttr("axis", axes)
		o.setAttr("keep_dims", n.keep)
	case "transpose":
		o.setAttr("order", int32s(n.perm))
	case "reshape":
		o.setAttr("shape", []int32{0})
		bound["shape"] = e.stack(o.Name, "shape", int32s(permuted(n.target, n.order)))
	case "resize":
		if n.target != nil {
			bound["size"] = e.stack(o.Name, "size", int32s(n.target))
		}
	case "pad":
		var pads []int32
		for _, p := range permuted(n.pads, n.order) {
			pads = append(pads, int32(p[0]), int32(p[1]))
		}
		o.setAttr("paddings", pads)
		o.setAttr("constant_values", slices.Repeat([]float32{n.padValue}, len(pads)))
	case "strided_slice":
		var begin, end, step []int32
		var beginMask, endMask int32
		for i, c := range permuted(n.cuts, n.order) {
			begin, end, step = append(begin, int32(c.begin)), append(end, int32(c.end)), append(step, int32(c.step))
			if c.begin == 0 {
				beginMask |= 1 << i
			}
			if c.end == openEnd {
				endMask |= 1 << i
			}
		}
		o.setAttr("begin", begin)
		o.setAttr("end", end)
		o.setAttr("strides", step)
		o.setAttr("begin_mask", beginMask)
		o.setAttr("end_mask", endMask)
		for _, mask := range []string{"ellipsis_mask", "new_axis_mask", "shrink_axis_mask"} {
			o.setAttr(mask, int32(0))
		}
	}
}

// stack makes the constants of a shape and the operator that joins them.
func (e *emitter) stack(name, what string, shape []int32) *Op {
	s := &Op{Name: fmt.Sprintf("%s_%s_i0", name, what), Type: "stack", Dims: []int64{int64(len(shape)), 1}, ShapeInfo: shape}
	var parts []*Op
	for i, d := range shape {
		c := &Op{Name: fmt.Sprintf("%s_%s_attr_%d_", name, what, i), Type: "const", Dims: []int64{1}}
		c.setAttr("shape", []int32{1})
		c.setAttr("data_type", "float32")
		c.setAttr("data", bytesOf([]float32{float32(d)}))
		parts = append(parts, c)
	}
	e.g.Ops = append(e.g.Ops, parts...)
	s.setAttr("axis", int32(0))
	s.Args = []Arg{{Name: "input", Ops: parts}}
	e.g.Ops = append(e.g.Ops, s)
	return s
}

func bytesOf(data []float32) []byte {
	out := make([]byte, 0, 4*len(data))
	for _, v := range data {
		out = binary.LittleEndian.AppendUint32(out, math.Float32bits(v))
	}
	return out
}
