package export

import (
	"slices"

	"narrow/diag"
	"narrow/graph"
	"narrow/graph/op"
	"narrow/internal/kernel"
	"narrow/plan"
	"narrow/scheme"
)

// constants stores the quantized weights and biases, and the corrected biases
// that stay float.
func (q *qdq) constants() error {
	var nodes []*graph.Node
	for _, t := range q.in.Plan.Tensors {
		if t.Constant == nil {
			continue
		}
		values, err := t.Constant.Floats()
		if err != nil {
			return diag.Errorf("%s: %w", describe(t), err)
		}
		if b, ok := q.in.Bias[t]; ok {
			if len(b) != len(values) {
				return diag.Errorf("%s has %d elements, its corrected values %d", describe(t), len(values), len(b))
			}
			values = b
		}
		if w := q.in.Weights[t]; w != nil {
			if values, err = w.Floats(t, q.in.Encodings[t]); err != nil {
				return diag.Errorf("%s: %w", describe(t), err)
			}
		}
		ns, err := q.constant(t, values, q.replaced[t])
		if err != nil {
			return diag.Errorf("%s: %w", describe(t), err)
		}
		nodes = append(nodes, ns...)
	}
	nodes = append(nodes, q.shiftsAlone()...)
	q.m.Graph.Nodes = append(nodes, q.m.Graph.Nodes...)
	return nil
}

// constant stores values as t's settings say, and returns the nodes that make
// the float32 value out of them.
func (q *qdq) constant(t *plan.Tensor, values []float32, out string) ([]*graph.Node, error) {
	dims := t.Constant.Dims
	switch t.Settings.Settings.Datatype {
	case scheme.BFloat16:
		return q.half(t.Name, out, dims, graph.BFloat16, values, kernel.ToBFloat16), nil
	case scheme.Float16:
		return q.half(t.Name, out, dims, graph.Float16, values, kernel.ToFloat16), nil
	}
	e := q.in.Encodings[t]
	as := affines(e, t.Settings.Settings.RoundMode)
	layout := kernel.NewLayout(dims, e.Axis)
	ints := make([]int64, len(values))
	kernel.QuantizeChannels(ints, values, layout, as)

	if t.Kind == scheme.Bias && q.form.bias == biasFloat {
		return q.floats(t, values, as, layout, out), nil
	}
	if t.Kind == scheme.Bias && q.form.bias == biasSums && !q.opts.KeepBias {
		exact := make([]float32, len(values))
		kernel.Dequantize(exact, ints, as[0])
		if nodes, ok := q.sumBias(t, exact, out); ok {
			return nodes, nil
		}
	}
	scales := storedScales(ints, e, layout)
	if t.Kind == scheme.Weights {
		q.weightScales[t] = scales
	}
	st, ok := storageFor(e.Min, e.Max, q.opset, q.form.least)
	zeros := slices.Clone(e.ZeroPoint)
	if !ok {
		// ONNX Runtime fuses int32 constants into kernels that take none, or that
		// take them in units of their own: wider than 16 bits is stored as float32,
		// which takes no more room.
		return q.floats(t, values, as, layout, out), nil
	}
	if q.form.fromFloat && t.Kind == scheme.Weights {
		exact := make([]float32, len(values))
		(*kernel.Pool)(nil).FakeQuantizeChannels(exact, values, layout, as)
		return q.weightPair(t, exact, scales, zeros, st, e.Axis, out), nil
	}
	return []*graph.Node{q.dequantize(t.Name, pack(t.Name+"_quantized", st.typ, dims, ints), scales, zeros, e.Axis, out)}, nil
}

// dequantize stores integers with their scales and returns the node that makes
// floats of them. Without zero points there is no such input.
func (q *qdq) dequantize(name string, ints *graph.Tensor, scales []float32, zeros []int64, axis int, out string) *graph.Node {
	var dims []int64
	var attrs []*graph.Attr
	if axis >= 0 {
		dims = []int64{int64(len(scales))}
		attrs = append(attrs, intAttr("axis", int64(axis)))
	}
	inputs := []string{q.store(ints), q.store(graph.NewFloats(name+"_scale", dims, scales))}
	if zeros != nil {
		inputs = append(inputs, q.store(pack(name+"_zero_point", ints.Type, dims, zeros)))
	}
	return q.node(ruleQDQ, "DequantizeLinear", name+"/DequantizeLinear", out, inputs, attrs...)
}

// floats stores the fake-quantized values themselves, under the name out.
func (q *qdq) floats(t *plan.Tensor, values []float32, as []kernel.Affine, l kernel.Layout, out string) []*graph.Node {
	exact := make([]float32, len(values))
	(*kernel.Pool)(nil).FakeQuantizeChannels(exact, values, l, as)
	q.m.Graph.Initializers = append(q.m.Graph.Initializers, graph.NewFloats(out, t.Constant.Dims, exact))
	return nil
}

// half stores values in a 16-bit float type and returns the node that widens
// them.
func (q *qdq) half(name, out string, dims []int64, typ graph.DataType, values []float32, round func(float32) uint16) []*graph.Node {
	bits := make([]int64, len(values))
	for i, v := range values {
		bits[i] = int64(round(v))
	}
	stored := q.store(pack(name+"_"+typ.String(), typ, dims, bits))
	return []*graph.Node{q.node(ruleCast, "Cast", name+"/Cast", out, []string{stored}, intAttr("to", int64(graph.Float32)))}
}

// weightEncoding returns the encoding of the constant that u reads.
func (q *qdq) weightEncoding(u plan.Use) (scheme.Encoding, bool) {
	t := q.constantAt(u)
	if t == nil {
		return scheme.Encoding{}, false
	}
	e, ok := q.in.Encodings[t]
	if s := q.weightScales[t]; s != nil {
		e.Scale = s
	}
	return e, ok && t.Settings.Settings.Datatype == scheme.Int
}

// constantAt returns the constant of the plan that u reads, or nil.
func (q *qdq) constantAt(u plan.Use) *plan.Tensor {
	i := slices.IndexFunc(q.in.Plan.Tensors, func(t *plan.Tensor) bool { return t.Constant != nil && slices.Contains(t.Uses, u) })
	if i < 0 {
		return nil
	}
	return q.in.Plan.Tensors[i]
}

// storedScales returns the scales to store with a constant's integers: those
// of e, but for channels that hold nothing but zeros the largest one. Zero is
// zero at any scale, and the tiny scale of a dead channel would leave no room
// for its bias in int32.
func storedScales(ints []int64, e scheme.Encoding, l kernel.Layout) []float32 {
	if len(e.Scale) == 1 {
		return e.Scale
	}
	dead := make([]bool, len(e.Scale))
	for c := range dead {
		dead[c] = true
	}
	for i, v := range ints {
		if c := i / l.Inner % l.Channels; v != e.ZeroPoint[c] {
			dead[c] = false
		}
	}
	scales := slices.Clone(e.Scale)
	for c := range scales {
		if dead[c] {
			scales[c] = slices.Max(e.Scale)
		}
	}
	return scales
}

// inputEncoding returns the encoding of the tap that a value comes from, where
// it has one scale: see [qdq.source].
func (q *qdq) inputEncoding(producer func(string) *graph.Node, value string) (scheme.Encoding, bool) {
	t := q.source(producer, value)
	if t == nil {
		return scheme.Encoding{}, false
	}
	e, ok := q.in.Encodings[t]
	return e, ok && len(e.Scale) == 1
}

// source returns the tensor whose tap a value comes from, through operators
// that move values only, or nil. producer finds the node that puts out a value.
func (q *qdq) source(producer func(string) *graph.Node, value string) *plan.Tensor {
	for range len(q.m.Graph.Nodes) {
		n := producer(value)
		switch {
		case n == nil:
			return nil
		case q.tensor[n] != nil:
			return q.tensor[n]
		case !op.Moves(n) && !n.Is("Gather", "GatherElements"):
			return nil
		}
		value = n.Input(0)
	}
	return nil
}

// producer returns the node that puts out a value, or nil.
func (q *qdq) producer(value string) *graph.Node {
	for _, n := range q.m.Graph.Nodes {
		if slices.Contains(n.Outputs, value) {
			return n
		}
	}
	return nil
}
