package report

import "slices"

// rules tells of every layer rule in which layers it applies, and in which it
// matches but another one wins.
func (b *builder) rules() []Rule {
	out := []Rule{}
	for _, m := range b.plan.Matches {
		r := m.Rule
		d := Rule{Text: Text{r.Text()}, First: r.Range.Start.Line, Last: r.Range.End.Line, Kinds: r.Kinds.List(), Layers: []int{}}
		for i, l := range b.plan.Layers {
			if l.Rule == r {
				d.Layers = append(d.Layers, i)
			}
		}
		for _, sp := range m.Spots {
			l := sp.Layer
			if at := b.layerOf[l]; l.Rule != r && !slices.Contains(d.Lost, at) {
				d.Lost = append(d.Lost, at)
			}
		}
		slices.Sort(d.Lost)
		out = append(out, d)
	}
	return out
}
