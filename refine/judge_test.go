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
		{"one sample against another", [][]squares{noisy(.01, .01, .01, .01)}, [][]squares{noisy(.009, .012, .009, .012)}, 0.19, false},
		{"the better output does not matter", [][]squares{noisy(.001, .001), noisy(.1, .1)}, [][]squares{noisy(.01, .01), noisy(.1, .1)}, 0, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			j, x, y := judged(c.a, c.b)
			gain, doubt, err := j.gain(context.Background(), x, y)
			if err != nil {
				t.Fatal(err)
			}
			if math.Abs(gain-c.gain) > 0.01 {
				t.Errorf("gain %.3f dB, want %.3f", gain, c.gain)
			}
			if (gain >= doubt) != c.clear {
				t.Errorf("gain %.3f dB, doubt %.3f", gain, doubt)
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
