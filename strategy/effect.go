package strategy

import (
	"narrow/diag"
	"narrow/scheme"
)

// effects reports settings that can have no effect.
func (c *checker) effects() {
	s := c.s
	used := map[*place]bool{}
	mark := func(rule *Rule, kinds Kinds) {
		for _, kind := range kinds.List() {
			r := s.resolve(kind, rule, false)
			for k := KeyDatatype; k < keyEnd; k++ {
				// A setting that cannot be read may be what gives this one its use.
				if r.src[k] != nil && (r.Applies(k) || r.unsure[KeyDatatype] || k == KeyPercentage && r.unsure[KeyMethod]) {
					used[r.src[k]] = true
				}
			}
		}
	}
	model := s.Kinds
	if s.unsure[keyKinds] {
		model = AllKinds
	}
	mark(nil, model)
	through := Kinds(0) // kinds that some rule is for
	for _, r := range s.Rules {
		kinds := r.Kinds
		if r.unsure {
			kinds = AllKinds
		}
		mark(r, kinds)
		through |= kinds
	}

	reach := model | through
	if reach != 0 { // else everything is useless, which is said already
		c.layerEffects(nil, &s.overall, reach, true, used)
		for _, kind := range AllKinds.List() {
			c.tensorEffects(nil, kind, &s.tensor[kind], reach, used, diag.Textf("the model's quantizable_data_type does not list it"))
		}
	}
	for _, r := range s.Rules {
		if c.shadowed[r] || r.unsure || r.Kinds == 0 {
			continue
		}
		c.layerEffects(r, &r.overall, r.Kinds, true, used)
		for _, kind := range AllKinds.List() {
			c.tensorEffects(r, kind, &r.tensor[kind], r.Kinds, used, diag.Textf("the rule's quantizable_data_type does not list it"))
		}
	}
}

// tensorEffects reports what is useless under one kind of tensor.
func (c *checker) tensorEffects(rule *Rule, kind scheme.Kind, l *layer, reach Kinds, used map[*place]bool, why diag.Text) {
	if !l.any() {
		return
	}
	if !reach.Has(kind) {
		c.add(diag.Finding{Severity: diag.Warning, Code: "no-effect", Range: l.place.key, Path: l.place.path,
			Message: diag.Textf("the settings for %s have no effect: %s", kind, why),
			Fix:     diag.Textf("add %q to quantizable_data_type, or delete the settings", kind)})
		return
	}
	c.layerEffects(rule, l, KindsOf(kind), false, used)
}

// layerEffects reports the useless settings of one object, which is for the
// given kinds.
func (c *checker) layerEffects(rule *Rule, l *layer, kinds Kinds, overall bool, used map[*place]bool) {
	for k := KeyDatatype; k < keyEnd; k++ {
		p := l.at[k]
		if p == nil || used[p] {
			continue
		}
		f := diag.Finding{Severity: diag.Warning, Code: "no-effect", Range: p.key, Path: p.path}
		// Who is to blame: look at the kinds where this value is the one that
		// holds; where there are none, it is overridden everywhere.
		var r *Resolved
		for _, kind := range kinds.List() {
			if x := c.s.resolve(kind, rule, false); x.src[k] == p {
				r = &x
				break
			}
		}
		switch {
		case r == nil, k == KeyDatatype: // where only rules quantize a kind, and set it
			if rule != nil {
				continue // the guide asks that a rule's overall settings be complete
			}
			f.Severity = diag.Note
			f.Message = diag.Textf("%s has no effect: every kind of tensor that is quantized sets its own", k)
			f.Fix = diag.Textf("delete it")
		case r.Settings.Datatype != scheme.Int:
			f.Message = diag.Textf("%s has no effect: it counts only for datatype int, and the datatype is %s", k, r.Settings.Datatype)
			f.Fix = diag.Textf(`delete it, or set "datatype": "int" beside it`)
			if src := r.src[KeyDatatype]; src != nil {
				f.Related = []diag.Related{{Range: src.val, Message: diag.Textf("the datatype is set here")}}
			}
		case k == KeyPercentage:
			f.Message = diag.Textf("percentage has no effect: it counts only for method percentile, and the method is %s", r.Settings.Method)
			f.Fix = diag.Textf(`delete it, or set "method": "percentile"`)
			if src := r.src[KeyMethod]; src != nil {
				f.Related = []diag.Related{{Range: src.val, Message: diag.Textf("the method is set here")}}
			}
		case k == KeyStatistic && !overall:
			f.Message = diag.Textf("%s has no effect on %s: it counts only for input and activation", k, r.Kind)
			f.Fix = diag.Textf("delete it")
		default:
			continue // a statistic among complete overall settings
		}
		c.add(f)
	}
}
