package export_test

import (
	"context"
	"path/filepath"
	"runtime"
	"testing"

	"narrow/engine/ort"
	"narrow/export"
	"narrow/graph/graphtext"
	"narrow/graph/onnx"
	"narrow/internal/testnet"
)

// TestConvolutionsAreIntegers: ONNX Runtime computes all convolutions of a
// residual network in integers, also those behind inputs and sums with two
// readers.
func TestConvolutionsAreIntegers(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		t.Skip("how ONNX Runtime fuses depends on the processor")
	}
	const net = `net (float[N, 2, 8, 8] x) => (float[N, 2, 8, 8] y)
<float[2, 2, 3, 3] w = {0.5, -0.25, 0.125, ...}, float[2] b = {0.5, -0.25},
 float[2, 2, 3, 3] v = {0.25, 0.5, -0.125, ...}, float[2] d = {0.25, 0.5}> {
  [a] xa = Conv <pads = [1, 1, 1, 1]> (x, w, b)
  [sum1] s = Add (xa, x)
  [act1] r = Relu (s)
  [c] rc = Conv <pads = [1, 1, 1, 1]> (r, v, d)
  [sum2] q = Add (rc, r)
  [act2] y = Relu (q)
}`
	for name, config := range map[string]string{"DPU": `{"include_bias_corr": false}`, "per channel": config(t, "int8_perchannel")} {
		c := calibrateOn(t, graphtext.MustParse(net), settings(t, config))
		m, _ := qdq(t, c.Calibrated, export.Options{})
		dir := t.TempDir()
		file, optimized := filepath.Join(dir, "q.onnx"), filepath.Join(dir, "o.onnx")
		if err := onnx.Save(m, file); err != nil {
			t.Fatal(err)
		}
		s, err := testnet.Runner(t).LoadFile(context.Background(), file, ort.FileOptions{Threads: 1, Optimized: optimized})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		o, err := onnx.Load(optimized)
		if err != nil {
			t.Fatal(err)
		}
		integer := 0
		for _, n := range o.Graph.Nodes {
			if n.OpType == "QLinearConv" {
				integer++
			}
		}
		if integer != 2 {
			t.Errorf("%s: %d of 2 convolutions are computed in integers", name, integer)
		}
	}
}
