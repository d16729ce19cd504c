package export_test

import (
	"context"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"narrow/export"
	"narrow/graph/graphtext"
	"narrow/graph/onnx"
	"narrow/internal/testnet"
)

// executions exports c for ONNX Runtime and asks it how it computes the layers.
func executions(t *testing.T, c calibrated, o export.Options) map[string]export.Execution {
	t.Helper()
	m, _ := qdq(t, c.Calibrated, o)
	dir := t.TempDir()
	file := filepath.Join(dir, "q.onnx")
	if err := onnx.Save(m, file); err != nil {
		t.Fatal(err)
	}
	optimized, err := testnet.Runner(t).Optimized(context.Background(), file, dir)
	if err != nil {
		t.Fatal(err)
	}
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
 float[2, 2, 3, 3] v = {0.25, 0.5, -0.125, ...}, float[2] d = {0.25, 0.5}, float[2] b3 = {0.3, 0.1}, float[128, 4] fc = {0.25, -0.5, 0.125, ...}, float[4] e = {0.1, 0.2, -0.3, 0.4}>`
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
		{"flatten", dpu, `net (float[N, 2, 8, 8] x) => (float[N, 4] y) ` + weights + ` {
  [a] xa = Conv <pads = [1, 1, 1, 1]> (x, w, b)
  [f] f = Flatten (xa)
  [g] y = Gemm (f, fc, e)
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
