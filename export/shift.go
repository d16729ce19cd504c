package export

import (
	"math"
	"slices"

	"narrow/graph"
	"narrow/graph/op"
	"narrow/plan"
	"narrow/scheme"
)

// A scale can hold the ties of half_up only where no value is negative (see
// [qdq.tieScale]). Elsewhere the value is first shifted up by the width of the
// integers' negative side, so that whatever is not clamped is positive, rounded
// with that scale, and stored by a zero point that takes the shift back:
//
//	floor(x/s + 1/2) = floor((x + k*s)/s + 1/2) - k
//
// The zero point of DequantizeLinear stays what it was. Where an integer
// product comes before, the shift is part of its bias and costs nothing.

// shiftSteps returns by how many steps t's values are shifted, 0 where they
// are not. from is the value to round.
func (q *qdq) shiftSteps(l *links, t *plan.Tensor, e scheme.Encoding, from string) int64 {
	if t.Settings.Settings.RoundMode != scheme.HalfUp || !q.holdsTies(e) || e.ZeroPoint[0] <= e.Min ||
		q.nonNegative(l, from) || q.moved(l, e, from) || !q.onGrid(l, from) && !q.oftenTied(t) {
		return 0
	}
	return e.ZeroPoint[0] - e.Min
}

// takesShift reports whether what a tap quantizes is shifted, and so stored as
// uint8. ONNX Runtime fuses no convolution that reads int8 and puts out uint8, or
// the other way round.
func (q *qdq) takesShift(l *links, tap *graph.Node) bool {
	t := q.tensor[tap]
	return t.Settings.Settings.Datatype == scheme.Int && q.shiftSteps(l, t, q.in.Encodings[t], tap.Inputs[0]) > 0
}

// oftenTied reports whether ties were common on the calibration samples, as
// where the inputs are whole numbers.
func (q *qdq) oftenTied(t *plan.Tensor) bool {
	n := q.in.Ties[t]
	return n.Differing > n.Elements/1000
}

// onGrid reports whether some of a value's elements are sums of products, or
// were quantized before, which ties are common among. Elsewhere ties are rare,
// and a shift would let float32 make some.
func (q *qdq) onGrid(l *links, value string) bool {
	known, ok := l.sums[value]
	if !ok {
		l.sums[value] = false // for a value that a broken network makes of itself
		known = q.findOnGrid(l, value)
		l.sums[value] = known
	}
	return known
}

func (q *qdq) findOnGrid(l *links, value string) bool {
	n := l.producer[value]
	switch {
	case n == nil:
		return false
	case q.tensor[n] != nil || n.Is("Conv", "ConvTranspose", "Gemm", "BatchNormalization", "AveragePool", "GlobalAveragePool",
		"ReduceMean", "ReduceSum", "Mean", "Resize", "Upsample"):
		return true
	case n.Is("MatMul", "Add", "Sub", "Mul", "Sum"): // not x * Sigmoid(x), which comes as near to a tie as float32 can
		return !slices.ContainsFunc(n.Inputs, func(in string) bool { return l.constant[in] == nil && !q.onGrid(l, in) })
	case n.Is("Div"): // as in x * Clip(x + 3, 0, 6) / 6
		return l.constant[n.Input(1)] != nil && q.onGrid(l, n.Input(0))
	case n.Is("Concat", "Max", "Min", "Where"):
		return slices.ContainsFunc(n.Inputs, func(in string) bool { return q.onGrid(l, in) })
	case op.Moves(n) || n.Is("Pad", "Gather", "MaxPool", "GlobalMaxPool", "ReduceMax", "ReduceMin",
		"Relu", "LeakyRelu", "PRelu", "Clip", "Abs", "Neg"):
		return q.onGrid(l, n.Input(0)) // of a LeakyRelu the positive half
	}
	return false
}

// shiftBiases decides which biases take the shift of the value behind, before
// they are stored.
func (q *qdq) shiftBiases() {
	l := newLinks(q.m.Graph)
	quantized := map[*graph.Node]bool{} // what has a bias of the plan
	for _, t := range q.in.Plan.Tensors {
		for _, u := range t.Uses {
			n := q.nodes[u.Node]
			quantized[n] = quantized[n] || t.Kind == scheme.Bias && t.Constant != nil && u.Input == 2
		}
	}
	for _, n := range q.m.Graph.Nodes {
		t := q.tensor[n]
		if t == nil || t.Settings.Settings.Datatype != scheme.Int {
			continue
		}
		e := q.in.Encodings[t]
		values := n.Inputs[:1]
		if c := q.shiftedConcat(l, t, e, n.Inputs[0]); c != nil {
			values = c.Inputs
		}
		for _, x := range values {
			k := q.shiftSteps(l, t, e, x)
			if p := l.inner(x); k > 0 && p != nil && p.Is("Conv", "ConvTranspose", "Gemm") && (quantized[p] || p.Input(2) == "") && op.PlainSum(p) {
				q.shifts[p] = shift{of: x, by: float64(k) * float64(e.Scale[0])}
			}
		}
	}
}

// shiftedConcat returns the Concat that puts out value where its operands are
// shifted, quantized by t's encoding and shifted back each, so that convolutions
// before it stay in integers; nil elsewhere.
func (q *qdq) shiftedConcat(l *links, t *plan.Tensor, e scheme.Encoding, value string) *graph.Node {
	n := l.inner(value)
	if n == nil || !n.Is("Concat") || !q.form.fuse || e.Max-e.Min != 255 || q.shiftSteps(l, t, e, value) == 0 {
		return nil
	}
	return n
}

// quantizeOperands does what [qdq.shiftedConcat] says.
func (q *qdq) quantizeOperands(l *links, t *plan.Tensor, e scheme.Encoding, st storage, concat *graph.Node) {
	for i, x := range concat.Inputs {
		if slices.Contains(concat.Inputs[:i], x) {
			continue
		}
		q.extra = append(q.extra, extraPair{
			t: t, e: e, st: st, value: x, from: x, reader: concat, steps: q.shiftSteps(l, t, e, x),
			apart: q.readOnceTap(l, x) || q.requantized(l, x, e.Scale[0]),
		})
	}
}

// shift is what an operator's bias takes over from its result, of.
type shift struct {
	of string
	by float64
}

// shiftInts adds the shift of n's result to its bias's integers, in units of
// scales. Where they do not hold it they stay, and the shift becomes a node.
func (q *qdq) shiftInts(n *graph.Node, ints []int64, scales []float32) {
	s, ok := q.shifts[n]
	if !ok {
		return
	}
	moved := make([]int64, len(ints))
	for i, v := range ints {
		by := s.by / float64(scales[min(i, len(scales)-1)])
		// Half of the range is left to the products.
		if by != math.Trunc(by) || math.Abs(float64(v)+by) > math.MaxInt32/2 {
			return
		}
		moved[i] = v + int64(by)
	}
	copy(ints, moved)
	q.shifted[s.of] = true
}
