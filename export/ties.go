package export

import (
	"fmt"

	"narrow/diag"
	"narrow/scheme"
)

// auditTies says how many activations QuantizeLinear rounds otherwise than the
// simulation did: it rounds ties to even.
func (q *qdq) auditTies() {
	if q.opts.ExactRounding {
		return
	}
	var tensors, held, uncounted int
	var sum Ties
	var modes [scheme.StdRound + 1]int
	first := ""
	for _, t := range q.in.Plan.Activations() {
		s := t.Settings.Settings
		if s.Datatype != scheme.Int || s.RoundMode == scheme.HalfEven {
			continue
		}
		if _, ok := opsetFor(q.in.Encodings[t].Min, q.in.Encodings[t].Max, false); !ok {
			continue // written in operators that round as asked
		}
		if q.held[t] {
			held++
			continue
		}
		tensors++
		modes[s.RoundMode]++
		n, ok := q.in.Ties[t]
		if !ok {
			uncounted++
		}
		sum.Elements += n.Elements
		sum.Differing += n.Differing
		if first == "" && (n.Differing > 0 || !ok) {
			first = t.Name
		}
	}
	if tensors == 0 {
		return
	}
	what := ""
	for m, n := range modes {
		if n > 0 {
			if what != "" {
				what += ", "
			}
			what += fmt.Sprintf("%v on %d", scheme.RoundMode(m), n)
		}
	}
	if held > 0 {
		what += fmt.Sprintf(" tensors; on %d more its scale is set so that ties fall as asked", held)
	} else {
		what += " tensors"
	}
	count := fmt.Sprintf("on the calibration samples %d of %d elements differ by one step", sum.Differing, sum.Elements)
	if uncounted > 0 {
		count += fmt.Sprintf(" (%d tensors were not counted)", uncounted)
	}
	if first != "" {
		count += fmt.Sprintf(", first in %q", first)
	}
	const fix = "--exact-rounding expresses the mode in standard operators, at a cost in speed"
	if sum.Differing == 0 && uncounted == 0 {
		q.list = append(q.list, diag.Finding{Severity: diag.Note, Code: "round-mode", Fix: fix,
			Message: fmt.Sprintf("QuantizeLinear rounds ties to even, the strategy asks otherwise (%s): %s", what, count)})
		return
	}
	q.find(diag.Warning, "round-mode", fix, "QuantizeLinear rounds ties to even, the strategy asks otherwise (%s): %s", what, count)
}
