package export

import (
	"narrow/graph"
	"narrow/plan"
	"narrow/scheme"
)

// activations puts the pairs that quantize in the place of the taps.
func (q *qdq) activations() {
	g := q.m.Graph
	var nodes []*graph.Node
	for _, n := range g.Nodes {
		t := q.tensor[n]
		if t == nil {
			nodes = append(nodes, n)
			continue
		}
		nodes = append(nodes, q.quantize(t, n.Inputs[0], n.Outputs[0])...)
	}
	g.Nodes = nodes
}

// quantize returns the nodes that quantize the value in by t's encoding and
// put out its dequantized self as out.
func (q *qdq) quantize(t *plan.Tensor, in, out string) []*graph.Node {
	switch t.Settings.Settings.Datatype {
	case scheme.BFloat16:
		return q.castPair(t.Name, graph.BFloat16, in, out)
	case scheme.Float16:
		return q.castPair(t.Name, graph.Float16, in, out)
	}
	e := q.in.Encodings[t]
	st, ok := storageFor(e.Min, e.Max, q.opset)
	if !ok {
		return q.floatQuantize(t, e, in, out)
	}
	var nodes []*graph.Node
	if q.opts.ExactRounding && !dividesAlike(t, e) {
		round, mid := q.rounding(t, e, in)
		nodes = append(nodes, round...)
		scaled := q.node(ruleRound, "Mul", t.Name+"/RoundedTimesScale", "", []string{mid, q.scalar(t.Name+"_scale", e.Scale[0])})
		nodes = append(nodes, scaled)
		in = scaled.Outputs[0]
	}
	if e.Min != st.lo || e.Max != st.hi {
		clip := q.clip(t.Name, in, "", float32(e.Min-e.ZeroPoint[0])*e.Scale[0], float32(e.Max-e.ZeroPoint[0])*e.Scale[0])
		nodes = append(nodes, clip)
		in = clip.Outputs[0]
	}
	return append(nodes, q.pair(ruleQDQ, t.Name, e, st, in, out)...)
}

// pair returns QuantizeLinear and DequantizeLinear from in to out.
func (q *qdq) pair(rule, name string, e scheme.Encoding, st storage, in, out string) []*graph.Node {
	scale := q.scalar(name+"_scale", e.Scale[0])
	zero := q.store(pack(name+"_zero_point", st.typ, nil, e.ZeroPoint[:1]))
	qn := q.node(rule, "QuantizeLinear", name+"/QuantizeLinear", q.names.fresh(name+"_quantized"), []string{in, scale, zero})
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
