package rewrite

import (
	"math"
	"slices"

	"narrow/diag"
	"narrow/graph"
)

// clipBounds returns the constant bounds of a Clip node of any version; a bound
// that is left out is infinite.
func (w *work) clipBounds(n *graph.Node) (lo, hi float64, ok bool) {
	lo, hi = math.Inf(-1), math.Inf(1)
	if a := n.Attr("min"); a != nil && a.Kind == graph.AttrFloat {
		lo = float64(a.Float)
	}
	if a := n.Attr("max"); a != nil && a.Kind == graph.AttrFloat {
		hi = float64(a.Float)
	}
	for i, bound := range []*float64{&lo, &hi} {
		if v := n.Input(1 + i); v != "" {
			x, ok := w.scalar(v)
			if !ok {
				return 0, 0, false
			}
			*bound = x
		}
	}
	return lo, hi, true
}

// scalar returns the value of a constant with one element.
func (w *work) scalar(v string) (float64, bool) {
	t := w.ix.Constant[v]
	if t == nil || t.Len() != 1 {
		return 0, false
	}
	if t.Type == graph.Float32 {
		x, err := t.Floats()
		if err != nil {
			return 0, false
		}
		return float64(x[0]), true
	}
	x, err := t.Int64s()
	if err != nil {
		return 0, false
	}
	return float64(x[0]), true
}

// relu6 is a ReLU6: the nodes that spell it and what enters it.
type relu6 struct {
	in    string
	inner []*graph.Node // the nodes before the last
}

// relu6At reports whether a ReLU6 ends at n: Clip with the bounds 0 and 6 as
// attributes, constants or nothing behind Relu, or Min(Relu(x), 6), or
// Relu behind a Clip or Min with 6 alone.
func (w *work) relu6At(n *graph.Node) (relu6, bool) {
	switch {
	case n.Is("Clip"):
		lo, hi, ok := w.clipBounds(n)
		if !ok || hi != 6 {
			return relu6{}, false
		}
		if lo == 0 {
			// Clip(x+3, 0, 6) is the gate of a HardSwish or HardSigmoid, which
			// grows without bounds if its 6 goes.
			if w.plusThree(n.Input(0)) {
				return relu6{}, false
			}
			return relu6{in: n.Input(0)}, true
		}
		if lo < 0 {
			return w.relu6Half(n, n.Input(0), "Relu")
		}
	case n.Is("Min") && len(n.Inputs) == 2:
		for i, c := range n.Inputs {
			if hi, ok := w.scalar(c); ok && hi == 6 {
				return w.relu6Half(n, n.Inputs[1-i], "Relu")
			}
		}
	case n.Is("Relu"):
		return w.relu6Half(n, n.Input(0), "Clip", "Min")
	}
	return relu6{}, false
}

// plusThree reports whether v is a value with 3 added.
func (w *work) plusThree(v string) bool {
	p := w.ix.Producer[v]
	if p == nil || !p.Is("Add") {
		return false
	}
	return slices.ContainsFunc(p.Inputs, func(in string) bool {
		c, ok := w.scalar(in)
		return ok && c == 3
	})
}

// relu6Half completes a ReLU6 whose last node n does one half, with the node
// behind v doing the other.
func (w *work) relu6Half(n *graph.Node, v string, ops ...string) (relu6, bool) {
	p := w.ix.Producer[v]
	if p == nil || !p.Is(ops...) || !w.only(v, n) {
		return relu6{}, false
	}
	in := p.Input(0)
	if w.plusThree(in) {
		return relu6{}, false
	}
	switch p.OpType {
	case "Clip":
		if lo, hi, ok := w.clipBounds(p); !ok || lo > 0 || hi != 6 {
			return relu6{}, false
		}
	case "Min":
		if len(p.Inputs) != 2 {
			return relu6{}, false
		}
		found := false
		for i, c := range p.Inputs {
			if hi, ok := w.scalar(c); ok && hi == 6 {
				in, found = p.Inputs[1-i], true
			}
		}
		if !found {
			return relu6{}, false
		}
	}
	return relu6{in: in, inner: []*graph.Node{p}}, true
}

// ConvertRelu6 replaces every ReLU6 by Relu (convert_relu6_to_relu).
func ConvertRelu6() Rule {
	return Rule{
		Name: "convert-relu6-to-relu",
		Doc:  "Replaces ReLU6 (Clip to 0..6 in any spelling) by Relu, which changes what is above 6.",
		find: func(w *work, n *graph.Node) *site {
			r, ok := w.relu6At(n)
			if !ok {
				return nil
			}
			return &site{apply: func() diag.Text {
				w.replace(n, &graph.Node{
					Name: n.Name, OpType: "Relu", Inputs: []string{r.in}, Outputs: n.Outputs, Metadata: n.Metadata,
				})
				for _, p := range r.inner {
					w.remove(p)
				}
				return diag.Textf("ReLU6 replaced by Relu")
			}}
		},
	}
}

// siluAt returns what enters the SiLU (x * sigmoid(x)) that ends at n.
func (w *work) siluAt(n *graph.Node) (in string, ok bool) {
	switch {
	case n.Is("Mul") && len(n.Inputs) == 2:
		for i, v := range n.Inputs {
			x := n.Inputs[1-i]
			if p := w.ix.Producer[v]; p != nil && p.Is("Sigmoid") && p.Input(0) == x {
				return x, true
			}
		}
	case n.Is("Div") && len(n.Inputs) == 2: // x / (1 + exp(-x))
		if x := n.Input(0); w.onePlusExpOfMinus(n.Input(1), x) {
			return x, true
		}
	case n.Is("Swish"):
		if n.Float("alpha", 1) == 1 {
			return n.Input(0), true
		}
	case n.Domain == "com.microsoft" && n.OpType == "QuickGelu":
		if n.Float("alpha", 1.702) == 1 {
			return n.Input(0), true
		}
	}
	return "", false
}

func (w *work) onePlusExpOfMinus(v, x string) bool {
	add := w.ix.Producer[v]
	if add == nil || !add.Is("Add") || len(add.Inputs) != 2 {
		return false
	}
	for i, c := range add.Inputs {
		if one, ok := w.scalar(c); !ok || one != 1 {
			continue
		}
		exp := w.ix.Producer[add.Inputs[1-i]]
		if exp == nil || !exp.Is("Exp") {
			return false
		}
		neg := w.ix.Producer[exp.Input(0)]
		return neg != nil && neg.Is("Neg") && neg.Input(0) == x
	}
	return false
}

// ConvertSilu replaces every SiLU by HardSwish (convert_silu_to_hswish). Below
// opset 14, which has no such operator, HardSwish is x * HardSigmoid(x).
func ConvertSilu() Rule {
	return Rule{
		Name: "convert-silu-to-hswish",
		Doc:  "Replaces SiLU (x * Sigmoid(x), Swish) by HardSwish, x * min(max(x/6 + 1/2, 0), 1).",
		find: func(w *work, n *graph.Node) *site {
			x, ok := w.siluAt(n)
			if !ok {
				return nil
			}
			if w.opset() < 6 {
				return refuse("HardSigmoid is not in opset %d", w.opset())
			}
			return &site{apply: func() diag.Text {
				if w.opset() >= 14 {
					w.replace(n, &graph.Node{
						Name: n.Name, OpType: "HardSwish", Inputs: []string{x}, Outputs: n.Outputs, Metadata: n.Metadata,
					})
					return diag.Textf("SiLU replaced by HardSwish")
				}
				gate := w.fresh(n.Outputs[0] + "_gate")
				w.add(n, &graph.Node{
					Name: w.fresh(n.Label() + "/HardSigmoid"), OpType: "HardSigmoid", Inputs: []string{x}, Outputs: []string{gate},
					Attrs: []*graph.Attr{
						{Name: "alpha", Kind: graph.AttrFloat, Float: 1.0 / 6},
						{Name: "beta", Kind: graph.AttrFloat, Float: 0.5},
					},
					Metadata: n.Metadata,
				})
				w.replace(n, &graph.Node{
					Name: n.Name, OpType: "Mul", Inputs: []string{x, gate}, Outputs: n.Outputs, Metadata: n.Metadata,
				})
				return diag.Textf("SiLU replaced by x * HardSigmoid(x)")
			}}
		},
	}
}
