package plan

import (
	"narrow/graph"
	"narrow/strategy"
)

// matchRules finds the rule that wins on each node.
func (b *builder) matchRules() {
	for _, n := range b.p.Model.Graph.Nodes {
		var hit []*strategy.Rule
		for _, r := range b.s.Rules {
			if r.LayerName == n.Name && r.LayerName != "" || typeMatches(n, strategy.BareType(r.LayerType)) {
				hit = append(hit, r)
			}
		}
		if i := strategy.Winner(hit); i >= 0 {
			b.rules[n] = hit[i]
		}
	}
}

func typeMatches(n *graph.Node, t string) bool {
	return n.OpType == t || t == "Conv2d" && n.Is("Conv") || t == "Linear" && n.Is("Gemm", "MatMul")
}

// roughTypes stands in until type inference lands.
func roughTypes(g *graph.Graph) map[string]graph.DataType {
	types := map[string]graph.DataType{}
	for _, v := range g.Inputs {
		types[v.Name] = v.Type
	}
	for _, t := range g.Initializers {
		types[t.Name] = t.Type
	}
	for _, n := range g.Nodes {
		t := types[n.Input(0)]
		switch {
		case n.Is("Shape", "Size", "ArgMax", "ArgMin", "NonZero"):
			t = graph.Int64
		case n.Is("Cast"):
			t = graph.DataType(n.Int("to", 1))
		case n.Is("Constant"):
			if a := n.Attr("value"); a != nil && a.Tensor != nil {
				t = a.Tensor.Type
			}
		case n.Is("Where"):
			t = types[n.Input(1)]
		}
		for _, o := range n.Outputs {
			types[o] = t
		}
	}
	return types
}
