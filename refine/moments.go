package refine

import (
	"context"

	"narrow/engine"
	"narrow/graph"
	"narrow/graph/op"
	"narrow/internal/kernel"
)

// weighted is the form of a layer that multiplies weights with columns of its
// input: groups of rows (output channels) over columns (the inputs of one
// output element).
type weighted struct {
	node               *graph.Node
	groups, rows, cols int // rows and cols of one group
	kernel             int // so many columns belong to one channel of the input
	// byColumn says that the weights lie column by column, [cols, rows].
	byColumn bool
	// windows tell how a convolution reads its input, over three dimensions of
	// space, the unused ones of size 1; nil for a matrix product.
	windows []op.Window
	spatial int // how many of them are used
}

// weightedOf returns the form of the layer of n with the weights w, or nil
// where it has another one.
func weightedOf(n *graph.Node, w *graph.Tensor, input int) *weighted {
	p, ok := op.ProductOf(n, input, w.Dims)
	if !ok || input != 1 || len(w.Dims) > 5 {
		return nil
	}
	f := &weighted{node: n, groups: p.Groups, rows: p.Out / p.Groups, cols: p.In / p.Groups * p.Kernel, kernel: p.Kernel}
	switch {
	case n.Is("Conv"):
		if op.Groups(n) < 1 || p.Out%p.Groups != 0 || n.Str("auto_pad", "NOTSET") == "" {
			return nil
		}
		f.windows, f.spatial = p.Windows(), len(w.Dims)-2
		for len(f.windows) < 3 {
			f.windows = append(f.windows, op.Window{Kernel: 1, Stride: 1, Dilation: 1})
		}
		return f
	case n.Is("Gemm", "MatMul") && len(w.Dims) == 2:
		if a, _ := op.Trans(n); a != 0 || !op.PlainSum(n) {
			return nil
		}
		f.byColumn = p.Axis > p.InAxis
		return f
	}
	return nil
}

// index returns where the weight of a group's row and column lies.
func (f *weighted) index(g, row, col int) int {
	if f.byColumn {
		return col*f.rows + row
	}
	return (g*f.rows+row)*f.cols + col
}

// reader reads columns out of one batch's input.
type reader struct {
	f *weighted
	layout
	in, out [3]int
	chans   int
	pad     [3]int
}

// reader returns how to read an input of that shape, which belongs to rows
// samples; ok is false where it does not fit the layer.
func (f *weighted) reader(shape []int64, rows int) (reader, bool) {
	r := reader{f: f, in: [3]int{1, 1, 1}, out: [3]int{1, 1, 1}}
	if len(shape) < 2 {
		return r, false
	}
	r.samples, r.spatial = rows, 1
	if shape[0] == 0 || int(shape[0])%rows != 0 {
		r.samples = 1 // the first axis is not the samples': all belongs to all
	}
	r.per = int(shape[0]) / r.samples
	if f.windows == nil {
		for _, d := range shape[1 : len(shape)-1] {
			r.spatial *= int(d)
		}
		r.places = r.per * r.spatial
		return r, int(shape[len(shape)-1]) == f.cols && r.places > 0
	}
	if len(shape) != 2+f.spatial {
		return r, false
	}
	r.chans = int(shape[1])
	size := 1
	for i, w := range f.windows[:f.spatial] {
		size *= int(w.Kernel)
		r.in[i] = int(shape[2+i])
		before, _ := w.Pads(shape[2+i])
		out, ok := w.Out(shape[2+i])
		if !ok || out < 1 {
			return r, false
		}
		r.pad[i], r.out[i] = int(before), int(out)
		r.spatial *= r.out[i]
	}
	r.places = r.per * r.spatial
	return r, r.places > 0 && r.chans*size == f.groups*f.cols
}

// columns writes the columns from..to-1 of all groups at a place to dst, each group's gap
// elements behind the one before, in panels with room for so many rows (see
// [kernel.PanelProducts]).
func (r *reader) columns(dst []float64, gap, room int, x []float32, p place, from, to int) {
	if r.f.windows == nil {
		widen(dst, room, x[(p.sample*r.places+p.at)*r.f.cols:][from:to])
		return
	}
	var some [64]met
	window := r.window(some[:0], p)
	plane, per := r.in[0]*r.in[1]*r.in[2], r.chans/r.f.groups
	size := r.f.cols / per
	x = x[(p.sample*r.per+p.at/r.spatial)*r.chans*plane:][:r.chans*plane]
	for g := range r.f.groups {
		column := dst[g*gap:]
		if len(window) < size {
			for i := range to - from {
				column[kernel.InPanels(i, room)] = 0
			}
		}
		if size == 1 && len(window) == 1 {
			at := x[g*per*plane+window[0].at:]
			for i := from; i < to; i++ {
				column[kernel.InPanels(i-from, room)] = float64(at[i*plane])
			}
			continue
		}
		for c := from / size; c*size < to; c++ {
			channel, at := x[(g*per+c)*plane:][:plane], c*size-from
			for _, m := range window {
				if i := at + m.k; uint(i) < uint(to-from) {
					column[kernel.InPanels(i, room)] = float64(channel[m.at])
				}
			}
		}
	}
}

// met is a place of a window, and the element of a channel that it meets.
type met struct{ k, at int }

// window appends to out what the window at a place meets within the input.
func (r *reader) window(out []met, p place) []met {
	ws, at := r.f.windows, p.at%r.spatial
	first := [3]int{at / (r.out[1] * r.out[2]), at / r.out[2] % r.out[1], at % r.out[2]}
	for i := range first {
		first[i] = first[i]*int(ws[i].Stride) - r.pad[i]
	}
	k := 0
	for a := range int(ws[0].Kernel) {
		p := first[0] + a*int(ws[0].Dilation)
		for b := range int(ws[1].Kernel) {
			q := first[1] + b*int(ws[1].Dilation)
			for c := range int(ws[2].Kernel) {
				o := first[2] + c*int(ws[2].Dilation)
				if p >= 0 && p < r.in[0] && q >= 0 && q < r.in[1] && o >= 0 && o < r.in[2] {
					out = append(out, met{k, (p*r.in[1]+q)*r.in[2] + o})
				}
				k++
			}
		}
	}
	return out
}

// widen writes x to dst, which is the first row of panels with room for so many.
func widen(dst []float64, room int, x []float32) {
	for i, v := range x {
		dst[kernel.InPanels(i, room)] = float64(v)
	}
}

// moments are mean products over columns of a layer's input in the quantized
// network, with a 1 behind (for the bias): own with themselves, n*n a group, and
// target with what the layer puts out in the float network, n*rows a group. Columns of
// the samples that judge are held for them.
type moments struct {
	n, rows     int
	own, target [][]float64
	count       int
	held        []held // by group
}

// held are columns and what the float network puts out for them, one after the other.
type held struct{ x, y []float64 }

const (
	// momentRows is how many columns are wanted at least, columnsEach how many
	// for every weight of an output element.
	momentRows  = 2048
	columnsEach = 5
	// heldRows is how many columns judge.
	heldRows = 256
	// momentWork limits the products of one layer.
	momentWork = 1e9
	// momentBlock is how many columns are multiplied at once, momentStripe how
	// many rows of the products one thread takes: both parts stay in its caches.
	momentBlock  = 128
	momentStripe = 32
)

// takes returns how many places of each of the samples take part.
func (f *weighted) takes(samples int) int {
	n, work := f.cols+1, momentWork/(float64(f.cols+1)*(float64(f.cols+1)/2+float64(f.rows)))
	if f.wide() {
		n = f.block()
		// What is left to make good is multiplied twice, and found again.
		work = min(blockWork/(float64(f.cols)*(float64(n)/2+float64(3*f.rows))), restBytes/8/float64(f.rows))
	}
	want := min(max(momentRows, columnsEach*n), int(work/float64(f.groups)))
	return max((want+samples-1)/max(samples, 1), 1)
}

// heldOf returns how many places of each of the samples that judge do.
func heldOf(judging int) int { return (heldRows + judging - 1) / max(judging, 1) }

func lanes(n int) int {
	return (n + kernel.ProductLanes - 1) / kernel.ProductLanes * kernel.ProductLanes
}

// columns are those drawn of a layer's input, with what the float network puts out for
// them.
type columns struct {
	f       *weighted
	entered []engine.Tensor // by batch
	put     []drawn
	readers []reader
	choose  []one
	judge   []one
}

// one is a column that was drawn.
type one struct{ batch, at int }

// columns finds those of an input: entered holds one tensor a batch, put what was drawn
// of what the float network's layer put out. It returns nil where the input does not fit,
// or none chooses.
func (f *weighted) columns(entered []engine.Tensor, put []drawn, spans []span) *columns {
	c := &columns{f: f, entered: entered, put: put, readers: make([]reader, len(entered))}
	for i := range entered {
		r, ok := f.reader(entered[i].Shape, spans[i].rows)
		if !ok || r.layout != put[i].put {
			return nil
		}
		c.readers[i] = r
		for k := range put[i].places {
			if spans[i].judges {
				c.judge = append(c.judge, one{i, k})
			} else {
				c.choose = append(c.choose, one{i, k})
			}
		}
	}
	if len(c.choose) == 0 {
		return nil
	}
	return c
}

// read writes columns from..to-1 of o: see [reader.columns].
func (c *columns) read(dst []float64, gap, room int, o one, from, to int) {
	c.readers[o.batch].columns(dst, gap, room, c.entered[o.batch].Floats, c.put[o.batch].places[o.at], from, to)
}

// result returns what a group of the float network's layer puts out for o.
func (c *columns) result(o one, g int) []float32 {
	return c.put[o.batch].y[(o.at*c.f.groups+g)*c.f.rows:][:c.f.rows]
}

// moments sums up columns from..to-1 of those that choose, with a 1 behind, and their
// products with what y writes for the one with that index and a group, as [columns.result].
// It returns nil where ctx is done.
func (c *columns) moments(ctx context.Context, pool *kernel.Pool, from, to int, y func(dst []float64, room, index, g int)) *moments {
	f, n := c.f, to-from+1
	ld, rows := lanes(n), lanes(f.rows)
	m := &moments{n: n, rows: f.rows, own: make([][]float64, f.groups), target: make([][]float64, f.groups), count: len(c.choose)}
	for g := range f.groups {
		m.own[g], m.target[g] = make([]float64, ld*ld), make([]float64, ld*rows)
	}
	// A block of columns is a row each, with the 1 and zeros behind, group by group.
	a, b := make([]float64, f.groups*momentBlock*ld), make([]float64, f.groups*momentBlock*rows)
	for g := range f.groups {
		for k := range momentBlock {
			a[g*momentBlock*ld+kernel.InPanels(n-1, momentBlock)+k*kernel.ProductLanes] = 1
		}
	}
	for first := 0; first < len(c.choose); first += momentBlock {
		if ctx.Err() != nil {
			return nil
		}
		count := min(momentBlock, len(c.choose)-first)
		pool.Run(count, func(i int) {
			at := i * kernel.ProductLanes
			c.read(a[at:], momentBlock*ld, momentBlock, c.choose[first+i], from, to)
			for g := range f.groups {
				y(b[g*momentBlock*rows+at:], momentBlock, first+i, g)
			}
		})
		stripes := (ld + momentStripe - 1) / momentStripe
		pool.Run(f.groups*stripes, func(k int) {
			g, lo := k/stripes, k%stripes*momentStripe
			hi := min(lo+momentStripe, ld)
			x, y := a[g*momentBlock*ld:], b[g*momentBlock*rows:]
			// Own is symmetric: what is right of the diagonal's tile is left out.
			kernel.PanelProducts(m.own[g], x, x, ld, momentBlock, count, lo, hi, hi)
			kernel.PanelProducts(m.target[g], x, y, rows, momentBlock, count, lo, hi, rows)
		})
	}
	for g := range f.groups {
		m.own[g], m.target[g] = m.packed(m.own[g], ld, n), m.packed(m.target[g], rows, f.rows)
		for i := range n {
			for j := range i {
				m.own[g][j*n+i] = m.own[g][i*n+j]
			}
		}
	}
	return m
}

// measure gathers the moments of a layer's whole input; nil where ctx is done.
func (c *columns) measure(ctx context.Context, pool *kernel.Pool) *moments {
	f := c.f
	m := c.moments(ctx, pool, 0, f.cols, func(dst []float64, room, i, g int) { widen(dst, room, c.result(c.choose[i], g)) })
	if m == nil {
		return nil
	}
	gapX, gapY := len(c.judge)*m.n, len(c.judge)*f.rows
	x, y := make([]float64, f.groups*gapX), make([]float64, f.groups*gapY)
	pool.Run(len(c.judge), func(i int) {
		c.read(x[i*m.n:], gapX, 1, c.judge[i], 0, f.cols)
		for g := range f.groups {
			widen(y[g*gapY+i*f.rows:], 1, c.result(c.judge[i], g))
		}
	})
	m.held = make([]held, f.groups)
	for g := range f.groups {
		m.held[g] = held{x[g*gapX:][:gapX], y[g*gapY:][:gapY]}
		for i := range c.judge {
			m.held[g].x[i*m.n+m.n-1] = 1
		}
	}
	return m
}

// packed returns the means of sums that have ld elements a row, with wide a row,
// in the same memory.
func (m *moments) packed(sums []float64, ld, wide int) []float64 {
	for i := range m.n {
		for j := range wide {
			sums[i*wide+j] = sums[i*ld+j] / float64(m.count)
		}
	}
	return sums[:m.n*wide]
}

// judge returns the sum of the squared errors that a row's weights, with the bias
// behind, make on the columns that judge.
func (m *moments) judge(g, row int, weights []float64) float64 {
	h, sum := m.held[g], 0.0
	for i := 0; i*m.n < len(h.x); i++ {
		d := kernel.Dot(h.x[i*m.n:(i+1)*m.n], weights) - h.y[i*m.rows+row]
		sum += float64(d * d)
	}
	return sum
}
