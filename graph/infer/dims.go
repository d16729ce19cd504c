package infer

import (
	"math"
	"slices"

	"narrow/graph"
)

// axisOf counts negative axes from the end; ok tells whether the axis exists.
func axisOf(axis int64, rank int) (int, bool) {
	if axis < 0 {
		axis += int64(rank)
	}
	return int(axis), axis >= 0 && axis < int64(rank)
}

// join puts shapes together. Unlike slices.Concat it never returns nil, which
// would mean that the rank is unknown.
func join(parts ...[]graph.Dim) []graph.Dim {
	out := []graph.Dim{}
	for _, p := range parts {
		out = append(out, p...)
	}
	return out
}

func openShape(rank int) []graph.Dim {
	out := make([]graph.Dim, rank)
	for i := range out {
		out[i] = open
	}
	return out
}

// dims turns elements into a shape.
func dims(v []elem) []graph.Dim {
	if len(v) > maxRank {
		return nil
	}
	out := make([]graph.Dim, len(v))
	for i, e := range v {
		out[i] = e.dim()
	}
	return out
}

// Elements returns how many elements a shape has, where all its dimensions are known.
func Elements(shape []graph.Dim) (int64, bool) {
	if shape == nil {
		return 0, false
	}
	p := product(shape)
	return p.Size, p.Size >= 0
}

// product multiplies dimensions. A single open one among ones keeps its name.
func product(shape []graph.Dim) graph.Dim {
	p := graph.Dim{Size: 1}
	for _, d := range shape {
		p = times(p, d)
	}
	return p
}

func times(a, b graph.Dim) graph.Dim {
	switch {
	case a.Size == 1:
		return b
	case b.Size == 1:
		return a
	case a.Size < 0 || b.Size < 0:
		return open
	case b.Size > 0 && a.Size > math.MaxInt64/b.Size:
		return open
	}
	return graph.Dim{Size: a.Size * b.Size}
}

func (f *frame) broadcastInputs(n *graph.Node) []graph.Dim {
	out := []graph.Dim{}
	for _, in := range n.Inputs {
		s := f.shapeOf(in)
		if s == nil {
			return nil
		}
		out = broadcast(out, s)
	}
	return out
}

// broadcast joins two shapes as numpy does, nil where they do not fit.
func broadcast(a, b []graph.Dim) []graph.Dim {
	if a == nil || b == nil {
		return nil
	}
	if len(a) < len(b) {
		a, b = b, a
	}
	out := slices.Clone(a)
	for i, d := range b {
		k := len(a) - len(b) + i
		switch e := a[k]; {
		case e == d && (d.Size >= 0 || d.Param != ""), d.Size == 1:
		case e.Size == 1:
			out[k] = d
		case e.Size < 0 && d.Size < 0:
			out[k] = open
		case e.Size < 0:
			out[k] = d
		case d.Size >= 0 && e.Size != d.Size:
			return nil
		}
	}
	return out
}
