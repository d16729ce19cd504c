package evaluate

import "narrow/graph"

// ranker returns the TopK in whose order an output's rows stand, or nil: what is between
// them puts values together, moves them, or computes indices.
func ranker(ix *graph.Index, output string) *graph.Node {
	seen := map[string]bool{}
	for next := []string{output}; len(next) > 0; {
		v := next[len(next)-1]
		next = next[:len(next)-1]
		n := ix.Producer[v]
		switch {
		case n == nil || seen[v] || n.Domain != "":
		case n.Is("TopK"):
			return n
		case n.Is("Concat", "Gather", "GatherElements", "GatherND", "Cast", "Add", "Mul", "Div", "Mod", "Sub", "Reshape", "Flatten", "Squeeze",
			"Unsqueeze", "Transpose", "Slice", "Split", "Identity", "Expand", "Tile"):
			next = append(next, n.Inputs...)
		}
		seen[v] = true
	}
	return nil
}
