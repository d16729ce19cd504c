package infer

import (
	"narrow/graph"
	"narrow/graph/op"
)

// over returns the size of the result of a window over a dimension.
func over(w op.Window, in graph.Dim) graph.Dim {
	if !w.Sane() {
		return open
	}
	if in.Size < 0 {
		same := w.Auto == "SAME_UPPER" || w.Auto == "SAME_LOWER" ||
			w.Auto != "VALID" && w.Before+w.After == w.Extent()-1
		if same && w.Stride == 1 {
			return in
		}
		return open
	}
	if out, ok := w.Out(in.Size); ok {
		return graph.Dim{Size: out}
	}
	return open
}

// kernelOf returns the kernel's sizes: the attribute, else those of weights.
func kernelOf(n *graph.Node, weights []graph.Dim) []int64 {
	var dims []int64
	for _, d := range weights {
		dims = append(dims, d.Size)
	}
	return op.Kernel(n, dims)
}

func (f *frame) conv(n *graph.Node, x, w []graph.Dim) []graph.Dim {
	kernel := kernelOf(n, w)
	if len(x) < 3 || len(kernel) != len(x)-2 {
		return nil
	}
	out := []graph.Dim{x[0], open}
	if len(w) > 0 {
		out[1] = w[0]
	}
	for i, win := range op.Windows(n, kernel) {
		out = append(out, over(win, x[2+i]))
	}
	return out
}

func (f *frame) pool(n *graph.Node, x []graph.Dim) []graph.Dim {
	kernel := op.Kernel(n, nil)
	if len(x) < 3 || len(kernel) != len(x)-2 {
		return nil
	}
	out := []graph.Dim{x[0], x[1]}
	for i, win := range op.Windows(n, kernel) {
		out = append(out, over(win, x[2+i]))
	}
	return out
}

func (f *frame) convTranspose(n *graph.Node, x, w []graph.Dim) []graph.Dim {
	kernel := kernelOf(n, w)
	if len(x) < 3 || len(kernel) != len(x)-2 {
		return nil
	}
	out := []graph.Dim{x[0], open}
	if len(w) > 1 && w[1].Size >= 0 {
		out[1] = times(w[1], graph.Dim{Size: int64(max(op.Groups(n), -1))})
	}
	asked := n.Ints("output_shape")
	for i, win := range op.Windows(n, kernel) {
		in := x[2+i].Size
		if len(asked) > 0 {
			// Some files give all dimensions, some only those of space.
			if k := len(asked) - len(kernel) + i; k >= 0 {
				out = append(out, graph.Dim{Size: asked[k]})
				continue
			}
		}
		if in < 0 || !win.Sane() {
			out = append(out, open)
			continue
		}
		out = append(out, graph.Dim{Size: max(win.OutTransposed(in), -1)})
	}
	return out
}
