package plan

import (
	"slices"

	"narrow/diag"
	"narrow/graph"
	"narrow/graph/infer"
	"narrow/scheme"
)

// Unquantized is a layer with weights that stays in float although no setting
// asks for that.
type Unquantized struct {
	// Name is the node's name, Op its operator. Within control flow, In is the
	// name of the outermost node around it.
	Name, Op, In string
	Why          diag.Text
}

// unquantized lists the layers with weights that no tensor of the plan stands
// for, with the reason.
func (b *builder) unquantized() {
	types := infer.Types(b.p.Model)
	signal := map[*graph.Node]*unit{}
	for u := range b.signal {
		if b.flow.weighted(u) {
			signal[u.main] = u
		}
	}
	for _, n := range b.p.Model.Graph.Nodes {
		why := b.floatReason(n, types)
		if u := signal[n]; why.IsZero() && u != nil {
			why = b.signalWeights(u, scheme.Weights)
		}
		if !why.IsZero() {
			b.p.Unquantized = append(b.p.Unquantized, Unquantized{Name: n.Label(), Op: n.OpType, Why: why})
		}
		for _, sub := range n.Subgraphs() {
			b.inside(n, sub)
		}
	}
}

// noteUnquantized says how many layers with weights stay float, and why.
func (b *builder) noteUnquantized() {
	us := b.p.Unquantized
	if len(us) == 0 {
		return
	}
	var which []any
	for i, u := range us {
		if i == 3 && len(us) > 4 {
			which = append(which, diag.Textf("%d more", len(us)-i))
			break
		}
		which = append(which, diag.Textf("%s (%s)", u.Name, u.Why))
	}
	f := diag.Finding{Severity: diag.Note, Code: "weights-in-float", Fix: diag.Textf("\"narrow explain\" lists them")}
	f.Message = diag.Textf("%d layers with weights stay in float: %s", len(us), diag.Commas(which))
	if len(us) == 1 {
		f.Message = diag.Textf("1 layer with weights stays in float: %s", which[0])
	}
	b.list = append(b.list, f)
}

// inside lists the weighted layers of g, a graph inside n.
func (b *builder) inside(n *graph.Node, g *graph.Graph) {
	ix := graph.NewIndex(g)
	for _, m := range g.Nodes {
		if multiplies(m) && (m.OpType != "MatMul" || b.stored(ix, m.Input(0)) || b.stored(ix, m.Input(1))) {
			b.p.Unquantized = append(b.p.Unquantized, Unquantized{Name: m.Label(), Op: m.OpType, In: n.Label(), Why: diag.Textf("it is inside the %s %s, which passes through untouched", n.OpType, n.Label())})
		}
		for _, sub := range m.Subgraphs() {
			b.inside(n, sub)
		}
	}
}

// stored reports whether v is a constant of an inner graph or of the network.
func (b *builder) stored(ix *graph.Index, v string) bool {
	return ix.Constant[v] != nil || b.flow.ix.Constant[v] != nil
}

// multiplies reports whether n is an operator with weights of its own.
func multiplies(n *graph.Node) bool {
	return n.Is("Conv", "ConvTranspose", "Gemm", "MatMul", "DeformConv", "Einsum") || recurrent(n) ||
		n.Domain == "com.microsoft" && slices.Contains([]string{"FusedConv", "FusedGemm", "FusedMatMul", "MatMulNBits", "Attention", "MultiHeadAttention", "EmbedLayerNormalization"}, n.OpType)
}

// floatReason says why the weights of n, a node of the network itself, are not
// quantized, whatever the settings; nothing where they are, or n has none.
func (b *builder) floatReason(n *graph.Node, types map[string]graph.DataType) diag.Text {
	if !multiplies(n) {
		return diag.Text{}
	}
	float := func(i int) bool { return b.floatConstant(n.Input(i)) }
	t := types[n.Input(0)]
	switch {
	case recurrent(n):
		return diag.Textf("weights and biases of %s are not quantized", n.OpType)
	case n.Domain != "":
		return diag.Textf("%s is an operator of the domain %s, which passes through untouched", n.OpType, n.Domain)
	case t == graph.Float16 || t == graph.BFloat16 || t == graph.Float64:
		return diag.Textf("it computes in %v", t)
	case n.Is("DeformConv", "Einsum"):
		if slices.ContainsFunc(n.Inputs, b.floatConstant) {
			return diag.Textf("%s has no integer form", n.OpType)
		}
		return diag.Text{}
	case n.Is("MatMul", "Gemm"):
		if float(0) || float(1) || !b.computedOnce(n.Input(0)) && !b.computedOnce(n.Input(1)) {
			return diag.Text{} // a product of two activations is none with weights
		}
		return diag.Textf("its weights are not stored, and what computes them is not known to be constant")
	case float(1):
		return diag.Text{}
	case b.flow.producer[n.Input(1)] != nil:
		return diag.Textf("its weights are computed from the network's inputs")
	}
	return diag.Textf("its weights are not stored, and what computes them is not known to be constant")
}

// computedOnce reports whether nodes compute v of constants alone, though not in
// a way that can be folded.
func (b *builder) computedOnce(v string) bool {
	return v != "" && b.flow.ix.Constant[v] == nil && b.flow.ix.Producer[v] != nil && !b.flow.depends[v]
}

// leftRecurrent lists the constants of a recurrent layer as not quantized.
func (b *builder) leftRecurrent(u *unit) {
	if u.main == nil || !recurrent(u.main) {
		return
	}
	for i, kind := range []scheme.Kind{1: scheme.Weights, 2: scheme.Weights, 3: scheme.Bias} {
		if i > 0 && b.floatConstant(u.main.Input(i)) {
			b.p.FloatTensors = append(b.p.FloatTensors, FloatTensor{u.main.Input(i), kind, b.layers[u.group], diag.Textf("weights and biases of %s are not quantized", u.main.OpType)})
		}
	}
}
