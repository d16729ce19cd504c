package inspect_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"narrow"
	"narrow/calibrate"
	"narrow/calibrate/observe"
	"narrow/engine"
	"narrow/graph"
	"narrow/inspect"
	"narrow/internal/testnet"
	"narrow/plan"
	"narrow/scheme"
)

// Strategies.
const (
	dpu  = `{}`
	int8 = `{"target_device": "CPU", "overall_quantize_config": {"method": "maxmin", "scale_type": "float", "calib_statistic_method": "max", "round_mode": "half_even"},
		"tensor_quantize_config": {"weights": {"per_channel": true}, "activation": {"symmetry": false}}}`
	int16 = `{"target_device": "CPU", "include_bias_corr": false,
		"overall_quantize_config": {"bit_width": 16, "method": "maxmin", "scale_type": "float", "calib_statistic_method": "max", "round_mode": "half_even"}}`
	bfloat16 = `{"target_device": "CPU", "overall_quantize_config": {"datatype": "bfloat16"}}`
	float32s = `{"target_device": "CPU", "include_cle": false, "overall_quantize_config": {"datatype": "float32"}}`
)

func measure(t testing.TB, c *narrow.Calibrated, in engine.Batches, opts inspect.Options) *inspect.Result {
	t.Helper()
	r, err := inspect.Measure(context.Background(), c, testnet.Runner(t), in, opts)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// smallText is a network of two convolutions of 16 channels, so that the engine may compute in
// blocks, with a ReLU6 between whose channels differ much.
func smallText(relu6 string) string {
	return `net (float[N, 16, 6, 6] x) => (float[N, 16, 6, 6] y)
		<float[16, 16, 1, 1] v = {` + ramp(256, func(i int) float64 { return math.Sin(float64(i)) * math.Exp2(float64(-i/16)) / 4 }) + `},
		 float[16, 16, 1, 1] w = {` + ramp(256, func(i int) float64 { return math.Cos(float64(i)) }) + `}, float six = {6}>
		{ h = Conv (x, v)
		  ` + relu6 + `
		  y = Conv (r, w) }`
}

const (
	clip = "r = Clip <min = 0.0, max = 6.0> (h)"
	// split is one that equalization does not pass.
	split = "p = Relu (h) \n r = Min (p, six)"
)

func ramp(n int, f func(int) float64) string {
	var parts []string
	for i := range n {
		x, _ := json.Marshal(float32(f(i)))
		parts = append(parts, string(x))
	}
	return strings.Join(parts, ", ")
}

// old gives clip the opset where its bounds are attributes.
func old(text string) string { return `<ir_version: 7, opset_import: ["": 10]> ` + text }

// TestNothingQuantized: where all is float32 nothing differs.
func TestNothingQuantized(t *testing.T) {
	m := testnet.Parse(t, old(smallText(clip)))
	r := measure(t, calibrated(t, m, float32s, 1), random(m, 20, 8, 1), inspect.Options{})
	if len(r.Tensors) != 0 || len(r.Layers) != 3 || r.Samples != 20 || r.Reference != inspect.Exact {
		t.Fatalf("%d tensors, %d layers, %d samples, %s", len(r.Tensors), len(r.Layers), r.Samples, r.Reference)
	}
	for _, l := range r.Layers {
		if e := l.Error; e == nil || !math.IsInf(float64(e.SQNR), 1) || e.Cosine != 1 || e.MSE != 0 || l.Activation != "float32" {
			t.Errorf("layer %s, %s: %+v", l.Name, l.Activation, e)
		}
	}
}

// TestAgainstRuns holds what is measured with taps against runs that return
// the inner values.
func TestAgainstRuns(t *testing.T) {
	for name, config := range map[string]string{"dpu": dpu, "int8": int8, "bfloat16": bfloat16} {
		t.Run(name, func(t *testing.T) {
			m := testnet.Bundled(t)
			c := calibrated(t, m, config, 1)
			in := random(m, 8, 8, 1)
			got := measure(t, c, in, inspect.Options{})
			float, exact, err := c.FloatReference()
			if err != nil || !exact || got.Reference != inspect.Exact {
				t.Fatal(err, exact)
			}
			sim, err := c.Result.Simulation(nil, nil)
			if err != nil {
				t.Fatal(err)
			}
			var names []string
			for _, l := range c.Plan.Layers {
				names = append(names, l.Output)
			}
			for _, p := range c.Plan.Activations() {
				if !slices.Contains(names, p.Name) {
					names = append(names, p.Name)
				}
			}
			ref := values(t, float, in, names, nil)
			test := values(t, sim.Model, in, names, func(tap int, dst, src []float32, shape []int64) error {
				p := sim.Taps[tap].Tensor
				return observe.Apply(nil, dst, src, p.Settings.Settings, c.Result.Encodings[p], shape)
			})
			for i, l := range c.Plan.Layers[1:] { // an input keeps its name before its quantizer
				var q observe.Quality
				q.Add(nil, ref[l.Output].Floats, test[l.Output].Floats)
				sameError(t, "layer "+l.Name, got.Layers[i+1].Error, q)
			}
			for i, p := range c.Plan.Tensors {
				x, y := []float32(nil), []float32(nil)
				switch {
				case p.Constant == nil:
					x = ref[p.Name].Floats
				default:
					if x, err = c.Result.FloatConstant(p); err != nil {
						t.Fatal(err)
					}
				}
				y = make([]float32, len(x))
				shape := []int64{int64(len(x))}
				if p.Constant != nil {
					shape = p.Constant.Dims
				}
				if err := observe.Apply(nil, y, x, p.Settings.Settings, c.Result.Encodings[p], shape); err != nil {
					t.Fatal(err)
				}
				var q observe.Quality
				q.Add(nil, x, y)
				sameError(t, "tensor "+p.Name, &got.Tensors[i].Own, q)
				if got.Tensors[i].Name != p.Name || got.Tensors[i].Elements != int64(len(x)) {
					t.Errorf("tensor %s: %s of %d elements, want %d", p.Name, got.Tensors[i].Name, got.Tensors[i].Elements, len(x))
				}
				if n := sum(got.Tensors[i].Histogram.Counts); n != int64(len(x)) {
					t.Errorf("tensor %s: the histogram counts %d of %d", p.Name, n, len(x))
				}
			}
			res, err := c.Test(context.Background(), testnet.Runner(t), in, narrow.TestOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if last := got.Layers[len(got.Layers)-1].Error.SQNR; math.Abs(float64(last-res.SQNR)) > 1e-3 {
				t.Errorf("the last layer has %v dB, test says %v", last, res.SQNR)
			}
		})
	}
}

func sum(x []int64) (n int64) {
	for _, v := range x {
		n += v
	}
	return n
}

// sameError: the engine may compute in another order with other taps, and a
// value at a tie may go the other way.
func sameError(t *testing.T, what string, got *inspect.Error, want observe.Quality) {
	t.Helper()
	if got == nil {
		t.Errorf("%s: not compared", what)
		return
	}
	sq, wq := float64(got.SQNR), want.SQNR()
	if sq != wq && !(math.Abs(sq-wq) < 0.02) || math.Abs(got.Cosine-want.Cosine()) > 1e-4 || math.Abs(got.MSE-want.MSE()) > 0.01*want.MSE() {
		t.Errorf("%s: %+v, want %v dB, %v, %v", what, *got, wq, want.Cosine(), want.MSE())
	}
}

// values runs m over the one batch of in and returns inner values.
func values(t *testing.T, m *graph.Model, in engine.Batches, names []string, hook engine.Hook) map[string]engine.Tensor {
	t.Helper()
	s, err := testnet.Runner(t).Load(context.Background(), m, engine.LoadOptions{Outputs: names})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for b, err := range in {
		if err != nil {
			t.Fatal(err)
		}
		out, err := s.Run(context.Background(), b.Inputs, hook)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	return nil
}

// TestEqualized: equalization rescales the value between two convolutions
// channel by channel, and the ReLU6 there becomes ReLU. The float network to
// compare with is equalized too, and keeps its ReLU6.
func TestEqualized(t *testing.T) {
	m := testnet.Parse(t, old(smallText(clip)))
	c := calibrated(t, m, int16, 10)
	if c.Rewrites.Count("equalize") != 1 || c.Rewrites.Count("convert-relu6-to-relu") != 1 {
		t.Fatal(c.Rewrites)
	}
	r := measure(t, c, random(m, 20, 8, 0.25), inspect.Options{}) // nothing reaches 6
	if r.Reference != inspect.Exact {
		t.Fatalf("compared with the %s network", r.Reference)
	}
	for _, l := range r.Layers {
		if l.Error.SQNR < 45 {
			t.Errorf("layer %s: %v dB with 16 bits", l.Name, l.Error.SQNR)
		}
	}
	// Beyond 6 the float network stops and the quantized one does not.
	r = measure(t, c, random(m, 20, 8, 10), inspect.Options{})
	if l := r.Layers[1]; l.Error.SQNR > 30 {
		t.Errorf("layer %s: %v dB where ReLU6 was taken away", l.Name, l.Error.SQNR)
	}
	own := r.Tensors[slices.IndexFunc(r.Tensors, func(x inspect.Tensor) bool { return x.Name == "r" })]
	if own.Accumulated.SQNR > 30 || own.Own.SQNR < 30 {
		t.Errorf("the value between: own %+v, accumulated %+v", own.Own, own.Accumulated)
	}
}

// TestReference: where equalization cannot pass the ReLU6 as it is written, the
// network that was calibrated serves.
func TestReference(t *testing.T) {
	m := testnet.Parse(t, smallText(split))
	c := calibrated(t, m, int16, 10)
	if c.Rewrites.Count("equalize") != 1 {
		t.Fatal(c.Rewrites)
	}
	r := measure(t, c, random(m, 20, 8, 10), inspect.Options{})
	if r.Reference != inspect.Rewritten {
		t.Errorf("compared with the %s network", r.Reference)
	}
	for _, l := range r.Layers {
		if l.Error.SQNR < 50 {
			t.Errorf("layer %s: %v dB with 16 bits", l.Name, l.Error.SQNR)
		}
	}
}

// TestSameBytes: the number of threads and the batch size reach nothing.
func TestSameBytes(t *testing.T) {
	m := testnet.Bundled(t)
	c := calibrated(t, m, int8, 1)
	text := func(threads, size int) (measured, ranked []byte) {
		r := measure(t, c, random(m, 20, size, 1), inspect.Options{Threads: threads})
		measured, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		labels := make([]int, 20)
		s := rank(t, c, random(m, 20, size, 1), inspect.SensitivityOptions{Threads: threads, Labels: engine.Labels{Classes: labels}})
		ranked, err = json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		return measured, ranked
	}
	measured, ranked := text(1, 8)
	for _, run := range [][2]int{{1, 20}, {2, 3}, {3, 8}} {
		m, r := text(run[0], run[1])
		if !bytes.Equal(m, measured) {
			t.Errorf("%d threads, batches of %d: measured otherwise", run[0], run[1])
		}
		if !bytes.Equal(r, ranked) {
			t.Errorf("%d threads, batches of %d: ranked otherwise", run[0], run[1])
		}
	}
}

// TestPadding: a network of fixed batch size runs on whole batches, and what
// pads the last one counts nowhere.
func TestPadding(t *testing.T) {
	fixed := unusual["fixed batch"].net
	var rs []*inspect.Result
	var ss []*inspect.Ranking
	for _, net := range []string{fixed, strings.ReplaceAll(fixed, "[4,", "[N,")} {
		m := testnet.Parse(t, net)
		c := propagated(t, m, int8, 1, calibrate.Float)
		rs = append(rs, measure(t, c, random(m, 5, 5, 1), inspect.Options{}))
		ss = append(ss, rank(t, c, random(m, 5, 5, 1), inspect.SensitivityOptions{}))
	}
	near := func(what string, a, b float64) {
		t.Helper()
		if !(math.Abs(a-b) <= 1e-4*math.Abs(b)) {
			t.Errorf("%s: %v with padding, %v without", what, a, b)
		}
	}
	for i, l := range rs[0].Layers {
		near("layer "+l.Name, l.Error.MSE, rs[1].Layers[i].Error.MSE)
	}
	for i, x := range rs[0].Tensors {
		near("tensor "+x.Name, x.Own.MSE, rs[1].Tensors[i].Own.MSE)
		near("tensor "+x.Name, x.Accumulated.MSE, rs[1].Tensors[i].Accumulated.MSE)
	}
	for i, l := range ss[0].Layers {
		near("layer "+l.Name+" alone", l.Own.MSE, ss[1].Layers[i].Own.MSE)
		near("layer "+l.Name+" alone", float64(l.SQNR), float64(ss[1].Layers[i].SQNR))
	}
}

// TestChannels: weights tell the range of each output channel and, where each
// has its own scale, its grid.
func TestChannels(t *testing.T) {
	m := testnet.Bundled(t)
	for name, config := range map[string]string{"per channel": int8, "per tensor": dpu} {
		c := calibrated(t, m, config, 1)
		r := measure(t, c, random(m, 4, 4, 1), inspect.Options{})
		for i, x := range r.Tensors {
			p := c.Plan.Tensors[i]
			if x.Kind != scheme.Weights {
				if x.Channels != nil {
					t.Errorf("%s: %v %s has channels", name, x.Kind, x.Name)
				}
				continue
			}
			e := c.Result.Encodings[p]
			channels := int(p.Constant.Dims[p.ChannelAxis()])
			if len(x.Channels) != channels || x.Axis != e.Axis || (x.Grid == nil) != (e.Axis >= 0) {
				t.Fatalf("%s: %s has %d channels of %d, axis %d, grid %v", name, x.Name, len(x.Channels), channels, x.Axis, x.Grid)
			}
			lo, hi := x.Channels[0].Min, x.Channels[0].Max
			for k, ch := range x.Channels {
				lo, hi = min(lo, ch.Min), max(hi, ch.Max)
				s := e.Scale[min(k, len(e.Scale)-1)]
				if ch.Grid == nil || ch.Grid.Step != float64(s) || ch.Grid.Low != float64(e.Min)*float64(s) || ch.Grid.High != float64(e.Max)*float64(s) {
					t.Errorf("%s: %s, channel %d: %+v with the scale %v", name, x.Name, k, ch.Grid, s)
				}
			}
			if lo != x.Min || hi != x.Max {
				t.Errorf("%s: %s: channels span %v..%v, the tensor %v..%v", name, x.Name, lo, hi, x.Min, x.Max)
			}
			if name == "per channel" && (x.Clipped != 0 || x.Own.SQNR < 35) {
				t.Errorf("%s: %s: clipped %v, %v dB by maxmin", name, x.Name, x.Clipped, x.Own.SQNR)
			}
		}
	}
}

// unusual are networks and strategies unlike an image classifier with one
// strategy for all.
var unusual = map[string]struct{ net, config string }{
	"fixed batch": {`net (float[4, 3, 6, 6] x) => (float[4, 2, 6, 6] y) <float[2, 3, 3, 3] w = {0.1, -0.2, 0.3, 0.05, ...}, float[2] b = {0.3, -0.1}>
		{ h = Conv <pads = [1, 1, 1, 1]> (x, w, b)
		  y = Relu (h) }`, int8},
	"two inputs, two outputs": {`net (float[N, 4] x, float[N, 4] z) => (float[N, 3] y, float[N, 4] s) <float[4, 3] w = {0.1, -0.2, 0.3, 0.4, 0.05, ...}>
		{ s = Add (x, z)
		  y = MatMul (s, w) }`, int8},
	"one weight twice": {`net (float[N, 3, 4, 4] x) => (float[N, 3, 4, 4] y, float[N, 3, 4, 4] h) <float[3, 3, 1, 1] w = {0.5, -0.2, 0.3, 0.1, -0.4, ...}>
		{ h = Conv (x, w)
		  k = Conv (h, w)
		  y = Add (h, k) }`, dpu},
	"concat and what only moves": {`net (float[N, 3, 4, 4] x) => (float[N, 96] y) <float[3, 3, 1, 1] v = {0.5, -0.2, 0.3, 0.1, -0.4, ...}, float[3, 3, 1, 1] w = {0.2, ...}>
		{ a = Conv (x, v)
		  b = Conv (x, w)
		  c = Relu (b)
		  d = Concat <axis = 1> (a, c)
		  p = MaxPool <kernel_shape = [2, 2]> (d)
		  t = Transpose <perm = [0, 2, 3, 1]> (p)
		  y = Flatten (t) }`, int8},
	"own inputs": {`net (float[N, 4] x) => (float[N, 3] y) <float[4, 4] v = {0.1, -0.2, 0.3, 0.4, 0.05, ...}, float[4, 3] w = {0.1, -0.2, 0.3, 0.4, 0.05, ...}>
		{ h = MatMul (x, v)
		  y = MatMul (h, w) }`,
		`{"target_device": "CPU", "overall_quantize_config": {"method": "maxmin", "scale_type": "float", "calib_statistic_method": "max", "round_mode": "half_even"},
		  "layer_quantize_config": [{"layer_name": "MatMul:y", "layer_type": null, "quantizable_data_type": ["input", "weights"],
		    "overall_quantize_config": {"bit_width": 4}}]}`},
	"a branch": {`net (float[N, 4] x) => (float[N, 3] y) <float[4, 3] w = {0.1, -0.2, 0.3, 0.4, 0.05, ...}, bool yes = {1}>
		{ h = If <then_branch = t () => (float[N, 4] a) { a = Relu (x) }, else_branch = e () => (float[N, 4] b) { b = Neg (x) }> (yes)
		  y = MatMul (h, w) }`, int8},
	"no elements": {`net (float[N, 4] x) => (float[N, 4] y) <int64[1] z = {0}, int64[1] axis = {1}>
		{ n = Slice (x, z, z, axis)
		  m = Add (n, n)
		  d = Add (x, x)
		  y = Concat <axis = 1> (m, d) }`, dpu},
	"hard swish by hand": {`<ir_version: 7, opset_import: ["": 13]> net (float[N, 4] x) => (float[N, 3] y) <float[4, 3] w = {0.1, -0.2, 0.3, 0.4, 0.05, ...}>
		{ h = MatMul (x, w)
		  s = Sigmoid (h)
		  y = Mul (h, s) }`,
		`{"target_device": "CPU", "convert_silu_to_hswish": true, "overall_quantize_config": {"method": "maxmin", "scale_type": "float", "calib_statistic_method": "max", "round_mode": "half_even"}}`},
}

func TestUnusual(t *testing.T) {
	for name, tt := range unusual {
		t.Run(name, func(t *testing.T) {
			m := testnet.Parse(t, tt.net)
			c := calibrated(t, m, tt.config, 1)
			const n = 10
			r := measure(t, c, random(m, n, 4, 1), inspect.Options{})
			if len(r.Layers) != len(c.Plan.Layers) || len(r.Tensors) != len(c.Plan.Tensors) || r.Samples != n {
				t.Fatalf("%d layers, %d tensors, %d samples", len(r.Layers), len(r.Tensors), r.Samples)
			}
			for i, l := range r.Layers {
				if l.Error == nil && !(name == "no elements" && i < 3) {
					t.Errorf("layer %s was not compared", l.Name)
				}
				for _, k := range l.Tensors {
					if x := r.Tensors[k]; x.Layer != l.Name || x.LayerIndex != i {
						t.Errorf("tensor %s is of layer %s, not %s", x.Name, x.Layer, l.Name)
					}
				}
			}
			for i, x := range r.Tensors {
				p := c.Plan.Tensors[i]
				if got := sum(x.Histogram.Counts); got != x.Elements {
					t.Errorf("tensor %s: %d of %d elements counted", x.Name, got, x.Elements)
				}
				if p.Constant == nil && x.Elements%n != 0 {
					t.Errorf("tensor %s: %d elements of %d samples: some are padding", x.Name, x.Elements, n)
				}
				if x.Elements > 0 && (x.Accumulated == nil || x.Own.SQNR < 3) {
					t.Errorf("tensor %s: %+v, %+v", x.Name, x.Own, x.Accumulated)
				}
			}
			s := rank(t, c, random(m, n, 4, 1), inspect.SensitivityOptions{})
			seen := map[*plan.Layer]bool{}
			for _, p := range c.Plan.Tensors {
				seen[p.Layer] = true
			}
			if len(s.Layers) != len(seen) {
				t.Errorf("%d layers are ranked of %d", len(s.Layers), len(seen))
			}
			for _, l := range s.Layers {
				if l.Own == nil && name != "no elements" || math.IsNaN(float64(l.SQNR)) {
					t.Errorf("layer %s: %+v", l.Name, l)
				}
			}
		})
	}
}

// TestNotANumber: a sample that the network does not take is left out and
// counted, and the result can be written as JSON.
func TestNotANumber(t *testing.T) {
	m := testnet.Parse(t, old(smallText(clip)))
	c := calibrated(t, m, int16, 1)
	in := func(yield func(*engine.Batch, error) bool) {
		for b, err := range random(m, 10, 5, 1) {
			if b.First == 5 {
				b.Inputs["x"].Floats[7] = float32(math.NaN())
			}
			if !yield(b, err) {
				return
			}
		}
	}
	r := measure(t, c, in, inspect.Options{})
	if x := r.Tensors[0]; x.Invalid != 1 || x.Elements != 10*16*36-1 {
		t.Errorf("%s: %d elements, %d invalid", x.Name, x.Elements, x.Invalid)
	}
	for _, l := range r.Layers {
		if l.Error.SQNR < 40 || math.IsInf(float64(l.Error.SQNR), 0) {
			t.Errorf("layer %s: %v dB with 16 bits", l.Name, l.Error.SQNR)
		}
	}
	s := rank(t, c, in, inspect.SensitivityOptions{})
	if s.Invalid != 1 || s.All.SQNR < 40 {
		t.Errorf("%d invalid, %v dB", s.Invalid, s.All.SQNR)
	}
	for _, v := range []any{r, s} {
		if _, err := json.Marshal(v); err != nil {
			t.Error(err)
		}
	}
}

// TestErrors: the message names the model, and what is wrong.
func TestErrors(t *testing.T) {
	m := testnet.Bundled(t)
	c := calibrated(t, m, dpu, 1)
	none := func(func(*engine.Batch, error) bool) {}
	if _, err := inspect.Measure(context.Background(), c, testnet.Runner(t), none, inspect.Options{}); err == nil ||
		!strings.Contains(err.Error(), "fashion_dscnn.onnx: there are no samples") {
		t.Errorf("no samples: %v", err)
	}
	if _, err := inspect.Sensitivity(context.Background(), c, testnet.Runner(t), none, inspect.SensitivityOptions{}); err == nil ||
		!strings.Contains(err.Error(), "fashion_dscnn.onnx: there are no samples") {
		t.Errorf("no samples: %v", err)
	}
	if _, err := inspect.Sensitivity(context.Background(), c, testnet.Runner(t), random(m, 4, 4, 1), inspect.SensitivityOptions{Labels: engine.Labels{Classes: []int{1, 2}}}); err == nil ||
		!strings.Contains(err.Error(), "2 labels, but at least 4 samples") {
		t.Errorf("too few labels: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := func(int) { cancel() }
	if _, err := inspect.Measure(ctx, c, testnet.Runner(t), random(m, 40, 8, 1), inspect.Options{Progress: done}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	ctx, cancel = context.WithCancel(context.Background())
	if _, err := inspect.Sensitivity(ctx, c, testnet.Runner(t), random(m, 40, 8, 1), inspect.SensitivityOptions{Progress: func(int, int) { cancel() }}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}
