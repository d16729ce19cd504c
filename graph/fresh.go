package graph

import "fmt"

// Fresh returns a function that returns names which no value, node or
// initializer of g and the graphs inside has, each but once: name itself where
// it is free, else with a number behind it. It never returns the empty name,
// which stands for an operand that is left out.
func Fresh(g *Graph) func(name string) string {
	used := map[string]bool{"": true}
	addNames(used, g)
	next := map[string]int{} // the numbers before are taken
	return func(name string) string {
		c := name
		for used[c] {
			next[name]++
			c = fmt.Sprintf("%s_%d", name, next[name])
		}
		used[c] = true
		return c
	}
}

func addNames(used map[string]bool, g *Graph) {
	for _, vs := range [][]*Value{g.Inputs, g.Outputs} {
		for _, v := range vs {
			used[v.Name] = true
		}
	}
	for _, t := range g.Initializers {
		used[t.Name] = true
	}
	for name := range g.Values {
		used[name] = true
	}
	for _, n := range g.Nodes {
		used[n.Name] = true
		for _, names := range [][]string{n.Inputs, n.Outputs} {
			for _, v := range names {
				used[v] = true
			}
		}
		for _, sub := range n.Subgraphs() {
			addNames(used, sub)
		}
	}
}
