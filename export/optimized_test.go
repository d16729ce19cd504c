package export_test

import (
	"context"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"narrow/export"
	"narrow/graph"
	"narrow/graph/graphtext"
	"narrow/graph/onnx"
	"narrow/internal/testnet"
	"narrow/plan"
	"narrow/scheme"
)

// optimize exports c for ONNX Runtime, and returns the export and what ONNX
// Runtime's optimizer makes of it.
func optimize(t *testing.T, c calibrated, o export.Options) (exported, optimized *graph.Model) {
	t.Helper()
	exported, _ = qdq(t, c.Calibrated, o)
	dir := t.TempDir()
	file := filepath.Join(dir, "q.onnx")
	if err := onnx.Save(exported, file); err != nil {
		t.Fatal(err)
	}
	optimized, err := testnet.Runner(t).Optimized(context.Background(), file, dir)
	if err != nil {
		t.Fatal(err)
	}
	return exported, optimized
}

// executions exports c for ONNX Runtime and asks it how it computes the layers.
func executions(t *testing.T, c calibrated, o export.Options) map[string]export.Execution {
	t.Helper()
	m, optimized := optimize(t, c, o)
	out := map[string]export.Execution{}
	for _, e := range export.Executions(m, optimized) {
		out[e.Layer] = e
	}
	return out
}

// TestConvolutionsAreIntegers: ONNX Runtime computes all convolutions in integers,
// also those behind inputs and sums with two readers, behind operators that move
// values, and where some quantizers hold the ties of signed values and others do not.
func TestConvolutionsAreIntegers(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		t.Skip("how ONNX Runtime fuses depends on the processor")
	}
	const weights = `<float[2, 2, 3, 3] w = {0.5, -0.25, 0.125, ...}, float[2] b = {0.5, -0.25},
 float[2, 2, 3, 3] v = {0.25, 0.5, -0.125, ...}, float[2] d = {0.25, 0.5}, float[2, 6, 3, 3] six = {0.125, 0.5, -0.25, ...}, float[2] b3 = {0.3, 0.1}, float[128, 4] fc = {0.25, -0.5, 0.125, ...}, float[4] e = {0.1, 0.2, -0.3, 0.4}, float[4, 4] square = {0.5, 0.25, -0.5, ...}>`
	const dpu = `{"include_bias_corr": false}`
	for _, c := range []struct{ name, config, net string }{
		{"residual", dpu, `net (float[N, 2, 8, 8] x) => (float[N, 2, 8, 8] y) ` + weights + ` {
  [a] xa = Conv <pads = [1, 1, 1, 1]> (x, w, b)
  [sum1] s = Add (xa, x)
  [act1] r = Relu (s)
  [c] rc = Conv <pads = [1, 1, 1, 1]> (r, v, d)
  [sum2] q = Add (rc, r)
  [act2] y = Relu (q)
}`},
		{"silu", dpu, `net (float[N, 2, 8, 8] x) => (float[N, 2, 8, 8] y) ` + weights + ` {
  [a] xa = Conv <pads = [1, 1, 1, 1]> (x, w, b)
  [s1] sa = Sigmoid (xa)
  [m1] ma = Mul (xa, sa)
  [c] xc = Conv <pads = [1, 1, 1, 1]> (ma, v, d)
  [s2] sc = Sigmoid (xc)
  [m2] mc = Mul (xc, sc)
  [e] y = Conv <pads = [1, 1, 1, 1]> (mc, w, b3)
}`},
		{"one layer for two levels", dpu, `net (float[N, 2, 8, 8] x) => (float[N, 2, 8, 8] y, float[N, 2, 4, 4] z) ` + weights + ` {
  [a] xa = Conv <pads = [1, 1, 1, 1]> (x, v, d)
  [p] xp = Conv <pads = [1, 1, 1, 1], strides = [2, 2]> (xa, w, b3)
  [head] y = Conv <pads = [1, 1, 1, 1]> (xa, w, b)
  [head2] z = Conv <pads = [1, 1, 1, 1]> (xp, w, b)
}`},
		{"no bias", dpu, `net (float[N, 2, 8, 8] x) => (float[N, 2, 8, 8] y) ` + weights + ` {
  [a] xa = Conv <pads = [1, 1, 1, 1]> (x, w)
  [c] y = Conv <pads = [1, 1, 1, 1]> (xa, v)
}`},
		{"concat", dpu, `net (float[N, 2, 8, 8] x) => (float[N, 2, 8, 8] y) ` + weights + ` {
  [a] xa = Conv <pads = [1, 1, 1, 1]> (x, w, b)
  [c] xc = Conv <pads = [1, 1, 1, 1]> (xa, v, d)
  [e] xe = Conv <pads = [1, 1, 1, 1]> (xa, w)
  [cat] k = Concat <axis = 1> (xc, xe, x)
  [g] y = Conv <pads = [1, 1, 1, 1]> (k, six, b3)
}`},
		{"flatten", dpu, `net (float[N, 2, 8, 8] x) => (float[N, 4] y) ` + weights + ` {
  [a] xa = Conv <pads = [1, 1, 1, 1]> (x, w, b)
  [f] f = Flatten (xa)
  [g] y = Gemm (f, fc, e)
}`},
		{"products of Keras", dpu, `net (float[N, 2, 8, 8] x) => (float[N, 4] y) ` + weights + ` {
  [a] xa = Conv <pads = [1, 1, 1, 1]> (x, w, b)
  [f] f = Flatten (xa)
  [g] fg = MatMul (f, fc)
  [bias] fb = Add (fg, e)
  [r] h = Relu (fb)
  [last] hl = MatMul (h, square)
  [bias2] y = Add (e, hl)
}`},
	} {
		for name, config := range map[string]string{"DPU": c.config, "per channel": config(t, "int8_perchannel")} {
			for _, e := range executions(t, calibrateOn(t, graphtext.MustParse(c.net), settings(t, config)), export.Options{}) {
				if !e.Integer {
					t.Errorf("%s, %s: %s is computed in float: %v", c.name, name, e.Layer, e.Reason)
				}
			}
		}
	}
}

// TestOperatorsFuse: what stands around convolutions costs no operators of its own
// in ONNX Runtime: a ReLU6 that two read and that the integers' range implies, a
// Resize that copies (behind a quantizer of its own, and in front of a Concat),
// and SiLU, whose Sigmoid stays float.
func TestOperatorsFuse(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		t.Skip("how ONNX Runtime fuses depends on the processor")
	}
	const weights = `<float[2, 2, 3, 3] w = {0.5, -0.25, 0.125, ...}, float[2] b = {0.5, -0.25}, float[2, 4, 3, 3] wide = {0.25, 0.5, -0.125, ...},
 float[] zero = {0}, float[] six = {6}, float[4] twice = {1, 1, 2, 2}>`
	for _, c := range []struct {
		name, net string
		want      map[string]int
	}{
		{"relu6", `net (float[N, 2, 8, 8] x) => (float[N, 2, 8, 8] y) ` + weights + ` {
  [a] xa = Conv <pads = [1, 1, 1, 1]> (x, w, b)
  [r] r = Clip (xa, zero, six)
  [c] rc = Conv <pads = [1, 1, 1, 1]> (r, w, b)
  [s] y = Add (rc, r)
}`, map[string]int{"QuantizeLinear": 1, "DequantizeLinear": 1, "Clip": 0}},
		{"resize", `net (float[N, 2, 8, 8] x) => (float[N, 2, 16, 16] y) ` + weights + ` {
  [a] xa = Conv <pads = [1, 1, 1, 1]> (x, w, b)
  [up] u = Resize <mode = "nearest", coordinate_transformation_mode = "asymmetric", nearest_mode = "floor"> (xa, , twice)
  [c] y = Conv <pads = [1, 1, 1, 1]> (u, w, b)
}`, map[string]int{"QuantizeLinear": 1, "DequantizeLinear": 1}},
		{"resize and concat", `net (float[N, 2, 8, 8] x, float[N, 2, 16, 16] z) => (float[N, 2, 16, 16] y) ` + weights + ` {
  [a] xa = Conv <pads = [1, 1, 1, 1]> (x, w, b)
  [e] xe = Conv <pads = [1, 1, 1, 1]> (z, w, b)
  [up] u = Resize <mode = "nearest", coordinate_transformation_mode = "asymmetric", nearest_mode = "floor"> (xa, , twice)
  [cat] k = Concat <axis = 1> (u, xe)
  [c] y = Conv <pads = [1, 1, 1, 1]> (k, wide, b)
}`, map[string]int{"QLinearConcat": 1, "QuantizeLinear": 3, "DequantizeLinear": 2}},
		{"silu", `net (float[N, 2, 8, 8] x) => (float[N, 2, 8, 8] y) ` + weights + ` {
  [a] xa = Conv <pads = [1, 1, 1, 1]> (x, w, b)
  [s] sa = Sigmoid (xa)
  [m] ma = Mul (xa, sa)
  [c] y = Conv <pads = [1, 1, 1, 1]> (ma, w, b)
}`, map[string]int{"QuickGelu": 1, "Sigmoid": 0, "Mul": 0, "DequantizeLinear": 2}},
	} {
		strategy := settings(t, `{"target_device": "CPU", "include_bias_corr": false, "include_cle": false,
			"overall_quantize_config": {"scale_type": "float", "method": "maxmin", "calib_statistic_method": "max", "round_mode": "half_even"}, "tensor_quantize_config": {
			"activation": {"symmetry": false}, "input": {"symmetry": false}, "bias": {"bit_width": 32}}}`)
		_, optimized := optimize(t, calibrateWith(t, graphtext.MustParse(c.net), strategy, plan.Options{Accuracy: scheme.High}), export.Options{})
		count := map[string]int{}
		floats := map[string]bool{}
		for _, n := range optimized.Graph.Nodes {
			count[n.OpType]++
			floats[n.Outputs[0]] = n.OpType == "DequantizeLinear"
			if n.OpType == "Resize" && floats[n.Inputs[0]] {
				t.Errorf("%s: the Resize is computed in float", c.name)
			}
		}
		for op, want := range c.want {
			if count[op] != want {
				t.Errorf("%s: %d of %s, want %d; all: %v", c.name, count[op], op, want, count)
			}
		}
	}
}

// TestWhyFloat: what keeps a layer from an integer kernel is named.
func TestWhyFloat(t *testing.T) {
	const net = `net (float[N, 2, 8, 8] x) => (float[N, 2, 16, 16] y, float[N, 2, 8, 8] z) <float[2, 2, 3, 3] w = {0.5, -0.25, 0.125, ...}, float[2] b = {0.5, -0.25},
 float[2, 2, 2, 2] u = {0.25, 0.5, -0.125, ...}, float[2, 2, 3, 3] w2 = {0.5, 0.25, ...}, float[2, 2, 3, 3] w3 = {0.3, 0.2, 0.1, ...}> {
  [plain] p = Conv <pads = [1, 1, 1, 1]> (x, w, b)
  [up] y = ConvTranspose <strides = [2, 2]> (p, u)
  [weights] q = Conv <pads = [1, 1, 1, 1]> (p, w2)
  [bits] r = Conv <pads = [1, 1, 1, 1]> (q, w3)
  [wide] s = Conv <pads = [1, 1, 1, 1]> (r, w)
  [after] z = Conv <pads = [1, 1, 1, 1]> (s, w)
}`
	rule := func(name, kind, settings string) string {
		return `{"layer_type": null, "layer_name": "` + name + `", "quantizable_data_type": ["` + kind + `"], "overall_quantize_config": {` + settings + `}}`
	}
	c := calibrateOn(t, graphtext.MustParse(net), settings(t, `{"target_device": "CPU", "include_bias_corr": false, "include_cle": false, "layer_quantize_config": [`+
		rule("weights", "weights", `"datatype": "float32"`)+`, `+rule("bits", "weights", `"bit_width": 4`)+`, `+
		rule("wide", "activation", `"bit_width": 16`)+`]}`))
	got := executions(t, c, export.Options{})
	for layer, want := range map[string]string{
		"plain": "", "up": "no integer kernel for ConvTranspose", "weights": "its weights are no integers", "bits": "stored as int4",
		"wide": "its result is not quantized to 8 bits", "after": "what it reads is not quantized to 8 bits",
	} {
		e := got[layer]
		if e.Layer == "" || e.Integer != (want == "") || !strings.Contains(e.Reason.String(), want) {
			t.Errorf("%s: %+v, want %q", layer, e, want)
		}
	}
}
