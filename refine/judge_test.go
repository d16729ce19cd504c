package refine

import (
	"context"
	"math"
	"testing"

	"narrow/calibrate"
	"narrow/engine"
	"narrow/graph"
)

// judged is a jury that knows the errors of two calibrations, by output and sample.
func judged(a, b [][]squares) (j *jury, x, y *calibrate.Calibrated) {
	x, y = &calibrate.Calibrated{}, &calibrate.Calibrated{}
	g := &graph.Graph{}
	for range a {
		g.Outputs = append(g.Outputs, &graph.Value{Name: "y"})
	}
	return &jury{
		float: &graph.Model{Graph: g}, want: [][]engine.Tensor{nil}, cut: []*engine.Batch{{Count: len(a[0])}},
		known: map[*calibrate.Calibrated][]errorsOf{x: {errorsBy(a)}, y: {errorsBy(b)}},
	}, x, y
}

func errorsBy(outputs [][]squares) (out errorsOf) {
	for _, each := range outputs {
		out = append(out, errorOf{each: each})
	}
	return out
}

func noisy(noise ...float64) (out []squares) {
	for _, n := range noise {
		out = append(out, squares{1, n})
	}
	return out
}

// What counts is the worst output, and whether samples agree.
func TestGain(t *testing.T) {
	for _, c := range []struct {
		name  string
		a, b  [][]squares
		gain  float64
		clear bool
	}{
		{"the same", [][]squares{noisy(1, 2, 3)}, [][]squares{noisy(1, 2, 3)}, 0, true},
		{"half the error everywhere", [][]squares{noisy(.01, .02, .03, .04)}, [][]squares{noisy(.02, .04, .06, .08)}, 3.01, true},
		{"one sample against another", [][]squares{noisy(.01, .01, .01, .01)}, [][]squares{noisy(.007, .0145, .007, .0145)}, 0.18, false},
		{"the better output does not matter", [][]squares{noisy(.001, .001), noisy(.1, .1)}, [][]squares{noisy(.01, .01), noisy(.1, .1)}, 0, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			j, x, y := judged(c.a, c.b)
			v, err := j.gain(context.Background(), x, y)
			if err != nil {
				t.Fatal(err)
			}
			if math.Abs(v.gain-c.gain) > 0.01 {
				t.Errorf("gain %.3f dB, want %.3f", v.gain, c.gain)
			}
			if v.better(false) != c.clear {
				t.Errorf("gain %.3f dB, doubt %.3f", v.gain, v.doubt)
			}
		})
	}
}

// A sample whose output the float network does not have is left out; one that comes
// in another size is as bad as can be.
func TestSquares(t *testing.T) {
	want := engine.Tensor{Type: graph.Float32, Shape: []int64{2, 2}, Floats: []float32{1, 2, float32(math.Inf(1)), 0}}
	got := engine.Tensor{Type: graph.Float32, Shape: []int64{2, 2}, Floats: []float32{1, 1, 0, 0}}
	if s := squaresOf(want, got, 2); len(s) != 1 || s[0] != (squares{5, 1}) {
		t.Errorf("%v", s)
	}
	got.Floats = got.Floats[:2]
	if s := squaresOf(want, got, 2); len(s) != 1 || s[0].decibel() != -exact {
		t.Errorf("%v", s)
	}
}

// Ranges of another rule than the first are taken where samples that had no part in them
// find them better beyond doubt; open ones, where that outweighs a sample that was not seen.
func TestRuled(t *testing.T) {
	const n = 24
	rival := func(noise func(i int) float64, open bool) (crossed, []errorsOf) {
		var es []errorsOf
		for i := range n {
			es = append(es, errorsOf{{each: noisy(noise(i))}})
		}
		return crossed{whole: &calibrate.Calibrated{}, open: open}, es
	}
	steady := func(v float64) func(int) float64 { return func(i int) float64 { return v * (1 + 0.1*float64(i%3)) } }
	for _, c := range []struct {
		name    string
		first   float64
		other   func(i int) float64
		open    bool
		samples int
		wins    bool
	}{
		{"clearly better", 1e-2, steady(5e-3), false, 64, true},
		{"worse", 1e-2, steady(2e-2), false, 64, false},
		{"better on half of the samples", 1e-2, func(i int) float64 { return []float64{5e-3, 1.8e-2}[i%2] }, false, 64, false},
		{"open, and far from exact", 1e-1, steady(5e-2), true, 64, true},
		{"open, and near to exact", 1e-4, steady(5e-5), true, 64, false},
		{"the same with very many samples", 1e-4, steady(5e-5), true, 1 << 20, true},
	} {
		first, a := rival(steady(c.first), false)
		other, b := rival(c.other, c.open)
		j := &jury{float: &graph.Model{Graph: &graph.Graph{Outputs: []*graph.Value{{Name: "y"}}}}}
		es, err := j.summed(first.whole, a)
		if err != nil {
			t.Fatal(err)
		}
		of, err := j.summed(other.whole, b)
		if err != nil {
			t.Fatal(err)
		}
		if v := surplus(of, es, other.open, false, c.samples); (v > 0) != c.wins {
			t.Errorf("%s: surplus %g dB", c.name, v)
		}
	}
}
