package graph

import "slices"

// ReplaceReads makes n read new in the place of old, in its subgraphs too
// where they do not define old themselves.
func ReplaceReads(n *Node, old, new string) {
	for i, in := range n.Inputs {
		if in == old {
			n.Inputs[i] = new
		}
	}
	for _, sub := range n.Subgraphs() {
		if defines(sub, old) {
			continue // another value of that name
		}
		for _, inner := range sub.Nodes {
			ReplaceReads(inner, old, new)
		}
		for i, v := range sub.Outputs {
			if v.Name == old {
				renamed := *v
				renamed.Name = new
				sub.Outputs[i] = &renamed
			}
		}
	}
}

// defines reports whether g itself makes a value of that name.
func defines(g *Graph, name string) bool {
	is := func(v *Value) bool { return v.Name == name }
	return slices.ContainsFunc(g.Inputs, is) || g.Initializer(name) != nil ||
		slices.ContainsFunc(g.Nodes, func(n *Node) bool { return slices.Contains(n.Outputs, name) })
}
