package graph

import "fmt"

// Fresh returns a function that returns names which no value, node or
// initializer of g's top level has, each but once: name itself where it is
// free, else with a number behind it.
func Fresh(g *Graph) func(name string) string {
	used := map[string]bool{}
	for _, n := range g.Nodes {
		used[n.Name] = true
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
	return func(name string) string {
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
}
