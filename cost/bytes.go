package cost

import (
	"slices"

	"narrow/graph"
	"narrow/graph/op"
	"narrow/plan"
	"narrow/scheme"
)

// storedOf returns what each weight and bias takes as an export stores it, and in
// float32.
func storedOf(p *plan.Plan, ix *graph.Index) (all []Stored) {
	sums := map[plan.Use]bool{} // biases that are added to the sums of integer kernels
	for _, o := range p.Operations {
		sums[plan.Use{Node: o.Node, Input: 2}] = integerKernel(o)
	}
	counted := map[string]bool{} // constants that have a size in float32
	count := func(l *plan.Layer, name string, n, bits int) {
		s := Stored{Layer: l, Bytes: (int64(n)*int64(bits) + 7) / 8}
		if !counted[name] {
			counted[name] = true
			s.FloatBytes = 4 * int64(n)
		}
		all = append(all, s)
	}
	for _, t := range p.Tensors {
		if t.Constant == nil {
			continue
		}
		bits := storedBits(FormatOf(t))
		if t.Kind == scheme.Bias && FormatOf(t).IsInt() && !slices.ContainsFunc(t.Uses, func(u plan.Use) bool { return !sums[u] }) {
			bits = 32
		}
		count(t.Layer, t.Name, t.Constant.Len(), bits)
	}
	float := map[string]bool{}
	for _, l := range p.FloatTensors {
		if c := ix.Constant[l.Name]; c != nil && (l.Kind == scheme.Weights || l.Kind == scheme.Bias) && !float[l.Name] {
			float[l.Name] = true
			count(l.Layer, l.Name, c.Len(), 32)
		}
	}
	return all
}

// integerKernel reports whether an export stores the operation's bias as int32,
// in the units of its products: both factors are stored in 8 bits.
func integerKernel(o *plan.Operation) bool {
	if !o.Node.Is("Conv", "ConvTranspose", "Gemm") || o.Weights == nil {
		return false
	}
	if o.Weights.Axis >= 0 && op.ChannelsPerGroup(o.Node) {
		return false // the weights' scales are those of one group
	}
	in, w := inputFormat(o, o.Node.Input(0)), FormatOf(o.Weights)
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
