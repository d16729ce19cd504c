package infer

import (
	"math"
	"slices"

	"narrow/graph"
)

func (f *frame) rangeLen(n *graph.Node) graph.Dim {
	var v [3]elem
	for i := range v {
		e, ok := f.valueOf(n.Input(i))
		if !ok || len(e) != 1 {
			return open
		}
		v[i] = e[0]
	}
	start, limit, step := v[0], v[1], v[2]
	switch {
	case start.known && start.v == 0 && step.known && step.v == 1 && !limit.known:
		return limit.dim()
	case !start.known || !limit.known || !step.known || step.v == 0:
		return open
	}
	count := math.Ceil((limit.v - start.v) / step.v)
	if math.IsNaN(count) || count > maxDim {
		return open
	}
	return graph.Dim{Size: int64(math.Max(0, count))}
}

func (f *frame) topK(n *graph.Node, x []graph.Dim) {
	axis, ok := axisOf(n.Int("axis", -1), len(x))
	if !ok {
		return
	}
	out := slices.Clone(x)
	out[axis] = open
	if k, given, ok := f.attrOrInput(n, "k", 1); given && ok && len(k) == 1 && k[0] >= 0 {
		out[axis] = graph.Dim{Size: k[0]}
	}
	f.setShape(n, 0, out)
	f.setShape(n, 1, out)
}

func (f *frame) oneHot(n *graph.Node, x []graph.Dim) {
	if x == nil {
		return
	}
	axis, ok := axisOf(n.Int("axis", -1), len(x)+1)
	if !ok {
		return
	}
	depth := open
	if d, ok := f.valueOf(n.Input(1)); ok && len(d) == 1 {
		depth = d[0].dim()
	}
	f.setShape(n, 0, join(x[:axis], []graph.Dim{depth}, x[axis:]))
}

func (f *frame) recurrent(n *graph.Node, x []graph.Dim) {
	if len(x) != 3 {
		return
	}
	directions := graph.Dim{Size: 1}
	if n.Str("direction", "forward") == "bidirectional" {
		directions.Size = 2
	}
	hidden := graph.Dim{Size: n.Int("hidden_size", -1)}
	if r := f.shapeOf(n.Input(2)); hidden.Size < 0 && len(r) == 3 {
		hidden = r[2]
	}
	length, batch := x[0], x[1]
	if n.Int("layout", 0) != 0 {
		length, batch = batch, length
		f.setShape(n, 0, []graph.Dim{batch, length, directions, hidden})
		f.setShape(n, 1, []graph.Dim{batch, directions, hidden})
		f.setShape(n, 2, []graph.Dim{batch, directions, hidden})
		return
	}
	f.setShape(n, 0, []graph.Dim{length, directions, batch, hidden})
	f.setShape(n, 1, []graph.Dim{directions, batch, hidden})
	f.setShape(n, 2, []graph.Dim{directions, batch, hidden})
}

// attention shapes the output of the standard Attention operator.
func (f *frame) attention(n *graph.Node, q []graph.Dim) {
	v := f.shapeOf(n.Input(2))
	switch {
	case len(q) == 4 && len(v) == 4:
		f.setShape(n, 0, []graph.Dim{q[0], q[1], q[2], v[3]})
	case len(q) == 3 && len(v) == 3:
		heads, kv := n.Int("q_num_heads", 0), n.Int("kv_num_heads", 0)
		last := open
		if v[2].Size >= 0 && heads > 0 && kv > 0 && heads < 1<<20 && v[2].Size < 1<<40 {
			last = graph.Dim{Size: v[2].Size / kv * heads}
		}
		f.setShape(n, 0, []graph.Dim{q[0], q[1], last})
	}
}
