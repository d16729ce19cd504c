package plan

import (
	"math"
	"slices"

	"narrow/graph"
)

// Names of layers that exporters write as several nodes.
const (
	compositeHardSwish = "HardSwish"
	compositeSwish     = "Swish"
	compositeGelu      = "Gelu"
	compositeLayerNorm = "LayerNormalization"
	compositeLinear    = "Linear"
)

// composite is a layer that the file spells as several nodes. Only the value
// behind the last one counts; the values between are part of its arithmetic.
type composite struct {
	op    string
	nodes []*graph.Node // in graph order; the last one puts out the result
	main  *graph.Node   // the node whose name and weights the layer takes
	bias  string        // the bias constant of a Linear, or ""
	biasN *graph.Node   // the node that adds it
	inner map[string]bool
}

// matcher finds composites on an index.
type matcher struct {
	ix    *graph.Index
	taken map[*graph.Node]bool
	// places are the nodes' places in the graph, once asked for.
	places map[*graph.Node]int
}

// findComposites returns the composites of g, at most one per node. written
// takes in what vai_q_pytorch does not know as one layer: normalizations and
// softmax that are written out, functions in any spelling.
func findComposites(ix *graph.Index, written bool) map[*graph.Node]*composite {
	m := &matcher{ix: ix, taken: map[*graph.Node]bool{}}
	found := map[*graph.Node]*composite{}
	m.wholes(found)
	// Longer patterns first: a Gelu holds Mul nodes that a shorter one may want.
	matches := []func(*graph.Node) *composite{m.layerNorm, m.gelu, m.hardSwish, m.swish, m.linear}
	if written {
		matches = []func(*graph.Node) *composite{m.groupNorm, m.normalization, m.softmax, m.function, m.linear}
	}
	for _, match := range matches {
		// From the end: what a function ends with is taken before its parts.
		for i := range ix.Graph.Nodes {
			n := ix.Graph.Nodes[i]
			if written {
				n = ix.Graph.Nodes[len(ix.Graph.Nodes)-1-i]
			}
			if m.taken[n] {
				continue
			}
			c := match(n)
			if c == nil || !m.closed(c) {
				continue
			}
			for _, x := range c.nodes {
				m.taken[x] = true
				found[x] = c
			}
		}
	}
	return found
}

// Normalizations returns the nodes of the normalizations that a network writes
// out: what the accuracy high takes as one layer.
func Normalizations(ix *graph.Index) map[*graph.Node]bool {
	m := &matcher{ix: ix, taken: map[*graph.Node]bool{}}
	for _, match := range []func(*graph.Node) *composite{m.groupNorm, m.normalization} {
		for _, n := range slices.Backward(ix.Graph.Nodes) {
			if c := match(n); c != nil && m.closed(c) {
				for _, x := range c.nodes {
					m.taken[x] = true
				}
			}
		}
	}
	return m.taken
}

// wholes finds the operators that a rewrite rule spelled as several nodes.
func (m *matcher) wholes(found map[*graph.Node]*composite) {
	byWhole := map[*graph.Whole]*composite{}
	for _, n := range m.ix.Graph.Nodes {
		if n.Whole == nil {
			continue
		}
		c := byWhole[n.Whole]
		if c == nil {
			c = &composite{op: n.Whole.OpType}
			byWhole[n.Whole] = c
		}
		c.nodes = append(c.nodes, n)
		if n.Rule == "" || c.main == nil || c.main.Rule != "" {
			c.main = n // the model's own node, or the last
		}
	}
	for _, c := range byWhole {
		if !m.closed(c) {
			continue // a later rule took a piece: the nodes stand for themselves
		}
		for _, n := range c.nodes {
			m.taken[n] = true
			found[n] = c
		}
	}
}

// closed reports whether nobody outside reads the values between c's nodes,
// and none of the nodes belongs to another composite.
func (m *matcher) closed(c *composite) bool {
	own := map[*graph.Node]bool{}
	for _, n := range c.nodes {
		if m.taken[n] {
			return false
		}
		own[n] = true
	}
	c.inner = map[string]bool{}
	last := c.nodes[len(c.nodes)-1]
	for _, n := range c.nodes {
		if n == last {
			continue
		}
		for _, o := range n.Outputs {
			if m.ix.IsOutput(o) {
				return false
			}
			for _, user := range m.ix.Consumers[o] {
				if !own[user] {
					return false
				}
			}
			c.inner[o] = true
		}
	}
	return true
}

// scalar returns the one value of a constant of one element.
func (m *matcher) scalar(name string) (float64, bool) {
	t := m.ix.Constant[name]
	if t == nil || t.Type != graph.Float32 || t.Len() != 1 {
		return 0, false
	}
	v, err := t.Floats()
	if err != nil {
		return 0, false
	}
	return float64(v[0]), true
}

func near(a, b float64) bool { return math.Abs(a-b) <= 1e-4*math.Max(1, math.Abs(b)) }

// operands splits a binary node into its variable operand and constant scalar.
func (m *matcher) operands(n *graph.Node) (x string, c float64, ok bool) {
	if len(n.Inputs) != 2 {
		return "", 0, false
	}
	if c, ok := m.scalar(n.Input(1)); ok {
		return n.Input(0), c, true
	}
	if c, ok := m.scalar(n.Input(0)); ok {
		return n.Input(1), c, true
	}
	return "", 0, false
}

func (m *matcher) producer(value, op string) *graph.Node {
	if p := m.ix.Producer[value]; p != nil && p.Is(op) {
		return p
	}
	return nil
}

// other returns the operand of binary n that is not value.
func other(n *graph.Node, value string) string {
	if n.Input(0) == value {
		return n.Input(1)
	}
	return n.Input(0)
}

// linear: MatMul with a constant, then Add of a constant vector: torch's
// Linear on more than two dimensions.
func (m *matcher) linear(n *graph.Node) *composite {
	if !n.Is("MatMul") || m.ix.Constant[n.Input(1)] == nil || m.ix.Constant[n.Input(0)] != nil {
		return nil
	}
	users := m.ix.Consumers[n.Outputs[0]]
	if len(users) != 1 || !users[0].Is("Add") || m.ix.IsOutput(n.Outputs[0]) {
		return nil
	}
	add := users[0]
	b := m.ix.Constant[other(add, n.Outputs[0])]
	w := m.ix.Constant[n.Input(1)]
	if b == nil || len(w.Dims) < 2 || int64(b.Len()) != w.Dims[len(w.Dims)-1] ||
		len(b.Dims) == 0 || b.Dims[len(b.Dims)-1] != int64(b.Len()) {
		return nil
	}
	return &composite{op: compositeLinear, nodes: []*graph.Node{n, add}, main: n, bias: other(add, n.Outputs[0]), biasN: add}
}

// hardSwish: x * HardSigmoid(x, 1/6, 1/2), or x * Clip(x+3, 0, 6) / 6 with the
// sixth taken before or after the product.
func (m *matcher) hardSwish(n *graph.Node) *composite {
	if !n.Is("Mul") || len(n.Inputs) != 2 {
		return nil
	}
	for i, in := range n.Inputs {
		x := n.Inputs[1-i]
		if h := m.producer(in, "HardSigmoid"); h != nil && h.Input(0) == x &&
			near(float64(h.Float("alpha", 0.2)), 1.0/6) && near(float64(h.Float("beta", 0.5)), 0.5) {
			return &composite{op: compositeHardSwish, nodes: []*graph.Node{h, n}, main: n}
		}
		if gate := m.gate(in, x); gate != nil {
			// The product is six times too large: what reads it must fix that.
			users := m.ix.Consumers[n.Outputs[0]]
			if len(users) == 1 && m.sixth(users[0]) {
				return &composite{op: compositeHardSwish, nodes: append(gate, n, users[0]), main: users[0]}
			}
		}
		if s := m.ix.Producer[in]; s != nil && m.sixth(s) {
			if v, _, ok := m.operands(s); ok {
				if gate := m.gate(v, x); gate != nil {
					return &composite{op: compositeHardSwish, nodes: append(gate, s, n), main: n}
				}
			}
		}
	}
	return nil
}

// gate returns the nodes of Clip(x+3, 0, 6) where v is that.
func (m *matcher) gate(v, x string) []*graph.Node {
	clip := m.producer(v, "Clip")
	if clip == nil {
		return nil
	}
	lo, hi, ok := m.bounds(clip)
	add := m.producer(clip.Input(0), "Add")
	if !ok || lo != 0 || hi != 6 || add == nil {
		return nil
	}
	if y, c, ok := m.operands(add); !ok || y != x || c != 3 {
		return nil
	}
	return []*graph.Node{add, clip}
}

// bounds returns the bounds of a Clip, which are attributes before opset 11.
func (m *matcher) bounds(clip *graph.Node) (lo, hi float64, ok bool) {
	lo, hi = float64(clip.Float("min", -math.MaxFloat32)), float64(clip.Float("max", math.MaxFloat32))
	for i, b := range []*float64{&lo, &hi} {
		if v := clip.Input(1 + i); v != "" {
			if *b, ok = m.scalar(v); !ok {
				return 0, 0, false
			}
		}
	}
	return lo, hi, true
}

// sixth reports whether n divides by 6.
func (m *matcher) sixth(n *graph.Node) bool {
	_, c, ok := m.operands(n)
	switch {
	case !ok:
		return false
	case n.Is("Div"):
		return near(c, 6) && m.ix.Constant[n.Input(1)] != nil
	}
	return n.Is("Mul") && near(c, 1.0/6)
}

// swish: x * Sigmoid(x) (SiLU).
func (m *matcher) swish(n *graph.Node) *composite {
	if !n.Is("Mul") || len(n.Inputs) != 2 {
		return nil
	}
	for i, in := range n.Inputs {
		if s := m.producer(in, "Sigmoid"); s != nil && s.Input(0) == n.Inputs[1-i] {
			return &composite{op: compositeSwish, nodes: []*graph.Node{s, n}, main: n}
		}
	}
	return nil
}

// gelu: x/sqrt(2) -> Erf -> +1 -> *x -> *1/2, with the half before or after.
func (m *matcher) gelu(n *graph.Node) *composite {
	if !n.Is("Erf") {
		return nil
	}
	pre := m.ix.Producer[n.Input(0)]
	if pre == nil || !pre.Is("Div", "Mul") {
		return nil
	}
	x, c, ok := m.operands(pre)
	if !ok || !(pre.Is("Div") && near(c, math.Sqrt2) || pre.Is("Mul") && near(c, 1/math.Sqrt2)) {
		return nil
	}
	step := func(value, op string) *graph.Node {
		users := m.ix.Consumers[value]
		if len(users) == 1 && users[0].Is(op) {
			return users[0]
		}
		return nil
	}
	add := step(n.Outputs[0], "Add")
	if add == nil {
		return nil
	}
	if _, one, ok := m.operands(add); !ok || !near(one, 1) {
		return nil
	}
	m1 := step(add.Outputs[0], "Mul")
	if m1 == nil {
		return nil
	}
	nodes := []*graph.Node{pre, n, add, m1}
	if o := other(m1, add.Outputs[0]); o != x {
		// 0.5 was multiplied in before: other operand is x*0.5 or the scalar.
		if h := m.ix.Producer[o]; h != nil && h.Is("Mul") {
			if hx, c, ok := m.operands(h); ok && hx == x && near(c, 0.5) {
				return &composite{op: compositeGelu, nodes: append([]*graph.Node{h}, nodes...), main: m1}
			}
		}
		return nil
	}
	m2 := step(m1.Outputs[0], "Mul")
	if m2 == nil {
		return nil
	}
	if _, c, ok := m.operands(m2); !ok || !near(c, 0.5) {
		return nil
	}
	return &composite{op: compositeGelu, nodes: append(nodes, m2), main: m2}
}

// layerNorm: (x-mean)/sqrt(var+eps) with its scale and shift, as exporters
// wrote it before opset 17.
func (m *matcher) layerNorm(n *graph.Node) *composite {
	if !n.Is("ReduceMean") {
		return nil
	}
	x := n.Input(0)
	var sub *graph.Node
	for _, u := range m.ix.Consumers[n.Outputs[0]] {
		if u.Is("Sub") && u.Input(0) == x {
			sub = u
		}
	}
	if sub == nil {
		return nil
	}
	nodes := []*graph.Node{n, sub}
	var div, pow *graph.Node
	for _, u := range m.ix.Consumers[sub.Outputs[0]] {
		switch {
		case u.Is("Div") && u.Input(0) == sub.Outputs[0]:
			div = u
		case u.Is("Pow"), u.Is("Mul") && u.Input(0) == u.Input(1):
			pow = u
		case u.Is("Cast"):
			return nil
		}
	}
	if div == nil || pow == nil {
		return nil
	}
	nodes = append(nodes, pow)
	v := pow.Outputs[0]
	for _, op := range []string{"ReduceMean", "Add", "Sqrt"} {
		users := m.ix.Consumers[v]
		if len(users) != 1 || !users[0].Is(op) {
			return nil
		}
		nodes = append(nodes, users[0])
		v = users[0].Outputs[0]
	}
	if div.Input(1) != v {
		return nil
	}
	nodes = append(nodes, div)
	last := div
	for _, op := range []string{"Mul", "Add"} {
		users := m.ix.Consumers[last.Outputs[0]]
		if len(users) != 1 || !users[0].Is(op) || m.ix.Constant[other(users[0], last.Outputs[0])] == nil {
			break
		}
		last = users[0]
		nodes = append(nodes, last)
	}
	return &composite{op: compositeLayerNorm, nodes: nodes, main: last}
}
