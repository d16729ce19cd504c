package report

import (
	"slices"

	"narrow/graph"
	"narrow/plan"
	"narrow/strategy"
)

// rules tells of every layer rule in which layers it applies, and in which it
// matches but another one wins.
func (b *builder) rules() []Rule {
	layerOf := map[*graph.Node]*plan.Layer{}
	inputOf := map[string]*plan.Layer{}
	for _, l := range b.plan.Layers {
		if l.Node == nil {
			inputOf[l.Name] = l
		}
		for _, n := range l.Nodes {
			layerOf[n] = l
		}
	}
	out := []Rule{}
	for _, r := range b.plan.Strategy.Rules {
		d := Rule{Text: Text{r.Text()}, First: r.Range.Start.Line, Last: r.Range.End.Line, Kinds: r.Kinds.List(), Layers: []int{}}
		for i, l := range b.plan.Layers {
			if l.Rule == r {
				d.Layers = append(d.Layers, i)
			}
		}
		for _, l := range matched(b.plan, r, layerOf, inputOf) {
			if at := b.layerOf[l]; l.Rule != r && !slices.Contains(d.Lost, at) {
				d.Lost = append(d.Lost, at)
			}
		}
		slices.Sort(d.Lost)
		out = append(out, d)
	}
	return out
}

// matched returns the layers that a rule's name or type means.
func matched(p *plan.Plan, r *strategy.Rule, layerOf map[*graph.Node]*plan.Layer, inputOf map[string]*plan.Layer) []*plan.Layer {
	var out []*plan.Layer
	add := func(l *plan.Layer) {
		if l != nil {
			out = append(out, l)
		}
	}
	if !r.ByName() {
		for _, n := range p.Names.OfType(r.LayerType) {
			add(layerOf[n])
		}
		return out
	}
	for _, m := range p.Names.FindAll(r.Names()) {
		for _, in := range append(m.Inputs, m.Input) {
			add(inputOf[in])
		}
		for _, n := range m.Nodes {
			add(layerOf[n])
		}
	}
	return out
}
