package export

import (
	"math"
	"slices"

	"narrow/graph"
	"narrow/graph/op"
	"narrow/plan"
	"narrow/scheme"
)

// links are who makes and who reads the values of q.m.
type links struct {
	producer map[string]*graph.Node
	readers  map[string]int
	// reader is the node that reads a value, nil where several do.
	reader   map[string]*graph.Node
	outputs  map[string]bool
	constant map[string]*graph.Tensor
	// positive holds what [qdq.nonNegative] has found, sums what [qdq.onGrid] has.
	positive, sums map[string]bool
}

func newLinks(g *graph.Graph) *links {
	l := &links{producer: map[string]*graph.Node{}, readers: map[string]int{}, reader: map[string]*graph.Node{}, outputs: map[string]bool{},
		constant: graph.NewIndex(g).Constant, positive: map[string]bool{}, sums: map[string]bool{}}
	for _, n := range g.Nodes {
		for _, o := range n.Outputs {
			l.producer[o] = n
		}
		for _, in := range graph.Reads(n) {
			l.readers[in]++
			l.reader[in] = n
			if l.readers[in] > 1 {
				l.reader[in] = nil
			}
		}
	}
	for _, v := range g.Outputs {
		l.outputs[v.Name] = true
	}
	return l
}

// producedBy returns the node that puts out value, or nil.
func (l *links) producedBy(value string) *graph.Node { return l.producer[value] }

// inner returns the node that puts out value when one node alone reads it.
func (l *links) inner(value string) *graph.Node {
	if l.readers[value] != 1 || l.outputs[value] {
		return nil
	}
	return l.producer[value]
}

// fusable are the operators that runtimes have integer kernels for, when a
// QuantizeLinear follows directly.
func fusable(n *graph.Node) bool {
	return n.Is("Conv", "ConvTranspose", "Gemm", "MatMul", "Add", "Mul", "GlobalAveragePool", "AveragePool", "Concat")
}

// fuse puts a second pair of t's encoding between an operator and the
// activation function, or the clamp, or the Concat that stands between it and
// t's own quantizer, in, where runtimes would otherwise compute the operator in
// float. That changes no number: quantizing keeps order and is idempotent, so
// it commutes with Relu and Clip, and with moving values.
//
// clamped says that a Clip of our own comes before the quantizer. Where the
// scale holds ties, only products are fused: ONNX Runtime's integer Add adds
// the zero point before it rounds, and loses them.
func (q *qdq) fuse(l *links, t *plan.Tensor, e scheme.Encoding, st storage, in string, clamped bool) {
	n := l.inner(in)
	if n == nil || q.opts.ExactRounding || st.hi-st.lo != 255 || !q.form.fuse && !(q.form.everywhere && n.Is("Concat")) {
		return
	}
	if copiesNearest(n) {
		q.fuseResize(l, t, e, st, n)
		return
	}
	if n.Is("Concat") {
		for i, x := range n.Inputs {
			if !slices.Contains(n.Inputs[:i], x) && l.producer[x] != nil && q.tensor[l.producer[x]] == nil && !q.requantized(l, x, e.Scale[0]) {
				q.fuseInput(l, t, e, st, n, i)
			}
		}
		return
	}
	switch {
	case n.Is("Relu"):
		if !clamped && e.ZeroPoint[0] == st.lo {
			return // the integers' range says the same: runtimes drop the Relu
		}
	case n.Is("Clip"):
		if !clamped && l.covers(n, e, st) {
			return // likewise
		}
	case clamped && fusable(n) && !q.requantized(l, in, e.Scale[0]):
		q.extra = append(q.extra, extraPair{t: t, e: e, st: st, value: in, from: in})
		return
	default:
		return
	}
	if p := l.inner(n.Input(0)); p != nil && fusable(p) && !q.requantized(l, n.Input(0), e.Scale[0]) && (q.gemms[p] || p.Is("Conv", "ConvTranspose", "Gemm", "MatMul") || !q.holds(l, t, e, in)) {
		q.fuseInput(l, t, e, st, n, 0)
	}
}

// fuseInput puts a pair before input i of n, or, where what is read there is
// an activation function behind an operator that can fuse, before that.
func (q *qdq) fuseInput(l *links, t *plan.Tensor, e scheme.Encoding, st storage, n *graph.Node, i int) {
	if p := l.inner(n.Inputs[i]); p != nil && q.form.fuse && n.Is("Concat") && p.Is("Relu", "Clip") {
		if o := l.inner(p.Input(0)); o != nil && fusable(o) && !q.requantized(l, p.Input(0), e.Scale[0]) && !(p.Is("Relu") && e.ZeroPoint[0] == st.lo) {
			q.extra = append(q.extra, extraPair{t: t, e: e, st: st, value: p.Inputs[0], from: p.Outputs[0], reader: p})
		}
	}
	if p := l.inner(n.Inputs[i]); p != nil && copiesNearest(p) {
		q.fuseResize(l, t, e, st, p)
	}
	from := n.Inputs[i]
	if !n.Is("Concat") {
		from = n.Outputs[0]
	}
	q.extra = append(q.extra, extraPair{t: t, e: e, st: st, value: n.Inputs[i], from: from, reader: n})
}

// covers reports whether every value that the integers of an encoding stand for
// lies within a Clip's bounds. ONNX Runtime drops such a Clip in front of a
// QuantizeLinear; it compares in float32, as is done here.
func (l *links) covers(clip *graph.Node, e scheme.Encoding, st storage) bool {
	bound := func(i int, none float32) float32 {
		if clip.Input(i) == "" {
			return none
		}
		c := l.constant[clip.Input(i)]
		if c == nil {
			return float32(math.NaN())
		}
		v, err := c.Floats()
		if err != nil || len(v) != 1 {
			return float32(math.NaN())
		}
		return v[0]
	}
	least := e.Scale[0] * float32(st.lo-e.ZeroPoint[0])
	most := e.Scale[0] * float32(st.hi-e.ZeroPoint[0])
	return bound(1, -math.MaxFloat32) <= least && most <= bound(2, math.MaxFloat32)
}

// fuseResize puts a pair of t's encoding in front of a Resize that copies values,
// so that ONNX Runtime does that on integers.
func (q *qdq) fuseResize(l *links, t *plan.Tensor, e scheme.Encoding, st storage, resize *graph.Node) {
	x := resize.Inputs[0]
	in, ok := q.inputEncoding(l.producedBy, x)
	if ok && in.Scale[0] == e.Scale[0] && in.ZeroPoint[0] == e.ZeroPoint[0] || q.requantized(l, x, e.Scale[0]) {
		return
	}
	q.extra = append(q.extra, extraPair{t: t, e: e, st: st, value: x, from: x, reader: resize, apart: q.readOnceTap(l, x)})
}

// readOnceTap reports whether x is what a tap puts out for one reader: a pair in
// front of that reader then comes directly behind the tap's own.
func (q *qdq) readOnceTap(l *links, x string) bool {
	p := l.producer[x]
	return p != nil && q.tensor[p] != nil && l.readers[x] == 1
}

// copiesNearest reports whether n resizes by copying values, which ONNX Runtime
// does on 8-bit integers where the same pair stands on both sides.
func copiesNearest(n *graph.Node) bool {
	return n.Is("Resize", "Upsample") && n.Str("mode", "nearest") == "nearest" &&
		n.Str("coordinate_transformation_mode", "half_pixel") != "tf_crop_and_resize"
}

// extraPair is a pair that reads value, and whose result reader reads in its
// place; nil means the quantizer's own first node.
type extraPair struct {
	t     *plan.Tensor
	e     scheme.Encoding
	st    storage
	value string
	// from is the value whose rounding counts: behind the activation function.
	from   string
	reader *graph.Node
	// apart says that a pair with another scale comes directly before, which ONNX
	// Runtime would make one pair of the two that has a third scale.
	apart bool
	// steps are by how many the value is shifted.
	steps int64
}

// staysSigned reports whether ONNX Runtime on x86, which makes int8 pairs unsigned
// where one reader follows, would not do so with the pair in the place of tap: it
// would then compute the operators around it in float. Behind an activation function
// each reader gets a pair of its own (see perReader); directly behind an operator
// a second pair would hinder that. Other targets than the CPU may take nothing but int8.
func (q *qdq) staysSigned(l *links, tap *graph.Node) bool {
	n := l.producer[tap.Inputs[0]]
	return q.form.unsigned && q.in.Plan.Strategy.Target == scheme.CPU && l.readers[tap.Outputs[0]] > 1 && n != nil && fusable(n)
}

// sharedFloat returns a node that the operators which read x, what t's tap puts
// out, as a float number read in its place; nil where there are no two of them. It
// changes no number. Without it ONNX Runtime gives each of them a DequantizeLinear
// of its own, and then no longer sees x * Sigmoid(x), a GELU or a written-out
// LayerNormalization as the one operator that it could compute.
func (q *qdq) sharedFloat(l *links, t *plan.Tensor, x string) *graph.Node {
	if !q.form.fuse || l.readers[x] < 2 {
		return nil
	}
	var readers []*graph.Node
	for _, n := range q.m.Graph.Nodes {
		if slices.Contains(n.Inputs, x) && q.computesFloat(l, n) {
			readers = append(readers, n)
		}
	}
	if len(readers) < 2 {
		return nil
	}
	shared := q.unfused(ruleFuse, t, x, math.MaxFloat32)
	out := shared.Outputs[0]
	for _, n := range readers {
		for i, in := range n.Inputs {
			if in == x {
				n.Inputs[i] = out
			}
		}
	}
	l.producer[out], l.readers[out] = shared, len(readers)
	l.readers[x] -= len(readers)
	return shared
}

// computesFloat reports whether n can't be computed in integers, whatever its type:
// its result is not quantized, or it reads something that is not.
func (q *qdq) computesFloat(l *links, n *graph.Node) bool {
	if q.tensor[n] != nil || op.Moves(n) || q.movesOnly(l, n) || copiesNearest(n) {
		return false
	}
	quantized := func(v string) bool {
		p := l.producer[v]
		return p == nil || q.tensor[p] != nil || p.Is("DequantizeLinear") || q.source(l.producedBy, v) != nil
	}
	for _, in := range n.Inputs {
		if in != "" && l.constant[in] == nil && !quantized(in) {
			return true
		}
	}
	if fusable(n) {
		return false
	}
	for _, out := range n.Outputs {
		for _, r := range q.m.Graph.Nodes {
			if slices.Contains(r.Inputs, out) && (q.tensor[r] != nil || r.Is("Relu", "Clip")) {
				return false
			}
		}
	}
	return true
}

// perReader gives each reader of out but the first a pair of its own, like that
// in to out. ONNX
// Runtime on x86 turns int8 pairs into uint8 ones, but only where one reader
// follows, and fuses nothing where the two types then meet.
func (q *qdq) perReader(l *links, t *plan.Tensor, e scheme.Encoding, st storage, to float32, steps int64, in, out string) []*graph.Node {
	if st.typ != graph.Int8 {
		return nil
	}
	var nodes []*graph.Node
	first := true
	for _, n := range q.m.Graph.Nodes {
		if !slices.Contains(n.Inputs, out) {
			continue
		}
		if first {
			first = false
			continue
		}
		own := q.fresh(out + "_again")
		l.producer[own], l.readers[own] = l.producer[out], 1
		for i, x := range n.Inputs {
			if x == out {
				n.Inputs[i] = own
			}
		}
		nodes = append(nodes, q.pair(ruleFuse, t, e, st, to, steps, in, own)...)
	}
	return nodes
}
