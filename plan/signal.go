package plan

import (
	"slices"

	"narrow/diag"
	"narrow/scheme"
)

// signal finds the units that make a signal of whose spectrum a network takes the
// logarithm, each with the Log: linear operators, a square or magnitude, sums and
// bounds behind it. In a logarithm the quiet parts count as much as the loud ones,
// and are below one step of a scale that holds both; what weights lose of a loud
// part, too, is more than a quiet one has.
func (f *flow) signal() map[*unit]*unit {
	found := map[*unit]*unit{}
	for _, log := range f.units {
		if log.main == nil || log.comp != nil || !log.main.Is("Log") {
			continue
		}
		type visit struct {
			u     *unit
			power bool
		}
		made := map[visit]bool{} // whether a power was crossed, or stands before
		var mark func(v string, power bool) bool
		mark = func(v string, power bool) bool {
			u := f.producer[v]
			if u == nil {
				return false
			}
			at := visit{u, power}
			if known, ok := made[at]; ok {
				return known
			}
			made[at] = false
			switch {
			case u.main == nil || u.moves() || f.linear(u):
			case u.comp == nil && (u.main.Is("Pow", "Abs", "ReduceL2", "ReduceSumSquare") || u.main.Is("Mul") && u.main.Input(0) == u.main.Input(1)):
				power = true
			case u.comp == nil && u.main.Is("Sqrt", "Clip", "Max", "Min", "ReduceMax", "ReduceMin"):
			default:
				return false
			}
			all := power
			for _, in := range u.ins {
				all = mark(in, power) || all
			}
			if all {
				found[u] = log
			}
			made[at] = all
			return all
		}
		mark(log.main.Input(0), false)
	}
	// What others read besides, they read quantized.
	for _, u := range slices.Backward(f.units) {
		if found[u] == nil {
			continue
		}
		if f.leaves(u) || slices.ContainsFunc(f.children(u), func(c *unit) bool { return found[c] == nil && (c.comp != nil || !c.main.Is("Log", "Shape")) }) {
			delete(found, u)
		}
	}
	return found
}

// linear reports whether u is linear in what enters it.
func (f *flow) linear(u *unit) bool {
	switch {
	case f.weighted(u):
		return true
	case u.comp != nil:
		return false
	case u.main.Is("Mul"):
		return len(u.ins) == 1 && u.main.Input(0) != u.main.Input(1)
	case u.main.Is("Div"):
		return len(u.ins) == 1 && u.main.Input(0) == u.ins[0] && u.main.Input(0) != u.main.Input(1)
	}
	return u.main.Is("Add", "Sub", "Sum", "Neg", "Pad", "Concat", "ReduceSum", "ReduceMean", "AveragePool")
}

// spareSignal leaves float what makes a signal before a logarithm, unless a layer
// rule asks for it.
func (b *builder) spareSignal(asks map[*unit]bool) {
	for u, log := range b.flow.signal() {
		if r := b.layers[u.group].Rule; r != nil && r.Kinds.Has(b.kindOf(u)) {
			continue
		}
		b.signal[u] = log
		asks[u] = false
		if b.declined[u].IsZero() {
			b.declined[u] = signalReason(log)
		}
	}
}

// signalWeights returns why a constant of u is not quantized for the sake of a
// signal, or nothing.
func (b *builder) signalWeights(u *unit, kind scheme.Kind) diag.Text {
	log := b.signal[u]
	if r := b.layers[u.group].Rule; log == nil || r != nil && r.Kinds.Has(kind) {
		return diag.Text{}
	}
	return signalReason(log)
}

func signalReason(log *unit) diag.Text {
	return diag.Textf("%s takes the logarithm of its signal, where quiet parts count as much as loud ones", log.main.Label())
}
