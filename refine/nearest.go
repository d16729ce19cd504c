package refine

import (
	"math"

	"narrow/internal/kernel"
)

// triangle is the lower triangular factor L of a positive definite n*n matrix
// L*L^T, for many right sides at once: they lie side by side, a row for each element.
type triangle struct {
	n, ld int
	lower []float64 // rows of ld elements
	// behind holds, for each block of [triangleBlock] rows, what is left of it, in panels;
	// below what is below it, transposed, likewise.
	behind, below [][]float64
}

// triangleBlock is how many elements are solved before what depends on them follows.
const triangleBlock = kernel.ProductLanes

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
		// The panel's own triangle, transposed. row factors a row up to, not with, its
		// column j.
		var own [factorPanel][factorPanel]float64
		row := func(i, j int) {
			x := w[i*ld+p : i*ld+j]
			for k := range x {
				x[k] /= own[k][k]
				times(x[k+1:], own[k][k+1:len(x)], -x[k])
			}
		}
		for j := p; j < end; j++ {
			row(j, j)
			d := w[j*ld+j]
			for _, v := range w[j*ld+p : j*ld+j] {
				d -= float64(v * v)
			}
			if !(d > 0) || math.IsInf(d, 0) {
				return t, false
			}
			w[j*ld+j] = math.Sqrt(d)
			for k, v := range w[j*ld+p : j*ld+j+1] {
				own[k][j-p] = v
			}
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
	t = triangle{n: n, ld: ld, lower: w}
	t.behind, t.below = make([][]float64, ld/triangleBlock), make([][]float64, ld/triangleBlock)
	pool.Run(len(t.behind), func(k int) {
		lo := k * triangleBlock
		hi := min(lo+triangleBlock, n)
		left, under := make([]float64, lo*triangleBlock), make([]float64, lanes(n-hi)*triangleBlock)
		for i := lo; i < hi; i++ {
			for j := 0; j < lo; j += kernel.ProductLanes {
				copy(left[kernel.InPanels(j, triangleBlock)+(i-lo)*kernel.ProductLanes:][:kernel.ProductLanes], w[i*ld+j:])
			}
		}
		for i := hi; i < n; i++ {
			for j, v := range w[i*ld+lo : i*ld+hi] {
				under[kernel.InPanels(i-hi, triangleBlock)+j*kernel.ProductLanes] = v
			}
		}
		t.behind[k], t.below[k] = left, under
	})
	return t, true
}

// even rounds n up.
func even(n int) int { return n + n%2 }

// times adds f times x to dst.
func times(dst, x []float64, f float64) {
	dst = dst[:len(x)]
	for i, v := range x {
		dst[i] += float64(f * v)
	}
}

// solve replaces b by x where L*L^T*x = b: wide right sides, a multiple of
// [kernel.ProductLanes], each a column of b, which has room for lanes(n) rows.
func (t triangle) solve(b []float64, wide int) {
	less := make([]float64, triangleBlock*wide)
	// done subtracts what rows lo to hi, which are solved, make of c.
	done := func(c, x []float64, lo, hi, rows int) {
		for i := lo; i < hi; i++ {
			for r, v := range b[i*wide : (i+1)*wide] {
				less[kernel.InPanels(r, triangleBlock)+(i-lo)*kernel.ProductLanes] = -v
			}
		}
		kernel.PanelProducts(c, x, less, wide, triangleBlock, hi-lo, 0, rows, wide)
	}
	for lo := 0; lo < t.n; lo += triangleBlock {
		hi := min(lo+triangleBlock, t.n)
		for i := lo; i < hi; i++ {
			row := b[i*wide : (i+1)*wide]
			for k := lo; k < i; k++ {
				times(row, b[k*wide:(k+1)*wide], -t.lower[i*t.ld+k])
			}
			divide(row, t.lower[i*t.ld+i])
		}
		done(b[hi*wide:], t.below[lo/triangleBlock], lo, hi, even(t.n-hi))
	}
	for lo := (t.n - 1) / triangleBlock * triangleBlock; lo >= 0; lo -= triangleBlock {
		hi := min(lo+triangleBlock, t.n)
		for i := hi - 1; i >= lo; i-- {
			row := b[i*wide : (i+1)*wide]
			divide(row, t.lower[i*t.ld+i])
			for k := lo; k < i; k++ {
				times(b[k*wide:(k+1)*wide], row, -t.lower[i*t.ld+k])
			}
		}
		done(b, t.behind[lo/triangleBlock], lo, hi, lo)
	}
}

func divide(x []float64, by float64) {
	for i := range x {
		x[i] /= by
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

// nearest writes to q points of grids near to those of want in the norm of L*L^T, and
// their squared distances to sums: as many points, a column each, as solve has right
// sides. grids tells the grid of element i of point r. Elements are rounded one after the
// other from the last on, each where the errors of those before are made good by it
// (Babai's nearest plane; the same as GPTQ, Frantar et al. 2022, arXiv:2210.17323).
func (t triangle) nearest(q, want, sums []float64, wide int, grids func(i, r int) grid) {
	behind, errs := make([]float64, lanes(t.n)*wide), make([]float64, triangleBlock*wide)
	e := make([]float64, wide)
	clear(sums)
	for lo := (t.n - 1) / triangleBlock * triangleBlock; lo >= 0; lo -= triangleBlock {
		hi := min(lo+triangleBlock, t.n)
		for j := hi - 1; j >= lo; j-- {
			d, at := t.lower[j*t.ld+j], j*wide
			for r := range sums {
				made := behind[at+r] / d
				q[at+r] = grids(j, r).nearest(want[at+r] + made)
				e[r] = want[at+r] - q[at+r]
				errs[kernel.InPanels(r, triangleBlock)+(j-lo)*kernel.ProductLanes] = e[r]
				off := (e[r] + made) * d
				sums[r] += float64(off * off)
			}
			for k := lo; k < j; k++ {
				times(behind[k*wide:(k+1)*wide], e, t.lower[j*t.ld+k])
			}
		}
		kernel.PanelProducts(behind, t.behind[lo/triangleBlock], errs, wide, triangleBlock, hi-lo, 0, lo, wide)
	}
}
