package export

import (
	"math"
	"slices"

	"narrow/graph"
	"narrow/graph/op"
	"narrow/plan"
)

// storedBias is a bias as int32 in units of the products that one or several
// operators add it to.
type storedBias struct {
	uses []plan.Use
	// rounded are the values in units of scales, ints the same with the shift.
	rounded, ints []int64
	scales        []float32
}

// sumBias stores a bias as int32 in units of the products that it is added to,
// once for all operators with the same units. ok is false where the bias has no
// such units, or they do not hold it: the input or the weights are no integers,
// or the bias is too large.
func (q *qdq) sumBias(t *plan.Tensor, values []float32, out string) (nodes []*graph.Node, ok bool) {
	var stored []storedBias
	for _, u := range t.Uses {
		scales, ok := q.productScales(u, len(values))
		if d := t.Constant.Dims; !ok || len(scales) > 1 && (len(d) == 0 || d[len(d)-1] != int64(len(scales))) { // a Gemm may read [N, 1], one for each sample
			return nil, false
		}
		rounded, ok := inSums(values, scales)
		if !ok {
			return nil, false
		}
		ints := slices.Clone(rounded)
		q.shiftInts(q.nodes[u.Node], ints, scales)
		i := slices.IndexFunc(stored, func(b storedBias) bool { return slices.Equal(b.scales, scales) && slices.Equal(b.ints, ints) })
		if i < 0 {
			i, stored = len(stored), append(stored, storedBias{nil, rounded, ints, scales})
		}
		stored[i].uses = append(stored[i].uses, u)
	}
	for i, b := range stored {
		q.auditBias(t, values, b.rounded, b.scales)
		if q.stored != nil && len(stored) == 1 {
			q.stored[t] = dequantized(b.rounded, b.scales)
		}
		name := out
		if i > 0 {
			name = q.fresh(out)
			for _, u := range b.uses {
				q.nodes[u.Node].Inputs[u.Input] = name
			}
		}
		nodes = append(nodes, q.dequantizeSums(t.Name, t.Constant.Dims, b.ints, b.scales, name))
	}
	return nodes, len(stored) > 0
}

// dequantizeSums stores int32 sums with one scale, or one for each element of the
// last axis, and returns the node that makes floats of them.
func (q *qdq) dequantizeSums(name string, dims, ints []int64, scales []float32, out string) *graph.Node {
	axis := -1
	if len(scales) > 1 {
		axis = len(dims) - 1 // a Gemm may read [1, N]
	}
	return q.dequantize(name, pack(name+"_quantized", graph.Int32, dims, ints), scales, make([]int64, len(scales)), axis, out)
}

// inSums returns values in units of scales, rounded; false where int32 does not
// hold them.
func inSums(values, scales []float32) ([]int64, bool) {
	ints := make([]int64, len(values))
	for i, v := range values {
		s := scales[min(i, len(scales)-1)]
		if s < 0x1p-126 {
			return nil, false
		}
		r := math.RoundToEven(float64(v) / float64(s))
		if !(math.Abs(r) <= math.MaxInt32) {
			return nil, false
		}
		ints[i] = int64(r)
	}
	return ints, true
}

// dequantized returns the values that ints in units of scales stand for.
func dequantized(ints []int64, scales []float32) []float32 {
	x := make([]float32, len(ints))
	for i, v := range ints {
		x[i] = float32(v) * scales[min(i, len(scales)-1)]
	}
	return x
}

// shiftsAlone gives operators without a bias one that holds nothing but the
// shift of their result, and returns the nodes that make it.
func (q *qdq) shiftsAlone() []*graph.Node {
	if q.opts.KeepBias {
		return nil
	}
	var nodes []*graph.Node
	for _, node := range q.in.Plan.Model.Graph.Nodes {
		n := q.nodes[node]
		s, ok := q.shifts[n]
		if !ok || n.Input(2) != "" {
			continue
		}
		channels := q.channels(node)
		scales, ok := q.productScales(plan.Use{Node: node, Input: 2}, channels)
		if !ok {
			continue
		}
		ints := make([]int64, channels)
		if q.shiftInts(n, ints, scales); !q.shifted[s.of] {
			continue
		}
		name := q.fresh(s.of + "_bias")
		for len(n.Inputs) < 3 {
			n.Inputs = append(n.Inputs, "")
		}
		n.Inputs[2] = name
		nodes = append(nodes, q.dequantizeSums(name, []int64{int64(channels)}, ints, scales, name))
	}
	return nodes
}

// channels returns how many channels a Conv, ConvTranspose or Gemm with quantized
// weights puts out, 0 where that is not known.
func (q *qdq) channels(n *graph.Node) int {
	t := q.constantAt(plan.Use{Node: n, Input: 1})
	if t == nil {
		return 0
	}
	c := t.Constant.Dims[op.WeightAxis(n, 1, len(t.Constant.Dims))]
	if n.OpType == "ConvTranspose" {
		c *= n.Int("group", 1)
	}
	return int(c)
}

// findProducts finds the Adds of a bias behind a MatMul whose values have two axes, since
// ONNX Runtime makes a Gemm of the two.
func (q *qdq) findProducts() {
	q.products, q.gemms = map[*graph.Node]*graph.Node{}, map[*graph.Node]bool{}
	for _, o := range q.in.Plan.Operations {
		if add := o.Nodes[len(o.Nodes)-1]; o.Node.Is("MatMul") && add.Is("Add") && len(q.shapes[o.Node.Input(0)]) == 2 && len(q.shapes[add.Outputs[0]]) == 2 {
			q.products[add], q.gemms[q.nodes[add]] = o.Node, true
		}
	}
}

// productOf returns the operator to whose products the bias that is read at u is added,
// or nil where there is none.
func (q *qdq) productOf(u plan.Use) *graph.Node {
	if u.Node.Is("Conv", "ConvTranspose", "Gemm") && u.Input == 2 {
		return u.Node
	}
	return q.products[u.Node]
}

// productScales returns the scales of the products that the bias of n elements
// read at u is added to: one, or one per channel. The operator's input and weights
// must be integers of at most 8 bits: wider ones have no integer kernels.
func (q *qdq) productScales(u plan.Use, n int) ([]float32, bool) {
	node := q.productOf(u)
	if node == nil {
		return nil, false
	}
	in, ok := q.inputEncoding(q.producer, q.nodes[node].Input(0))
	if !ok || in.Max-in.Min > 255 {
		return nil, false
	}
	w, ok := q.weightEncoding(plan.Use{Node: node, Input: 1})
	if !ok || w.Max-w.Min > 255 || len(w.Scale) > 1 && len(w.Scale) != n {
		return nil, false
	}
	if st, ok := storageFor(w.Min, w.Max, q.opset, q.form.least); ok && st.typ.Bits() < 8 {
		return nil, false // stored in 4 bits, which no integer kernel takes, and whose sums are coarse
	}
	if op.ChannelsPerGroup(node) && len(w.Scale) > 1 {
		return nil, false // channels of the weights are those of one group
	}
	scales := make([]float32, len(w.Scale))
	for i, s := range w.Scale {
		scales[i] = s * in.Scale[0]
	}
	return scales, true
}
