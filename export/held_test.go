package export_test

import (
	"context"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"narrow/calibrate"
	"narrow/engine/ort"
	"narrow/export"
	"narrow/graph"
	"narrow/graph/graphtext"
	"narrow/graph/onnx"
	"narrow/internal/ortlib"
	"narrow/scheme"
)

// TestTiesHeldElsewhere: networks whose ties do not come straight from a
// convolution. Every output equals the simulation's to the last step.
func TestTiesHeldElsewhere(t *testing.T) {
	const weights = `<float[4, 4, 3, 3] w = {0.25, -0.5, 0.125, 0.375, -0.25, 0.5, 0.75, ...}, float[4, 4, 3, 3] v = {-0.25, 0.5, 0.625, 0.375, 0.125, -0.5, -0.75, ...},
		float[4, 1, 1] slope = {0.25, 0.5, 0.125, 0.3}, float[4] up = {1, 1, 2, 2}>`
	const dpu, down = `{"include_bias_corr": false, "include_cle": false}`,
		`{"target_device": "CPU", "include_bias_corr": false, "include_cle": false, "tensor_quantize_config": {"activation": {"round_mode": "half_down"}}}`
	const one = `{"target_device": "CPU", "include_bias_corr": false, "include_cle": false, "layer_quantize_config": [{"layer_type": null, "layer_name": "one",
		"quantizable_data_type": ["activation"], "overall_quantize_config": {"bit_width": 5, "round_mode": "half_up"}}]}`
	const narrower = `{"target_device": "CPU", "include_bias_corr": false, "include_cle": false, "layer_quantize_config": [{"layer_type": "Conv", "layer_name": null,
		"quantizable_data_type": ["input", "weights", "activation"], "overall_quantize_config": {"bit_width": 6, "round_mode": "half_up"}}]}`
	for _, c := range []struct{ name, config, body string }{
		// torch.onnx.export writes the bounds of ReLU6 as Constant nodes.
		{"relu6", dpu, `z = Constant <value = float {0}> ()
			six = Constant <value = float {6}> ()
			a = Conv <pads = [1, 1, 1, 1]> (x, w)
			b = Clip (a, z, six)
			y = Conv <pads = [1, 1, 1, 1]> (b, v)`},
		{"relu-first-concat", dpu, `a = Conv <pads = [1, 1, 1, 1]> (x, w)
			b = Relu (a)
			c = Conv <pads = [1, 1, 1, 1]> (x, v)
			y = Concat <axis = 1> (b, c)`},
		{"requantized", dpu, `a = Conv <pads = [1, 1, 1, 1]> (x, w)
			y = Concat <axis = 1> (x, a)`},
		{"leaky", dpu, `a = Conv <pads = [1, 1, 1, 1]> (x, w)
			y = LeakyRelu <alpha = 0.125> (a)`},
		{"prelu", dpu, `a = Conv <pads = [1, 1, 1, 1]> (x, w)
			y = PRelu (a, slope)`},
		{"hardswish", one, `three = Constant <value = float {3}> ()
			z = Constant <value = float {0}> ()
			six = Constant <value = float {6}> ()
			a = Conv <pads = [1, 1, 1, 1]> (x, w)
			b = Add (a, three)
			c = Clip (b, z, six)
			d = Mul (a, c)
			[one] y = Div (d, six)`},
		{"resize", dpu, `a = Conv <pads = [1, 1, 1, 1]> (x, w)
			y = Resize <mode = "linear", coordinate_transformation_mode = "half_pixel"> (a, , up)`},
		{"pool", down, `a = Conv <pads = [1, 1, 1, 1]> (x, w)
			b = AveragePool <kernel_shape = [2, 2], strides = [2, 2]> (a)
			y = Conv (b, v)`},
		{"global-pool", down, `a = Conv <pads = [1, 1, 1, 1]> (x, w)
			b = GlobalAveragePool (a)
			y = Conv <pads = [1, 1, 1, 1]> (b, v)`},
		{"mean", down, `a = Conv <pads = [1, 1, 1, 1]> (x, w)
			b = ReduceMean <axes = [2, 3]> (a)
			y = Conv <pads = [1, 1, 1, 1]> (b, v)`},
		{"leaky-down", down, `a = Conv <pads = [1, 1, 1, 1]> (x, w)
			b = LeakyRelu <alpha = 0.125> (a)
			y = Conv <pads = [1, 1, 1, 1]> (b, v)`},
		{"concat-down", down, `a = Conv <pads = [1, 1, 1, 1]> (x, w)
			b = Concat <axis = 1> (x, a)
			c = MaxPool <kernel_shape = [2, 2]> (b)
			y = Conv <group = 2, pads = [1, 1, 1, 1]> (c, v)`},
		{"requantized-narrower", narrower, `a = Conv <pads = [1, 1, 1, 1]> (x, w)
			b = Add (a, x)
			y = Conv <pads = [1, 1, 1, 1]> (b, v)`},
		// The second reader of x has a pair of its own, which is then quantized again.
		{"second-reader-narrower", narrower, `a = Conv <pads = [1, 1, 1, 1]> (x, w)
			b = Conv <pads = [1, 1, 1, 1]> (x, v)
			y = Concat <axis = 1> (a, b)`},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := graphtext.MustParse(`<ir_version: 8, opset_import: ["": 16]> g (float[N, 4, 8, 8] x) => (float[N, C, H, W] y) ` + weights + ` { ` + c.body + ` }`)
			cal := calibrateOn(t, m, settings(t, c.config))
			want := cal.simulate(t)
			got, _ := qdq(t, cal.Calibrated, export.Options{})
			if n := beyond(t, run(t, got, cal.in)[0], want[0], 0); n > 0 {
				t.Errorf("%d of %d elements differ", n, len(want[0]))
			}
			plain, _ := qdq(t, cal.Calibrated, export.Options{For: export.OpenVINO})
			if n := beyond(t, run(t, plain, cal.in)[0], want[0], 0); n == 0 {
				t.Error("calibrated scales give the same: the test tests nothing")
			}
		})
	}
}

// TestTiesHeldWhereCommon: squares are not negative, and a value of which nothing
// is known is held where calibration met many ties.
func TestTiesHeldWhereCommon(t *testing.T) {
	m := graphtext.MustParse(`<ir_version: 8, opset_import: ["": 13]> g (float[N, 4] x) => (float[N, 4] y, float[N, 4] p) <float two = {2}> {
		a = ReduceMean <axes = [-1]> (x)
		b = Sub (x, a)
		p = Pow (b, two)
		y = Mul (b, p)
	}`)
	c := calibrateOn(t, m, settings(t, `{"target_device": "CPU", "overall_quantize_config": {"round_mode": "half_up"}}`))
	held := func() string {
		m, _ := qdq(t, c.Calibrated, export.Options{})
		var names []string
		for _, s := range m.Graph.Initializers {
			if strings.HasSuffix(s.Name, "_ties") {
				names = append(names, s.Name)
			}
		}
		return strings.Join(names, " ")
	}
	c.Ties = nil
	if got := held(); got != "a_scale_ties b_scale_ties p_scale_ties y_scale_ties" {
		t.Errorf("held without a count: %q", got)
	}
	for _, n := range c.Plan.Activations() {
		if n.Kind == scheme.Input {
			c.Ties = map[*tensor]calibrate.Ties{n: {Elements: 1000, Differing: 100}}
		}
	}
	if got := held(); got != "x_scale_ties a_scale_ties b_scale_ties p_scale_ties y_scale_ties" {
		t.Errorf("held where the input has many ties: %q", got)
	}
}

// TestGemmBiasOfTwoDimensions: a bias of [1, N] has its scales along the last axis.
func TestGemmBiasOfTwoDimensions(t *testing.T) {
	m := graphtext.MustParse(`<ir_version: 8, opset_import: ["": 13]> g (float[N, 4] x) => (float[N, 3] y)
		<float[4, 3] w = {0.25, -0.5, 2.125, 0.375, -0.25, 3.5, 0.75, ...}, float[1, 3] b = {0.3, -0.7, 0.9}> {
		y = Gemm (x, w, b)
	}`)
	c := calibrateOn(t, m, settings(t, `{"target_device": "CPU", "include_bias_corr": false, "include_cle": false,
		"overall_quantize_config": {"method": "maxmin", "scale_type": "float", "calib_statistic_method": "max", "round_mode": "half_even"},
		"tensor_quantize_config": {"weights": {"per_channel": true}}}`))
	got, _ := qdq(t, c.Calibrated, export.Options{})
	for _, s := range got.Graph.Initializers {
		if s.Name == "b_quantized" && s.Type != graph.Int32 {
			t.Errorf("the bias is %v", s.Type)
		}
	}
	// As others run it, without optimizations, which would hide the axis.
	file := filepath.Join(t.TempDir(), "q.onnx")
	if err := onnx.Save(got, file); err != nil {
		t.Fatal(err)
	}
	path, err := ortlib.Find("")
	if err != nil {
		t.Fatal(err)
	}
	engine, err := ort.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	s, err := engine.LoadFile(context.Background(), file, ort.FileOptions{Threads: 1, Unoptimized: true})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	out, err := s.Run(context.Background(), c.in, nil)
	if err != nil {
		t.Fatal(err)
	}
	if n := beyond(t, out["y"].Floats, c.simulate(t)[0], 1); n > 0 {
		t.Errorf("%d elements differ by more than a step", n)
	}
}

// TestNoShiftOffTheGrid: x * Sigmoid(x) comes as near to a tie as float32 can, so
// that a shift, which rounds in float32, makes ties that are none. Only where
// calibration met many ties (a saturated Sigmoid) is the value shifted.
func TestNoShiftOffTheGrid(t *testing.T) {
	m := graphtext.MustParse(`<ir_version: 8, opset_import: ["": 13]> g (float[N, 4, 8, 8] x) => (float[N, 4, 8, 8] y) <float[4, 4, 3, 3] w = {0.25, -0.5, 0.125, 0.375, -0.25, 0.5, 0.75, ...}> {
		[c1] a = Conv <pads = [1, 1, 1, 1]> (x, w)
		[s] b = Sigmoid (a)
		[m] m = Mul (a, b)
		[c2] y = Conv <pads = [1, 1, 1, 1]> (m, w)
	}`)
	c := calibrateOn(t, m, settings(t, `{"include_bias_corr": false, "include_cle": false}`))
	shifted := func() bool {
		m, _ := qdq(t, c.Calibrated, export.Options{})
		return slices.ContainsFunc(m.Graph.Nodes, func(n *graph.Node) bool { return n.Is("Add") && n.Name == "m/Shift" })
	}
	c.Ties = map[*tensor]calibrate.Ties{}
	if shifted() {
		t.Error("a value that ties are rare among is shifted")
	}
	for _, p := range c.Plan.Activations() {
		c.Ties[p] = calibrate.Ties{Elements: 1000, Differing: 7}
	}
	if !shifted() {
		t.Error("a value that calibration met many ties of is not shifted")
	}
}
