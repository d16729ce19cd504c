package refine

import (
	"math"

	"narrow/internal/kernel"
)

// triangle is the lower triangular factor L of a positive definite n*n matrix
// L*L^T, with its transpose for access by columns.
type triangle struct {
	n           int
	lower, down []float64
}

// factor returns the Cholesky factor of a; ok is false where a is not positive
// definite. Every element is one sum in a fixed order.
func factor(pool *kernel.Pool, a []float64, n int) (t triangle, ok bool) {
	l := make([]float64, n*n)
	for j := range n {
		row := l[j*n : j*n+j]
		d := a[j*n+j] - kernel.Dot(row, row)
		if !(d > 0) || math.IsInf(d, 0) {
			return t, false
		}
		d = math.Sqrt(d)
		l[j*n+j] = d
		below := func(i int) { l[i*n+j] = (a[i*n+j] - kernel.Dot(l[i*n:i*n+j], row)) / d }
		const chunk = 64
		rows := n - j - 1
		if rows*j < 1<<16 {
			for i := j + 1; i < n; i++ {
				below(i)
			}
			continue
		}
		pool.Run((rows+chunk-1)/chunk, func(k int) {
			for i := j + 1 + k*chunk; i < min(j+1+(k+1)*chunk, n); i++ {
				below(i)
			}
		})
	}
	t = triangle{n: n, lower: l, down: make([]float64, n*n)}
	for i := range n {
		for j := 0; j <= i; j++ {
			t.down[j*n+i] = l[i*n+j]
		}
	}
	return t, true
}

// solve replaces b by x where L*L^T*x = b.
func (t triangle) solve(b []float64) {
	n := t.n
	for i := range n {
		b[i] = (b[i] - kernel.Dot(t.lower[i*n:i*n+i], b[:i])) / t.lower[i*n+i]
	}
	for i := n - 1; i >= 0; i-- {
		b[i] = (b[i] - kernel.Dot(t.down[i*n+i+1:(i+1)*n], b[i+1:])) / t.lower[i*n+i]
	}
}

// grid is what one element can be quantized to: the multiples of step from
// lo*step to hi*step, or, with step 0, any number.
type grid struct{ step, lo, hi float64 }

func (g grid) nearest(x float64) float64 {
	if g.step == 0 {
		return x
	}
	return min(max(math.RoundToEven(x/g.step), g.lo), g.hi) * g.step
}

// nearest writes to q a point of the grids near to want in the norm of L*L^T
// and returns the squared distance. Elements are rounded one after the other
// from the last on, each where the errors of those before are made good by it
// (Babai's nearest plane; the same as GPTQ, Frantar et al. 2022,
// arXiv:2210.17323). It gives up, with a larger distance, where that passes most.
func (t triangle) nearest(q, want []float64, grids func(i int) grid, e []float64, most float64) float64 {
	n := t.n
	var sum float64
	for j := n - 1; j >= 0; j-- {
		d := t.lower[j*n+j]
		behind := kernel.Dot(t.down[j*n+j+1:(j+1)*n], e[j+1:n]) / d
		q[j] = grids(j).nearest(want[j] + behind)
		e[j] = want[j] - q[j]
		r := (e[j] + behind) * d
		if sum += float64(r * r); sum > most {
			break
		}
	}
	return sum
}
