package export

import (
	"math"

	"narrow/calibrate"
	"narrow/diag"
	"narrow/plan"
	"narrow/scheme"
)

// auditTies says on how many activations QuantizeLinear rounds otherwise than the
// strategy asks, since it rounds ties to even, and how many elements of the
// calibration samples that concerns. Where scales hold the ties (see
// [qdq.tieScale]), they fall as asked in a runtime that computes QuantizeLinear
// in float32, as ONNX defines it; one that multiplies integers by a fixed-point
// number may see no difference between the two scales, so it is said all the same.
func (q *qdq) auditTies() {
	if q.opts.ExactRounding {
		return
	}
	var all, held, uncounted int
	var sum, left calibrate.Ties // left: of the tensors that are not held
	var modes [scheme.StdRound + 1]int
	first := ""
	for _, t := range q.in.Plan.Activations() {
		s := t.Settings.Settings
		if s.Datatype != scheme.Int || s.RoundMode == scheme.HalfEven {
			continue
		}
		if _, ok := opsetFor(q.in.Encodings[t].Min, q.in.Encodings[t].Max, 8); !ok {
			continue // written in operators that round as asked
		}
		all++
		modes[s.RoundMode]++
		n, ok := q.in.Ties[t]
		if !ok {
			uncounted++
		}
		sum = sum.Plus(n)
		if q.held[t] {
			held++
			continue
		}
		left = left.Plus(n)
		if first == "" && (n.Differing > 0 || !ok) {
			first = t.Name
		}
	}
	if all == 0 {
		return
	}
	var asked []diag.Text
	for m, n := range modes {
		if n > 0 {
			asked = append(asked, diag.Textf("%v on %d", scheme.RoundMode(m), n))
		}
	}
	count := diag.Textf("on the calibration samples %d of %d elements differ by one step", sum.Differing, sum.Elements)
	if uncounted > 0 {
		count = diag.Textf("%s (%d tensors were not counted)", count, uncounted)
	}
	if held > 0 {
		count = diag.Textf("%s; the scales of %d are set so that ties fall as asked where a runtime divides in float32, as ONNX defines it", count, held)
		if left.Differing > 0 {
			count = diag.Textf("%s, which leaves %d elements", count, left.Differing)
		}
	}
	if first != "" {
		count = diag.Textf("%s, first in %q", count, first)
	}
	message := diag.Textf("QuantizeLinear rounds ties to even, the strategy asks otherwise on %d tensors (%s): %s", all, diag.Commas(asked), count)
	fix := diag.Textf("--exact-rounding expresses the mode in standard operators, at a cost in speed")
	if sum.Differing == 0 && uncounted == 0 {
		q.list = append(q.list, diag.Finding{Severity: diag.Note, Code: "round-mode", Message: message, Fix: fix})
		return
	}
	q.find(diag.Warning, "round-mode", message, fix)
}

// biasAudit collects what storing biases as int32 changes.
type biasAudit struct {
	rounded int
	worst   float64
	layer   string
}

// auditBias notes by how much t's values change when they are stored as ints in
// units of scales, in quantization steps of the layer's result.
func (q *qdq) auditBias(t *plan.Tensor, values []float32, ints []int64, scales []float32) {
	worst := 0.0
	for i, v := range values {
		worst = max(worst, math.Abs(float64(v)-float64(ints[i])*float64(scales[min(i, len(scales)-1)])))
	}
	if worst == 0 {
		return
	}
	q.bias.rounded++
	for _, op := range q.in.Plan.Operations {
		if op.Bias != t || op.Output == nil {
			continue
		}
		if e, ok := q.in.Encodings[op.Output]; ok && len(e.Scale) == 1 && worst/float64(e.Scale[0]) > q.bias.worst {
			q.bias.worst, q.bias.layer = worst/float64(e.Scale[0]), t.Layer.Name
		}
	}
}

// tellBias reports what auditBias noted.
func (q *qdq) tellBias() {
	if q.bias.rounded == 0 {
		return
	}
	msg := diag.Textf("%d biases are rounded to the int32 sums that integer kernels add them to", q.bias.rounded)
	if q.bias.rounded == 1 {
		msg = diag.Textf("one bias is rounded to the int32 sums that integer kernels add it to")
	}
	if q.bias.layer != "" {
		msg = diag.Textf("%s, by at most %.2g quantization steps of the result (layer %q)", msg, q.bias.worst, q.bias.layer)
	}
	q.list = append(q.list, diag.Finding{Severity: diag.Note, Code: "bias-int32", Message: msg,
		Fix: diag.Textf("--keep-bias stores them as they were calibrated; runtimes then compute those layers in float")})
}
