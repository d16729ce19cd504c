package infer

import (
	"slices"
	"strings"

	"narrow/graph"
)

// Batch tells how a network counts samples.
type Batch struct {
	// Inputs holds the axis that counts samples for each input that has one: the
	// first, but for sequences with time in front ([T, N, C]).
	Inputs map[string]int
	// Outputs holds the axis that counts samples for each output of which that
	// is known.
	Outputs map[string]int
	// Size is the number of samples that the network takes at once although its
	// inputs leave it open, as where it is written into a Reshape; 0 for any.
	Size int
}

// Batches finds out how m counts samples: by the names of its inputs' open
// dimensions and the operators that read them, and by inferring shapes for two
// and for three samples.
func Batches(m *graph.Model) Batch {
	b := Batch{Inputs: map[string]int{}, Outputs: map[string]int{}}
	ix := graph.NewIndex(m.Graph)
	opened := false
	for _, v := range m.Graph.Inputs {
		if !ix.IsInput(v.Name) || len(v.Shape) == 0 {
			continue
		}
		axis := inputAxis(ix, v)
		b.Inputs[v.Name] = axis
		opened = opened || v.Shape[axis].Size < 0
	}
	two, three := b.shapes(m, 2), b.shapes(m, 3)
	merged := false
	for _, v := range m.Graph.Outputs {
		s, t := two[v.Name], three[v.Name]
		if len(s) != len(t) {
			continue
		}
		axis := -1
		for i := range s {
			if s[i].Size == 2 && t[i].Size == 3 {
				axis = i
				break
			}
		}
		if axis >= 0 {
			b.Outputs[v.Name] = axis
			continue
		}
		// Samples that end up behind one another within an inner axis, as by a
		// Reshape to 1,10,-1, belong to no one any more.
		for i := 1; i < len(s); i++ {
			merged = merged || s[i].Size > 0 && 3*s[i].Size == 2*t[i].Size && s[0].Size == t[0].Size
		}
	}
	if opened {
		b.Size = b.only(m, merged)
	}
	return b
}

// only returns the number of samples that the network takes, 0 for any: it
// cannot run with others, or puts out what cannot be told apart (merged).
func (b *Batch) only(m *graph.Model, merged bool) int {
	runs := func(n int64) bool { return Check(b.with(m, n)) == nil }
	if !merged && runs(2) && runs(3) {
		return 0
	}
	first := int64(0) // 0: whatever is wrong, it is not the number of samples
	for _, n := range append([]int64{1}, written(m)...) {
		switch {
		case !runs(n):
		case b.apart(m, n):
			return int(n)
		case first == 0:
			first = n
		}
	}
	return int(first)
}

// apart reports whether every output has n rows for n samples, as far as shapes
// are known: a network that puts out one row for four samples has not.
func (b *Batch) apart(m *graph.Model, n int64) bool {
	shapes := b.shapes(m, n)
	for _, v := range m.Graph.Outputs {
		s := shapes[v.Name]
		if s != nil && !slices.ContainsFunc(s, func(d graph.Dim) bool { return d.Size < 0 || d.Size == n }) {
			return false
		}
	}
	return true
}

// written lists the numbers in a network that may be one of samples, the
// smallest first: a multiple of it may be the size of another axis.
func written(m *graph.Model) []int64 {
	ix := graph.NewIndex(m.Graph)
	var list []int64
	add := func(n int64) {
		if n > 1 && n <= 1<<16 && !slices.Contains(list, n) && len(list) < 16 {
			list = append(list, n)
		}
	}
	for _, n := range m.Graph.Nodes {
		switch {
		case n.Is("Reshape", "Expand"):
			if t := ix.Constant[n.Input(1)]; t != nil {
				if v, err := t.Int64s(); err == nil && len(v) > 0 {
					add(v[0])
				}
			}
		case n.Is("LSTM", "GRU", "RNN"):
			if t := ix.Constant[n.Input(5)]; t != nil && len(t.Dims) == 3 {
				add(t.Dims[1]) // the initial state
			}
		}
	}
	slices.Sort(list)
	return list
}

// shapes infers the shapes of all values for n samples.
func (b *Batch) shapes(m *graph.Model, n int64) map[string][]graph.Dim {
	in := map[string][]graph.Dim{}
	for _, v := range b.with(m, n).Graph.Inputs {
		if v.Shape != nil {
			in[v.Name] = v.Shape
		}
	}
	return Shapes(m, in)
}

// with returns m for n samples.
func (b *Batch) with(m *graph.Model, n int64) *graph.Model {
	g := *m.Graph
	g.Inputs = slices.Clone(g.Inputs)
	named := ""
	for _, v := range g.Inputs {
		if axis, ok := b.Inputs[v.Name]; ok && named == "" {
			named = v.Shape[axis].Param
		}
	}
	for i, v := range g.Inputs {
		axis, ok := b.Inputs[v.Name]
		if !ok {
			continue
		}
		c := *v
		c.Shape = slices.Clone(v.Shape)
		c.Shape[axis] = size(n)
		if named != "" {
			c.Shape = Fixed(c.Shape, named, n)
		}
		g.Inputs[i] = &c
	}
	other := *m
	other.Graph = &g
	return &other
}

// inputAxis returns the axis of an input that counts samples: the first, unless
// that one is fixed and one other is open that is the batch, by its name or by
// the operator that reads it.
func inputAxis(ix *graph.Index, v *graph.Value) int {
	if v.Shape[0].Size < 0 {
		return 0
	}
	axis := -1
	for i, d := range v.Shape {
		if d.Size < 0 {
			if axis >= 0 {
				return 0
			}
			axis = i
		}
	}
	if axis < 0 {
		return 0
	}
	name := strings.ToLower(v.Shape[axis].Param)
	switch {
	case slices.Contains([]string{"n", "b", "bs"}, name) || strings.Contains(name, "batch"):
		return axis
	case name != "" && !strings.HasPrefix(name, "unk") && !strings.HasPrefix(name, "dynamic"):
		return 0 // it has a name, and another one
	}
	for _, n := range ix.Consumers[v.Name] {
		if n.Is("LSTM", "GRU", "RNN") && n.Input(0) == v.Name && n.Int("layout", 0) == 0 && axis == 1 {
			return axis
		}
	}
	return 0
}
