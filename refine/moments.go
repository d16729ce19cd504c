package refine

import (
	"context"
	"math/rand/v2"

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
	f := &weighted{node: n, groups: p.Groups, rows: p.Out / p.Groups, cols: p.In / p.Groups * p.Kernel}
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
	f       *weighted
	samples int // samples in the batch, with padding
	per     int // how often the first axis is as long as that
	spatial int // columns one element of the first axis has for each group
	places  int // columns a sample has for each group
	in, out [3]int
	chans   int
	pad     [3]int
}

// reader returns how to read an input of that shape, which belongs to rows
// samples; ok is false where it does not fit the layer.
func (f *weighted) reader(shape []int64, rows int) (reader, bool) {
	r := reader{f: f, in: [3]int{1, 1, 1}, out: [3]int{1, 1, 1}, samples: rows, spatial: 1}
	if len(shape) < 2 {
		return r, false
	}
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

// column writes the column of group g at a place of a sample to dst.
func (r *reader) column(dst []float64, x []float32, sample, place, g int) {
	if r.f.windows == nil {
		row := x[(sample*r.places+place)*r.f.cols:]
		for i := range r.f.cols {
			dst[i] = float64(row[i])
		}
		return
	}
	ws := r.f.windows
	sample, place = sample*r.per+place/r.spatial, place%r.spatial
	var at [3]int
	at[0], at[1], at[2] = place/(r.out[1]*r.out[2]), place/r.out[2]%r.out[1], place%r.out[2]
	for i := range at {
		at[i] = at[i]*int(ws[i].Stride) - r.pad[i]
	}
	plane := r.in[0] * r.in[1] * r.in[2]
	per := r.chans / r.f.groups
	i := 0
	for ch := g * per; ch < (g+1)*per; ch++ {
		data := x[(sample*r.chans+ch)*plane:][:plane]
		for a := range int(ws[0].Kernel) {
			p := at[0] + a*int(ws[0].Dilation)
			for b := range int(ws[1].Kernel) {
				q := at[1] + b*int(ws[1].Dilation)
				for d := range int(ws[2].Kernel) {
					s := at[2] + d*int(ws[2].Dilation)
					v := float32(0)
					if p >= 0 && p < r.in[0] && q >= 0 && q < r.in[1] && s >= 0 && s < r.in[2] {
						v = data[(p*r.in[1]+q)*r.in[2]+s]
					}
					dst[i] = float64(v)
					i++
				}
			}
		}
	}
}

// result writes what the layer put out for group g at a place of a sample to dst.
func (r *reader) result(dst []float64, y []float32, sample, place, g int) {
	rows := r.f.rows
	if r.f.windows == nil {
		for i, v := range y[(sample*r.places+place)*rows:][:rows] {
			dst[i] = float64(v)
		}
		return
	}
	sample, place = sample*r.per+place/r.spatial, place%r.spatial
	at := (sample*r.f.groups+g)*rows*r.spatial + place
	for i := range rows {
		dst[i] = float64(y[at+i*r.spatial])
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
	momentRows  = 4096
	columnsEach = 8
	// heldRows is how many columns judge.
	heldRows = 512
	// momentWork limits the products of one layer.
	momentWork = 1e9
	// momentBlock is how many columns are multiplied at once, momentStripe how
	// many rows of the products one thread takes: both parts stay in its caches.
	momentBlock  = 128
	momentStripe = 32
)

// takes returns how many places of each of the samples take part.
func (f *weighted) takes(samples int) int {
	n := f.cols + 1
	want := max(momentRows, columnsEach*n)
	want = min(want, int(momentWork/(float64(n)*(float64(n)/2+float64(f.rows))*float64(f.groups))))
	return max((want+samples-1)/max(samples, 1), 1)
}

func lanes(n int) int {
	return (n + kernel.ProductLanes - 1) / kernel.ProductLanes * kernel.ProductLanes
}

// measure gathers the moments of a layer's input: entered holds one tensor a
// batch, put what the float network's layer put out. Which places take part is
// drawn from seed. It returns nil where the input does not fit, or ctx is done.
func (f *weighted) measure(ctx context.Context, pool *kernel.Pool, entered, put []engine.Tensor, spans []span, seed uint64) *moments {
	choosing, judging := 0, 0
	for _, s := range spans {
		if s.judges {
			judging += s.count
		} else {
			choosing += s.count
		}
	}
	n := f.cols + 1
	across := lanes(n)
	ld := max(across, lanes(f.rows))
	m := &moments{n: n, rows: f.rows, own: make([][]float64, f.groups), target: make([][]float64, f.groups), held: make([]held, f.groups)}
	for g := range f.groups {
		m.own[g], m.target[g] = make([]float64, across*ld), make([]float64, across*ld)
	}
	// A block of columns is a row each, with the 1 and zeros behind, group by group.
	a, b := make([]float64, f.groups*momentBlock*ld), make([]float64, f.groups*momentBlock*ld)
	for k := range f.groups * momentBlock {
		a[k*ld+n-1] = 1
	}
	type place struct{ batch, sample, at int }
	var block, kept []place
	readers := make([]reader, len(entered))
	flush := func() {
		pool.Run(len(block), func(i int) {
			p := block[i]
			for g := range f.groups {
				at := (g*momentBlock + i) * ld
				readers[p.batch].column(a[at:], entered[p.batch].Floats, p.sample, p.at, g)
				readers[p.batch].result(b[at:], put[p.batch].Floats, p.sample, p.at, g)
			}
		})
		stripes := (across + momentStripe - 1) / momentStripe
		pool.Run(f.groups*stripes, func(k int) {
			g, lo := k/stripes, k%stripes*momentStripe
			hi := min(lo+momentStripe, across)
			at := g * momentBlock * ld
			// Own is symmetric: what is right of the diagonal's tile is left out.
			kernel.Products(m.own[g], a[at:], a[at:], ld, len(block), lo, hi, hi)
			kernel.Products(m.target[g], a[at:], b[at:], ld, len(block), lo, hi, lanes(f.rows))
		})
		m.count += len(block)
		block = block[:0]
	}
	draw := rand.New(rand.NewPCG(seed, 0))
	for i := range entered {
		r, ok := f.reader(entered[i].Shape, spans[i].rows)
		if !ok || len(put[i].Floats) < r.samples*r.places*f.groups*f.rows {
			return nil
		}
		readers[i] = r
		count, take := spans[i].count, f.takes(choosing)
		if spans[i].judges {
			take = (heldRows + judging - 1) / judging
		}
		if r.samples == 1 {
			count, take = 1, take*count
		}
		take = min(take, r.places)
		for s := range count {
			if ctx.Err() != nil {
				return nil
			}
			for k := range take {
				// One place out of each of take stretches.
				lo, hi := k*r.places/take, (k+1)*r.places/take
				p := place{i, s, lo + draw.IntN(hi-lo)}
				if spans[i].judges {
					kept = append(kept, p)
					continue
				}
				if block = append(block, p); len(block) == momentBlock {
					flush()
				}
			}
		}
	}
	if len(block) > 0 {
		flush()
	}
	if m.count == 0 {
		return nil
	}
	for g := range f.groups {
		m.own[g], m.target[g] = m.packed(m.own[g], ld, n), m.packed(m.target[g], ld, f.rows)
		for i := range n {
			for j := range i {
				m.own[g][j*n+i] = m.own[g][i*n+j]
			}
		}
		m.held[g] = held{make([]float64, len(kept)*n), make([]float64, len(kept)*f.rows)}
	}
	pool.Run(len(kept), func(i int) {
		p := kept[i]
		for g := range f.groups {
			readers[p.batch].column(m.held[g].x[i*n:], entered[p.batch].Floats, p.sample, p.at, g)
			m.held[g].x[i*n+n-1] = 1
			readers[p.batch].result(m.held[g].y[i*f.rows:], put[p.batch].Floats, p.sample, p.at, g)
		}
	})
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
