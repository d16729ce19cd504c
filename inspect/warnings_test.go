package inspect_test

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"narrow"
	"narrow/inspect"
	"narrow/internal/testnet"
	"narrow/scheme"
)

const maxmin = `{"target_device": "CPU", "include_cle": false, "include_bias_corr": false, "overall_quantize_config":
	{"method": "maxmin", "scale_type": "float", "calib_statistic_method": "max", "round_mode": "half_even"}%s}`

// warned returns the warnings on n random samples of that scale, a line each:
// code, message, fix.
func warned(t *testing.T, c *narrow.Calibrated, n int, scale float32) string {
	t.Helper()
	list, err := inspect.Warnings(context.Background(), c, testnet.Runner(t), random(c.Model, n, 8, scale), inspect.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, f := range list {
		b.WriteString(f.Code + ": " + f.Message.String() + " / " + f.Fix.String() + "\n")
	}
	return b.String()
}

func strategyOf(rules string) string {
	if rules != "" {
		rules = `, "layer_quantize_config": [` + rules + `]`
	}
	return strings.Replace(maxmin, "%s", rules, 1)
}

// TestWarnings: each loss is told where it is, and not where there is none.
func TestWarnings(t *testing.T) {
	joined := `g (float[N, 4] x) => (float[N, 8] y) <float[1] big = {1000}> {
		[large] a = Mul (x, big)
		[small] b = Sigmoid (x)
		[join] y = Concat <axis = 1> (a, b) }`
	masked := `g (float[N, 4] x) => (float[N, 4] y) <float[4] mask = {0, 0, -1000000, 0}> {
		[add] a = Add (x, mask)
		[soft] y = Softmax (a) }`
	dense := `g (float[N, 4] x) => (float[N, 3] y) <float[4, 3] w = {1, 2, 3, 4, 5, 6, 7, 8, 9, -1, -2, -3}> {
		[fc] h = MatMul (x, w)
		[act] y = Tanh (h) }`
	relu6 := `g (float[N, 4] x) => (float[N, 4] y) <float[4, 4] w = {9, 0, 0, 0, 0, 9, 0, 0, 0, 0, 9, 0, 0, 0, 0, 9}, float lo = {0}, float hi = {6}> {
		[fc] h = MatMul (x, w)
		[clip] y = Clip (h, lo, hi) }`
	convert := strings.Replace(strategyOf(""), `"include_cle": false`, `"include_cle": false, "convert_relu6_to_relu": true`, 1)
	for _, tt := range []struct {
		name, net, config string
		calib, test       float32
		want              []string
	}{
		{"a join of unlike operands", joined, strategyOf(""), 1, 1, []string{
			`join-step: the values of "b" that enter the Concat "join"`, `they become 0`, `"layer_name":"join"`}},
		{"a join of like operands", strings.Replace(joined, "{1000}", "{2}", 1), strategyOf(""), 1, 1, nil},
		{"a join left in float", joined, strategyOf(inspect.Rule("join", scheme.Activation)), 1, 1, nil},
		{"a mask", masked, strategyOf(""), 1, 1, []string{
			`mask-range: the constant "mask" (-1e+06) alone makes the range of "a", the result of layer add`, `"layer_name":"add"`}},
		{"a small mask", strings.Replace(masked, "-1000000", "-3", 1), strategyOf(""), 1, 1, nil},
		{"samples far within the range", dense, strategyOf(""), 100, 0.001, []string{
			`dead-layer: 100 % of the values of layer x's result become 0`}},
		{"samples far beyond the range", dense, strategyOf(""), 0.2, 1, []string{
			`clipped: `, `of the values of the input "x" of layer x`, `method maxmin`}},
		{"like samples", dense, strategyOf(""), 1, 1, nil},
		{"ReLU6 became ReLU", relu6, convert, 1, 1, []string{`relu6-replaced: ReLU6 became ReLU in 1 places`, `(most at "clip": 2`}},
		{"ReLU6 that clips nothing", relu6, convert, 0.01, 0.01, nil},
		{"ReLU6 that stays", relu6, strategyOf(""), 1, 1, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := testnet.Parse(t, tt.net)
			got := warned(t, calibrated(t, m, tt.config, tt.calib), 16, tt.test)
			for _, want := range tt.want {
				if !strings.Contains(got, want) {
					t.Errorf("%q is not in\n%s", want, got)
				}
			}
			if tt.want == nil && got != "" {
				t.Errorf("warnings without a loss:\n%s", got)
			}
		})
	}
}

// TestManyWarnings: those of one kind are counted after the first few.
func TestManyWarnings(t *testing.T) {
	net := `g (float[N, 4] x) => (float[N, 28] y) <float[1] big = {1000}> { a = Mul (x, big)`
	ops := "a"
	for _, v := range []string{"b", "c", "d", "e", "f", "g"} {
		net += v + " = Sigmoid (x) "
		ops += ", " + v
	}
	m := testnet.Parse(t, net+"[join] y = Concat <axis = 1> ("+ops+") }")
	got := warned(t, calibrated(t, m, strategyOf(""), 1), 16, 1)
	if strings.Count(got, "join-step: the values of") != 4 || !strings.Contains(got, "2 more of that kind (join-step)") {
		t.Errorf("%s", got)
	}
}

// TestOutputRanges: an output whose test range leaves the calibrated one.
func TestOutputRanges(t *testing.T) {
	m := testnet.Parse(t, `g (float[N, 4] x) => (float[N, 1, 3] y) <float[4, 3] w = {1, 2, 3, 4, 5, 6, 7, 8, 9, -1, -2, -3}, int64[3] s = {0, 1, 3}> {
		[fc] h = MatMul (x, w)
		y = Reshape (h, s) }`)
	c := calibrated(t, m, strategyOf(""), 1)
	for scale, want := range map[float32]bool{0.5: false, 1: false, 4: true} {
		res, err := c.Test(context.Background(), testnet.Runner(t), random(m, 16, 8, scale), narrow.TestOptions{})
		if err != nil {
			t.Fatal(err)
		}
		list := inspect.OutputRanges(c, res)
		if got := len(list) == 1 && list[0].Code == "output-range"; got != want || len(list) > 1 {
			t.Errorf("samples times %v: %v", scale, list)
		}
	}
}

// TestAdvise: the three costliest layers come with rules that leave them in
// float, and what is not in use is named for targets that can do it.
func TestAdvise(t *testing.T) {
	m := testnet.Bundled(t)
	for config, want := range map[string]inspect.Advice{
		"{}":           {High: true},
		strategyOf(""): {High: true, PerChannel: true, WideBias: true},
	} {
		c := calibrated(t, m, config, 1)
		got, err := inspect.Advise(context.Background(), c, testnet.Runner(t), random(m, 16, 8, 1), inspect.SensitivityOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if len(got.Layers) != 3 || got.Samples != 16 || got.High != want.High || got.PerChannel != want.PerChannel || got.WideBias != want.WideBias {
			t.Errorf("%s: %+v", config, got)
		}
		full, err := inspect.Sensitivity(context.Background(), c, testnet.Runner(t), random(m, 16, 8, 1), inspect.SensitivityOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if full.Layers[0].Name != got.Layers[0].Name || full.Layers[0].SQNR != got.Layers[0].SQNR {
			t.Errorf("%s: the costliest of all is %+v, of the advice %+v", config, full.Layers[0], got.Layers[0])
		}
		for i, l := range got.Layers {
			if !strings.Contains(l.Rule, `"layer_name":"`+l.Name+`"`) || i > 0 && l.SQNR < got.Layers[i-1].SQNR {
				t.Errorf("%s: %+v", config, l)
			}
		}
	}
}

// TestSensitivityOfSome: where only the costliest of many layers are ranked, they are
// those that are found by ranking all, wherever they stand.
func TestSensitivityOfSome(t *testing.T) {
	const layers = 60
	var weights, nodes []string
	r := rand.New(rand.NewPCG(1, 2))
	for i := range layers {
		// A rotation of two pairs: no error is amplified, or made good by another one.
		a, b := r.Float64()*2*math.Pi, r.Float64()*2*math.Pi
		weights = append(weights, fmt.Sprintf("float[4, 4] w%d = {%.4f, 0, %.4f, 0, 0, %.4f, 0, %.4f, %.4f, 0, %.4f, 0, 0, %.4f, 0, %.4f}",
			i, math.Cos(a), math.Sin(a), math.Cos(b), math.Sin(b), -math.Sin(a), math.Cos(a), -math.Sin(b), math.Cos(b)))
		nodes = append(nodes, fmt.Sprintf("[l%d] x%d = MatMul (x%d, w%d)", i, i+1, i, i))
	}
	m := testnet.Parse(t, fmt.Sprintf("g (float[N, 4] x0) => (float[N, 4] x%d) <%s> { %s }", layers, strings.Join(weights, ", "), strings.Join(nodes, "\n")))
	var rules []string
	for _, l := range []string{"l3", "l31", "l57"} {
		rules = append(rules, fmt.Sprintf(`{"layer_type": null, "layer_name": %q, "quantizable_data_type": ["weights"], "overall_quantize_config": {"bit_width": 3}}`, l))
	}
	c := calibrated(t, m, strategyOf(strings.Join(rules, ",")), 1)
	runs := 0
	some, err := inspect.Sensitivity(context.Background(), c, testnet.Runner(t), random(m, 16, 8, 1), inspect.SensitivityOptions{Most: 3, Progress: func(int, int) { runs++ }})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, l := range some.Layers {
		names = append(names, l.Name)
	}
	slices.Sort(names)
	if !slices.Equal(names, []string{"l3", "l31", "l57"}) {
		t.Errorf("the costliest layers are %v", names)
	}
	if runs > 50 {
		t.Errorf("%d runs for %d layers", runs, layers)
	}
}

// TestSensitivityByWorstOutput: a layer that ruins a small output costs more than
// one that does little to a large one.
func TestSensitivityByWorstOutput(t *testing.T) {
	m := testnet.Parse(t, `g (float[N, 4] x) => (float[N, 3] big, float[N, 3] tiny)
		<float[4, 3] w = {100, 200, 300, 400, 500, 600, 700, 800, 900, -100, -200, -300}, float[4, 3] v = {0.01, 0.02, 0.03, 0.04, 0.05, 0.06, 0.07, 0.08, 0.09, -0.01, -0.02, -0.03}> {
		[large] big = MatMul (x, w)
		[small] tiny = MatMul (x, v) }`)
	c := calibrated(t, m, strategyOf(`{"layer_type": null, "layer_name": "small", "quantizable_data_type": ["weights"], "overall_quantize_config": {"bit_width": 2}}`), 1)
	r, err := inspect.Sensitivity(context.Background(), c, testnet.Runner(t), random(m, 16, 8, 1), inspect.SensitivityOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if r.Layers[0].Name != "small" || r.Layers[0].Output != "tiny" || r.All.Output != "tiny" || r.All.SQNR > 15 {
		t.Errorf("%+v", r)
	}
	res, err := c.Test(context.Background(), testnet.Runner(t), random(m, 16, 8, 1), narrow.TestOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if math.Abs(float64(res.SQNR-r.All.SQNR)) > 1e-3 || res.Worst().Name != "tiny" {
		t.Errorf("test says %v of %+v", res.SQNR, res.Worst())
	}
}
