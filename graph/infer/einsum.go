package infer

import (
	"slices"
	"strings"

	"narrow/graph"
)

// einsum reads the equation: letters name dimensions, an ellipsis stands for
// those that broadcast, and without "->" the letters that occur once are put
// out in alphabetical order.
func (f *frame) einsum(n *graph.Node) []graph.Dim {
	equation := strings.ReplaceAll(n.Str("equation", ""), " ", "")
	left, right, explicit := strings.Cut(equation, "->")
	terms := strings.Split(left, ",")
	if len(terms) != len(n.Inputs) {
		return nil
	}
	sizes := map[byte]graph.Dim{}
	counts := map[byte]int{}
	spread := []graph.Dim{}
	hasSpread := false
	for k, term := range terms {
		shape := f.shapeOf(n.Inputs[k])
		if shape == nil {
			return nil
		}
		head, tail, dots := strings.Cut(term, "...")
		extra := len(shape) - len(head) - len(tail)
		if extra < 0 || !dots && extra != 0 {
			return nil
		}
		note := func(letters string, dims []graph.Dim) {
			for i := range len(letters) {
				counts[letters[i]]++
				if old, ok := sizes[letters[i]]; !ok || old.Size < 0 && dims[i].Size >= 0 || old.Size == 1 {
					sizes[letters[i]] = dims[i]
				}
			}
		}
		note(head, shape)
		note(tail, shape[len(head)+extra:])
		if dots {
			hasSpread = true
			if spread = broadcast(spread, shape[len(head):len(head)+extra]); spread == nil {
				return nil
			}
		}
	}
	if !explicit {
		var once []byte
		for c, k := range counts {
			if k == 1 {
				once = append(once, c)
			}
		}
		slices.Sort(once)
		right = string(once)
		if hasSpread {
			right = "..." + right
		}
	}
	out := []graph.Dim{}
	head, tail, dots := strings.Cut(right, "...")
	for i := range len(head) {
		out = append(out, sized(sizes, head[i]))
	}
	if dots {
		out = append(out, spread...)
		for i := range len(tail) {
			out = append(out, sized(sizes, tail[i]))
		}
	}
	return out
}

func sized(sizes map[byte]graph.Dim, c byte) graph.Dim {
	if d, ok := sizes[c]; ok {
		return d
	}
	return open
}
