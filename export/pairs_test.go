package export_test

import (
	"context"
	"fmt"
	"math"
	"path/filepath"
	"testing"

	"narrow/engine"
	"narrow/engine/ort"
	"narrow/export"
	"narrow/graph"
	"narrow/graph/graphtext"
	"narrow/graph/onnx"
	"narrow/internal/testnet"
)

// TestEveryPairOfDatatypes exports every pair of datatypes of weights and
// activations and runs it in ONNX Runtime, optimizations off and on: what comes
// out is what the simulation computes, and no kernel refuses its types. The
// weights for an input channel that is always zero are 300 times the others: who
// makes one scale for all of them loses the rest.
func TestEveryPairOfDatatypes(t *testing.T) {
	const net = `net (float[N, 4, 8, 8] x) => (float[N, 6] y) <float[1, 4, 1, 1] mask = {0, 1, 1, 1},
		float[4, 4, 3, 3] w = {0.25, -0.5, 0.125, 0.375, -0.25, 0.5, 0.75, ...}, float[4] b = {0.1, -0.2, 0.3, 0.05},
		float[4, 4, 2, 2] u = {-0.25, 0.5, 0.625, 0.375, 0.125, -0.5, -0.75, ...}, float[4] d = {0.3, -0.1, 0.2, 0.15},
		float[4, 6] v = {0.5, -0.25, 0.3, 0.7, -0.6, ...}, float[6] e = {0.1, 0.2, -0.3, 0.4, -0.5, 0.6},
		float[6, 6] z = {0.4, -0.35, 0.2, 0.6, -0.5, ...}> {
		[mask] a = Mul (x, mask)
		[conv] c = Conv <pads = [1, 1, 1, 1]> (a, w, b)
		[relu] r = Relu (c)
		[up] p = ConvTranspose <strides = [2, 2]> (r, u, d)
		[pool] g = GlobalAveragePool (p)
		[flat] f = Flatten (g)
		[fc] h = Gemm (f, v, e)
		[mm] y = MatMul (h, z)
	}`
	ints := []string{`"bit_width": 4`, `"bit_width": 8`, `"bit_width": 8, "per_channel": true`, `"bit_width": 12`, `"bit_width": 16`, `"bit_width": 24`, `"bit_width": 32`}
	halves := []string{`"datatype": "bfloat16"`, `"datatype": "float16"`, `"datatype": "float32"`}
	weights := append(append([]string{}, ints...), halves...)
	activations := append(append([]string{}, ints[:2]...), ints[3:]...)
	activations = append(activations, halves...)
	for _, bias := range []string{`"bit_width": 8`, `"bit_width": 16`, `"bit_width": 32`, `"datatype": "float32"`} {
		if testing.Short() && bias != `"bit_width": 32` {
			continue
		}
		for _, w := range weights {
			for _, a := range activations {
				for _, options := range []export.Options{{}, {KeepBias: true}} {
					t.Run(fmt.Sprintf("weights %s, activations %s, bias %s, %v", w, a, bias, options.KeepBias), func(t *testing.T) {
						m := graphtext.MustParse(net)
						scaleUp(t, m.Graph.Initializer("w"), func(i int) bool { return i/9%4 == 0 })
						c := calibrateOn(t, m, settings(t, fmt.Sprintf(`{"target_device": "CPU", "include_cle": false, "include_bias_corr": false,
							"overall_quantize_config": {"method": "maxmin", "round_mode": "half_even", "scale_type": "float", "calib_statistic_method": "max"},
							"tensor_quantize_config": {"weights": {%s}, "activation": {%s}, "bias": {%s}}}`, w, a, bias)))
						got, _ := qdq(t, c.Calibrated, options)
						stored, err := export.StoredBiases(c.Calibrated, options)
						if err != nil {
							t.Fatal(err)
						}
						want := c.simulateWith(t, stored)[0]
						least := 30.0
						if a == ints[0] {
							least = 15 // one step of four bits is much
						}
						for _, unoptimized := range []bool{true, false} {
							out := runFile(t, got, c.in, unoptimized)["y"].Floats
							if db := sqnr(want, out); db < least {
								t.Errorf("unoptimized %v: %.1f dB", unoptimized, db)
							}
						}
					})
				}
			}
		}
	}
}

// scaleUp multiplies the elements of t that which picks by 300.
func scaleUp(t *testing.T, x *graph.Tensor, which func(i int) bool) {
	t.Helper()
	v, err := x.Floats()
	if err != nil {
		t.Fatal(err)
	}
	for i := range v {
		if which(i) {
			v[i] *= 300
		}
	}
	*x = *graph.NewFloats(x.Name, x.Dims, v)
}

// runFile runs m from a file.
func runFile(t *testing.T, m *graph.Model, in map[string]engine.Tensor, unoptimized bool) map[string]engine.Tensor {
	t.Helper()
	file := filepath.Join(t.TempDir(), "m.onnx")
	if err := onnx.Save(m, file); err != nil {
		t.Fatal(err)
	}
	s, err := testnet.Runner(t).LoadFile(context.Background(), file, ort.FileOptions{Threads: 1, Unoptimized: unoptimized})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	out, err := s.Run(context.Background(), in, nil)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// sqnr returns the ratio of want to its difference from got, in dB.
func sqnr(want, got []float32) float64 {
	var signal, noise float64
	for i, w := range want {
		signal += float64(w) * float64(w)
		noise += math.Pow(float64(w)-float64(got[i]), 2)
	}
	return 10 * math.Log10(signal/max(noise, 1e-30))
}
