package refine

import (
	"math"
	"testing"

	"narrow/engine"
	"narrow/graph"
)

// head is what a detector puts out for some samples: a row of boxes in pixels, and two of
// scores, each value passed through f.
func head(count int, f func(row int, v float64) float64) engine.Tensor {
	t := engine.Tensor{Type: graph.Float32, Shape: []int64{int64(count), 3, 40}}
	for i := range count {
		for row := range 3 {
			for k := range 40 {
				v := 0.5 + 0.5*math.Sin(float64(7*i+3*k+row))
				if row == 0 {
					v *= 300
				}
				t.Floats = append(t.Floats, float32(f(row, v)))
			}
		}
	}
	return t
}

func rounded(v, step float64) float64 { return step * math.Round(v/step) }

// A slice that is dead in one result and alive in the other decides; what both lose, and
// what one sample alone has, does not.
func TestSpared(t *testing.T) {
	fine := func(row int, v float64) float64 {
		if row == 0 {
			return rounded(v, 4)
		}
		return rounded(v, 0.05)
	}
	dead := func(row int, v float64) float64 {
		if row == 0 {
			return rounded(v, 2)
		}
		return rounded(v, 3)
	}
	first := func(row int, v float64) float64 { // the first score's slice only
		if row == 1 {
			return 0.5
		}
		return fine(row, v)
	}
	second := func(row int, v float64) float64 {
		if row == 2 {
			return 0.5
		}
		return fine(row, v)
	}
	for _, c := range []struct {
		name string
		a, b func(row int, v float64) float64
		side int
		dead int
	}{
		{"all scores", fine, dead, 1, 2},
		{"all scores, the other way", dead, fine, -1, 2},
		{"one constant score", fine, first, 1, 1},
		{"either loses one", second, first, 0, 0},
		{"both lose all", dead, dead, 0, 0},
		{"none", fine, fine, 0, 0},
	} {
		of := func(f func(row int, v float64) float64) []wrong {
			w := wrong{}
			for i := range 3 {
				w.cuts = merged(w.cuts, cutsOf(head(4, func(_ int, v float64) float64 { return v }), head(4, f)), i == 0)
			}
			return []wrong{w}
		}
		side, where := spared(of(c.a), of(c.b))
		if side != c.side || where.dead != c.dead {
			t.Errorf("%s: side %d, %+v", c.name, side, where)
		}
		if side != 0 && (where.axis != 1 || where.of != 3) {
			t.Errorf("%s: %+v", c.name, where)
		}
	}
	// One value of [N, C] alone has nearly all of its slice's signal.
	want := engine.Tensor{Type: graph.Float32, Shape: []int64{24, 2}, Floats: make([]float32, 48)}
	for i := range want.Floats {
		want.Floats[i] = 0.01 * float32(i%7)
	}
	want.Floats[9] = 1
	none := want
	none.Floats = make([]float32, 48)
	copy(none.Floats, want.Floats)
	for i := 1; i < 48; i += 2 {
		none.Floats[i] = 0
	}
	if side, _ := spared([]wrong{{cuts: cutsOf(want, want)}}, []wrong{{cuts: cutsOf(want, none)}}); side != 0 {
		t.Errorf("one value decides")
	}
}

// A result that keeps a slice wins over one that is nearer by far, as the safest, as a rule
// for ranges and as a whole.
func TestSparedDecides(t *testing.T) {
	of := func(noise float64, f func(row int, v float64) float64) []wrong {
		var each []squares
		for i := range 24 {
			each = append(each, squares{1, noise * (1 + 0.1*float64(i%3))})
		}
		return []wrong{{each: each, cuts: cutsOf(head(24, func(_ int, v float64) float64 { return v }), head(24, f))}}
	}
	alive := of(1e-2, func(_ int, v float64) float64 { return rounded(v, 0.05) })
	dead := of(1e-4, func(_ int, v float64) float64 { return rounded(v, 3) })
	if v := gainOf(alive, dead); !v.better(false) || v.nearer(false) {
		t.Errorf("%+v", v)
	}
	if v := gainOf(dead, alive); v.better(true) || !v.nearer(true) {
		t.Errorf("%+v", v)
	}
	if v := surplus(dead, alive, true, false, 64); v > 0 {
		t.Errorf("a rule that kills has a surplus of %g dB", v)
	}
	if v := surplus(alive, dead, true, false, 64); v < 0 {
		t.Errorf("a rule that spares has a surplus of %g dB", v)
	}
}
