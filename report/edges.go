package report

import (
	"slices"

	"narrow/graph"
	"narrow/plan"
)

// owners returns the layer of every node that has one.
func (b *builder) owners() map[*graph.Node]int {
	of := map[*graph.Node]int{}
	for i, l := range b.plan.Layers {
		for _, n := range l.Nodes {
			of[n] = i
		}
	}
	return of
}

// inputs returns for every layer those whose results it reads, in network order.
// Nodes that are in no layer are passed through.
func (b *builder) inputs() [][]int {
	ix := graph.NewIndex(b.plan.Model.Graph)
	of := b.owners()
	entry := map[string]int{}
	for i, l := range b.plan.Layers {
		if l.Node == nil {
			entry[l.Output] = i
		}
	}
	all := make([][]int, len(b.plan.Layers))
	for i, l := range b.plan.Layers {
		seen := map[*graph.Node]bool{}
		var look func(n *graph.Node)
		add := func(from int) {
			if from != i && !slices.Contains(all[i], from) {
				all[i] = append(all[i], from)
			}
		}
		look = func(n *graph.Node) {
			if seen[n] {
				return
			}
			seen[n] = true
			for _, in := range n.Inputs {
				p := ix.Producer[in]
				if from, ok := entry[in]; ok {
					add(from)
				} else if p == nil {
					continue // a constant
				} else if from, ok := of[p]; ok {
					add(from)
				} else {
					look(p)
				}
			}
		}
		for _, n := range l.Nodes {
			look(n)
		}
		slices.Sort(all[i])
	}
	return all
}

// results returns for every layer the tensor that stores its result, -1 where
// nothing does.
func (b *builder) results() []int {
	at := map[*plan.Tensor]int{}
	for i, t := range b.plan.Tensors {
		at[t] = i
	}
	all := make([]int, len(b.plan.Layers))
	for i, l := range b.plan.Layers {
		all[i] = slices.IndexFunc(b.plan.Tensors, func(t *plan.Tensor) bool { return t.Name == l.Output && t.Constant == nil && t.Uses == nil })
	}
	of := b.owners()
	for _, o := range b.plan.Operations {
		if i, ok := of[o.Node]; ok && o.Output != nil {
			all[i] = at[o.Output]
		}
	}
	return all
}
