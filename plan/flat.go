package plan

import (
	"math"

	"narrow/scheme"
)

// flat tells between which values functions differ: below and above, each puts out one
// value, or comes as near to it as no step of 8 bits shows. HardSwish and HardSigmoid are
// exactly flat there. Sigmoid has no bound below: it may put out small values only, such as
// those of a detector of something rare.
var flat = map[string][2]float64{
	compositeHardSwish: {-3, math.Inf(1)},
	compositeSwish:     {-8, math.Inf(1)},
	functionMish:       {-8, math.Inf(1)},
	compositeGelu:      {-4, math.Inf(1)},
	"Elu":              {-8, math.Inf(1)},
	functionSigmoid:    {math.Inf(-1), 8},
	functionTanh:       {-4, 4},
}

// flatBeyond records, for [scheme.High], which values of tensors count: see
// [Tensor.Low].
func (b *builder) flatBeyond() {
	for at, t := range b.points {
		if t.Kind != scheme.Activation || b.flow.leaves(at) {
			continue
		}
		if low, high, ok := b.flow.matters(at); ok {
			t.Low, t.High = float32(low), float32(high)
		}
	}
}

// matters returns between which values what u puts out differs to those that read it; ok is
// false where that is everywhere.
func (f *flow) matters(u *unit) (low, high float64, ok bool) {
	if f.leaves(u) {
		return 0, 0, false
	}
	for _, c := range f.children(u) {
		l, h, ok := f.differs(c)
		if !ok {
			return 0, 0, false
		}
		low, high = min(low, l), max(high, h)
	}
	return low, high, low < high && !(math.IsInf(low, -1) && math.IsInf(high, 1))
}

// differs is matters for one that reads the values.
func (f *flow) differs(u *unit) (low, high float64, ok bool) {
	switch {
	case u.main == nil || u.main.Domain != "":
		return 0, 0, false
	case u.moves():
		return f.matters(u)
	case u.op == functionHardSigmoid && u.main.Is("HardSigmoid"):
		a, b := float64(u.main.Float("alpha", 0.2)), float64(u.main.Float("beta", 0.5))
		return -b / a, (1 - b) / a, a > 0 && b > 0 && b < 1
	case u.op == functionHardSigmoid:
		return -3, 3, true
	}
	bounds, ok := flat[u.op]
	return bounds[0], bounds[1], ok
}
