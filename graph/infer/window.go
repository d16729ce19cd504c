package infer

import (
	"narrow/graph"
)

// window is how a convolution or pooling slides over one dimension.
type window struct {
	kernel, stride, dilation, padBegin, padEnd int64
	auto                                       string
	ceil                                       bool
}

// windows reads n's attributes for the given kernel.
func windows(n *graph.Node, kernel []int64) []window {
	at := func(list []int64, i int, def int64) int64 {
		if i < len(list) {
			return list[i]
		}
		return def
	}
	strides, dilations, pads := n.Ints("strides"), n.Ints("dilations"), n.Ints("pads")
	out := make([]window, len(kernel))
	for i, k := range kernel {
		out[i] = window{
			kernel: k, stride: max(at(strides, i, 1), 1), dilation: max(at(dilations, i, 1), 1),
			padBegin: at(pads, i, 0), padEnd: at(pads, i+len(kernel), 0),
			auto: n.Str("auto_pad", "NOTSET"), ceil: n.Int("ceil_mode", 0) != 0,
		}
	}
	return out
}

// sane reports whether all numbers are such that sums and products of them
// with a size do not overflow.
func (w window) sane() bool {
	const most = 1 << 20
	return w.kernel > 0 && w.kernel < most && w.stride < most && w.dilation < most &&
		max(w.padBegin, w.padEnd) < most && min(w.padBegin, w.padEnd) > -most
}

// extent is how many elements the kernel reaches over.
func (w window) extent() int64 { return (w.kernel-1)*w.dilation + 1 }

// over returns the output's size over a dimension.
func (w window) over(in graph.Dim) graph.Dim {
	if !w.sane() {
		return open
	}
	if in.Size < 0 {
		same := w.auto == "SAME_UPPER" || w.auto == "SAME_LOWER" ||
			w.auto != "VALID" && w.padBegin+w.padEnd == w.extent()-1
		if same && w.stride == 1 {
			return in
		}
		return open
	}
	size := in.Size
	switch w.auto {
	case "SAME_UPPER", "SAME_LOWER":
		return graph.Dim{Size: (size + w.stride - 1) / w.stride}
	case "VALID":
		w.padBegin, w.padEnd = 0, 0
	}
	room := size + w.padBegin + w.padEnd - w.extent()
	if room < 0 {
		return open
	}
	out := room/w.stride + 1
	if w.ceil {
		out = (room+w.stride-1)/w.stride + 1
		// A window that would start in the padding at the end is left out.
		if (out-1)*w.stride >= size+w.padBegin {
			out--
		}
	}
	return graph.Dim{Size: out}
}

// kernelOf returns the kernel's sizes: the attribute, else those of weights.
func kernelOf(n *graph.Node, weights []graph.Dim) []int64 {
	if k := n.Ints("kernel_shape"); k != nil {
		return k
	}
	if len(weights) < 3 {
		return nil
	}
	var k []int64
	for _, d := range weights[2:] {
		k = append(k, d.Size)
	}
	return k
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
	for i, win := range windows(n, kernel) {
		out = append(out, win.over(x[2+i]))
	}
	return out
}

func (f *frame) pool(n *graph.Node, x []graph.Dim) []graph.Dim {
	kernel := n.Ints("kernel_shape")
	if len(x) < 3 || len(kernel) != len(x)-2 {
		return nil
	}
	out := []graph.Dim{x[0], x[1]}
	for i, win := range windows(n, kernel) {
		out = append(out, win.over(x[2+i]))
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
		out[1] = times(w[1], graph.Dim{Size: max(n.Int("group", 1), -1)})
	}
	asked, extra := n.Ints("output_shape"), n.Ints("output_padding")
	for i, win := range windows(n, kernel) {
		in := x[2+i].Size
		if len(asked) > 0 {
			// Some files give all dimensions, some only those of space.
			if k := len(asked) - len(kernel) + i; k >= 0 {
				out = append(out, graph.Dim{Size: asked[k]})
				continue
			}
		}
		if in < 0 || !win.sane() {
			out = append(out, open)
			continue
		}
		size := win.stride*(in-1) + win.extent() - win.padBegin - win.padEnd
		switch win.auto {
		case "SAME_UPPER", "SAME_LOWER":
			size = in * win.stride
		case "VALID":
			size = win.stride*(in-1) + win.extent()
		}
		if i < len(extra) && (win.auto == "NOTSET" || win.auto == "VALID") {
			size += extra[i]
		}
		out = append(out, graph.Dim{Size: max(size, -1)})
	}
	return out
}
