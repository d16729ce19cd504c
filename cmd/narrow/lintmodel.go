package main

import (
	"slices"

	"narrow"
	"narrow/diag"
	"narrow/graph"
	"narrow/plan"
	"narrow/strategy"
)

// lintModel returns what a strategy's rules do wrong in a model.
func lintModel(path string, s *strategy.Strategy, known diag.List) (diag.List, error) {
	m, err := narrow.Open(path)
	if err != nil {
		return nil, err
	}
	r, list, err := m.Resolve(s)
	if err != nil {
		return nil, err
	}
	// A type that is nothing at all has been reported with its own way out.
	list = slices.DeleteFunc(list, func(f diag.Finding) bool {
		return slices.ContainsFunc(known, func(k diag.Finding) bool {
			return k.Severity == diag.Error && k.Range == f.Range && !f.Range.IsZero()
		})
	})
	return append(list, overlaps(r.Plan, s, slices.Concat(known, list))...), nil
}

// spot is a node that a rule matches, nil for a network input. What several
// nodes make, such as a convolution and the function behind it, are different
// spots of one layer.
type spot struct {
	node  *graph.Node
	layer *plan.Layer
}

// overlaps reports rules that lose everywhere, and pairs of one sort that match
// the same layers.
func overlaps(p *plan.Plan, s *strategy.Strategy, known diag.List) diag.List {
	table := p.Names
	layerOf := map[*graph.Node]*plan.Layer{}
	inputOf := map[string]*plan.Layer{}
	for _, l := range p.Layers {
		if l.Node == nil {
			inputOf[l.Name] = l
		}
		for _, n := range l.Nodes {
			layerOf[n] = l
		}
	}
	matches := map[*strategy.Rule][]spot{}
	at := map[spot][]*strategy.Rule{}
	for _, r := range s.Rules {
		var spots []spot
		if r.ByName() {
			for _, m := range table.FindAll(r.Names()) {
				for _, in := range append(m.Inputs, m.Input) {
					if l := inputOf[in]; l != nil && !slices.Contains(spots, spot{nil, l}) {
						spots = append(spots, spot{nil, l})
					}
				}
				for _, n := range m.Nodes {
					if sp := (spot{n, layerOf[n]}); !slices.Contains(spots, sp) {
						spots = append(spots, sp)
					}
				}
			}
		} else if r.LayerType != "" {
			for _, n := range table.OfType(r.LayerType) {
				spots = append(spots, spot{n, layerOf[n]})
			}
		}
		matches[r] = spots
		for _, sp := range spots {
			at[sp] = append(at[sp], r)
		}
	}
	var list diag.List
	for i, r := range s.Rules {
		spots := matches[r]
		if len(spots) == 0 || slices.ContainsFunc(known, func(f diag.Finding) bool {
			return (f.Code == "shadowed-rule" || f.Code == "rule-ambiguous") && f.Range == r.NameRange
		}) {
			continue
		}
		wins := 0
		lost := map[*strategy.Rule]bool{}
		winners := map[*strategy.Rule][]string{} // same sort, with the layers' names
		for _, sp := range spots {
			rules := at[sp]
			w := rules[strategy.Winner(rules)]
			if w == r {
				wins++
			} else {
				lost[w] = true
			}
			if w != r && w.Rank() == r.Rank() {
				winners[w] = append(winners[w], spotName(sp.node, sp.layer))
			}
		}
		if wins == 0 {
			f := diag.Finding{Severity: diag.Warning, Code: "shadowed-rule", Range: r.NameRange, Path: r.NamePath, Fix: diag.Textf("delete it")}
			var by []diag.Text
			for _, w := range s.Rules {
				if lost[w] {
					by = append(by, w.Text())
					f.Related = append(f.Related, diag.Related{Range: w.NameRange, Message: diag.Textf("this rule wins")})
				}
			}
			f.Message = diag.Textf("%s has no effect: %s win on every layer that it matches", r, some(by))
			if len(by) == 1 {
				f.Message = diag.Textf("%s has no effect: %s wins on every layer that it matches", r, by[0])
			}
			list = append(list, f)
			continue
		}
		for _, w := range s.Rules[i+1:] {
			if where := winners[w]; len(where) > 0 {
				list = append(list, diag.Finding{Severity: diag.Note, Code: "later-rule-wins", Range: r.NameRange, Path: r.NamePath,
					Message: diag.Textf("%s and %s both match %s: the later one wins there", r, w, some(where)),
					Related: []diag.Related{{Range: w.NameRange, Message: diag.Textf("the later rule")}}})
			}
		}
	}
	return list
}

func spotName(n *graph.Node, l *plan.Layer) string {
	if n != nil {
		return n.Label()
	}
	return l.Name
}

// some writes at most three names of a list.
func some[T any](list []T) diag.Text {
	if len(list) > 3 {
		return diag.And([]any{list[0], list[1], diag.Textf("%d more", len(list)-2)})
	}
	return diag.And(list)
}
