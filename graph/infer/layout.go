package infer

import (
	"math"
	"slices"

	"narrow/graph"
)

// reshape applies the wanted shape: 0 copies, one -1 takes what is left.
func (f *frame) reshape(n *graph.Node, x []graph.Dim) []graph.Dim {
	v, ok := f.valueOf(n.Input(1))
	if !ok {
		// Only the rank may be known, by the length of the wanted shape.
		if s := f.shapeOf(n.Input(1)); len(s) == 1 && s[0].Size >= 0 && s[0].Size <= maxRank {
			return openShape(int(s[0].Size))
		}
		return nil
	}
	out := dims(v)
	rest := -1
	for i, e := range v {
		if i >= len(out) {
			return nil
		}
		switch {
		case e.known && e.v == 0 && n.Int("allowzero", 0) == 0:
			out[i] = open
			if i < len(x) {
				out[i] = x[i]
			}
		case e.known && e.v == -1:
			rest, out[i] = i, open
		}
	}
	// An element that is not known may be the one that takes what is left.
	if rest < 0 {
		unknown := 0
		for i, d := range out {
			if d.Size < 0 && d.Param == "" {
				rest = i
				unknown++
			}
		}
		if unknown != 1 {
			return out
		}
	}
	if x != nil {
		out[rest] = quotient(x, join(out[:rest], out[rest+1:]))
	}
	return out
}

// quotient divides the number of elements of one shape by that of another,
// cancelling open dimensions by name.
func quotient(a, b []graph.Dim) graph.Dim {
	size := int64(1)
	names := map[string]int{}
	for _, d := range a {
		switch {
		case d.Size == 0 || d.Size < 0 && d.Param == "" || d.Size > 0 && size > math.MaxInt64/d.Size:
			return open
		case d.Size < 0:
			names[d.Param]++
		default:
			size *= d.Size
		}
	}
	by := int64(1)
	for _, d := range b {
		switch {
		case d.Size == 0 || d.Size < 0 && d.Param == "" || d.Size > 0 && by > math.MaxInt64/d.Size:
			return open
		case d.Size < 0:
			names[d.Param]--
		default:
			by *= d.Size
		}
	}
	left := ""
	for name, k := range names {
		switch {
		case k == 0:
		case k == 1 && left == "" && name != "":
			left = name
		default:
			return open
		}
	}
	switch {
	case size%by != 0:
		return open
	case left == "":
		return graph.Dim{Size: size / by}
	case size == by:
		return graph.Dim{Size: -1, Param: left}
	}
	return open
}

// flatten makes a matrix of what stands before an axis and from it on. The axis
// may be the rank, with nothing after it.
func flatten(n *graph.Node, x []graph.Dim) []graph.Dim {
	if x == nil {
		return openShape(2)
	}
	axis := n.Int("axis", 1)
	if axis < 0 {
		axis += int64(len(x))
	}
	if axis < 0 || axis > int64(len(x)) {
		return nil
	}
	return []graph.Dim{product(x[:axis]), product(x[axis:])}
}

func transpose(n *graph.Node, x []graph.Dim) []graph.Dim {
	if x == nil {
		return nil
	}
	perm := n.Ints("perm")
	out := make([]graph.Dim, len(x))
	if perm == nil {
		for i, d := range x {
			out[len(x)-1-i] = d
		}
		return out
	}
	if len(perm) != len(x) {
		return nil
	}
	for i, p := range perm {
		axis, ok := axisOf(p, len(x))
		if !ok {
			return nil
		}
		out[i] = x[axis]
	}
	return out
}

func (f *frame) concat(n *graph.Node) []graph.Dim {
	var out []graph.Dim
	axis := 0
	for k, in := range n.Inputs {
		s := f.shapeOf(in)
		if s == nil {
			return nil
		}
		if k == 0 {
			var ok bool
			if axis, ok = axisOf(n.Int("axis", 1), len(s)); !ok {
				return nil
			}
			out = slices.Clone(s)
			continue
		}
		if len(s) != len(out) {
			return nil
		}
		for i, d := range s {
			switch {
			case i == axis && (out[i].Size < 0 || d.Size < 0):
				out[i] = open
			case i == axis && out[i].Size > maxDim: // adding up goes no further: it is refused
			case i == axis:
				out[i].Size += d.Size
			case out[i].Size < 0 && (d.Size >= 0 || out[i].Param == ""):
				out[i] = d
			}
		}
	}
	return out
}

func (f *frame) squeeze(n *graph.Node, x []graph.Dim) []graph.Dim {
	if x == nil {
		return nil
	}
	axes, given, ok := f.attrOrInput(n, "axes", 1)
	if !ok {
		return nil
	}
	if !given {
		out := []graph.Dim{}
		for _, d := range x {
			if d.Size < 0 {
				return nil
			}
			if d.Size != 1 {
				out = append(out, d)
			}
		}
		return out
	}
	return drop(x, axes, false)
}

// drop removes axes, or makes them 1 with keep.
func drop(x []graph.Dim, axes []int64, keep bool) []graph.Dim {
	if x == nil {
		return nil
	}
	gone := make([]bool, len(x))
	for _, a := range axes {
		axis, ok := axisOf(a, len(x))
		if !ok {
			return nil
		}
		gone[axis] = true
	}
	out := []graph.Dim{}
	for i, d := range x {
		switch {
		case !gone[i]:
			out = append(out, d)
		case keep:
			out = append(out, graph.Dim{Size: 1})
		}
	}
	return out
}

func (f *frame) unsqueeze(n *graph.Node, x []graph.Dim) []graph.Dim {
	axes, given, ok := f.attrOrInput(n, "axes", 1)
	if x == nil || !given || !ok || len(axes) > maxRank {
		return nil
	}
	rank := len(x) + len(axes)
	added := make([]bool, rank)
	for _, a := range axes {
		axis, ok := axisOf(a, rank)
		if !ok || added[axis] {
			return nil
		}
		added[axis] = true
	}
	out := make([]graph.Dim, 0, rank)
	for _, is := range added {
		if is {
			out = append(out, graph.Dim{Size: 1})
		} else {
			out = append(out, x[0])
			x = x[1:]
		}
	}
	return out
}

func (f *frame) reduce(n *graph.Node, x []graph.Dim) []graph.Dim {
	if x == nil {
		return nil
	}
	axes, given, ok := f.attrOrInput(n, "axes", 1)
	keep := n.Int("keepdims", 1) != 0
	if !ok {
		if keep {
			return openShape(len(x))
		}
		return nil
	}
	if !given || len(axes) == 0 {
		if n.Int("noop_with_empty_axes", 0) != 0 {
			return x
		}
		axes = nil
		for i := range x {
			axes = append(axes, int64(i))
		}
	}
	return drop(x, axes, keep)
}

func gatherND(n *graph.Node, x, index []graph.Dim) []graph.Dim {
	if len(x) == 0 || len(index) == 0 {
		return nil
	}
	last := index[len(index)-1].Size
	batch := n.Int("batch_dims", 0)
	if last < 0 || batch < 0 || batch > int64(len(x)) || last > int64(len(x))-batch {
		return nil
	}
	return join(index[:len(index)-1], x[batch+last:])
}

func (f *frame) tile(n *graph.Node, x []graph.Dim) []graph.Dim {
	if x == nil {
		return nil
	}
	repeats, ok := f.valueOf(n.Input(1))
	if !ok {
		return openShape(len(x))
	}
	if len(repeats) != len(x) {
		return nil
	}
	out := make([]graph.Dim, len(x))
	for i, d := range x {
		out[i] = times(d, repeats[i].dim())
	}
	return out
}

func depthSpace(n *graph.Node, x []graph.Dim) []graph.Dim {
	b := n.Int("blocksize", 0)
	if len(x) != 4 || b <= 0 || b > 1<<15 {
		return nil
	}
	out := slices.Clone(x)
	scale := func(d graph.Dim, up bool, by int64) graph.Dim {
		switch {
		case d.Size < 0 || up && d.Size > maxDim/by:
			return open
		case up:
			return graph.Dim{Size: d.Size * by}
		}
		return graph.Dim{Size: d.Size / by}
	}
	up := n.OpType == "DepthToSpace"
	out[1] = scale(x[1], !up, b*b)
	out[2] = scale(x[2], up, b)
	out[3] = scale(x[3], up, b)
	return out
}
