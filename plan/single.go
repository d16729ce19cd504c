package plan

import (
	"slices"

	"narrow/graph"
	"narrow/graph/names"
	"narrow/strategy"
)

// Singles returns, for the rules that name many layers (patterns, lists, reused
// modules), a name for each layer on which the rule wins, in the network's order.
// Rules with these names instead mean the same, and vai_q_pytorch knows such.
func (p *Plan) Singles() map[*strategy.Rule][]string {
	at := map[Spot][]*strategy.Rule{}
	for _, m := range p.Matches {
		for _, sp := range m.Spots {
			at[sp] = append(at[sp], m.Rule)
		}
	}
	out := map[*strategy.Rule][]string{}
	for _, m := range p.Matches {
		if !m.Rule.Many() && !p.manyUses(m) {
			continue
		}
		list := []string{}
		for _, sp := range m.Spots {
			if rules := at[sp]; rules[strategy.Winner(rules)] != m.Rule {
				continue
			}
			name := sp.Layer.Name
			if sp.Node != nil {
				name = sp.Node.Label()
				if singles := p.Names.Singles(sp.Node); len(singles) > 0 {
					name = singles[0]
				}
			}
			if !slices.Contains(list, name) {
				list = append(list, name)
			}
		}
		out[m.Rule] = list
	}
	return out
}

// manyUses reports whether a rule's one name means several nodes.
func (p *Plan) manyUses(m Match) bool {
	if !m.Rule.ByName() {
		return false
	}
	nodes := map[*graph.Node]bool{}
	for _, sp := range m.Spots {
		nodes[sp.Node] = true
	}
	return len(nodes) > 1 && slices.ContainsFunc(p.Names.FindAll(m.Rule.Names()), func(f names.Match) bool { return f.Reused })
}
