package narrow_test

import (
	"bytes"
	"context"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"narrow"
	"narrow/diag"
	"narrow/engine"
	"narrow/internal/testnet"
)

// perChannel has weights with a scale a channel and asymmetric activations.
const perChannel = `{"target_device": "CPU", "include_cle": false,
	"overall_quantize_config": {"method": "maxmin", "scale_type": "float", "calib_statistic_method": "max", "round_mode": "half_even"},
	"tensor_quantize_config": {"weights": {"per_channel": true}, "activation": {"symmetry": false}, "input": {"symmetry": false}}}`

// noise yields 128 samples for m's inputs, some loud and some quiet.
func noise(m *narrow.Model) engine.Batches {
	return func(yield func(*engine.Batch, error) bool) {
		for at := 0; at < 128; at += 8 {
			in := testnet.Inputs(m.Graph, 8, uint64(at), 1)
			for _, x := range in {
				for i := range x.Floats {
					x.Floats[i] = float32(math.Ldexp(float64(x.Floats[i]), -i*8/len(x.Floats)))
				}
			}
			if !yield(&engine.Batch{First: at, Count: 8, Inputs: in}, nil) {
				return
			}
		}
	}
}

// both returns the first output of the float and of the quantized network, or
// why it could not be calibrated.
func both(t *testing.T, m *narrow.Model, config string, a narrow.Accuracy) (float, quantized []float32, err error) {
	t.Helper()
	run := testnet.Runner(t)
	c, err := testnet.PlanFor(t, m, config, a).Calibrate(context.Background(), run, noise(m), narrow.CalibrateOptions{})
	if err != nil {
		return nil, nil, err
	}
	_, err = c.Test(context.Background(), run, noise(m), narrow.TestOptions{Output: func(_ int, outs []engine.Tensor) error {
		quantized = append(quantized, outs[0].Floats...)
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	s, err := run.Load(context.Background(), m.Graph, engine.LoadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for b, err := range noise(m) {
		if err != nil {
			t.Fatal(err)
		}
		outs, err := s.Run(context.Background(), b.Inputs, nil)
		if err != nil {
			t.Fatal(err)
		}
		float = append(float, outs[m.Graph.Graph.Outputs[0].Name].Floats...)
	}
	return float, quantized, nil
}

func decibels(float, quantized []float32) float64 {
	var signal, noise float64
	for i, v := range float {
		d := float64(v) - float64(quantized[i])
		signal, noise = signal+float64(v)*float64(v), noise+d*d
	}
	return 10 * math.Log10(signal/noise)
}

// A network whose own arithmetic destroys a small error cannot be calibrated in
// the guide's way, and can in the other.
func TestHighSparesWhatErrorsDestroy(t *testing.T) {
	m := testnet.Open(t, "testdata/cases/log.onnx")
	if _, _, err := both(t, m, perChannel, narrow.Guide); err == nil || !strings.Contains(err.Error(), "Inf") {
		t.Errorf("guide: %v, want an infinity", err)
	}
	float, quantized, err := both(t, m, perChannel, narrow.High)
	if err != nil {
		t.Fatal(err)
	}
	if got := decibels(float, quantized); !(got > 8) {
		t.Errorf("%.1f dB", got)
	}
}

// A LayerNorm that is written out is one layer, whose variance is not quantized.
func TestHighKeepsLayerNorm(t *testing.T) {
	m := testnet.Open(t, "testdata/cases/layernorm.onnx")
	db := map[narrow.Accuracy]float64{}
	for _, a := range []narrow.Accuracy{narrow.Guide, narrow.High} {
		float, quantized, err := both(t, m, perChannel, a)
		switch {
		case err == nil:
			db[a] = decibels(float, quantized)
		case a == narrow.High || !strings.Contains(err.Error(), "Inf"):
			t.Fatal(err)
		}
	}
	if !(db[narrow.High] > 6) || !(db[narrow.High] > db[narrow.Guide]+6) {
		t.Errorf("%.1f dB in the guide's way, %.1f for high", db[narrow.Guide], db[narrow.High])
	}
}

// A detector's scores survive next to boxes in pixels: the last Concat is spared.
func TestHighKeepsScores(t *testing.T) {
	m := testnet.Open(t, "testdata/cases/boxes.onnx")
	lost := map[narrow.Accuracy]float64{}
	for _, a := range []narrow.Accuracy{narrow.Guide, narrow.High} {
		float, quantized, err := both(t, m, perChannel, a)
		if err != nil {
			t.Fatal(err)
		}
		// [N, 10, 256]: four channels of boxes, six of scores.
		var f, q []float32
		for at := 0; at < len(float); at += 10 * 256 {
			f, q = append(f, float[at+4*256:at+10*256]...), append(q, quantized[at+4*256:at+10*256]...)
		}
		lost[a] = decibels(f, q)
	}
	if lost[narrow.Guide] > 2 || lost[narrow.High] < 7 {
		t.Errorf("scores: %.1f dB in the guide's way, %.1f for high; want below 2 and above 7", lost[narrow.Guide], lost[narrow.High])
	}
}

// A LeakyReLU keeps its slope for the CPU and the GPU; for the DPU it has the only one there is.
func TestHighKeepsSlope(t *testing.T) {
	m := testnet.Parse(t, `g (float[N, 2, 4, 4] x) => (float[N, 2, 4, 4] y) <float[2, 2, 1, 1] w = {0.5, -0.25, ...}> { [a] h = Conv (x, w) [l] y = LeakyRelu <alpha = 0.2> (h) }`)
	for target, keeps := range map[string]bool{"CPU": true, "GPU": true, "DPU": false} {
		for a, want := range map[narrow.Accuracy]bool{narrow.Guide: false, narrow.High: keeps} {
			r := testnet.PlanFor(t, m, `{"target_device": "`+target+`"}`, a)
			slope := r.Plan.Model.Graph.Nodes[1].Float("alpha", 0)
			if got := slope == 0.2; got != want {
				t.Errorf("%s, %v: the slope is %v", target, a, slope)
			}
		}
	}
}

// Weights that several operators read are not chosen anew, and a note says so.
func TestSharedWeightsAreTold(t *testing.T) {
	for w, want := range map[string]bool{"w": true, "v": false} {
		m := testnet.Parse(t, `g (float[N, 2, 4, 4] x) => (float[N, 2, 4, 4] y) <float[2, 2, 1, 1] w = {0.5, -0.25, ...}, float[2, 2, 1, 1] v = {0.5, -0.25, ...}>
			{ [a] h = Conv (x, w) [r] k = Relu (h) [b] y = Conv (k, `+w+`) }`)
		c, err := testnet.PlanFor(t, m, perChannel, narrow.High).Calibrate(context.Background(), testnet.Runner(t), noise(m), narrow.CalibrateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if got := slices.ContainsFunc(c.Result.Findings, func(f diag.Finding) bool { return f.Code == "weights-shared" }); got != want && c.Plan.Options.Accuracy == narrow.High {
			t.Errorf("%s: a note: %v", w, got)
		}
	}
}

// silus is a network whose SiLU has one loud channel and quiet ones that decide:
// apart, and with one scale for all channels, it is far from the float network.
const silus = `g (float[N, 4, 8, 8] x) => (float[N, 4, 8, 8] y)
<float[4, 4, 1, 1] w = {40, 40, -30, 40, 0.2, -0.1, 0.3, 0.1, 0.1, 0.2, -0.1, -0.3, -0.2, 0.1, 0.1, 0.3}, float[4, 1, 3, 3] d = {0.01, -0.02, 0.01, 0.02, 0.01, -0.01, 0.02, 0.01, 0.01, 3, -2, 1, 2, 4, 1, -1, 2, 3, 3, -2, 1, 2, 4, 1, -1, 2, 3, 3, -2, 1, 2, 4, 1, -1, 2, 3}>
{ [a] h = Conv (x, w) [s] s = Sigmoid (h) [m] k = Mul (h, s) [b] y = Conv <group = 4, pads = [1, 1, 1, 1]> (k, d) }`

// Functions join one by one: one that the output hardly hangs on stays apart beside one that
// costs much, its layer keeps its quantizer, and the note counts both. That is saved and loaded.
func TestFunctionsJoinOneByOne(t *testing.T) {
	ctx, run := context.Background(), testnet.Runner(t)
	net := strings.Replace(silus, "y = Conv", "z = Conv", 1)
	net = strings.Replace(net, "(k, d) }", "(k, d) [c] i = Conv (x, w2) [s2] r = Sigmoid (i) [m2] o = Mul (i, r) [e] q = Conv (o, w3) [add] y = Add (z, q) }", 1)
	net = strings.Replace(net, "float[4, 1, 3, 3] d", "float[4, 4, 1, 1] w2 = {0.5, -0.25, ...}, float[4, 4, 1, 1] w3 = {0.0001, -0.0002, ...}, float[4, 1, 3, 3] d", 1)
	m := testnet.Parse(t, net)
	var first []byte
	for _, threads := range []int{1, 3} {
		c, err := testnet.PlanFor(t, m, perChannel, narrow.High).Calibrate(ctx, run, noise(m), narrow.CalibrateOptions{Threads: threads})
		if err != nil {
			t.Fatal(err)
		}
		if f := c.Plan.Options.Functions; !f.Join || !slices.Equal(f.Apart, []string{"o"}) {
			t.Fatalf("%+v", f)
		}
		quantized := map[string]bool{}
		for _, x := range c.Plan.Activations() {
			quantized[x.Name] = true
		}
		if quantized["h"] || !quantized["i"] || !quantized["k"] || !quantized["o"] {
			t.Errorf("quantized: %v", quantized)
		}
		told := slices.IndexFunc(c.Result.Findings, func(f diag.Finding) bool { return f.Code == "functions-joined" })
		if told < 0 || !strings.Contains(c.Result.Findings[told].Message.String(), "1 of 2 functions, such as k,") {
			t.Errorf("%v", c.Result.Findings)
		}
		dir := t.TempDir()
		if err := c.Save(dir); err != nil {
			t.Fatal(err)
		}
		info, err := os.ReadFile(filepath.Join(dir, "quant_info.json"))
		if err != nil {
			t.Fatal(err)
		}
		if first == nil {
			first = info
		} else if !bytes.Equal(first, info) {
			t.Error("threads change what is chosen")
		}
		loaded, err := narrow.Load(dir, m, nil)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(loaded.Plan.Options.Functions.Apart, []string{"o"}) {
			t.Errorf("loaded: %+v", loaded.Plan.Options.Functions)
		}
	}
}

// Functions join, and their channels get one range, where the samples say that
// it pays: always considered for the CPU and the GPU, never for the DPU. What was
// chosen is saved and loaded again, to the bit.
func TestFunctionsAreChosen(t *testing.T) {
	ctx, run := context.Background(), testnet.Runner(t)
	m := testnet.Parse(t, silus)
	for target, chosen := range map[string]bool{"CPU": true, "GPU": true, "DPU": false} {
		config := strings.Replace(perChannel, `"CPU"`, `"`+target+`"`, 1)
		if target == "DPU" {
			config = "{}"
		}
		c, err := testnet.PlanFor(t, m, config, narrow.High).Calibrate(ctx, run, noise(m), narrow.CalibrateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if got := len(c.Plan.Options.Functions.Steps) == 1; got != chosen || c.Plan.Options.Functions.Join != (target == "CPU") {
			t.Errorf("%s: %+v", target, c.Plan.Options.Functions)
		}
		kept, err := testnet.PlanFor(t, m, config, narrow.High).Calibrate(ctx, run, noise(m), narrow.CalibrateOptions{KeepIntegers: true})
		if err != nil {
			t.Fatal(err)
		}
		if got := kept.Plan.Options.Functions; got.Join || target == "GPU" && len(got.Steps) != 1 || slices.ContainsFunc(kept.Result.Findings, func(f diag.Finding) bool { return f.Code == "functions-joined" }) {
			t.Errorf("%s, integers kept: %+v", target, got)
		}
		told := false
		for _, f := range c.Result.Findings {
			told = told || f.Code == "functions-joined"
		}
		if told != (target == "CPU") {
			t.Errorf("%s: a note that functions joined: %v", target, told)
		}
		dir := t.TempDir()
		if err := c.Save(dir); err != nil {
			t.Fatal(err)
		}
		loaded, err := narrow.Load(dir, m, nil)
		if err != nil {
			t.Fatal(err)
		}
		results := func(c *narrow.Calibrated) (all []float32) {
			_, err := c.Test(ctx, run, noise(m), narrow.TestOptions{Output: func(_ int, outs []engine.Tensor) error {
				all = append(all, outs[0].Floats...)
				return nil
			}})
			if err != nil {
				t.Fatal(err)
			}
			return all
		}
		if want, got := results(c), results(loaded); !slices.Equal(want, got) {
			t.Errorf("%s: what was loaded computes something else", target)
		}
	}
}
