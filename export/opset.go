package export

import (
	"narrow/diag"
	"narrow/graph"
	"narrow/plan"
	"narrow/scheme"
)

// standardOpset returns the version of the standard operators in m.
func standardOpset(m *graph.Model) int64 { return m.Opsets[""] }

// chooseOpset sets the standard operator set to write, and reports false,
// with a finding, where the asked one cannot hold the result.
func (q *qdq) chooseOpset() bool {
	have := standardOpset(q.in.Plan.Model)
	need, why := int64(10), "QuantizeLinear"
	raise := func(to int64, reason string) {
		if to > need {
			need, why = to, reason
		}
	}
	for _, t := range q.in.Plan.Tensors {
		q.needs(t, raise)
	}
	ask := q.opts.Opset
	if ask == 0 {
		ask = int64(q.in.Plan.Strategy.OpsetVersion)
	}
	q.opset = max(need, have)
	if ask == 0 {
		return true
	}
	where := q.in.Plan.Strategy.Where("onnx_opset_version")
	refuse := func(fix, format string, args ...any) bool {
		q.find(diag.Error, "opset", fix, format, args...)
		q.list[len(q.list)-1].Range = where
		return false
	}
	switch {
	case ask < have:
		return refuse("ask for the model's or a later one", "onnx_opset_version %d is asked for, but the model is written for %d, and operator sets are only raised", ask, have)
	case ask < need:
		return refuse("leave onnx_opset_version out, or ask for a later one", "onnx_opset_version %d is asked for, but %s needs %d", ask, why, need)
	case ask > max(MaxOpset, have):
		return refuse("", "onnx_opset_version %d is asked for; narrow writes up to %d", ask, MaxOpset)
	}
	q.opset = ask
	return true
}

// needs calls raise with the operator sets that t's form asks for.
func (q *qdq) needs(t *plan.Tensor, raise func(to int64, reason string)) {
	switch t.Settings.Settings.Datatype {
	case scheme.BFloat16:
		raise(13, "a Cast to bfloat16 (tensor "+t.Name+")")
		return
	case scheme.Float16, scheme.Float32:
		return
	}
	e := q.in.Encodings[t]
	opset, ok := opsetFor(e.Min, e.Max, t.Constant != nil)
	raise(opset, "a type of so many bits (tensor "+t.Name+")")
	if e.Axis >= 0 {
		raise(13, "a scale per channel (tensor "+t.Name+")")
	}
	if t.Constant != nil {
		return
	}
	if st, _ := storageFor(e.Min, e.Max, opset, false); !ok || st.lo != e.Min || st.hi != e.Max {
		raise(11, "Clip with bounds of its own (tensor "+t.Name+")")
	}
	if q.opts.ExactRounding && !dividesAlike(t, e) {
		raise(11, "exact rounding")
	}
}
