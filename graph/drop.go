package graph

import (
	"maps"
	"slices"
)

// DropUnused removes the initializers that nothing reads, along with the graph
// inputs of the same name that older files list them as, and the types of
// values that are gone. It returns the names of the initializers.
func (g *Graph) DropUnused() []string {
	used := map[string]bool{}
	for _, n := range g.Nodes {
		for _, in := range Reads(n) {
			used[in] = true
		}
	}
	for _, v := range g.Outputs {
		used[v.Name] = true
	}
	var dropped []string
	gone := map[string]bool{}
	g.Initializers = slices.DeleteFunc(slices.Clone(g.Initializers), func(t *Tensor) bool {
		if !used[t.Name] {
			dropped = append(dropped, t.Name)
			gone[t.Name] = true
		}
		return !used[t.Name]
	})
	g.Inputs = slices.DeleteFunc(slices.Clone(g.Inputs), func(v *Value) bool { return gone[v.Name] })
	for _, n := range g.Nodes {
		for _, o := range n.Outputs {
			used[o] = true
		}
	}
	for _, v := range g.Inputs {
		used[v.Name] = true
	}
	maps.DeleteFunc(g.Values, func(name string, _ *Value) bool { return !used[name] })
	return dropped
}
