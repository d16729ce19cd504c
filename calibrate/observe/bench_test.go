package observe

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"narrow/internal/kernel"
	"narrow/scheme"
)

// BenchmarkObserve observes and quantizes one activation of a batch of eight,
// as calibration does at every tensor.
func BenchmarkObserve(b *testing.B) {
	const n = 8 * 64 * 56 * 56
	shape := []int64{8, 64, 56, 56}
	r := rand.New(rand.NewPCG(1, 1))
	x, y := make([]float32, n), make([]float32, n)
	for i := range x {
		x[i] = max(float32(r.NormFloat64()), 0)
	}
	for _, m := range []scheme.Method{scheme.MaxMin, scheme.Percentile, scheme.Entropy, scheme.MSE, scheme.Diffs} {
		s := scheme.Settings{Datatype: scheme.Int, BitWidth: 8, Method: m, RoundMode: scheme.HalfEven, Symmetry: true, Signed: true,
			Percentage: 99.99, ScaleType: scheme.FloatScale, Statistic: scheme.Max}
		if m == scheme.Diffs {
			s.ScaleType, s.Statistic = scheme.PowerOfTwo, scheme.Modal
		}
		for _, w := range []int{1, 2} {
			b.Run(fmt.Sprintf("method=%v/workers=%d", m, w), func(b *testing.B) {
				b.SetBytes(4 * n)
				pool := kernel.NewPool(w)
				o, err := New(Config{Name: "x", Kind: scheme.Activation, Settings: s, Pool: pool})
				if err != nil {
					b.Fatal(err)
				}
				for b.Loop() {
					if err := o.Observe(x, shape); err != nil {
						b.Fatal(err)
					}
					e, err := o.Encoding()
					if err != nil {
						b.Fatal(err)
					}
					if err := Apply(pool, y, x, s, e, shape); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
	b.Run("record", func(b *testing.B) {
		b.SetBytes(4 * n)
		for b.Loop() {
			if _, err := NewRecord(nil, "x", x, shape); err != nil {
				b.Fatal(err)
			}
		}
	})
}
