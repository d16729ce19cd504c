package observe

import (
	"math"
	"math/rand/v2"
	"testing"

	"narrow/internal/kernel"
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
			b := s.Below(bound)
			if b.Count != n || math.Abs(b.Sum-sum) > 1e-9*n*float64(scale) || math.Abs(b.Squares-squares) > 1e-9*squares {
				t.Fatalf("below %g: %v, want %g, %g, %g", bound, b, n, sum, squares)
			}
		}
		if n := s.All().Count; n != float64(3*len(x)) {
			t.Errorf("all weigh %g, want %d", n, 3*len(x))
		}
		if n := s.Below(0).Count; n == 0 || n >= float64(3*len(x))/2+300 {
			t.Errorf("below 0 are %g", n)
		}
	}
	if n := new(Tally).Sums().All().Count; n != 0 {
		t.Error("an empty tally weighs something")
	}
}

// Values that all lie on one side have sums below every bound too, and all between two
// bounds that hold nothing else.
func TestSumsOfOneSide(t *testing.T) {
	for _, x := range [][]float32{{1, 2, 3}, {-1, -2, -3}, {0, 0, 0}, {-1, 0, 7}} {
		var tally Tally
		e := kernel.MinMax(x)
		tally.Reach(min(e.Min, 0), max(e.Max, 0))
		tally.Add(x, 1, len(x), 2)
		s := tally.Sums()
		for _, v := range []float64{-1e9, -2.5, -0.5, 0, 0.5, 2.5, 1e9} {
			want := 0.0
			for _, u := range x {
				if float64(u) < v {
					want += 2
				}
			}
			if got := s.Below(v).Count; got != want {
				t.Errorf("%v: below %g are %g, want %g", x, v, got, want)
			}
		}
		lo, hi := s.Reach()
		if lo > float64(e.Min) || hi < float64(e.Max) || lo < 1.01*float64(min(e.Min, 0))-0.01 || hi > 1.01*float64(max(e.Max, 0))+0.01 {
			t.Errorf("%v: reaches from %g to %g", x, lo, hi)
		}
	}
}
