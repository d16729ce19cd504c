package search_test

import (
	"context"
	"reflect"
	"slices"
	"strings"
	"testing"

	"narrow"
	"narrow/engine"
	"narrow/graph"
	"narrow/internal/testnet"
	"narrow/scheme"
	"narrow/search"
)

// TestNetwork holds the evaluator on ONNX Runtime to what calibration and test
// give by themselves.
func TestNetwork(t *testing.T) {
	ctx := context.Background()
	m := testnet.Bundled(t)
	const samples = 52 // the last batch is half full
	labels := make([]int, samples)
	for i := range labels {
		labels[i] = i % 10
	}
	net, err := search.NewNetwork(ctx, m, testnet.Runner(t), search.Samples{Calibration: testnet.Noise(24, 8, 1), Test: testnet.Noise(samples, 8, 2), Labels: engine.Labels{Classes: labels}, Seed: 3}, search.SpaceFor(scheme.CPU), narrow.CalibrateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	layers := net.Layers()
	if len(layers) != 22 || layers[0] != (search.Layer{Name: "image", Input: true}) || layers[1] != (search.Layer{Name: "/features/features.0/conv/Conv", Weighted: true}) || net.Nameless() != nil {
		t.Errorf("%d layers: %+v", len(layers), layers)
	}
	searched, held := net.Split()
	if searched+held != samples || held == 0 || searched < held {
		t.Errorf("%d are searched on, %d held out", searched, held)
	}

	int8 := testnet.Strategy(t, `{"target_device": "CPU", "include_cle": false, "include_bias_corr": false, "overall_quantize_config":
		{"method": "maxmin", "round_mode": "half_even", "scale_type": "float", "calib_statistic_method": "max"}}`)
	planned, err := m.Plan(int8, narrow.PlanOptions{})
	if err != nil {
		t.Fatal(err)
	}
	c, err := planned.Calibrate(ctx, testnet.Runner(t), testnet.Noise(24, 8, 1), narrow.CalibrateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	want, err := c.Test(ctx, testnet.Runner(t), testnet.Noise(samples, 8, 2), narrow.TestOptions{Labels: engine.Labels{Classes: labels}})
	if err != nil {
		t.Fatal(err)
	}
	p, err := net.Confirm(ctx, int8)
	if err != nil {
		t.Fatal(err)
	}
	if p.Samples != samples || p.Float != want.Float.Top1 || p.Quantized != want.Quantized.Top1 || p.Agreement != *want.Agreement || p.Float != net.Top1() {
		t.Errorf("promised %+v, tested %+v", p, want)
	}
	if got := p.All.Agreement(); got != *want.Agreement {
		t.Errorf("agreement %v, not %v", got, want.Agreement)
	}
	if p.HeldOut == nil || p.HeldOut.Samples != held {
		t.Errorf("held out: %+v", p.HeldOut)
	}
	// What is searched on and what is held out are all.
	s, err := net.Search(ctx, int8, nil)
	if err != nil {
		t.Fatal(err)
	}
	if s.Samples != searched || s.Quantized+p.HeldOut.Quantized != p.All.Quantized || s.Lost+p.HeldOut.Lost != p.All.Lost || s.Agree+p.HeldOut.Agree != p.All.Agree {
		t.Errorf("searched %+v, held out %+v, all %+v", s, *p.HeldOut, p.All)
	}
	// A trial that is given up has seen less.
	calls := 0
	s, err = net.Search(ctx, int8, func(s search.Score) bool { calls++; return s.Samples >= 16 })
	if err != nil || !s.Stopped || s.Samples < 16 || s.Samples >= searched || calls < 2 {
		t.Errorf("given up after %d calls: %+v, %v", calls, s, err)
	}

	cost, err := net.Cost(int8)
	if err != nil || cost != 1.0/16 {
		t.Errorf("int8 costs %v, %v", cost, err)
	}
	noise, err := net.Noise(ctx, int8)
	if err != nil || len(noise) != len(layers) {
		t.Fatalf("%v, %v", noise, err)
	}
	for i, n := range noise {
		if !(n > 0 && n < 1) {
			t.Errorf("%s makes noise of %v", layers[i].Name, n)
		}
	}
	float := testnet.Strategy(t, `{"target_device": "CPU", "include_cle": false, "overall_quantize_config": {"datatype": "float32"}}`)
	if noise, err = net.Noise(ctx, float); err != nil || slices.Max(noise) != 0 {
		t.Errorf("float32 makes noise of %v, %v", noise, err)
	}

	// Samples that are too many to keep are read again.
	net.Forget(testnet.Noise(24, 8, 1), testnet.Noise(samples, 8, 2))
	if again, err := net.Confirm(ctx, int8); err != nil || !reflect.DeepEqual(again, p) {
		t.Errorf("%+v, %v, not %+v", again, err, p)
	}

	ctx, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := net.Confirm(ctx, int8); err == nil {
		t.Error("a search that is over continues")
	}
}

// TestNameless: an input with the name of a node gets no rule, and networks
// without classes are refused.
func TestNameless(t *testing.T) {
	inputs := func(yield func(*engine.Batch, error) bool) {
		x := []float32{1, 2, 3, 4}
		yield(&engine.Batch{Count: 2, Inputs: map[string]engine.Tensor{"x": {Type: graph.Float32, Shape: []int64{2, 2}, Floats: x}}}, nil)
	}
	in := search.Samples{Calibration: inputs, Test: inputs, Labels: engine.Labels{Classes: []int{0, 1}}}
	m := testnet.Parse(t, `net (float[N, 2] x) => (float[N, 2] y) <float[2, 2] w = {1, 2, 3, 4}>
		{
		  [x] h = MatMul (x, w)
		  [middle] i = MatMul (h, w)
		  [other] y = MatMul (i, w)
		}`)
	net, err := search.NewNetwork(context.Background(), m, testnet.Runner(t), in, search.SpaceFor(scheme.DPU), narrow.CalibrateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	names := []string{}
	for _, l := range net.Layers() {
		names = append(names, l.Name)
	}
	if !slices.Equal(names, []string{"x", "middle", "other"}) || net.Layers()[0].Input || !slices.Equal(net.Nameless(), []string{"x"}) {
		t.Errorf("named %q, nameless %q", names, net.Nameless())
	}
	out, err := search.Run(context.Background(), search.SpaceFor(scheme.DPU), net, search.Options{MaxDrop: 0.5})
	if err != nil || out.Best == nil {
		t.Errorf("%+v, %v", out, err)
	}
	_, err = search.NewNetwork(context.Background(), m, testnet.Runner(t), search.Samples{Calibration: inputs, Test: inputs}, search.SpaceFor(scheme.DPU), narrow.CalibrateOptions{})
	if err == nil || !strings.Contains(err.Error(), "no labels") {
		t.Errorf("samples without labels: %v", err)
	}
	m = testnet.Parse(t, `net (float[N, 2] x) => (float y) { h = Relu (x)
		  y = ReduceSum <keepdims = 0> (h) }`)
	_, err = search.NewNetwork(context.Background(), m, testnet.Runner(t), in, search.SpaceFor(scheme.DPU), narrow.CalibrateOptions{})
	if err == nil || !strings.Contains(err.Error(), "no top-1 to search by") {
		t.Errorf("a network without classes: %v", err)
	}
}

// TestOverflow: what float16 cannot hold is a failed trial, and the search goes
// on with what can. Float propagation sees it in the outputs only.
func TestOverflow(t *testing.T) {
	m := testnet.Parse(t, `net (float[N, 2] x) => (float[N, 2] y) <float[2, 2] w = {1e4, 0, 0, 1e4}, float[2, 2] v = {1e-4, 0, 0, 1e-4}>
		{
		  [wide] h = MatMul (x, w)
		  [back] y = MatMul (h, v)
		}`)
	inputs := func(yield func(*engine.Batch, error) bool) {
		yield(&engine.Batch{Count: 2, Inputs: map[string]engine.Tensor{"x": {Type: graph.Float32, Shape: []int64{2, 2}, Floats: []float32{1, 90, 80, 4}}}}, nil)
	}
	for _, a := range []narrow.Accuracy{narrow.Guide, narrow.High} {
		in := search.Samples{Calibration: inputs, Test: inputs, Labels: engine.Labels{Classes: []int{1, 0}}, Accuracy: a}
		space := search.SpaceFor(scheme.GPU)
		net, err := search.NewNetwork(context.Background(), m, testnet.Runner(t), in, space, narrow.CalibrateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		out, err := search.Run(context.Background(), space, net, search.Options{})
		if err != nil {
			t.Fatal(err)
		}
		first := out.Trials[0].Score
		if first.Noise != search.MaxNoise || out.Best == nil || out.Best.Promise.All.Lost != 0 || out.Best.Promise.All.Noise == search.MaxNoise {
			t.Errorf("%v: float16 scored %+v, the best is %+v", a, first, out.Best)
		}
		if a == narrow.Guide && (first.Failed != `layer back: tensor "y" holds NaN` || first.Lost != 2) {
			t.Errorf("float16 scored %+v", first)
		}
	}
}
