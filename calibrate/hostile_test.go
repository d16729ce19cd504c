package calibrate

import (
	"testing"

	"narrow/engine"
	"narrow/internal/bounded"
)

// stateBound is what taking up the state of a checkpoint may allocate:
// docs/robustness.md.
var stateBound = bounded.Bound{Factor: 512, Constant: 4 << 20}

// FuzzRestore: whatever a checkpoint holds, resuming from it does not
// panic nor take memory out of proportion, and what was taken up is kept again.
func FuzzRestore(f *testing.F) {
	p, _ := smallStats(f)
	options := []Options{{Threads: 1}, {Threads: 1, Propagate: Float}}
	for _, o := range options {
		c, err := newCalibration(p, o)
		if err != nil {
			f.Fatal(err)
		}
		b := &engine.Batch{Count: 2}
		for _, t := range p.Activations() {
			x, shape := []float32{1, -2, 3, 0.25}, []int64{2, 2}
			if t.Name == "y" {
				x, shape = x[:2], []int64{2, 1}
			}
			if err := c.tap(t, b, make([]float32, len(x)), x, shape); err != nil {
				f.Fatal(err)
			}
		}
		c.out.Samples, c.out.Batches = 2, 1
		data, err := c.snapshot()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
		if _, err := c.restore(data); err != nil {
			f.Fatalf("what was kept cannot be taken up: %v", err)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, o := range options {
			c, err := newCalibration(p, o)
			if err != nil {
				t.Fatal(err)
			}
			stateBound.Run(t, len(data), func() { _, err = c.restore(data) })
			if err != nil {
				continue
			}
			if _, err := c.snapshot(); err != nil {
				t.Errorf("what was taken up cannot be kept: %v", err)
			}
			_ = c.finish()
		}
	})
}
