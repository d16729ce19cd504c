package op

import "narrow/graph"

// Product is an operator that sums up products of weights with its data:
// Conv, ConvTranspose, Gemm or MatMul.
type Product struct {
	Node *graph.Node
	// Dims are those of the weights.
	Dims []int64
	// In and Out count the channels of what enters and of what leaves, all
	// groups together. A stack of matrices has the channels of one.
	In, Out int
	// Groups is 1 but for convolutions.
	Groups int
	// Kernel is how many weights a pair of channels has.
	Kernel int
	// Axis is the axis of the output channels in the weights (with
	// [ChannelsPerGroup] those of one group), InAxis that of the input's.
	Axis, InAxis int
	// ResultAxis is the axis of the output channels in the result, counted
	// from the end where it is negative.
	ResultAxis int
}

// ProductOf returns how n multiplies weights of the shape dims, which it reads
// as that input, or ok false: n does something else, or they have another
// rank.
func ProductOf(n *graph.Node, input int, dims []int64) (p Product, ok bool) {
	p = Product{Node: n, Dims: dims, Groups: 1, Kernel: 1}
	r := len(dims)
	switch {
	case n.Is("Conv", "ConvTranspose"):
		if input != 1 || r < 3 {
			return Product{}, false
		}
		p.Groups = max(Groups(n), 1)
		p.Axis = WeightAxis(n, input, r)
		p.InAxis, p.ResultAxis = 1-p.Axis, 1
		for _, d := range dims[2:] {
			p.Kernel *= int(d)
		}
		p.In, p.Out = int(dims[p.InAxis]), int(dims[p.Axis])
		if p.Axis == 0 {
			p.In *= p.Groups
		} else {
			p.Out *= p.Groups
		}
	case n.Is("Gemm", "MatMul"):
		if r < 2 || n.OpType == "Gemm" && (r != 2 || input != 1) || input > 1 {
			return Product{}, false
		}
		p.Axis = WeightAxis(n, input, r)
		p.InAxis, p.ResultAxis = 2*r-3-p.Axis, -1
		if input == 0 {
			p.ResultAxis = -2
		}
		p.In, p.Out = int(dims[p.InAxis]), int(dims[p.Axis])
	default:
		return Product{}, false
	}
	return p, true
}

// Convolution reports whether the products slide over the data.
func (p Product) Convolution() bool { return p.Node.Is("Conv", "ConvTranspose") }

// Valid reports whether the channels divide into the groups, and there are
// weights.
func (p Product) Valid() bool {
	return p.Out > 0 && p.In > 0 && p.Kernel > 0 && p.Out%p.Groups == 0 && p.In%p.Groups == 0
}

// OutOf returns the output channel that element i of the weights serves.
func (p Product) OutOf(i int) int {
	first, second := p.split(i)
	switch {
	case p.Axis < p.InAxis:
		return first
	case p.Groups == 1:
		return second
	}
	return first/(p.In/p.Groups)*int(p.Dims[1]) + second
}

// InOf returns the input channel that element i of the weights multiplies.
func (p Product) InOf(i int) int {
	first, second := p.split(i)
	switch {
	case p.InAxis < p.Axis:
		return first
	case p.Groups == 1:
		return second
	}
	return first/(p.Out/p.Groups)*int(p.Dims[1]) + second
}

// Each calls f for the first n elements of the weights, kernel by kernel: from is the first
// element of one, in and out its channels.
func (p Product) Each(n int, f func(from, in, out int)) {
	a, b := int(p.Dims[min(p.Axis, p.InAxis)]), int(p.Dims[max(p.Axis, p.InAxis)])
	first, second := 0, 0
	for from := 0; from < n; from += p.Kernel {
		in, out := second, first
		if p.InAxis < p.Axis {
			in, out = first, second
		}
		if p.Groups > 1 {
			if p.InAxis < p.Axis {
				out += first / (p.In / p.Groups) * int(p.Dims[1])
			} else {
				in += first / (p.Out / p.Groups) * int(p.Dims[1])
			}
		}
		f(from, in, out)
		if second++; second == b {
			second = 0
			if first++; first == a {
				first = 0
			}
		}
	}
}

// split returns the places of element i on the two axes of channels.
func (p Product) split(i int) (first, second int) {
	i /= p.Kernel
	lo, hi := int(p.Dims[min(p.Axis, p.InAxis)]), int(p.Dims[max(p.Axis, p.InAxis)])
	return i / hi % lo, i % hi
}

// Windows returns how a convolution slides over each dimension of space.
func (p Product) Windows() []Window { return Windows(p.Node, p.Dims[2:]) }
