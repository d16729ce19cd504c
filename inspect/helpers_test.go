package inspect_test

import (
	"context"
	"math/rand/v2"
	"testing"

	"narrow"
	"narrow/calibrate"
	"narrow/engine"
	"narrow/graph"
	"narrow/internal/testnet"
)

// random are n samples for m in batches of size, each the same whatever size
// is: normal numbers times scale.
func random(m *narrow.Model, n, size int, scale float32) engine.Batches {
	return func(yield func(*engine.Batch, error) bool) {
		r := rand.New(rand.NewPCG(1, 2))
		for first := 0; first < n; first += size {
			b := &engine.Batch{First: first, Count: min(size, n-first), Inputs: map[string]engine.Tensor{}}
			in := map[string]engine.Tensor{}
			for range b.Count {
				for _, v := range m.Graph.Graph.Inputs {
					t := in[v.Name]
					t.Type = graph.Float32
					t.Shape = []int64{int64(b.Count)}
					per := 1
					for _, d := range v.Shape[1:] {
						t.Shape = append(t.Shape, d.Size)
						per *= int(d.Size)
					}
					for range per {
						t.Floats = append(t.Floats, scale*float32(r.NormFloat64()))
					}
					in[v.Name] = t
				}
			}
			b.Inputs = in
			if !yield(b, nil) {
				return
			}
		}
	}
}

// calibrated calibrates m by a strategy on 24 random samples of that scale.
func calibrated(t testing.TB, m *narrow.Model, config string, scale float32) *narrow.Calibrated {
	t.Helper()
	return propagated(t, m, config, scale, calibrate.Progressive)
}

func propagated(t testing.TB, m *narrow.Model, config string, scale float32, how calibrate.Propagation) *narrow.Calibrated {
	t.Helper()
	c, err := testnet.Plan(t, m, config).Calibrate(context.Background(), testnet.Runner(t), random(m, 24, 8, scale), narrow.CalibrateOptions{Propagate: how})
	if err != nil {
		t.Fatal(err)
	}
	return c
}
