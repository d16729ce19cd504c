package strategy

import (
	"narrow/diag"
	"narrow/scheme"
)

// Origin is where a setting comes from.
type Origin struct {
	// Range is the place of the key in the file; zero for a default and for
	// what narrow decides itself.
	Range diag.Range `json:"range,omitzero"`
	// Path is the JSON path of the key, "" where Range is zero.
	Path string `json:"path,omitempty"`
	// Text names the object that sets it: "overall_quantize_config",
	// "tensor_quantize_config weights", "layer rule 1 (by type Conv2d), tensor
	// activation", "default for the DPU", or a reason.
	Text diag.Text `json:"text"`
}

// String is [Origin.Reason] in English.
func (o Origin) String() string { return o.Reason().String() }

// Reason returns the place, where there is one, and the text.
func (o Origin) Reason() diag.Text {
	if o.Range.IsZero() {
		return o.Text
	}
	return diag.Textf("%s %s", o.Range, o.Text)
}

// Reason is one setting with the reason for it.
type Reason struct {
	Key    Key    `json:"key"`
	Value  string `json:"value"`
	Origin        // of the value that holds
	// Overridden are the values that were set on the way, from the weakest
	// (the default) on; each was overridden by the next one's origin, the last
	// by Origin.
	Overridden []Overridden `json:"overridden,omitempty"`
}

// Overridden is a value that does not hold.
type Overridden struct {
	Value string `json:"value"`
	Origin
	// By says who overrode it.
	By Origin `json:"by"`
}

// Resolved is how one kind of tensor is quantized, and why.
type Resolved struct {
	Kind scheme.Kind
	// Rule is the layer rule that took part, nil at the model's level and
	// where the rule does not list the kind.
	Rule *Rule
	// Settings are the settings that hold.
	Settings scheme.Settings
	// Quantize is false when quantizable_data_type leaves the kind unquantized;
	// QuantizeOrigin says which list decided.
	Quantize       bool
	QuantizeOrigin Origin

	// reasons is nil unless it was asked for: it is most of the work.
	reasons *[keyEnd]Reason
	// src is where each setting that holds stands, nil for a default; depth is
	// how specific the object is that sets it, see [Strategy.resolve]; unsure
	// marks those about which nothing can be concluded.
	src    [keyEnd]*place
	depth  [keyEnd]int
	unsure [keyEnd]bool
}

// Reason returns the reason for one setting.
func (r *Resolved) Reason(k Key) Reason { return r.reasons[k] }

// All returns the reasons of all settings, in order.
func (r *Resolved) All() []Reason { return r.reasons[KeyDatatype:] }

// Applies reports whether a setting counts: all but the datatype count only
// for int, the percentage only for the method percentile, and the statistic
// only for input and activation.
func (r *Resolved) Applies(k Key) bool {
	switch {
	case k == KeyDatatype:
		return true
	case r.Settings.Datatype != scheme.Int:
		return false
	case k == KeyPercentage:
		return r.Settings.Method == scheme.Percentile
	case k == KeyStatistic:
		return r.Kind == scheme.Input || r.Kind == scheme.Activation
	}
	return true
}

// Resolve returns how tensors of a kind are quantized in a layer for which
// rule won, or at the model's level where rule is nil. Spec: section 2, "Layering".
//
// One layer has at most one rule: an exact name beats a list of names, a list a
// pattern, any name a type, and among those of one sort the later one wins. Kinds that the rule does not list
// keep the model's settings.
func (s *Strategy) Resolve(kind scheme.Kind, rule *Rule) Resolved {
	r := s.resolve(kind, rule, true)
	if kind == scheme.Bias && r.Settings.Datatype == scheme.Int && !r.Settings.Symmetry {
		// A bias is added to an integer sum: it has no place for a zero point.
		// Without one, the asymmetric range [0, 2^b-1] would cut off all
		// negative values, so the bias is signed as well.
		forced := scheme.Settings{Symmetry: true, Signed: true}
		r.force(KeySymmetry, &forced, diag.Textf("a bias has no zero point"))
		if !r.Settings.Signed {
			r.force(KeySigned, &forced, diag.Textf("a bias that would have been asymmetric is quantized signed"))
		}
	}
	return r
}

// resolve is Resolve without narrow's own decisions; the reasons are written
// only if explain is set, because they are most of the work.
func (s *Strategy) resolve(kind scheme.Kind, rule *Rule, explain bool) Resolved {
	r := Resolved{Kind: kind, Settings: Defaults(kind)}
	if explain {
		r.reasons = new([keyEnd]Reason)
		suits := Origin{Text: diag.Textf("default for the DPU")} // whatever the target device is
		for k := KeyDatatype; k < keyEnd; k++ {
			r.reasons[k] = Reason{Key: k, Value: Value(r.Settings, k), Origin: suits}
		}
	}
	r.lay(&s.overall, 1, explain)
	r.lay(&s.tensor[kind], 2, explain)
	r.Quantize = s.Kinds.Has(kind)
	r.QuantizeOrigin = Origin{Text: diag.Textf("default")}
	if p, ok := s.where[keyKinds]; ok {
		r.QuantizeOrigin = Origin{Range: p.key, Path: p.path, Text: diag.Verbatim(keyKinds)}
	}
	if rule != nil && rule.Kinds.Has(kind) {
		r.Rule = rule
		r.lay(&rule.overall, 3, explain)
		r.lay(&rule.tensor[kind], 4, explain)
		r.Quantize = true
		if explain {
			r.QuantizeOrigin = Origin{Range: rule.kindsPlace.key, Path: rule.kindsPlace.path, Text: diag.Textf("%s, quantizable_data_type", rule)}
		}
	}
	return r
}

// lay puts the settings of l over those of r.
func (r *Resolved) lay(l *layer, depth int, explain bool) {
	for k := KeyDatatype; k < keyEnd; k++ {
		p := l.at[k]
		if p != nil {
			r.src[k], r.depth[k], r.unsure[k] = p, depth, false
			if explain {
				r.override(k, &l.vals, Origin{Range: p.key, Path: p.path, Text: l.text})
			} else {
				copyKey(&r.Settings, &l.vals, k)
			}
		}
		if l.unsure[k] {
			r.unsure[k] = true
		}
	}
}

func (r *Resolved) force(k Key, v *scheme.Settings, why diag.Text) {
	r.override(k, v, Origin{Text: why})
}

func (r *Resolved) override(k Key, v *scheme.Settings, by Origin) {
	copyKey(&r.Settings, v, k)
	b := &r.reasons[k]
	b.Overridden = append(b.Overridden, Overridden{Value: b.Value, Origin: b.Origin, By: by})
	b.Value, b.Origin = Value(r.Settings, k), by
}

// Winner returns the index of the rule that decides about a layer that all of
// the given rules match, -1 where there are none: the more exact one (see
// [Rule.Rank]), and among equals the later.
func Winner(rules []*Rule) int {
	best := -1
	for i, r := range rules {
		if best < 0 || r.Rank() > rules[best].Rank() || r.Rank() == rules[best].Rank() && r.Index > rules[best].Index {
			best = i
		}
	}
	return best
}

// Rank says how exactly a rule tells its layers: an exact name more than a list
// of names, that more than a pattern, any name more than a type.
func (r *Rule) Rank() int {
	switch {
	case IsPattern(r.LayerName):
		return 2
	case r.LayerName != "":
		return 4
	case len(r.LayerNames) > 0:
		return 3
	}
	return 1
}
