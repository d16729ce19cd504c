package rewrite

import "narrow/graph"

// layout tells which output and input channel an element of a convolution's
// weights belongs to.
type layout struct {
	out, in    int // channels of the layer's result and of what enters it
	per        int // elements per pair of channels
	second     int // size of the weights' second axis
	groups     int
	transposed bool
}

// layoutOf reads the layout of Conv weights [out, in/groups, k...] and of
// ConvTranspose weights [in, out/groups, k...].
func layoutOf(n *graph.Node, dims []int64) layout {
	l := layout{second: int(dims[1]), per: 1, groups: int(n.Int("group", 1)), transposed: n.Is("ConvTranspose")}
	for _, d := range dims[2:] {
		l.per *= int(d)
	}
	first := int(dims[0])
	if l.groups < 1 {
		l.groups = 1
	}
	if l.transposed {
		l.in, l.out = first, l.second*l.groups
	} else {
		l.out, l.in = first, l.second*l.groups
	}
	return l
}

// outOf returns the output channel that element i of the weights serves.
func (l layout) outOf(i int) int {
	i /= l.per
	first, second := i/l.second, i%l.second
	if !l.transposed {
		return first
	}
	return first/(l.in/l.groups)*l.second + second
}

// inOf returns the input channel that element i of the weights reads.
func (l layout) inOf(i int) int {
	i /= l.per
	first, second := i/l.second, i%l.second
	if l.transposed {
		return first
	}
	return first/(l.out/l.groups)*l.second + second
}

// valid reports whether the channels divide into the groups.
func (l layout) valid() bool {
	return l.out > 0 && l.in > 0 && l.per > 0 && l.out%l.groups == 0 && l.in%l.groups == 0
}
