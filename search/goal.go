package search

import "narrow/metric"

// Goal is what a strategy must keep.
type Goal struct {
	// MaxDrop is how much the accuracy may be lower than the float network's: of
	// top-1 as a share of the samples, 0.01 is one point; of a metric in its own
	// units, higher where lower is better.
	MaxDrop float64
	// Least, when set, is what a metric must be at least (at most where lower is
	// better), whatever the float network has: MaxDrop counts no more.
	Least *float64
}

// Kept reports whether all samples keep to the goal, and those held out are not
// worse by more than their standard error. Of a metric over all samples no standard
// error is known: there those held out decide nothing.
func (g Goal) Kept(p *Promise) bool {
	return g.met(p.All) && (p.HeldOut == nil || p.HeldOut.Value != nil || p.HeldOut.Drop()-p.HeldOut.StdErr() <= g.MaxDrop)
}

// Met reports whether a score keeps to the goal.
func (g Goal) Met(s Score) bool { return g.met(s) }

func (g Goal) met(s Score) bool {
	switch {
	case s.Failed != "":
		return false
	case s.Value != nil && g.Least != nil:
		return !s.Value.worse(s.Value.Quantized, *g.Least)
	case s.Value != nil:
		return s.Value.Float != nil && s.Drop() <= g.MaxDrop+1e-9
	}
	return s.lost() <= g.MaxDrop*float64(s.Samples)+1e-9
}

// near reports whether two values differ by less than counts for the goal.
func (g Goal) near(a, b float64) bool {
	most := g.MaxDrop / 4
	if g.Least != nil {
		most = 0.02 * max(*g.Least, -*g.Least)
	}
	return a-b <= most && b-a <= most
}

// Value is what a metric over all samples tells.
type Value struct {
	// Float is nil where the float network has no value.
	Float         *float64 `json:"float,omitempty"`
	Quantized     float64  `json:"quantized"`
	LowerIsBetter bool     `json:"lower_is_better,omitempty"`
}

// worse reports whether a is worse than b.
func (v *Value) worse(a, b float64) bool {
	if v.LowerIsBetter {
		return a > b+1e-9
	}
	return a < b-1e-9
}

// drop is by how much the quantized network is worse; 0 where the float network has
// no value.
func (v *Value) drop() float64 {
	switch {
	case v.Float == nil:
		return 0
	case v.LowerIsBetter:
		return v.Quantized - *v.Float
	}
	return *v.Float - v.Quantized
}

// valueOf puts the figures of both networks together.
func valueOf(m metric.Metric, float, quantized *metric.Figures) *Value {
	v := &Value{Float: float.Value, LowerIsBetter: m.LowerIsBetter()}
	if quantized.Value != nil {
		v.Quantized = *quantized.Value
	}
	return v
}
