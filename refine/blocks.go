package refine

import (
	"context"
	"math"
	"slices"

	"narrow/internal/footprint"
	"narrow/internal/kernel"
	"narrow/scheme"
)

// A layer with more inputs than the products of each two of which memory holds is chosen
// anew block by block of its inputs: each block's weights are solved and rounded as those of
// a whole layer are (see [problem]), over what the layer puts out in the float network less
// what all other blocks make of the quantized input, with the weights that these have by then.
// So each block makes good what those before it got wrong.

// wide reports whether the layer has so many inputs.
func (f *weighted) wide() bool { return f.block() < f.cols }

// block is how many inputs of a group are chosen together.
func (f *weighted) block() int { return footprint.Block(f.groups, f.cols, f.kernel) }

// blockWork limits the products of one wide layer, restBytes what is left to make good.
const (
	blockWork = 1.6e10
	restBytes = 32 << 20
)

// rest is, for some columns, what the layer still has to put out: a row each, for all
// groups one after the other.
type rest struct {
	columns *columns
	of      []one
	ld      int // elements of a group's row
	rows    []float64
}

// rest returns what the float network puts out for those columns, and for each row what is
// to be added.
func (c *columns) rest(of []one, more func(row int) float64) *rest {
	f := c.f
	r := &rest{columns: c, of: of, ld: lanes(f.rows)}
	r.rows = make([]float64, len(of)*f.groups*r.ld)
	for i, o := range of {
		for g := range f.groups {
			for k, v := range c.result(o, g) {
				r.rows[(i*f.groups+g)*r.ld+k] = float64(v) + more(g*f.rows+k)
			}
		}
	}
	return r
}

// less subtracts what weights of columns from..to-1 make of the input; weight tells that of
// a group, row and column.
func (r *rest) less(pool *kernel.Pool, from, to int, weight func(g, row, col int) float64) {
	f, n := r.columns.f, to-from
	w := make([]float64, f.groups*lanes(f.rows)*n)
	pool.Run(f.groups, func(g int) {
		for k := range f.rows {
			at := w[g*r.ld*n+kernel.InPanels(k, n):]
			for i := range n {
				at[i*kernel.ProductLanes] = -weight(g, k, from+i)
			}
		}
	})
	// Columns lie side by side here, one more where they are odd.
	parts := (len(r.of) + momentBlock - 1) / momentBlock
	pool.Run(parts, func(p int) {
		lo := p * momentBlock
		count := min(momentBlock, len(r.of)-lo)
		x := make([]float64, momentBlock*f.groups*lanes(n))
		side := make([]float64, lanes(count)*n)
		out := make([]float64, even(count)*r.ld)
		for i := range count {
			r.columns.read(x[i*f.groups*lanes(n):], lanes(n), 1, r.of[lo+i], from, to)
		}
		for g := range f.groups {
			for i := range count {
				for k, v := range x[(i*f.groups+g)*lanes(n):][:n] {
					side[kernel.InPanels(i, n)+k*kernel.ProductLanes] = v
				}
				copy(out[i*r.ld:][:r.ld], r.rows[((lo+i)*f.groups+g)*r.ld:])
			}
			kernel.PanelProducts(out, side, w[g*r.ld*n:], r.ld, n, n, 0, even(count), r.ld)
			for i := range count {
				copy(r.rows[((lo+i)*f.groups+g)*r.ld:][:r.ld], out[i*r.ld:])
			}
		}
	})
}

// group returns what is left of a column's group.
func (r *rest) group(i, g int) []float64 {
	return r.rows[(i*r.columns.f.groups+g)*r.ld:][:r.columns.f.rows]
}

// blocks chooses the scales and integers of a wide layer.
func (f *refiner) blocks(ctx context.Context, l layer, drawn *columns) error {
	float, err := f.floats(l)
	if err != nil {
		return err
	}
	width := l.form.block()
	judged := func() (float64, error) {
		w, bias, err := f.quantized(l)
		if err != nil {
			return 0, err
		}
		r := drawn.rest(drawn.judge, func(row int) float64 { return -bias[row] })
		for from := 0; from < l.form.cols; from += width {
			r.less(f.pool, from, min(from+width, l.form.cols), func(g, row, col int) float64 { return float64(w[l.form.index(g, row, col)]) })
		}
		sum := 0.0
		for i := range r.of {
			for g := range l.form.groups {
				for _, v := range r.group(i, g) {
					sum += float64(v * v)
				}
			}
		}
		return sum, nil
	}
	return f.where(l, judged, func() (bool, error) {
		freeMemory() // the weights that were judged
		chosen, err := f.chooseBlocks(ctx, l, drawn, float, width)
		freeMemory() // the chosen ones, which are integers now
		return chosen, err
	})
}

// chooseBlocks is [refiner.choose] of a wide layer.
func (f *refiner) chooseBlocks(ctx context.Context, l layer, drawn *columns, float floats, width int) (bool, error) {
	form := l.form
	own := func(g, row, col int) float64 { return float.at(form, g*form.rows+row, col) }
	left := drawn.rest(drawn.choose, func(row int) float64 {
		v := float.missing(l, row)
		if f.free(l) {
			v -= float64(float.bias[row])
		}
		return v
	})
	for from := 0; from < form.cols; from += width {
		left.less(f.pool, from, min(from+width, form.cols), own)
	}
	left.attenuate()
	// They are the float ones until each block is chosen.
	weights, err := float.weights.Floats()
	if err != nil {
		return false, err
	}
	chosen, err := f.blockScales(l, drawn, weights)
	if err != nil {
		return false, err
	}
	bias := make([]float32, len(float.bias))
	for from := 0; from < form.cols; from += width {
		to := min(from+width, form.cols)
		m := drawn.moments(ctx, f.pool, from, to, func(dst []float64, room, i, g int) {
			for k, v := range left.group(i, g) {
				dst[kernel.InPanels(k, room)] = v
			}
		})
		if m == nil {
			return false, ctx.Err()
		}
		p := &problem{form: form, cols: to - from, n: to - from}
		if f.free(l) && to == form.cols {
			p.n++
		}
		f.arrange(l, p, m)
		missing := func(x []float64, wide, g, lo, hi int) {
			for at, i := range p.order {
				copy(x[at*wide:][:hi-lo], m.target[g][i*m.rows+lo:])
			}
		}
		if !p.solve(f.pool, m, form.cols+1, missing, func(k, i int) float64 { return float.at(form, k, from+i) }) {
			return false, nil
		}
		free, err := f.biasGrid(l, p)
		if err != nil {
			return false, err
		}
		points, sums := make([][]float64, len(p.want)), make([]float64, len(p.want))
		parts := p.parts(make([]bool, len(p.want)))
		f.pool.Run(len(parts), func(i int) {
			p.round(parts[i], points, sums, free, func(k int) grid { return gridOf(chosen, k) })
		})
		p.put(points, from, weights, bias, float)
		if to < form.cols {
			left.less(f.pool, from, to, func(g, row, col int) float64 {
				return points[g*form.rows+row][col-from] - own(g, row, col)
			})
		}
	}
	return true, f.keep(l, chosen, weights, bias)
}

// blockScales chooses the scales of a wide layer's weights, each by what rounding to the
// nearest costs where every input counts its mean square.
func (f *refiner) blockScales(l layer, drawn *columns, weights []float32) (scheme.Encoding, error) {
	candidates, err := f.candidates(l, weights)
	if err != nil {
		return scheme.Encoding{}, err
	}
	power := drawn.power(f.pool)
	rows := l.form.groups * l.form.rows
	costs := make([][]float64, rows)
	f.pool.Run(rows, func(k int) {
		costs[k] = make([]float64, len(candidates))
		g := k / l.form.rows
		for i, e := range candidates {
			grid := gridOf(e, k)
			for col, v := range power[g*l.form.cols:][:l.form.cols] {
				w := float64(weights[l.form.index(g, k%l.form.rows, col)])
				d := w - grid.nearest(w)
				costs[k][i] += float64(float64(d*d) * v)
			}
		}
	})
	if len(candidates[0].Scale) == 1 {
		best, least := candidates[0], math.Inf(1)
		for i, e := range candidates {
			sum := 0.0
			for k := range rows {
				sum += costs[k][i]
			}
			if sum < least {
				best, least = e, sum
			}
		}
		return best, nil
	}
	best := candidates[0]
	best.Scale, best.FixPosition = slices.Clone(best.Scale), slices.Clone(best.FixPosition)
	for k := range rows {
		least := math.Inf(1)
		for i, e := range candidates {
			if costs[k][i] < least {
				least, best.Scale[k] = costs[k][i], e.Scale[k]
				if e.FixPosition != nil {
					best.FixPosition[k] = e.FixPosition[k]
				}
			}
		}
	}
	return best, nil
}

// power returns the mean square of every column of those that choose, group by group.
func (c *columns) power(pool *kernel.Pool) []float64 {
	f := c.f
	parts := make([][]float64, (len(c.choose)+momentBlock-1)/momentBlock)
	pool.Run(len(parts), func(p int) {
		sum, x := make([]float64, f.groups*f.cols), make([]float64, f.groups*f.cols)
		for _, o := range c.choose[p*momentBlock : min((p+1)*momentBlock, len(c.choose))] {
			c.read(x, f.cols, 1, o, 0, f.cols)
			for i, v := range x {
				sum[i] += float64(v * v)
			}
		}
		parts[p] = sum
	})
	out := make([]float64, f.groups*f.cols)
	for _, part := range parts {
		for i, v := range part {
			out[i] += v / float64(len(c.choose))
		}
	}
	return out
}
