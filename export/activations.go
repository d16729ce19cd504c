package export

import (
	"math"

	"narrow/graph"
	"narrow/plan"
	"narrow/scheme"
)

// activations puts the pairs that quantize in the place of the taps.
func (q *qdq) activations() {
	g := q.m.Graph
	l := newLinks(g)
	for _, n := range g.Nodes {
		q.mixed = q.mixed || q.tensor[n] != nil && (q.staysSigned(l, n) || q.takesShift(l, n))
	}
	var nodes []*graph.Node
	for _, n := range g.Nodes {
		t := q.tensor[n]
		if t == nil {
			nodes = append(nodes, n)
			nodes = append(nodes, q.afterMove(l, n)...)
			nodes = append(nodes, q.beforeBodies(l, n)...)
			continue
		}
		nodes = append(nodes, q.quantize(l, t, n.Inputs[0], n.Outputs[0])...)
	}
	for _, x := range q.extra {
		out := q.fresh(x.t.Name + "_early")
		for i, in := range x.reader.Inputs {
			if in == x.value {
				x.reader.Inputs[i] = out
			}
		}
		value := x.value
		if x.apart {
			unfused := q.unfused(ruleFuse, x.t, value, math.MaxFloat32)
			nodes = append(nodes, unfused)
			value = unfused.Outputs[0]
		}
		if x.steps > 0 && !q.shifted[x.value] {
			shift := q.shift(x.t, x.e, x.steps, value)
			nodes = append(nodes, shift)
			value = shift.Outputs[0]
		}
		nodes = append(nodes, q.pair(ruleFuse, x.t, x.e, x.st, q.tieScale(l, x.t, x.e, x.from), x.steps, value, out)...)
	}
	g.Nodes = nodes
}

// quantize returns the nodes that quantize the value in by t's encoding and
// put out its dequantized self as out.
func (q *qdq) quantize(l *links, t *plan.Tensor, in, out string) []*graph.Node {
	switch t.Settings.Settings.Datatype {
	case scheme.BFloat16:
		return q.castPair(t.Name, graph.BFloat16, in, out)
	case scheme.Float16:
		return q.castPair(t.Name, graph.Float16, in, out)
	}
	e := q.in.Encodings[t]
	steps := q.shiftSteps(l, t, e, in)
	st, ok := storageFor(e.Min, e.Max, q.opset, 8)
	if ok && st.typ == graph.Int8 && (q.unsigned() || q.mixed || steps > 0) {
		e, st = shifted(e, 128), storage{graph.Uint8, 0, 255}
	}
	if !ok {
		return q.floatQuantize(t, e, in, out)
	}
	q.pairs[t] = storedPair{e, st}
	var nodes []*graph.Node
	from := in // the value to round, whatever is put before the pair
	if q.opts.ExactRounding && !dividesAlike(t, e) {
		round, mid := q.rounding(t, e, in)
		nodes = append(nodes, round...)
		scaled := q.node(ruleRound, "Mul", t.Name+"/RoundedTimesScale", "", []string{mid, q.scalar(t.Name+"_scale", e.Scale[0])})
		nodes = append(nodes, scaled)
		in = scaled.Outputs[0]
	}
	source := len(q.extra)
	if concat := q.shiftedConcat(l, t, e, in); concat != nil {
		q.quantizeOperands(l, t, e, st, concat)
		steps = 0
	} else if steps > 0 && !q.shifted[in] {
		shift := q.shift(t, e, steps, in)
		nodes = append(nodes, shift)
		in = shift.Outputs[0]
	}
	clamped := e.Max != st.hi || e.Min != st.lo && !q.nonNegative(l, in)
	if steps == 0 && len(q.extra) == source {
		q.fuse(l, t, e, st, in, clamped)
	}
	if clamped {
		zero := e.ZeroPoint[0] - steps
		clip := q.clip(t.Name, in, "", float32(e.Min-zero)*e.Scale[0], float32(e.Max-zero)*e.Scale[0])
		nodes = append(nodes, clip)
		in = clip.Outputs[0]
		for i := source; i < len(q.extra); i++ {
			if q.extra[i].reader == nil {
				q.extra[i].reader = clip
			}
		}
	}
	// The same keeps ONNX Runtime from quantizing float weights itself.
	most := q.guard(l, t, e, st, in)
	if q.form.fuse && q.requantized(l, from, e.Scale[0]) {
		most = math.MaxFloat32
	}
	if most > 0 {
		guard := q.unfused(ruleQDQ, t, in, most)
		nodes = append(nodes, guard)
		in = guard.Outputs[0]
	}
	scale := e.Scale[0]
	if early := len(q.extra) > source; !early || l.producer[from].Is("Concat") {
		scale = q.tieScale(l, t, e, from)
	}
	nodes = append(nodes, q.pair(ruleQDQ, t, e, st, scale, steps, in, out)...)
	if shared := q.sharedFloat(l, t, out); shared != nil {
		nodes = append(nodes, shared)
	}
	if p := l.producer[in]; len(q.extra) > source || q.form.fuse && (p == nil || p.Is("Relu", "Clip")) {
		nodes = append(nodes, q.perReader(l, t, e, st, scale, steps, in, out)...)
	}
	return nodes
}

// storedPair is the encoding that a tensor's pair holds, and its type.
type storedPair struct {
	e  scheme.Encoding
	st storage
}

// pair returns QuantizeLinear, dividing by the scale to, and DequantizeLinear
// from in, which is shifted up by steps, to out.
func (q *qdq) pair(rule string, t *plan.Tensor, e scheme.Encoding, st storage, to float32, steps int64, in, out string) []*graph.Node {
	name := t.Name
	scale := q.scalar(name+"_scale", e.Scale[0])
	zero := q.store(pack(name+"_zero_point", st.typ, nil, e.ZeroPoint[:1]))
	divisor := scale
	if to != e.Scale[0] {
		divisor = q.scalar(name+"_scale_ties", to)
	}
	least := zero
	if steps != 0 {
		least = q.store(pack(name+"_zero_point_shifted", st.typ, nil, []int64{e.ZeroPoint[0] - steps}))
	}
	qn := q.node(rule, "QuantizeLinear", name+"/QuantizeLinear", q.fresh(name+"_quantized"), []string{in, divisor, least})
	dn := q.node(rule, "DequantizeLinear", name+"/DequantizeLinear", out, []string{qn.Outputs[0], scale, zero})
	return []*graph.Node{qn, dn}
}

// castPair rounds in to a shorter float type and back.
func (q *qdq) castPair(name string, to graph.DataType, in, out string) []*graph.Node {
	down := q.node(ruleCast, "Cast", name+"/Cast", "", []string{in}, intAttr("to", int64(to)))
	up := q.node(ruleCast, "Cast", name+"/CastBack", out, down.Outputs, intAttr("to", int64(graph.Float32)))
	return []*graph.Node{down, up}
}

// clip bounds a float value: integers at the bounds are those of the clamp,
// since rounding keeps order.
func (q *qdq) clip(name, in, out string, lo, hi float32) *graph.Node {
	return q.node(ruleQDQ, "Clip", name+"/Clamp", out, []string{in, q.scalar(name+"_min", lo), q.scalar(name+"_max", hi)})
}

// guard returns a bound that value never exceeds where a Min with it is to keep
// ONNX Runtime from fusing what value comes from with the pair behind, else 0. A
// fused Softmax is a table that is up to a step off, which attention then spreads
// over everything; a fused sum, product or average adds the zero point before it
// rounds, and loses the ties that a scale holds. (A Clip in place of the Min it would drop.)
func (q *qdq) guard(l *links, t *plan.Tensor, e scheme.Encoding, st storage, value string) float32 {
	n := l.producer[value]
	switch {
	case n == nil || !q.form.fuse || st.hi-st.lo != 255:
		return 0
	case n.Is("Softmax"):
		return 1
	case n.Is("Add", "Mul", "AveragePool") && !q.gemms[n] && q.holds(l, t, e, value):
		return math.MaxFloat32
	}
	return 0
}

// shift returns a node that adds steps of e to value.
func (q *qdq) shift(t *plan.Tensor, e scheme.Encoding, steps int64, value string) *graph.Node {
	return q.node(ruleRound, "Add", t.Name+"/Shift", "", []string{value, q.scalar(t.Name+"_shift", float32(steps)*e.Scale[0])})
}

// unfused returns a node that puts out value, which never exceeds most, and that
// ONNX Runtime does not fuse with what is around it.
func (q *qdq) unfused(rule string, t *plan.Tensor, value string, most float32) *graph.Node {
	return q.node(rule, "Min", t.Name+"/Unfused", "", []string{value, q.scalar(t.Name+"_most", most)})
}

// shifted returns e with all integers, the zero point too, larger by n: the
// same values.
func shifted(e scheme.Encoding, n int64) scheme.Encoding {
	e.Min, e.Max = e.Min+n, e.Max+n
	zeros := make([]int64, len(e.ZeroPoint))
	for i, z := range e.ZeroPoint {
		zeros[i] = z + n
	}
	e.ZeroPoint = zeros
	return e
}

// unsigned reports whether signed 8-bit activations are stored unsigned. From
// operator set 21 on that is so in the form for it: ONNX Runtime (1.30 to
// 1.32 at least) does not load int8 activations of those sets on x86 when an
// operator that moves values reads them ("output_dtype INT8 does not match
// y_zero_point type UINT8").
func (q *qdq) unsigned() bool { return q.form.unsigned && q.opset >= 21 }
