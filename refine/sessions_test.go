package refine_test

import (
	"context"
	"slices"
	"sync/atomic"
	"testing"

	"narrow"
	"narrow/calibrate"
	"narrow/engine"
	"narrow/graph"
	"narrow/internal/testnet"
	"narrow/refine"
)

// counting counts the networks that are loaded.
type counting struct {
	engine.Runner
	loads atomic.Int64
}

func (c *counting) Load(ctx context.Context, m *graph.Model, o engine.LoadOptions) (engine.Session, error) {
	c.loads.Add(1)
	return c.Runner.Load(ctx, m, o)
}

// Calibrations whose constants are the same are judged on one session, to the figures
// that each has alone.
func TestOneSession(t *testing.T) {
	m, ctx := testnet.Bundled(t), context.Background()
	p := testnet.PlanFor(t, m, testnet.Configs["per channel"], narrow.High)
	c, err := calibrate.Calibrate(ctx, p.Plan, testnet.Runner(t), testnet.Blobs(24, 8), calibrate.Options{Propagate: calibrate.Float})
	if err != nil {
		t.Fatal(err)
	}
	wider, coarser := c.Clone(), c.Clone()
	for _, x := range p.Plan.Tensors {
		if e := c.Encodings[x]; x.Constant == nil {
			e.Scale = []float32{2 * e.Scale[0]}
			wider.Encodings[x] = e
		} else {
			e.Scale = slices.Repeat([]float32{4 * e.Scale[0]}, len(e.Scale))
			coarser.Encodings[x] = e
		}
	}
	all := []*calibrate.Calibrated{c, wider, coarser, c.Clone()}
	run := &counting{Runner: testnet.Runner(t)}
	got, err := refine.Scores(ctx, run, m.Graph, testnet.Blobs(24, 8), all...)
	if err != nil {
		t.Fatal(err)
	}
	// The float network; the first two; the coarser one; the last.
	if n := run.loads.Load(); n != 4 {
		t.Errorf("%d networks were loaded", n)
	}
	for i, c := range all {
		alone, err := refine.Scores(ctx, run, m.Graph, testnet.Blobs(24, 8), c)
		if err != nil {
			t.Fatal(err)
		}
		if alone[0] != got[i] {
			t.Errorf("calibration %d has %v, alone %v", i, got[i], alone[0])
		}
	}
	if got[0] == got[1] || got[0] == got[2] || got[0] != got[3] {
		t.Errorf("scores %v", got)
	}
}
