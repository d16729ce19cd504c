package plan

import (
	"fmt"
	"slices"

	"narrow/graph"
	"narrow/scheme"
)

// Tap domain and operator: see calibrate.TapDomain, which a test holds equal.
const (
	tapDomain = "narrow"
	tapOp     = "Tap"
)

// Simulation is the network with a tap at every quantized activation.
type Simulation struct {
	Model *graph.Model
	// Taps are the tensors of Model's Tap nodes, in graph order.
	Taps []*Tensor
}

// Simulation returns the network of the plan with a Tap node at every
// quantized input and activation, each reader reading the tap's output, and
// with the constants that replace holds in the place of the float ones. Values
// keep their names behind the tap; a network input keeps its name before it.
func (p *Plan) Simulation(replace map[*Tensor]*graph.Tensor) (*Simulation, error) {
	m := p.Model.Clone()
	g := m.Graph
	clone := make(map[*graph.Node]*graph.Node, len(g.Nodes))
	for i, n := range p.Model.Graph.Nodes {
		clone[n] = g.Nodes[i]
	}
	used := map[string]bool{}
	for _, n := range g.Nodes {
		for _, o := range n.Outputs {
			used[o] = true
		}
	}
	for _, v := range g.Inputs {
		used[v.Name] = true
	}
	for _, t := range g.Initializers {
		used[t.Name] = true
	}
	fresh := func(name string) string {
		for i := 0; ; i++ {
			c := name
			if i > 0 {
				c = fmt.Sprintf("%s_%d", name, i)
			}
			if !used[c] {
				used[c] = true
				return c
			}
		}
	}
	isInput := map[string]bool{}
	for _, v := range g.Inputs {
		isInput[v.Name] = true
	}

	after := map[*graph.Node][]*graph.Node{}  // taps behind a node
	before := map[*graph.Node][]*graph.Node{} // taps before a node
	var first []*graph.Node
	tensorOf := map[*graph.Node]*Tensor{}
	tap := func(t *Tensor, in, out string) *graph.Node {
		n := &graph.Node{Name: fresh("narrow.tap." + t.Name), Domain: tapDomain, OpType: tapOp, Inputs: []string{in}, Outputs: []string{out}, Rule: "quantize-activation"}
		tensorOf[n] = t
		return n
	}

	for _, t := range p.Tensors {
		switch {
		case t.Constant != nil:
			c := replace[t]
			if c == nil {
				continue
			}
			nc := *c
			nc.Name = fresh(t.Name + ".quantized")
			g.Initializers = append(g.Initializers, &nc)
			for _, u := range t.Uses {
				clone[u.Node].Inputs[u.Input] = nc.Name
			}
		case t.Uses != nil:
			// One tap for the layer's own quantizer, read by its uses only.
			out := fresh(t.Name + ".entering")
			first := clone[t.Uses[0].Node]
			before[first] = append(before[first], tap(t, t.Name, out))
			for _, u := range t.Uses {
				clone[u.Node].Inputs[u.Input] = out
			}
		case isInput[t.Name]:
			out := fresh(t.Name + ".quantized")
			for _, n := range g.Nodes {
				for i, in := range n.Inputs {
					if in == t.Name {
						n.Inputs[i] = out
					}
				}
			}
			first = append(first, tap(t, t.Name, out))
		default:
			raw := fresh(t.Name + ".float")
			var producer *graph.Node
			for _, n := range g.Nodes {
				if i := slices.Index(n.Outputs, t.Name); i >= 0 {
					n.Outputs[i] = raw
					producer = n
				}
			}
			if producer == nil {
				return nil, fmt.Errorf("no node puts out %q", t.Name)
			}
			after[producer] = append(after[producer], tap(t, raw, t.Name))
		}
	}
	// A layer's own input quantizer reads the value behind the network input's
	// quantizer, if there is one.
	quantizedInput := map[string]string{}
	for _, n := range first {
		quantizedInput[n.Inputs[0]] = n.Outputs[0]
	}
	var nodes []*graph.Node
	nodes = append(nodes, first...)
	for _, n := range g.Nodes {
		for _, t := range before[n] {
			if q := quantizedInput[t.Inputs[0]]; q != "" {
				t.Inputs[0] = q
			}
			nodes = append(nodes, t)
		}
		nodes = append(nodes, n)
		nodes = append(nodes, after[n]...)
	}
	g.Nodes = nodes
	if m.Opsets == nil {
		m.Opsets = map[string]int64{}
	}
	m.Opsets[tapDomain] = 1
	s := &Simulation{Model: m}
	for _, n := range nodes {
		if t := tensorOf[n]; t != nil {
			s.Taps = append(s.Taps, t)
		}
	}
	return s, nil
}

// Activations returns the quantized inputs and activations of the plan, in
// topological order.
func (p *Plan) Activations() []*Tensor {
	var ts []*Tensor
	for _, t := range p.Tensors {
		if t.Kind == scheme.Input || t.Kind == scheme.Activation {
			ts = append(ts, t)
		}
	}
	return ts
}
