package plan

import (
	"math"
	"slices"

	"narrow/diag"
	"narrow/graph"
	"narrow/scheme"
)

// Sizes of constants that mask values out in front of a Softmax. Networks add
// -1e4, -1e9, the smallest float32 or -Inf; what they multiply or learn is far
// below.
const (
	maskSize = 1e3
	// endlessSize is what no integer can stand for beside other values, and the
	// reference cannot calibrate.
	endlessSize = 1e30
)

// masks finds what a constant of at least some size makes.
type masks struct {
	flow *flow
	size float64
	// before is the network before rewriting: the constants that a constant was
	// computed of stand there.
	before *graph.Index
	memo   map[string]float64
	made   map[string]string // see mask
	// behind remembers which units lead to an operator that masks are for.
	behind map[*unit]bool
}

// largest returns the largest magnitude of a constant that v is, or is computed
// of, whatever the elements of v itself are: those are known only to an engine.
func (m *masks) largest(v string) float64 {
	if x, ok := m.memo[v]; ok {
		return x
	}
	m.memo[v] = 0
	x := 0.0
	p := m.flow.ix.Producer[v]
	if m.before != nil && m.before.Producer[v] != nil {
		p = m.before.Producer[v]
	}
	switch {
	case p != nil && p.Is("ConstantOfShape"):
		if a := p.Attr("value"); a != nil && a.Tensor != nil {
			x = magnitude(a.Tensor)
		}
	case p != nil && !p.Is("Constant"):
		for _, in := range p.Inputs {
			x = max(x, m.largest(in))
		}
	case m.flow.ix.Constant[v] != nil:
		x = magnitude(m.flow.ix.Constant[v])
	case m.before != nil && m.before.Constant[v] != nil:
		x = magnitude(m.before.Constant[v])
	}
	m.memo[v] = x
	return x
}

// magnitude returns the largest |x| of float32 elements, infinite ones included.
func magnitude(t *graph.Tensor) float64 {
	x, err := t.Floats()
	if err != nil {
		return 0
	}
	most := 0.0
	for _, v := range x {
		if a := math.Abs(float64(v)); a > most {
			most = a
		}
	}
	return most
}

// constant returns the name of a constant operand of n that is as large as
// masks are, or "".
func (m *masks) constant(n *graph.Node) string {
	inputs := n.Inputs
	if n.Is("Where") {
		inputs = inputs[min(1, len(inputs)):]
	}
	for _, in := range inputs {
		if !m.flow.depends[in] && m.largest(in) >= m.size {
			return in
		}
	}
	return ""
}

// mask returns the constant by which v, a value that depends on inputs, is a
// mask, or "": a large constant times something, chosen by something, or such a
// value moved.
func (m *masks) mask(v string) string {
	by, known := m.made[v]
	if !known {
		m.made[v] = ""
		by = m.findMask(v)
		m.made[v] = by
	}
	return by
}

func (m *masks) findMask(v string) string {
	u := m.flow.producer[v]
	if u == nil || u.main == nil || u.comp != nil {
		return ""
	}
	n := u.main
	switch {
	case n.Is("Mul", "Where"):
		return m.constant(n)
	case u.moves(), n.Is("Cast", "Clip", "Neg"):
		return m.mask(n.Input(0))
	case n.Is("Add", "Sub", "Min", "Max", "Mul"):
		by := ""
		for _, in := range u.ins {
			c := m.mask(in)
			if c == "" {
				return ""
			}
			by = c
		}
		return by
	}
	return ""
}

// masked returns the constant by which u's result holds masked values, or "".
func (m *masks) masked(u *unit) string {
	if u.main == nil || u.comp != nil {
		return ""
	}
	if c := m.mask(u.outs[0]); c != "" {
		return c
	}
	if !u.main.Is("Add", "Sub", "Where", "Min", "Max", "Sum") {
		return ""
	}
	if c := m.constant(u.main); c != "" {
		return c
	}
	for _, in := range u.ins {
		if c := m.mask(in); c != "" {
			return c
		}
	}
	return ""
}

// leads reports whether u's result goes into an operator that masks are for:
// one to which a large negative value is none.
func (m *masks) leads(u *unit) bool {
	if known, ok := m.behind[u]; ok {
		return known
	}
	m.behind[u] = false
	for _, c := range m.flow.children(u) {
		n := c.main
		switch {
		case c.op == "Softmax", n.Is("Softmax", "LogSoftmax", "Exp", "Where", "Attention", "ArgMax", "TopK", "ReduceMax", "Sigmoid", "GreaterOrEqual", "Greater", "Less"):
			m.behind[u] = true
		case c.moves(), n.Is("Add", "Sub", "Sum", "Min", "Max", "Clip", "Cast", "Mul", "Div"):
			m.behind[u] = m.behind[u] || m.leads(c)
		}
	}
	return m.behind[u]
}

// spareMasks leaves values float whose range a constant alone makes: masks, and
// what they are added to. [scheme.High] spares all of them; in the guide's way
// only those that cannot be calibrated at all, and the others are told.
func (b *builder) spareMasks(asks map[*unit]bool, high bool) {
	m := &masks{flow: b.flow, size: maskSize, before: b.names.Before(), memo: map[string]float64{}, made: map[string]string{}, behind: map[*unit]bool{}}
	for _, u := range b.flow.units {
		if len(u.outs) == 0 || !asks[u] && !b.readQuantized(u, asks) || !b.declined[u].IsZero() {
			continue
		}
		c := m.masked(u)
		if c == "" || !m.leads(u) {
			continue
		}
		if r := b.layers[u.group].Rule; r != nil && r.Kinds.Has(scheme.Activation) {
			continue // asked for
		}
		if high || m.largest(c) >= endlessSize {
			b.declined[u] = diag.Textf("the constant %s alone would make its range: it masks values out", c)
			asks[u] = false
			continue
		}
		b.list = append(b.list, diag.Finding{
			Severity: diag.Warning, Code: "mask-in-range",
			Message: diag.Textf("layer %s: the constant %s, which masks values out, alone makes the range of %q: all other values fall to one or two steps", b.layers[u.group].Name, c, u.outs[0]),
			Fix:     diag.Textf("leave the layer in float with a layer rule, %s, or use --accuracy high", floatRule(b.layers[u.group].Name)),
		})
	}
}

// readQuantized reports whether a quantized unit reads what u puts out.
func (b *builder) readQuantized(u *unit, asks map[*unit]bool) bool {
	return slices.ContainsFunc(b.flow.children(u), func(c *unit) bool { return asks[c] || c.moves() })
}

// floatRule writes the layer rule that leaves a layer's result in float.
func floatRule(layer string) diag.Text {
	return diag.Verbatim(`{"layer_type": null, "layer_name": ` + quoted([]string{layer})[0] +
		`, "quantizable_data_type": ["activation"], "overall_quantize_config": {"datatype": "float32"}}`)
}
