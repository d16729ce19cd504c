package export

import (
	"fmt"

	"narrow/graph"
)

// namer hands out names that nothing else in a model has.
type namer struct{ used map[string]bool }

// newNamer knows every name of m: values, tensors and nodes, those of the
// graphs inside included.
func newNamer(m *graph.Model) *namer {
	n := &namer{used: map[string]bool{}}
	n.graph(m.Graph)
	return n
}

func (n *namer) graph(g *graph.Graph) {
	for _, v := range g.Inputs {
		n.used[v.Name] = true
	}
	for _, v := range g.Outputs {
		n.used[v.Name] = true
	}
	for _, t := range g.Initializers {
		n.used[t.Name] = true
	}
	for _, x := range g.Nodes {
		n.used[x.Name] = true
		for _, o := range x.Outputs {
			n.used[o] = true
		}
		for _, sub := range x.Subgraphs() {
			n.graph(sub)
		}
	}
}

// fresh returns name, or the first of name_1, name_2 ... that is free, and
// takes it.
func (n *namer) fresh(name string) string {
	c := name
	for i := 1; n.used[c] || c == ""; i++ {
		c = fmt.Sprintf("%s_%d", name, i)
	}
	n.used[c] = true
	return c
}
