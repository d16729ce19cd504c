package calibrate

import (
	"math"
	"slices"

	"narrow/graph"
	"narrow/internal/kernel"
	"narrow/plan"
)

// patch gathers what bias correction needs to know of the values that enter a
// weighted operation: for each weight, the mean of the elements it multiplies,
// over all places that the operation puts out. The mean change that other
// weights make to the output follows exactly, since it is linear in them:
// sum((w'-w) * mean). It does not depend on the weights, nor on what they are
// quantized to.
type patch struct {
	node  *graph.Node
	value string // that enters it
	// dims are those of the weights.
	dims []int64
	// sum is, in the order of one output channel's weights (Conv: [C, K...];
	// else [C, K...] with K empty), the sum of each sample's mean.
	sum     []float64
	samples int
	// invalid counts the samples passed over since they held NaN or Inf.
	invalid int
}

// newPatch returns the patch of a weighted node with constant weights, or nil
// for forms that it does not know.
func newPatch(n *graph.Node, w *graph.Tensor) *patch {
	if w == nil || w.Type != graph.Float32 || n.Domain != "" {
		return nil
	}
	switch n.OpType {
	case "Conv":
		if len(w.Dims) < 3 {
			return nil
		}
	case "ConvTranspose":
		if len(w.Dims) < 3 || n.Str("auto_pad", "NOTSET") != "NOTSET" || n.Attr("output_shape") != nil {
			return nil
		}
	case "Gemm":
		if len(w.Dims) != 2 || n.Int("transA", 0) != 0 || n.Float("beta", 1) != 1 {
			return nil
		}
	case "MatMul":
		if len(w.Dims) != 2 {
			return nil
		}
	default:
		return nil
	}
	return &patch{node: n, value: n.Input(0), dims: w.Dims}
}

// patches returns the patches of m by the index of their node.
func patches(m *graph.Model) map[int]*patch {
	ix := graph.NewIndex(m.Graph)
	ps := map[int]*patch{}
	for i, n := range m.Graph.Nodes {
		if p := newPatch(n, ix.Constant[n.Input(1)]); p != nil && ix.Constant[p.value] == nil {
			ps[i] = p
		}
	}
	return ps
}

// add takes samples that lie one after the other in x.
func (p *patch) add(pool *kernel.Pool, x []float32, shape []int64, samples int) {
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
	pool.Run(samples, func(i int) { means[i] = p.mean(x[i*per:(i+1)*per], one) })
	for _, m := range means {
		switch {
		case m == nil || !p.fits(len(m)):
			return
		case !finite(m):
			p.invalid++
			continue
		case p.sum == nil:
			p.sum = make([]float64, len(m))
		}
		for i, v := range m {
			p.sum[i] += v
		}
		p.samples++
	}
}

func finite(x []float64) bool {
	return !slices.ContainsFunc(x, func(v float64) bool { return math.IsNaN(v) || math.IsInf(v, 0) })
}

// mean returns one sample's means, or nil where the shape does not fit.
func (p *patch) mean(x []float32, shape []int64) []float64 {
	switch p.node.OpType {
	case "Conv", "ConvTranspose":
		return p.window(x, shape)
	}
	k := int(p.dims[0])
	if p.node.OpType == "Gemm" && p.node.Int("transB", 0) != 0 {
		k = int(p.dims[1])
	}
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

// window is mean for convolutions: for each input channel and place in the
// kernel, the sum over the elements that the place meets, axis by axis.
func (p *patch) window(x []float32, shape []int64) []float64 {
	spatial := len(p.dims) - 2
	if len(shape) != spatial+2 {
		return nil
	}
	places := 1.0
	meets := make([][][]int, spatial)
	kernelSize := 1
	for d := range spatial {
		size, k := int(shape[2+d]), int(p.dims[2+d])
		var out int
		meets[d], out = p.meets(d, size, k)
		places *= float64(out)
		kernelSize *= k
	}
	channels, rows := int(shape[1]), int(shape[0])
	if channels == 0 || rows == 0 || places < 1 {
		return nil
	}
	plane := len(x) / (channels * rows)
	sum := make([]float64, channels*kernelSize)
	for r := range rows {
		for c := range channels {
			at := (r*channels + c) * plane
			for i, v := range reduce(x[at:at+plane], shape[2:], meets) {
				sum[c*kernelSize+i] += v
			}
		}
	}
	for i := range sum {
		sum[i] /= places * float64(rows)
	}
	return sum
}

// meets returns, for each place k of the kernel along spatial axis d, the
// indices of the input that it multiplies, and the size of the output.
func (p *patch) meets(d, size, k int) (indices [][]int, out int) {
	n := p.node
	attr := func(name string, i, def int) int {
		if v := n.Ints(name); i < len(v) {
			return int(v[i])
		}
		return def
	}
	stride, dilation := attr("strides", d, 1), attr("dilations", d, 1)
	spatial := len(p.dims) - 2
	begin, end := attr("pads", d, 0), attr("pads", d+spatial, 0)
	reach := (k-1)*dilation + 1
	indices = make([][]int, k)
	if n.OpType == "ConvTranspose" {
		out = stride*(size-1) + attr("output_padding", d, 0) + reach - begin - end
		for j := range indices {
			for i := range size {
				if to := i*stride - begin + j*dilation; to >= 0 && to < out {
					indices[j] = append(indices[j], i)
				}
			}
		}
		return indices, out
	}
	switch pad := n.Str("auto_pad", "NOTSET"); pad {
	case "SAME_UPPER", "SAME_LOWER":
		total := max(((size+stride-1)/stride-1)*stride+reach-size, 0)
		begin = total / 2
		if pad == "SAME_LOWER" {
			begin = total - begin
		}
		end = total - begin
	case "VALID":
		begin, end = 0, 0
	}
	out = max((size+begin+end-reach)/stride+1, 0)
	for j := range indices {
		for o := range out {
			if i := o*stride - begin + j*dilation; i >= 0 && i < size {
				indices[j] = append(indices[j], i)
			}
		}
	}
	return indices, out
}

// reduce sums a channel over the elements that each place of the kernel meets:
// the last axis first, then those before it.
func reduce(x []float32, shape []int64, meets [][][]int) []float64 {
	last := len(shape) - 1
	size := int(shape[last])
	rows := len(x) / size
	k := len(meets[last])
	cur := make([]float64, rows*k)
	for r := range rows {
		row := x[r*size : (r+1)*size]
		for j, idx := range meets[last] {
			cur[r*k+j] = sumAt(row, idx)
		}
	}
	inner := k
	for d := last - 1; d >= 0; d-- {
		size := int(shape[d])
		outer := len(cur) / (size * inner)
		next := make([]float64, 0, outer*len(meets[d])*inner)
		for o := range outer {
			for _, idx := range meets[d] {
				at := len(next)
				next = append(next, make([]float64, inner)...)
				for _, i := range idx {
					for j, v := range cur[(o*size+i)*inner : (o*size+i+1)*inner] {
						next[at+j] += v
					}
				}
			}
		}
		cur, inner = next, inner*len(meets[d])
	}
	return cur
}

// sumAt sums row over ascending indices; a run without gaps in four partial
// sums, which do not wait for one another.
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
	row = row[idx[0] : idx[0]+n]
	var a, b, c, d float64
	for ; len(row) >= 4; row = row[4:] {
		a += float64(row[0])
		b += float64(row[1])
		c += float64(row[2])
		d += float64(row[3])
	}
	for _, v := range row {
		a += float64(v)
	}
	return (a + b) + (c + d)
}

// change returns, per output channel, by how much the mean of the output is
// larger with the weights quantized than with float.
func (p *patch) change(float, quantized []float32) []float64 {
	delta := func(i int) float64 { return float64(quantized[i]) - float64(float[i]) }
	mean := func(i int) float64 { return p.sum[i] / float64(p.samples) }
	d0, d1 := int(p.dims[0]), int(p.dims[1])
	inner := 1
	for _, d := range p.dims[2:] {
		inner *= int(d)
	}
	groups := int(p.node.Int("group", 1))
	var out []float64
	switch {
	case p.node.OpType == "Conv":
		out = make([]float64, d0)
		for o := range out {
			first := o / max(d0/groups, 1) * d1 // the group's first input channel
			for i := range d1 * inner {
				out[o] += float64(delta(o*d1*inner+i) * mean(first*inner+i))
			}
		}
	case p.node.OpType == "ConvTranspose":
		out = make([]float64, d1*groups)
		for c := range d0 {
			g := c / max(d0/groups, 1)
			for o := range d1 {
				for i := range inner {
					out[g*d1+o] += float64(delta((c*d1+o)*inner+i) * mean(c*inner+i))
				}
			}
		}
	case p.node.OpType == "Gemm" && p.node.Int("transB", 0) != 0:
		out = make([]float64, d0)
		for o := range out {
			for i := range d1 {
				out[o] += float64(delta(o*d1+i) * mean(i))
			}
		}
	default:
		out = make([]float64, d1)
		for i := range d0 {
			for o := range out {
				out[o] += float64(delta(i*d1+o) * mean(i))
			}
		}
	}
	if p.node.OpType == "Gemm" {
		alpha := float64(p.node.Float("alpha", 1))
		for o := range out {
			out[o] *= alpha
		}
	}
	return out
}

// fits reports whether sums of that length are what p gathers.
func (p *patch) fits(n int) bool {
	inner := 1
	for _, d := range p.dims[2:] {
		inner *= int(d)
	}
	switch p.node.OpType {
	case "Conv":
		return n == int(p.dims[1]*p.node.Int("group", 1))*inner
	case "ConvTranspose":
		return n == int(p.dims[0])*inner
	case "Gemm":
		if p.node.Int("transB", 0) != 0 {
			return n == int(p.dims[1])
		}
	}
	return n == int(p.dims[0])
}

// of returns the patch of an operation whose bias is to be corrected, or nil.
func patchOf(ps map[int]*patch, nodes map[*graph.Node]int, op *plan.Operation) *patch {
	i, ok := nodes[op.Node]
	if !ok || ps[i] == nil || !slices.Contains(op.Weights.Uses, plan.Use{Node: op.Node, Input: 1}) {
		return nil
	}
	return ps[i]
}
