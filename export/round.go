package export

import (
	"math"
	"slices"

	"narrow/graph"
	"narrow/graph/op"
	"narrow/internal/kernel"
	"narrow/plan"
	"narrow/scheme"
)

// dividesAlike reports whether QuantizeLinear gives the simulation's integers
// for every input: its mode is half_even, and dividing by the scale is the same
// as multiplying by its reciprocal.
func dividesAlike(t *plan.Tensor, e scheme.Encoding) bool {
	frac, _ := math.Frexp(float64(e.Scale[0]))
	inv := kernel.Reciprocal(e.Scale[0])
	return t.Settings.Settings.RoundMode == scheme.HalfEven && frac == 0.5 && inv >= 0x1p-126 && !math.IsInf(float64(inv), 0)
}

// rounding returns nodes that compute round(in/scale) in the tensor's mode as
// kernel.FakeQuantize does, bit for bit, and the name of the result.
//
// A tie is decided without adding 1/2, which float32 may round: half up is
// ceil(floor(2t)/2), and half towards zero of a magnitude floor(ceil(2t)/2);
// doubling and halving are exact.
func (q *qdq) rounding(t *plan.Tensor, e scheme.Encoding, in string) (nodes []*graph.Node, out string) {
	mode, scale := t.Settings.Settings.RoundMode, e.Scale[0]
	step := func(op, what string, inputs ...string) {
		n := q.node(ruleRound, op, t.Name+"/Round/"+what, "", inputs)
		nodes = append(nodes, n)
		out = n.Outputs[0]
	}
	constant := func(what string, v float32) string { return q.scalar(t.Name+"_"+what, v) }

	x := in
	signed := mode == scheme.StdRound || mode == scheme.HalfDown
	if signed {
		step("Abs", "Abs", x)
		in = out
	}
	a := kernel.Affine{Scale: scale, ZeroPoint: e.ZeroPoint[0], Lo: e.Min, Hi: e.Max}
	if a.Multiplies() {
		step("Mul", "TimesReciprocal", in, constant("reciprocal", kernel.Reciprocal(scale)))
	} else {
		step("Div", "ByScale", in, constant("divisor", scale))
	}
	if mode == scheme.HalfEven {
		step("Round", "HalfEven", out)
		return nodes, out
	}
	first, second := "Floor", "Ceil"
	if mode == scheme.HalfDown {
		first, second = second, first
	}
	step("Add", "Double", out, out)
	step(first, first, out)
	step("Mul", "Halve", out, constant("half", 0.5))
	step(second, second, out)
	if signed {
		magnitude := out
		step("Sign", "Sign", x)
		step("Mul", "SignBack", magnitude, out)
	}
	return nodes, out
}

// floatQuantize quantizes without QuantizeLinear, whose types are too narrow:
// round, clamp and scale in float32 operators.
func (q *qdq) floatQuantize(t *plan.Tensor, e scheme.Encoding, in, out string) []*graph.Node {
	nodes, rounded := q.rounding(t, e, in)
	clip := q.clip(t.Name, rounded, "", float32(e.Min-e.ZeroPoint[0]), float32(e.Max-e.ZeroPoint[0]))
	scale := q.node(ruleQDQ, "Mul", t.Name+"/Scale", out, []string{clip.Outputs[0], q.scalar(t.Name+"_scale", e.Scale[0])})
	return append(nodes, clip, scale)
}

// tieScale returns the scale to give to QuantizeLinear for t, whose value to
// round is from.
//
// QuantizeLinear rounds ties to even. With power-of-two scales ties are common,
// since sums of products lie on a grid of which every 2^n-th point is a tie. The
// next smaller scale that float32 has pushes ties, and of other values only those
// that are float32's neighbours of one, away from zero (std_round; half_up where no
// value is negative, or after a shift), the next larger one towards zero (half_down).
func (q *qdq) tieScale(l *links, t *plan.Tensor, e scheme.Encoding, from string) float32 {
	s, scale := t.Settings.Settings, e.Scale[0]
	if q.moved(l, e, from) {
		q.held[t] = true
		return scale
	}
	if !q.holds(l, t, e, from) {
		return scale
	}
	q.held[t] = true
	if s.RoundMode == scheme.HalfDown {
		return math.Nextafter32(scale, math.MaxFloat32)
	}
	return math.Nextafter32(scale, 0)
}

// holdsTies reports whether scales of e can hold ties at all.
func (q *qdq) holdsTies(e scheme.Encoding) bool {
	return q.form.ties && !q.opts.ExactRounding && e.FixPosition != nil && e.Max-e.Min <= 255
}

// holds reports whether a scale can hold the ties of t's round mode.
func (q *qdq) holds(l *links, t *plan.Tensor, e scheme.Encoding, from string) bool {
	if !q.holdsTies(e) {
		return false
	}
	switch t.Settings.Settings.RoundMode {
	case scheme.StdRound, scheme.HalfDown:
		return true
	case scheme.HalfUp:
		return q.shiftSteps(l, t, e, from) > 0 || q.nonNegative(l, from)
	}
	return false
}

// moved reports whether from holds nothing but values that were quantized by
// e's scale already: there are no ties then, and runtimes keep the operator in
// integers only where the scales are equal.
func (q *qdq) moved(l *links, e scheme.Encoding, from string) bool {
	n := l.producer[from]
	if n == nil || !n.Is("MaxPool", "GlobalMaxPool", "Pad") {
		return false
	}
	in, ok := q.inputEncoding(l.producedBy, n.Input(0))
	return ok && in.Scale[0] == e.Scale[0]
}

// nonNegative reports whether value is known to be nowhere below zero.
func (q *qdq) nonNegative(l *links, value string) bool {
	known, ok := l.positive[value]
	if !ok {
		l.positive[value] = false // for a value that a broken network makes of itself
		known = q.findNonNegative(l, value)
		l.positive[value] = known
	}
	return known
}

func (q *qdq) findNonNegative(l *links, value string) bool {
	if c := l.constant[value]; c != nil {
		v, err := c.Floats()
		return err == nil && !slices.ContainsFunc(v, func(x float32) bool { return !(x >= 0) })
	}
	n := l.producer[value]
	switch {
	case n == nil:
		return false
	case q.tensor[n] != nil || op.Moves(n) || n.Is("MaxPool", "GlobalMaxPool", "AveragePool", "GlobalAveragePool"):
		return q.nonNegative(l, n.Input(0))
	case n.Is("Add", "Mul", "Div", "Concat", "Max", "ReduceMean"):
		return len(n.Inputs) > 0 && !slices.ContainsFunc(n.Inputs, func(in string) bool { return !q.nonNegative(l, in) })
	case n.Is("Pow"):
		c := l.constant[n.Input(1)]
		if c == nil {
			return false
		}
		v, err := c.Floats()
		return err == nil && len(v) == 1 && math.Mod(float64(v[0]), 2) == 0
	case n.Is("Clip"):
		// torch.onnx.export writes the bounds as Constant nodes.
		if c := l.constant[n.Input(1)]; c != nil {
			v, err := c.Floats()
			return err == nil && len(v) == 1 && v[0] >= 0
		}
		return n.Input(1) == "" && n.Float("min", -1) >= 0
	}
	return n.Is("Relu", "Sigmoid", "Softmax", "HardSigmoid", "Abs", "Exp", "Sqrt")
}
