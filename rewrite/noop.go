package rewrite

import (
	"slices"

	"narrow/diag"
	"narrow/graph"
)

// RemoveIdentity removes Identity nodes, and Concat nodes of one operand.
func RemoveIdentity() Rule {
	return Rule{
		Name: "remove-identity", Exact: true,
		Doc: "Removes Identity, and Concat of a single operand: both output what they are given.",
		find: func(w *work, n *graph.Node) *site {
			if !n.Is("Identity") && !(n.Is("Concat") && len(n.Inputs) == 1) {
				return nil
			}
			return w.drop(n)
		},
	}
}

// RemoveDropout removes Dropout as it works when a network is used.
func RemoveDropout() Rule {
	return Rule{
		Name: "remove-dropout", Exact: true,
		Doc: "Removes Dropout, which lets everything through when a network is used and not trained.",
		find: func(w *work, n *graph.Node) *site {
			if !n.Is("Dropout") {
				return nil
			}
			if len(n.Outputs) > 1 && n.Outputs[1] != "" && w.read(n.Outputs[1]) {
				return refuse("its mask %q is read", n.Outputs[1])
			}
			if mode := n.Input(2); mode != "" {
				on, ok := w.ints(mode)
				if !ok || len(on) != 1 {
					return refuse("its training_mode %q is not constant", mode)
				}
				if on[0] != 0 {
					return refuse("it is in training mode")
				}
			}
			return w.drop(n)
		},
	}
}

// RemoveNoopCast removes casts to the type that a value has.
func RemoveNoopCast() Rule {
	return Rule{
		Name: "remove-noop-cast", Exact: true,
		Doc: "Removes Cast to the type that the value already has.",
		find: func(w *work, n *graph.Node) *site {
			if !n.Is("Cast") {
				return nil
			}
			if t := w.typeOf(n.Input(0)); t == graph.Undefined || int64(t) != n.Int("to", 0) {
				return nil
			}
			return w.drop(n)
		},
	}
}

// RemoveNoopPad removes Pad nodes that pad by nothing, as torch.onnx.export
// writes them in front of AveragePool.
func RemoveNoopPad() Rule {
	return Rule{
		Name: "remove-noop-pad", Exact: true,
		Doc: "Removes Pad whose constant widths are all 0.",
		find: func(w *work, n *graph.Node) *site {
			if !n.Is("Pad") {
				return nil
			}
			p, reason := w.readPad(n)
			if reason != "" || slices.ContainsFunc(p.pads, func(x int64) bool { return x != 0 }) {
				return nil
			}
			return w.drop(n)
		},
	}
}

// RemoveNoopReshape removes pairs of nodes that only move values and undo each
// other, and the first of two Reshapes.
func RemoveNoopReshape() Rule {
	return Rule{
		Name: "remove-noop-reshape", Exact: true,
		Doc: "Removes Transpose that moves nothing, pairs of Transpose that undo each other, Reshape to the shape that the " +
			"value has, and the first of two Reshapes (Flatten, Squeeze, Unsqueeze) in a row.",
		find: func(w *work, n *graph.Node) *site {
			switch {
			case n.Is("Transpose"):
				return w.noopTranspose(n)
			case n.Is("Reshape"):
				return w.noopReshape(n)
			}
			return nil
		},
	}
}

func (w *work) noopTranspose(n *graph.Node) *site {
	perm := n.Ints("perm")
	if perm == nil {
		return nil // reverses the axes; the rank is seldom worth knowing
	}
	if isIota(perm) {
		return w.drop(n)
	}
	p := w.ix.Producer[n.Input(0)]
	if p == nil || !p.Is("Transpose") {
		return nil
	}
	first := p.Ints("perm")
	if len(first) != len(perm) {
		return nil
	}
	both := make([]int64, len(perm))
	for i, a := range perm {
		if a < 0 || a >= int64(len(first)) {
			return nil
		}
		both[i] = first[a]
	}
	if !isIota(both) {
		return nil
	}
	if !w.only(p.Outputs[0], n) {
		return nil // the first one stays anyway: nothing is won
	}
	if reason := w.bypassReason(n); reason != "" {
		return refuse("%s", reason)
	}
	return &site{apply: func() diag.Text {
		label := p.Label()
		w.bypass(n)
		w.bypass(p)
		return diag.Textf("undoes %s; both removed", label)
	}}
}

func isIota(xs []int64) bool {
	for i, x := range xs {
		if x != int64(i) {
			return false
		}
	}
	return true
}

func (w *work) noopReshape(n *graph.Node) *site {
	shape, ok := w.ints(n.Input(1))
	if !ok {
		return nil
	}
	if dims, ok := w.static(n.Input(0)); ok && slices.Equal(dims, shape) {
		return w.drop(n)
	}
	p := w.ix.Producer[n.Input(0)]
	if p == nil || !p.Is("Reshape", "Flatten", "Squeeze", "Unsqueeze") {
		return nil
	}
	if !w.only(n.Input(0), n) {
		return nil
	}
	// A 0 in the shape copies a size from the input, which then is another.
	if n.Int("allowzero", 0) == 0 && slices.Contains(shape, 0) {
		return refuse("its shape %v takes sizes over from the result of %q", shape, p.Label())
	}
	return &site{apply: func() diag.Text {
		label := p.Label()
		w.setInput(n, 0, p.Input(0))
		w.remove(p)
		return diag.Textf("reads what %s read, which is removed", label)
	}}
}

// drop is the site of a node that puts out its first input.
func (w *work) drop(n *graph.Node) *site {
	if reason := w.bypassReason(n); reason != "" {
		return refuse("%s", reason)
	}
	return &site{apply: func() diag.Text {
		w.bypass(n)
		return diag.Textf("removed")
	}}
}
