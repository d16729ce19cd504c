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

// factorPanel is how many columns are factored before what is behind them follows.
const factorPanel = 2 * kernel.ProductLanes

// factor returns the Cholesky factor of a; ok is false where a is not positive
// definite. Columns are factored panel by panel; every sum has a fixed order.
func factor(pool *kernel.Pool, a []float64, n int) (t triangle, ok bool) {
	ld := lanes(n)
	w := make([]float64, (ld+1)*ld) // the lower triangle, and room behind it
	for i := range n {
		copy(w[i*ld:], a[i*n:i*n+i+1])
	}
	// The panel by columns, and less than zero.
	panel, less := make([]float64, (factorPanel+1)*ld), make([]float64, (factorPanel+1)*ld)
	for p := 0; p < n; p += factorPanel {
		end := min(p+factorPanel, n)
		// row factors a row up to, not with, its column j.
		row := func(i, j int) {
			for k := p; k < j; k++ {
				w[i*ld+k] = (w[i*ld+k] - kernel.Dot(w[i*ld+p:i*ld+k], w[k*ld+p:k*ld+k])) / w[k*ld+k]
			}
		}
		for j := p; j < end; j++ {
			row(j, j)
			d := w[j*ld+j] - kernel.Dot(w[j*ld+p:j*ld+j], w[j*ld+p:j*ld+j])
			if !(d > 0) || math.IsInf(d, 0) {
				return t, false
			}
			w[j*ld+j] = math.Sqrt(d)
		}
		stripes := (n - end + momentStripe - 1) / momentStripe
		pool.Run(stripes, func(s int) {
			for i := end + s*momentStripe; i < min(end+(s+1)*momentStripe, n); i++ {
				row(i, end)
				for k := p; k < end; k++ {
					panel[(k-p)*ld+i], less[(k-p)*ld+i] = w[i*ld+k], -w[i*ld+k]
				}
			}
		})
		pool.Run(stripes, func(s int) {
			lo := end + s*momentStripe
			hi := min(lo+momentStripe, n+n%2)
			kernel.Products(w[end:], less, panel[end:], ld, end-p, lo, hi, lanes(hi-end))
		})
	}
	t = triangle{n: n, lower: make([]float64, n*n), down: make([]float64, n*n)}
	for i := range n {
		copy(t.lower[i*n:], w[i*ld:i*ld+i+1])
		for j := 0; j <= i; j++ {
			t.down[j*n+i] = w[i*ld+j]
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
