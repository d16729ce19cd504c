package export_test

import (
	"math"
	"os"
	"slices"
	"strings"
	"testing"

	"narrow/calibrate"
	"narrow/engine"
	"narrow/export"
	"narrow/graph"
	"narrow/graph/graphtext"
	"narrow/internal/testnet"
	"narrow/plan"
	"narrow/scheme"
)

// config reads a recorded strategy.
func config(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(reference("configs", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// beyond counts the elements that differ by more than steps quantization
// steps, the step being the smallest distance between two values of want.
func beyond(t *testing.T, got, want []float32, steps float64) int {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d elements, not %d", len(got), len(want))
	}
	all := slices.Sorted(slices.Values(want))
	step := math.Inf(1)
	for i, v := range all[1:] {
		if d := float64(v - all[i]); d > 1e-6*math.Abs(float64(v)) {
			step = min(step, d)
		}
	}
	n := 0
	for i := range want {
		if d := math.Abs(float64(got[i] - want[i])); !(d <= steps*1.01*step) && d != 0 {
			n++
		}
	}
	return n
}

// TestTruth holds exports in ONNX Runtime against the simulation.
func TestTruth(t *testing.T) {
	exact := export.Options{ExactRounding: true, KeepBias: true}
	kept := export.Options{KeepBias: true}
	for _, c := range []struct {
		model, config string
		options       export.Options
		steps         float64 // most that any element differs
	}{
		{"tinymlp", "int8_maxmin", export.Options{}, 0},
		{"tinymlp", "int4w8a", export.Options{}, 0},
		{"tinymlp", "bfloat16", export.Options{}, 0},
		{"tinyresnet", "int8_maxmin", kept, 0},
		{"tinyresnet", "int8_maxmin", export.Options{}, 3}, // int32 biases
		{"tinyresnet", "int8_perchannel", kept, 0},
		{"tinyresnet", "int8_narrow", kept, 0},
		{"tinyresnet", "dpu_diffs", exact, 0},
		{"tinyresnet", "int8_half_up", exact, 0},
		{"tinyresnet", "int8_half_down", exact, 0},
		{"tinyresnet", "int8_std_round", exact, 0},
		{"tinyresnet", "int4w8a", kept, 0},
		{"tinyresnet", "int16", kept, 1},
		{"tinyresnet", "bfloat16", export.Options{}, 0},
		{"tinyresnet", "float16", export.Options{}, 0},
		{"tinyresnet", "mix", exact, 8},
		{"tinymobile", "dpu_diffs", exact, 0},
		{"tinymobile", "int8_perchannel", kept, 0},
		{"tinyunet", "int8_asym", kept, 0},
		{"tinyunet", "int8_perchannel", kept, 1},
		{"tinyhswish", "int8_maxmin", kept, 0},
		{"tinyswish", "int8_maxmin", kept, 0},
	} {
		t.Run(c.model+"/"+c.config, func(t *testing.T) {
			cal := calibrateOn(t, load(t, reference("models", c.model, "model.onnx")), settings(t, config(t, c.config)))
			want := cal.simulate(t)
			m, _ := qdq(t, cal.Calibrated, c.options)
			got := run(t, m, cal.in)
			for i := range want {
				if n := beyond(t, got[i], want[i], c.steps); n*1000 > len(want[i]) {
					t.Errorf("%+v: output %d: %d of %d elements differ by more than %g steps", c.options, i, n, len(want[i]), c.steps)
				}
			}
		})
	}
}

// TestTiesHeldBySigned has values of both signs behind all that makes ties: half_up
// holds by a shift, which is part of the bias where there is an int32 one.
func TestTiesHeldBySigned(t *testing.T) {
	m := graphtext.MustParse(`<ir_version: 8, opset_import: ["": 13]> g (float[N, 4, 8, 8] x) => (float[N, 4, 8, 8] y, float[N, 4, 1, 1] z)
		<float[4, 4, 3, 3] w = {0.25, -0.5, 0.125, 0.375, -0.25, 0.5, 0.75, ...}, float[4] b = {0.25, -0.125, 0.5, 0.0625},
		 float[4, 4, 3, 3] v = {-0.25, 0.5, 0.625, 0.375, 0.125, -0.5, -0.75, ...}> {
		[c1] a = Conv <pads = [1, 1, 1, 1]> (x, w, b)
		[c2] c = Conv <pads = [1, 1, 1, 1]> (a, v)
		[sum] y = Add (a, c)
		[pool] z = GlobalAveragePool (c)
	}`)
	for _, config := range []string{`{"include_bias_corr": false}`, `{"include_bias_corr": false, "overall_quantize_config": {"narrow_range": true}}`,
		`{"include_bias_corr": false, "overall_quantize_config": {"bit_width": 6}}`} {
		c := calibrateOn(t, m, settings(t, config))
		want := c.simulate(t)
		for _, opts := range []export.Options{{}, {KeepBias: true}, {Opset: 21}} {
			got, list := qdq(t, c.Calibrated, opts)
			for i, out := range run(t, got, c.in) {
				if n := beyond(t, out, want[i], 0); n > 0 {
					t.Errorf("%s, %+v: %d of %d elements of output %d differ", config, opts, n, len(want[i]), i)
				}
			}
			adds := 0
			for _, n := range got.Graph.Nodes {
				if n.OpType == "Add" {
					adds++
				}
			}
			// The sum itself, and shifts of it and of the pool; where biases are kept,
			// also of the two convolutions.
			want := 3
			if opts.KeepBias {
				want += 2
			}
			if adds != want {
				t.Errorf("%s, %+v: %d Adds, not %d", config, opts, adds, want)
			}
			if len(list) == 0 || list[0].Code != "round-mode" || strings.Contains(list[0].Message.String(), "which leaves") {
				t.Errorf("%s, %+v: findings: %v", config, opts, list)
			}
		}
		plain, _ := qdq(t, c.Calibrated, export.Options{For: export.OpenVINO})
		if n := beyond(t, run(t, plain, c.in)[0], want[0], 0); n == 0 {
			t.Error("without the shift nothing differs either: the test tests nothing")
		}
		stored, err := export.StoredBiases(c.Calibrated, export.Options{})
		if err != nil {
			t.Fatal(err)
		}
		for b, v := range stored {
			if v[0] > 1 {
				t.Errorf("the stored bias %s holds the shift: %v", b.Name, v)
			}
		}
	}
}

// TestTiesHeldInSums: a sum that ONNX Runtime would compute in unsigned integers
// keeps std_round's ties.
func TestTiesHeldInSums(t *testing.T) {
	m := graphtext.MustParse(`<ir_version: 8, opset_import: ["": 13]> g (float[N, 4, 8, 8] x) => (float[N, 4, 8, 8] y)
		<float[4, 4, 3, 3] w = {0.25, -0.5, 0.125, 0.375, -0.25, 0.5, 0.75, ...}> {
		[c1] a = Conv <pads = [1, 1, 1, 1]> (x, w)
		[sum] b = Add (a, x)
		[sum2] y = Add (a, b)
	}`)
	c := calibrateOn(t, m, settings(t, `{"target_device": "CPU", "include_bias_corr": false, "tensor_quantize_config": {"activation": {"round_mode": "std_round"}}}`))
	want := c.simulate(t)
	got, _ := qdq(t, c.Calibrated, export.Options{})
	if n := beyond(t, run(t, got, c.in)[0], want[0], 0); n > 0 {
		t.Errorf("%d of %d elements differ", n, len(want[0]))
	}
	plain, _ := qdq(t, c.Calibrated, export.Options{For: export.OpenVINO})
	if n := beyond(t, run(t, plain, c.in)[0], want[0], 0); n == 0 {
		t.Error("without the trick nothing differs either: the test tests nothing")
	}
}

// TestTiesHeld has every activation behind a Relu: half_up then holds without any
// operator more.
func TestTiesHeld(t *testing.T) {
	m := graphtext.MustParse(`<ir_version: 8, opset_import: ["": 13]> g (float[N, 4, 8, 8] x) => (float[N, 4, 8, 8] y)
		<float[4, 4, 3, 3] w = {0.25, -0.5, 0.125, 0.375, -0.25, 0.5, 0.75, ...}, float[4, 4, 3, 3] v = {-0.25, 0.5, 0.625, 0.375, 0.125, -0.5, -0.75, ...}> {
		[c1] a = Conv <pads = [1, 1, 1, 1]> (x, w)
		[r1] b = Relu (a)
		[c2] c = Conv <pads = [1, 1, 1, 1]> (b, v)
		[r2] y = Relu (c)
	}`)
	c := calibrateOn(t, m, settings(t, `{"include_bias_corr": false}`))
	want := c.simulate(t)
	got, list := qdq(t, c.Calibrated, export.Options{})
	if n := beyond(t, run(t, got, c.in)[0], want[0], 0); n > 0 {
		t.Errorf("%d of %d elements differ", n, len(want[0]))
	}
	if len(list) != 1 || !strings.Contains(list[0].Message.String(), "the scales of 3 are set") {
		t.Errorf("findings: %v", list)
	}
	plain, list := qdq(t, c.Calibrated, export.Options{For: export.OpenVINO})
	if n := beyond(t, run(t, plain, c.in)[0], want[0], 0); n == 0 {
		t.Error("without the trick nothing differs either: the test tests nothing")
	}
	if len(list) != 1 || list[0].Code != "round-mode" || !strings.Contains(list[0].Message.String(), "half_up on 2") {
		t.Errorf("the audit says %v", list)
	}
	if _, list, err := export.QDQ(c.Calibrated, export.Options{For: export.OpenVINO, Strict: true}); err != nil || !list.HasErrors() {
		t.Errorf("--strict lets it pass: %v %v", list, err)
	}
	c.Ties = map[*tensor]calibrate.Ties{}
	for _, p := range c.Plan.Activations() {
		c.Ties[p] = calibrate.Ties{Elements: 1000, Differing: 7}
	}
	_, list = qdq(t, c.Calibrated, export.Options{For: export.OpenVINO})
	if len(list) != 1 || !strings.Contains(list[0].Message.String(), "21 of 3000 elements") {
		t.Errorf("the audit says %v", list)
	}
}

// TestKeepsNames keeps inputs, outputs and nodes, and says where it is from.
func TestKeepsNames(t *testing.T) {
	in := load(t, reference("models", "tinyresnet", "model.onnx"))
	c := calibrateOn(t, in, settings(t, config(t, "int8_perchannel")))
	before := graphtext.Format(c.Plan.Model)
	m, _ := qdq(t, c.Calibrated, export.Options{})
	if graphtext.Format(c.Plan.Model) != before {
		t.Error("the plan's model was changed")
	}
	if m.Graph.Inputs[0].Name != in.Graph.Inputs[0].Name || m.Graph.Outputs[0].Name != in.Graph.Outputs[0].Name {
		t.Errorf("inputs %v, outputs %v", m.Graph.Inputs[0], m.Graph.Outputs[0])
	}
	have := map[string]bool{}
	for _, n := range m.Graph.Nodes {
		if have[n.Name] {
			t.Errorf("two nodes are called %q", n.Name)
		}
		have[n.Name] = true
		if n.Domain != "" {
			t.Errorf("node %q is of the domain %s", n.Name, n.Domain)
		}
	}
	for _, n := range c.Plan.Model.Graph.Nodes {
		if !have[n.Name] && !n.Is("Constant", "Identity") {
			t.Errorf("node %q is gone", n.Name)
		}
	}
	if m.Metadata[export.MetaVersion] != "test" || m.Metadata[export.MetaStrategy] != c.Plan.Strategy.SHA256() || m.Metadata[export.MetaModel] != "0123" {
		t.Errorf("metadata %v", m.Metadata)
	}
	if m.Opsets[""] != 13 || len(m.Opsets) != 1 {
		t.Errorf("operator sets %v", m.Opsets)
	}
	for _, x := range m.Graph.Initializers {
		if x.Type == graph.Float32 && x.Len() > 64 {
			t.Errorf("float weights %q are still there", x.Name)
		}
	}
}

// TestFuses finds QuantizeLinear right behind every Conv and Gemm, and int32
// biases in units of the products.
func TestFuses(t *testing.T) {
	for _, name := range []string{"tinyresnet", "tinymobile"} {
		c := calibrateOn(t, load(t, reference("models", name, "model.onnx")), settings(t, config(t, "int8_perchannel")))
		m, _ := qdq(t, c.Calibrated, export.Options{})
		ix := graph.NewIndex(m.Graph)
		for _, n := range m.Graph.Nodes {
			if !n.Is("Conv", "Gemm") {
				continue
			}
			for _, r := range ix.Consumers[n.Outputs[0]] {
				if !r.Is("QuantizeLinear") {
					t.Errorf("%s: %s reads the result of %s", name, r.Label(), n.Label())
				}
			}
			for i := range 3 {
				if p := ix.Producer[n.Inputs[i]]; p == nil || !p.Is("DequantizeLinear", "Flatten") {
					t.Errorf("%s: input %d of %s is not quantized", name, i, n.Label())
				}
			}
			x, w, b := ix.Producer[n.Inputs[0]], ix.Producer[n.Inputs[1]], ix.Producer[n.Inputs[2]]
			if x.Is("Flatten") {
				x = ix.Producer[x.Inputs[0]]
			}
			scales := func(d *graph.Node) []float32 {
				v, err := m.Graph.Initializer(d.Inputs[1]).Floats()
				if err != nil {
					t.Fatal(err)
				}
				return v
			}
			if m.Graph.Initializer(b.Inputs[0]).Type != graph.Int32 {
				t.Errorf("%s: the bias of %s is %v", name, n.Label(), m.Graph.Initializer(b.Inputs[0]).Type)
			}
			for i, s := range scales(b) {
				if want := scales(x)[0] * scales(w)[i]; s != want {
					t.Errorf("%s: bias scale %d of %s is %v, not %v", name, i, n.Label(), s, want)
				}
			}
		}
	}
}

// TestOpset honours what is asked, or says why not.
func TestOpset(t *testing.T) {
	model := func() *graph.Model { return load(t, reference("models", "tinymlp", "model.onnx")) }
	for _, c := range []struct {
		config string
		opset  int64
		want   int64
		refuse string
	}{
		{"int8_maxmin", 0, 13, ""},
		{"int8_maxmin", 17, 17, ""},
		{"int8_maxmin", 21, 21, ""},
		{"int8_maxmin", 12, 0, "onnx_opset_version 12 is asked for, but the model is written for 13"},
		{"int8_maxmin", 99, 0, "narrow writes up to 22"},
		{"int16", 0, 21, ""},
		{"int4w8a", 0, 21, ""},
		{"int16", 13, 0, "onnx_opset_version 13 is asked for, but a type of so many bits (tensor "},
		{"bfloat16", 0, 13, ""},
	} {
		in := calibrateOn(t, model(), settings(t, config(t, c.config)))
		m, list, err := export.QDQ(in.Calibrated, export.Options{Opset: c.opset})
		switch {
		case err != nil:
			t.Error(err)
		case c.refuse != "":
			if e := list.Err(); e == nil || !strings.Contains(e.Error(), c.refuse) || m != nil {
				t.Errorf("%s at %d: %v, not %s", c.config, c.opset, e, c.refuse)
			}
		case list.HasErrors():
			t.Error(list)
		case m.Opsets[""] != c.want:
			t.Errorf("%s at %d: operator set %d, not %d", c.config, c.opset, m.Opsets[""], c.want)
		default:
			run(t, m, in.in)
		}
	}
}

// TestOldFormat exports a network of IR version 3, whose weights stand among
// the inputs, from operator set 9.
func TestOldFormat(t *testing.T) {
	m := graphtext.MustParse(`<ir_version: 3, opset_import: ["": 9]> g (float[N, 3] x, float[3, 4] w) => (float[N, 4] y)
		<float[3, 4] w = {0.25, -0.5, 0.125, 0.375, -0.25, 0.5, 0.75, 1, -1, 0.3, 0.2, 0.1}> {
		[fc] a = MatMul (x, w)
		[sm] y = Softmax (a)
	}`)
	p, list, err := plan.Build(m, settings(t, config(t, "int8_perchannel")))
	if err != nil || list.HasErrors() {
		t.Fatal(err, list)
	}
	in := &calibrate.Calibrated{Plan: p, Encodings: map[*tensor]scheme.Encoding{}}
	for _, x := range p.Tensors {
		e := scheme.Encoding{Axis: x.Axis, Min: -128, Max: 127}
		for range 1 + 3*boolInt(x.Axis >= 0) {
			e.Scale, e.ZeroPoint = append(e.Scale, 0.01), append(e.ZeroPoint, 0)
		}
		in.Encodings[x] = e
	}
	got, _ := qdq(t, in, export.Options{})
	if got.Opsets[""] != 13 || len(got.Graph.Inputs) != 1 || got.IRVersion < 7 {
		t.Errorf("operator set %d, IR version %d, inputs %v", got.Opsets[""], got.IRVersion, got.Graph.Inputs)
	}
	for _, row := range slices.Collect(slices.Chunk(run(t, got, map[string]engine.Tensor{"x": testnet.Inputs(m, 2, 1, 1)["x"]})[0], 4)) {
		sum := row[0] + row[1] + row[2] + row[3]
		if sum < 0.96 || sum > 1.04 {
			t.Errorf("softmax of %v adds up to %v", row, sum)
		}
	}
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

// TestMissingEncoding names the tensor.
func TestMissingEncoding(t *testing.T) {
	c := calibrateOn(t, load(t, reference("models", "tinymlp", "model.onnx")), settings(t, config(t, "int8_maxmin")))
	for _, x := range c.Plan.Tensors {
		e := c.Encodings[x]
		delete(c.Encodings, x)
		if _, _, err := export.QDQ(c.Calibrated, export.Options{}); err == nil || !strings.Contains(err.Error(), x.Name) {
			t.Errorf("%q is missing: %v", x.Name, err)
		}
		bad := e
		bad.Scale = []float32{float32(math.NaN())}
		c.Encodings[x] = bad
		if _, _, err := export.QDQ(c.Calibrated, export.Options{}); err == nil || !strings.Contains(err.Error(), x.Name) {
			t.Errorf("%q has the scale NaN: %v", x.Name, err)
		}
		c.Encodings[x] = scheme.Encoding(e)
	}
}

// TestDeadChannel gives a channel without weights a scale that leaves room for
// its bias.
func TestDeadChannel(t *testing.T) {
	m := graphtext.MustParse(`<ir_version: 8, opset_import: ["": 13]> g (float[N, 1, 4, 4] x) => (float[N, 2, 4, 4] y)
		<float[2, 1, 1, 1] w = {0, 1}, float[2] b = {100, 1}> { [c] y = Conv (x, w, b) }`)
	p, list, err := plan.Build(m, settings(t, config(t, "int8_perchannel")))
	if err != nil || list.HasErrors() {
		t.Fatal(err, list)
	}
	in := &calibrate.Calibrated{Plan: p, Encodings: map[*tensor]scheme.Encoding{}}
	for _, x := range p.Tensors {
		e := scheme.Encoding{Axis: -1, Min: -128, Max: 127, Scale: []float32{1}, ZeroPoint: []int64{0}}
		if x.Axis >= 0 {
			e = scheme.Encoding{Axis: 0, Min: -128, Max: 127, Scale: []float32{1e-20, 0.5}, ZeroPoint: []int64{0, 0}}
		}
		in.Encodings[x] = e
	}
	out, list := qdq(t, in, export.Options{})
	if len(list) > 0 {
		t.Errorf("findings %v", list)
	}
	bias := out.Graph.Initializer("b_quantized")
	if bias == nil || bias.Type != graph.Int32 {
		t.Fatalf("the bias is stored as %v", bias)
	}
	if v, err := bias.Int64s(); err != nil || !slices.Equal(v, []int64{200, 2}) {
		t.Errorf("the bias is %v (%v)", v, err)
	}
	if v, err := out.Graph.Initializer("w_scale").Floats(); err != nil || !slices.Equal(v, []float32{0.5, 0.5}) {
		t.Errorf("the weights' scales are %v (%v)", v, err)
	}
}
