package refine

import (
	"math"
	"math/rand/v2"
	"testing"

	"narrow/internal/kernel"
)

// Weights that are solved for a noisy input keep half of the way from the float ones to
// those of least squares, and make good what is wrong on the average whole.
func TestAttenuated(t *testing.T) {
	const n, count = 4, 4000
	r := rand.New(rand.NewPCG(1, 2))
	float := []float64{1, -2, 0.5, 0.25} // the last one is the bias
	m := &moments{n: n, rows: 1, count: count, own: [][]float64{make([]float64, n*n)}, target: [][]float64{make([]float64, n)}}
	for range count {
		x, y := make([]float64, n), float[n-1]
		for i := range n - 1 {
			v := r.NormFloat64()
			y += v * float[i]
			x[i] = v + 0.5*r.NormFloat64() + 0.1*float64(i) // noise, and an offset
		}
		x[n-1] = 1
		for i := range n {
			m.target[0][i] += x[i] * y / count
			for j := range n {
				m.own[0][i*n+j] += x[i] * x[j] / count
			}
		}
	}
	order := []int{2, 0, 3, 1}
	b := make([]float64, lanes(n)*lanes(1))
	m.missing(b, lanes(1), 0, 0, order, float, 0)
	a := make([]float64, n*n)
	for i, from := range order {
		for j, to := range order {
			a[i*n+j] = m.own[0][from*n+to]
		}
	}
	factored, ok := factor(kernel.NewPool(1), a, n)
	if !ok {
		t.Fatal("no factor")
	}
	factored.solve(b, lanes(1))
	mean := 0.0
	for at, i := range order {
		w := float[i] + b[at*lanes(1)]
		if i < n-1 {
			// Least squares shrink by 1/(1+0.25).
			if got, want := w/float[i], 1-0.5*0.2; math.Abs(got-want) > 0.03 {
				t.Errorf("column %d has %.3f of its weight, want %.3f", i, got, want)
			}
		}
		mean += w * m.own[0][i*n+n-1]
	}
	if want := m.target[0][n-1]; math.Abs(mean-want) > 1e-9 {
		t.Errorf("the mean is %v, want %v", mean, want)
	}
}

// What is left for a wide layer keeps its mean over the columns, and half of the rest.
func TestAttenuateRest(t *testing.T) {
	r := &rest{columns: &columns{f: &weighted{groups: 1, rows: 2, cols: 3}}, of: make([]one, 3), ld: 2, rows: []float64{1, 10, 2, 10, 6, 10}}
	r.attenuate()
	for i, want := range []float64{2, 10, 2.5, 10, 4.5, 10} {
		if math.Abs(r.rows[i]-want) > 1e-12 {
			t.Errorf("element %d is %v, want %v", i, r.rows[i], want)
		}
	}
}
