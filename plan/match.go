package plan

import (
	"strconv"
	"strings"

	"narrow/diag"
	"narrow/graph"
	"narrow/graph/names"
	"narrow/strategy"
)

// matchRules finds the rule that wins on each unit, and reports rules that
// match nothing, or by name more than one layer.
func (b *builder) matchRules() {
	table := b.names
	unitOf := map[*graph.Node]*unit{}
	inputOf := map[string]*unit{}
	for _, u := range b.flow.units {
		for _, n := range u.nodes {
			unitOf[n] = u
		}
		if u.main == nil {
			inputOf[u.outs[0]] = u
		}
	}
	hits := map[*unit][]*strategy.Rule{}
	for _, r := range b.s.Rules {
		var us []*unit
		add := func(u *unit) {
			if u != nil {
				for _, seen := range us {
					if seen == u {
						return
					}
				}
				us = append(us, u)
			}
		}
		switch {
		case r.ByName():
			m := table.Find(r.LayerName)
			add(inputOf[m.Input])
			for _, n := range m.Nodes {
				add(unitOf[n])
			}
			switch {
			case len(us) == 0:
				b.unmatched(r, m, table.Nearest(r.LayerName))
			case layers(us) > 1:
				b.ambiguous(r, us)
			}
		case r.LayerType != "":
			for _, n := range table.OfType(r.LayerType) {
				add(unitOf[n])
			}
			for _, u := range b.flow.units {
				if u.main != nil && u.main.Whole != nil && strings.EqualFold(u.op, strategy.BareType(r.LayerType)) {
					add(u)
				}
			}
			if len(us) == 0 {
				b.unmatched(r, names.Match{Gone: table.GoneType(r.LayerType)}, table.NearestTypes(r.LayerType))
			}
		}
		for _, u := range us {
			hits[u] = append(hits[u], r)
		}
	}
	for u, rs := range hits {
		b.rules[u] = rs[strategy.Winner(rs)]
	}
}

// layers counts the layers that units belong to.
func layers(us []*unit) int {
	seen := map[*group]bool{}
	for _, u := range us {
		seen[u.group] = true
	}
	return len(seen)
}

func (b *builder) unmatched(r *strategy.Rule, m names.Match, near []string) {
	f := diag.Finding{
		Severity: diag.Error, Code: "rule-matches-nothing", Range: r.NameRange, Path: r.NamePath,
		Message:     diag.Textf("%v matches no layer of the model", r),
		Suggestions: near,
	}
	switch {
	case len(m.Gone) > 0:
		// The rule is right, and vai_q_pytorch is silent about it too.
		f.Severity, f.Code, f.Suggestions = diag.Warning, "rule-rewritten", nil
		g := m.Gone[0]
		f.Message = diag.Textf("%v has no effect: rewriting before calibration removes %s", r, g.Node.Label())
		if len(m.Gone) > 1 {
			f.Message = diag.Textf("%v and the %d others that it matches", f.Message, len(m.Gone)-1)
		}
		if g.Into != nil {
			f.Fix = diag.Textf("write a rule for what it became part of, such as %s", g.Into.Label())
		}
	case len(m.Nodes) > 0:
		f.Message = diag.Textf("%v matches %s, which computes with no float values of the network", r, m.Nodes[0].Label())
		f.Fix = diag.Textf("name a layer that \"narrow layers\" lists, or delete the rule")
	case len(near) > 0:
		f.Fix = diag.Textf("did you mean %s?", diag.Or(quoted(near)))
	default:
		f.Fix = diag.Textf("\"narrow layers\" lists what a rule can name")
	}
	b.list = append(b.list, f)
}

func (b *builder) ambiguous(r *strategy.Rule, us []*unit) {
	var labels []any
	seen := map[*group]bool{}
	for _, u := range us {
		if seen[u.group] {
			continue // a layer of several nodes is named by its first
		}
		seen[u.group] = true
		if u.main != nil {
			labels = append(labels, u.main.Label())
		} else {
			labels = append(labels, u.outs[0])
		}
	}
	n := len(labels)
	if n > 3 {
		labels = append(labels[:3:3], diag.Textf("%d more", n-3))
	}
	b.list = append(b.list, diag.Finding{
		Severity: diag.Error, Code: "rule-ambiguous", Range: r.NameRange, Path: r.NamePath,
		Message: diag.Textf("%v matches %d layers: %s", r, n, diag.Commas(labels)),
		Fix:     diag.Textf("give one layer's node name, or use layer_type"),
	})
}

func quoted(names []string) []string {
	q := make([]string, len(names))
	for i, n := range names {
		q[i] = strconv.Quote(n)
	}
	return q
}
