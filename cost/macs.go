package cost

import (
	"math"
	"math/bits"
	"slices"

	"narrow/graph"
	"narrow/graph/op"
	"narrow/plan"
)

// maxMACs bounds sums, so that they do not overflow.
const maxMACs = math.MaxInt64

const (
	tooMany = "there are more multiply-adds than 64 bits count"
	noShape = "its shapes are open: give the shapes of the network's inputs"
)

// counter knows the shapes of a network.
type counter struct {
	shapes map[string][]graph.Dim
	ix     *graph.Index
}

// opaque returns why the multiply-adds of an operator cannot be told, or "".
func opaque(node *graph.Node) string {
	switch {
	case len(node.Subgraphs()) > 0:
		return "control flow is not looked into"
	case node.Domain != "":
		return "it is an operator of the domain " + node.Domain
	case node.Is("Einsum", "LSTM", "GRU", "RNN", "DeformConv", "Attention", "ConvInteger", "MatMulInteger", "QLinearConv", "QLinearMatMul"):
		return "operators of this kind are not counted"
	}
	return ""
}

// macs returns the multiply-adds of a node, 0 for one of another kind, or why
// they are not known.
func (r *counter) macs(node *graph.Node) (n int64, why string) {
	switch node.OpType {
	case "Conv":
		// Each output element takes one weight of its channel per element of
		// the kernel and input channel of its group.
		return product(r.shapes[node.Outputs[0]], tail(r.shapes[node.Input(1)]))
	case "ConvTranspose":
		// Each input element meets all weights of its channel.
		return product(r.shapes[node.Input(0)], tail(r.shapes[node.Input(1)]))
	case "Gemm":
		a := r.shapes[node.Input(0)]
		t, _ := op.Trans(node)
		if len(a) != 2 {
			return 0, noShape
		}
		return product(r.shapes[node.Outputs[0]], a[1-t:2-t])
	case "MatMul":
		a := r.shapes[node.Input(0)]
		if len(a) == 0 {
			return 0, noShape
		}
		return product(r.shapes[node.Outputs[0]], a[len(a)-1:])
	}
	return 0, ""
}

// tail returns a weight's shape without its first axis; nil stays nil.
func tail(shape []graph.Dim) []graph.Dim {
	if len(shape) == 0 {
		return nil
	}
	return shape[1:]
}

// product multiplies the sizes of two shapes. Only a shape that is nil is
// unknown: that of a scalar is empty.
func product(a, b []graph.Dim) (n int64, why string) {
	if a == nil || b == nil {
		return 0, noShape
	}
	all := slices.Concat(a, b)
	for _, d := range all {
		if d.Size < 0 {
			return 0, noShape
		}
		if d.Size == 0 {
			return 0, ""
		}
	}
	n = 1
	for _, d := range all {
		hi, lo := bits.Mul64(uint64(n), uint64(d.Size))
		if hi != 0 || lo > maxMACs {
			return 0, tooMany
		}
		n = int64(lo)
	}
	return n, ""
}

// formats returns the formats of the factors of an operation that multiplies.
func (r *counter) formats(o *plan.Operation) (weights, activations Format) {
	of := func(value string) Format {
		if r.ix.Constant[value] != nil {
			return FormatOf(o.Weights)
		}
		return inputFormat(o, value)
	}
	a, b := o.Node.Input(0), o.Node.Input(1)
	if r.ix.Constant[a] != nil && r.ix.Constant[b] == nil {
		a, b = b, a // MatMul and Gemm may have the weights first
	}
	return of(b), of(a)
}

// inputFormat returns the format in which an operation reads a value.
func inputFormat(o *plan.Operation, value string) Format {
	i := slices.Index(o.In, value)
	if i < 0 {
		return FormatOf(nil) // it depends on no input of the network
	}
	return FormatOf(o.Input(i))
}
