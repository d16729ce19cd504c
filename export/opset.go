package export

import (
	"narrow/calibrate"
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
	need, why := int64(10), diag.Verbatim("QuantizeLinear")
	raise := func(to int64, reason diag.Text) {
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
	refuse := func(message, fix diag.Text) bool {
		q.find(diag.Error, "opset", message, fix)
		q.list[len(q.list)-1].Range = where
		return false
	}
	switch {
	case ask < have:
		return refuse(diag.Textf("onnx_opset_version %d is asked for, but the model is written for %d, and operator sets are only raised", ask, have),
			diag.Textf("ask for the model's or a later one"))
	case ask < need:
		return refuse(diag.Textf("onnx_opset_version %d is asked for, but %s needs %d", ask, why, need),
			diag.Textf("leave onnx_opset_version out, or ask for a later one"))
	case ask > max(MaxOpset, have):
		return refuse(diag.Textf("onnx_opset_version %d is asked for; narrow writes up to %d", ask, MaxOpset), diag.Text{})
	}
	q.opset = ask
	return true
}

// CheckOpset tells, before any work, of an operator set that a strategy asks for
// (onnx_opset_version) and that cannot hold what else it asks for, or not the
// network.
func CheckOpset(p *plan.Plan) diag.List {
	if p.Strategy.OpsetVersion == 0 {
		return nil
	}
	in := &calibrate.Calibrated{Plan: p, Encodings: make(map[*plan.Tensor]scheme.Encoding, len(p.Tensors))}
	for _, t := range p.Tensors {
		lo, hi := t.Settings.Settings.Range()
		in.Encodings[t] = scheme.Encoding{Axis: t.Axis, Min: lo, Max: hi}
	}
	q := newQDQ(in, Options{})
	q.chooseOpset()
	return q.list
}

// needs calls raise with the operator sets that t's form asks for.
func (q *qdq) needs(t *plan.Tensor, raise func(to int64, reason diag.Text)) {
	switch t.Settings.Settings.Datatype {
	case scheme.BFloat16:
		raise(13, diag.Textf("a Cast to bfloat16 (tensor %s)", t.Name))
		return
	case scheme.Float16, scheme.Float32:
		return
	}
	if t.Kind == scheme.Bias && q.form.bias == biasFloat {
		return
	}
	e := q.in.Encodings[t]
	least := 8
	if t.Constant != nil {
		least = q.form.least
	}
	opset, ok := opsetFor(e.Min, e.Max, least)
	raise(opset, diag.Textf("a type of so many bits (tensor %s)", t.Name))
	if e.Axis >= 0 {
		raise(13, diag.Textf("a scale per channel (tensor %s)", t.Name))
	}
	if t.Constant != nil {
		return
	}
	if st, _ := storageFor(e.Min, e.Max, opset, least); !ok || st.lo != e.Min || st.hi != e.Max {
		raise(11, diag.Textf("Clip with bounds of its own (tensor %s)", t.Name))
	}
	if q.opts.ExactRounding && !dividesAlike(t, e) {
		raise(11, diag.Textf("exact rounding"))
	}
}
