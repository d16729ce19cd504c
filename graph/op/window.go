package op

import "narrow/graph"

// Window is how a convolution or pooling slides over one dimension of space.
type Window struct {
	Kernel, Stride, Dilation int64
	// Before and After are the padding that the attribute pads asks for, Auto
	// is the attribute auto_pad ("NOTSET" where it is missing): see [Window.Pads].
	Before, After int64
	Auto          string
	// Ceil says that a last window may reach beyond the padding.
	Ceil bool
	// Extra is a ConvTranspose's output_padding.
	Extra int64
}

// Windows reads the windows of n for a kernel of the given sizes.
func Windows(n *graph.Node, kernel []int64) []Window {
	at := func(list []int64, i int, def int64) int64 {
		if i < len(list) {
			return list[i]
		}
		return def
	}
	strides, dilations, pads, extra := n.Ints("strides"), n.Ints("dilations"), n.Ints("pads"), n.Ints("output_padding")
	out := make([]Window, len(kernel))
	for i, k := range kernel {
		out[i] = Window{
			Kernel: k, Stride: max(at(strides, i, 1), 1), Dilation: max(at(dilations, i, 1), 1),
			Before: at(pads, i, 0), After: at(pads, i+len(kernel), 0),
			Auto: n.Str("auto_pad", "NOTSET"), Ceil: n.Int("ceil_mode", 0) != 0, Extra: at(extra, i, 0),
		}
	}
	return out
}

// Kernel returns the sizes of n's kernel, one for each dimension of space: the
// attribute, else those of the weights' shape, which is nil where it is not
// known. It returns nil where neither tells.
func Kernel(n *graph.Node, weights []int64) []int64 {
	if k := n.Ints("kernel_shape"); k != nil {
		return k
	}
	if len(weights) < 3 {
		return nil
	}
	return weights[2:]
}

// Sane reports whether all numbers are such that sums and products of them
// with a size do not overflow.
func (w Window) Sane() bool {
	const most = 1 << 20
	return w.Kernel > 0 && w.Kernel < most && w.Stride < most && w.Dilation < most &&
		max(w.Before, w.After) < most && min(w.Before, w.After) > -most
}

// Extent is how many elements the kernel reaches over.
func (w Window) Extent() int64 { return (w.Kernel-1)*w.Dilation + 1 }

// Pads returns the padding on both sides of a dimension of that size, which
// auto_pad may decide. It is that of a convolution or pooling, not of a
// ConvTranspose.
func (w Window) Pads(size int64) (before, after int64) {
	switch w.Auto {
	case "SAME_UPPER", "SAME_LOWER":
		total := max(((size+w.Stride-1)/w.Stride-1)*w.Stride+w.Extent()-size, 0)
		before = total / 2
		if w.Auto == "SAME_LOWER" {
			before = total - before
		}
		return before, total - before
	case "VALID":
		return 0, 0
	}
	return w.Before, w.After
}

// Out returns the size of the result over a dimension of that size, or ok
// false where the window does not fit in.
func (w Window) Out(size int64) (out int64, ok bool) {
	if w.Auto == "SAME_UPPER" || w.Auto == "SAME_LOWER" {
		return (size + w.Stride - 1) / w.Stride, true
	}
	before, after := w.Pads(size)
	room := size + before + after - w.Extent()
	if room < 0 {
		return 0, false
	}
	out = room/w.Stride + 1
	if w.Ceil {
		out = (room+w.Stride-1)/w.Stride + 1
		// A window that would start in the padding at the end is left out.
		if (out-1)*w.Stride >= size+before {
			out--
		}
	}
	return out, true
}

// OutTransposed returns the size of a ConvTranspose's result over a dimension
// of that size, as far as its windows decide it (output_shape may).
func (w Window) OutTransposed(size int64) int64 {
	switch w.Auto {
	case "SAME_UPPER", "SAME_LOWER":
		return size * w.Stride
	case "VALID":
		return w.Stride*(size-1) + w.Extent() + w.Extra
	}
	out := w.Stride*(size-1) + w.Extent() - w.Before - w.After
	if w.Auto == "NOTSET" {
		out += w.Extra
	}
	return out
}
