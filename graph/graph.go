// Package graph holds a network as nodes, values and constant tensors, free of
// any file format. graph/onnx reads and writes it.
//
// Rules of the house: a value is named by a string that is unique in its
// graph; a node's inputs and outputs are such names, "" where an optional one
// is left out; whoever changes a graph leaves it in topological order.
// Anything a file format carries that this package does not model travels in
// the Source fields and comes out again when the model is written.
package graph

import (
	"fmt"
	"maps"
	"slices"
)

// Model is a network with the versions it was written for.
type Model struct {
	Graph *Graph
	// Opsets maps an operator domain ("" for the standard one) to its version.
	Opsets map[string]int64
	// Metadata are the model's free key-value pairs (metadata_props).
	Metadata map[string]string
	// Producer names the program that wrote the model, such as "pytorch".
	Producer, ProducerVersion string
	// IRVersion is the version of the ONNX file format.
	IRVersion int64
	// Unknown are constants that nodes made of others and whose elements were not
	// computed. They have stand-ins of the right type and shape, or are part of
	// what other stand-ins were made of: such a model can be looked at, and not be
	// run or written.
	Unknown []string
	// Source is what the model was decoded from, for the encoder's use.
	Source any
}

// Graph is a list of nodes in topological order between inputs and outputs.
type Graph struct {
	Name    string
	Nodes   []*Node
	Inputs  []*Value
	Outputs []*Value
	// Initializers are the graph's stored constants, in file order.
	Initializers []*Tensor
	// Values are the types of inner values that the file told, by name.
	Values map[string]*Value
	// Source is what the graph was decoded from, for the encoder's use.
	Source any
}

// Node is one operation.
type Node struct {
	Name   string
	OpType string
	// Domain is "" for the standard operators ("ai.onnx" is read as "").
	Domain  string
	Inputs  []string
	Outputs []string
	Attrs   []*Attr
	// Metadata are the node's metadata_props.
	Metadata map[string]string
	// Rule names the rewrite rule that made this node; "" for the model's own.
	Rule string
	// Whole is the operator that a rule spelled as several nodes, this among
	// them; nil for nodes that stand for themselves.
	Whole *Whole
	// Source is what the node was decoded from, for the encoder's use.
	Source any
}

// Whole is one operator in the form of several nodes. Nodes of one whole point
// to the same value.
type Whole struct {
	// OpType is the operator's type.
	OpType string
}

// AttrKind says which field of an [Attr] counts.
type AttrKind int

// The kinds of attributes. The zero value is invalid.
const (
	AttrInt AttrKind = iota + 1
	AttrFloat
	AttrString
	AttrTensor
	AttrGraph
	AttrInts
	AttrFloats
	AttrStrings
	AttrOther // kept in Source, not looked into
)

// Attr is a named attribute of a node.
type Attr struct {
	Name    string
	Kind    AttrKind
	Int     int64
	Float   float32
	String  string
	Ints    []int64
	Floats  []float32
	Strings []string
	Tensor  *Tensor
	Graph   *Graph
	// Source is what the attribute was decoded from, for the encoder's use.
	Source any
}

// Value is the name and type of a graph input, output or inner value.
type Value struct {
	Name string
	Type DataType
	// Shape is nil where the rank is unknown.
	Shape []Dim
	// Source is what the value was decoded from, for the encoder's use.
	Source any
}

// Dim is one dimension of a shape: Size where it is known (>= 0), else Size is
// -1 and Param may name it.
type Dim struct {
	Size  int64
	Param string
}

// String returns the size, the parameter's name, or "?".
func (d Dim) String() string {
	switch {
	case d.Size >= 0:
		return fmt.Sprint(d.Size)
	case d.Param != "":
		return d.Param
	}
	return "?"
}

// Attr returns the node's attribute of that name, or nil.
func (n *Node) Attr(name string) *Attr {
	for _, a := range n.Attrs {
		if a.Name == name {
			return a
		}
	}
	return nil
}

// SetAttr adds a, or puts it in the place of the attribute of the same name.
func (n *Node) SetAttr(a *Attr) {
	for i, old := range n.Attrs {
		if old.Name == a.Name {
			n.Attrs[i] = a
			return
		}
	}
	n.Attrs = append(n.Attrs, a)
}

// Int returns the integer attribute of that name, or def.
func (n *Node) Int(name string, def int64) int64 {
	if a := n.Attr(name); a != nil && a.Kind == AttrInt {
		return a.Int
	}
	return def
}

// Float returns the float attribute of that name, or def.
func (n *Node) Float(name string, def float32) float32 {
	if a := n.Attr(name); a != nil && a.Kind == AttrFloat {
		return a.Float
	}
	return def
}

// Str returns the string attribute of that name, or def.
func (n *Node) Str(name, def string) string {
	if a := n.Attr(name); a != nil && a.Kind == AttrString {
		return a.String
	}
	return def
}

// Ints returns the integer list attribute of that name, or nil.
func (n *Node) Ints(name string) []int64 {
	if a := n.Attr(name); a != nil && a.Kind == AttrInts {
		return a.Ints
	}
	return nil
}

// Input returns the name of input i, or "" where there is none.
func (n *Node) Input(i int) string {
	if i < len(n.Inputs) {
		return n.Inputs[i]
	}
	return ""
}

// Is reports whether n is the standard operator of one of these types.
func (n *Node) Is(opTypes ...string) bool {
	return n.Domain == "" && slices.Contains(opTypes, n.OpType)
}

// Label returns the node's name, or its type and first output where it has none.
func (n *Node) Label() string {
	switch {
	case n.Name != "":
		return n.Name
	case len(n.Outputs) > 0:
		return n.OpType + ":" + n.Outputs[0]
	}
	return n.OpType
}

// Subgraphs returns the graphs that n's attributes hold (control flow).
func (n *Node) Subgraphs() []*Graph {
	var gs []*Graph
	for _, a := range n.Attrs {
		if a.Graph != nil {
			gs = append(gs, a.Graph)
		}
	}
	return gs
}

// Initializer returns the stored constant of that name, or nil. It walks the
// list: ask an [Index] where there is more than one to find.
func (g *Graph) Initializer(name string) *Tensor {
	for _, t := range g.Initializers {
		if t.Name == name {
			return t
		}
	}
	return nil
}

// SetInitializer adds t, or puts it in the place of the one of the same name.
func (g *Graph) SetInitializer(t *Tensor) {
	for i, old := range g.Initializers {
		if old.Name == t.Name {
			g.Initializers[i] = t
			return
		}
	}
	g.Initializers = append(g.Initializers, t)
}

// Index is a lookup table over a graph. It is a snapshot: make a new one
// after changing the graph.
type Index struct {
	Graph *Graph
	// Producer maps a value to the node that puts it out.
	Producer map[string]*Node
	// Consumers maps a value to the nodes that read it, in graph order, a node
	// once however often it reads the value. Nodes whose subgraphs read the
	// value count too.
	Consumers map[string][]*Node
	// Constant maps a value to its tensor when it is a stored constant, the
	// output of a Constant node, or either behind Identity nodes.
	Constant map[string]*Tensor

	inputs, outputs map[string]bool
}

// NewIndex builds the lookup table of g.
func NewIndex(g *Graph) *Index {
	ix := &Index{
		Graph:     g,
		Producer:  map[string]*Node{},
		Consumers: map[string][]*Node{},
		Constant:  map[string]*Tensor{},
		inputs:    map[string]bool{},
		outputs:   map[string]bool{},
	}
	for _, v := range g.Inputs {
		ix.inputs[v.Name] = true
	}
	for _, v := range g.Outputs {
		ix.outputs[v.Name] = true
	}
	for _, t := range g.Initializers {
		ix.Constant[t.Name] = t
	}
	for _, n := range g.Nodes {
		for _, o := range n.Outputs {
			if o != "" {
				ix.Producer[o] = n
			}
		}
		for _, in := range Reads(n) {
			ix.Consumers[in] = append(ix.Consumers[in], n)
		}
		switch {
		case len(n.Outputs) == 0:
		case n.Is("Constant"):
			if t := n.ConstantTensor(); t != nil {
				ix.Constant[n.Outputs[0]] = t
			}
		case n.Is("Identity"):
			if t := ix.Constant[n.Input(0)]; t != nil {
				ix.Constant[n.Outputs[0]] = t
			}
		}
	}
	return ix
}

// ConstantTensor returns what a Constant node puts out (under whatever name
// the tensor was stored, often none), or nil where n is no such node or its value is sparse or of strings.
func (n *Node) ConstantTensor() *Tensor {
	if !n.Is("Constant") || len(n.Outputs) == 0 {
		return nil
	}
	for _, a := range n.Attrs {
		switch {
		case a.Name == "value" && a.Kind == AttrTensor && a.Tensor != nil:
			return a.Tensor
		case a.Name == "value_float" && a.Kind == AttrFloat:
			return NewFloats(n.Outputs[0], nil, []float32{a.Float})
		case a.Name == "value_floats" && a.Kind == AttrFloats:
			return NewFloats(n.Outputs[0], []int64{int64(len(a.Floats))}, a.Floats)
		case a.Name == "value_int" && a.Kind == AttrInt:
			return NewInts(n.Outputs[0], nil, []int64{a.Int})
		case a.Name == "value_ints" && a.Kind == AttrInts:
			return NewInts(n.Outputs[0], []int64{int64(len(a.Ints))}, a.Ints)
		}
	}
	return nil
}

// IsInput reports whether the value enters the graph (and is no constant).
func (ix *Index) IsInput(name string) bool { return ix.inputs[name] && ix.Constant[name] == nil }

// IsOutput reports whether the value leaves the graph.
func (ix *Index) IsOutput(name string) bool { return ix.outputs[name] }

// Reads returns the distinct values that n reads, its subgraphs' outer values
// included, in order of first use.
func Reads(n *Node) []string {
	var names []string
	seen := map[string]bool{}
	add := func(name string) {
		if name != "" && !seen[name] {
			seen[name] = true
			names = append(names, name)
		}
	}
	for _, in := range n.Inputs {
		add(in)
	}
	for _, sub := range n.Subgraphs() {
		for _, name := range outerReads(sub) {
			add(name)
		}
	}
	return names
}

// outerReads returns the values that g reads from the graphs around it.
func outerReads(g *Graph) []string {
	own := map[string]bool{}
	for _, v := range g.Inputs {
		own[v.Name] = true
	}
	for _, t := range g.Initializers {
		own[t.Name] = true
	}
	for _, n := range g.Nodes {
		for _, o := range n.Outputs {
			own[o] = true
		}
	}
	var names []string
	for _, n := range g.Nodes {
		for _, in := range Reads(n) {
			if !own[in] {
				names = append(names, in)
			}
		}
	}
	for _, v := range g.Outputs {
		if !own[v.Name] {
			names = append(names, v.Name)
		}
	}
	return names
}

// Clone returns a copy of m whose nodes, attributes and lists can be changed
// without touching m, inner graphs included. Tensors, values and attributes
// without a graph are shared: replace them, do not write into them.
func (m *Model) Clone() *Model {
	c := *m
	c.Graph = m.Graph.Clone()
	c.Opsets = maps.Clone(m.Opsets)
	c.Metadata = maps.Clone(m.Metadata)
	c.Unknown = slices.Clone(m.Unknown)
	return &c
}

// Clone copies g as [Model.Clone] does.
func (g *Graph) Clone() *Graph {
	c := *g
	c.Nodes = make([]*Node, len(g.Nodes))
	for i, n := range g.Nodes {
		c.Nodes[i] = n.Clone()
	}
	c.Inputs = slices.Clone(g.Inputs)
	c.Outputs = slices.Clone(g.Outputs)
	c.Initializers = slices.Clone(g.Initializers)
	c.Values = maps.Clone(g.Values)
	return &c
}

// Clone copies n as [Model.Clone] does.
func (n *Node) Clone() *Node {
	c := *n
	c.Inputs = slices.Clone(n.Inputs)
	c.Outputs = slices.Clone(n.Outputs)
	c.Attrs = slices.Clone(n.Attrs)
	for i, a := range c.Attrs {
		if a.Graph != nil {
			inner := *a
			inner.Graph = a.Graph.Clone()
			c.Attrs[i] = &inner
		}
	}
	c.Metadata = maps.Clone(n.Metadata)
	return &c
}
