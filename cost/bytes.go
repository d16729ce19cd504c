package cost

import (
	"slices"

	"narrow/graph"
	"narrow/plan"
	"narrow/scheme"
)

// bytesOf returns the size of all weights and biases as an export stores them,
// and in float32.
func bytesOf(p *plan.Plan, ix *graph.Index) (stored, float int64) {
	sums := map[plan.Use]bool{} // biases that are added to the sums of integer kernels
	for _, op := range p.Operations {
		sums[plan.Use{Node: op.Node, Input: 2}] = integerKernel(op)
	}
	counted := map[string]bool{} // constants that have a size in float32
	count := func(name string, n, bits int) {
		stored += (int64(n)*int64(bits) + 7) / 8
		if !counted[name] {
			counted[name] = true
			float += 4 * int64(n)
		}
	}
	for _, t := range p.Tensors {
		if t.Constant == nil {
			continue
		}
		bits := storedBits(FormatOf(t))
		if t.Kind == scheme.Bias && FormatOf(t).IsInt() && !slices.ContainsFunc(t.Uses, func(u plan.Use) bool { return !sums[u] }) {
			bits = 32
		}
		count(t.Name, t.Constant.Len(), bits)
	}
	left := map[string]bool{}
	for _, l := range p.Left {
		if c := ix.Constant[l.Name]; c != nil && (l.Kind == scheme.Weights || l.Kind == scheme.Bias) && !left[l.Name] {
			left[l.Name] = true
			count(l.Name, c.Len(), 32)
		}
	}
	return stored, float
}

// integerKernel reports whether an export stores the operation's bias as int32,
// in the units of its products: both factors are stored in 8 bits.
func integerKernel(op *plan.Operation) bool {
	if !op.Node.Is("Conv", "ConvTranspose", "Gemm") || op.Weights == nil {
		return false
	}
	if op.Node.Is("ConvTranspose") && op.Weights.Axis >= 0 && op.Node.Int("group", 1) != 1 {
		return false // the weights' scales are those of one group
	}
	in, w := inputFormat(op, op.Node.Input(0)), FormatOf(op.Weights)
	return in.IsInt() && w.IsInt() && in.Bits <= 8 && w.Bits <= 8 && w.Bits > 4
}

// storedBits returns how many bits an element of a constant takes in a file.
func storedBits(f Format) int {
	if !f.IsInt() {
		return f.Bits
	}
	for _, b := range []int{4, 8, 16} {
		if f.Bits <= b {
			return b
		}
	}
	return 32
}
