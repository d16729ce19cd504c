package rewrite_test

import (
	"context"
	"math"
	"testing"

	"narrow/engine"
	"narrow/graph"
	"narrow/graph/graphtext"
	"narrow/internal/testnet"
)

func run(t *testing.T, m *graph.Model, in map[string]engine.Tensor) map[string]engine.Tensor {
	t.Helper()
	s, err := testnet.Runner(t).Load(context.Background(), m, engine.LoadOptions{Threads: 1})
	if err != nil {
		t.Fatalf("%v\n%s", err, clip(graphtext.Format(m)))
	}
	defer s.Close()
	out, err := s.Run(context.Background(), in, nil)
	if err != nil {
		t.Fatalf("%v\n%s", err, clip(graphtext.Format(m)))
	}
	return out
}

func clip(s string) string {
	if len(s) > 4000 {
		return s[:4000] + "..."
	}
	return s
}

// same runs both models over random inputs, open dimensions of size n, and
// wants the outputs equal to 1e-5 of each output's largest magnitude.
func same(t *testing.T, before, after *graph.Model, n int64) {
	t.Helper()
	const tolerance = 1e-5
	in := testnet.Inputs(before, n, 7, 3)
	want, got := run(t, before, in), run(t, after, in)
	for _, v := range before.Graph.Outputs {
		a, b := want[v.Name], got[v.Name]
		if len(a.Floats) != len(b.Floats) || a.Type != b.Type {
			t.Errorf("output %s: %v%v became %v%v", v.Name, a.Type, a.Shape, b.Type, b.Shape)
			continue
		}
		var top, off float64
		for i := range a.Floats {
			top = max(top, math.Abs(float64(a.Floats[i])))
			d := math.Abs(float64(a.Floats[i]) - float64(b.Floats[i]))
			if math.IsNaN(d) {
				d = math.Inf(1)
			}
			off = max(off, d)
		}
		if off > tolerance*top {
			t.Errorf("output %s is off by %g of %g", v.Name, off, top)
		}
		if top == 0 && a.Type == graph.Float32 {
			t.Errorf("output %s is 0 everywhere: the test shows nothing", v.Name)
		}
	}
}
