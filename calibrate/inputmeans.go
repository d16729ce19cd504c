package calibrate

import (
	"encoding/binary"
	"math"
	"slices"

	"narrow/graph"
	"narrow/graph/op"
	"narrow/internal/exact"
	"narrow/internal/kernel"
	"narrow/plan"
)

// inputMeans gathers what bias correction needs to know of the values that enter a
// weighted operation: for each weight, the mean of the elements it multiplies,
// over all places that the operation puts out. The mean change that other
// weights make to the output follows exactly, since it is linear in them:
// sum((w'-w) * mean). It does not depend on the weights, nor on what they are
// quantized to.
type inputMeans struct {
	op.Product
	value string // that enters it
	// sum is, in the order of one output channel's weights (Conv: [C, K...];
	// else [C, K...] with K empty), the sum of each sample's mean; total stands for it
	// where it comes rounded, from statistics.
	sum     []exact.Sum
	total   []float64
	samples int
	// invalid counts the samples skipped since they held NaN or Inf.
	invalid int
}

// newInputMeans returns those of a weighted node with constant weights, or nil
// for forms that it does not know.
func newInputMeans(n *graph.Node, w *graph.Tensor) *inputMeans {
	if w == nil || w.Type != graph.Float32 {
		return nil
	}
	p, ok := op.ProductOf(n, 1, w.Dims)
	switch {
	case !ok, !p.Convolution() && len(w.Dims) != 2:
		return nil
	case n.Is("ConvTranspose") && (n.Str("auto_pad", "NOTSET") != "NOTSET" || n.Attr("output_shape") != nil):
		return nil
	case n.Is("Gemm"):
		if a, _ := op.Trans(n); a != 0 || n.Float("beta", 1) != 1 {
			return nil
		}
	}
	return &inputMeans{Product: p, value: n.Input(0)}
}

// means returns those of m by the index of their node.
func means(m *graph.Model) map[int]*inputMeans {
	ix := graph.NewIndex(m.Graph)
	ps := map[int]*inputMeans{}
	for i, n := range m.Graph.Nodes {
		if p := newInputMeans(n, ix.Constant[n.Input(1)]); p != nil && ix.Constant[p.value] == nil {
			ps[i] = p
		}
	}
	return ps
}

// add takes samples that lie one after the other in x.
func (p *inputMeans) add(pool *kernel.Pool, x []float32, shape []int64, samples int) {
	if samples < 1 || len(x) == 0 || len(x)%samples != 0 {
		return
	}
	per := len(x) / samples
	means := make([][]float64, samples)
	var one []int64
	if len(shape) > 0 && shape[0]%int64(samples) == 0 {
		one = append([]int64{shape[0] / int64(samples)}, shape[1:]...)
	} else {
		one = shape
	}
	axes, places := p.axes(one)
	pool.Run(samples, func(i int) { means[i] = p.mean(x[i*per:(i+1)*per], one, axes, places) })
	for _, m := range means {
		switch {
		case m == nil || !p.fits(len(m)):
			return
		case !finite(m):
			p.invalid++
			continue
		case p.sum == nil:
			p.sum = make([]exact.Sum, len(m))
		}
		for i, v := range m {
			p.sum[i].Add(v)
		}
		p.samples++
	}
}

// sums returns them rounded.
func (p *inputMeans) sums() []float64 {
	if p.sum == nil {
		return p.total
	}
	return rounded(p.sum)
}

func rounded(sums []exact.Sum) []float64 {
	out := make([]float64, len(sums))
	for i := range sums {
		out[i] = sums[i].Float64()
	}
	return out
}

// appendSums appends the encoding of sums.
func appendSums(b []byte, sums []exact.Sum) []byte {
	b = binary.AppendUvarint(b, uint64(len(sums)))
	for i := range sums {
		b, _ = sums[i].AppendBinary(b) // never fails
	}
	return b
}

// sums takes what appendSums wrote; nil where that was none.
func (r *cursor) sums() []exact.Sum {
	n := r.count()
	if n == 0 {
		return nil
	}
	sums := make([]exact.Sum, n)
	for i := range sums {
		var err error
		if sums[i], r.b, err = exact.Decode(r.b); err != nil || r.bad {
			r.bad, r.b = true, nil
			return nil
		}
	}
	return sums
}

func finite(x []float64) bool {
	return !slices.ContainsFunc(x, func(v float64) bool { return math.IsNaN(v) || math.IsInf(v, 0) })
}

// mean returns one sample's means, or nil where the shape does not fit; axes and places
// are those of the shape.
func (p *inputMeans) mean(x []float32, shape []int64, axes []axis, places float64) []float64 {
	if p.Convolution() {
		return p.window(x, shape, axes, places)
	}
	k := p.In
	if k == 0 || len(x)%k != 0 {
		return nil
	}
	sum := make([]float64, k)
	for at := 0; at < len(x); at += k {
		for i, v := range x[at : at+k] {
			sum[i] += float64(v)
		}
	}
	rows := float64(len(x) / k)
	for i := range sum {
		sum[i] /= rows
	}
	return sum
}

// axes returns those of a convolution's input of that shape, and how many places it puts
// out for them; none where the shape does not fit, or for other nodes.
func (p *inputMeans) axes(shape []int64) (axes []axis, places float64) {
	if !p.Convolution() || len(shape) != len(p.Dims) {
		return nil, 0
	}
	places = 1
	for d, w := range p.Windows() {
		indices, out := p.meets(w, int(shape[2+d]))
		axes = append(axes, newAxis(int(shape[2+d]), indices))
		places *= float64(out)
	}
	return axes, places
}

// window is mean for convolutions: for each input channel and place in the
// kernel, the sum over the elements that the place meets, axis by axis.
func (p *inputMeans) window(x []float32, shape []int64, axes []axis, places float64) []float64 {
	if axes == nil {
		return nil
	}
	channels, rows := int(shape[1]), int(shape[0])
	if channels == 0 || rows == 0 || places < 1 {
		return nil
	}
	plane := len(x) / (channels * rows)
	sum := make([]float64, channels*p.Kernel)
	var room [2][]float64
	for r := range rows {
		for c := range channels {
			at := (r*channels + c) * plane
			for i, v := range reduce(x[at:at+plane], axes, &room) {
				sum[c*p.Kernel+i] += v
			}
		}
	}
	for i := range sum {
		sum[i] /= places * float64(rows)
	}
	return sum
}

// axis tells which indices of an axis each place of the kernel meets: those that all
// places do, in common, and others. whole says that all meet all.
type axis struct {
	size   int
	common []int
	others [][]int
	whole  bool
}

func newAxis(size int, indices [][]int) axis {
	a := axis{size: size, others: make([][]int, len(indices))}
	met := make([]int, size)
	for _, idx := range indices {
		for _, i := range idx {
			met[i]++
		}
	}
	for i, n := range met {
		if n == len(indices) {
			a.common = append(a.common, i)
		}
	}
	for j, idx := range indices {
		for _, i := range idx {
			if met[i] < len(indices) {
				a.others[j] = append(a.others[j], i)
			}
		}
	}
	a.whole = len(a.common) == size
	return a
}

// meets returns, for each place of the window w over a dimension of that
// size, the indices of the input that it multiplies, and the size of the output.
func (p *inputMeans) meets(w op.Window, size int) (indices [][]int, out int) {
	indices = make([][]int, w.Kernel)
	stride, dilation := int(w.Stride), int(w.Dilation)
	if p.Node.Is("ConvTranspose") {
		out = int(w.OutTransposed(int64(size)))
		for j := range indices {
			for i := range size {
				if to := i*stride - int(w.Before) + j*dilation; to >= 0 && to < out {
					indices[j] = append(indices[j], i)
				}
			}
		}
		return indices, out
	}
	before, _ := w.Pads(int64(size))
	n, _ := w.Out(int64(size))
	out = int(n)
	for j := range indices {
		for o := range out {
			if i := o*stride - int(before) + j*dilation; i >= 0 && i < size {
				indices[j] = append(indices[j], i)
			}
		}
	}
	return indices, out
}

// reduce sums a channel over the elements that each place of the kernel meets:
// the last axis first, then those before it. What it returns lies in room.
func reduce(x []float32, axes []axis, room *[2][]float64) []float64 {
	grow := func(i, n int) []float64 {
		if cap(room[i]) < n {
			room[i] = make([]float64, n)
		}
		return room[i][:n]
	}
	last := len(axes) - 1
	if !slices.ContainsFunc(axes, func(a axis) bool { return !a.whole || len(a.others) > 1 }) {
		out := grow(0, 1)
		out[0] = sumOf(x)
		return out
	}
	a := &axes[last]
	k := len(a.others)
	cur := grow(0, len(x)/a.size*k)
	for r := range len(x) / a.size {
		row := x[r*a.size : (r+1)*a.size]
		common := sumAt(row, a.common)
		for j, idx := range a.others {
			v := common
			for _, i := range idx {
				v += float64(row[i])
			}
			cur[r*k+j] = v
		}
	}
	inner := k
	for d := last - 1; d >= 0; d-- {
		a := &axes[d]
		k := len(a.others)
		outer := len(cur) / (a.size * inner)
		next := grow((last-d)%2, outer*k*inner)
		for o := range outer {
			from, to := cur[o*a.size*inner:], next[o*k*inner:][:k*inner]
			common := to[:inner] // the first place's, which is completed last
			clear(common)
			for _, i := range a.common {
				for j, v := range from[i*inner:][:inner] {
					common[j] += v
				}
			}
			for p := k - 1; p >= 0; p-- {
				sum := to[p*inner:][:inner]
				copy(sum, common)
				for _, i := range a.others[p] {
					for j, v := range from[i*inner:][:inner] {
						sum[j] += v
					}
				}
			}
		}
		cur, inner = next, inner*k
	}
	return cur
}

// sumAt sums row over ascending indices.
func sumAt(row []float32, idx []int) float64 {
	n := len(idx)
	if n == 0 {
		return 0
	}
	if idx[n-1]-idx[0] != n-1 {
		s := 0.0
		for _, i := range idx {
			s += float64(row[i])
		}
		return s
	}
	return sumOf(row[idx[0] : idx[0]+n])
}

// sumOf sums x in four partial sums, which do not wait for one another.
func sumOf(x []float32) float64 {
	var a, b, c, d float64
	for ; len(x) >= 4; x = x[4:] {
		a += float64(x[0])
		b += float64(x[1])
		c += float64(x[2])
		d += float64(x[3])
	}
	for _, v := range x {
		a += float64(v)
	}
	return (a + b) + (c + d)
}

// change returns, per output channel, by how much the mean of the output is
// larger with the weights quantized than with float.
func (p *inputMeans) change(float, quantized []float32) []float64 {
	out, sums := make([]float64, p.Out), p.sums()
	for at := 0; at < len(float); at += p.Kernel {
		o, first := p.OutOf(at), p.InOf(at)*p.Kernel
		for k := range p.Kernel {
			mean := sums[first+k] / float64(p.samples)
			out[o] += float64((float64(quantized[at+k]) - float64(float[at+k])) * mean)
		}
	}
	if p.Node.Is("Gemm") {
		alpha := float64(p.Node.Float("alpha", 1))
		for o := range out {
			out[o] *= alpha
		}
	}
	return out
}

// fits reports whether sums of that length are what p gathers.
func (p *inputMeans) fits(n int) bool { return n == p.In*p.Kernel }

// inputMeansOf returns the input means of an operation whose bias is to be corrected, or nil.
func inputMeansOf(ps map[int]*inputMeans, nodes map[*graph.Node]int, op *plan.Operation) *inputMeans {
	i, ok := nodes[op.Node]
	if !ok || ps[i] == nil || !slices.Contains(op.Weights.Uses, plan.Use{Node: op.Node, Input: 1}) {
		return nil
	}
	return ps[i]
}
