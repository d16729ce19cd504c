package plan_test

import (
	"maps"
	"math"
	"slices"
	"strings"
	"testing"

	"narrow/graph/graphtext"
	"narrow/plan"
	"narrow/scheme"
	"narrow/strategy"
)

// high plans a text graph for [scheme.High].
func high(t *testing.T, net, config string, join bool) *plan.Plan {
	t.Helper()
	s, list := strategy.Parse("test.json", []byte(config))
	if err := list.Err(); err != nil {
		t.Fatal(err)
	}
	m, err := graphtext.Parse(net)
	if err != nil {
		t.Fatal(err)
	}
	p, list, err := plan.BuildWith(m, s, plan.Options{Accuracy: scheme.High, Functions: plan.Functions{Join: join}})
	if err == nil {
		err = list.Err()
	}
	if err != nil {
		t.Fatal(err)
	}
	return p
}

const (
	forDPU = `{}`
	forCPU = `{"target_device": "CPU"}`
	forGPU = `{"target_device": "GPU"}`
)

// spellings are functions as exporters write them, of the value h.
var spellings = map[string]string{
	"silu":                  `s = Sigmoid (h) y = Mul (h, s)`,
	"silu, swapped":         `s = Sigmoid (h) y = Mul (s, h)`,
	"silu of TF":            `n = Neg (h) e = Exp (n) p = Add (e, one) y = Div (h, p)`,
	"quick gelu":            `m = Mul (h, quick) s = Sigmoid (m) y = Mul (h, s)`,
	"hardswish":             `s = HardSigmoid <alpha = 0.16666667, beta = 0.5> (h) y = Mul (h, s)`,
	"hardswish of torch":    `a = Add (h, three) c = Clip (a, zero, six) m = Mul (h, c) y = Div (m, six)`,
	"hardswish, min of max": `a = Add (h, three) c = Max (a, zero) d = Min (c, six) e = Mul (d, sixth) y = Mul (h, e)`,
	"gelu":                  `d = Div (h, root2) e = Erf (d) p = Add (e, one) m = Mul (h, p) y = Mul (m, half)`,
	"gelu, half first":      `g = Mul (h, half) d = Mul (h, root) e = Erf (d) p = Add (e, one) y = Mul (g, p)`,
	"gelu of tanh":          `q = Pow (h, three) k = Mul (q, cubic) a = Add (h, k) b = Mul (a, lead) c = Tanh (b) p = Add (c, one) g = Mul (h, half) y = Mul (g, p)`,
	"mish":                  `s = Softplus (h) c = Tanh (s) y = Mul (h, c)`,
	"mish by exp":           `e = Exp (h) p = Add (e, one) l = Log (p) c = Tanh (l) y = Mul (h, c)`,
	"sigmoid":               `y = Sigmoid (h)`,
	"sigmoid of TF":         `n = Neg (h) e = Exp (n) p = Add (e, one) y = Reciprocal (p)`,
	"tanh":                  `y = Tanh (h)`,
	"hard sigmoid, by hand": `a = Add (h, three) c = Clip (a, zero, six) y = Mul (c, sixth)`,
}

const scalars = `float one = {1}, float three = {3}, float six = {6}, float zero = {0}, float sixth = {0.16666667}, float half = {0.5}, float root2 = {1.4142135},
 float root = {0.70710677}, float quick = {1.702}, float cubic = {0.044715}, float lead = {0.7978846}`

// A function behind a convolution joins it for the GPU, and for the CPU where
// that is asked for: one quantizer behind both. Otherwise the convolution has
// its own. The convolution that reads the function makes its result quantized.
func TestFunctionsJoin(t *testing.T) {
	for name, text := range spellings {
		net := `g (float[N, 4, 8, 8] x) => (float[N, 4, 8, 8] z) <float[4, 4, 1, 1] w = {0.5, ...}, ` + scalars + `> { [a] h = Conv (x, w) ` + text + ` [b] z = Conv (y, w) }`
		joined, apart := "input x, weights w, activation y, activation z", "input x, weights w, activation h, activation y, activation z"
		for _, c := range []struct {
			config string
			join   bool
			want   string
		}{{forGPU, false, joined}, {forCPU, true, joined}, {forCPU, false, apart}, {forDPU, true, apart}} {
			if got := quantized(high(t, net, c.config, c.join)); got != c.want {
				t.Errorf("%s, %s, join %v: %s, want %s", name, c.config, c.join, got, c.want)
			}
		}
	}
	// What no function is stays apart, and a function of a sum joins nothing.
	for name, text := range map[string]string{
		"no function":      `s = Sigmoid (h) q = Mul (s, three) y = Mul (h, q)`,
		"read from inside": `s = Sigmoid (h) y = Mul (h, s) k = Neg (s)`,
		"of a sum":         `i = Add (h, x) s = Sigmoid (i) y = Mul (i, s)`,
	} {
		net := `g (float[N, 4, 8, 8] x) => (float[N, 4, 8, 8] z) <float[4, 4, 1, 1] w = {0.5, ...}, ` + scalars + `> { [a] h = Conv (x, w) ` + text + ` [b] z = Conv (y, w) }`
		if got := quantized(high(t, net, forGPU, false)); !strings.Contains(got, "activation h") {
			t.Errorf("%s: %s", name, got)
		}
	}
}

// normalizations are written out as exporters do; g and b are scale and shift.
var normalizations = map[string]string{
	"LayerNormalization, torch":                     `m = ReduceMean <axes = [-1]> (h) d = Sub (h, m) q = Pow (d, two) v = ReduceMean <axes = [-1]> (q) e = Add (v, eps) r = Sqrt (e) n = Div (d, r) k = Mul (n, g) y = Add (k, b)`,
	"LayerNormalization, old torch, centered twice": `m = ReduceMean <axes = [-1]> (h) d = Sub (h, m) f = Sub (h, m) q = Mul (f, f) v = ReduceMean <axes = [-1]> (q) e = Add (v, eps) r = Sqrt (e) n = Div (d, r) k = Mul (n, g) y = Add (k, b)`,
	"LayerNormalization, reciprocal":                `m = ReduceMean <axes = [-1]> (h) d = Sub (h, m) q = Mul (d, d) v = ReduceMean <axes = [-1]> (q) e = Add (v, eps) r = Sqrt (e) i = Reciprocal (r) y = Mul (d, i)`,
	"LayerNormalization, TF":                        `m = ReduceMean <axes = [-1]> (h) d = Sub (h, m) q = Mul (d, d) v = ReduceMean <axes = [-1]> (q) e = Add (v, eps) r = Sqrt (e) i = Reciprocal (r) s = Mul (i, g) n = Mul (h, s) p = Mul (m, s) o = Sub (b, p) y = Add (n, o)`,
	"LayerNormalization, JAX":                       `m = ReduceMean <axes = [-1]> (h) q = Mul (h, h) v = ReduceMean <axes = [-1]> (q) p = Mul (m, m) w1 = Sub (v, p) w2 = Max (w1, zero) e = Add (w2, eps) i = Pow (e, minushalf) d = Sub (h, m) s = Mul (i, g) n = Mul (d, s) y = Add (n, b)`,
	"RMSNormalization, torch":                       `q = Pow (h, two) v = ReduceMean <axes = [-1]> (q) e = Add (v, eps) r = Sqrt (e) i = Div (one, r) n = Mul (h, i) y = Mul (n, g)`,
	"RMSNormalization, division":                    `q = Mul (h, h) v = ReduceMean <axes = [-1]> (q) e = Add (v, eps) r = Sqrt (e) n = Div (h, r) y = Mul (n, g)`,
	"Softmax, by hand":                              `m = ReduceMax <axes = [-1]> (h) d = Sub (h, m) e = Exp (d) s = ReduceSum <axes = [-1]> (e) y = Div (e, s)`,
	"Softmax, reciprocal":                           `e = Exp (h) s = ReduceSum <axes = [-1]> (e) i = Reciprocal (s) y = Mul (e, i)`,
}

// A normalization or softmax that is written out is one layer: what enters and
// what leaves is quantized, nothing between.
func TestWrittenOut(t *testing.T) {
	for name, text := range normalizations {
		net := `<opset_import: ["": 12]> g (float[N, 6, 4] x) => (float[N, 6, 4] z) <float[4, 4] w = {0.5, ...}, float[4] g = {2, ...}, float[4] b = {1, ...}, float two = {2}, float one = {1}, float zero = {0}, float eps = {1e-5}, float minushalf = {-0.5}>
{ [a] h = MatMul (x, w) ` + text + ` [c] z = MatMul (y, w) }`
		for _, config := range []string{forDPU, forCPU, forGPU} {
			p := high(t, net, config, false)
			if got, want := quantized(p), "input x, weights w, activation h, activation y, activation z"; got != want {
				t.Errorf("%s, %s: %s, want %s", name, config, got, want)
			}
			op, _, _ := strings.Cut(name, ",")
			found := false
			for _, l := range p.Layers {
				found = found || l.Op == op && l.Output == "y"
			}
			if !found {
				t.Errorf("%s: no layer %s outputs y", name, op)
			}
		}
	}
	for name, c := range map[string]struct{ text, op string }{
		"instance norm":       {`m = ReduceMean <axes = [2, 3]> (h) d = Sub (h, m) q = Mul (d, d) v = ReduceMean <axes = [2, 3]> (q) e = Add (v, eps) r = Sqrt (e) n = Div (d, r) k = Mul (n, g) y = Add (k, b)`, "InstanceNormalization"},
		"group norm of torch": {`f = Reshape (h, fold) n = InstanceNormalization (f, ones, zeros) u = Reshape (n, back) k = Mul (u, g) y = Add (k, b)`, "GroupNormalization"},
	} {
		net := `g (float[N, 4, 8, 8] x) => (float[N, 4, 8, 8] z) <float[4, 4, 1, 1] w = {0.5, ...}, float[4, 1, 1] g = {2, ...}, float[4, 1, 1] b = {1, ...}, float eps = {1e-5}, float[2] ones = {1, ...}, float[2] zeros = {0, ...}, int64[3] fold = {0, 2, -1}, int64[4] back = {0, 4, 8, 8}>
{ [a] h = Conv (x, w) ` + c.text + ` [c] z = Conv (y, w) }`
		p := high(t, net, forCPU, false)
		if got, want := quantized(p), "input x, weights w, activation h, activation y, activation z"; got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
		found := false
		for _, l := range p.Layers {
			found = found || l.Op == c.op
		}
		if !found {
			t.Errorf("%s: no layer %s", name, c.op)
		}
	}
}

// What makes a signal of whose spectrum a network takes the logarithm stays float,
// weights and input too, where nothing else reads it.
func TestSignalBeforeLog(t *testing.T) {
	for text, want := range map[string]string{
		// A spectrum, then bands of it.
		`r = Conv (x, v) p = Mul (r, r) m = Conv (p, u) e = Add (m, eps) l = Log (e) z = Conv (l, w)`:                                            "activation l, weights w, activation z",
		`r = Conv (x, v) i = Conv (x, u) p = Pow (r, two) q = Pow (i, two) s = Add (p, q) a = Sqrt (s) c = Clip (a) l = Log (c) z = Conv (l, w)`: "activation l, weights w, activation z",
		// Another layer reads the input.
		`r = Conv (x, v) p = Mul (r, r) e = Add (p, eps) l = Log (e) k = Conv (x, u) s = Add (k, l) z = Conv (s, w)`: "input x, activation l, weights u, activation k, activation s, weights w, activation z",
		// No power; a function before it.
		`r = Conv (x, v) e = Clip (r) l = Log (e) z = Conv (l, w)`:                                 "input x, weights v, activation l, weights w, activation z",
		`r = Conv (x, v) f = Tanh (r) p = Mul (f, f) e = Add (p, eps) l = Log (e) z = Conv (l, w)`: "input x, weights v, activation r, activation l, weights w, activation z",
	} {
		p := high(t, `<opset_import: ["": 13]> g (float[N, 4, 64] x) => (float[N, 4, 64] z) <float[4, 4, 1] u = {0.5, ...}, float[4, 4, 1] v = {0.25, ...}, float[4, 4, 1] w = {0.125, ...}, float eps = {1e-5}, float two = {2}> { `+text+` }`, forCPU, false)
		if got := quantized(p); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
		if float := strings.Count(text, "Conv") - strings.Count(want, "weights"); len(p.Unquantized) != float {
			t.Errorf("%s: %d layers with weights are told to stay in float, want %d", text, len(p.Unquantized), float)
		}
	}
}

// What a small error destroys stays float, unless a layer rule asks for it.
func TestFragile(t *testing.T) {
	for text, want := range map[string]string{
		// The power before a logarithm, and what it is the square of.
		`r = Relu (h) p = Mul (r, r) e = Add (p, eps) l = Log (e) [b] z = Conv (l, w)`:    "input x, weights w, activation l, activation z",
		`p = Relu (h) e = Add (p, eps) l = Sqrt (e) [b] z = Conv (l, w)`:                  "input x, weights w, activation l, activation z",
		`p = Add (h, eps) l = Div (x, p) [b] z = Conv (l, w)`:                             "input x, weights w, activation l, activation z",
		`p = Add (h, eps) i = Reciprocal (p) l = Mul (x, i) [b] z = Conv (l, w)`:          "input x, weights w, activation i, activation l, activation z",
		`p = Pow (h, frac) [b] z = Conv (p, w)`:                                           "input x, weights w, activation p, activation z",
		`p = Pow (h, two) [b] z = Conv (p, w)`:                                            "input x, weights w, activation h, activation p, activation z",
		`p = Div (h, two) [b] z = Conv (p, w)`:                                            "input x, weights w, activation h, activation p, activation z",
		`p = Reshape (h, shape) l = Log (p) q = Reshape (l, shape) [b] z = Conv (q, w)`:   "input x, weights w, activation l, activation z",
		`m = ReduceSum <axes = [1], keepdims = 1> (h) l = Div (x, m) [b] z = Conv (l, w)`: "input x, weights w, activation l, activation z",
		// Peaks: a value that is the largest of those around it.
		`s = Sigmoid (h) m = MaxPool <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (s) e = Equal (m, s) k = Cast <to = 1> (e) z = Mul (s, k)`: "input x, weights w, activation k, activation z",
		`m = MaxPool <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (h) e = Equal (m, x) k = Cast <to = 1> (e) z = Mul (h, k)`:                 "input x, weights w, activation h, activation m, activation k, activation z",
		// What becomes integers.
		`f = Floor (h) i = Cast <to = 7> (f) k = Cast <to = 1> (i) z = Add (k, x)`: "input x, weights w, activation k, activation z",
	} {
		net := `<opset_import: ["": 12]> g (float[N, 4, 8, 8] x) => (float[N, 4, 8, 8] z) <float[4, 4, 1, 1] w = {0.5, ...}, float eps = {1e-5}, float frac = {-0.5}, float two = {2}, int64[4] shape = {0, 4, 8, 8}> { [a] h = Conv (x, w) ` + text + ` }`
		p := high(t, net, forCPU, false)
		if got := quantized(p); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
		// The rule for the first layer takes its own result back.
		p = high(t, net, `{"target_device": "CPU", "layer_quantize_config": [{"layer_name": "a", "quantizable_data_type": ["activation"], "overall_quantize_config": {"bit_width": 16}}]}`, false)
		if got := quantized(p); !strings.Contains(got, ":16") {
			t.Errorf("%s with a rule: %s", text, got)
		}
	}
	p := high(t, `g (float[N, 4, 8, 8] x) => (float[N, 4, 8, 8] z) <float[4, 4, 1, 1] w = {0.5, ...}> { [a] h = Conv (x, w) [l] z = Log (h) }`, forCPU, false)
	if got := reasonFor(p, "h"); got != "Log l follows, which a small error of it destroys" {
		t.Errorf("the reason: %s", got)
	}
	// An input that holds indices.
	p = high(t, `g (float[N, 4] x) => (float[N, 4, 8] z) <float[100, 8] table = {0.5, ...}, float[8, 8] w = {0.5, ...}> { [i] i = Cast <to = 6> (x) e = Gather (table, i) [b] z = MatMul (e, w) }`, forCPU, false)
	if got, want := quantized(p), "activation e, weights w, activation z"; got != want {
		t.Errorf("indices: %s, want %s", got, want)
	}
	// An input that is a bound of others, and nothing else.
	for text, want := range map[string]string{
		`z = Where (c, h, zero)`:                  "input x, weights w, activation h",
		`k = Where (c, h, zero) z = Mul (k, top)`: "input x, input top, weights w, activation h, activation k, activation z",
	} {
		p = high(t, `g (float[N, 4] x, float top) => (float[N, 8] z) <float[4, 8] w = {0.5, ...}, float zero = {0}> { [a] h = MatMul (x, w) c = LessOrEqual (h, top) `+text+` }`, forCPU, false)
		if got := quantized(p); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}

// All that functions read is quantized only as far as they are not flat.
func TestFlat(t *testing.T) {
	inf := float32(math.Inf(1))
	bounds := map[string][2]float32{
		"silu": {-8, inf}, "silu of TF": {-8, inf}, "hardswish": {-3, inf}, "hardswish of torch": {-3, inf}, "gelu": {-4, inf}, "mish": {-8, inf},
		"sigmoid": {-inf, 8}, "sigmoid of TF": {-inf, 8}, "tanh": {-4, 4}, "hard sigmoid, by hand": {-3, 3},
	}
	spelled := maps.Clone(spellings)
	for name, text := range map[string]string{
		"hard sigmoid of TF":   `y = HardSigmoid <alpha = 0.2, beta = 0.5> (h)`,
		"two, moved":           `r = Reshape (h, shape) s = Tanh (r) q = HardSigmoid <alpha = 0.2, beta = 0.5> (h) y = Mul (s, q)`,
		"another reads it too": `s = Sigmoid (h) y = Add (s, h)`,
	} {
		spelled[name] = text
	}
	bounds["hard sigmoid of TF"], bounds["two, moved"], bounds["another reads it too"] = [2]float32{-2.5, 2.5}, [2]float32{-4, 4}, [2]float32{}
	for name, want := range bounds {
		net := `g (float[N, 4, 8, 8] x) => (float[N, 4, 8, 8] z) <float[4, 4, 1, 1] w = {0.5, ...}, int64[4] shape = {0, 4, 8, 8}, ` + scalars + `> { [a] h = Conv (x, w) ` + spelled[name] + ` [b] z = Conv (y, w) }`
		for _, x := range high(t, net, forCPU, false).Activations() {
			if got := [2]float32{x.Low, x.High}; x.Name == "h" && (got[0] != want[0] && abs(got[0]-want[0]) > 1e-5 || got[1] != want[1] && abs(got[1]-want[1]) > 1e-5) || x.Name != "h" && x.Bounded() {
				t.Errorf("%s: %s counts from %g to %g, want %g to %g for h", name, x.Name, x.Low, x.High, want[0], want[1])
			}
		}
	}
	for _, x := range build(t, `g (float[N, 4, 8, 8] x) => (float[N, 4, 8, 8] z) <float[4, 4, 1, 1] w = {0.5, ...}> { [a] h = Conv (x, w) y = Sigmoid (h) [b] z = Conv (y, w) }`, forCPU).Activations() {
		if x.Bounded() {
			t.Errorf("the guide's way has bounds of %s", x.Name)
		}
	}
}

func abs(x float32) float32 { return float32(math.Abs(float64(x))) }

// A join that no quantized operator reads is spared, however passive operators
// carry it out; its operands keep their own quantizers, or none where they
// leave the network.
func TestFreeJoins(t *testing.T) {
	const layers = `[a] h = Conv (x, w) [m] p = Mul (h, half) [s] q = Sigmoid (h) `
	for text, want := range map[string]string{
		`[cat] z = Concat <axis = 1> (p, q)`:                                    "input x, weights w, activation h",
		`[cat] c = Concat <axis = 1> (p, q) [r] z = Reshape (c, shape)`:         "input x, weights w, activation h",
		`[cat] c = Concat <axis = 1> (p, q) [dog] z = Concat <axis = 1> (c, x)`: "input x, weights w, activation h",
		`[b] k = Conv (x, w) [cat] z = Concat <axis = 1> (k, q)`:                "input x, weights w, activation h, activation p, activation k",
		`[cat] c = Concat <axis = 1> (p, q) [t] z = Tanh (c)`:                   "input x, weights w, activation h, activation p",
		// What selects of a join, as detectors that end in a TopK do.
		`[cat] c = Concat <axis = 1> (p, q) m = ReduceMax <axes = [2, 3], keepdims = 0> (c) t, i = TopK (m, one) [g] z = Gather <axis = 1> (c, i)`: "input x, weights w, activation h",
		`[cat] c = Concat <axis = 1> (p, q) [t] m = ReduceMax <axes = [2, 3]> (c) [b] z = Conv (m, v)`:                                             "input x, weights w, activation h, activation c, activation m, weights v, activation z",
		`[cat] c = Concat <axis = 1> (h, p) [b] z = Conv (c, v)`:                                                                                   "input x, weights w, activation h, activation c, weights v, activation z",
		`[cat] c = Concat <axis = 1> (p, q) [b] k = Conv (c, v) [r] i = Reshape (c, shape) z = Neg (i)`:                                            "input x, weights w, activation h, activation c, weights v, activation k",
	} {
		if strings.Contains(text, "k = Conv (x") {
			text += ` [u] o = Mul (p, half)` // p has a reader of its own
		}
		net := `g (float[N, 4, 8, 8] x) => (float[] z) <float[4, 4, 1, 1] w = {0.5, ...}, float[4, 8, 1, 1] v = {0.5, ...}, float half = {0.5}, int64[3] shape = {0, 8, -1}, int64[1] one = {1}> { ` + layers + text + ` }`
		got := quantized(high(t, net, forCPU, false))
		got = strings.TrimSuffix(strings.ReplaceAll(got, ", activation o", ""), ",")
		if got != want {
			t.Errorf("%s:\n%s, want\n%s", text, got, want)
		}
	}
	// A rule for the join makes it one scale again.
	net := `g (float[N, 4, 8, 8] x) => (float[] z) <float[4, 4, 1, 1] w = {0.5, ...}, float half = {0.5}> { ` + layers + `[cat] z = Concat <axis = 1> (p, q) }`
	rule := `{"target_device": "CPU", "layer_quantize_config": [{"layer_name": "cat", "quantizable_data_type": ["activation"], "overall_quantize_config": {"bit_width": 16}}]}`
	if got, want := quantized(high(t, net, rule, false)), "input x, weights w, activation h, activation z:16"; got != want {
		t.Errorf("with a rule: %s, want %s", got, want)
	}
	if got, want := quantized(high(t, net, forDPU, false)), "input x, weights w, activation h"; got != want {
		t.Errorf("for the DPU: %s, want %s", got, want)
	}
}

// What is watched serves a plan with functions joined and one without.
func TestWatchServesBoth(t *testing.T) {
	for name, text := range spellings {
		net := `g (float[N, 4, 8, 8] x) => (float[N, 8, 8, 8] z) <float[4, 4, 1, 1] w = {0.5, ...}, ` + scalars + `> { [a] h = Conv (x, w) ` + text + ` [b] k = Conv (y, w) [cat] z = Concat <axis = 1> (k, y) }`
		watched := map[string]bool{}
		for _, w := range high(t, net, forCPU, false).Watch().Tensors {
			watched[w.Name] = true
		}
		for _, join := range []bool{false, true} {
			for _, a := range high(t, net, forCPU, join).Activations() {
				if !watched[a.Name] {
					t.Errorf("%s: %s is quantized with join %v, and not watched", name, a.Name, join)
				}
			}
		}
	}
}

// The guide's placement does not change: see placement_test.go. Here it is held
// that high without anything of the above equals it.
func TestHighPlacesAsGuide(t *testing.T) {
	const net = `g (float[N, 4, 8, 8] x) => (float[N, 8, 8, 8] z) <float[4, 4, 1, 1] w = {0.5, ...}, float[8, 8, 1, 1] v = {0.5, ...}>
{ [a] h = Conv (x, w) [r] k = Relu (h) [b] l = Conv (k, w) [cat] c = Concat <axis = 1> (k, l) [p] m = MaxPool <kernel_shape = [1, 1]> (c) [e] z = Conv (m, v) }`
	for _, config := range []string{forDPU, forCPU, forGPU} {
		if got, want := quantized(high(t, net, config, true)), quantized(build(t, net, config)); got != want {
			t.Errorf("%s: %s, want %s", config, got, want)
		}
	}
}

// Functions join but those that stay apart, and what they would read there is known.
func TestSomeFunctionsJoin(t *testing.T) {
	const net = `g (float[N, 1, 2, 2] x) => (float[N, 1, 2, 2] y) <float[1, 1, 1, 1] w = {0.5}> {
		[a] h = Conv (x, w) s = Sigmoid (h) k = Mul (h, s) [b] i = Conv (k, w) r = Sigmoid (i) o = Mul (i, r) [c] y = Conv (o, w) }`
	m, err := graphtext.Parse(net)
	if err != nil {
		t.Fatal(err)
	}
	s, list := strategy.Parse("s.json", []byte(forCPU))
	if err := list.Err(); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		f    plan.Functions
		want []string
	}{
		{plan.Functions{}, []string{"x", "h", "k", "i", "o", "y"}},
		{plan.Functions{Join: true}, []string{"x", "k", "o", "y"}},
		{plan.Functions{Join: true, Apart: []string{"o"}}, []string{"x", "k", "i", "o", "y"}},
	} {
		p, _, err := plan.BuildWith(m, s, plan.Options{Accuracy: scheme.High, Functions: tt.f})
		if err != nil {
			t.Fatal(err)
		}
		quantized := map[string]bool{}
		var got []string
		for _, x := range p.Activations() {
			got = append(got, x.Name)
			quantized[x.Name] = true
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%+v: %v, want %v", tt.f, got, tt.want)
		}
		joints := p.Joints()
		for i, want := range [][2]string{{"k", "h"}, {"o", "i"}} {
			if len(joints) != 2 || joints[i].Function != want[0] || (joints[i].Entering != nil) != quantized[want[1]] ||
				joints[i].Entering != nil && joints[i].Entering.Name != want[1] {
				t.Errorf("%+v: %+v", tt.f, joints)
			}
		}
	}
}
