package graph

import "fmt"

// UniqueNames gives nodes of g that have the name of one before them a name of
// their own: the name with the next free number. Graphs inside are gone through
// each by itself. Nodes without a name stay so.
func (g *Graph) UniqueNames() {
	used := make(map[string]bool, len(g.Nodes))
	for _, n := range g.Nodes {
		used[n.Name] = true
	}
	seen := make(map[string]bool, len(g.Nodes))
	next := map[string]int{}
	for _, n := range g.Nodes {
		if base := n.Name; base != "" && seen[base] {
			for used[n.Name] {
				next[base]++
				n.Name = fmt.Sprintf("%s_%d", base, next[base])
			}
			used[n.Name] = true
		}
		seen[n.Name] = true
		for _, sub := range n.Subgraphs() {
			sub.UniqueNames()
		}
	}
}
