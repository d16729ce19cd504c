package plan

import (
	"slices"

	"narrow/diag"
	"narrow/strategy"
)

// Overlaps reports layer rules that lose everywhere, and pairs of one sort that
// match the same layers. known is what was found in the strategy file itself,
// which is not said twice.
func (p *Plan) Overlaps(known diag.List) diag.List {
	at := map[Spot][]*strategy.Rule{}
	for _, m := range p.Matches {
		for _, sp := range m.Spots {
			if !slices.Contains(at[sp], m.Rule) {
				at[sp] = append(at[sp], m.Rule)
			}
		}
	}
	var list diag.List
	for i, m := range p.Matches {
		r, spots := m.Rule, m.Spots
		if len(spots) == 0 || slices.ContainsFunc(known, func(f diag.Finding) bool {
			return (f.Code == "shadowed-rule" || f.Code == "rule-ambiguous") && f.Rule == r.Index
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
				winners[w] = append(winners[w], sp.name())
			}
		}
		if wins == 0 {
			f := diag.Finding{Severity: diag.Warning, Code: "shadowed-rule", Range: r.NameRange, Path: r.NamePath, Rule: r.Index, Fix: diag.Textf("delete it")}
			var by []diag.Text
			for _, w := range p.Strategy.Rules {
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
		for _, w := range p.Strategy.Rules[i+1:] {
			if where := winners[w]; len(where) > 0 {
				list = append(list, diag.Finding{Severity: diag.Note, Code: "later-rule-wins", Range: r.NameRange, Path: r.NamePath, Rule: r.Index,
					Message: diag.Textf("%s and %s both match %s: the later one wins there", r, w, some(where)),
					Related: []diag.Related{{Range: w.NameRange, Message: diag.Textf("the later rule")}}})
			}
		}
	}
	return list
}

func (s Spot) name() string {
	if s.Node != nil {
		return s.Node.Label()
	}
	return s.Layer.Name
}

// some writes at most three names of a list.
func some[T any](list []T) diag.Text {
	if len(list) > 3 {
		return diag.And([]any{list[0], list[1], diag.Textf("%d more", len(list)-2)})
	}
	return diag.And(list)
}
