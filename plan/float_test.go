package plan_test

import (
	"fmt"
	"strings"
	"testing"
)

// attention is a softmax over scores of which something masks a part.
func attention(more, body string) string {
	return `<ir_version: 8, opset_import: ["": 13]> g (float[N, 4, 8] x, float[N, 1, 4] keep) => (float[N, 4, 4] y)
<float[8, 8] w = {0.5, ...}, float one = {1}, float[1, 4, 4] causal = {0, -1e9, ...}, float[1, 4, 4] endless = {0, -inf, ...}, float low = {-3.4028235e38}, float tenK = {-10000}, float[1, 4, 4] small = {0.5, -3, ...}, int64[1] four = {4}, float[1] ninf = {-inf}` + more + `>
{ [q] q = MatMul (x, w) [t] t = Transpose <perm = [0, 2, 1]> (q) [qk] s = MatMul (q, t) ` + body + ` }`
}

// TestMasks: a constant that masks values out makes no range where it would be
// endless, and is told where it merely ruins it.
func TestMasks(t *testing.T) {
	for _, c := range []struct{ name, net, floats, quantized, told string }{
		{"-Inf added", attention("", `[add] m = Add (s, endless) [sm] y = Softmax (m)`), "m", "s y", ""},
		{"-1e9 added", attention("", `[add] m = Add (s, causal) [sm] y = Softmax (m)`), "", "s m y", "layer add: the constant causal"},
		{"a learned bias added", attention("", `[add] m = Add (s, small) [sm] y = Softmax (m)`), "", "s m y", ""},
		{"the smallest float32 times what is left out", attention("", `[sub] k = Sub (one, keep) [mul] l = Mul (k, low) [add] m = Add (s, l) [sm] y = Softmax (m)`), "l m", "s k y", ""},
		{"-10000 times what is left out", attention("", `[sub] k = Sub (one, keep) [mul] l = Mul (k, tenK) [add] m = Add (s, l) [sm] y = Softmax (m)`), "", "s k l m y", "layer mul: the constant tenK"},
		{"-Inf chosen", attention("", `[b] b = Cast <to = 9> (keep) [wh] m = Where (b, s, ninf) [sm] y = Softmax (m)`), "m", "s y", ""},
		{"a mask that nodes compute", attention("", `[shape] d = Concat <axis = 0> (four, four) [f] f = ConstantOfShape <value = float[1] {-inf}> (d) [tri] u = Trilu (f) [add] m = Add (s, u) [sm] y = Softmax (m)`), "m", "s y", ""},
		{"moved between", attention(", int64[4] dims = {0, 1, 4, 4}, int64[3] back = {0, 4, 4}", `[r] sr = Reshape (s, dims) [add] m = Add (sr, endless) [r2] mr = Reshape (m, back) [sm] y = Softmax (mr)`), "m mr", "s y", ""},
		{"nothing behind that knows masks", attention("", `[add] m = Add (s, causal) [relu] y = Relu (m)`), "", "s y", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, list := tryBuild(t, strings.Replace(c.net, `opset_import: ["": 13]`, `opset_import: ["": 14]`, 1), "")
			for name := range strings.FieldsSeq(c.floats) {
				if why := reasonFor(p, name); !strings.Contains(why, "masks values out") && !strings.Contains(why, "no quantized layer reads it") {
					t.Errorf("%s is left since %q", name, why)
				}
			}
			for name := range strings.FieldsSeq(c.quantized) {
				if !strings.Contains(quantized(p)+",", "activation "+name+",") {
					t.Errorf("%s is not quantized: %s", name, quantized(p))
				}
			}
			if !strings.Contains(list, c.told) || (c.told == "") != !strings.Contains(list, "mask-in-range") {
				t.Errorf("told:\n%s\nwant %q", list, c.told)
			}
		})
	}
	asked := strings.Replace(attention("", `[add] m = Add (s, endless) [sm] y = Softmax (m)`), "13", "14", 1)
	p, _ := tryBuild(t, asked, cpuWith(rules(rule(`"layer_name": "add"`, `"activation"`, "", ""))))
	if !strings.Contains(quantized(p), "activation m") {
		t.Errorf("a layer rule asks for it: %s", quantized(p))
	}
}

// TestWithoutEffect: a rule that matches a layer and sets nothing there is told.
func TestWithoutEffect(t *testing.T) {
	const net = `g (float[N, 4, 4, 4] x, float[1, N, 4] z) => (float[N, 12, 2, 2] y, float[1, 1, N, 4] r)
<float[4, 1, 3, 3] g = {0.5, ...}, float[4, 4, 1, 1] w = {0.5, ...}, float[4] b = {1, ...}, float[1, 12, 4] W = {0.1, ...}, float[1, 12, 4] R = {0.1, ...}, float[1, 24] B = {0.1, ...}>
{ [gconv] a = Conv <group = 4, pads = [1, 1, 1, 1], strides = [2, 2]> (x, g) [mp] p = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (x) [c] c = Conv <strides = [2, 2]> (x, w, b)
  [cat] k = Concat <axis = 1> (a, p, c) [add] y = Add (k, k) [rnn] r = GRU <hidden_size = 4> (z, W, R, B) }`
	for _, c := range []struct{ rule, want string }{
		{rule(`"layer_name": "add"`, `"weights"`, `"bit_width": 4`, ""), "layer rule 1 (by name add) has no effect: no tensor of its kinds (weights) is quantized at add"},
		{rule(`"layer_type": "MaxPool2d"`, `"weights", "bias"`, `"bit_width": 4`, ""), "layer rule 1 (by type MaxPool2d) has no effect: no tensor of its kinds (weights, bias)"},
		{rule(`"layer_name": "mp"`, `"activation"`, `"bit_width": 4`, ""), "layer rule 1 (by name mp) has no effect: the quantizer of layer cat serves the result of mp"},
		{rule(`"layer_name": "gconv"`, `"activation"`, `"bit_width": 4`, ""), "the quantizer of layer cat serves the result of gconv"},
		{rule(`"layer_name": "gconv"`, `"weights", "activation"`, `"bit_width": 4`, ""), "what layer rule 1 (by name gconv) sets for activation has no effect: the quantizer of layer cat serves its result"},
		{rule(`"layer_type": "GRU"`, `"weights", "bias"`, `"bit_width": 4`, ""), "layer rule 1 (by type GRU) has no effect: weights and biases of GRU are not quantized"},
		{rule(`"layer_name": "c"`, `"weights", "bias"`, `"datatype": "float32"`, ""), ""},
		{rule(`"layer_name": "add"`, `"activation"`, `"datatype": "float32"`, ""), ""},
		{rule(`"layer_name": "x"`, `"input"`, `"bit_width": 4`, ""), ""},
		{rule(`"layer_type": "Conv2d"`, `"weights", "bias", "activation"`, `"bit_width": 4`, ""), ""},
		{rule(`"layer_name": ["gconv", "c"]`, `"weights", "activation"`, `"bit_width": 4`, ""), ""},
	} {
		_, list := tryBuild(t, net, cpuWith(rules(c.rule)))
		if !strings.Contains(list, c.want) || (c.want == "") != !strings.Contains(list, "no-effect") {
			t.Errorf("%s:\n%s\nwant %q", c.rule, list, c.want)
		}
	}
}

// TestUnquantized: layers with weights that stay float are listed, each with the
// reason.
func TestUnquantized(t *testing.T) {
	for _, c := range []struct{ net, want string }{
		{`g (float[1, N, 4] z) => (float[1, 1, N, 4] r) <float[1, 12, 4] W = {0.1, ...}, float[1, 12, 4] R = {0.1, ...}> { [rnn] r = GRU <hidden_size = 4> (z, W, R) }`,
			"GRU rnn: weights and biases of GRU are not quantized"},
		{`g (float[N, 4, 2, 2] x, bool c) => (float[N, 4, 2, 2] y) <float[4, 4, 1, 1] w = {0.5, ...}> { [branch] y = If <then_branch = t () => (float[N, 4, 2, 2] a) { [inner] a = Conv (x, w) }, else_branch = e () => (float[N, 4, 2, 2] b) { b = Neg (x) }> (c) }`,
			"Conv inner in branch: it is inside the If branch, which passes through untouched"},
		{`g (float[N, 4, 2, 2] x, bool c) => (float[N, 4, 2, 2] y) <float[4, 4, 1, 1] w = {0.5, ...}, int64 n = {3}> { [turns] y = Loop <body = b (int64 i, bool k, float[N, 4, 2, 2] s) => (bool go, float[N, 4, 2, 2] o) { go = Identity (k) [inner] o = If <then_branch = t () => (float[N, 4, 2, 2] a) { [deep] a = Conv (s, w) }, else_branch = e () => (float[N, 4, 2, 2] b) { b = Neg (s) }> (k) }> (n, c, x) }`,
			"Conv deep in turns: it is inside the Loop turns, which passes through untouched"},
		{`g (float[1, 4, 2, 2] x) => (float y) <float[4, 4, 1, 1] w = {0.5, ...}> { [k] k = Conv (x, w) [d] y = Conv (x, k) }`,
			"Conv d: its weights are computed from the network's inputs"},
		{`g (float[N, 4, 2, 2] x) => (float y) <float[4, 4, 1, 1] w = {0.5, ...}> { [r] r = RandomNormalLike (w) [d] y = Conv (x, r) }`,
			"Conv d: its weights are not stored, and what computes them is not known to be constant"},
		{`g (float[N, 4, 2, 2] x) => (float16 y) <float16[4, 4, 1, 1] w = {1, ...}> { [h] h = Cast <to = 10> (x) [d] y = Conv (h, w) }`,
			"Conv d: it computes in float16"},
		{`<ir_version: 8, opset_import: ["": 13, "com.microsoft": 1]> g (float[N, 4, 2, 2] x) => (float y) <float[4, 4, 1, 1] w = {0.5, ...}> { [f] y = com.microsoft.FusedConv (x, w) }`,
			"FusedConv f: FusedConv is an operator of the domain com.microsoft, which passes through untouched"},
		{`g (float[N, 4] x) => (float[N, 4] y) <float[4, 4] w = {0.5, ...}> { [a] a = MatMul (x, w) [t] t = Transpose (a) [b] y = MatMul (a, t) }`, ""},
	} {
		var got []string
		p, list := tryBuild(t, c.net, "")
		if strings.Contains(list, "weights-in-float") != (c.want != "") {
			t.Errorf("told: %s", list)
		}
		for _, u := range p.Unquantized {
			in := ""
			if u.In != "" {
				in = " in " + u.In
			}
			got = append(got, fmt.Sprintf("%s %s%s: %v", u.Op, u.Name, in, u.Why))
		}
		if strings.Join(got, "\n") != c.want {
			t.Errorf("%s\nlists %q, want %q", c.net, got, c.want)
		}
	}
	p, _ := tryBuild(t, `g (float[1, N, 4] z) => (float[1, 1, N, 4] r) <float[1, 12, 4] W = {0.1, ...}, float[1, 12, 4] R = {0.1, ...}, float[1, 24] B = {0.1, ...}> { [rnn] r = GRU <hidden_size = 4> (z, W, R, B) }`, "")
	for name, kind := range map[string]string{"W": "weights", "R": "weights", "B": "bias"} {
		found := false
		for _, l := range p.FloatTensors {
			found = found || l.Name == name && l.Kind.String() == kind && l.Layer.Name == "rnn"
		}
		if !found {
			t.Errorf("%s is not listed as unquantized", name)
		}
	}
}
