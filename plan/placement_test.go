package plan_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"narrow/graph/graphtext"
	"narrow/plan"
	"narrow/scheme"
	"narrow/strategy"
)

// build plans a text graph by a strategy's text; "" is the default strategy.
func build(t *testing.T, net, config string) *plan.Plan {
	t.Helper()
	p, list := tryBuild(t, net, config)
	if err := list; err != "" && !strings.HasPrefix(err, "nothing-quantized") {
		t.Fatal(err)
	}
	return p
}

// tryBuild returns the findings' codes and messages too.
func tryBuild(t *testing.T, net, config string) (*plan.Plan, string) {
	t.Helper()
	s := strategy.Default()
	if config != "" {
		parsed, list := strategy.Parse("test.json", []byte(config))
		if err := list.Err(); err != nil {
			t.Fatal(err)
		}
		s = parsed
	}
	m, err := graphtext.Parse(net)
	if err != nil {
		t.Fatal(err)
	}
	p, list, err := plan.Build(m, s)
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, f := range list {
		lines = append(lines, f.Code+": "+f.Message.String())
	}
	return p, strings.Join(lines, "\n")
}

// quantized lists a plan's tensors, as "kind name", with what is not 8-bit int
// and not per tensor behind.
func quantized(p *plan.Plan) string {
	var out []string
	for _, t := range p.Tensors {
		s := fmt.Sprintf("%v %s", t.Kind, t.Name)
		st := t.Settings.Settings
		switch {
		case st.Datatype != scheme.Int:
			s += fmt.Sprintf(":%v", st.Datatype)
		case st.BitWidth != 8:
			s += fmt.Sprintf(":%d", st.BitWidth)
		}
		if t.Axis >= 0 {
			s += fmt.Sprintf("/%d", t.Axis)
		}
		if t.Constant == nil && t.Uses != nil {
			s += "->" + t.Uses[0].Node.Label()
		}
		out = append(out, s)
	}
	return strings.Join(out, ", ")
}

// reasonFor returns why a tensor is unquantized.
func reasonFor(p *plan.Plan, name string) string {
	for _, l := range p.FloatTensors {
		if l.Name == name {
			return l.Why.String()
		}
	}
	return ""
}

const (
	conv = "float[4, 3, 1, 1] w = {1, ...}, float[4] b = {0, ...}"
	// cpu is a strategy with little to say, for devices without restrictions.
	cpu = `{"target_device": "CPU", "overall_quantize_config": {"datatype": "int", "method": "maxmin", "scale_type": "float", "calib_statistic_method": "max", "round_mode": "half_even"}%s}`
)

func cpuWith(more string) string {
	if more != "" {
		more = ", " + more
	}
	return fmt.Sprintf(cpu, more)
}

// TestPlacement holds where quantizers stand, as vai_q_pytorch 3.5 puts them.
func TestPlacement(t *testing.T) {
	for _, c := range []struct {
		name, net, want string
		left            map[string]string // tensor: a part of the reason
	}{
		{"a convolution",
			`g (float[N, 3, 4, 4] x) => (float[N, 4, 4, 4] y) <` + conv + `> { y = Conv (x, w, b) }`,
			"input x, weights w, bias b, activation y", nil},
		{"a function joins the layer before it",
			`g (float[N, 3, 4, 4] x) => (float[N, 4, 4, 4] y) <` + conv + `> { h = Conv (x, w, b)
			 y = Relu (h) }`,
			"input x, weights w, bias b, activation y", map[string]string{"h": "one group with Relu"}},
		{"a function does not join what others read too",
			`g (float[N, 3, 4, 4] x) => (float[N, 4, 4, 4] y, float[N, 4, 4, 4] z) <` + conv + `> { h = Conv (x, w, b)
			 y = Relu (h)
			 z = Sqrt (h) }`,
			"input x, weights w, bias b, activation h, activation z",
			map[string]string{"y": "Relu has no integer form"}},
		{"a function does not join an output",
			`g (float[N, 3, 4, 4] x) => (float[N, 4, 4, 4] y, float[N, 4, 4, 4] h) <` + conv + `> { h = Conv (x, w, b)
			 y = Relu (h) }`,
			"input x, weights w, bias b, activation h", nil},
		{"values that move are quantized where they were made",
			`g (float[2, 3, 4, 4] x) => (float[2, 64] y) <` + conv + `, int64[2] s = {2, 64}> { h = Conv (x, w, b)
			 r = Relu (h)
			 y = Reshape (r, s) }`,
			"input x, weights w, bias b, activation r", map[string]string{"y": "only moves values"}},
		{"one quantizer serves a Concat",
			`g (float[N, 3, 4, 4] x) => (float[N, 8, 4, 4] y) <` + conv + `, float[4, 3, 1, 1] v = {2, ...}> { h = Conv (x, w, b)
			 r = Relu (h)
			 k = Conv (x, v)
			 y = Concat <axis = 1> (r, k) }`,
			"input x, weights w, bias b, weights v, activation y",
			map[string]string{"r": "feeds only the Concat", "k": "feeds only the Concat"}},
		{"what a Concat and another read has its own",
			`g (float[N, 3, 4, 4] x) => (float[N, 7, 4, 4] y, float[N, 4, 4, 4] z) <` + conv + `> { h = Conv (x, w, b)
			 z = Sqrt (h)
			 y = Concat <axis = 1> (h, x) }`,
			"input x, weights w, bias b, activation h, activation z, activation y", nil},
		{"pad and slice of a shortcut",
			`g (float[N, 4, 4, 4] x) => (float[N, 8, 4, 4] y) <int64[8] p = {0, 2, 0, 0, 0, 2, 0, 0}, float[8, 4, 3, 3] w = {1, ...}, int64[1] s = {0}, int64[1] e = {4}, int64[1] a = {2}> {
			 h = Conv <pads = [1, 1, 1, 1]> (x, w)
			 c = Slice (x, s, e, a)
			 d = Pad (c, p)
			 y = Add (h, d) }`,
			"input x, weights w, activation h, activation d, activation y", map[string]string{"c": "only moves values"}},
		{"two activations multiplied",
			`g (float[N, 4, 4] x, float[N, 4, 4] z) => (float[N, 4, 4] y) { y = MatMul (x, z) }`,
			"input x, input z, activation y", nil},
		{"MatMul and Add are one Linear",
			`g (float[N, 5, 4] x) => (float[N, 5, 2] y) <float[4, 2] w = {1, ...}, float[2] b = {0, 1}> { h = MatMul (x, w)
			 y = Add (h, b) }`,
			"input x, weights w, bias b, activation y", nil},
		{"MatMul and Add of a tensor are two layers",
			`g (float[N, 5, 4] x) => (float[N, 5, 2] y) <float[4, 2] w = {1, ...}, float[5, 2] b = {0, ...}> { h = MatMul (x, w)
			 y = Add (h, b) }`,
			"input x, weights w, activation h, weights b, activation y", nil},
		{"HardSwish by HardSigmoid",
			`g (float[N, 4] x) => (float[N, 4] y) { h = HardSigmoid <alpha = 0.16666667, beta = 0.5> (x)
			 y = Mul (x, h) }`,
			"input x, activation y", nil},
		{"HardSwish by Clip, sixth last",
			`g (float[N, 4] x) => (float[N, 4] y) <float three = {3}, float zero = {0}, float six = {6}> { a = Add (x, three)
			 c = Clip (a, zero, six)
			 m = Mul (x, c)
			 y = Div (m, six) }`,
			"input x, activation y", nil},
		{"HardSwish by Clip, sixth first",
			`g (float[N, 4] x) => (float[N, 4] y) <float three = {3}, float zero = {0}, float six = {6}, float s = {0.16666667}> { a = Add (x, three)
			 c = Clip (a, zero, six)
			 d = Mul (c, s)
			 y = Mul (d, x) }`,
			"input x, activation y", nil},
		{"not quite HardSwish",
			`g (float[N, 4] x) => (float[N, 4] y) <float three = {2}, float zero = {0}, float six = {6}> { a = Add (x, three)
			 c = Clip (a, zero, six)
			 m = Mul (x, c)
			 y = Div (m, six) }`,
			"input x, weights three, activation c, activation m, weights six, activation y", nil},
		{"SiLU",
			`g (float[N, 3, 4, 4] x) => (float[N, 4, 4, 4] y) <` + conv + `> { h = Conv (x, w, b)
			 s = Sigmoid (h)
			 y = Mul (h, s) }`,
			"input x, weights w, bias b, activation h", map[string]string{"y": "Swish has no integer form"}},
		{"Gelu of an older exporter",
			`g (float[N, 4] x) => (float[N, 4] y) <float r = {1.4142135}, float one = {1}, float half = {0.5}> { d = Div (x, r)
			 e = Erf (d)
			 a = Add (e, one)
			 m = Mul (x, a)
			 y = Mul (m, half) }`,
			"input x, activation y", nil},
		{"LayerNorm of an older exporter",
			`g (float[N, 5, 4] x) => (float[N, 5, 4] y) <float two = {2}, float eps = {0.00001}, float[4] g = {1, ...}, float[4] b = {0, ...}> { m = ReduceMean <axes = [-1]> (x)
			 d = Sub (x, m)
			 p = Pow (d, two)
			 v = ReduceMean <axes = [-1]> (p)
			 e = Add (v, eps)
			 s = Sqrt (e)
			 n = Div (d, s)
			 k = Mul (n, g)
			 y = Add (k, b) }`,
			"input x, activation y", nil},
		{"what a quantized operator reads is quantized, whoever made it",
			`g (float[N, 3, 4, 4] x) => (float[N, 4, 4, 4] y) <` + conv + `> { e = Exp (x)
			 y = Conv (e, w, b) }`,
			"input x, activation e, weights w, bias b, activation y", nil},
		{"an operator without an integer form at the end",
			`g (float[N, 3, 4, 4] x) => (float[N, 4, 4, 4] y) <` + conv + `> { h = Conv (x, w, b)
			 y = Exp (h) }`,
			"input x, weights w, bias b, activation h", map[string]string{"y": "Exp has no integer form"}},
		{"weights behind Identity, and a Constant node",
			`g (float[N, 3, 4, 4] x) => (float[N, 4, 4, 4] y) <float[4, 3, 1, 1] w0 = {1, ...}> { w = Identity (w0)
			 b = Constant <value = float[4] {0, ...}> ()
			 y = Conv (x, w, b) }`,
			"input x, weights w, bias b, activation y", nil},
		{"weights that two layers share are one tensor",
			`g (float[N, 3, 4, 4] x) => (float[N, 3, 4, 4] y) <float[3, 3, 1, 1] w = {1, ...}> { h = Conv (x, w)
			 y = Conv (h, w) }`,
			"input x, weights w, activation h, activation y", nil},
		{"an input that is not float is not quantized",
			`g (int64[N, 5] i, float[N, 5, 4] x) => (float[N, 5, 4] y) <float[9, 4] table = {1, ...}> { e = Gather (table, i)
			 y = Add (e, x) }`,
			"input x, activation e, activation y", nil},
		{"arithmetic on shapes is no data",
			`g (float[N, 3, 4, 4] x) => (float[N, 3, 16] y) <int64[1] z = {0}, int64[1] k = {2}, int64[1] f = {16}> { s = Shape (x)
			 n = Slice (s, z, k)
			 r = Concat <axis = 0> (n, f)
			 y = Reshape (x, r) }`,
			"input x", nil},
		{"control flow passes through",
			`g (float[N, 4] x, bool c) => (float[N, 4] y) { h = If <then_branch = t () => (float[N, 4] a) { a = Relu (x) }, else_branch = e () => (float[N, 4] b) { b = Neg (x) }> (c)
			 y = Add (h, x) }`,
			"input x, activation y", map[string]string{"h": "control flow"}},
		{"operators of other domains pass through",
			`<ir_version: 8, opset_import: ["": 13, "com.microsoft": 1]> g (float[N, 4] x) => (float[N, 4] y) { h = com.microsoft.Gelu (x)
			 y = Add (h, x) }`,
			"input x, activation y", map[string]string{"h": "domain com.microsoft"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := build(t, c.net, "")
			if got := quantized(p); got != c.want {
				t.Errorf("quantized\n %s\nwant\n %s", got, c.want)
			}
			for name, part := range c.left {
				if got := reasonFor(p, name); !strings.Contains(got, part) {
					t.Errorf("%s is left since %q, want %q", name, got, part)
				}
			}
			// Every float value that depends on the input is on one of the lists.
			seen := map[string]bool{}
			for _, x := range p.Tensors {
				seen[x.Name] = true
				if x.Where.IsZero() || x.Layer == nil {
					t.Errorf("%s has no reason or no layer", x.Name)
				}
			}
			for _, l := range p.FloatTensors {
				if seen[l.Name] {
					t.Errorf("%s is quantized and left", l.Name)
				}
				if l.Why.IsZero() {
					t.Errorf("%s is left without a reason", l.Name)
				}
			}
		})
	}
}

// two is a network of two named layers with functions.
const two = `net (float[N, 3, 4, 4] x) => (float[N, 2] y) <float[4, 3, 1, 1] w1 = {1, ...}, float[4] b1 = {0, ...}, float[2, 4] w2 = {1, ...}, float[2] b2 = {0, ...}>
{
  [/layer1/layer1.0/conv1/Conv] h = Conv (x, w1, b1)
  [/layer1/layer1.0/relu/Relu] r = Relu (h)
  [/pool/GlobalAveragePool] p = GlobalAveragePool (r)
  [/Flatten] f = Flatten (p)
  [/fc/Gemm] y = Gemm <transB = 1> (f, w2, b2)
}`

// rule is a layer rule's text.
func rule(selector, kinds, overall, tensors string) string {
	if tensors == "" {
		tensors = "{}"
	}
	return fmt.Sprintf(`{%s, "quantizable_data_type": [%s], "overall_quantize_config": {%s}, "tensor_quantize_config": %s}`, selector, kinds, overall, tensors)
}

func rules(rs ...string) string { return `"layer_quantize_config": [` + strings.Join(rs, ", ") + `]` }

const (
	byConv   = `"layer_type": "torch.nn.Conv2d", "layer_name": null`
	byLinear = `"layer_type": "Linear", "layer_name": null`
	byName   = `"layer_type": null, "layer_name": "layer1.0.conv1"`
)

// TestSettings holds which settings a tensor gets.
func TestSettings(t *testing.T) {
	for _, c := range []struct{ name, net, config, want string }{
		{"kinds that are not listed stay float", two,
			cpuWith(`"quantizable_data_type": ["weights", "activation"]`),
			"weights w1, activation r, activation p, weights w2, activation y"},
		{"weights alone", two, cpuWith(`"quantizable_data_type": ["weights"]`), "weights w1, weights w2"},
		{"input alone", two, cpuWith(`"quantizable_data_type": ["input"]`), "input x"},
		{"settings of a kind", two, cpuWith(`"tensor_quantize_config": {"weights": {"bit_width": 4}}`),
			"input x, weights w1:4, bias b1, activation r, activation p, weights w2:4, bias b2, activation y"},
		{"per channel", two, cpuWith(`"tensor_quantize_config": {"weights": {"per_channel": true}}`),
			"input x, weights w1/0, bias b1, activation r, activation p, weights w2/0, bias b2, activation y"},
		{"bfloat16 stands behind everything that computes", two, `{"target_device": "CPU", "overall_quantize_config": {"datatype": "bfloat16"}}`,
			"input x:bfloat16, weights w1:bfloat16, bias b1:bfloat16, activation r:bfloat16, activation p:bfloat16, weights w2:bfloat16, bias b2:bfloat16, activation y:bfloat16"},
		{"float32 is not quantized", two, `{"target_device": "CPU", "overall_quantize_config": {"datatype": "float32"}}`, ""},
		{"a rule by type", two, cpuWith(rules(rule(byConv, `"weights", "activation"`, `"bit_width": 6`, ""))),
			"input x, weights w1:6, bias b1, activation r:6, activation p, weights w2, bias b2, activation y"},
		{"a rule's own settings of a kind", two, cpuWith(rules(rule(byLinear, `"weights", "activation"`, `"bit_width": 6`, `{"weights": {"bit_width": 3}}`))),
			"input x, weights w1, bias b1, activation r, activation p, weights w2:3, bias b2, activation y:6"},
		{"a name beats a type", two, cpuWith(rules(rule(byName, `"weights"`, `"bit_width": 5`, ""), rule(byConv, `"weights"`, `"bit_width": 6`, ""))),
			"input x, weights w1:5, bias b1, activation r, activation p, weights w2, bias b2, activation y"},
		{"the later of two rules by type", two, cpuWith(rules(rule(byConv, `"weights"`, `"bit_width": 5`, ""), rule(byConv, `"weights"`, `"bit_width": 6`, ""))),
			"input x, weights w1:6, bias b1, activation r, activation p, weights w2, bias b2, activation y"},
		{"a rule by a function's name is the group's", two, cpuWith(rules(rule(`"layer_type": null, "layer_name": "/layer1/layer1.0/relu/Relu"`, `"activation"`, `"bit_width": 5`, ""))),
			"input x, weights w1, bias b1, activation r:5, activation p, weights w2, bias b2, activation y"},
		{"a layer in float32", two, cpuWith(rules(rule(byLinear, `"weights", "bias", "activation"`, `"datatype": "float32"`, ""))),
			"input x, weights w1, bias b1, activation r, activation p"},
		{"what enters a layer by its own settings", two, cpuWith(rules(rule(byLinear, `"input"`, `"bit_width": 4`, ""))),
			"input x, weights w1, bias b1, activation r, activation p, input f:4->/fc/Gemm, weights w2, bias b2, activation y"},
		{"what enters a layer as its producer gives it", two, cpuWith(rules(rule(byLinear, `"input"`, `"bit_width": 8`, ""))),
			"input x, weights w1, bias b1, activation r, activation p, weights w2, bias b2, activation y"},
		{"first and last layers stay", two, cpuWith(`"keep_first_last_layer_accuracy": true`),
			"input x, activation p"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := quantized(build(t, c.net, c.config)); got != c.want {
				t.Errorf("quantized\n %s\nwant\n %s", got, c.want)
			}
		})
	}
}

func TestKeepAdd(t *testing.T) {
	const net = `net (float[N, 4] x) => (float[N, 4] y) { h = Add (x, x)
	 y = Mul (h, x) }`
	if got := quantized(build(t, net, cpuWith(`"keep_add_layer_accuracy": true`))); got != "input x, activation y" {
		t.Errorf("with keep_add: %s", got)
	}
	p := build(t, net, cpuWith(`"keep_add_layer_accuracy": true`))
	if why := reasonFor(p, "h"); !strings.Contains(why, "keep_add_layer_accuracy") {
		t.Errorf("left since %q", why)
	}
	if got := quantized(build(t, net, cpuWith(""))); got != "input x, activation h, activation y" {
		t.Errorf("without: %s", got)
	}
}

// TestAxes holds the output channel axis of every kind of weights.
func TestAxes(t *testing.T) {
	for _, c := range []struct {
		name, net string
		axis      int
	}{
		{"Conv", `g (float[N, 3, 4, 4] x) => (float[N, 4, 4, 4] y) <float[4, 3, 1, 1] w = {1, ...}> { y = Conv (x, w) }`, 0},
		{"depthwise", `g (float[N, 3, 4, 4] x) => (float[N, 3, 4, 4] y) <float[3, 1, 1, 1] w = {1, ...}> { y = Conv <group = 3> (x, w) }`, 0},
		{"ConvTranspose", `g (float[N, 3, 4, 4] x) => (float[N, 5, 4, 4] y) <float[3, 5, 1, 1] w = {1, ...}> { y = ConvTranspose (x, w) }`, 1},
		{"Gemm", `g (float[N, 3] x) => (float[N, 5] y) <float[3, 5] w = {1, ...}> { y = Gemm (x, w) }`, 1},
		{"Gemm transposed", `g (float[N, 3] x) => (float[N, 5] y) <float[5, 3] w = {1, ...}> { y = Gemm <transB = 1> (x, w) }`, 0},
		{"MatMul", `g (float[N, 3] x) => (float[N, 5] y) <float[3, 5] w = {1, ...}> { y = MatMul (x, w) }`, 1},
		{"MatMul of many", `g (float[N, 2, 7, 3] x) => (float[N, 2, 7, 5] y) <float[2, 3, 5] w = {1, ...}> { y = MatMul (x, w) }`, 2},
		{"MatMul from the left", `g (float[N, 3, 7] x) => (float[N, 5, 7] y) <float[5, 3] w = {1, ...}> { y = MatMul (w, x) }`, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := build(t, c.net, cpuWith(`"tensor_quantize_config": {"weights": {"per_channel": true}}`))
			i := slices.IndexFunc(p.Tensors, func(x *plan.Tensor) bool { return x.Kind == scheme.Weights })
			if i < 0 {
				t.Fatal("no weights")
			}
			if p.Tensors[i].Axis != c.axis {
				t.Errorf("axis %d, want %d", p.Tensors[i].Axis, c.axis)
			}
		})
	}
}

// TestNothing: a model that nothing of is quantized gets a warning that says why.
func TestNothing(t *testing.T) {
	for _, c := range []struct{ net, config, want string }{
		{`g (float16[N, 4] x) => (float16[N, 4] y) { y = Add (x, x) }`, "", `computes in float16 (input "x")`},
		{`g (int64[N, 4] x) => (int64[N, 4] y) { y = Add (x, x) }`, "", "none of its values is a float32"},
		{`g (float[N, 4] x) => (float[N, 4] y) { y = Add (x, x) }`, `{"target_device": "CPU", "overall_quantize_config": {"datatype": "float32"}}`, "no tensor of the model is quantized"},
	} {
		if _, findings := tryBuild(t, c.net, c.config); !strings.HasPrefix(findings, "nothing-quantized: ") || !strings.Contains(findings, c.want) {
			t.Errorf("%s: findings %q, want %q", c.net, findings, c.want)
		}
	}
	if _, findings := tryBuild(t, two, ""); findings != "" {
		t.Errorf("findings %q for an ordinary model", findings)
	}
}

// TestRuleFindings holds what is said of rules that match nothing or too much.
// A layer of several nodes is counted and named once.
func TestAmbiguousRuleNamesLayers(t *testing.T) {
	const net = `net (float[N, 3, 4, 4] x) => (float[N, 3, 4, 4] y) <float[3, 3, 1, 1] w = {1, ...}>
	{
	  [/a/conv/Conv] h = Conv (x, w)
	  [/a/act/Relu] r = Relu (h)
	  [/a/conv2/Conv] k = Conv (r, w)
	  [/a/act2/Relu] y = Relu (k)
	}`
	_, findings := tryBuild(t, net, cpuWith(rules(rule(`"layer_type": null, "layer_name": "a"`, `"weights"`, `"bit_width": 4`, ""))))
	if !strings.Contains(findings, "matches 2 layers: /a/conv/Conv, /a/conv2/Conv") {
		t.Errorf("findings %q", findings)
	}
}

func TestRuleFindings(t *testing.T) {
	const twins = `net (float[N, 3, 4, 4] x) => (float[N, 3, 4, 4] y) <float[3, 3, 1, 1] w = {1, ...}>
	{
	  [/a/conv/Conv] h = Conv (x, w)
	  [/a/conv/Conv_1] y = Conv (h, w)
	}`
	for _, c := range []struct{ name, net, config, want string }{
		{"a name that is nearly right", two, cpuWith(rules(rule(`"layer_type": null, "layer_name": "layer1.0.conv2"`, `"weights"`, `"bit_width": 4`, ""))), "rule-matches-nothing"},
		{"a type that is not there", two, cpuWith(rules(rule(`"layer_type": "ConvTranspose2d", "layer_name": null`, `"weights"`, `"bit_width": 4`, ""))), "rule-matches-nothing"},
		{"a name of two layers", twins, cpuWith(rules(rule(`"layer_type": null, "layer_name": "a.conv"`, `"weights"`, `"bit_width": 4`, ""))), "rule-ambiguous"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, findings := tryBuild(t, c.net, c.config)
			if !strings.HasPrefix(findings, c.want+":") || strings.Contains(findings, "\n") {
				t.Errorf("findings %q, want one of the code %s", findings, c.want)
			}
		})
	}
}

// A value that leaves the network and also feeds a Concat has a quantizer of
// its own: the Concat's would serve only one of its readers. Without the way
// out the Concat's serves it.
func TestOutputThatFeedsConcat(t *testing.T) {
	const net = `g (float[N, 4, 8, 8] x) => (%s float[N, 8, 8, 8] y) <float[4, 4, 1, 1] w = {0.5, ...}, float[4, 4, 1, 1] v = {0.25, ...}>
{ [a] h = Conv (x, w) [b] k = Conv (x, v) [cat] y = Concat <axis = 1> (h, k) }`
	p := build(t, fmt.Sprintf(net, "float[N, 4, 8, 8] h,"), "")
	if got, want := quantized(p), "input x, weights w, activation h, weights v, activation y"; got != want {
		t.Errorf("with h as an output: %s, want %s", got, want)
	}
	if got := reasonFor(p, "k"); !strings.HasPrefix(got, "it feeds only the Concat cat") {
		t.Errorf("k: %s", got)
	}
	p = build(t, fmt.Sprintf(net, ""), "")
	if got, want := quantized(p), "input x, weights w, weights v, activation y"; got != want {
		t.Errorf("with y alone: %s, want %s", got, want)
	}
}

// What rules match is found once, spot by spot, and findings say which rule
// they are about.
func TestMatches(t *testing.T) {
	const net = `g (float[N, 4, 8, 8] x) => (float[N, 4, 8, 8] y) <float[4, 4, 1, 1] w = {0.5, ...}>
{ [a] h = Conv (x, w) [r] k = Relu (h) [b] y = Conv (k, w) }`
	rule := func(key, value string) string {
		return fmt.Sprintf(`{"%s": %q, "quantizable_data_type": ["weights"], "overall_quantize_config": {"bit_width": 4}}`, key, value)
	}
	p, list := tryBuild(t, net, `{"target_device": "CPU", "layer_quantize_config": [`+rule("layer_type", "Conv")+`, `+rule("layer_name", "a")+`, `+rule("layer_name", "r")+`, `+rule("layer_name", "x")+`]}`)
	if strings.Count(list, "no-effect: layer rule 3") != 1 || strings.Count(list, "no-effect: layer rule 4") != 1 || strings.Count(list, "\n") != 1 {
		t.Error(list) // r and x have no weights
	}
	var got []string
	for _, m := range p.Matches {
		s := fmt.Sprint(m.Rule.Index)
		for _, sp := range m.Spots {
			node := "input"
			if sp.Node != nil {
				node = sp.Node.Label()
			}
			s += " " + node + " of " + sp.Layer.Name
		}
		got = append(got, s)
	}
	if want := "1 a of a b of b, 2 a of a, 3 r of a, 4 input of x"; strings.Join(got, ", ") != want {
		t.Errorf("%s, want %s", strings.Join(got, ", "), want)
	}
	s, _ := strategy.Parse("test.json", []byte(`{"target_device": "CPU", "layer_quantize_config": [`+rule("layer_name", "a")+`, `+rule("layer_name", "none")+`]}`))
	_, found, err := plan.Build(graphtext.MustParse(net), s)
	if err != nil || len(found) != 1 || found[0].Code != "rule-matches-nothing" || found[0].Rule != 2 {
		t.Errorf("%v, %v", found, err)
	}
}
