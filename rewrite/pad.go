package rewrite

import (
	"fmt"
	"slices"

	"narrow/diag"
	"narrow/graph"
	"narrow/graph/op"
)

// padding is what a Pad node does.
type padding struct {
	mode string
	pads []int64 // begins, then ends, over all axes; over no axes where the rank is unknown and all are 0
	zero bool    // pads with 0
}

// readPad reads a Pad node of any version, or says why it cannot be read.
func (w *work) readPad(n *graph.Node) (p padding, reason string) {
	p.mode, p.zero = n.Str("mode", "constant"), true
	if w.opset() < 11 {
		p.pads = n.Ints("pads")
		if p.pads == nil {
			p.pads = n.Ints("paddings") // opset 1
		}
		p.zero = n.Float("value", 0) == 0
		return p, ""
	}
	pads, ok := w.ints(n.Input(1))
	if !ok {
		return p, fmt.Sprintf("its widths %q are not constant", n.Input(1))
	}
	if v := n.Input(2); v != "" {
		t := w.ix.Constant[v]
		if t == nil {
			return p, fmt.Sprintf("its value %q is not constant", v)
		}
		p.zero = !slices.ContainsFunc(t.Raw, func(b byte) bool { return b != 0 })
	}
	if ax := n.Input(3); ax != "" {
		axes, ok := w.ints(ax)
		if !ok || len(pads) != 2*len(axes) {
			return p, fmt.Sprintf("its axes %q are not constant", ax)
		}
		if !slices.ContainsFunc(pads, func(x int64) bool { return x != 0 }) {
			p.pads = pads
			return p, ""
		}
		r := w.rank(n.Input(0))
		if r < 0 {
			return p, "the rank of its input is not known"
		}
		full := make([]int64, 2*r)
		for i, a := range axes {
			if a < 0 {
				a += int64(r)
			}
			if a < 0 || a >= int64(r) {
				return p, fmt.Sprintf("its axis %d is out of range", a)
			}
			full[a], full[int64(r)+a] = pads[i], pads[len(axes)+i]
		}
		pads = full
	}
	p.pads = pads
	return p, ""
}

// FoldPadIntoPool folds Pad with zeros into the pooling behind it, where that
// pools the same values: AveragePool that counts its padding, and MaxPool over
// values that are never negative. With equal, only a Pad of equal widths on both
// sides of each axis.
func FoldPadIntoPool(equal bool) Rule {
	return Rule{
		Name: "fold-pad-into-pool", Exact: true,
		Doc: "Folds Pad with zeros into AveragePool that counts its padding, and into MaxPool behind a function that is never negative.",
		find: func(w *work, n *graph.Node) *site {
			if !n.Is("AveragePool", "MaxPool") {
				return nil
			}
			return w.padInto(n, equal)
		},
	}
}

// FoldPad folds Pad with zeros into the convolution behind it. With equal, only
// a Pad of equal widths on both sides of each axis: vai_q_pytorch leaves the
// others, each with a quantizer (optimization/fuse_pad.py).
func FoldPad(equal bool) Rule {
	return Rule{
		Name: "fold-pad", Exact: true,
		Doc: "Folds Pad with zeros into the Conv behind it, which pads by itself.",
		find: func(w *work, n *graph.Node) *site {
			if !n.Is("Conv") {
				return nil
			}
			return w.padInto(n, equal)
		},
	}
}

// padInto is the site of a node n that pads by itself and may have a Pad in
// front of it. equal says that the widths must be equal on both sides.
func (w *work) padInto(n *graph.Node, equal bool) *site {
	pad := w.ix.Producer[n.Input(0)]
	if pad == nil || !pad.Is("Pad") {
		return nil
	}
	p, reason := w.readPad(pad)
	if reason != "" {
		return refuse("%q: %s", pad.Label(), reason)
	}
	r := len(p.pads) / 2
	if len(p.pads) != 2*r || r < 3 {
		return refuse("%q pads %d sides", pad.Label(), len(p.pads))
	}
	spatial := slices.Concat(p.pads[2:r], p.pads[r+2:])
	switch {
	case equal && !slices.Equal(p.pads[:r], p.pads[r:]):
		return refuse("%q pads other widths on both sides, as vai_q_pytorch leaves them", pad.Label())
	case p.mode != "constant":
		return refuse("%q pads with mode %q, not with zeros", pad.Label(), p.mode)
	case !p.zero:
		return refuse("%q pads with a value that is not 0", pad.Label())
	case p.pads[0] != 0 || p.pads[1] != 0 || p.pads[r] != 0 || p.pads[r+1] != 0:
		return refuse("%q pads the batch or the channels", pad.Label())
	case slices.ContainsFunc(spatial, func(x int64) bool { return x < 0 }):
		return refuse("%q crops", pad.Label())
	}
	auto := n.Str("auto_pad", "NOTSET")
	if auto != "NOTSET" && auto != "VALID" && auto != "" {
		return refuse("it pads by itself as auto_pad %q says", auto)
	}
	own := n.Ints("pads")
	if own == nil || auto == "VALID" {
		own = make([]int64, len(spatial))
	}
	if len(own) != len(spatial) {
		return refuse("its pads %v are not for the %d axes of %q", own, len(spatial)/2, pad.Label())
	}
	sum := make([]int64, len(own))
	for i := range own {
		sum[i] = own[i] + spatial[i]
	}
	if !n.Is("Conv") {
		if reason := w.poolPadReason(n, pad, own, sum); reason != "" {
			return refuse("%s", reason)
		}
	}
	return &site{apply: func() diag.Text {
		w.setInput(n, 0, pad.Input(0))
		n.SetAttr(&graph.Attr{Name: "pads", Kind: graph.AttrInts, Ints: sum})
		if n.Is("AveragePool") {
			n.SetAttr(&graph.Attr{Name: "count_include_pad", Kind: graph.AttrInt, Int: 1})
		}
		if auto == "VALID" {
			n.SetAttr(&graph.Attr{Name: "auto_pad", Kind: graph.AttrString, String: "NOTSET"})
		}
		return diag.Textf("pads by %v with what %s padded", sum, pad.Label())
	}}
}

// poolPadReason says why a pooling node cannot take the padding over, or "".
func (w *work) poolPadReason(n, pad *graph.Node, own, sum []int64) string {
	kernel := op.Kernel(n, nil)
	k := len(kernel)
	if 2*k != len(sum) {
		return "its kernel_shape is missing"
	}
	for i := range sum {
		if sum[i] >= kernel[i%k] {
			return fmt.Sprintf("pads of %v would not be smaller than its kernel %v", sum, kernel)
		}
	}
	if n.Int("ceil_mode", 0) != 0 {
		return "with ceil_mode the padding decides where the last window ends"
	}
	if slices.ContainsFunc(n.Ints("dilations"), func(d int64) bool { return d != 1 }) {
		return "its window has holes"
	}
	if n.Is("AveragePool") {
		switch {
		case w.opset() < 7:
			return "AveragePool of this opset cannot count its padding"
		case n.Int("count_include_pad", 0) == 0 && slices.ContainsFunc(own, func(x int64) bool { return x != 0 }):
			return "it does not count the padding that it has"
		}
		return ""
	}
	if len(n.Outputs) > 1 && n.Outputs[1] != "" && w.read(n.Outputs[1]) {
		return "its indices are read, and count from the padded image"
	}
	if src := pad.Input(0); !w.neverNegative(src) {
		return fmt.Sprintf("%q may be negative, and MaxPool's own padding loses against any value, 0 does not", src)
	}
	return ""
}

// neverNegative reports whether v is known not to have negative elements.
func (w *work) neverNegative(v string) bool {
	p := w.ix.Producer[v]
	switch {
	case p == nil || p.Domain != "":
		return false
	case p.Is("Relu", "Sigmoid", "HardSigmoid", "Softmax", "Abs"):
		return true
	case p.Is("Clip"):
		lo, _, ok := w.clipBounds(p)
		return ok && lo >= 0
	case p.Is("MaxPool", "AveragePool", "GlobalAveragePool", "Identity"):
		return w.neverNegative(p.Input(0))
	}
	return false
}
