package export_test

import (
	"math"
	"slices"
	"strings"
	"testing"

	"narrow/export"
	"narrow/graph"
	"narrow/graph/graphtext"
)

// formNet has what the forms differ in: a pad, a residual sum, a pool, several
// readers, a Concat of convolutions, an operator that moves values, and a product
// of weights.
const formNet = `net (float[N, 2, 8, 8] x) => (float[N, 4] y) <float[2, 2, 3, 3] w = {0.5, -0.25, 0.125, ...}, float[2] b = {0.5, -0.25},
	float[2, 2, 3, 3] v = {0.25, 0.5, -0.125, ...}, float[2] d = {0.25, 0.5}, float[2, 2, 1, 1] k = {0.5, -0.25, 0.125, 0.75}, float[64, 4] fc = {0.25, -0.5, 0.125, ...}, float[4] e = {0.1, 0.2, -0.3, 0.4}, int64[8] pads = {0, 0, 1, 1, 0, 0, 1, 1}> {
	[pad] p = Pad (x, pads)
	[c1] a = Conv (p, w, b)
	[r1] r = Relu (a)
	[c2] c = Conv <pads = [1, 1, 1, 1]> (r, v, d)
	[sum] s = Add (c, r)
	[pool] m = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (s)
	[c3] g = Conv (m, k, d)
	[r3] h = Relu (g)
	[c4] i = Conv (m, k, b)
	[cat] j = Concat <axis = 1> (h, i)
	[flat] f = Flatten (j)
	[fc] y = Gemm (f, fc, e)
}`

// pairsOf returns the QuantizeLinear nodes of m with the DequantizeLinear that follows.
func pairsOf(t *testing.T, m *graph.Model) [][2]*graph.Node {
	t.Helper()
	var pairs [][2]*graph.Node
	for _, q := range m.Graph.Nodes {
		for _, d := range m.Graph.Nodes {
			if q.OpType == "QuantizeLinear" && d.OpType == "DequantizeLinear" && d.Inputs[0] == q.Outputs[0] {
				pairs = append(pairs, [2]*graph.Node{q, d})
			}
		}
	}
	return pairs
}

// TestForms holds each form to the rules of its runtime, on the DPU's default and
// on an int8 strategy with a scale per channel.
func TestForms(t *testing.T) {
	const channels = `{"target_device": "GPU", "include_bias_corr": false, "include_cle": false, "overall_quantize_config": {"method": "maxmin", "round_mode": "half_even",
		"scale_type": "float", "calib_statistic_method": "max"}, "tensor_quantize_config": {"weights": {"per_channel": true}, "bias": {"bit_width": 32}}}`
	for _, c := range []struct {
		form   export.Form
		config string
		bias   graph.DataType // of what biases are stored as
		least  float64        // SQNR to the simulation, in dB
	}{
		{export.OpenVINO, `{}`, graph.Float32, 25},
		{export.OpenVINO, channels, graph.Float32, 60},
		{export.TensorRT, `{}`, graph.Float32, 25},
		{export.TensorRT, channels, graph.Float32, 60},
		{export.VitisAI, `{}`, graph.Int8, 25},
	} {
		t.Run(c.form.String(), func(t *testing.T) {
			cal := calibrateOn(t, graphtext.MustParse(formNet), settings(t, c.config))
			m, _ := qdq(t, cal.Calibrated, export.Options{For: c.form})
			ix := graph.NewIndex(m.Graph)
			for _, p := range pairsOf(t, m) {
				if p[0].Inputs[1] != p[1].Inputs[1] || p[0].Inputs[2] != p[1].Inputs[2] {
					t.Errorf("the nodes of the pair %s have different scales or zero points", p[0].Name)
				}
				zero := ix.Constant[p[0].Inputs[2]]
				if zero.Type != graph.Int8 || strings.Trim(string(zero.Raw), "\x00") != "" {
					t.Errorf("the pair %s is %v with the zero point %v", p[0].Name, zero.Type, zero.Raw)
				}
				scales, err := ix.Constant[p[0].Inputs[1]].Floats()
				if err != nil {
					t.Fatal(err)
				}
				for _, s := range scales {
					if frac, _ := math.Frexp(float64(s)); c.config == `{}` && frac != 0.5 {
						t.Errorf("the pair %s has the scale %v", p[0].Name, s)
					}
				}
			}
			producer := func(v string) *graph.Node {
				i := slices.IndexFunc(m.Graph.Nodes, func(n *graph.Node) bool { return slices.Contains(n.Outputs, v) })
				if i < 0 {
					return nil
				}
				return m.Graph.Nodes[i]
			}
			for _, n := range m.Graph.Nodes {
				if n.Is("Concat") && c.form == export.VitisAI {
					for _, in := range n.Inputs {
						if p := producer(in); p.OpType != "DequantizeLinear" {
							t.Errorf("what %s reads comes from %s without a pair", n.Name, p.OpType)
						}
					}
				}
				if !n.Is("Conv", "Gemm") {
					continue
				}
				if w := producer(n.Inputs[1]); w == nil || w.OpType != "DequantizeLinear" || (producer(w.Inputs[0]) != nil) != (c.form == export.TensorRT) {
					t.Errorf("the weights of %s come from %v", n.Name, w)
				}
				bias := n.Inputs[2]
				if d := producer(bias); d != nil {
					bias = d.Inputs[0]
				}
				if got := ix.Constant[bias].Type; got != c.bias {
					t.Errorf("the bias of %s is stored as %v, not %v", n.Name, got, c.bias)
				}
				if c.form == export.VitisAI && producer(n.Inputs[0]).OpType != "DequantizeLinear" {
					t.Errorf("what %s reads comes from %s without a pair", n.Name, producer(n.Inputs[0]).OpType)
				}
			}
			if db := sqnr(cal.simulate(t)[0], runFile(t, m, cal.in, true)["y"].Floats); db < c.least {
				t.Errorf("%.1f dB next to the simulation", db)
			}
		})
	}
}

// TestFormsRefuse: everything that a form does not take is told at once.
func TestFormsRefuse(t *testing.T) {
	cal := calibrateOn(t, graphtext.MustParse(formNet), settings(t, `{"target_device": "CPU", "include_bias_corr": false, "include_cle": false,
		"overall_quantize_config": {"method": "maxmin", "round_mode": "half_even", "scale_type": "float", "calib_statistic_method": "max"},
		"tensor_quantize_config": {"weights": {"per_channel": true, "bit_width": 12}, "activation": {"symmetry": false}},
		"layer_quantize_config": [{"layer_type": "Gemm", "layer_name": null, "quantizable_data_type": ["weights"], "overall_quantize_config": {"datatype": "bfloat16"}}]}`))
	for form, want := range map[export.Form][]string{
		export.OpenVINO: nil,
		export.TensorRT: {"form-bits", "form-zero-point"},
		export.VitisAI:  {"form-bits", "form-channels", "form-half", "form-scale", "form-zero-point"},
	} {
		_, list, err := export.QDQ(cal.Calibrated, export.Options{For: form})
		if err != nil {
			t.Fatal(err)
		}
		var codes []string
		for _, f := range list {
			if strings.HasPrefix(f.Code, "form-") {
				codes = append(codes, f.Code)
			}
		}
		slices.Sort(codes)
		if !slices.Equal(codes, want) {
			t.Errorf("%v: %v, want %v", form, codes, want)
		}
	}
	if _, _, err := export.QDQ(cal.Calibrated, export.Options{For: export.TensorRT, KeepBias: true}); err == nil {
		t.Error("calibrated biases are promised for TensorRT")
	}
}
