package plan

import (
	"slices"

	"narrow/diag"
	"narrow/graph"
	"narrow/scheme"
	"narrow/strategy"
)

// withoutEffect warns of layer rules that match layers and set nothing there,
// since no tensor of their kinds is quantized at them, and of rules by name
// whose settings for the result meet another layer's quantizer.
func (b *builder) withoutEffect() {
	sets := map[*strategy.Rule]bool{}
	for _, t := range b.p.Tensors {
		if t.Settings.Rule != nil {
			sets[t.Settings.Rule] = true
		}
	}
	for _, m := range b.matches {
		r := m.rule
		us := m.units()
		if len(us) == 0 || b.ambiguousRule(r) {
			continue
		}
		served := b.servedElsewhere(r, us)
		switch {
		case !sets[r] && !b.spares(r, us):
			b.nothingSet(r, us, served)
		case r.ByName() && !r.Many() && served != nil && layers(us) == 1:
			b.list = append(b.list, diag.Finding{
				Severity: diag.Warning, Code: "no-effect", Range: r.NameRange, Path: r.NamePath, Rule: r.Index,
				Message: diag.Textf("what %v sets for activation has no effect: the quantizer of layer %s serves its result", r, served.Name),
				Fix:     diag.Textf("write the rule for %s", served.Name),
			})
		}
	}
}

// units returns the distinct units that a rule matches.
func (m ruleMatch) units() []*unit {
	var us []*unit
	for _, s := range m.spots {
		us = appendUnit(us, s.unit)
	}
	return us
}

// ambiguousRule reports whether a mistake about the rule was told already.
func (b *builder) ambiguousRule(r *strategy.Rule) bool {
	return slices.ContainsFunc(b.list, func(f diag.Finding) bool { return f.Rule == r.Index && f.Severity >= diag.Warning })
}

// spares reports whether the rule leaves something in float that would be
// quantized without it, or lost to another rule, which is told elsewhere.
func (b *builder) spares(r *strategy.Rule, us []*unit) bool {
	for _, u := range us {
		l := b.layers[u.group]
		if b.rules[u] != r && l.Rule != r {
			return true
		}
		if r.Kinds.Has(scheme.Input) && b.asGiven(u, b.s.Resolve(scheme.Input, r)) {
			return true
		}
		for _, kind := range r.Kinds.List() {
			if st := b.s.Resolve(kind, r); !declines(kind, st).IsZero() && b.hasKind(u, kind) {
				return true
			}
		}
	}
	return false
}

// asGiven reports whether what enters u is quantized as st asks already.
func (b *builder) asGiven(u *unit, st strategy.Resolved) bool {
	return slices.ContainsFunc(u.ins, func(in string) bool {
		at := b.places[b.flow.producer[in]]
		return at != nil && b.points[at] != nil && b.points[at].Settings.Settings == st.Settings
	})
}

// hasKind reports whether u has a tensor of a kind that settings could quantize.
func (b *builder) hasKind(u *unit, kind scheme.Kind) bool {
	switch kind {
	case scheme.Weights, scheme.Bias:
		return slices.ContainsFunc(b.constants(u), func(c constantUse) bool { return c.kind == kind })
	case scheme.Input:
		return u.op == opInput || len(u.ins) > 0
	}
	at := b.places[u]
	return at != nil && b.layers[at.group] == b.layers[u.group]
}

// servedElsewhere returns the layer whose quantizer serves the results of all of
// us, where that is another's, or nil.
func (b *builder) servedElsewhere(r *strategy.Rule, us []*unit) *Layer {
	if !r.Kinds.Has(scheme.Activation) {
		return nil
	}
	var by *Layer
	for _, u := range us {
		at := b.places[u]
		if at == nil || b.points[at] == nil {
			return nil
		}
		l := b.layers[at.group]
		if l == b.layers[u.group] || by != nil && by != l {
			return nil
		}
		by = l
	}
	return by
}

func (b *builder) nothingSet(r *strategy.Rule, us []*unit, served *Layer) {
	f := diag.Finding{Severity: diag.Warning, Code: "no-effect", Range: r.NameRange, Path: r.NamePath, Rule: r.Index}
	_, which := labels(us)
	u := us[0]
	switch {
	case served != nil:
		f.Message = diag.Textf("%v has no effect: the quantizer of layer %s serves the result of %s", r, served.Name, which)
		f.Fix = diag.Textf("write the rule for %s", served.Name)
	case u.main != nil && recurrent(u.main) && (r.Kinds.Has(scheme.Weights) || r.Kinds.Has(scheme.Bias)):
		f.Message = diag.Textf("%v has no effect: weights and biases of %s are not quantized", r, u.main.OpType)
		f.Fix = diag.Textf("delete it")
	default:
		f.Message = diag.Textf("%v has no effect: no tensor of its kinds (%s) is quantized at %s", r, diag.Commas(r.Kinds.List()), which)
		f.Fix = diag.Textf("\"narrow explain --layer %s\" tells what is, and why", b.layers[u.group].Name)
	}
	b.list = append(b.list, f)
}

// recurrent reports whether n is a recurrent layer.
func recurrent(n *graph.Node) bool { return n.Is("GRU", "LSTM", "RNN") }
