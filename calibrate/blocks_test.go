package calibrate_test

import (
	"context"
	"math"
	"testing"

	"narrow"
	"narrow/engine"
	"narrow/graph"
	"narrow/internal/testnet"
)

// layouts is a Runner that counts the taps which see channels in blocks, or
// keeps them all in C order.
type layouts struct {
	engine.Runner
	plain   bool
	blocked int
}

func (l *layouts) Load(ctx context.Context, m *graph.Model, o engine.LoadOptions) (engine.Session, error) {
	inBlocks := o.InBlocks
	if l.plain {
		o.AnyOrder, o.InBlocks = nil, nil
	}
	s, err := l.Runner.Load(ctx, m, o)
	if err != nil {
		return nil, err
	}
	if b, ok := s.(engine.Blocked); ok {
		for tap := range 1000 {
			if b.Block(tap) > 1 {
				l.blocked++
				if inBlocks == nil || !inBlocks(tap) {
					panic("a tap that did not ask for it sees channels in blocks")
				}
			}
		}
	}
	return s, nil
}

// TestBiasCorrectionInBlocks holds bias correction to the same numbers whether
// the engine keeps channels in blocks or not. Batches of 8 are compared on
// their first sample.
func TestBiasCorrectionInBlocks(t *testing.T) {
	r, err := testnet.Bundled(t).Plan(nil, narrow.PlanOptions{Accuracy: narrow.Guide})
	if err != nil {
		t.Fatal(err)
	}
	run := func(l *layouts) map[string][]float32 {
		c, err := r.Calibrate(context.Background(), l, engine.Rebatch(pictures(48), 8), narrow.CalibrateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		corr, err := c.Result.BiasCorrection()
		if err != nil {
			t.Fatal(err)
		}
		return corr
	}
	blocks, plain := &layouts{Runner: testnet.Runner(t)}, &layouts{Runner: testnet.Runner(t), plain: true}
	got, want := run(blocks), run(plain)
	if plain.blocked != 0 {
		t.Errorf("%d taps in blocks, though none was asked for", plain.blocked)
	}
	t.Logf("%d taps in blocks", blocks.blocked)
	if len(got) != len(want) || len(want) == 0 {
		t.Fatalf("%d and %d layers were corrected", len(got), len(want))
	}
	changed := false
	for layer, w := range want {
		for i := range w {
			changed = changed || w[i] != 0
			if d := math.Abs(float64(got[layer][i] - w[i])); d > 1e-4+1e-2*math.Abs(float64(w[i])) {
				t.Errorf("layer %s, channel %d: corrected by %v in blocks, by %v in C order", layer, i, got[layer][i], w[i])
			}
		}
	}
	if !changed {
		t.Error("nothing was corrected")
	}
}
