package inspect_test

import (
	"context"
	"testing"

	"narrow/engine"
	"narrow/inspect"
	"narrow/internal/testnet"
)

// BenchmarkMeasure takes 256 samples through the bundled network: as the float
// network alone, measured, and ranked.
func BenchmarkMeasure(b *testing.B) {
	m := testnet.Bundled(b)
	c := calibrated(b, m, dpu, 1)
	run := testnet.Runner(b)
	const n = 256
	b.Run("what=plain", func(b *testing.B) {
		s, err := run.Load(context.Background(), m.Graph, engine.LoadOptions{})
		if err != nil {
			b.Fatal(err)
		}
		defer s.Close()
		for b.Loop() {
			for batch := range random(m, n, 8, 1) {
				if _, err := s.Run(context.Background(), batch.Inputs, nil); err != nil {
					b.Fatal(err)
				}
			}
		}
	})
	b.Run("what=measure", func(b *testing.B) {
		for b.Loop() {
			if _, err := inspect.Measure(context.Background(), c, run, random(m, n, 8, 1), inspect.Options{}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("what=sensitivity", func(b *testing.B) {
		for b.Loop() {
			if _, err := inspect.Sensitivity(context.Background(), c, run, random(m, n, 8, 1), inspect.SensitivityOptions{}); err != nil {
				b.Fatal(err)
			}
		}
	})
}
