package calibrate_test

import (
	"context"
	"testing"

	"narrow"
	"narrow/engine"
	"narrow/graph"
	"narrow/internal/testnet"
)

// TestWatchInputs: samples like those that calibrated are not told, samples of
// another size are.
func TestWatchInputs(t *testing.T) {
	p := testnet.Plan(t, testnet.Bundled(t), "{}")
	c, err := p.Calibrate(context.Background(), testnet.Runner(t), pictures(16), narrow.CalibrateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for factor, want := range map[float32]string{1: "", 1.2: "", 255: "other-samples", 0.01: "other-samples"} {
		w := c.Result.WatchInputs()
		n := 0
		for b, err := range w.Batches(scaled(pictures(32), factor)) {
			if err != nil {
				t.Fatal(err)
			}
			n += b.Count
		}
		list := w.Findings()
		if n != 32 || want == "" && len(list) > 0 || want != "" && (len(list) != 1 || list[0].Code != want) {
			t.Errorf("times %v: %d samples, %v", factor, n, list)
		}
	}
}

// scaled multiplies the values of samples.
func scaled(in engine.Batches, by float32) engine.Batches {
	return func(yield func(*engine.Batch, error) bool) {
		for b, err := range in {
			if err != nil {
				yield(nil, err)
				return
			}
			own := *b
			own.Inputs = map[string]engine.Tensor{}
			for name, x := range b.Inputs {
				y := engine.Tensor{Type: graph.Float32, Shape: x.Shape}
				for _, v := range x.Floats {
					y.Floats = append(y.Floats, by*v)
				}
				own.Inputs[name] = y
			}
			if !yield(&own, nil) {
				return
			}
		}
	}
}
