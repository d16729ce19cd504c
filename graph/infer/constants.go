package infer

import (
	"fmt"
	"math"
	"slices"

	"narrow/diag"
	"narrow/graph"
)

// Constant is a value that no input of the network reaches, and that a node
// makes. What it is follows from the graph; its elements are only known here
// where they are small integers, as shapes are made of.
type Constant struct {
	Type graph.DataType
	Dims []int64
	// Known holds the elements of small integers and booleans; nil for others.
	Known *graph.Tensor
	// Near approximates the elements of small floats, computed in float64; nil
	// where nothing is known of them.
	Near []float64
}

// Len returns the number of elements.
func (c *Constant) Len() int { return int(leastElements(fixed(c.Dims))) }

// Constants are the constants that nodes of a model's outermost graph make.
type Constants struct {
	// Values are the constants by name. Stored tensors and results of Constant
	// nodes are not among them.
	Values map[string]*Constant
	// Refused are the nodes that read constants alone and still make none, with
	// the reason.
	Refused map[*graph.Node]string
}

// chance are operators whose results are others every time.
var chance = map[string]bool{
	"RandomNormal": true, "RandomNormalLike": true, "RandomUniform": true, "RandomUniformLike": true, "Bernoulli": true, "Multinomial": true,
}

// FindConstants returns the constants of m. In all they take at most room bytes:
// those beyond it are none, nor what is made of them.
func FindConstants(m *graph.Model, room int) *Constants {
	f := newFrame(m.Graph, nil, m.Opsets[""])
	for _, v := range m.Graph.Inputs {
		f.declare(v, true)
	}
	f.run()
	out := &Constants{Values: map[string]*Constant{}, Refused: map[*graph.Node]string{}}
	stored := map[string]bool{}
	for _, t := range m.Graph.Initializers {
		stored[t.Name] = true
	}
	for _, n := range m.Graph.Nodes {
		if t := n.ConstantTensor(); t != nil {
			stored[n.Outputs[0]] = true
			continue
		}
		if made := f.knownOutputs(n); made != nil {
			for o, c := range made {
				out.Values[o] = c
			}
			continue
		}
		if n.IsTap() || !slices.ContainsFunc(n.Inputs, func(in string) bool { return in != "" }) {
			continue
		}
		if slices.ContainsFunc(graph.Reads(n), func(in string) bool { return !stored[in] && out.Values[in] == nil }) {
			continue
		}
		made, size, reason := f.constantsOf(n, room)
		if reason != "" {
			out.Refused[n] = reason
			continue
		}
		room -= size
		for o, c := range made {
			out.Values[o] = c
		}
	}
	return out
}

// knownOutputs returns n's results where the elements of all are known exactly:
// a network's fixed dimensions and what is computed of them.
func (f *frame) knownOutputs(n *graph.Node) map[string]*Constant {
	made := map[string]*Constant{}
	for _, o := range n.Outputs {
		if o == "" {
			continue
		}
		c := f.describe(o)
		if c == nil || c.Known == nil {
			return nil
		}
		made[o] = c
	}
	if len(made) == 0 {
		return nil
	}
	return made
}

// constantsOf returns the results of n, which reads constants alone, and how
// many bytes they take, or the reason why they cannot be had.
func (f *frame) constantsOf(n *graph.Node, room int) (made map[string]*Constant, size int, reason string) {
	switch {
	case chance[n.OpType] || n.Is("Dropout") && n.Input(2) != "":
		return nil, 0, "it draws by chance"
	case len(n.Subgraphs()) > 0:
		return nil, 0, "it is control flow"
	case n.Is("Div", "Mod") && !f.divides(n):
		return nil, 0, "it may divide integers by 0"
	}
	made = map[string]*Constant{}
	for _, o := range n.Outputs {
		if o == "" {
			continue
		}
		c := f.describe(o)
		if c == nil {
			return nil, 0, fmt.Sprintf("the type or shape of %q is not known before it runs", o)
		}
		bytes, err := c.Type.ByteSize(c.Len())
		if err != nil {
			return nil, 0, fmt.Sprintf("%q is of type %v", o, c.Type)
		}
		if size += bytes; size > room {
			return nil, 0, "the constants that were computed before take enough memory"
		}
		made[o] = c
	}
	return made, size, ""
}

// divides reports whether a Div or Mod of constants can be run: processors stop
// at integers divided by 0, and at the smallest divided by -1.
func (f *frame) divides(n *graph.Node) bool {
	switch f.typeOf(n.Input(0)) {
	case graph.Float32, graph.Float64, graph.Float16, graph.BFloat16:
		return true
	}
	by, ok := f.valueOf(n.Input(1))
	return ok && !slices.ContainsFunc(by, func(e elem) bool { return !e.known || e.v == 0 || e.v == -1 })
}

// describe returns what is known of a value of fixed type and shape, or nil.
func (f *frame) describe(name string) *Constant {
	t, shape := f.typeOf(name), f.shapeOf(name)
	if t == graph.Undefined || shape == nil {
		return nil
	}
	c := &Constant{Type: t, Dims: make([]int64, len(shape))}
	for i, d := range shape {
		if d.Size < 0 {
			return nil
		}
		c.Dims[i] = d.Size
	}
	if leastElements(shape) > maxElements {
		return nil
	}
	v, ok := f.valueOf(name)
	if !ok || len(v) != c.Len() || slices.ContainsFunc(v, func(e elem) bool { return !e.known }) {
		return c
	}
	switch t {
	case graph.Int64, graph.Int32, graph.Bool:
		c.Known = exact(t, c.Dims, v)
	case graph.Float32, graph.Float64, graph.Float16, graph.BFloat16:
		for _, e := range v {
			c.Near = append(c.Near, e.v)
		}
	}
	return c
}

// exact returns v as a tensor, or nil where an element is not one of its type,
// or so large that it may have been rounded.
func exact(t graph.DataType, dims []int64, v []elem) *graph.Tensor {
	ints := make([]int64, len(v))
	for i, e := range v {
		if e.v != math.Trunc(e.v) || math.Abs(e.v) > 1<<53 || t == graph.Int32 && int64(int32(e.v)) != int64(e.v) || t == graph.Bool && e.v != 0 && e.v != 1 {
			return nil
		}
		ints[i] = int64(e.v)
	}
	out := graph.NewInts("", dims, ints)
	if t == graph.Int64 {
		return out
	}
	size := t.Bits() / 8
	raw := make([]byte, 0, size*len(v))
	for i := range ints {
		raw = append(raw, out.Raw[8*i:8*i+size]...)
	}
	return &graph.Tensor{Type: t, Dims: dims, Raw: raw}
}

// ConstantPart returns the part of m that leads to constants that nodes make (see
// [FindConstants]): a network without inputs, whose outputs they are. What is
// known of m's inputs stands in it as stored constants.
func ConstantPart(m *graph.Model, names []string) (*graph.Model, error) {
	known := FindConstants(m, math.MaxInt).Values
	g := &graph.Graph{Name: m.Graph.Name}
	needed := map[string]bool{}
	for _, name := range names {
		c := known[name]
		if c == nil {
			return nil, diag.Errorf("%q is no constant that a node makes", name)
		}
		needed[name] = true
		g.Outputs = append(g.Outputs, &graph.Value{Name: name, Type: c.Type})
	}
	for _, n := range slices.Backward(m.Graph.Nodes) {
		runs := slices.ContainsFunc(n.Outputs, func(o string) bool {
			return needed[o] && (known[o] == nil || known[o].Known == nil)
		})
		for _, o := range n.Outputs {
			if !runs && needed[o] {
				g.Initializers = append(g.Initializers, &graph.Tensor{Name: o, Type: known[o].Type, Dims: known[o].Dims, Raw: known[o].Known.Raw})
			}
		}
		if runs {
			g.Nodes = append(g.Nodes, n.Clone())
			for _, in := range graph.Reads(n) {
				needed[in] = true
			}
		}
	}
	slices.Reverse(g.Nodes)
	for _, t := range m.Graph.Initializers {
		if needed[t.Name] {
			g.Initializers = append(g.Initializers, t)
		}
	}
	part := m.Clone()
	part.Graph = g
	return part, nil
}
