package export_test

import (
	"slices"
	"testing"

	"narrow/export"
	"narrow/graph"
	"narrow/graph/graphtext"
	"narrow/plan"
	"narrow/scheme"
)

// TestBodies: a quantized value that is moved on to the body of an If is quantized
// again behind the move. ONNX Runtime, which carries the pair there by itself, ends
// its process over it.
func TestBodies(t *testing.T) {
	strategy := settings(t, `{"target_device": "CPU", "include_bias_corr": false, "overall_quantize_config": {"scale_type": "float", "method": "maxmin", "calib_statistic_method": "max", "round_mode": "half_even"}}`)
	for _, move := range []string{`Transpose <perm = [1, 0]> (h)`, `Reshape (h, shape)`, `Slice (h, begin, shape)`} {
		m := graphtext.MustParse(`<opset_import: ["": 13]> net (float[4, 4] x) => (float[] y, float[] z) <float[4, 4] w = {0.5, -0.25, 0.125, ...}, float zero = {0}, int64[2] shape = {4, 4}, int64[2] begin = {0, 0}> {
  [fc] h = MatMul (x, w)
  [move] v = ` + move + `
  s = ReduceMax <keepdims = 0> (x)
  c = Greater (s, zero)
  [if] y = If <then_branch = yes () => (float[4, 4] a) { a = Exp (v) }, else_branch = no () => (float[4, 4] b) { b = Neg (v) }> (c)
  [last] z = MatMul (x, w)
}`)
		c := calibrateWith(t, m, strategy, plan.Options{Accuracy: scheme.High})
		for _, opts := range []export.Options{{}, {ExactRounding: true}} {
			out, _ := optimize(t, c, opts) // in ONNX Runtime
			ix := graph.NewIndex(out.Graph)
			i := slices.IndexFunc(out.Graph.Nodes, func(n *graph.Node) bool { return n.Is("If") })
			read := out.Graph.Nodes[i].Subgraphs()[0].Nodes[0].Inputs[0]
			if p := ix.Producer[read]; p == nil || !p.Is("DequantizeLinear") {
				t.Fatalf("%s: the body reads %q, which no DequantizeLinear makes", move, read)
			}
		}
	}
}
