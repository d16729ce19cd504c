package plan

import (
	"slices"
	"strconv"
	"strings"

	"narrow/diag"
	"narrow/graph"
	"narrow/graph/names"
	"narrow/strategy"
)

// Match is what a layer rule means in the network.
type Match struct {
	Rule *strategy.Rule
	// Spots are in graph order; none where the rule matches nothing.
	Spots []Spot
}

// Spot is a node that a rule matches, nil for a network input. What several
// nodes make, such as a convolution and the function behind it, are different
// spots of one layer.
type Spot struct {
	Node  *graph.Node
	Layer *Layer
}

// ruleMatch is a [Match] before there are layers.
type ruleMatch struct {
	rule  *strategy.Rule
	spots []ruleSpot
}

type ruleSpot struct {
	unit *unit
	node *graph.Node
}

// publishMatches makes the plan's matches of the builder's.
func (b *builder) publishMatches() {
	for _, m := range b.matches {
		out := Match{Rule: m.rule}
		for _, s := range m.spots {
			out.Spots = append(out.Spots, Spot{s.node, b.layers[s.unit.group]})
		}
		b.p.Matches = append(b.p.Matches, out)
	}
}

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
		match := ruleMatch{rule: r}
		seen := map[ruleSpot]bool{}
		from := len(b.list)
		add := func(u *unit, n *graph.Node) {
			if u == nil || seen[ruleSpot{u, n}] {
				return
			}
			if match.spots = append(match.spots, ruleSpot{u, n}); !seen[ruleSpot{unit: u}] {
				us = append(us, u)
			}
			seen[ruleSpot{u, n}], seen[ruleSpot{unit: u}] = true, true
		}
		switch {
		case r.ByName():
			for _, m := range table.FindAll(r.Names()) {
				before := len(us)
				var own []*unit
				for _, in := range append(m.Inputs, m.Input) {
					add(inputOf[in], nil)
					own = appendUnit(own, inputOf[in])
				}
				for _, n := range m.Nodes {
					add(unitOf[n], n)
					own = appendUnit(own, unitOf[n])
				}
				switch {
				case len(own) == 0:
					b.unmatched(r, m, table.Nearest(m.Name))
				case layers(own) > 1 && m.Reused:
					b.reused(r, m.Name, own)
				case layers(own) > 1 && m.Form != names.Pattern:
					b.ambiguous(r, m.Name, own)
				case len(us) == before && m.Form != names.Pattern:
					b.again(r, m.Name, own)
				}
			}
			if r.Many() && len(us) > 0 {
				b.many(r, layers(us))
			}
		case r.LayerType != "":
			for _, n := range table.OfType(r.LayerType) {
				add(unitOf[n], n)
			}
			for _, u := range b.flow.units {
				if u.main != nil && u.main.Whole != nil && strings.EqualFold(u.op, strategy.BareType(r.LayerType)) {
					add(u, u.main)
				}
			}
			if len(us) == 0 {
				b.unmatched(r, names.Match{Gone: table.GoneType(r.LayerType)}, table.NearestTypes(r.LayerType))
			}
		}
		for _, u := range us {
			hits[u] = append(hits[u], r)
		}
		b.matches = append(b.matches, match)
		for i := range b.list[from:] {
			b.list[from+i].Rule = r.Index
		}
	}
	for u, rs := range hits {
		b.rules[u] = rs[strategy.Winner(rs)]
	}
}

func appendUnit(us []*unit, u *unit) []*unit {
	if u == nil || slices.Contains(us, u) {
		return us
	}
	return append(us, u)
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
		Message:     diag.Textf("%v matches no layer of the model", nameOf(r, m.Name)),
		Suggestions: near,
	}
	switch {
	case len(m.Gone) > 0:
		// The rule is right, and vai_q_pytorch is silent about it too.
		f.Severity, f.Code, f.Suggestions = diag.Warning, "rule-rewritten", nil
		g := m.Gone[0]
		f.Message = diag.Textf("%v has no effect: rewriting before calibration removes %s", nameOf(r, m.Name), g.Node.Label())
		if len(m.Gone) > 1 {
			f.Message = diag.Textf("%v and the %d others that it matches", f.Message, len(m.Gone)-1)
		}
		if g.Into != nil {
			f.Fix = diag.Textf("write a rule for what it became part of, such as %s", g.Into.Label())
		}
	case len(m.Nodes) > 0:
		f.Message = diag.Textf("%v matches %s, which computes with no float values of the network", nameOf(r, m.Name), m.Nodes[0].Label())
		f.Fix = diag.Textf("name a layer that \"narrow layers\" lists, or delete the rule")
	case b.around(m.Name) != nil:
		around := b.around(m.Name)
		f.Code, f.Suggestions = "rule-in-control-flow", nil
		f.Message = diag.Textf("%v is for a node inside the %s %s: control flow passes through untouched", nameOf(r, m.Name), around.OpType, around.Label())
		f.Fix = diag.Textf("delete the rule")
	case len(near) > 0:
		f.Fix = diag.Textf("did you mean %s?", diag.Or(quoted(near)))
	default:
		f.Fix = diag.Textf("\"narrow layers\" lists what a rule can name")
	}
	b.list = append(b.list, f)
}

// around returns the outermost node around the node of a name that is inside
// control flow, or nil.
func (b *builder) around(name string) *graph.Node {
	var inside func(g *graph.Graph) bool
	inside = func(g *graph.Graph) bool {
		return slices.ContainsFunc(g.Nodes, func(n *graph.Node) bool {
			return n.Label() == name || slices.ContainsFunc(n.Subgraphs(), inside)
		})
	}
	for _, n := range b.p.Model.Graph.Nodes {
		if name != "" && slices.ContainsFunc(n.Subgraphs(), inside) {
			return n
		}
	}
	return nil
}

// labels names the layers of units, at most three of them.
func labels(us []*unit) (n int, text diag.Text) {
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
	n = len(labels)
	if n > 3 {
		labels = append(labels[:3:3], diag.Textf("%d more", n-3))
	}
	return n, diag.Commas(labels)
}

// ambiguous reports a name that means more than one layer.
func (b *builder) ambiguous(r *strategy.Rule, name string, us []*unit) {
	n, which := labels(us)
	b.list = append(b.list, diag.Finding{
		Severity: diag.Error, Code: "rule-ambiguous", Range: r.NameRange, Path: r.NamePath,
		Message: diag.Textf("%v matches %d layers: %s", nameOf(r, name), n, which),
		Fix:     diag.Textf("give one layer's node name, a list of names or a pattern, or use layer_type"),
	})
}

// reused notes a name that means all uses of a module.
func (b *builder) reused(r *strategy.Rule, name string, us []*unit) {
	n, which := labels(us)
	b.list = append(b.list, diag.Finding{
		Severity: diag.Note, Code: "rule-reused-module", Range: r.NameRange, Path: r.NamePath,
		Message: diag.Textf("%v is for all %d uses of one module: %s", nameOf(r, name), n, which),
		Fix:     diag.Textf("give a node name to mean one of them"),
	})
}

// again warns of a name in a list whose layer the list has already.
func (b *builder) again(r *strategy.Rule, name string, us []*unit) {
	_, which := labels(us)
	b.list = append(b.list, diag.Finding{
		Severity: diag.Warning, Code: "no-effect", Range: r.NameRange, Path: r.NamePath,
		Message: diag.Textf("%q in layer rule %d means %s, which the list has already", name, r.Index, which),
		Fix:     diag.Textf("delete it"),
	})
}

// many notes how many layers a pattern or a list matches.
func (b *builder) many(r *strategy.Rule, n int) {
	b.list = append(b.list, diag.Finding{
		Severity: diag.Note, Code: "rule-matches-many", Range: r.NameRange, Path: r.NamePath,
		Message: diag.Textf("%v matches %d layers; vai_q_pytorch takes neither patterns nor lists of names", r, n),
		Fix:     diag.Textf("\"narrow fmt --expand --model M\" writes a rule for each"),
	})
}

// nameOf is the rule as messages name it, with the name of its list that they
// are about.
func nameOf(r *strategy.Rule, name string) diag.Text {
	if len(r.LayerNames) > 1 {
		return diag.Textf("%q in layer rule %d", name, r.Index)
	}
	return r.Text()
}

func quoted(names []string) []string {
	q := make([]string, len(names))
	for i, n := range names {
		q[i] = strconv.Quote(n)
	}
	return q
}
