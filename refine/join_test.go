package refine_test

import (
	"context"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"narrow"
	"narrow/calibrate"
	"narrow/engine"
	"narrow/graph"
	"narrow/internal/testnet"
	"narrow/refine"
)

// funnel has pictures so large that few choose, and small values behind its first layer.
const funnel = `net (float[N, 3, 256, 256] x) => (float[N, 5] y)
	<float[4, 3, 8, 8] a = {1, ...}, float[4] ab = {0.5, ...}, float[8, 4, 3, 3] b = {1, ...}, float[8] bb = {0.5, ...}, float[5, 8] c = {1, ...}, float[5] cb = {0.5, ...}> {
		h = Conv <strides = [8, 8]> (x, a, ab)
		r = Relu (h)
		i = Conv <strides = [2, 2]> (r, b, bb)
		s = Relu (i)
		g = GlobalAveragePool (s)
		f = Flatten (g)
		y = Gemm <transB = 1> (f, c, cb)
	}`

// fourBits has weights so coarse that choosing them is always worth it.
const fourBits = `{"target_device": "CPU", "include_cle": false, "overall_quantize_config": {"method": "maxmin", "scale_type": "float",
	"calib_statistic_method": "max", "round_mode": "half_even"}, "tensor_quantize_config": {"weights": {"bit_width": 4, "per_channel": true}}}`

func openFunnel(t *testing.T) *narrow.Model {
	m := testnet.Parse(t, funnel)
	r := rand.New(rand.NewPCG(1, 2))
	for i, w := range m.Graph.Graph.Initializers {
		x := make([]float32, w.Len())
		for k := range x {
			x[k] = float32(r.NormFloat64())
		}
		m.Graph.Graph.Initializers[i] = graph.NewFloats(w.Name, w.Dims, x)
	}
	return m
}

// levels are n pictures of 200 levels, some smoother than others.
func levels(n, size int) engine.Batches {
	return func(yield func(*engine.Batch, error) bool) {
		for at := 0; at < n; at += size {
			k := min(size, n-at)
			x := engine.Tensor{Type: graph.Float32, Shape: []int64{int64(k), 3, 256, 256}}
			for i := range k {
				r := rand.New(rand.NewPCG(uint64(at+i), 3))
				v, step := 100, 1+r.IntN(30)
				for range 3 * 256 * 256 {
					v = min(max(v+r.IntN(2*step+1)-step, 0), 199)
					x.Floats = append(x.Floats, float32(v)/100-1)
				}
			}
			if !yield(&engine.Batch{First: at, Count: k, Inputs: map[string]engine.Tensor{"x": x}}, nil) {
				return
			}
		}
	}
}

// Samples that are kept, but take too much memory at the front, choose behind it: weights
// there are others than without them, the first layer's are the same, and neither threads
// nor batches matter.
func TestJoin(t *testing.T) {
	m, ctx := openFunnel(t), context.Background()
	p := testnet.PlanFor(t, m, fourBits, narrow.High)
	const all, kept = 72, 42 // of pictures of 786 KB are within 32 MB
	choose := func(samples, size, threads int) map[string][]byte {
		c, err := refine.Calibrate(ctx, refine.Task{Plan: p.Plan, Float: m.Graph}, testnet.Runner(t), levels(all, size), calibrate.Options{Threads: threads}, refine.Options{Samples: samples})
		if err != nil {
			t.Fatal(err)
		}
		out := map[string][]byte{}
		for w, x := range c.Weights {
			out[w.Name] = x.Append(nil, 1)
		}
		return out
	}
	joined := choose(all, 9, 1)
	if len(joined) != 3 {
		t.Fatalf("%d layers were chosen", len(joined))
	}
	if again := choose(all, 4, 2); !reflect.DeepEqual(joined, again) {
		t.Error("threads or batches matter")
	}
	few := choose(kept, 9, 2)
	if !slices.Equal(joined["a"], few["a"]) {
		t.Error("the first layer's weights were chosen by others")
	}
	if slices.Equal(joined["b"], few["b"]) && slices.Equal(joined["c"], few["c"]) {
		t.Error("none joined")
	}
}
