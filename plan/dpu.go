package plan

import (
	"slices"

	"narrow/graph"
	"narrow/scheme"
)

// What vai_q_pytorch quantizes for the DPU besides, and a DPU needs: an operator
// with a constant that has no fix position runs on the CPU.

// withOperands are the operators whose constants are quantized for the DPU.
var withOperands = []string{"Add", "Sub", "Mul", "Div"}

// operands returns the constants of an withOperands operator that are quantized for
// the DPU. ONNX does not tell a parameter from a number in the network's code,
// which vai_q_pytorch quantizes as weights and as an activation: a constant
// without axes counts as a number.
func (b *builder) operands(u *unit) []constantUse {
	if !b.flow.look.device || u.main == nil || u.comp != nil || !u.main.Is(withOperands...) || !quantizes(u, b.settings(b.layers[u.group], scheme.Activation)) {
		return nil
	}
	var cs []constantUse
	for i, name := range u.main.Inputs {
		if !b.floatConstant(name) {
			continue
		}
		kind := scheme.Weights
		if len(b.flow.ix.Constant[name].Dims) == 0 {
			kind = scheme.Activation
		}
		cs = append(cs, constantUse{kind, Use{u.main, i}, name})
	}
	return cs
}

// swaps reports whether n exchanges two axes. That is torch's transpose, behind
// which vai_q_pytorch puts a quantizer for the DPU; permute, which may exchange two
// axes too, has none, and ONNX does not tell which it was.
func swaps(n *graph.Node) bool {
	if !n.Is("Transpose") {
		return false
	}
	moved := 0
	perm := n.Ints("perm")
	for i, p := range perm {
		if int(p) != i {
			moved++
		}
	}
	return moved == 2 && !slices.ContainsFunc(perm, func(p int64) bool { return p < 0 || int(p) >= len(perm) })
}

// passes reports whether the quantizer of u's group stands in front of u.
func (f *flow) passes(u *unit) bool {
	return u.moves() && !(f.look.device && swaps(u.main))
}
