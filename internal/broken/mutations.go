package broken

import (
	"fmt"
	"math"
	"slices"

	"narrow/graph"
)

// nowhere is the name of a value that no network has.
const nowhere = "nowhere"

// mutations are the ways of breaking a network, each with its places.
func mutations() []mutation {
	return slices.Concat(structure(), constants(), attributes(), interfaces(), versions(), innerGraphs(), engineEnders(), bombs(), legal())
}

// structure: what is wrong with names and connections.
func structure() []mutation {
	reads := func(n *graph.Node) bool { return len(n.Inputs) > 0 }
	return []mutation{
		{kind: "own-output-as-input", sites: nodes(reads, func(_ *graph.Model, n *graph.Node) { n.Inputs[0] = n.Outputs[0] })},
		{kind: "cycle", sites: func(m *graph.Model) []site {
			var out []site
			for i := 0; i+2 < len(m.Graph.Nodes); i += 2 {
				n, far := m.Graph.Nodes[i], m.Graph.Nodes[i+2]
				if !reads(n) || !slices.Contains(readers(m, n.Outputs[0]), far.Name) {
					continue
				}
				out = append(out, site{plain(n.Name), []string{n.Name, far.Name}, func(m *graph.Model) {
					m.Graph.Nodes[i].Inputs[0] = m.Graph.Nodes[i+2].Outputs[0]
				}})
			}
			return out
		}},
		{kind: "missing-input", sites: nodes(reads, func(_ *graph.Model, n *graph.Node) { n.Inputs[0] = nowhere })},
		{kind: "no-inputs", sites: nodes(reads, func(_ *graph.Model, n *graph.Node) { n.Inputs = nil })},
		{kind: "input-left-empty", sites: nodes(func(n *graph.Node) bool { return reads(n) && !n.Is("Loop") }, // a loop without a count runs for ever
			func(_ *graph.Model, n *graph.Node) { n.Inputs[0] = "" })},
		{kind: "too-many-inputs", sites: ops(func(n *graph.Node) {
			for range 9 {
				n.Inputs = append(n.Inputs, n.Inputs[0])
			}
		}, "Conv", "Relu", "Gemm", "Softmax", "BatchNormalization", "If")},
		{kind: "too-many-outputs", sites: ops(func(n *graph.Node) { n.Outputs = append(n.Outputs, "o1", "o2", "o3", "o4", "o5") },
			"Conv", "Relu", "Gemm", "If", "Loop")},
		{kind: "duplicate-output", sites: func(m *graph.Model) []site {
			var out []site
			for i := 1; i < len(m.Graph.Nodes); i += 3 {
				n := m.Graph.Nodes[i]
				out = append(out, site{plain(n.Name), []string{n.Name}, func(m *graph.Model) {
					m.Graph.Nodes[i].Outputs[0] = m.Graph.Nodes[i-1].Outputs[0]
				}})
			}
			return out
		}},
		{kind: "output-named-as-initializer", sites: nodes(reads, func(m *graph.Model, n *graph.Node) { n.Outputs[0] = m.Graph.Initializers[0].Name })},
		{kind: "output-named-as-input", sites: ops(func(n *graph.Node) { n.Outputs[0] = "x" }, "Relu", "Conv", "MatMul", "If")},
		{kind: "no-outputs", sites: nodes(reads, func(_ *graph.Model, n *graph.Node) { n.Outputs = nil })},
		{kind: "no-operator", sites: nodes(reads, func(_ *graph.Model, n *graph.Node) { n.OpType = "" })},
		{kind: "unknown-operator", sites: nodes(reads, func(_ *graph.Model, n *graph.Node) { n.OpType = "Convolute" })},
		{kind: "unknown-domain", sites: ops(func(n *graph.Node) { n.Domain = "org.example" }, "Relu", "Clip", "Softmax")},
		{kind: "initializer-missing", sites: func(m *graph.Model) []site {
			var out []site
			for i, t := range m.Graph.Initializers {
				out = append(out, site{plain(t.Name), []string{t.Name}, func(m *graph.Model) {
					m.Graph.Initializers = slices.Delete(m.Graph.Initializers, i, i+1)
				}})
			}
			return out
		}},
		{kind: "initializer-twice", sites: once(func(m *graph.Model) {
			m.Graph.Initializers = append(m.Graph.Initializers, m.Graph.Initializers[0])
		})},
		{kind: "initializer-without-name", sites: once(func(m *graph.Model) {
			m.Graph.Initializers = append(m.Graph.Initializers, graph.NewFloats("", nil, []float32{1}))
		})},
		{kind: "attribute-twice", sites: ops(func(n *graph.Node) { n.Attrs = append(n.Attrs, n.Attrs[0]) }, "Conv", "Gemm", "If")},
		{kind: "attribute-without-name", sites: ops(func(n *graph.Node) {
			n.Attrs = append(n.Attrs, &graph.Attr{Kind: graph.AttrInt, Int: 1})
		}, "Conv", "Relu")},
	}
}

// constants: stored tensors that are not what their shape says, or do not fit.
func constants() []mutation {
	every := func(*graph.Model, *graph.Tensor) bool { return true }
	filled := func(_ *graph.Model, t *graph.Tensor) bool { return len(t.Dims) > 0 }
	weights := func(_ *graph.Model, t *graph.Tensor) bool { return len(t.Dims) >= 2 && t.Type == graph.Float32 }
	vectors := func(_ *graph.Model, t *graph.Tensor) bool { return len(t.Dims) == 1 && t.Type == graph.Float32 }
	edit := func(change func(t *graph.Tensor)) func(*graph.Tensor) *graph.Tensor {
		return func(t *graph.Tensor) *graph.Tensor {
			c := &graph.Tensor{Name: t.Name, Type: t.Type, Dims: slices.Clone(t.Dims), Raw: slices.Clone(t.Raw)}
			change(c)
			return c
		}
	}
	value := func(v float32) func(*graph.Tensor) *graph.Tensor {
		return func(t *graph.Tensor) *graph.Tensor {
			x, err := t.Floats()
			if err != nil {
				return t
			}
			x[len(x)/2] = v
			return graph.NewFloats(t.Name, t.Dims, x)
		}
	}
	return []mutation{
		{kind: "shorter-than-its-shape", sites: tensors(every, edit(func(t *graph.Tensor) { t.Raw = t.Raw[:len(t.Raw)-1] }))},
		{kind: "longer-than-its-shape", sites: tensors(every, edit(func(t *graph.Tensor) { t.Raw = append(t.Raw, 0, 0, 0, 0) }))},
		{kind: "empty", sites: tensors(every, edit(func(t *graph.Tensor) { t.Raw = nil }))},
		{kind: "negative-dimension", sites: tensors(filled, edit(func(t *graph.Tensor) { t.Dims[0] = -1 }))},
		{kind: "absurd-dimension", sites: tensors(filled, edit(func(t *graph.Tensor) { t.Dims[0] = 1 << 40 }))},
		{kind: "dimensions-overflow", sites: tensors(filled, edit(func(t *graph.Tensor) { t.Dims = []int64{1 << 32, 1 << 32, int64(t.Dims[0])} }))},
		{kind: "no-data-type", sites: tensors(every, edit(func(t *graph.Tensor) { t.Type = graph.Undefined }))},
		{kind: "unknown-data-type", sites: tensors(every, edit(func(t *graph.Tensor) { t.Type = 99 }))},
		{kind: "integers-in-place-of-floats", sites: tensors(weights, edit(func(t *graph.Tensor) { t.Type = graph.Int32 }))},
		{kind: "one-dimension-too-few", sites: tensors(weights, edit(func(t *graph.Tensor) {
			t.Dims = append([]int64{t.Dims[0] * t.Dims[1]}, t.Dims[2:]...)
		}))},
		{kind: "one-row-too-many", sites: tensors(weights, func(t *graph.Tensor) *graph.Tensor {
			dims := slices.Clone(t.Dims)
			dims[1]++
			n := 1
			for _, d := range dims {
				n *= int(d)
			}
			return graph.NewFloats(t.Name, dims, make([]float32, n))
		})},
		{kind: "one-element-too-many", sites: tensors(vectors, func(t *graph.Tensor) *graph.Tensor {
			return graph.NewFloats(t.Name, []int64{t.Dims[0] + 1}, make([]float32, t.Dims[0]+1))
		})},
		{kind: "no-elements", sites: tensors(weights, func(t *graph.Tensor) *graph.Tensor {
			dims := slices.Clone(t.Dims)
			dims[0] = 0
			return graph.NewFloats(t.Name, dims, nil)
		})},
		{kind: "not-a-number", sites: tensors(weights, value(float32(math.NaN())))},
		{kind: "infinite", sites: tensors(weights, value(float32(math.Inf(1))))},
		{kind: "not-a-number-in-bias", sites: tensors(biases, value(float32(math.NaN())))},
	}
}

// biases are the vectors that a convolution or Gemm adds.
func biases(m *graph.Model, t *graph.Tensor) bool {
	for _, n := range m.Graph.Nodes {
		if n.Is("Conv", "Gemm") && n.Input(2) == t.Name {
			return true
		}
	}
	return false
}

// attributes: values that an operator cannot have.
func attributes() []mutation {
	ints := func(name string, v ...int64) func(*graph.Node) {
		return func(n *graph.Node) { n.SetAttr(&graph.Attr{Name: name, Kind: graph.AttrInts, Ints: v}) }
	}
	one := func(name string, v int64) func(*graph.Node) {
		return func(n *graph.Node) { n.SetAttr(&graph.Attr{Name: name, Kind: graph.AttrInt, Int: v}) }
	}
	text := func(name, v string) func(*graph.Node) {
		return func(n *graph.Node) { n.SetAttr(&graph.Attr{Name: name, Kind: graph.AttrString, String: v}) }
	}
	return []mutation{
		{kind: "kernel-of-other-size", sites: ops(ints("kernel_shape", 5, 5), "Conv", "ConvTranspose")},
		{kind: "kernel-of-other-rank", sites: ops(ints("kernel_shape", 3, 3, 3), "Conv", "ConvTranspose", "MaxPool")},
		{kind: "kernel-zero", sites: ops(ints("kernel_shape", 0, 0), "Conv", "MaxPool")},
		{kind: "kernel-absurd", sites: ops(ints("kernel_shape", 1<<40, 1<<40), "Conv", "MaxPool")},
		{kind: "stride-zero", sites: ops(ints("strides", 0, 0), "Conv", "ConvTranspose", "MaxPool")},
		{kind: "stride-negative", sites: ops(ints("strides", -1, -1), "Conv", "ConvTranspose", "MaxPool")},
		{kind: "dilation-zero", sites: ops(ints("dilations", 0, 0), "Conv")},
		{kind: "pads-of-other-rank", sites: ops(ints("pads", 1, 1), "Conv", "MaxPool")},
		{kind: "pads-negative", sites: ops(ints("pads", -9, -9, -9, -9), "Conv", "MaxPool")},
		{kind: "pads-absurd", sites: ops(ints("pads", 1<<40, 1<<40, 1<<40, 1<<40), "Conv")},
		{kind: "group-zero", sites: ops(one("group", 0), "Conv", "ConvTranspose")},
		{kind: "group-negative", sites: ops(one("group", -1), "Conv", "ConvTranspose")},
		{kind: "group-does-not-divide", sites: ops(one("group", 7), "Conv", "ConvTranspose")},
		{kind: "group-absurd", sites: ops(one("group", 1<<62), "Conv", "ConvTranspose")},
		{kind: "auto-pad-unknown", sites: ops(text("auto_pad", "SOMEHOW"), "Conv", "MaxPool")},
		{kind: "attribute-of-other-type", sites: ops(text("kernel_shape", "3x3"), "Conv", "MaxPool")},
		{kind: "axis-out-of-range", sites: ops(one("axis", 9), "Concat", "Split", "Softmax", "Flatten", "Gather")},
		{kind: "axis-absurd", sites: ops(one("axis", math.MinInt64), "Concat", "Split", "Softmax", "Flatten", "Gather")},
		{kind: "axes-out-of-range", sites: ops(ints("axes", 7, 9), "ReduceMean")},
		{kind: "perm-of-other-rank", sites: ops(ints("perm", 0, 1), "Transpose")},
		{kind: "perm-names-an-axis-twice", sites: ops(ints("perm", 0, 1, 1, 2), "Transpose")},
		{kind: "perm-out-of-range", sites: ops(ints("perm", 0, 1, 2, 9), "Transpose")},
		{kind: "epsilon-of-other-type", sites: ops(text("epsilon", "small"), "BatchNormalization")},
		{kind: "trans-of-other-type", sites: ops(text("transB", "yes"), "Gemm")},
		{kind: "mode-unknown", sites: ops(text("mode", "somehow"), "Resize", "Pad")},
		{kind: "graph-in-place-of-a-number", sites: ops(func(n *graph.Node) {
			n.SetAttr(&graph.Attr{Name: "group", Kind: graph.AttrGraph, Graph: &graph.Graph{Name: "odd"}})
		}, "Conv")},
	}
}

// setInts replaces the elements of an integer initializer.
func setInts(name string, v ...int64) func(*graph.Model) []site {
	return func(m *graph.Model) []site {
		if t := m.Graph.Initializer(name); t == nil || t.Type != graph.Int64 {
			return nil
		}
		return []site{{plain(name), append(readers(m, name), name), func(m *graph.Model) {
			dims := []int64{int64(len(v))}
			if len(m.Graph.Initializer(name).Dims) == 0 {
				dims = nil
			}
			m.Graph.SetInitializer(graph.NewInts(name, dims, v))
		}}}
	}
}

// setFloats replaces the elements of a float initializer.
func setFloats(name string, v ...float32) func(*graph.Model) []site {
	return func(m *graph.Model) []site {
		if m.Graph.Initializer(name) == nil {
			return nil
		}
		return []site{{plain(name), append(readers(m, name), name), func(m *graph.Model) {
			m.Graph.SetInitializer(graph.NewFloats(name, []int64{int64(len(v))}, v))
		}}}
	}
}

// interfaces: what the network takes and puts out.
func interfaces() []mutation {
	input := func(change func(v *graph.Value)) func(*graph.Model) []site {
		return once(func(m *graph.Model) {
			v := *m.Graph.Inputs[0]
			v.Shape = slices.Clone(v.Shape)
			change(&v)
			m.Graph.Inputs[0] = &v
		})
	}
	return []mutation{
		{kind: "no-graph-inputs", sites: once(func(m *graph.Model) { m.Graph.Inputs = nil })},
		{kind: "no-graph-outputs", sites: once(func(m *graph.Model) { m.Graph.Outputs = nil })},
		{kind: "nothing", sites: once(func(m *graph.Model) { m.Graph = &graph.Graph{Name: "g"} })},
		{kind: "no-nodes", sites: once(func(m *graph.Model) { m.Graph.Nodes = nil }, "output", "y", "linear", "logits")},
		{kind: "graph-input-twice", sites: once(func(m *graph.Model) { m.Graph.Inputs = append(m.Graph.Inputs, m.Graph.Inputs[0]) })},
		{kind: "graph-input-without-name", sites: input(func(v *graph.Value) { v.Name = "" })},
		{kind: "graph-input-renamed", sites: input(func(v *graph.Value) { v.Name = nowhere })},
		{kind: "graph-output-unknown", sites: once(func(m *graph.Model) {
			m.Graph.Outputs = append(m.Graph.Outputs, &graph.Value{Name: nowhere, Type: graph.Float32})
		}, nowhere)},
		{kind: "graph-output-without-name", sites: once(func(m *graph.Model) { m.Graph.Outputs = append(m.Graph.Outputs, &graph.Value{}) })},
		{kind: "graph-output-of-other-type", sites: once(func(m *graph.Model) {
			v := *m.Graph.Outputs[0]
			v.Type = graph.Int64
			m.Graph.Outputs[0] = &v
		}, "output", "y", "linear", "logits")},
		{kind: "graph-input-of-other-channels", sites: input(func(v *graph.Value) { v.Shape[1].Size += 4 })},
		{kind: "graph-input-of-other-rank", sites: input(func(v *graph.Value) { v.Shape = v.Shape[:2] })},
		{kind: "graph-input-absurd", sites: input(func(v *graph.Value) { v.Shape[2].Size = 1 << 40 })},
		{kind: "graph-input-overflows", sites: input(func(v *graph.Value) { v.Shape[2].Size, v.Shape[3].Size = 1<<62, 1<<62 })},
		{kind: "graph-input-of-size-zero", sites: input(func(v *graph.Value) { v.Shape[2].Size = 0 })},
		{kind: "graph-input-of-strings", sites: input(func(v *graph.Value) { v.Type = graph.String })},
		{kind: "graph-input-of-unknown-type", sites: input(func(v *graph.Value) { v.Type = 99 })},
		{kind: "graph-input-of-integers", sites: input(func(v *graph.Value) { v.Type = graph.Int64 })},
	}
}

// versions: operator sets and format versions that do not exist.
func versions() []mutation {
	opset := func(v int64) func(*graph.Model) []site {
		return once(func(m *graph.Model) { m.Opsets[""] = v })
	}
	return []mutation{
		{kind: "opset-0", sites: opset(0)},
		{kind: "opset-6", sites: opset(6)},
		{kind: "opset-99", sites: opset(99)},
		{kind: "opset-negative", sites: opset(-13)},
		{kind: "opset-absurd", sites: opset(math.MaxInt64)},
		{kind: "opset-missing", sites: once(func(m *graph.Model) { delete(m.Opsets, "") })},
		{kind: "ir-version-absurd", sites: once(func(m *graph.Model) { m.IRVersion = 9999 })},
		{kind: "ir-version-negative", sites: once(func(m *graph.Model) { m.IRVersion = -1 })},
		{kind: "operator-of-a-later-opset", sites: ops(func(n *graph.Node) { n.OpType, n.Attrs = "Gelu", nil }, "Relu", "Clip", "Softmax")},
	}
}

// innerGraphs: what is wrong inside of control flow.
func innerGraphs() []mutation {
	inner := func(spoil func(g *graph.Graph)) func(*graph.Model) []site {
		return nodes(func(n *graph.Node) bool { return len(n.Subgraphs()) > 0 }, func(_ *graph.Model, n *graph.Node) { spoil(n.Subgraphs()[0]) })
	}
	return []mutation{
		{kind: "inner-missing-input", sites: inner(func(g *graph.Graph) { g.Nodes[0].Inputs[0] = nowhere })},
		{kind: "inner-cycle", sites: inner(func(g *graph.Graph) { n := g.Nodes[len(g.Nodes)-1]; n.Inputs[0] = n.Outputs[0] })},
		{kind: "inner-output-unknown", sites: inner(func(g *graph.Graph) { g.Outputs[0] = &graph.Value{Name: nowhere} })},
		{kind: "inner-no-outputs", sites: inner(func(g *graph.Graph) { g.Outputs = nil })},
		{kind: "inner-no-operator", sites: inner(func(g *graph.Graph) { g.Nodes[0].OpType = "" })},
		{kind: "inner-unknown-operator", sites: inner(func(g *graph.Graph) { g.Nodes[0].OpType = "Convolute" })},
		{kind: "inner-output-twice", sites: inner(func(g *graph.Graph) {
			g.Nodes = append(g.Nodes, &graph.Node{Name: "again", OpType: "Relu", Inputs: []string{"h"}, Outputs: []string{g.Nodes[0].Outputs[0]}})
		})},
		{kind: "inner-output-named-as-an-outer-one", sites: inner(func(g *graph.Graph) {
			g.Nodes = append(g.Nodes, &graph.Node{Name: "shadow", OpType: "Relu", Inputs: []string{"x"}, Outputs: []string{"h"}})
		})},
		{kind: "inner-initializer-too-short", sites: named([]string{"short"}, inner(func(g *graph.Graph) {
			g.Initializers = append(g.Initializers, &graph.Tensor{Name: "short", Type: graph.Float32, Dims: []int64{9}, Raw: make([]byte, 8)})
		}))},
		{kind: "branch-missing", sites: ops(func(n *graph.Node) { n.Attrs = n.Attrs[:1] }, "If")},
		{kind: "body-missing", sites: ops(func(n *graph.Node) { n.Attrs = nil }, "Loop")},
		{kind: "body-without-inputs", sites: ops(func(n *graph.Node) { n.Attrs[0].Graph.Inputs = nil }, "Loop")},
		{kind: "body-with-too-few-outputs", sites: ops(func(n *graph.Node) { n.Attrs[0].Graph.Outputs = n.Attrs[0].Graph.Outputs[:1] }, "Loop")},
		{kind: "inner-graphs-too-deep", sites: named([]string{"graphs inside graphs"}, inner(func(g *graph.Graph) {
			for range 200 {
				inside := *g
				*g = graph.Graph{Name: "deep", Outputs: inside.Outputs, Nodes: []*graph.Node{{
					Name: "deeper", OpType: "If", Inputs: []string{"c"}, Outputs: []string{inside.Outputs[0].Name},
					Attrs: []*graph.Attr{{Name: "then_branch", Kind: graph.AttrGraph, Graph: &inside}},
				}}}
			}
		}))},
	}
}

// engineEnders: what ends the process of an engine that believes it.
func engineEnders() []mutation {
	called := func(name string) func(*graph.Model, *graph.Tensor) bool {
		return func(_ *graph.Model, t *graph.Tensor) bool { return t.Name == name }
	}
	none := func(t *graph.Tensor) *graph.Tensor {
		return &graph.Tensor{Name: t.Name, Type: t.Type, Dims: []int64{0}, Raw: []byte{}}
	}
	return []mutation{
		{kind: "loop-count-of-no-elements", sites: tensors(called("trips"), none)},
		{kind: "loop-condition-of-no-elements", sites: tensors(called("go"), none)},
		{kind: "loop-count-is-a-float", sites: tensors(called("trips"), func(t *graph.Tensor) *graph.Tensor { return graph.NewFloats(t.Name, nil, []float32{2}) })},
		{kind: "scales-not-a-list", sites: tensors(called("scales"), func(t *graph.Tensor) *graph.Tensor {
			return &graph.Tensor{Name: t.Name, Type: t.Type, Dims: []int64{2, 2}, Raw: t.Raw}
		})},
		{kind: "scales-are-an-image", sites: ops(func(n *graph.Node) { n.Inputs[2] = n.Inputs[0] }, "Resize")},
	}
}

// bombs: a few bytes that ask for much.
func bombs() []mutation {
	// swap puts an operator that makes much out of little in the place of n.
	swap := func(op string, dims []int64, values ...int64) func(*graph.Model) []site {
		return nodes(func(n *graph.Node) bool { return n.Is("Relu", "Softmax") }, func(m *graph.Model, n *graph.Node) {
			m.Graph.SetInitializer(graph.NewInts("huge", dims, values))
			n.OpType, n.Attrs = op, nil
			if n.Inputs = append(n.Inputs[:1:1], "huge"); op == "ConstantOfShape" {
				n.Inputs = n.Inputs[1:]
			}
		})
	}
	return []mutation{
		{kind: "expand-to-terabytes", sites: swap("Expand", []int64{4}, 1<<20, 4, 1<<10, 1<<10)},
		{kind: "tile-to-terabytes", sites: swap("Tile", []int64{4}, 1<<10, 1, 1<<12, 1<<12)},
		{kind: "constant-of-terabytes", sites: swap("ConstantOfShape", []int64{4}, 1<<10, 4, 1<<14, 1<<14)},
		{kind: "constant-of-all-memory", sites: swap("ConstantOfShape", []int64{4}, 1<<31, 1<<31, 1<<31, 1<<31)},
		{kind: "constant-of-negative-size", sites: swap("ConstantOfShape", []int64{4}, -1, 4, 8, 8)},
		{kind: "scales-absurd", sites: setFloats("scales", 1, 1, 1<<20, 1<<20)},
		{kind: "scales-negative", sites: setFloats("scales", 1, 1, -2, -2)},
		{kind: "scales-not-a-number", sites: setFloats("scales", 1, 1, float32(math.NaN()), 2)},
		{kind: "scales-too-few", sites: setFloats("scales", 2, 2)},
		{kind: "pads-to-terabytes", sites: setInts("pads", 0, 0, 1<<20, 1<<20, 0, 0, 1<<20, 1<<20)},
		{kind: "pads-cut-all-away", sites: setInts("pads", 0, 0, -99, -99, 0, 0, -99, -99)},
		{kind: "pads-too-few", sites: setInts("pads", 1, 1)},
		{kind: "slice-axis-out-of-range", sites: setInts("axes", 2, 9)},
		{kind: "slice-too-few-ends", sites: setInts("ends", 6)},
		{kind: "reshape-does-not-fit", sites: setInts("val_12", -1, 7)},
		{kind: "reshape-with-two-open-dimensions", sites: setInts("val_12", -1, -1)},
		{kind: "reshape-overflows", sites: setInts("val_12", 1<<62, 1<<62)},
		{kind: "gather-out-of-range", sites: setInts("zero", 99)},
		{kind: "doubled-40-times", sites: named(doubles(), nodes(func(n *graph.Node) bool { return n.Is("Relu", "Softmax") }, func(m *graph.Model, n *graph.Node) {
			// Constants alone, so that whoever folds them runs out of memory.
			m.Graph.SetInitializer(graph.NewFloats("d0", []int64{1, 1}, []float32{1}))
			last := "d0"
			var doubling []*graph.Node
			for i, name := range doubles() {
				next := fmt.Sprintf("d%d", i+1)
				doubling = append(doubling, &graph.Node{
					Name: name, OpType: "Concat", Inputs: []string{last, last}, Outputs: []string{next},
					Attrs: []*graph.Attr{{Name: "axis", Kind: graph.AttrInt, Int: int64(i % 2)}},
				})
				last = next
			}
			n.OpType, n.Attrs, n.Inputs = "Add", nil, append(n.Inputs[:1:1], last)
			m.Graph.Nodes = append(doubling, m.Graph.Nodes...)
		}))},
	}
}

// doubles are the names of 40 nodes.
func doubles() []string {
	names := make([]string, 40)
	for i := range names {
		names[i] = fmt.Sprintf("double_%d", i+1)
	}
	return names
}

// legal: what looks broken and is not.
func legal() []mutation {
	return []mutation{
		{kind: "ok-nodes-of-one-name", legal: true, sites: once(func(m *graph.Model) {
			for _, n := range m.Graph.Nodes {
				n.Name = "same"
			}
		})},
		{kind: "ok-nodes-without-names", legal: true, sites: once(func(m *graph.Model) {
			for _, n := range m.Graph.Nodes {
				n.Name = ""
			}
		})},
		{kind: "ok-nodes-in-reverse-order", legal: true, sites: once(func(m *graph.Model) { slices.Reverse(m.Graph.Nodes) })},
		{kind: "ok-unused-initializer", legal: true, sites: once(func(m *graph.Model) {
			m.Graph.Initializers = append(m.Graph.Initializers, graph.NewFloats("unused", []int64{2}, []float32{1, 2}))
		})},
		{kind: "ok-unused-initializer-that-is-empty", legal: true, sites: once(func(m *graph.Model) {
			m.Graph.Initializers = append(m.Graph.Initializers, graph.NewFloats("unused", []int64{0, 3}, nil))
		})},
		{kind: "ok-initializer-listed-as-input", legal: true, sites: once(func(m *graph.Model) {
			t := m.Graph.Initializers[0]
			v := &graph.Value{Name: t.Name, Type: t.Type, Shape: []graph.Dim{}}
			for _, d := range t.Dims {
				v.Shape = append(v.Shape, graph.Dim{Size: d})
			}
			m.Graph.Inputs = append(m.Graph.Inputs, v)
		})},
		{kind: "ok-unread-node", legal: true, sites: once(func(m *graph.Model) {
			m.Graph.Nodes = append(m.Graph.Nodes, &graph.Node{Name: "idle", OpType: "Neg", Inputs: []string{m.Graph.Inputs[0].Name}, Outputs: []string{"idle_out"}})
		})},
		{kind: "ok-no-batch-name", legal: true, sites: once(func(m *graph.Model) {
			v := *m.Graph.Inputs[0]
			v.Shape = slices.Clone(v.Shape)
			v.Shape[0] = graph.Dim{Size: -1}
			m.Graph.Inputs[0] = &v
		})},
		{kind: "ok-graph-output-twice", legal: true, sites: once(func(m *graph.Model) { m.Graph.Outputs = append(m.Graph.Outputs, m.Graph.Outputs[0]) })},
		// Shapes between nodes and of outputs are remarks, which ONNX Runtime puts right.
		{kind: "ok-output-told-of-other-shape", legal: true, sites: once(func(m *graph.Model) {
			v := *m.Graph.Outputs[0]
			v.Shape = []graph.Dim{{Size: -1}, {Size: 77}, {Size: 3}}
			m.Graph.Outputs[0] = &v
		})},
		{kind: "ok-bias-of-one-element", legal: true, sites: nodes(func(n *graph.Node) bool { return n.Is("Gemm") }, func(m *graph.Model, n *graph.Node) {
			m.Graph.SetInitializer(graph.NewFloats(n.Inputs[2], []int64{1}, []float32{0.5}))
		})},
		{kind: "ok-graph-without-name", legal: true, sites: once(func(m *graph.Model) { m.Graph.Name = "" })},
		{kind: "ok-unused-opset", legal: true, sites: once(func(m *graph.Model) { m.Opsets["org.example"] = 1 })},
	}
}
