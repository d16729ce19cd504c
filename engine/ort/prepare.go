package ort

import (
	"fmt"
	"maps"
	"slices"

	"narrow/diag"
	"narrow/engine"
	"narrow/graph"
)

// tapIndex is the attribute that carries a tap's number to its kernel.
const tapIndex = "tap"

// prepared is a model made ready for ONNX Runtime.
type prepared struct {
	// model is a changed clone: taps numbered, outputs as asked for. It is
	// dropped once it is loaded, and its weights with it.
	model *graph.Model
	// taps are the labels of the tap nodes, in order.
	taps []string
	// outputs are the values that ONNX Runtime is asked for, never none; the
	// first of them, up to returned, are wanted.
	outputs  []string
	returned int
	// wanted are the values that Run returns.
	wanted []string
	// constants are the wanted values that are stored in the model.
	constants map[string]*graph.Tensor
	// inputs are all the graph's input names, types and shapes.
	inputs map[string]*graph.Value
}

// prepare numbers the taps of m and sets its outputs.
func prepare(m *graph.Model, opts engine.LoadOptions) (*prepared, error) {
	p := &prepared{model: m.Clone(), constants: map[string]*graph.Tensor{}, inputs: map[string]*graph.Value{}}
	g := p.model.Graph
	for _, n := range g.Nodes {
		for _, sub := range n.Subgraphs() {
			if t := findTap(sub); t != nil {
				return nil, diag.Errorf("tap %q stands inside of node %q; taps belong into the top-level graph", t.Label(), n.Label())
			}
		}
		if !n.IsTap() {
			continue
		}
		if len(n.Inputs) < 1 || len(n.Inputs) > 2 || len(n.Outputs) != 1 || n.Inputs[0] == "" || n.Outputs[0] == "" {
			return nil, diag.Errorf("tap %q has inputs %q and outputs %q, not one or two and one", n.Label(), n.Inputs, n.Outputs)
		}
		n.SetAttr(&graph.Attr{Name: tapIndex, Kind: graph.AttrInt, Int: int64(len(p.taps))})
		p.taps = append(p.taps, n.Label())
	}
	if len(p.taps) > 0 && p.model.Opsets[graph.TapDomain] == 0 {
		if p.model.Opsets == nil {
			p.model.Opsets = map[string]int64{}
		}
		p.model.Opsets[graph.TapDomain] = 1
	}
	for i, v := range g.Inputs {
		p.inputs[v.Name] = v
		g.Inputs[i] = named(v)
	}
	if err := p.setOutputs(opts.Outputs); err != nil {
		return nil, err
	}
	p.dropUnread()
	return p, nil
}

// dropUnread takes out initializers that no node reads, and none of an inner
// graph: ONNX Runtime drops them while it reads the model, and then misses
// those that are handed over beside it.
func (p *prepared) dropUnread() {
	g := p.model.Graph
	read := map[string]bool{}
	for _, n := range g.Nodes {
		for _, in := range graph.Reads(n) {
			read[in] = true
		}
	}
	g.Initializers = slices.DeleteFunc(slices.Clone(g.Initializers), func(t *graph.Tensor) bool { return !read[t.Name] && p.inputs[t.Name] == nil })
}

// named returns v with a name for every open dimension that has none. ONNX
// Runtime takes two dimensions for equal, and works in place, only by name.
func named(v *graph.Value) *graph.Value {
	out := *v
	out.Shape = slices.Clone(v.Shape)
	for i, d := range out.Shape {
		if d.Size < 0 && d.Param == "" {
			out.Shape[i].Param = fmt.Sprintf("narrow.%s.%d", v.Name, i)
		}
	}
	return &out
}

func findTap(g *graph.Graph) *graph.Node {
	for _, n := range g.Nodes {
		if n.IsTap() {
			return n
		}
		for _, sub := range n.Subgraphs() {
			if t := findTap(sub); t != nil {
				return t
			}
		}
	}
	return nil
}

// setOutputs makes the wanted values the graph's outputs. What a node does not
// produce (inputs, stored constants) Run hands over itself: such outputs are
// legal in a file but not in every version of ONNX Runtime.
func (p *prepared) setOutputs(wanted []string) error {
	g := p.model.Graph
	known := maps.Clone(g.Values)
	if known == nil {
		known = map[string]*graph.Value{}
	}
	for _, v := range g.Outputs {
		known[v.Name] = v
	}
	if wanted == nil {
		for _, v := range g.Outputs {
			wanted = append(wanted, v.Name)
		}
	}
	produced := map[string]bool{}
	for _, n := range g.Nodes {
		for _, o := range n.Outputs {
			produced[o] = true
		}
	}
	delete(produced, "")
	original := g.Outputs
	g.Outputs = nil
	output := func(name string) {
		v := known[name]
		if v == nil {
			v = &graph.Value{Name: name} // ONNX Runtime infers the type
		}
		g.Outputs = append(g.Outputs, v)
		p.outputs = append(p.outputs, name)
	}
	for _, name := range wanted {
		if slices.Contains(p.wanted, name) {
			continue
		}
		switch {
		case produced[name]:
			output(name)
		case p.model.Graph.Initializer(name) != nil:
			p.constants[name] = g.Initializer(name)
		case p.inputs[name] == nil:
			return diag.Errorf("there is no value %q to output", name)
		}
		p.wanted = append(p.wanted, name)
	}
	p.returned = len(p.outputs)
	// A tap runs even when nothing that is wanted depends on it: ONNX Runtime
	// drops what leads to no output. The ends of the original network and of
	// every loose tap are kept as outputs that Run does not return.
	read := map[string]bool{}
	for _, n := range g.Nodes {
		for _, in := range graph.Reads(n) {
			read[in] = true
		}
	}
	for _, v := range original {
		if produced[v.Name] && !slices.Contains(p.outputs, v.Name) && len(p.taps) > 0 {
			output(v.Name)
		}
	}
	for _, n := range g.Nodes {
		if n.IsTap() && !read[n.Outputs[0]] && !slices.Contains(p.outputs, n.Outputs[0]) {
			output(n.Outputs[0])
		}
	}
	if len(p.outputs) > 0 {
		return nil
	}
	// ONNX Runtime wants at least one output to be asked for.
	for _, v := range original {
		if produced[v.Name] {
			output(v.Name)
			return nil
		}
	}
	for _, n := range slices.Backward(g.Nodes) {
		for _, o := range n.Outputs {
			if o != "" {
				output(o)
				return nil
			}
		}
	}
	return nil
}
