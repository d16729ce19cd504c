package plan

import (
	"slices"

	"narrow/diag"
	"narrow/graph"
	"narrow/scheme"
)

// Role says what a tap is for. The zero value is invalid.
type Role int

const (
	// Quantize taps hold a quantized input or activation.
	Quantize Role = iota + 1
	// Compare taps hold an operation's result, and as a second input that of
	// its side version. Only the first is passed on.
	Compare
)

// Tap is one Tap node of a simulation.
type Tap struct {
	Role Role
	// Tensor is the quantized tensor of a Quantize tap.
	Tensor *Tensor
	// Operation is that of a Compare tap.
	Operation *Operation
}

// Simulation is the network with a tap at every quantized activation.
type Simulation struct {
	Model *graph.Model
	// Taps describe Model's Tap nodes, in graph order.
	Taps []Tap
	// TapOf is the place in Taps of Model's Tap nodes.
	TapOf map[*graph.Node]int
	// NodeOf maps each node of the plan's model to its own in Model.
	NodeOf map[*graph.Node]*graph.Node
	// ConstantOf names the constant of Model that replaces a plan's one.
	ConstantOf map[*Tensor]string
}

// SimulationOptions say how constants are replaced.
type SimulationOptions struct {
	// Replace holds the constants to compute with in the place of the float
	// ones, in the main network.
	Replace map[*Tensor]*graph.Tensor
	// Compare are the operations that run twice: besides the network's own
	// with Replace's constants, a side version with Other's; both with the
	// same inputs. A Compare tap follows.
	Compare []*Operation
	// CompareSamples, where it is not 0, is on how many samples of a batch the
	// side version of a convolution runs: the first ones.
	CompareSamples int
	// Other holds the side versions' constants; the float ones where it has none.
	Other map[*Tensor]*graph.Tensor
}

// Simulation returns the network of the plan with a Tap node at every
// quantized input and activation, each reader reading the tap's output. Values
// keep their names behind the tap; a network input keeps its name before it.
func (p *Plan) Simulation(o SimulationOptions) (*Simulation, error) {
	m := p.Model.Clone()
	g := m.Graph
	clone := make(map[*graph.Node]*graph.Node, len(g.Nodes))
	for i, n := range p.Model.Graph.Nodes {
		clone[n] = g.Nodes[i]
	}
	ix := graph.NewIndex(g)
	fresh := graph.Fresh(g)
	isInput := map[string]bool{}
	for _, v := range g.Inputs {
		isInput[v.Name] = true
	}

	after := map[*graph.Node][]*graph.Node{}  // taps behind a node
	before := map[*graph.Node][]*graph.Node{} // taps before a node
	var first []*graph.Node
	tapOf := map[*graph.Node]Tap{}
	constantOf := map[*Tensor]string{}
	newTap := func(t Tap, name, in, out string) *graph.Node {
		n := &graph.Node{Name: fresh("narrow.tap." + name), Domain: graph.TapDomain, OpType: graph.TapOp, Inputs: []string{in}, Outputs: []string{out}, Rule: "tap"}
		tapOf[n] = t
		return n
	}
	tap := func(t *Tensor, in, out string) *graph.Node {
		return newTap(Tap{Role: Quantize, Tensor: t}, t.Name, in, out)
	}
	store := func(t *Tensor, c *graph.Tensor, suffix string) string {
		nc := *c
		nc.Name = fresh(t.Name + suffix)
		g.Initializers = append(g.Initializers, &nc)
		return nc.Name
	}

	for _, t := range p.Tensors {
		switch {
		case t.Constant != nil:
			c := o.Replace[t]
			if c == nil {
				continue
			}
			name := store(t, c, ".quantized")
			constantOf[t] = name
			for _, u := range t.Uses {
				clone[u.Node].Inputs[u.Input] = name
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
				graph.ReplaceReads(n, t.Name, out)
			}
			first = append(first, tap(t, t.Name, out))
		default:
			raw := fresh(t.Name + ".float")
			producer := ix.Producer[t.Name]
			if producer == nil {
				return nil, diag.Errorf("no node outputs %q", t.Name)
			}
			producer.Outputs[slices.Index(producer.Outputs, t.Name)] = raw
			after[producer] = append(after[producer], tap(t, raw, t.Name))
		}
	}
	for _, op := range o.Compare {
		last := clone[op.Nodes[len(op.Nodes)-1]]
		side := make([]*graph.Node, len(op.Nodes))
		rename := map[string]string{}
		for i, n := range op.Nodes {
			c := clone[n].Clone()
			c.Name = fresh(n.Name + ".side")
			for j, in := range c.Inputs {
				if r := rename[in]; r != "" {
					c.Inputs[j] = r
				}
			}
			for j, out := range c.Outputs {
				rename[out] = fresh(n.Outputs[j] + ".side")
				c.Outputs[j] = rename[out]
			}
			for _, t := range []*Tensor{op.Weights, op.Bias} {
				for _, u := range usesOf(t, n) {
					c.Inputs[u.Input] = n.Inputs[u.Input]
					if other := o.Other[t]; other != nil {
						c.Inputs[u.Input] = store(t, other, ".side")
					}
				}
			}
			side[i] = c
		}
		if o.CompareSamples > 0 && (op.Op == "Conv" || op.Op == "ConvTranspose") {
			in := side[0].Inputs[0]
			some := fresh(in + ".some")
			slice := &graph.Node{Name: fresh("narrow.some." + in), OpType: "Slice", Inputs: []string{in}, Outputs: []string{some}, Rule: "tap"}
			if m.Opsets[""] >= 10 {
				bound := func(what string, v int64) string {
					t := graph.NewInts(fresh(some+"."+what), []int64{1}, []int64{v})
					g.Initializers = append(g.Initializers, t)
					return t.Name
				}
				slice.Inputs = append(slice.Inputs, bound("starts", 0), bound("ends", int64(o.CompareSamples)), bound("axes", 0))
			} else {
				for name, v := range map[string]int64{"starts": 0, "ends": int64(o.CompareSamples), "axes": 0} {
					slice.SetAttr(&graph.Attr{Name: name, Kind: graph.AttrInts, Ints: []int64{v}})
				}
			}
			side[0].Inputs[0] = some
			side = append([]*graph.Node{slice}, side...)
		}
		out := last.Outputs[0]
		raw := fresh(out + ".uncorrected")
		last.Outputs[0] = raw
		// One tap for both: an engine may run two taps in any order.
		pair := newTap(Tap{Role: Compare, Operation: op}, out, raw, out)
		pair.Inputs = append(pair.Inputs, side[len(side)-1].Outputs[0])
		behind := append(side, pair)
		after[last] = append(behind, after[last]...)
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
	g.DropUnused()
	if m.Opsets == nil {
		m.Opsets = map[string]int64{}
	}
	m.Opsets[graph.TapDomain] = 1
	s := &Simulation{Model: m, TapOf: map[*graph.Node]int{}, NodeOf: clone, ConstantOf: constantOf}
	for _, n := range nodes {
		if t, ok := tapOf[n]; ok {
			s.TapOf[n] = len(s.Taps)
			s.Taps = append(s.Taps, t)
		}
	}
	return s, nil
}

// usesOf returns the inputs of n that read constant t, which may be nil.
func usesOf(t *Tensor, n *graph.Node) []Use {
	if t == nil {
		return nil
	}
	var us []Use
	for _, u := range t.Uses {
		if u.Node == n {
			us = append(us, u)
		}
	}
	return us
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
