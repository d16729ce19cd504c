package broken

import (
	_ "embed" // the operators' definitions
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"

	"narrow/graph"
)

//go:embed schemas.txt
var schemas string

// schema is an operator as ONNX defines it, all its versions together.
type schema struct {
	name            string
	inputs, outputs [2]int // least and most, which is -1 for any number
	attrs           [][2]string
}

// readSchemas reads the table.
func readSchemas() []schema {
	var list []schema
	for line := range strings.Lines(schemas) {
		f := strings.Fields(line)
		s := schema{name: f[0], inputs: span(f[1]), outputs: span(f[2])}
		for _, a := range f[3:] {
			name, kind, _ := strings.Cut(a, ":")
			s.attrs = append(s.attrs, [2]string{name, kind})
		}
		list = append(list, s)
	}
	return list
}

func span(s string) [2]int {
	a, b, _ := strings.Cut(s, "..")
	least, _ := strconv.Atoi(a) // the table is our own
	most, _ := strconv.Atoi(b)
	return [2]int{least, most}
}

// Random draws networks of a few standard operators: any of them, with inputs
// that are left out, constant, empty or of any type, and with attributes at
// their extremes. Most of them are wrong.
type Random struct {
	ops []schema
}

// NewRandom reads the operators' definitions.
func NewRandom() *Random { return &Random{readSchemas()} }

// Operators returns how many operators there are.
func (d *Random) Operators() int { return len(d.ops) }

// Model draws a network. Its last operator is number op, modulo their number, so that
// counting op up comes by all of them.
func (d *Random) Model(r *rand.Rand, op int) *graph.Model {
	sets := []int64{7, 8, 9, 10, 11, 12, 13, 14, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 28}
	m := &graph.Model{IRVersion: 8, Opsets: map[string]int64{"": sets[r.IntN(len(sets))]}, Graph: &graph.Graph{Name: "random"}}
	n := &net{r: r, g: m.Graph}
	n.input(graph.Float32, []graph.Dim{{Size: -1, Param: "N"}, {Size: 4}})
	for range r.IntN(3) {
		n.node(d.ops[r.IntN(len(d.ops))])
	}
	n.node(d.ops[(op%len(d.ops)+len(d.ops))%len(d.ops)])
	last := m.Graph.Nodes[len(m.Graph.Nodes)-1]
	for _, o := range last.Outputs {
		if o != "" {
			m.Graph.Outputs = append(m.Graph.Outputs, &graph.Value{Name: o})
		}
	}
	return m
}

// net is a network that is being drawn.
type net struct {
	r      *rand.Rand
	g      *graph.Graph
	values []string
}

func (n *net) name() string { return fmt.Sprintf("v%d", len(n.values)) }

func (n *net) input(t graph.DataType, shape []graph.Dim) string {
	name := n.name()
	n.values = append(n.values, name)
	n.g.Inputs = append(n.g.Inputs, &graph.Value{Name: name, Type: t, Shape: shape})
	return name
}

// node adds an operator.
func (n *net) node(s schema) {
	node := &graph.Node{OpType: s.name, Name: fmt.Sprintf("n%d", len(n.g.Nodes))}
	for range n.count(s.inputs) {
		node.Inputs = append(node.Inputs, n.operand())
	}
	for _, a := range s.attrs {
		if n.r.IntN(2) == 0 {
			if attr := n.attr(a[0], a[1]); attr != nil {
				node.Attrs = append(node.Attrs, attr)
			}
		}
	}
	for range max(1, n.count(s.outputs)) {
		name := n.name()
		n.values = append(n.values, name)
		node.Outputs = append(node.Outputs, name)
	}
	n.g.Nodes = append(n.g.Nodes, node)
}

func (n *net) count(c [2]int) int {
	most := c[1]
	if most < 0 {
		most = c[0] + 3
	}
	return c[0] + n.r.IntN(most-c[0]+1)
}

// operand is something that a node reads.
func (n *net) operand() string {
	switch k := n.r.IntN(10); {
	case k < 1:
		return ""
	case k < 4:
		return n.values[n.r.IntN(len(n.values))]
	case k < 6:
		var shape []graph.Dim
		if n.r.IntN(8) > 0 {
			shape = []graph.Dim{}
			for range n.r.IntN(7) {
				shape = append(shape, n.dim())
			}
		}
		return n.input(n.dataType(), shape)
	}
	return n.constant()
}

func (n *net) dim() graph.Dim {
	switch n.r.IntN(8) {
	case 0:
		return graph.Dim{Size: -1, Param: "N"}
	case 1:
		return graph.Dim{Size: -1}
	case 2:
		return graph.Dim{Size: max(0, n.int())}
	}
	return graph.Dim{Size: int64(n.r.IntN(6))}
}

func (n *net) dataType() graph.DataType {
	types := []graph.DataType{
		graph.Float32, graph.Float32, graph.Float32, graph.Float32, graph.Int64, graph.Int64, graph.Int32, graph.Bool,
		graph.Uint8, graph.Int8, graph.Float16, graph.Float64,
	}
	return types[n.r.IntN(len(types))]
}

// constant is a stored tensor of a few elements.
func (n *net) constant() string {
	dims := []int64{}
	size := int64(1)
	for range n.r.IntN(5) {
		d := int64(n.r.IntN(5))
		if size*d > 64 {
			d = 1
		}
		size *= d
		dims = append(dims, d)
	}
	name := n.name()
	n.values = append(n.values, name)
	var t *graph.Tensor
	switch k := n.dataType(); k {
	case graph.Int64:
		list := make([]int64, size)
		for i := range list {
			list[i] = n.int()
		}
		t = graph.NewInts(name, dims, list)
	case graph.Float32:
		list := make([]float32, size)
		for i := range list {
			list[i] = n.float()
		}
		t = graph.NewFloats(name, dims, list)
	default:
		raw := make([]byte, int(size)*k.Bits()/8)
		for i := range raw {
			raw[i] = byte(n.r.IntN(256))
			if k == graph.Bool {
				raw[i] &= 1
			}
		}
		t = &graph.Tensor{Name: name, Type: k, Dims: dims, Raw: raw}
	}
	n.g.Initializers = append(n.g.Initializers, t)
	return name
}

// int draws small numbers and the ends of what integers can be.
func (n *net) int() int64 {
	if n.r.IntN(5) < 3 {
		return int64(n.r.IntN(8)) - 2
	}
	ends := []int64{
		0, 16, 127, 1 << 15, 1 << 20, 1<<31 - 1, 1 << 31, -1 << 31, 1 << 32, 1 << 36, 1 << 40, 1<<40 + 1, 1 << 53, 1 << 62, -1 << 62,
		math.MaxInt64, math.MaxInt64 - 1, math.MinInt64, math.MinInt64 + 1,
	}
	return ends[n.r.IntN(len(ends))]
}

func (n *net) float() float32 {
	if n.r.IntN(5) < 3 {
		return float32(n.r.IntN(9)-4) / 2
	}
	ends := []float32{0, 1, float32(math.NaN()), float32(math.Inf(1)), float32(math.Inf(-1)), math.MaxFloat32, -math.MaxFloat32, math.SmallestNonzeroFloat32, 1e-30, 1 << 31, 1e18}
	return ends[n.r.IntN(len(ends))]
}

// words are strings that attributes take, and one that none does.
var words = []string{
	"", "NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID", "constant", "reflect", "edge", "wrap", "linear", "nearest", "cubic", "bilinear",
	"forward", "reverse", "bidirectional", "Tanh", "Sigmoid", "stretch", "not_larger", "not_smaller", "floor", "round_prefer_ceil",
	"align_corners", "half_pixel", "tf_crop_and_resize", "ij,jk->ik", "...i,...j->...ij", "ii->i", ",", "->", "DCR", "CRD", "sum", "mean", "none",
	"avg", "max", "tanh", "zeros", "border", "\x1b[31m", "LEFT", "\xff",
}

func (n *net) attr(name, kind string) *graph.Attr {
	a := &graph.Attr{Name: name}
	switch kind {
	case "int":
		a.Kind, a.Int = graph.AttrInt, n.int()
	case "float":
		a.Kind, a.Float = graph.AttrFloat, n.float()
	case "string":
		a.Kind, a.String = graph.AttrString, words[n.r.IntN(len(words))]
	case "ints":
		a.Kind, a.Ints = graph.AttrInts, []int64{}
		for range n.r.IntN(7) {
			a.Ints = append(a.Ints, n.int())
		}
	case "floats":
		a.Kind, a.Floats = graph.AttrFloats, []float32{}
		for range n.r.IntN(5) {
			a.Floats = append(a.Floats, n.float())
		}
	case "strings":
		a.Kind, a.Strings = graph.AttrStrings, []string{}
		for range n.r.IntN(4) {
			a.Strings = append(a.Strings, words[n.r.IntN(len(words))])
		}
	case "tensor":
		a.Kind = graph.AttrTensor
		n.constant()
		last := len(n.g.Initializers) - 1
		a.Tensor = n.g.Initializers[last]
		n.g.Initializers = n.g.Initializers[:last]
		n.values = n.values[:len(n.values)-1]
	case "graph":
		a.Kind, a.Graph = graph.AttrGraph, n.inner()
	default:
		return nil
	}
	return a
}

// inner draws a small graph for If, Loop and Scan.
func (n *net) inner() *graph.Graph {
	g := &graph.Graph{Name: "inner"}
	prefix := fmt.Sprintf("i%d_", len(n.values))
	for i := range n.r.IntN(4) {
		g.Inputs = append(g.Inputs, &graph.Value{Name: fmt.Sprintf("%sx%d", prefix, i), Type: n.dataType(), Shape: []graph.Dim{n.dim()}})
	}
	for i := range n.r.IntN(3) {
		from := n.values[n.r.IntN(len(n.values))]
		if len(g.Inputs) > 0 && n.r.IntN(2) == 0 {
			from = g.Inputs[n.r.IntN(len(g.Inputs))].Name
		}
		out := fmt.Sprintf("%sy%d", prefix, i)
		g.Nodes = append(g.Nodes, &graph.Node{OpType: []string{"Identity", "Relu", "Not", "Shape"}[n.r.IntN(4)], Inputs: []string{from}, Outputs: []string{out}})
		g.Outputs = append(g.Outputs, &graph.Value{Name: out})
	}
	return g
}
