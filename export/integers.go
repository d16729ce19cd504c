package export

import (
	"slices"
	"strings"

	"narrow/diag"
	"narrow/graph"
	"narrow/graph/op"
)

// Execution says how ONNX Runtime computes a weighted layer of an exported model.
type Execution struct {
	// Layer is the node's name in the exported model.
	Layer string `json:"layer"`
	// Integer says that an integer kernel computes it.
	Integer bool `json:"integer"`
	// Reason says why none does; empty where one does.
	Reason diag.Text `json:"-"`
}

// Executions returns how each weighted layer of an exported model (Conv,
// ConvTranspose, Gemm and MatMul with constant weights; top-level graph) is
// computed, in the model's order. optimized is the model as ONNX Runtime's
// optimizer left it; neither is changed.
func Executions(exported, optimized *graph.Model) []Execution {
	l := newLinks(exported.Graph)
	ran := integerKernels(optimized.Graph)
	var out []Execution
	for _, n := range exported.Graph.Nodes {
		if !n.Is("Conv", "ConvTranspose", "Gemm", "MatMul") {
			continue
		}
		in, ok := op.InputsOf(n, func(v string) bool { return l.stored(v) != nil })
		if !ok {
			continue
		}
		weights := l.stored(n.Input(in.Weights))
		e := Execution{Layer: n.Label(), Integer: ran[n.Name]}
		if next := l.reader[n.Outputs[0]]; n.Name == "" || n.Is("MatMul") && next != nil && next.Is("Add") {
			// Which other layers may share. (Of a MatMul and an Add a Gemm is made, of another name.)
			e.Integer = e.Integer || ran[weights.Name]
		}
		if !e.Integer {
			e.Reason = l.whyFloat(n, in)
		}
		out = append(out, e)
	}
	return out
}

// integerKernels returns the names of what the integer kernels of g read and of
// the nodes that they stand for.
func integerKernels(g *graph.Graph) map[string]bool {
	ran := map[string]bool{}
	for _, n := range g.Nodes {
		if !slices.Contains([]string{"QLinearConv", "ConvInteger", "QLinearMatMul", "MatMulInteger", "MatMulIntegerToFloat", "QGemm", "QLinearConvTranspose"}, n.OpType) {
			continue
		}
		for _, in := range n.Inputs {
			ran[in] = true
		}
		name, _, _ := strings.Cut(n.Name, "_token_") // how later passes number what they copy
		ran[name] = true
	}
	return ran
}

// stored returns the initializer that a value is, or is dequantized or cast
// from; nil where the value is computed.
func (l *links) stored(value string) *graph.Tensor {
	for range 4 {
		if c := l.constant[value]; c != nil {
			return c
		}
		n := l.producer[value]
		if n == nil || !n.Is("DequantizeLinear", "QuantizeLinear", "Cast") {
			return nil
		}
		value = n.Input(0)
	}
	return nil
}

// whyFloat says what in the exported model keeps a weighted node from an integer
// kernel of ONNX Runtime.
func (l *links) whyFloat(n *graph.Node, in op.Inputs) diag.Text {
	data := l.producer[n.Input(in.Data)]
	weights := l.producer[n.Input(in.Weights)]
	eight := func(v string) bool { return l.constant[v] != nil && l.constant[v].Type.Bits() == 8 }
	switch {
	case n.OpType == "ConvTranspose":
		return diag.Textf("ONNX Runtime has no integer kernel for ConvTranspose")
	case weights == nil || weights.OpType != "DequantizeLinear":
		return diag.Textf("its weights are no integers")
	case l.constant[weights.Input(0)] != nil && !eight(weights.Input(0)):
		return diag.Textf("its weights are stored as %v, for which ONNX Runtime has no integer kernel", l.constant[weights.Input(0)].Type)
	case data == nil || data.OpType != "DequantizeLinear" && !op.Moves(data):
		return diag.Textf("what it reads is not quantized")
	case data.OpType == "DequantizeLinear" && !eight(data.Input(2)):
		return diag.Textf("what it reads is not quantized to 8 bits")
	}
	if in.Bias >= 0 && n.Input(in.Bias) != "" {
		if s := l.stored(n.Input(in.Bias)); s == nil || s.Type != graph.Int32 {
			return diag.Textf("its bias does not fit int32 in units of the products, or is kept in a type of its own")
		}
	}
	next := l.reader[n.Outputs[0]]
	for next != nil && next.Is("Relu", "Clip") {
		next = l.reader[next.Outputs[0]]
	}
	switch {
	case l.outputs[n.Outputs[0]] || next == nil:
		return diag.Textf("its result is not quantized, or several operators read it before it is")
	case next.OpType != "QuantizeLinear":
		return diag.Textf("%s stands between its result and the quantizer", diag.Verbatim(next.OpType))
	case !eight(next.Input(2)):
		return diag.Textf("its result is not quantized to 8 bits")
	}
	return diag.Textf("ONNX Runtime does not fuse it")
}
