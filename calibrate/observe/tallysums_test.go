package observe

import (
	"math"
	"math/rand/v2"
	"testing"
)

// The sums below a bound are those of the bins whose middles lie below it.
func TestSums(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, scale := range []float32{1, 1e-30, 1e20} {
		var tally Tally
		x := []float32{0, 0, scale}
		for range 3000 {
			x = append(x, float32(r.NormFloat64())*scale)
		}
		tally.Reach(-8*scale, 8*scale)
		tally.Add(x, 1, len(x), 3)
		s := tally.Sums()
		for range 200 {
			bound := r.NormFloat64() * 3 * float64(scale)
			var n, sum, squares float64
			tally.Each(func(v float64, w uint64) {
				if v < bound {
					n += float64(w)
					sum += float64(w) * v
					squares += float64(w) * v * v
				}
			})
			count, x, xx := s.Below(bound)
			if count != n || math.Abs(x-sum) > 1e-9*n*float64(scale) || math.Abs(xx-squares) > 1e-9*squares {
				t.Fatalf("below %g: %g, %g, %g, want %g, %g, %g", bound, count, x, xx, n, sum, squares)
			}
		}
		if n, _, _ := s.All(); n != float64(3*len(x)) {
			t.Errorf("all weigh %g, want %d", n, 3*len(x))
		}
		if n, _, _ := s.Below(0); n == 0 || n >= float64(3*len(x))/2+300 {
			t.Errorf("below 0 are %g", n)
		}
	}
	if n, _, _ := new(Tally).Sums().All(); n != 0 {
		t.Error("an empty tally weighs something")
	}
}
