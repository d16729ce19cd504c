package export

import (
	"slices"

	"narrow/graph"
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
	if !q.form.fuse || q.opts.ExactRounding || st.hi-st.lo != 255 {
		return
	}
	n := l.inner(in)
	if n == nil {
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
		// The bounds count only in float: always a pair.
	case clamped && fusable(n) && !q.requantized(l, in, e.Scale[0]):
		q.extra = append(q.extra, extraPair{t, e, st, in, in, nil})
		return
	default:
		return
	}
	if p := l.inner(n.Input(0)); p != nil && fusable(p) && !q.requantized(l, n.Input(0), e.Scale[0]) && !(q.holds(l, t, e, in) && !p.Is("Conv", "ConvTranspose", "Gemm", "MatMul")) {
		q.fuseInput(l, t, e, st, n, 0)
	}
}

// fuseInput puts a pair before input i of n, or, where what is read there is
// an activation function behind an operator that can fuse, before that.
func (q *qdq) fuseInput(l *links, t *plan.Tensor, e scheme.Encoding, st storage, n *graph.Node, i int) {
	if p := l.inner(n.Inputs[i]); p != nil && n.Is("Concat") && p.Is("Relu", "Clip") {
		if o := l.inner(p.Input(0)); o != nil && fusable(o) && !q.requantized(l, p.Input(0), e.Scale[0]) && !(p.Is("Relu") && e.ZeroPoint[0] == st.lo) {
			q.extra = append(q.extra, extraPair{t, e, st, p.Inputs[0], p.Outputs[0], p})
		}
	}
	from := n.Inputs[i]
	if !n.Is("Concat") {
		from = n.Outputs[0]
	}
	q.extra = append(q.extra, extraPair{t, e, st, n.Inputs[i], from, n})
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
