package narrow_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"path/filepath"
	"testing"

	"narrow"
	"narrow/calibrate"
	"narrow/engine"
	"narrow/engine/ort"
	"narrow/graph"
	"narrow/internal/testnet"
	"narrow/scheme"
)

// strategies that every unusual model goes through.
var wholeStrategies = map[string]string{
	"default": "{}",
	"per channel": `{"target_device": "CPU", "overall_quantize_config": {"method": "maxmin", "scale_type": "float", "calib_statistic_method": "max", "round_mode": "half_even"},
		"tensor_quantize_config": {"weights": {"per_channel": true}, "activation": {"symmetry": false}}}`,
	"int4 weights": `{"target_device": "CPU", "include_cle": false, "overall_quantize_config": {"method": "maxmin", "scale_type": "float", "calib_statistic_method": "max", "round_mode": "half_even"},
		"tensor_quantize_config": {"weights": {"bit_width": 4}}}`,
	"bfloat16": `{"target_device": "CPU", "overall_quantize_config": {"datatype": "bfloat16"}}`,
	"float16":  `{"target_device": "CPU", "overall_quantize_config": {"datatype": "float16"}}`,
}

// unusual are models that are unlike an image classifier of one input.
var unusual = []struct {
	name, net string
	// nothing says that no value of it can be quantized.
	nothing bool
	// shared are the inputs without an axis for samples.
	shared map[string]bool
	// one says that a batch is one sample.
	one bool
}{
	{name: "fixed batch", net: `net (float[4, 3, 6, 6] x) => (float[4, 2, 6, 6] y) <float[2, 3, 3, 3] w = {0.1, -0.2, 0.3, 0.05, ...}, float[2] b = {0.3, -0.1}>
		{ h = Conv <pads = [1, 1, 1, 1]> (x, w, b)
		  y = Relu (h) }`},
	{name: "two inputs", net: `net (float[N, 4] x, float[N, 4] z) => (float[N, 3] y, float[N, 4] s) <float[4, 3] w = {0.1, -0.2, 0.3, 0.4, 0.05, ...}>
		{ s = Add (x, z)
		  y = MatMul (s, w) }`},
	{name: "a scalar input for all samples", net: `net (float[N, 4] x, int64 rate) => (float[N, 3] y) <float[4, 3] w = {0.1, -0.2, 0.3, 0.4, 0.05, ...}>
		{ f = Cast <to = 1> (rate)
		  s = Div (x, f)
		  y = MatMul (s, w) }`, shared: map[string]bool{"rate": true}},
	{name: "a state without an axis for samples", net: `net (float[N, 4] x, float[2, 1, 4] state) => (float[N, 3] y, float[2, 1, 4] next) <float[4, 3] w = {0.1, -0.2, 0.3, 0.4, 0.05, ...}>
		{ next = Add (state, x)
		  y = MatMul (x, w) }`, shared: map[string]bool{"state": true}, one: true},
	{name: "open height and width", net: `net (float[N, 3, H, W] x) => (float[N, 2, H, W] y) <float[2, 3, 1, 1] w = {0.5, -0.2, 0.3, 0.1, ...}>
		{ h = Conv (x, w)
		  y = Sigmoid (h) }`},
	{name: "a branch that reads the input", net: `net (float[N, 4] x) => (float[N, 3] y) <float[4, 3] w = {0.1, -0.2, 0.3, 0.4, 0.05, ...}, bool yes = {1}>
		{ h = If <then_branch = t () => (float[N, 4] a) { a = Relu (x) }, else_branch = e () => (float[N, 4] b) { b = Neg (x) }> (yes)
		  y = MatMul (h, w) }`},
	{name: "an operator of another domain", net: `<ir_version: 8, opset_import: ["": 13, "com.microsoft": 1]>
		net (float[N, 4] x) => (float[N, 3] y) <float[4, 3] w = {0.1, -0.2, 0.3, 0.4, 0.05, ...}>
		{ h = com.microsoft.Gelu (x)
		  g = com.microsoft.FusedMatMul <alpha = 2.0> (h, w)
		  y = Add (g, g) }`},
	{name: "weights of every make", net: `net (float[N, 3, 4, 4] x) => (float[N, 2, 4, 4] y) <float[2, 3, 1, 1] w0 = {0.5, -0.2, 0.3, 0.1, ...}, float[2, 2, 1, 1] w2 = {0.5, ...}>
		{ w = Identity (w0)
		  b = Constant <value = float[2] {0.3, -0.1}> ()
		  h = Conv (x, w, b)
		  r = Relu (h)
		  y = Conv (r, w2, b) }`},
	{name: "operator set 7", net: `<ir_version: 3, opset_import: ["": 7]>
		net (float[2, 3, 4, 4] x) => (float[2, 2, 8, 8] y) <float[2, 3, 1, 1] w = {0.5, -0.2, 0.3, 0.1, ...}, float[2] s = {1, 2}, float[2] o = {0, 0.5}, float[2] m = {0.1, 0.2}, float[2] v = {1, 4}>
		{ c = Conv (x, w)
		  n = BatchNormalization (c, s, o, m, v)
		  r = Clip <min = 0.0, max = 6.0> (n)
		  y = Upsample <mode = "nearest", scales = [1.0, 1.0, 2.0, 2.0]> (r) }`},
	{name: "operator set 9", net: `<ir_version: 4, opset_import: ["": 9]>
		net (float[N, 3, 4, 4] x) => (float[N, 2] y) <float[2, 3, 1, 1] w = {0.5, -0.2, 0.3, 0.1, ...}, int64[2] s = {-1, 2}>
		{ c = Conv (x, w)
		  p = GlobalAveragePool (c)
		  f = Flatten (p)
		  y = Softmax (f) }`},
	{name: "operator set 22", net: `<ir_version: 10, opset_import: ["": 22]>
		net (float[N, 3, 4, 4] x) => (float[N, 2, 4, 4] y) <float[2, 3, 1, 1] w = {0.5, -0.2, 0.3, 0.1, ...}>
		{ c = Conv (x, w)
		  y = HardSwish (c) }`},
	{name: "indices as input", net: `net (int64[N, 5] i) => (float[N, 5, 3] y) <float[9, 4] table = {0.1, -0.5, 0.7, 0.2, ...}, float[4, 3] w = {0.1, -0.2, 0.3, 0.4, 0.05, ...}>
		{ e = Gather (table, i)
		  y = MatMul (e, w) }`},
	{name: "outputs without an axis for samples", net: `net (float[1, 4] x) => (float[3] y, float s) <float[4, 3] w = {0.1, -0.2, 0.3, 0.4, 0.05, ...}, int64[1] axis = {0}>
		{ h = MatMul (x, w)
		  y = Squeeze (h, axis)
		  s = ReduceMean <keepdims = 0> (h) }`},
	{name: "two readers, one weight", net: `net (float[N, 3, 4, 4] x) => (float[N, 3, 4, 4] y, float[N, 3, 4, 4] h) <float[3, 3, 1, 1] w = {0.5, -0.2, 0.3, 0.1, -0.4, ...}>
		{ h = Conv (x, w)
		  k = Conv (h, w)
		  y = Add (h, k) }`},
	{name: "a tensor of no elements", net: `net (float[N, 4] x) => (float[N, 4] y) <int64[1] z = {0}, int64[1] axis = {1}>
		{ n = Slice (x, z, z, axis)
		  m = Add (n, n)
		  d = Add (x, x)
		  y = Concat <axis = 1> (m, d) }`},
	{name: "an input that is an output", net: `net (float[N, 4] x) => (float[N, 4] y, float[N, 4] x) { y = Add (x, x) }`},
	{name: "LSTM", net: `net (float[3, N, 2] x) => (float[3, 1, N, 2] y) <float[1, 8, 2] w = {0.1, -0.2, ...}, float[1, 8, 2] r = {0.3, 0.1, ...}>
		{ y = LSTM <hidden_size = 2> (x, w, r) }`, one: true},
	{name: "float16 throughout", net: `net (float16[N, 4] x) => (float16[N, 3] y) <float16[4, 3] w = {11878, ...}> { y = MatMul (x, w) }`},
	{name: "float16 with float32 in the middle", net: `net (float16[N, 4] x) => (float16[N, 3] y) <float[4, 3] w = {0.1, -0.2, 0.3, 0.4, 0.05, ...}>
		{ a = Cast <to = 1> (x)
		  h = MatMul (a, w)
		  y = Cast <to = 10> (h) }`},
	{name: "double", net: `net (double[N, 4] x) => (double[N, 3] y) <double[4, 3] w = {0.1, -0.2, 0.3, 0.4, 0.05, ...}> { y = MatMul (x, w) }`, nothing: true},
}

// someBatches are samples for m: two batches of 6, or 6 of one sample.
func someBatches(m *graph.Model, shared map[string]bool, one bool) engine.Batches {
	return func(yield func(*engine.Batch, error) bool) {
		r := rand.New(rand.NewPCG(1, 2))
		rows, count := 6, 2
		if one {
			rows, count = 1, 6
		}
		for i := range count {
			b := &engine.Batch{First: i * rows, Count: rows, Inputs: map[string]engine.Tensor{}, Shared: shared}
			if one {
				b.Size = 1
			}
			for _, v := range m.Graph.Inputs {
				b.Inputs[v.Name] = someTensor(r, v, rows, shared[v.Name])
			}
			if !yield(b, nil) {
				return
			}
		}
	}
}

func someTensor(r *rand.Rand, v *graph.Value, rows int, shared bool) engine.Tensor {
	t := engine.Tensor{Type: v.Type, Shape: []int64{}}
	for i, d := range v.Shape {
		switch {
		case i == 0 && !shared && d.Size != 3:
			t.Shape = append(t.Shape, int64(rows))
		case d.Size < 0:
			t.Shape = append(t.Shape, max(int64(rows), 5))
		default:
			t.Shape = append(t.Shape, d.Size)
		}
	}
	for range t.Len() {
		x := float32(r.NormFloat64())
		switch v.Type {
		case graph.Float32:
			t.Floats = append(t.Floats, x)
		case graph.Float64:
			t.Raw = binary.LittleEndian.AppendUint64(t.Raw, math.Float64bits(float64(x)))
		case graph.Float16:
			t.Raw = binary.LittleEndian.AppendUint16(t.Raw, uint16(r.IntN(1<<14))) // 0 to 2
		case graph.Int64:
			t.Raw = binary.LittleEndian.AppendUint64(t.Raw, uint64(1+r.IntN(8)))
		}
	}
	return t
}

// TestUnusualModels takes each model from the file to an export that ONNX
// Runtime loads, optimized and not, and holds its outputs to those of Test.
func TestUnusualModels(t *testing.T) {
	runner := testnet.Runner(t)
	for _, u := range unusual {
		for name, config := range wholeStrategies {
			for _, how := range []calibrate.Propagation{calibrate.Progressive, calibrate.Float} {
				t.Run(fmt.Sprintf("%s/%s/%v", u.name, name, how), func(t *testing.T) {
					m := testnet.Parse(t, u.net)
					r := testnet.Plan(t, m, config)
					if n := len(r.Plan.Tensors); (n == 0) != u.nothing {
						t.Errorf("%d tensors are quantized", n)
					}
					batches := someBatches(m.Graph, u.shared, u.one)
					ctx := context.Background()
					c, err := r.Calibrate(ctx, runner, batches, narrow.CalibrateOptions{Propagate: how, Threads: 2})
					if err != nil {
						t.Fatal(err)
					}
					opts := narrow.ExportOptions{ExactRounding: true}
					var want [][]engine.Tensor
					res, err := c.Test(ctx, runner, batches, narrow.TestOptions{Threads: 2, Output: func(_ int, outs []engine.Tensor) error {
						want = append(want, append([]engine.Tensor(nil), outs...))
						return nil
					}, AsExported: &opts})
					if err != nil {
						t.Fatal(err)
					}
					if res.Samples == 0 || name == "bfloat16" && !u.nothing && !(res.SQNR > 20) {
						t.Errorf("%d samples, SQNR %v", res.Samples, res.SQNR)
					}
					x, err := c.Export(opts)
					if err != nil {
						t.Fatal(err)
					}
					file := filepath.Join(t.TempDir(), "q.onnx")
					if err := x.Save(file); err != nil {
						t.Fatal(err)
					}
					for _, plain := range []bool{true, false} {
						runExport(t, runner, c, file, plain, batches, want)
					}
				})
			}
		}
	}
}

// runExport holds the outputs of an exported file to those wanted.
func runExport(t *testing.T, runner *ort.Runner, c *narrow.Calibrated, file string, plain bool, in engine.Batches, want [][]engine.Tensor) {
	t.Helper()
	s, err := runner.LoadFile(context.Background(), file, ort.FileOptions{Threads: 1, Unoptimized: plain})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if n := engine.FixedBatch(c.Model.Graph); n > 0 {
		in = engine.Rebatch(in, n)
	}
	i := 0
	for b, err := range in {
		if err != nil {
			t.Fatal(err)
		}
		got, err := s.Run(context.Background(), b.Inputs, nil)
		if err != nil {
			t.Fatal(err)
		}
		for k, v := range c.Model.Graph.Graph.Outputs {
			w, g := want[i][k], got[v.Name]
			if w.Type != g.Type || w.Len() != g.Len() {
				t.Fatalf("output %s: %v%v, not %v%v", v.Name, g.Type, g.Shape, w.Type, w.Shape)
			}
			step := stepOf(c, v.Name)
			for j := range w.Floats {
				if d := math.Abs(float64(w.Floats[j] - g.Floats[j])); !(d <= max(step, 1e-2*math.Abs(float64(w.Floats[j])))*1.001+1e-6) {
					t.Fatalf("unoptimized %v: output %s[%d] is %v, not %v (step %v)", plain, v.Name, j, g.Floats[j], w.Floats[j], step)
				}
			}
		}
		i++
	}
	if i != len(want) {
		t.Errorf("%d batches, not %d", i, len(want))
	}
}

// stepOf is the scale of an output's own quantizer, or 0.
func stepOf(c *narrow.Calibrated, name string) float64 {
	for _, kind := range []scheme.Kind{scheme.Activation, scheme.Input} {
		if e, ok := c.Encoding(name, kind); ok && len(e.Scale) == 1 {
			return float64(e.Scale[0])
		}
	}
	return 0
}

// batch is one batch of rows for the input x.
func batch(rows int, x []float32, dims ...int64) engine.Batches {
	return func(yield func(*engine.Batch, error) bool) {
		yield(&engine.Batch{Count: rows, Inputs: map[string]engine.Tensor{
			"x": {Type: graph.Float32, Shape: append([]int64{int64(rows)}, dims...), Floats: x},
		}}, nil)
	}
}
