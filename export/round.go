package export

import (
	"math"

	"narrow/graph"
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
