package graph

import (
	"container/heap"
	"fmt"
	"slices"
	"sort"
	"strings"

	"narrow/diag"
)

// Sort puts g's nodes, and those of the graphs inside them, into topological
// order. It is stable: a sorted graph stays as it is, and otherwise the first
// node in the present order that is ready comes next. Values that no node of g
// puts out count as ready. An error names the nodes of a cycle; g is then as
// it was.
func (g *Graph) Sort() error {
	order, err := g.order()
	if err != nil {
		return err
	}
	for _, n := range g.Nodes {
		for _, sub := range n.Subgraphs() {
			if err := sub.Sort(); err != nil {
				return diag.Errorf("node %q: %w", n.Label(), err)
			}
		}
	}
	g.Nodes = order
	return nil
}

// order returns g's nodes in topological order: Kahn's algorithm with a heap
// over the present positions, so that the result is the smallest in the sense
// of that order.
func (g *Graph) order() ([]*Node, error) {
	producer := map[string]int{}
	for i, n := range g.Nodes {
		for _, o := range n.Outputs {
			if o != "" {
				producer[o] = i
			}
		}
	}
	waits := make([]int, len(g.Nodes))     // how many producers node i still waits for
	feeds := make([][]int, len(g.Nodes))   // the nodes that wait for node i
	sources := make([][]int, len(g.Nodes)) // the nodes that node i waits for
	sorted := true
	for i, n := range g.Nodes {
		seen := map[int]bool{}
		for _, in := range Reads(n) {
			p, ok := producer[in]
			if !ok || seen[p] {
				continue
			}
			seen[p] = true
			sorted = sorted && p < i
			waits[i]++
			feeds[p] = append(feeds[p], i)
			sources[i] = append(sources[i], p)
		}
	}
	if sorted {
		return g.Nodes, nil
	}
	var ready intHeap
	for i := range g.Nodes {
		if waits[i] == 0 {
			heap.Push(&ready, i)
		}
	}
	out := make([]*Node, 0, len(g.Nodes))
	for ready.Len() > 0 {
		i := heap.Pop(&ready).(int)
		out = append(out, g.Nodes[i])
		for _, j := range feeds[i] {
			if waits[j]--; waits[j] == 0 {
				heap.Push(&ready, j)
			}
		}
	}
	if len(out) < len(g.Nodes) {
		return nil, g.cycleError(waits, sources)
	}
	return out, nil
}

// cycleError walks back from a node that never became ready until a node
// repeats, and names the nodes in between in the order data would flow.
func (g *Graph) cycleError(waits []int, sources [][]int) error {
	i := slices.IndexFunc(waits, func(w int) bool { return w > 0 })
	at := map[int]int{}
	var path []int
	for {
		if k, ok := at[i]; ok {
			path = path[k:]
			break
		}
		at[i] = len(path)
		path = append(path, i)
		for _, p := range sources[i] {
			if waits[p] > 0 {
				i = p
				break
			}
		}
	}
	slices.Reverse(path)
	const most = 6
	var names []string
	for k, i := range path {
		if k == most {
			names = append(names, fmt.Sprintf("(%d more)", len(path)-most))
			break
		}
		names = append(names, fmt.Sprintf("%q", g.Nodes[i].Label()))
	}
	return diag.Errorf("the nodes %s form a cycle", strings.Join(append(names, names[0]), " -> "))
}

// intHeap is a min-heap of node positions, for container/heap.
type intHeap struct{ sort.IntSlice }

func (h *intHeap) Push(v any) { h.IntSlice = append(h.IntSlice, v.(int)) }

func (h *intHeap) Pop() any {
	last := h.Len() - 1
	v := h.IntSlice[last]
	h.IntSlice = h.IntSlice[:last]
	return v
}
