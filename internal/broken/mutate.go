package broken

import (
	"math"
	"slices"

	"narrow/graph"
)

// Mutate returns a copy of m that is changed as script tells: each few bytes
// are one change to a name, an attribute, a constant, an operator. Every script
// can be followed, and the same one makes the same changes. The copy may be
// legal or not; it stays small.
func Mutate(m *graph.Model, script []byte) *graph.Model {
	s := &scribe{m: m.Clone(), script: script}
	for len(s.script) > 0 && len(s.m.Graph.Nodes) > 0 {
		s.change()
	}
	return s.m
}

// scribe follows a script.
type scribe struct {
	m      *graph.Model
	script []byte
}

// pick takes a byte and makes it an index below n, which is at least 1.
func (s *scribe) pick(n int) int {
	if len(s.script) == 0 {
		return 0
	}
	b := int(s.script[0])
	s.script = s.script[1:]
	return b % n
}

// odd are numbers that lead to trouble.
var odd = []int64{0, 1, -1, 2, 3, 4, 7, 9, 64, 1000, 1 << 20, 1<<31 - 1, 1 << 31, 1 << 40, math.MaxInt64, math.MinInt64}

func (s *scribe) number() int64 { return odd[s.pick(len(odd))] }

func (s *scribe) numbers() []int64 {
	out := make([]int64, s.pick(6))
	for i := range out {
		out[i] = s.number()
	}
	return out
}

// swapped are the operators that take another's place, those first that make
// much out of little.
var swapped = []string{
	"Expand", "ConstantOfShape", "Range", "Tile", "Resize", "Pad", "Concat", "Gather", "Slice", "Split", "Reshape", "Transpose", "Squeeze",
	"Unsqueeze", "Flatten", "Shape", "Cast", "Add", "Mul", "Div", "Neg", "Sqrt", "Identity", "Conv", "ConvTranspose", "Gemm", "MatMul",
	"BatchNormalization", "Relu", "Clip", "Sigmoid", "Softmax", "MaxPool", "AveragePool", "GlobalAveragePool", "ReduceMean", "LayerNormalization",
	"Einsum", "OneHot", "Where", "Constant", "DepthToSpace", "TopK", "LSTM", "Upsample", "If", "Loop",
}

// attrNames are the attributes that are set.
var attrNames = []string{
	"kernel_shape", "strides", "pads", "dilations", "axes", "perm", "split", "starts", "ends", "axis", "group", "keepdims", "to", "allowzero",
	"transA", "transB", "blocksize", "ceil_mode", "num_outputs", "value_ints",
}

func (s *scribe) change() {
	g := s.m.Graph
	n := g.Nodes[s.pick(len(g.Nodes))]
	switch s.pick(11) {
	case 0:
		if len(n.Inputs) > 0 {
			n.Inputs[s.pick(len(n.Inputs))] = s.value()
		}
	case 1:
		n.Inputs = append(n.Inputs, s.value())
	case 2:
		if len(n.Inputs) > 0 {
			n.Inputs = n.Inputs[:s.pick(len(n.Inputs))]
		}
	case 3:
		if len(n.Outputs) > 0 {
			n.Outputs[s.pick(len(n.Outputs))] = s.value()
		}
	case 4:
		n.OpType = swapped[s.pick(len(swapped))]
	case 5:
		n.SetAttr(&graph.Attr{Name: attrNames[s.pick(len(attrNames))], Kind: graph.AttrInts, Ints: s.numbers()})
	case 6:
		n.SetAttr(&graph.Attr{Name: attrNames[s.pick(len(attrNames))], Kind: graph.AttrInt, Int: s.number()})
	case 7:
		s.constant()
	case 8:
		// A node like this one behind it, which reads what it puts out.
		c := n.Clone()
		for i := range c.Outputs {
			c.Outputs[i] += "'"
		}
		if len(n.Outputs) > 0 {
			for i := range c.Inputs {
				c.Inputs[i] = n.Outputs[0]
			}
		}
		if len(g.Nodes) < 64 {
			g.Nodes = append(g.Nodes, c)
		}
	case 9:
		i := slices.Index(g.Nodes, n)
		g.Nodes = slices.Delete(g.Nodes, i, i+1)
	case 10:
		s.m.Opsets[""] = int64(7 + s.pick(22))
	}
}

// value is the name of a value, a constant or an input.
func (s *scribe) value() string {
	g := s.m.Graph
	switch i := s.pick(4); {
	case i == 0 && len(g.Initializers) > 0:
		return g.Initializers[s.pick(len(g.Initializers))].Name
	case i == 1 && len(g.Inputs) > 0:
		return g.Inputs[s.pick(len(g.Inputs))].Name
	case i == 2:
		return ""
	}
	n := g.Nodes[s.pick(len(g.Nodes))]
	if len(n.Outputs) == 0 {
		return ""
	}
	return n.Outputs[0]
}

// constant puts another one in the place of an initializer.
func (s *scribe) constant() {
	g := s.m.Graph
	if len(g.Initializers) == 0 {
		return
	}
	i := s.pick(len(g.Initializers))
	name := g.Initializers[i].Name
	switch s.pick(3) {
	case 0:
		v := s.numbers()
		g.Initializers[i] = graph.NewInts(name, []int64{int64(len(v))}, v)
	case 1:
		g.Initializers[i] = graph.NewInts(name, nil, []int64{s.number()})
	case 2:
		dims, n := make([]int64, s.pick(5)), 1
		for k := range dims {
			dims[k] = int64(s.pick(6))
			n *= int(dims[k])
		}
		g.Initializers[i] = graph.NewFloats(name, dims, make([]float32, n))
	}
}
