package xmodel_test

import (
	"context"
	"path/filepath"
	"strings"
	"testing"

	"narrow"
	"narrow/engine"
	"narrow/graph"
	"narrow/internal/testnet"
)

// noise yields n samples of normal numbers as batches of 4.
func noise(m *graph.Model, n int) engine.Batches {
	return func(yield func(*engine.Batch, error) bool) {
		for first := 0; first < n; first += 4 {
			if !yield(&engine.Batch{First: first, Count: 4, Inputs: testnet.Inputs(m, 4, uint64(first), 1)}, nil) {
				return
			}
		}
	}
}

// TestNetworks: networks of every operator, exported by torch, compute in the file
// what they compute in narrow test.
func TestNetworks(t *testing.T) {
	r := testnet.Runner(t)
	nets, err := filepath.Glob("testdata/nets/*.onnx")
	if err != nil || len(nets) < 20 {
		t.Fatalf("%d networks: %v", len(nets), err)
	}
	seen := map[string]bool{}
	for _, path := range nets {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".onnx"), func(t *testing.T) {
			m := testnet.Open(t, path)
			for _, a := range []narrow.Accuracy{narrow.Guide, narrow.High} {
				planned, err := m.Plan(nil, narrow.PlanOptions{Accuracy: a})
				if err != nil {
					t.Fatal(err)
				}
				c, err := planned.Calibrate(context.Background(), r, noise(m.Graph, 8), narrow.CalibrateOptions{})
				if err != nil {
					t.Fatal(err)
				}
				f, g := written(t, c, "Net")
				if _, fixes := equal(t, r, c, f, g, testnet.Inputs(m.Graph, 1, 99, 1)); fixes < 5 {
					t.Errorf("only %d quantizers", fixes)
				}
				for _, o := range g.Ops {
					seen[o.Type] = true
				}
			}
		})
	}
	for _, op := range []string{
		"conv1d", "conv2d", "conv3d", "depthwise-conv2d", "depthwise-conv3d", "transposed-conv2d", "transposed-depthwise-conv2d", "transposed-conv3d",
		"maxpool1d", "maxpool2d", "avgpool2d", "relu", "leaky-relu", "prelu", "sigmoid", "tanh", "hard-sigmoid", "softmax",
		"add", "sub", "mul", "div", "min", "max", "matmul", "concat", "reshape", "stack", "transpose", "strided_slice", "resize", "pixel-shuffle",
		"reduction_max", "reduction_sum", "reduction_mean",
	} {
		if !seen[op] {
			t.Errorf("no network has %s", op)
		}
	}
}

// TestBundled: so does the network that comes with narrow.
func TestBundled(t *testing.T) {
	r := testnet.Runner(t)
	for _, a := range []narrow.Accuracy{narrow.Guide, narrow.High} {
		m := testnet.Bundled(t)
		planned, err := m.Plan(nil, narrow.PlanOptions{Accuracy: a})
		if err != nil {
			t.Fatal(err)
		}
		c, err := planned.Calibrate(context.Background(), r, noise(m.Graph, 16), narrow.CalibrateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		f, g := written(t, c, "DSCNN")
		if _, fixes := equal(t, r, c, f, g, testnet.Inputs(m.Graph, 1, 99, 1)); fixes < 20 {
			t.Errorf("only %d quantizers", fixes)
		}
	}
}
