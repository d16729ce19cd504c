package rewrite

import (
	"encoding/binary"
	"math"
	"slices"

	"narrow/graph"
	"narrow/graph/infer"
)

// Widen returns m computing in float32 where it computes in float16 or bfloat16,
// and how many of its nodes do; m itself where none does. What enters and leaves
// the network keeps its type. Such a network is stored in fewer bits than it was
// trained in; quantizing it needs float32 around the integers.
//
// Networks that only store weights in float16 and cast them stay as they are.
func Widen(m *graph.Model) (*graph.Model, int) {
	types := infer.Types(m)
	if !slices.ContainsFunc(m.Graph.Nodes, func(n *graph.Node) bool {
		return slices.ContainsFunc(n.Outputs, func(o string) bool { return narrowFloat(types[o]) })
	}) {
		return m, 0 // the common case, without looking for constants
	}
	constants := infer.FindConstants(m, constantRoom(m.Graph)).Values
	count := 0
	for _, n := range m.Graph.Nodes {
		if !n.Is("Constant") && slices.ContainsFunc(n.Outputs, func(o string) bool { return narrowFloat(types[o]) && constants[o] == nil }) {
			count++
		}
	}
	if count == 0 {
		return m, 0
	}
	out := m.Clone()
	widenGraph(out.Graph)
	keepEnds(out.Graph)
	return out, count
}

// narrowFloat reports whether t is a float of 16 bits.
func narrowFloat(t graph.DataType) bool { return t == graph.Float16 || t == graph.BFloat16 }

// widenGraph widens what g stores and makes, and the graphs inside.
func widenGraph(g *graph.Graph) {
	for i, t := range g.Initializers {
		g.Initializers[i] = widened(t)
	}
	for name, v := range g.Values {
		g.Values[name] = wideValue(v)
	}
	for _, n := range g.Nodes {
		for i, a := range n.Attrs {
			n.Attrs[i] = wideAttr(a)
			if a.Graph == nil {
				continue
			}
			widenGraph(a.Graph)
			for _, ends := range [][]*graph.Value{a.Graph.Inputs, a.Graph.Outputs} {
				for k, v := range ends {
					ends[k] = wideValue(v)
				}
			}
		}
	}
}

// wideValue returns v as float32 where it is narrower.
func wideValue(v *graph.Value) *graph.Value {
	if !narrowFloat(v.Type) {
		return v
	}
	c := *v
	c.Type = graph.Float32
	return &c
}

// wideAttr widens a stored tensor, and a type that the node is asked to put out.
func wideAttr(a *graph.Attr) *graph.Attr {
	switch {
	case a.Kind == graph.AttrTensor && a.Tensor != nil && narrowFloat(a.Tensor.Type):
		c := *a
		c.Tensor = widened(a.Tensor)
		return &c
	case a.Kind == graph.AttrInt && slices.Contains([]string{"to", "dtype", "output_dtype", "output_datatype"}, a.Name) && narrowFloat(graph.DataType(a.Int)):
		c := *a
		c.Int = int64(graph.Float32)
		return &c
	}
	return a
}

// keepEnds keeps the types of what enters and leaves the network g.
func keepEnds(g *graph.Graph) {
	fresh := graph.Fresh(g)
	ix := graph.NewIndex(g)
	rename := map[string]string{}
	var first []*graph.Node
	for _, v := range g.Inputs {
		if narrowFloat(v.Type) && ix.IsInput(v.Name) {
			wide := fresh(v.Name + "_float32")
			rename[v.Name] = wide
			first = append(first, castNode(fresh(v.Name+"_widen"), v.Name, wide, graph.Float32))
		}
	}
	var last []*graph.Node
	for _, v := range g.Outputs {
		if p := ix.Producer[v.Name]; narrowFloat(v.Type) && p != nil {
			wide := fresh(v.Name + "_float32")
			rename[v.Name] = wide
			last = append(last, castNode(fresh(v.Name+"_narrow"), wide, v.Name, v.Type))
		}
	}
	for i, v := range g.Inputs {
		if !ix.IsInput(v.Name) {
			g.Inputs[i] = wideValue(v) // the default of an input: a constant
		}
	}
	for _, n := range g.Nodes {
		renameIn(n, rename)
	}
	g.Nodes = slices.Concat(first, g.Nodes, last)
}

// renameIn gives the values that n reads and makes, in graphs inside too, their new
// names.
func renameIn(n *graph.Node, names map[string]string) {
	for _, list := range [][]string{n.Inputs, n.Outputs} {
		for i, v := range list {
			if to, ok := names[v]; ok {
				list[i] = to
			}
		}
	}
	for _, g := range n.Subgraphs() {
		for _, inner := range g.Nodes {
			renameIn(inner, names)
		}
		renameOutputs(g, names)
	}
}

// renameOutputs gives the outputs of g their new names.
func renameOutputs(g *graph.Graph, names map[string]string) {
	for i, v := range g.Outputs {
		if to, ok := names[v.Name]; ok {
			c := *v
			c.Name = to
			g.Outputs[i] = &c
		}
	}
}

func castNode(name, from, to string, t graph.DataType) *graph.Node {
	return &graph.Node{
		Name: name, OpType: "Cast", Inputs: []string{from}, Outputs: []string{to}, Rule: "widen",
		Attrs: []*graph.Attr{{Name: "to", Kind: graph.AttrInt, Int: int64(t)}},
	}
}

// widened returns t in float32, exactly, where its elements are narrower floats.
func widened(t *graph.Tensor) *graph.Tensor {
	if !narrowFloat(t.Type) || len(t.Raw) != 2*t.Len() {
		return t
	}
	x := make([]float32, t.Len())
	for i := range x {
		bits := binary.LittleEndian.Uint16(t.Raw[2*i:])
		if t.Type == graph.BFloat16 {
			x[i] = math.Float32frombits(uint32(bits) << 16)
		} else {
			x[i] = float16(bits)
		}
	}
	return graph.NewFloats(t.Name, t.Dims, x)
}

// float16 returns the value of an IEEE 754 binary16.
func float16(bits uint16) float32 {
	sign := uint32(bits>>15) << 31
	exp, frac := uint32(bits>>10)&31, uint32(bits)&1023
	switch exp {
	case 31:
		return math.Float32frombits(sign | 255<<23 | frac<<13)
	case 0:
		v := float32(frac) / (1 << 24)
		if sign != 0 {
			v = -v
		}
		return v
	}
	return math.Float32frombits(sign | (exp+112)<<23 | frac<<13)
}
