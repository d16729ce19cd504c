package xmodel

import (
	"slices"

	"narrow/plan"
)

// node is one operator on its way into the file. Shapes, axes and the like are
// told as in the ONNX network; order says how the result lies in the file.
type node struct {
	// op is XIR's operator.
	op string
	// label names the ONNX node, for messages; name is the operator's name in the file.
	label, name string
	// in are the operators whose results it reads.
	in []*node
	// bound are its constants by argument: weights, bias, scale.
	bound []bound
	// attrs do not depend on the layout.
	attrs []Attr

	// shape is that of the result, with the axes of ONNX.
	shape []int64
	// order is the permutation from ONNX's axes to the file's, nil where there is none.
	order []int
	// images says that the operator exists only on [N,H,W,C] (and its kin).
	images bool
	// follows says that the operator works in any order of the axes.
	follows bool

	// fix is what quantizes the result, pre what quantizes an input for this
	// reader alone.
	fix *fix
	pre map[int]*fix

	// value is the ONNX value that the result is, "" where it is none; behind
	// says that it is the value behind its quantizer.
	value  string
	behind bool
	// from, where it is set, tells instead of value, shape and order which
	// elements the result holds.
	from *origin
	// inner says that the value is none that the reference's file has a name for.
	inner bool

	// data are the elements of a constant; for operands of elementwise
	// operators, of the smaller constant that is stretched to shape.
	data   []float32
	stored []int64 // the shape of data

	axis     int        // concat, softmax
	axes     []int      // reductions
	keep     bool       // reductions keep their axes
	cuts     []span     // strided_slice, one for each axis
	pads     [][2]int64 // pad, one for each axis
	perm     []int      // transpose, between the orders of its input and its result
	target   []int64    // reshape; one may be -1
	padValue float32
}

// origin is a value of the ONNX network in another order of its axes.
type origin struct {
	value  string
	behind bool
	shape  []int64
	order  []int
}

// origin returns which value's elements n holds; its value is "" where that is
// none of the network's.
func (n *node) origin() origin {
	if n.from != nil {
		return *n.from
	}
	return origin{n.value, n.behind, n.shape, n.order}
}

// bound is a constant that an operator's argument is bound to.
type bound struct {
	arg string
	c   *node
}

// fix is a quantizer of the file: x becomes floor(x * 2^point + 1/2) in bits bits,
// times 2^-point.
type fix struct {
	bits, point int32
	// t is the plan's quantizer; nil for what only the file has.
	t *plan.Tensor
}

func same(a, b *fix) bool { return a != nil && b != nil && a.bits == b.bits && a.point == b.point }

// span is what a strided_slice takes of one axis.
type span struct{ begin, end, step int64 }

// openEnd is the end of a span that goes to the end of its axis.
const openEnd = 1<<31 - 1

// imageOrder is the order in which the file holds images, signals and volumes
// of rank r: [N,L,C], [N,H,W,C], [N,H,W,D,C].
func imageOrder(r int) []int {
	switch r {
	case 3:
		return []int{0, 2, 1}
	case 4:
		return []int{0, 2, 3, 1}
	case 5:
		return []int{0, 3, 4, 2, 1}
	}
	return nil
}

// fromOrder returns the permutation that takes axes in order back to ONNX's.
func fromOrder(order []int) []int { return inverse(order) }

func inverse(perm []int) []int {
	inv := make([]int, len(perm))
	for i, p := range perm {
		inv[p] = i
	}
	return inv
}

// compose returns the permutation that a and then b come to.
func compose(a, b []int) []int {
	c := make([]int, len(b))
	for i, p := range b {
		c[i] = a[p]
	}
	return c
}

func identity(perm []int) bool {
	for i, p := range perm {
		if i != p {
			return false
		}
	}
	return true
}

// permuted returns list in the given order; a nil order changes nothing.
func permuted[T any](list []T, order []int) []T {
	if order == nil {
		return slices.Clone(list)
	}
	out := make([]T, len(list))
	for i, p := range order {
		out[i] = list[p]
	}
	return out
}

// dims is the shape of the result in the file.
func (n *node) dims() []int64 { return permuted(n.shape, n.order) }

// place returns where an axis of ONNX's lies in the file.
func place(axis int, order []int) int {
	if order == nil {
		return axis
	}
	return slices.Index(order, axis)
}

func count(shape []int64) int64 {
	n := int64(1)
	for _, d := range shape {
		n *= d
	}
	return n
}

// permuteFloats returns data of the given shape in another order of the axes.
func permuteFloats(data []float32, shape []int64, order []int) []float32 {
	if order == nil || identity(order) {
		return data
	}
	strides := make([]int, len(shape))
	step := 1
	for i := len(shape) - 1; i >= 0; i-- {
		strides[i] = step
		step *= int(shape[i])
	}
	dims := permuted(shape, order)
	by := permuted(strides, order)
	out := make([]float32, 0, len(data))
	at := make([]int, len(dims))
	pos := 0
	for range data {
		out = append(out, data[pos])
		for a := len(dims) - 1; a >= 0; a-- {
			at[a]++
			pos += by[a]
			if at[a] < int(dims[a]) {
				break
			}
			pos -= at[a] * by[a]
			at[a] = 0
		}
	}
	return out
}

// stretched returns data of shape from as it lies in shape to, which it is
// broadcast to.
func stretched(data []float32, from, to []int64) []float32 {
	if slices.Equal(from, to) {
		return data
	}
	strides := make([]int, len(to))
	step := 1
	for i := len(from) - 1; i >= 0; i-- {
		if from[i] != 1 {
			strides[i+len(to)-len(from)] = step
		}
		step *= int(from[i])
	}
	out := make([]float32, 0, count(to))
	at := make([]int, len(to))
	pos := 0
	for range count(to) {
		out = append(out, data[pos])
		for a := len(to) - 1; a >= 0; a-- {
			at[a]++
			pos += strides[a]
			if at[a] < int(to[a]) {
				break
			}
			pos -= at[a] * strides[a]
			at[a] = 0
		}
	}
	return out
}

// reads reports how many inputs of the nodes are n.
func readers(nodes []*node) map[*node][]*node {
	all := map[*node][]*node{}
	for _, n := range nodes {
		for _, in := range n.in {
			all[in] = append(all[in], n)
		}
	}
	return all
}

// attrsOf collects attributes.
func attrsOf(kv ...any) []Attr {
	var as []Attr
	for i := 0; i < len(kv); i += 2 {
		as = append(as, Attr{kv[i].(string), kv[i+1]})
	}
	return as
}

func int32s[T int | int64](list []T) []int32 {
	out := make([]int32, len(list))
	for i, v := range list {
		out[i] = int32(v)
	}
	return out
}
