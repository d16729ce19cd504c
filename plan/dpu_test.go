package plan_test

import (
	"testing"

	"narrow/scheme"
)

// TestForDPU: under guide, constants of elementwise operators are quantized for the
// DPU, those without axes by the activations' settings, and a quantizer stands behind a
// transpose of two axes; on other devices neither.
func TestForDPU(t *testing.T) {
	const wide = `{"tensor_quantize_config": {"activation": {"bit_width": 16, "round_mode": "half_up"}, "bias": {"bit_width": 16}}}`
	for _, c := range []struct{ name, net, dpu, cpu string }{
		{"a number and a parameter",
			`g (float[N, 4, 8, 8] x) => (float[N, 4, 8, 8] y) <float two = {2}, float[4, 1, 1] p = {1, ...}> { h = Mul (x, two)
			 y = Add (p, h) }`,
			"input x, weights two:16, activation h:16, weights p, activation y:16", "input x, activation h, activation y"},
		{"one number, two readers",
			`g (float[N, 4, 8, 8] x) => (float[N, 4, 8, 8] y) <float two = {2}> { h = Sub (two, x)
			 y = Div (h, two) }`,
			"input x, weights two:16, activation h:16, activation y:16", "input x, activation h, activation y"},
		{"two axes exchanged",
			`g (float[N, 4, 8] x) => (float[N, 8, 3] y) <float[4, 4, 1] w = {1, ...}, float[4, 3] v = {1, ...}> { h = Conv (x, w)
			 s = Transpose <perm = [0, 2, 1]> (h)
			 y = MatMul (s, v) }`,
			"input x, weights w, activation s:16, weights v, activation y:16", "input x, weights w, activation h, weights v, activation y"},
		{"three axes turned",
			`g (float[N, 4, 8, 8] x) => (float[N, 8, 8, 3] y) <float[4, 4, 1, 1] w = {1, ...}, float[4, 3] v = {1, ...}> { h = Conv (x, w)
			 s = Transpose <perm = [0, 2, 3, 1]> (h)
			 y = MatMul (s, v) }`,
			"input x, weights w, activation h:16, weights v, activation y:16", "input x, weights w, activation h, weights v, activation y"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := build(t, c.net, wide)
			if got := quantized(p); got != c.dpu {
				t.Errorf("for the DPU\n %s\nwant\n %s", got, c.dpu)
			}
			for _, x := range p.Tensors {
				want := scheme.HalfUp
				if x.Constant != nil && x.Name != "two" || x.NetworkInput {
					want = scheme.StdRound
				}
				if x.Settings.Settings.RoundMode != want {
					t.Errorf("%s rounds %v, want %v", x.Name, x.Settings.Settings.RoundMode, want)
				}
			}
			if got := quantized(build(t, c.net, cpuWith(""))); got != c.cpu {
				t.Errorf("for the CPU\n %s\nwant\n %s", got, c.cpu)
			}
		})
	}
}
