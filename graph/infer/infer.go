// Package infer tells the data type and shape of a network's values: a model
// comes in, with the shapes of its inputs where the model leaves them open,
// and maps from value to type and shape come out, or, from [Check], the first
// operator that cannot do what it is asked to.
//
// Rule of the house: what is not known is absent, never guessed. A dimension
// that only has a name keeps it as far as operators pass it through. Operators
// are read as their definitions have it from opset 7 on; what the file says
// about a value (value_info) counts only where nothing better is known.
package infer

import (
	"slices"

	"narrow/graph"
)

// Result is what is known about the values of a model's outermost graph.
type Result struct {
	// Types holds the element type of every value whose type is known.
	Types map[string]graph.DataType
	// Shapes holds the shape of every value whose rank is known; dimensions in
	// it may be open.
	Shapes map[string][]graph.Dim
	// Values holds the elements of small tensors that are known, those that
	// follow from shapes too: integers, truth values as 0 and 1, float32.
	Values map[string][]float64
}

// Types returns the element type of each value in m's outermost graph. For
// models of standard operators none is missing, but for sequences and maps.
func Types(m *graph.Model) map[string]graph.DataType { return Infer(m, nil).Types }

// Shapes returns the shape of each value in m's outermost graph whose rank can
// be told. inputs takes the place of the shapes that the graph's inputs have
// in the model.
func Shapes(m *graph.Model, inputs map[string][]graph.Dim) map[string][]graph.Dim {
	return Infer(m, inputs).Shapes
}

// Fixed returns shape with its open dimensions named param, or all where param
// is "", set to size: [N, 3, H] becomes [1, 3, H] with ("N", 1).
func Fixed(shape []graph.Dim, param string, size int64) []graph.Dim {
	out := make([]graph.Dim, len(shape))
	for i, d := range shape {
		if d.Size < 0 && (param == "" || d.Param == param) {
			d = graph.Dim{Size: size}
		}
		out[i] = d
	}
	return out
}

// Infer returns types and shapes at once; see [Types] and [Shapes].
func Infer(m *graph.Model, inputs map[string][]graph.Dim) *Result {
	f := newFrame(m.Graph, nil, m.Opsets[""])
	// With other inputs than the file was written for, its shapes may be wrong.
	f.distrust = len(inputs) > 0
	for _, v := range m.Graph.Inputs {
		f.declare(v, true)
	}
	for name, shape := range inputs {
		f.shapes[name] = shape
	}
	for name, shape := range f.shapes {
		if slices.ContainsFunc(shape, absurd) {
			delete(f.shapes, name)
		}
	}
	f.run()
	return &Result{Types: f.types, Shapes: f.shapes, Values: f.known()}
}

// known returns the values of which every element is known.
func (f *frame) known() map[string][]float64 {
	all := make(map[string][]float64, len(f.values))
	for name, elems := range f.values {
		v := make([]float64, len(elems))
		whole := true
		for i, e := range elems {
			v[i] = e.v
			whole = whole && e.known
		}
		if whole {
			all[name] = v
		}
	}
	return all
}

// frame is what is known within one graph; inner graphs see the outer ones.
type frame struct {
	g        *graph.Graph
	outer    *frame
	opset    int64
	distrust bool
	types    map[string]graph.DataType
	sequence map[string]graph.DataType // element types of sequences
	shapes   map[string][]graph.Dim
	// values holds the elements of small tensors that make up shapes.
	values map[string][]elem
	// found is where [Check] keeps the first mistake; nil where nobody looks.
	found *finding
}

func newFrame(g *graph.Graph, outer *frame, opset int64) *frame {
	f := &frame{
		g: g, outer: outer, opset: opset,
		types:    map[string]graph.DataType{},
		sequence: map[string]graph.DataType{},
		shapes:   map[string][]graph.Dim{},
		values:   map[string][]elem{},
	}
	if outer != nil {
		f.distrust, f.found = outer.distrust, outer.found
	}
	for _, t := range g.Initializers {
		f.constant(t.Name, t)
	}
	return f
}

// declare takes over what the file says about a value where nothing is known.
func (f *frame) declare(v *graph.Value, shape bool) {
	if _, ok := f.types[v.Name]; !ok && v.Type != graph.Undefined {
		f.types[v.Name] = v.Type
	}
	if _, ok := f.shapes[v.Name]; !ok && shape && v.Shape != nil {
		f.shapes[v.Name] = v.Shape
	}
}

// constant notes a stored tensor.
func (f *frame) constant(name string, t *graph.Tensor) {
	f.types[name] = t.Type
	f.shapes[name] = fixed(t.Dims)
	f.setValue(name, tensorElems(t))
}

func fixed(dims []int64) []graph.Dim {
	shape := make([]graph.Dim, len(dims))
	for i, d := range dims {
		shape[i] = graph.Dim{Size: d}
	}
	return shape
}

// run goes through the nodes in order.
func (f *frame) run() {
	declared := map[string]*graph.Value{}
	for _, v := range f.g.Outputs {
		declared[v.Name] = v
	}
	for name, v := range f.g.Values {
		declared[name] = v
	}
	for _, n := range f.g.Nodes {
		f.node(n)
		for _, o := range n.Outputs {
			v := declared[o]
			if v == nil {
				continue
			}
			f.declare(v, !f.distrust)
			f.refine(v)
		}
	}
}

// refine fills in open dimensions from the file where it knows more.
func (f *frame) refine(v *graph.Value) {
	have := f.shapes[v.Name]
	if f.distrust || len(have) != len(v.Shape) {
		return
	}
	for i, d := range have {
		if d.Size < 0 && (v.Shape[i].Size >= 0 || d.Param == "" && v.Shape[i].Param != "") {
			if &have[0] != &v.Shape[0] {
				have = append([]graph.Dim(nil), have...)
			}
			have[i] = v.Shape[i]
			f.shapes[v.Name] = have
		}
	}
}

func (f *frame) node(n *graph.Node) {
	defer f.check(n)
	if len(n.Subgraphs()) > 0 && n.Domain == "" {
		f.control(n)
		return
	}
	if t := n.ConstantTensor(); t != nil {
		f.constant(n.Outputs[0], t)
		return
	}
	f.nodeTypes(n)
	f.nodeShapes(n)
	f.fold(n)
}

// lookup walks from f outwards.
func lookup[T any](f *frame, pick func(*frame) map[string]T, name string) (T, bool) {
	for ; f != nil && name != ""; f = f.outer {
		if v, ok := pick(f)[name]; ok {
			return v, true
		}
	}
	var zero T
	return zero, false
}

func (f *frame) typeOf(name string) graph.DataType {
	t, _ := lookup(f, func(f *frame) map[string]graph.DataType { return f.types }, name)
	return t
}

// shapeOf returns the value's shape, nil where the rank is unknown.
func (f *frame) shapeOf(name string) []graph.Dim {
	s, _ := lookup(f, func(f *frame) map[string][]graph.Dim { return f.shapes }, name)
	return s
}

func (f *frame) valueOf(name string) ([]elem, bool) {
	return lookup(f, func(f *frame) map[string][]elem { return f.values }, name)
}

func (f *frame) setType(n *graph.Node, i int, t graph.DataType) {
	if i < len(n.Outputs) && n.Outputs[i] != "" && t != graph.Undefined {
		f.types[n.Outputs[i]] = t
	}
}

// setShape notes an output's shape. Absurd sizes, which broken files lead to,
// become open here, so that no operator needs to look out for them: sizes that
// come out are at most maxDim, and sums and products of two do not overflow.
func (f *frame) setShape(n *graph.Node, i int, shape []graph.Dim) {
	if i >= len(n.Outputs) || n.Outputs[i] == "" || shape == nil || len(shape) > maxRank {
		return
	}
	if slices.ContainsFunc(shape, absurd) {
		f.tooLarge(n, i, shape)
		shape = slices.Clone(shape)
		for k, d := range shape {
			if absurd(d) {
				shape[k] = open
			}
		}
	}
	f.shapes[n.Outputs[i]] = shape
}

func absurd(d graph.Dim) bool { return d.Size < -1 || d.Size > maxDim }

// control handles the operators with inner graphs.
func (f *frame) control(n *graph.Node) {
	var inner []*frame
	for _, sub := range n.Subgraphs() {
		c := newFrame(sub, f, f.opset)
		for i, v := range sub.Inputs {
			c.declare(v, true)
			from := n.Input(i)
			if n.OpType == "If" || from == "" {
				continue
			}
			if _, ok := c.types[v.Name]; !ok && n.OpType != "SequenceMap" {
				if t := f.typeOf(from); t != graph.Undefined {
					c.types[v.Name] = t
				}
			}
		}
		f.within(n, sub, c)
		inner = append(inner, c)
	}
	// Loop's body starts its outputs with the condition.
	skip := 0
	if n.OpType == "Loop" {
		skip = 1
	}
	for i := range n.Outputs {
		c := inner[0]
		if i+skip >= len(c.g.Outputs) {
			continue
		}
		name := c.g.Outputs[i+skip].Name
		if n.OpType != "SequenceMap" {
			f.setType(n, i, c.typeOf(name))
		}
		if n.OpType != "If" {
			continue
		}
		shape := c.shapeOf(name)
		for _, other := range inner[1:] {
			if i < len(other.g.Outputs) {
				shape = either(shape, other.shapeOf(other.g.Outputs[i].Name))
			}
		}
		f.setShape(n, i, shape)
	}
}

// either returns what holds for a value that has one of two shapes.
func either(a, b []graph.Dim) []graph.Dim {
	if a == nil || b == nil || len(a) != len(b) {
		return nil
	}
	out := make([]graph.Dim, len(a))
	for i := range a {
		out[i] = open
		if a[i] == b[i] {
			out[i] = a[i]
		}
	}
	return out
}

// open is a dimension of which nothing is known.
var open = graph.Dim{Size: -1}
