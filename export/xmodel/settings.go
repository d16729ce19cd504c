package xmodel

import (
	"narrow/diag"
	"narrow/plan"
	"narrow/scheme"
)

// settings refuses what a fix cannot hold: it has one fix position for the whole
// tensor, all integers of its bit width, and nothing else. A reason is told
// once, however many tensors have it.
func (b *builder) settings() {
	if b.plan.Strategy.Target != scheme.DPU {
		b.find(CodeStrategy, "target_device", diag.Textf("the strategy is for the %v, and an .xmodel is for the DPU", b.plan.Strategy.Target),
			diag.Textf("set target_device to DPU and calibrate again, or export another format"))
	}
	integer := func(s scheme.Settings) bool { return s.Datatype == scheme.Int }
	for _, r := range []struct {
		why, fix diag.Text
		has      func(t *plan.Tensor, s scheme.Settings) bool
	}{
		{diag.Textf("the datatype is none of integers, which is all that a fix holds"), diag.Textf("set datatype to int"),
			func(_ *plan.Tensor, s scheme.Settings) bool { return !integer(s) }},
		{diag.Textf("the scale is a float, and a fix has a power of two"), diag.Textf("set scale_type to poweroftwo"),
			func(_ *plan.Tensor, s scheme.Settings) bool { return integer(s) && s.ScaleType != scheme.PowerOfTwo }},
		{diag.Textf("each channel has a scale, and a fix has one fix position"), diag.Textf("set per_channel to false"),
			func(t *plan.Tensor, s scheme.Settings) bool { return integer(s) && t.Axis >= 0 }},
		{diag.Textf("there is a zero point, and a fix has none"), diag.Textf("set symmetry to true"),
			func(_ *plan.Tensor, s scheme.Settings) bool { return integer(s) && !s.Symmetry }},
		{diag.Textf("the integers are unsigned, and those of a fix are signed"), diag.Textf("set signed to true"),
			func(_ *plan.Tensor, s scheme.Settings) bool { return integer(s) && s.Symmetry && !s.Signed }},
		{diag.Textf("the smallest integer is left out, and a fix has all of its bit width"), diag.Textf("set narrow_range to false"),
			func(t *plan.Tensor, s scheme.Settings) bool { return integer(s) && t.Constant == nil && s.NarrowRange }},
		{diag.Textf("the bit width is more than 16"), diag.Textf("set bit_width to 8"),
			func(_ *plan.Tensor, s scheme.Settings) bool { return integer(s) && s.BitWidth > 16 }},
	} {
		n, first := 0, (*plan.Tensor)(nil)
		for _, t := range b.plan.Tensors {
			if r.has(t, t.Settings.Settings) {
				if n++; n == 1 {
					first = t
				}
			}
		}
		if n > 0 {
			b.find(CodeStrategy, first.Layer.Name, diag.Textf("%v %s (one of %d such tensors): %s", first.Kind, first.Name, n, r.why), r.fix)
		}
	}
}
